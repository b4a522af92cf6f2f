"""Where a terminal dials us: whose connection is taken, and whose is not. Real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from ipaddress import IPv4Network

import pytest
from structlog.testing import capture_logs

from tests.kit.network import LOOPBACK
from tests.kit.ports import free_port
from tests.kit.runner import virtual
from tests.kit.virtual_loop import virtual_loop
from tillwire.core.ports import Connection
from tillwire.errors import NotDelivered, Proof
from tillwire.net import callers
from tillwire.net.callers import Awaited, CallerPort

STRANGER = "127.0.0.2"


@asynccontextmanager
async def listening(peer: str = LOOPBACK) -> AsyncIterator[CallerPort]:
    port = CallerPort("NEXI-P61B-7")
    await port.listen(Awaited(LOOPBACK, free_port(), IPv4Network(peer)))
    try:
        yield port
    finally:
        port.close()


class Terminal:
    """One connection of a terminal."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def dial(cls, port: CallerPort, source: str = LOOPBACK) -> Terminal:
        assert port.place is not None
        return cls(
            *await asyncio.open_connection(LOOPBACK, port.place.port, local_addr=(source, 0))
        )

    async def is_hung_up_on(self) -> bool:
        try:
            async with asyncio.timeout(5):
                return await self.reader.read(100) == b""
        except OSError:
            return True


async def exchanged(taken: Connection, terminal: Terminal) -> bool:
    """Whether the two are the ends of one connection."""
    await taken.write(b"ask")
    async with asyncio.timeout(5):
        heard = await terminal.reader.readexactly(3)
        terminal.writer.write(b"tell")
        return (heard, await taken.read()) == (b"ask", b"tell")


async def test_a_connection_that_waits_is_taken_once() -> None:
    async with listening() as port:
        terminal = await Terminal.dial(port)
        taken = await port.take(5)
        assert await exchanged(taken, terminal)
        with pytest.raises(NotDelivered, match="has not connected to 127") as none:
            await port.take(0.05)
        assert none.value.proof is Proof.NEVER_SENT
        await taken.close()
        assert await terminal.is_hung_up_on()


async def test_a_place_that_is_given_up_while_it_is_taken_is_free_again() -> None:
    for steps in range(8):
        port, place = CallerPort("NEXI-P61B-7"), free_port()
        listening = asyncio.create_task(
            port.listen(Awaited(LOOPBACK, place, IPv4Network(LOOPBACK)))
        )
        for _ in range(steps):
            await asyncio.sleep(0)
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening
        port.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(LOOPBACK, place)


async def test_one_that_comes_while_it_is_waited_for_is_taken() -> None:
    async with listening() as port:
        taking = asyncio.create_task(port.take(5))
        await asyncio.sleep(0)
        terminal = await Terminal.dial(port)
        assert await exchanged(await taking, terminal)


async def test_the_newest_takes_the_place_of_the_one_before() -> None:
    async with listening() as port:
        older = await Terminal.dial(port)
        newer = await Terminal.dial(port)
        assert await older.is_hung_up_on()
        assert await exchanged(await port.take(5), newer)


async def test_a_new_one_does_not_disturb_the_one_that_is_in_use() -> None:
    async with listening() as port:
        first = await Terminal.dial(port)
        in_use = await port.take(5)
        second = await Terminal.dial(port)
        next_one = await port.take(5)
        assert await exchanged(in_use, first)
        assert await exchanged(next_one, second)


async def test_strangers_are_hung_up_on_and_the_terminal_keeps_its_place() -> None:
    async with listening() as port:
        terminal = await Terminal.dial(port)
        with capture_logs() as written:
            for _ in range(3):
                stranger = await Terminal.dial(port, STRANGER)
                stranger.writer.write(b"approved")
                assert await stranger.is_hung_up_on()
        assert [line["reason"] for line in written] == ["it is not the terminal's address"]
        assert written[0]["peer"].startswith(STRANGER)
        assert await exchanged(await port.take(5), terminal)


async def test_a_network_may_be_named_in_place_of_an_address() -> None:
    async with listening("127.0.0.0/30") as port:
        terminal = await Terminal.dial(port, STRANGER)
        assert await exchanged(await port.take(5), terminal)
        assert await (await Terminal.dial(port, "127.0.0.4")).is_hung_up_on()


async def test_one_that_speaks_before_it_is_asked_is_of_no_use() -> None:
    async with listening() as port:
        terminal = await Terminal.dial(port)
        with capture_logs() as written:
            terminal.writer.write(b"\x02the last result once more\x03")
            assert await terminal.is_hung_up_on()
        assert [line["reason"] for line in written] == ["it spoke before it was asked"]
        with pytest.raises(NotDelivered):
            await port.take(0.05)


@pytest.mark.parametrize("way", ["close", "abort", "eof"])
async def test_one_that_ended_while_it_waited_is_not_taken(way: str) -> None:
    async with listening() as port:
        gone = await Terminal.dial(port)
        if way == "close":
            gone.writer.close()
        elif way == "abort":
            gone.writer.transport.abort()
        else:
            gone.writer.write_eof()
            assert await gone.is_hung_up_on()
        await asyncio.sleep(0)
        terminal = await Terminal.dial(port)
        assert await exchanged(await port.take(5), terminal)


@virtual()
async def test_one_that_broke_while_it_waited_is_not_taken() -> None:
    port = CallerPort("NEXI-P61B-7")
    await port.listen(Awaited(LOOPBACK, 9000, IPv4Network(LOOPBACK)))
    await asyncio.open_connection(LOOPBACK, 9000)
    await asyncio.sleep(1)
    virtual_loop().network.cut(9000)
    await asyncio.sleep(1)
    with pytest.raises(NotDelivered):
        await port.take(5)


async def test_whoever_waits_is_not_harmed_by_one_who_gave_up() -> None:
    async with listening() as port:
        given_up = asyncio.create_task(port.take(5))
        waiting = asyncio.create_task(port.take(5))
        await asyncio.sleep(0)
        given_up.cancel()
        terminal = await Terminal.dial(port)
        assert await exchanged(await waiting, terminal)


async def test_a_port_that_is_closed_hangs_up_on_who_waits_and_not_on_who_was_taken() -> None:
    async with listening() as port:
        place = port.place
        assert place is not None
        in_use = await Terminal.dial(port)
        taken = await port.take(5)
        waiting = await Terminal.dial(port)
        port.close()
        assert await waiting.is_hung_up_on()
        assert await exchanged(taken, in_use)
        with pytest.raises(NotDelivered):
            await port.take(0.05)
        await port.listen(place)
        again = await Terminal.dial(port)
        assert await exchanged(await port.take(5), again)


async def test_what_comes_behind_the_taking_is_read_and_an_end_is_seen() -> None:
    async with listening() as port:
        terminal = await Terminal.dial(port)
        taken = await port.take(5)
        terminal.writer.write(b"x" * 300_000)
        terminal.writer.close()
        octets = b""
        while piece := await taken.read():
            octets += piece
        assert len(octets) == 300_000


@virtual()
async def test_the_log_hears_of_strangers_once_a_minute() -> None:
    port = CallerPort("NEXI-P61B-7")
    await port.listen(Awaited(LOOPBACK, 9000, IPv4Network("10.0.0.5")))
    with capture_logs() as written:
        for _ in range(100):
            await asyncio.open_connection(LOOPBACK, 9000)
            await asyncio.sleep(1)
    assert [line["count"] for line in written] == [1, 60]
    assert virtual_loop().time() < callers.LOGGED_EVERY * 2
