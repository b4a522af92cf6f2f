"""The gateway on real sockets: prefixes, lifespans, own pages, limits, and a clean stop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest
from structlog.testing import capture_logs

from tests.unit.estate_fixture import purchase
from tests.unit.server import rig
from tests.unit.server.rig import Echo
from tillwire.config import Limits, Page
from tillwire.core.model import State, Verdict
from tillwire.core.occupancy import WhenBusy
from tillwire.errors import ConfigurationError
from tillwire.server import dispatch
from tillwire.server.faces import FaceKind
from tillwire.server.gateway import Gateway


@pytest.fixture
async def till() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def get(till: aiohttp.ClientSession, url: str, **options: object) -> tuple[int, str]:
    async with till.get(url, **options) as answer:  # type: ignore[arg-type]
        return answer.status, await answer.text()


def base(gateway: Gateway, name: str = "front") -> str:
    return gateway.listeners[name].url


async def test_a_face_stands_under_its_prefix_and_learns_of_it_by_root_path(
    till: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with rig.running(rig.configuration(tmp_path), rig.kinds(Echo())) as gateway:
        _, body = await get(till, base(gateway) + "/echo/stores/1")
    seen = msgspec.json.decode(body)
    assert seen["root_path"] == "/echo"
    assert seen["path"] == "/echo/stores/1"
    assert seen["below"] == "/stores/1"


async def test_the_longest_prefix_wins_and_a_part_of_a_name_is_no_prefix(
    till: aiohttp.ClientSession, tmp_path: Path
) -> None:
    faces = (rig.echo_at("/a"), rig.echo_at("/a/b"))
    settings = rig.configuration(tmp_path, rig.listener(faces=faces))
    async with rig.running(settings, rig.kinds(Echo())) as gateway:
        roots = {}
        for path in ("/a", "/a/x", "/a/b", "/a/b/x", "/a/bx"):
            _, body = await get(till, base(gateway) + path)
            roots[path] = msgspec.json.decode(body)["root_path"]
        status, _ = await get(till, base(gateway) + "/ax")
    assert roots == {"/a": "/a", "/a/x": "/a", "/a/b": "/a/b", "/a/b/x": "/a/b", "/a/bx": "/a"}
    assert status == 404


async def test_a_face_can_stand_at_the_root(till: aiohttp.ClientSession, tmp_path: Path) -> None:
    front = rig.listener(faces=(rig.echo_at(""),), pages=(Page.HEALTH,))
    async with rig.running(rig.configuration(tmp_path, front), rig.kinds(Echo())) as gateway:
        _, body = await get(till, base(gateway) + "/stores")
        health = await get(till, base(gateway) + "/healthz")
    assert msgspec.json.decode(body)["root_path"] == ""
    assert health == (200, "alive\n")


async def test_behind_a_proxy_a_face_sees_the_public_address(
    till: aiohttp.ClientSession, tmp_path: Path
) -> None:
    front = rig.listener(public_url="https://pay.example.com/tills")
    async with rig.running(rig.configuration(tmp_path, front), rig.kinds(Echo())) as gateway:
        port = gateway.listeners["front"].port
        _, body = await get(till, f"http://127.0.0.1:{port}/echo/stores")
    assert msgspec.json.decode(body) == {
        "root_path": "/tills/echo",
        "path": "/tills/echo/stores",
        "below": "/stores",
        "scheme": "https",
        "host": "pay.example.com",
    }


async def test_a_path_outside_any_face_is_a_problem_for_programs_and_a_page_for_people(
    till: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with rig.running(rig.configuration(tmp_path), rig.kinds(Echo())) as gateway:
        async with till.get(base(gateway) + "/nowhere") as answer:
            assert (answer.status, answer.content_type) == (404, "application/problem+json")
            assert (await answer.json(content_type=None))["instance"] == "/nowhere"
        async with till.get(
            base(gateway) + "/nowhere", headers={"Accept": "text/html,*/*"}
        ) as answer:
            assert (answer.status, answer.content_type) == (404, "text/html")


async def test_own_pages_are_only_read(till: aiohttp.ClientSession, tmp_path: Path) -> None:
    async with rig.running(rig.configuration(tmp_path), rig.kinds(Echo())) as gateway:
        async with till.post(base(gateway) + "/metrics") as answer:
            assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
        async with till.head(base(gateway) + "/healthz") as answer:
            assert (answer.status, await answer.read()) == (200, b"")


async def test_lifespans_of_faces_begin_and_end_with_the_gateway(tmp_path: Path) -> None:
    echo = Echo()
    async with rig.running(rig.configuration(tmp_path), rig.kinds(echo)):
        assert echo.lives == ["startup"]
    assert echo.lives == ["startup", "shutdown"]


async def test_the_start_page_tells_what_runs_where_and_needs_no_script(
    till: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with rig.running(rig.configuration(tmp_path), rig.kinds(Echo())) as gateway:
        async with till.get(base(gateway) + "/") as answer:
            html = await answer.text()
            policy = answer.headers["Content-Security-Policy"]
        assert f"{base(gateway)}/echo" in html
    assert "An echo" in html
    assert "Payments can be taken" in html
    assert "<script" not in html
    assert "default-src 'none'" in policy


async def test_metrics_show_a_paid_sale(till: aiohttp.ClientSession, tmp_path: Path) -> None:
    async with rig.running(rig.configuration(tmp_path), rig.kinds(Echo())) as gateway:
        sale = await gateway.engine.accept(purchase(1250), WhenBusy.REJECT)
        paid = await gateway.engine.wait(sale.id, lambda each: each.is_final, 30)
        assert paid.state is State.APPROVED
        _, page = await get(till, base(gateway) + "/metrics")
    lines = page.splitlines()
    dialect = paid.dialect
    assert f'tillwire_transactions_total{{dialect="{dialect}",state="APPROVED"}} 1.0' in lines
    assert 'tillwire_open_transactions{state="UNKNOWN"} 0.0' in lines
    assert any(line.startswith("tillwire_time_to_outcome_seconds_count") for line in lines)
    assert any(line.startswith("tillwire_journal_commit_seconds_count") for line in lines)


async def test_a_sale_with_a_lost_outcome_shows_as_unknown(
    till: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with rig.running(rig.configuration(tmp_path), rig.kinds(Echo())) as gateway:
        sale = await gateway.engine.accept(purchase(1247), WhenBusy.REJECT)
        await gateway.engine.wait(sale.id, lambda each: each.state is State.UNKNOWN, 10)
        _, page = await get(till, base(gateway) + "/metrics")
        _, start = await get(till, base(gateway) + "/")
        await gateway.engine.decide(sale.id, Verdict.DECLINED, person="Ada", reason="on the list")
        _, after = await get(till, base(gateway) + "/")
    assert 'tillwire_open_transactions{state="UNKNOWN"} 1.0' in page.splitlines()
    assert "(UNKNOWN): 1" in start
    assert "tillwire transactions decide" in start
    assert "tillwire transactions decide" not in after


async def test_ready_says_what_is_wrong_with_the_journal(
    till: aiohttp.ClientSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig.running(rig.configuration(tmp_path), rig.kinds(Echo())) as gateway:
        assert await get(till, base(gateway) + "/readyz") == (200, "ready\n")
        monkeypatch.setattr("tillwire.server.readiness.RECENTLY", 0.0)
        monkeypatch.setattr("tillwire.server.readiness.LEAST_FREE", 1 << 62)
        status, body = await get(till, base(gateway) + "/readyz")
    assert status == 503
    assert "are free on the disk" in body


async def test_a_face_that_fails_answers_with_a_problem_without_its_reason(
    till: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with (
        rig.running(rig.configuration(tmp_path), rig.kinds(Echo())) as gateway,
        till.get(base(gateway) + "/echo/fail") as answer,
    ):
        assert (answer.status, answer.content_type) == (500, "application/problem+json")
        assert "4111" not in await answer.text()


async def test_what_is_refused_is_logged_unless_it_is_a_face_s_routine(
    till: aiohttp.ClientSession, tmp_path: Path
) -> None:
    echo = Echo()
    kinds = {"echo": FaceKind("An echo", echo.create, routine=frozenset({423}))}
    async with rig.running(rig.configuration(tmp_path), kinds) as gateway:
        with capture_logs() as written:
            for path in ("/echo/answer/200", "/echo/answer/404", "/echo/answer/423", "/nowhere"):
                await get(till, base(gateway) + path)
    levels = {line["path"]: line["log_level"] for line in written if line["event"] == "request"}
    assert levels == {
        "/echo/answer/200": "debug",
        "/echo/answer/404": "info",
        "/echo/answer/423": "debug",
        "/nowhere": "info",
    }


async def test_a_taken_port_is_told_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        echo = Echo()
        settings = rig.configuration(tmp_path, rig.listener(port=port))
        gateway = Gateway(settings, faces=rig.kinds(echo), choose_port="say another one")
        with pytest.raises(ConfigurationError, match=f"Port {port} .* taken .* say another one"):
            await gateway.open()
        assert echo.lives == []
    # The journal was let go: the next one can have it.
    async with rig.running(settings, rig.kinds(echo)):
        assert echo.lives == ["startup"]


async def test_two_gateways_cannot_run_one_journal(tmp_path: Path) -> None:
    async with rig.running(rig.configuration(tmp_path), rig.kinds(Echo())):
        with pytest.raises(ConfigurationError, match="already run by the gateway with process id"):
            await Gateway(rig.configuration(tmp_path), faces=rig.kinds(Echo())).open()


async def test_a_stop_answers_held_polls_at_once(
    till: aiohttp.ClientSession, tmp_path: Path
) -> None:
    echo = Echo()
    settings = rig.configuration(tmp_path, stop_seconds=60.0)
    async with rig.running(settings, rig.kinds(echo)) as gateway:
        held = asyncio.create_task(get(till, base(gateway) + "/echo/next"))
        await echo.polled.wait()
        await asyncio.wait_for(gateway.stop(), 30)
        status, body = await held
    assert status == 503
    assert "Read what became of your request" in body


async def raw(gateway: Gateway, request: bytes) -> bytes:
    port = gateway.listeners["front"].port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 5000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 5000,
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
    ],
    ids=["a long line", "a long header", "a header without end", "many headers"],
)
async def test_a_head_that_is_too_large_is_refused(head: bytes, tmp_path: Path) -> None:
    front = rig.listener(limits=Limits(header_bytes=4096))
    async with rig.running(rig.configuration(tmp_path, front), rig.kinds(Echo())) as gateway:
        answer = await raw(gateway, head)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"application/problem+json" in answer


async def test_a_head_that_does_not_arrive_in_time_is_refused(tmp_path: Path) -> None:
    front = rig.listener(limits=Limits(header_seconds=0.2))
    async with rig.running(rig.configuration(tmp_path, front), rig.kinds(Echo())) as gateway:
        unfinished = await raw(gateway, b"GET / HTTP/1.1\r\nHost:")
        silent = await raw(gateway, b"")
    assert unfinished.startswith(b"HTTP/1.1 408 ")
    assert silent == b""


async def test_what_is_not_http_is_refused(tmp_path: Path) -> None:
    async with rig.running(rig.configuration(tmp_path), rig.kinds(Echo())) as gateway:
        answer = await raw(gateway, b"\x16\x03\x01\x02\x00\x01\x00 not http\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_whoever_speaks_another_protocol_fills_no_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    upgrade = (
        b"GET /echo/x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    async with rig.running(rig.configuration(tmp_path), rig.kinds(Echo())) as gateway:
        served = await raw(gateway, upgrade + b"\x81\x85 frames that nobody asked for")
        refused = await raw(gateway, b"\x00\xff nonsense\r\n\r\n")
        tunnel = await raw(gateway, b"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n")
    assert served.startswith(b"HTTP/1.1 200 OK")
    assert b"connection: close" in served
    assert b"This is not an HTTP/1.1 request." in refused
    assert tunnel.startswith(b"HTTP/1.1 4")
    assert [each for each in caplog.records if each.name.startswith("uvicorn")] == []


@pytest.mark.parametrize(
    "framing",
    [b"Content-Length: 1000000", b"Content-Length: 9", b"Transfer-Encoding: chunked"],
    ids=["long", "late", "endless"],
)
@pytest.mark.parametrize("path", [b"/echo/x", b"/nowhere", b"/healthz"])
async def test_who_is_answered_before_the_body_was_read_is_hung_up_on(
    path: bytes, framing: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "REST_WITHIN", 0.01)
    head = b"POST " + path + b" HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n\r\n"
    async with rig.running(rig.configuration(tmp_path), rig.kinds(Echo())) as gateway:
        answer = await raw(gateway, head)
    assert answer.startswith(b"HTTP/1.1 ")
    assert answer.lower().count(b"connection: close") == 1


async def test_a_short_body_that_nobody_reads_ends_no_connection(tmp_path: Path) -> None:
    first = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
    last = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    async with rig.running(rig.configuration(tmp_path), rig.kinds(Echo())) as gateway:
        answer = await raw(gateway, first + last)
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"HTTP/1.1 200 OK" in answer


async def test_one_connection_too_many_is_refused(tmp_path: Path) -> None:
    front = rig.listener(limits=Limits(connections=1))
    async with rig.running(rig.configuration(tmp_path, front), rig.kinds(Echo())) as gateway:
        port = gateway.listeners["front"].port
        _, first = await asyncio.open_connection("127.0.0.1", port)
        answer = await raw(gateway, b"")
        first.close()
    assert answer.startswith(b"HTTP/1.1 503 ")


async def test_a_second_request_on_the_same_connection_is_served(tmp_path: Path) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    async with rig.running(rig.configuration(tmp_path), rig.kinds(Echo())) as gateway:
        answer = await raw(gateway, request + request + last)
    assert answer.count(b"HTTP/1.1 200 OK") == 3
