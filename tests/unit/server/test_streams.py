"""Listeners for byte streams on real sockets: limits, TLS, numbers, and a clean stop."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.unit.server import rig
from tests.unit.server.rig import Echo, Lines, LineSession
from tests.unit.server.test_tls import SERVER, trusting
from tillwire.config import FaceSettings, Limits, Page, TlsSettings
from tillwire.errors import ConfigurationError
from tillwire.server import streams
from tillwire.server.gateway import Gateway
from tillwire.server.streams import StreamListener


class Peer:
    """Somebody who has opened a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, line: bytes) -> bytes:
        self.writer.write(line + b"\n")
        return await self.hear()

    async def hear(self) -> bytes:
        """The next line; empty at the end."""
        async with asyncio.timeout(30):
            return (await self.reader.readline()).rstrip(b"\n")


@asynccontextmanager
async def serving(
    folder: Path, lines: Lines, *, stop_seconds: float = 1.0, **changes: Any
) -> AsyncIterator[Gateway]:
    lanes = rig.listener("lanes", pages=(), faces=(FaceSettings(name="lines"),), **changes)
    front = rig.listener(pages=tuple(Page))
    settings = rig.configuration(folder, front, lanes, stop_seconds=stop_seconds)
    async with rig.running(settings, rig.kinds(Echo(), lines)) as gateway:
        yield gateway


async def connect(gateway: Gateway, **options: Any) -> Peer:
    port = gateway.listeners["lanes"].port
    return Peer(*await asyncio.open_connection("127.0.0.1", port, **options))


async def page(gateway: Gateway, path: str) -> str:
    url = gateway.listeners["front"].url + path
    async with aiohttp.ClientSession() as person, person.get(url) as answer:
        return await answer.text()


async def test_octets_are_handed_over_and_messages_come_back(tmp_path: Path) -> None:
    async with serving(tmp_path, Lines()) as gateway:
        peer = await connect(gateway)
        assert await peer.ask(b"hello") == b"hello"
        peer.writer.write(b"one\ntwo\nth")
        assert [await peer.hear(), await peer.hear()] == [b"one", b"two"]
        assert await peer.ask(b"ree") == b"three"
        assert (
            gateway.listeners["lanes"].url
            == f"tcp://127.0.0.1:{peer.writer.get_extra_info('peername')[1]}"
        )


async def test_who_writes_without_end_leaves_the_others_their_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn, taken = 0, list[tuple[int, int]]()
    receive = LineSession.received

    def received(session: LineSession, octets: bytes) -> int:
        taken.append((turn, len(octets)))
        return receive(session, octets)

    monkeypatch.setattr(LineSession, "received", received)
    lines, stop = Lines(), asyncio.Event()

    async def others() -> None:
        nonlocal turn
        while not stop.is_set():
            turn += 1
            await asyncio.sleep(0)

    async with serving(tmp_path, lines) as gateway, asyncio.TaskGroup() as group:
        group.create_task(others())
        peer = await connect(gateway)
        flood = [b"%d" % each for each in range(30_000)]
        peer.writer.write(b"\n".join(flood) + b"\n")
        assert [await peer.hear() for _ in flood] == flood
        stop.set()
    assert max(size for _, size in taken) == streams.PER_TURN
    assert len({when for when, _ in taken}) == len(taken)


async def test_what_was_not_taken_yet_is_lost_with_the_connection(tmp_path: Path) -> None:
    lines = Lines()
    async with serving(tmp_path, lines) as gateway:
        peer = await connect(gateway)
        peer.writer.write(b"x" * streams.PER_TURN + b"\nfail\n" + b"more\n" * 10_000)
        await lines.until(lambda: any(each.is_over for each in lines.sessions))
        assert lines.sessions[0].heard == 0
        assert await (await connect(gateway)).ask(b"hello") == b"hello"


