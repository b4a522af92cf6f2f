"""A lane in reverse mode: it dials the till, keeps the connection, and dials again in good time."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from pathlib import Path

import aiohttp
import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from tests.kit.faults import CLEAN, Connect, Faults
from tests.kit.runner import virtual
from tests.kit.virtual_loop import virtual_loop
from tests.unit.server import rig
from tests.unit.server.rig import Echo, Lines
from tillwire.config import FaceSettings, Limits, ListenerSettings, Page
from tillwire.server import dialled
from tillwire.server.dialled import DialledLane
from tillwire.server.faces import StreamKind

PORT = 1470
QUICKEST = dialled.FIRST_PAUSE * (1 - dialled.CHANCE)
SLOWEST = dialled.LONGEST_PAUSE * (1 + dialled.CHANCE)


class Till:
    """A till that listens. What it does with a connection is its script's."""

    def __init__(self, serve: Callable[[Till], Awaitable[None]] | None = None) -> None:
        self._serve = serve
        self.dialled: list[float] = []
        """When."""
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter
        self._news = asyncio.Event()

    async def taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.dialled.append(asyncio.get_running_loop().time())
        self.reader, self.writer = reader, writer
        self._news.set()
        if self._serve is not None:
            with suppress(OSError):
                await self._serve(self)
            writer.close()

    async def is_dialled(self, times: int) -> None:
        """Wait until it was dialled so often."""
        async with asyncio.timeout(600):
            while len(self.dialled) < times:
                self._news.clear()
                await self._news.wait()

    async def ask(self, line: bytes) -> bytes:
        self.writer.write(line + b"\n")
        return await self.hear()

    async def hear(self) -> bytes:
        """The next line; empty at the end."""
        async with asyncio.timeout(60):
            return (await self.reader.readline()).rstrip(b"\n")


async def listening(till: Till) -> asyncio.Server:
    return await asyncio.start_server(till.taken, "127.0.0.1", PORT)


@asynccontextmanager
async def lane(
    lines: Lines, *, limits: Limits | None = None, stop_seconds: float = 1.0
) -> AsyncIterator[DialledLane]:
    made = DialledLane(
        ListenerSettings(
            name="till 4",
            port=PORT,
            reverse=True,
            limits=limits or Limits(),
            faces=(FaceSettings(name="lines"),),
        ),
        lines,
        stop_seconds=stop_seconds,
        count=lambda *_: None,
        clock=virtual_loop().clock,
    )
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


def told(written: list[EventDict]) -> list[str]:
    return [line["event"] for line in written if line.get("listener") == "till 4"]


SERVED, AWAY = "a till is served that was dialled", "a till cannot be reached; it is dialled again"


# --- served -----------------------------------------------------------------------------------


@virtual()
async def test_the_till_is_served_over_one_connection_that_is_kept() -> None:
    till, lines = Till(), Lines()
    await listening(till)
    before = virtual_loop().clock.now()
    async with lane(lines) as made:
        await till.is_dialled(1)
        assert await till.ask(b"hello") == b"hello"
        await till.ask(b"work")
        await asyncio.sleep(3600)
        assert await till.ask(b"still here") == b"still here"
        seen = made.describe()
        assert (seen.name, seen.face, seen.address, seen.port) == (
            "till 4",
            "lines",
            "127.0.0.1",
            PORT,
        )
        assert seen.reverse
        (connection,) = seen.connections
        assert (connection.peer, connection.doing) == (f"127.0.0.1:{PORT}", "work")
        assert before <= connection.since < before + 1000
        assert (made.connections, made.reached, made.url) == (1, True, f"tcp://127.0.0.1:{PORT}")
        await till.ask(b"done")
    assert len(till.dialled) == 1
    assert await till.hear() == b"stopping"
    assert await till.hear() == b""


@virtual()
async def test_a_till_that_wants_a_connection_for_each_exchange_is_dialled_again_at_once() -> None:
    async def one_exchange(till: Till) -> None:
        await till.ask(b"hello")

    till, lines = Till(one_exchange), Lines()
    await listening(till)
    with capture_logs() as written:
        async with lane(lines) as made:
            await till.is_dialled(20)
            assert made.reached
    assert told(written) == [SERVED]
    pauses = _between(till.dialled)
    assert all(QUICKEST <= each <= dialled.FIRST_PAUSE * 2 for each in pauses)


