"""The ports at which terminals dial us follow the estate, on real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from tests.kit.ports import free_port
from tests.unit.ecr17.driver.till import terminal
from tests.unit.net.test_callers import Terminal as Calling
from tests.unit.net.test_callers import exchanged
from tests.unit.server import rig
from tests.unit.server.rig import Echo
from tillwire.core.estate import Estate
from tillwire.core.estate_model import Lifecycle, Terminal
from tillwire.dialects.ecr17.driver.settings import awaited_at
from tillwire.errors import NotDelivered
from tillwire.net.dialer import AsyncioDialer
from tillwire.server.callers import Callers
from tillwire.server.gateway import Gateway


def awaited(key: str, port: int, **changes: Any) -> Terminal:
    """A terminal that dials us."""
    settings = {"host": "127.0.0.1", "port": port, "listens": "till", "peer": "127.0.0.1"}
    return msgspec.structs.replace(
        terminal({**settings, **changes.pop("settings", {})}), id=key, serial=key, **changes
    )


@asynccontextmanager
async def following(*terminals: Terminal) -> AsyncIterator[Callers]:
    found = Callers(awaited_at)
    await found.follow(Estate(terminals=terminals))
    try:
        yield found
    finally:
        await found.stop()


async def is_served(found: Callers, each: Terminal, port: int) -> bool:
    """Whether who dials the port is taken for the terminal."""
    try:
        calling = Calling(*await asyncio.open_connection("127.0.0.1", port))
        taken = await found.dialer(each).connect("127.0.0.1", port, timeout=0.2)
    except (OSError, NotDelivered):
        return False
    return await exchanged(taken, calling)


async def test_each_terminal_has_its_port() -> None:
    ports = {"a": free_port(), "b": free_port()}
    one, two = awaited("a", ports["a"]), awaited("b", ports["b"])
    async with following(one, two) as found:
        assert await is_served(found, one, ports["a"])
        assert await is_served(found, two, ports["b"])
        assert not await is_served(found, two, ports["a"])


async def test_who_does_not_dial_us_is_dialled() -> None:
    dialled = terminal({"host": "127.0.0.1", "port": free_port()})
    wrong = terminal({"listens": "till"})
    async with following(dialled, wrong) as found:
        assert isinstance(found.dialer(dialled), AsyncioDialer)
        assert isinstance(found.dialer(wrong), AsyncioDialer)
        assert not await is_served(found, dialled, 1)


async def test_a_terminal_appears_moves_and_goes() -> None:
    ports = [free_port(), free_port()]
    async with following() as found:
        early = awaited("a", ports[0])
        taking = asyncio.create_task(found.dialer(early).connect("", 0, timeout=5))
        await asyncio.sleep(0)
        await found.follow(Estate(terminals=[early]))
        calling = Calling(*await asyncio.open_connection("127.0.0.1", ports[0]))
        assert await exchanged(await taking, calling), "who waited for it has it"

        waiting = Calling(*await asyncio.open_connection("127.0.0.1", ports[0]))
        moved = awaited("a", ports[1])
        await found.follow(Estate(terminals=[moved]))
        assert await waiting.is_hung_up_on()
        assert not await is_served(found, moved, ports[0])
        assert await is_served(found, moved, ports[1])

        await found.follow(Estate(terminals=[awaited("a", ports[1], lifecycle=Lifecycle.REMOVED)]))
        assert not await is_served(found, moved, ports[1])


async def test_another_peer_is_another_place() -> None:
    port = free_port()
    async with following(awaited("a", port)) as found:
        waiting = Calling(*await asyncio.open_connection("127.0.0.1", port))
        elsewhere = awaited("a", port, settings={"peer": "127.0.0.9"})
        await found.follow(Estate(terminals=[elsewhere]))
        assert await waiting.is_hung_up_on()
        assert not await is_served(found, elsewhere, port)


async def test_an_estate_that_changed_elsewhere_disturbs_nobody() -> None:
    port = free_port()
    one = awaited("a", port)
    async with following(one) as found:
        calling = Calling(*await asyncio.open_connection("127.0.0.1", port))
        await found.follow(Estate(terminals=[one, awaited("b", free_port())]))
        assert await exchanged(
            await found.dialer(one).connect("127.0.0.1", port, timeout=1), calling
        )


async def test_a_port_that_two_terminals_share_is_nobody_s() -> None:
    port = free_port()
    one, two = awaited("a", port), awaited("b", port)
    async with following(one) as found:
        with capture_logs() as written:
            for _ in range(3):
                await found.follow(Estate(terminals=[one, two]))
        assert {line["reason"] for line in written} == {
            "terminals share it: NEXI-P61B-a, NEXI-P61B-b"
        }
        assert not await is_served(found, one, port)
        await found.follow(Estate(terminals=[one]))
        assert await is_served(found, one, port)


async def test_a_port_that_is_taken_is_told_once_and_had_when_it_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        one = awaited("a", port)
        estate = Estate(terminals=[one])
        with capture_logs() as written:
            found = Callers(awaited_at)
            for _ in range(3):
                await found.follow(estate)
    assert [line["event"] for line in written] == ["a terminal cannot dial us"]
    assert "in use" in written[0]["reason"]
    await found.follow(estate)
    assert await is_served(found, one, port)
    await found.stop()


async def test_a_gateway_follows_its_estate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tillwire.server.gateway.ESTATE_EVERY", 0.01)
    port = free_port()
    one = awaited("a", port, organisation_id="shop", store_id="shop-s")

    async with rig.running(rig.configuration(tmp_path), rig.kinds(Echo())) as gateway:
        assert not await _listens(port)
        await gateway.journal.commit(lambda unit: unit.put(one))
        async with asyncio.timeout(30):
            while not await _listens(port):  # noqa: ASYNC110 - nobody tells when it does
                await asyncio.sleep(0.01)
        await _status_asked(gateway, port)
    assert not await _listens(port)


async def _status_asked(gateway: Gateway, port: int) -> None:
    """The driver asks over the connection that the terminal has opened."""
    calling = Calling(*await asyncio.open_connection("127.0.0.1", port))
    asked = asyncio.create_task(gateway.engine.status("a"))
    async with asyncio.timeout(30):
        assert await calling.reader.readuntil(b"\x03") == b"\x02000000000s\x03"
        calling.writer.close()
        await asked


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