async def test_the_numbers_and_the_start_page_know_of_it(tmp_path: Path) -> None:
    lines = Lines()
    async with serving(tmp_path, lines) as gateway:
        peers = [await connect(gateway) for _ in range(3)]
        for peer in peers:
            await peer.ask(b"hello")
        numbers = (await page(gateway, "/metrics")).splitlines()
        start = await page(gateway, "/")
        peers[0].writer.close()
        await lines.until(lambda: gateway.listeners["lanes"].connections == 2)
        url = gateway.listeners["lanes"].url
    assert 'tillwire_open_connections{listener="lanes"} 3.0' in numbers
    assert 'tillwire_open_connections{listener="front"} 1.0' in numbers
    assert 'tillwire_stream_messages_total{direction="received",face="lines"} 3.0' in numbers
    assert 'tillwire_stream_messages_total{direction="sent",face="lines"} 3.0' in numbers
    assert url in start


async def test_an_operator_sees_who_is_connected_and_resets_one_or_all(tmp_path: Path) -> None:
    lines = Lines()
    async with serving(tmp_path, lines) as gateway:
        before = gateway.clock.now()
        idle, busy = await connect(gateway), await connect(gateway)
        await idle.ask(b"hello")
        await busy.ask(b"work")
        listener = gateway.listeners["lanes"]
        assert isinstance(listener, StreamListener)
        seen = listener.describe()
        assert (seen.name, seen.face, seen.port) == ("lanes", "lines", listener.port)
        assert (seen.address, seen.reverse) == ("127.0.0.1", False)
        assert [each.doing for each in seen.connections] == ["", "work"]
        assert all(before <= each.since <= gateway.clock.now() for each in seen.connections)
        assert listener.reset("127.0.0.1:1") == 0
        assert listener.reset(seen.connections[1].peer) == 1
        await lines.until(lambda: lines.sessions[1].is_over)
        assert await idle.ask(b"still here") == b"still here"
        again = await connect(gateway)
        await again.ask(b"hello")
        assert listener.reset("127.0.0.1") == 2
        await lines.until(lambda: all(each.is_over for each in lines.sessions))
        assert (listener.reset(None), listener.describe().connections) == (0, ())


async def test_tls_is_spoken_where_there_is_a_certificate(tmp_path: Path) -> None:
    tls = TlsSettings(certificate=SERVER, key=SERVER)
    async with serving(tmp_path, Lines(), tls=tls) as gateway:
        assert gateway.listeners["lanes"].url.startswith("tls://")
        peer = await connect(gateway, ssl=trusting(), server_hostname="localhost")
        assert await peer.ask(b"hello") == b"hello"
        gateway.reload_certificates()
        with pytest.raises(ssl.SSLError):
            await connect(gateway, ssl=ssl.create_default_context(), server_hostname="localhost")


async def test_one_connection_too_many_is_closed(tmp_path: Path) -> None:
    lines = Lines()
    async with serving(tmp_path, lines, limits=Limits(connections=1)) as gateway:
        first = await connect(gateway)
        await first.ask(b"hello")
        assert await (await connect(gateway)).reader.read() == b""
        assert await first.ask(b"still here") == b"still here"
        first.writer.close()
        await lines.until(lambda: gateway.listeners["lanes"].connections == 0)
        assert await (await connect(gateway)).ask(b"now there is room") == b"now there is room"


async def test_an_idle_connection_is_closed_and_a_busy_one_is_not(tmp_path: Path) -> None:
    async with serving(tmp_path, Lines(), limits=Limits(idle_seconds=0.3)) as gateway:
        idle, busy = await connect(gateway), await connect(gateway)
        await idle.ask(b"hello")
        await busy.ask(b"work")
        assert await idle.hear() == b""
        assert await busy.ask(b"more work") == b"more work"
        await busy.ask(b"done")
        assert await busy.hear() == b""