@virtual()
async def test_a_connection_that_breaks_is_replaced() -> None:
    till, lines = Till(), Lines()
    await listening(till)
    async with lane(lines) as made:
        await till.is_dialled(1)
        await till.ask(b"work")
        virtual_loop().network.cut(PORT)
        await till.is_dialled(2)
        assert lines.sessions[0].is_over
        assert await till.ask(b"hello") == b"hello"
        assert made.connections == 1


@virtual()
async def test_a_connection_on_which_nothing_goes_on_is_replaced_after_its_time() -> None:
    till, lines = Till(), Lines()
    await listening(till)
    async with lane(lines, limits=Limits(idle_seconds=300)):
        await till.is_dialled(2)
        assert 300 <= till.dialled[1] - till.dialled[0] <= 302


@virtual()
async def test_a_message_that_does_not_end_is_not_waited_for() -> None:
    till, lines = Till(), Lines()
    await listening(till)
    async with lane(lines, limits=Limits(message_seconds=5)):
        await till.is_dialled(1)
        till.writer.write(b"begun")
        assert await till.hear() == b""
        await till.is_dialled(2)


# --- not there --------------------------------------------------------------------------------


@virtual()
async def test_a_till_that_is_off_is_dialled_after_growing_pauses_and_the_log_hears_it_once() -> (
    None
):
    tries = _tries()
    till, lines = Till(), Lines()
    with capture_logs() as written:
        async with lane(lines) as made:
            await asyncio.sleep(3600)
            assert (made.reached, made.connections, made.describe().connections) == (False, 0, ())
            assert told(written) == [AWAY]
            pauses = _between(tries)
            for early, late in pairwise(pauses[:6]):
                assert late > early
            assert all(each <= SLOWEST for each in pauses)
            assert len(pauses) < 3600 / dialled.LONGEST_PAUSE * 1.5
            assert len(set(pauses[10:])) > 20, "there is chance in them"
            await listening(till)
            on = virtual_loop().time()
            await till.is_dialled(1)
            assert till.dialled[0] - on <= SLOWEST
            await till.ask(b"hello")
            assert made.reached
    assert told(written) == [AWAY, SERVED]


@pytest.mark.parametrize("lasts", [0.0, 3.0])
def test_a_till_that_takes_the_connection_and_hangs_up_is_not_dialled_all_the_time(
    lasts: float,
) -> None:
    async def hang_up(till: Till) -> None:
        await asyncio.sleep(lasts)

    @virtual()
    async def scenario() -> None:
        till, lines = Till(hang_up), Lines()
        await listening(till)
        with capture_logs() as written:
            async with lane(lines) as made:
                await asyncio.sleep(600)
                assert made.reached is False
        assert told(written) == [AWAY]
        assert len(till.dialled) < 80
        assert max(_between(till.dialled)) <= SLOWEST + lasts + 1

    scenario()


@virtual()
async def test_a_connection_that_lasts_counts_though_nothing_is_said() -> None:
    till, lines = Till(), Lines()
    with capture_logs() as written:
        async with lane(lines) as made:
            await asyncio.sleep(60)
            await listening(till)
            await till.is_dialled(1)
            assert not made.reached
            await asyncio.sleep(dialled.STEADY_AFTER + 1)
            assert made.reached
            till.writer.close()
            await till.is_dialled(2)
            assert till.dialled[1] - till.dialled[0] < dialled.STEADY_AFTER + 3
    assert told(written) == [AWAY, SERVED]


@virtual()
async def test_a_till_that_does_not_answer_is_waited_for_a_while_each_time() -> None:
    tries = _tries(Faults(connect=Connect.SILENCE))
    async with lane(Lines()) as made:
        await asyncio.sleep(600)
        assert made.reached is False
    assert 600 / (dialled.CONNECT_WITHIN + SLOWEST) <= len(tries) <= 60


@virtual()
async def test_a_name_that_nobody_has_is_no_reason_to_give_up() -> None:
    settings = ListenerSettings(name="till 4", address="nobody.example", port=PORT, reverse=True)
    made = DialledLane(
        settings, Lines(), stop_seconds=1, count=lambda *_: None, clock=virtual_loop().clock
    )
    till = Till()
    await listening(till)
    await made.start()
    await asyncio.sleep(60)
    virtual_loop().network.name("nobody.example", "127.0.0.1")
    await till.is_dialled(1)
    await made.stop()


# --- reset and stop ---------------------------------------------------------------------------


