"""A wire between a till and a lane that knows frames, and does with them what a test wants: loses,
holds, splits, doubles or garbles them, answers in a lane's place, hangs up.

What is done is said for the next exchange of a code (`Wire.meddle`); all else passes. The network
below has faults of its own, which know octets only (`tests.kit.faults`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from tests.kit.network import LOOPBACK
from tillwire.dialects.ecr17 import wire
from tillwire.dialects.ecr17.wire import Ack, Application, Frame, Nak, Progress

ALWAYS: Final = 1_000_000


class Way(Enum):
    """Where a frame goes."""

    TO_LANE = "to the lane"
    TO_TILL = "to the till"


class HangUp(Exception):
    """The connection ends, on both sides."""


@dataclass(frozen=True)
class Passing:
    """A frame that has reached the wire."""

    line: Line
    way: Way
    frame: Frame

    @property
    def octets(self) -> bytes:
        """As it came."""
        match self.frame:
            case Application(payload, lrc):
                return b"\x02%b\x03%c" % (payload, lrc)
            case Progress(text):
                return wire.progress(text)
            case Ack(lrc):
                return b"\x06\x03%c" % lrc
            case Nak(lrc):
                return b"\x15\x03%c" % lrc

    @property
    def code(self) -> str:
        """A message's; empty for all else."""
        return self.frame.code if isinstance(self.frame, Application) else ""

    def write(self, octets: bytes) -> None:
        """Write to where the frame goes."""
        self.line.write(self.way, octets)

    def answer(self, octets: bytes) -> None:
        """Write to where it comes from."""
        back = Way.TO_TILL if self.way is Way.TO_LANE else Way.TO_LANE
        self.line.write(back, octets)


Which = Callable[[Passing], bool]
Do = Callable[[Passing], Awaitable[None]]


@dataclass(frozen=True)
class Rule:
    """What is done with some frames of an exchange."""

    which: Which
    do: Do
    times: int = ALWAYS
    """With the first so many of them."""
    behind: int = 0
    """And not with so many before these."""


class Wire:
    """Listens where tills dial, and dials the lane."""

    def __init__(self, port: int, lane_port: int) -> None:
        self.port = port
        self.lane_port = lane_port
        self.script: dict[str, deque[tuple[Rule, ...]]] = defaultdict(deque)
        self.seen: list[tuple[Way, Frame]] = []
        """All that came by, as it came."""
        self._lines: set[asyncio.Task[None]] = set()

    def meddle(self, code: str, *rules: Rule) -> None:
        """In the next exchange of this code."""
        self.script[code].append(rules)

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._connected, LOOPBACK, self.port)

    async def stop(self) -> None:
        """End, and all connections."""
        self._server.close()
        for each in self._lines:
            each.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)

    def requests(self, code: str) -> int:
        """How many frames with a request of this code came by."""
        return sum(
            isinstance(frame, Application) and frame.code == code and way is Way.TO_LANE
            for way, frame in self.seen
        )

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(Line(self).carry(reader, writer))
        self._lines.add(task)
        task.add_done_callback(self._lines.discard)


class Line:
    """One connection."""

    _writers: dict[Way, asyncio.StreamWriter]

    def __init__(self, between: Wire) -> None:
        self._wire = between
        self._code = ""
        self._rules: list[tuple[Rule, int]] = []
        self.held = self.behind = b""
        """What goes with the next frame to the till, before and behind it."""

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """To its end."""
        try:
            there, lane = await asyncio.open_connection(LOOPBACK, self._wire.lane_port)
        except OSError:
            writer.close()
            return
        self._writers = {Way.TO_LANE: lane, Way.TO_TILL: writer}
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, Way.TO_LANE))
                both.create_task(self._pump(there, Way.TO_TILL))
        except* (HangUp, OSError):
            pass
        finally:
            for each in self._writers.values():
                each.close()

    async def _pump(self, reader: asyncio.StreamReader, way: Way) -> None:
        deframer = wire.Deframer()
        while octets := await reader.read(65536):
            for frame in deframer.feed(octets):
                self._wire.seen.append((way, frame))
                if way is Way.TO_LANE and isinstance(frame, Application):
                    self._turn_to(frame.code)
                await self._pass(Passing(self, way, frame))
        self.end(way)

    def _turn_to(self, code: str) -> None:
        """The exchange that this request belongs to."""
        if code in (self._code, "U"):
            return
        self._code = code
        script = self._wire.script[code]
        self._rules = [(each, 0) for each in script.popleft()] if script else []

    async def _pass(self, passing: Passing) -> None:
        for index, (rule, seen) in enumerate(self._rules):
            if rule.which(passing):
                self._rules[index] = (rule, seen + 1)
                if rule.behind <= seen < rule.behind + rule.times:
                    await rule.do(passing)
                    return
        passing.write(passing.octets)

    def write(self, way: Way, octets: bytes) -> None:
        """Write, with what was held back before it."""
        if way is Way.TO_TILL:
            octets = self.held + octets + self.behind
            self.held = self.behind = b""
        self._writers[way].write(octets)

    def end(self, way: Way) -> None:
        """Write no more that way."""
        with contextlib.suppress(OSError, RuntimeError):
            self._writers[way].write_eof()


