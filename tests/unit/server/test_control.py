"""The operator's socket: its user's alone, never in the way, and not to be overwhelmed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import socket
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.unit.server import control_rig
from tests.unit.server.control_rig import Operator
from tillwire.config import Limits
from tillwire.server import control
from tillwire.server.control import control_path


async def serves(operator: Operator) -> bool:
    return (await operator.ask("GET", "/lanes")).status == 200


# --- the file -------------------------------------------------------------------------------


async def test_the_socket_is_its_users_alone_and_goes_with_the_gateway(tmp_path: Path) -> None:
    earlier = os.umask(0o022)
    try:
        async with control_rig.operated(control_rig.settings(tmp_path)) as operator:
            path = tmp_path / "journal.db.control"
            assert path.is_socket()
            assert path.stat().st_mode & 0o777 == 0o600
            shown = await operator.ask("GET", "/lanes")
            assert shown.document["pid"] == os.getpid()
    finally:
        os.umask(earlier)
    assert not path.exists()


async def test_the_socket_of_a_dead_gateway_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "journal.db.control"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with control_rig.operated(control_rig.settings(tmp_path)) as operator:
        assert await serves(operator)
    assert not path.exists()


async def test_what_is_no_socket_is_not_touched_and_payments_go_on(tmp_path: Path) -> None:
    path = tmp_path / "journal.db.control"
    path.write_text("somebody's notes")
    with capture_logs() as written:
        async with control_rig.operated(control_rig.settings(tmp_path)) as operator:
            assert operator.gateway.listeners["lanes"].port
    assert path.read_text() == "somebody's notes"
    told = [each for each in written if each["event"].startswith("no operator's socket")]
    assert [each["reason"] for each in told] == ["something that is no socket is in its place"]


async def test_a_deep_folder_is_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 20) / ("deeper" * 20)
    folder.mkdir(parents=True)
    async with control_rig.operated(control_rig.settings(folder)) as operator:
        assert len(os.fsencode(operator.path)) > control.LONGEST_PATH
        with control.short(operator.path) as name:
            reader, writer = await asyncio.open_unix_connection(name)
        writer.write(b"GET /lanes HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")
        writer.close()
    assert not control_path(folder / "journal.db").exists()


async def test_who_calls_is_known_from_the_system(tmp_path: Path) -> None:
    async with control_rig.operated(control_rig.settings(tmp_path)) as operator:
        with capture_logs() as written:
            await operator.reset()
    (told,) = [each for each in written if each["event"] == "a lane was reset"]
    assert told["by"] == pwd.getpwuid(os.getuid()).pw_name
    assert control.user_name(4_000_000_000) == "4000000000"


# --- requests -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "truncated"),
        (b"{", "truncated"),
        (b'{"lane": "lanes"}', "missing required field `port`"),
        (b'{"lane": "lanes", "port": "1"}', "int"),
        (b'{"lane": "lanes", "port": 0}', ">= 1"),
        (b'{"lane": "lanes", "port": 65536}', "<= 65535"),
        (b'{"lane": "lanes", "port": 1, "force": true}', "unknown field `force`"),
        (b'{"lane": "\xff", "port": 1}', "utf-8"),
        (b"[" * 4000, "object"),
    ],
)
async def test_an_order_that_cannot_be_read_is_refused(
    tmp_path: Path, body: bytes, problem: str
) -> None:
    async with control_rig.operated(control_rig.settings(tmp_path)) as operator:
        headers = {"content-type": "application/json"}
        answer = await operator.ask("POST", "/port", data=body, headers=headers)
        assert (answer.status, await operator.set_ports()) == (400, [])
    assert problem in answer.detail.lower()


async def test_what_does_not_belong_here_is_refused_and_others_are_served(tmp_path: Path) -> None:
    async with control_rig.operated(control_rig.settings(tmp_path)) as operator:
        large = {"lane": "x" * control.LARGEST_ORDER, "peer": None}
        assert (await operator.ask("POST", "/reset", json=large)).status == 413
        assert (await operator.ask("POST", "/reset", data=b"{}")).status == 415
        assert (await operator.ask("GET", "/reset")).status == 405
        assert (await operator.ask("GET", "/etc/passwd")).status == 404
        assert (await operator.raw(b"\x02P\x03P\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
        head = b"GET /lanes HTTP/1.1\r\nx: " + b"y" * 100_000
        assert (await operator.raw(head))[:12] in (b"HTTP/1.1 431", b"")
        endless = b"POST /reset HTTP/1.1\r\ncontent-type: application/json\r\n"
        endless += b"transfer-encoding: chunked\r\n\r\n" + b"1000\r\n" + b" " * 4096 + b"\r\n" * 2
        assert (await operator.raw(endless + b"1000\r\n" * 50))[:10] in (b"HTTP/1.1 4", b"")
        assert await serves(operator)


async def test_who_never_ends_or_comes_too_often_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "LIMITS", Limits(connections=1, header_seconds=0.5))
    async with control_rig.operated(control_rig.settings(tmp_path)) as operator:
        reader, writer = await asyncio.open_unix_connection(str(operator.path))
        writer.write(b"GET /la")
        refused = await operator.ask("GET", "/lanes")
        assert (refused.status, "Too many" in refused.detail) == (503, True)
        assert (await reader.read()).startswith(b"HTTP/1.1 408")
        writer.close()
        assert await serves(operator)


async def test_a_stop_does_not_wait_for_an_order_that_never_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "STOP_WITHIN", 0.05)
    async with control_rig.operated(control_rig.settings(tmp_path)) as operator:
        idle, idle_end = await asyncio.open_unix_connection(str(operator.path))
        reader, writer = await asyncio.open_unix_connection(str(operator.path))
        writer.write(
            b"POST /reset HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 9\r\n"
            b"expect: 100-continue\r\n\r\n"
        )
        assert (await reader.readline()).startswith(b"HTTP/1.1 100")  # it waits for the body
    async with asyncio.timeout(30):
        with contextlib.suppress(ConnectionError):
            assert await idle.read() == b""
        with contextlib.suppress(ConnectionError):
            await reader.read()
    idle_end.close()
    writer.close()
    assert not operator.path.exists()