@virtual()
async def test_a_reset_cuts_the_connection_and_dials_again() -> None:
    till, lines = Till(), Lines()
    await listening(till)
    async with lane(lines) as made:
        await till.is_dialled(1)
        await till.ask(b"work")
        assert made.reset("127.0.0.1:1") == 0
        assert made.reset("127.0.0.1") == 1
        await till.is_dialled(2)
        assert await till.ask(b"hello") == b"hello"


@virtual()
async def test_a_reset_dials_a_till_at_once_that_was_away() -> None:
    tries = _tries()
    async with lane(Lines()) as made:
        await asyncio.sleep(601)
        before = len(tries)
        assert made.reset(None) == 0
        await asyncio.sleep(0.01)
        assert len(tries) == before + 1
        await asyncio.sleep(QUICKEST)
        assert len(tries) == before + 1, "and pauses as before"


@virtual()
async def test_a_reset_of_a_connection_that_hangs_is_not_followed_by_a_long_pause() -> None:
    till, lines = Till(), Lines()
    async with lane(lines) as made:
        await asyncio.sleep(601)
        await listening(till)
        await till.is_dialled(1)
        assert made.reset(None) == 1
        await till.is_dialled(2)
        assert till.dialled[1] - till.dialled[0] < 1


@pytest.mark.parametrize("state", ["pausing", "dialling", "connected"])
def test_a_stop_ends_it_wherever_it_is(state: str) -> None:
    @virtual()
    async def scenario() -> None:
        tries = _tries(Faults(connect=Connect.SILENCE) if state == "dialling" else CLEAN)
        till, lines = Till(), Lines()
        if state == "connected":
            await listening(till)
        async with lane(lines, stop_seconds=5) as made:
            await asyncio.sleep(61)
            begun = virtual_loop().time()
            await made.stop()
            assert virtual_loop().time() - begun < 1
            before = len(tries)
        await asyncio.sleep(600)
        assert len(tries) == before
        assert made.connections == 0

    scenario()


@virtual()
async def test_a_stop_lets_what_goes_on_finish() -> None:
    till, lines = Till(), Lines()
    await listening(till)
    async with lane(lines, stop_seconds=60) as made:
        await till.is_dialled(1)
        await till.ask(b"work")
        stopping = asyncio.create_task(made.stop())
        assert await till.hear() == b"stopping"
        assert not stopping.done()
        assert await till.ask(b"done") == b"done"
        assert await till.hear() == b""
        await stopping
        assert made.connections == 0


# --- in a whole gateway, on real sockets --------------------------------------------------------


async def test_a_gateway_dials_and_its_numbers_tell(tmp_path: Path) -> None:
    till, lines = Till(), Lines()
    server = await asyncio.start_server(till.taken, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = closed.getsockname()[1]
        faces = (FaceSettings(name="lines"),)
        settings = rig.configuration(
            tmp_path,
            rig.listener(pages=tuple(Page)),
            rig.listener("lane", pages=(), faces=faces, port=port, reverse=True),
            rig.listener("off", pages=(), faces=faces, port=nobody, reverse=True),
        )
        kinds = {
            **rig.kinds(Echo()),
            "lines": StreamKind("Lines", lines.create, reverse=True),
        }
        async with rig.running(settings, kinds) as gateway:
            await till.is_dialled(1)
            assert await till.ask(b"hello") == b"hello"
            url = gateway.listeners["front"].url
            async with aiohttp.ClientSession() as person:
                async with person.get(url + "/metrics") as answer:
                    numbers = (await answer.text()).splitlines()
                async with person.get(url) as answer:
                    start = await answer.text()
            gateway.reload_certificates()
    assert 'tillwire_till_reached{listener="lane"} 1.0' in numbers
    assert 'tillwire_till_reached{listener="off"} 0.0' in numbers
    assert not any("till_reached" in line and "front" in line for line in numbers)
    assert 'tillwire_open_connections{listener="lane"} 1.0' in numbers
    assert f"tcp://127.0.0.1:{port}" in start
    assert await till.hear() == b"stopping"
    assert await till.hear() == b""
    assert lines.stopped
    server.close()


def _tries(faults: Faults = CLEAN) -> list[float]:
    """When the till was dialled, whether or not it was there; each connection suffers that."""
    loop, times = virtual_loop(), list[float]()

    def policy(port: int, number: int) -> Faults:
        assert port == PORT
        times.append(loop.time())
        return faults

    loop.network.faults = policy
    return times


def _between(times: list[float]) -> list[float]:
    return [late - early for early, late in pairwise(times)]