# --- which frames -------------------------------------------------------------------------------


def request(passing: Passing) -> bool:
    """A till's message, but not the data of the host that goes with it."""
    return passing.way is Way.TO_LANE and passing.code not in ("", "U")


def ack(passing: Passing) -> bool:
    """A lane's ACK."""
    return passing.way is Way.TO_TILL and isinstance(passing.frame, Ack)


def shown(passing: Passing) -> bool:
    """Progress."""
    return isinstance(passing.frame, Progress)


def result(passing: Passing) -> bool:
    """A lane's result; after `S`, that is its own, and no receipt."""
    return passing.way is Way.TO_TILL and passing.code not in ("", "S", "U")


def ticket(passing: Passing) -> bool:
    """A part of a receipt."""
    return passing.way is Way.TO_TILL and passing.code == "S"


def tills_ack(passing: Passing) -> bool:
    """A till's ACK."""
    return passing.way is Way.TO_LANE and isinstance(passing.frame, Ack)


# --- what is done with them -----------------------------------------------------------------------


async def lose(passing: Passing) -> None:
    """It does not arrive."""


async def double(passing: Passing) -> None:
    """It arrives twice."""
    passing.write(passing.octets * 2)


async def garble(passing: Passing) -> None:
    """Its check character is wrong."""
    octets = bytearray(passing.octets)
    octets[-1] ^= 0x55
    passing.write(bytes(octets))


async def hold(passing: Passing) -> None:
    """It arrives in one packet with the next frame."""
    passing.line.held += passing.octets


async def fall_behind(passing: Passing) -> None:
    """The next frame arrives before it, in one packet."""
    passing.line.behind += passing.octets


async def hang_up(passing: Passing) -> None:
    """The connection ends in its place."""
    raise HangUp


async def pass_and_hang_up(passing: Passing) -> None:
    """The connection ends behind it."""
    passing.write(passing.octets)
    raise HangUp


async def pass_and_end(passing: Passing) -> None:
    """Behind it nothing is written that way any more, and all is that goes the other way."""
    passing.write(passing.octets)
    passing.line.end(passing.way)


def late(seconds: float) -> Do:
    """It arrives so many seconds later, and what follows behind it."""

    async def do(passing: Passing) -> None:
        await asyncio.sleep(seconds)
        passing.write(passing.octets)

    return do


def split(pause: float) -> Do:
    """It arrives octet by octet, with a pause between two."""

    async def do(passing: Passing) -> None:
        for octet in passing.octets:
            passing.write(bytes((octet,)))
            await asyncio.sleep(pause)

    return do


def end_within(octets: int) -> Do:
    """So many of its octets arrive, and nothing more that way."""

    async def do(passing: Passing) -> None:
        passing.write(passing.octets[:octets])
        passing.line.end(passing.way)

    return do


def answer(octets: bytes, *, passes: bool = False) -> Do:
    """This is answered in the lane's place; the frame goes on if it `passes`."""

    async def do(passing: Passing) -> None:
        passing.answer(octets)
        if passes:
            passing.write(passing.octets)

    return do


def replace(octets: bytes) -> Do:
    """This arrives in its place."""

    async def do(passing: Passing) -> None:
        passing.write(octets)

    return do


def around(before: bytes = b"", behind: bytes = b"") -> Do:
    """More arrives in the same packet."""

    async def do(passing: Passing) -> None:
        passing.write(before + passing.octets + behind)

    return do