async def test_a_message_that_does_not_end_is_not_waited_for(tmp_path: Path) -> None:
    async with serving(tmp_path, Lines(), limits=Limits(message_seconds=0.05)) as gateway:
        drip, busy = await connect(gateway), await connect(gateway)
        await drip.ask(b"hello")
        drip.writer.write(b"begun")
        assert await drip.hear() == b""
        await busy.ask(b"work")
        busy.writer.write(b"begun")
        assert await busy.hear() == b"", "also from a peer for which something goes on"


async def test_who_does_not_read_loses_what_is_optional_and_then_the_connection(
    tmp_path: Path,
) -> None:
    lines = Lines()
    async with serving(tmp_path, lines, limits=Limits(unread_bytes=400_000)) as gateway:
        deaf = await connect(gateway, limit=4096)
        await lines.until(lambda: len(lines.sessions) == 1)
        (session,) = lines.sessions

        async def ask(line: bytes) -> None:
            heard = session.heard
            deaf.writer.write(line + b"\n")
            await lines.until(lambda: session.heard > heard or session.is_over)

        while not session.refused:
            await ask(b"big?")
        assert not session.is_over
        while not session.is_over:
            await ask(b"big")


async def test_a_peer_that_writes_no_more_still_gets_its_answer(tmp_path: Path) -> None:
    lines = Lines()
    async with serving(tmp_path, lines) as gateway:
        peer = await connect(gateway)
        await peer.ask(b"work")
        peer.writer.write_eof()
        (session,) = lines.sessions
        await lines.until(lambda: session.is_finished)
        assert not session.is_over
        session.received(b"done\n")
        assert await peer.hear() == b"done"
        assert await peer.hear() == b""


async def test_a_face_that_fails_loses_one_connection(tmp_path: Path) -> None:
    lines = Lines()
    async with serving(tmp_path, lines) as gateway:
        failing, other = await connect(gateway), await connect(gateway)
        await other.ask(b"hello")
        failing.writer.write(b"fail\n")
        await lines.until(lambda: lines.sessions[0].is_over)
        assert await other.ask(b"hello") == b"hello"


async def test_a_stop_tells_every_peer_and_lets_what_goes_on_finish(tmp_path: Path) -> None:
    lines = Lines()
    async with serving(tmp_path, lines, stop_seconds=60.0) as gateway:
        idle, busy = await connect(gateway), await connect(gateway)
        await idle.ask(b"hello")
        await busy.ask(b"work")
        stopping = asyncio.create_task(gateway.stop())
        assert [await idle.hear(), await idle.hear()] == [b"stopping", b""]
        assert await busy.hear() == b"stopping"
        with pytest.raises(OSError):
            await connect(gateway)
        assert not stopping.done()
        assert await busy.ask(b"done") == b"done"
        assert await busy.hear() == b""
        async with asyncio.timeout(30):
            await stopping
    assert lines.stopped


async def test_a_stop_cuts_off_who_takes_too_long(tmp_path: Path) -> None:
    lines = Lines()
    async with serving(tmp_path, lines, stop_seconds=0.05) as gateway:
        busy = await connect(gateway)
        await busy.ask(b"work")
        async with asyncio.timeout(30):
            await gateway.stop()
        assert lines.stopped


async def test_a_close_does_not_wait_for_who_never_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "CLOSE_WITHIN", 0.05)
    lines = Lines()
    async with serving(tmp_path, lines, limits=Limits(unread_bytes=1 << 24)) as gateway:
        deaf = await connect(gateway, limit=4096)
        deaf.writer.write(b"big\n" * 100)
        await lines.until(lambda: bool(lines.sessions) and lines.sessions[0].heard == 100)
        (session,) = lines.sessions
        session.finish()
        await lines.until(lambda: session.is_over)


async def test_a_taken_port_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"Port {port} .* taken"):
            async with serving(tmp_path, Lines(), port=port):
                raise AssertionError("it serves")
