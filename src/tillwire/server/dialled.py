"""A lane in reverse mode: the till listens, and the lane dials it, keeps the connection, and dials
again when it ends.

A till that cannot be reached, or that hangs up without a word, is dialled after growing pauses with
some chance in them, so that a hundred tills that lost their network are not all dialled at once.
One that has said something, or has kept the connection for a while, is dialled again soon: it may
want a connection for each exchange. The log hears of a change, not of each try.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import structlog

from tillwire.config import ListenerSettings
from tillwire.core.ports import Clock
from tillwire.net.keepalive import SOON
from tillwire.net.streams import StreamFace
from tillwire.server.streams import Connection, Connections, Count, LaneView

CONNECT_WITHIN: Final = 10.0
"""Seconds for a till to take the connection."""
STEADY_AFTER: Final = 10.0
"""Seconds after which a connection counts, though nothing was said over it."""
FIRST_PAUSE: Final = 0.2
"""Seconds before a till that was served is dialled again; doubled with each try that leads to
nothing."""
LONGEST_PAUSE: Final = 15.0
CHANCE: Final = 0.2
"""By which part a pause is shorter or longer."""


class DialledLane:
    """One till that is dialled, and the face that it is served."""

    def __init__(
        self,
        settings: ListenerSettings,
        face: StreamFace,
        *,
        stop_seconds: float,
        count: Count,
        clock: Clock,
    ) -> None:
        self.settings = settings
        self.port = settings.port
        self.face = face
        self.reached: bool | None = None
        """Whether the till is served, or was when it was dialled last; None: nobody knows yet."""
        self._count = count
        self._clock = clock
        self._stop_seconds = stop_seconds
        self._open = Connections(settings, face, count=self._counted, now=clock.now, alive=SOON)
        self._in_vain = 0
        """Tries in a row that have led to nothing."""
        self._hurry = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Who is dialled."""
        address = self.settings.address
        return f"tcp://{f'[{address}]' if ':' in address else address}:{self.port}"

    @property
    def connections(self) -> int:
        """How many are open: one, or none."""
        return len(self._open)

    def describe(self) -> LaneView:
        """Whom it dials, and since when it is connected."""
        return self._open.describe(self.settings.address, self.port, reverse=True)

    def reset(self, peer: str | None) -> int:
        """Cut the connection (if it is to that peer), and dial soon; how many were cut. What goes
        on in the journal goes on."""
        self._hurry.set()
        return self._open.reset(peer)

    async def start(self) -> None:
        """Begin to dial. Returns at once: the till may be off."""
        self._task = asyncio.create_task(self._dial(), name=f"lane {self.settings.name}")

    async def stop(self) -> None:
        """Dial no more, and let what goes on finish within the deadline."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._open.stop(self._stop_seconds)

    def reload_certificate(self) -> None:
        """There is none."""

    # --- dialling -----------------------------------------------------------------------------

    async def _dial(self) -> None:
        while True:
            self._hurry.clear()
            self._in_vain += 1  # until something comes of it
            if (problem := await self._served()) and self._in_vain:
                self._away(problem)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._hurry.wait()

    async def _served(self) -> str:
        """Dial, and return when the connection is over; why."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_WITHIN):
                await loop.create_connection(
                    lambda: Connection(self._open), self.settings.address, self.port
                )
        except TimeoutError:
            return f"no connection within {CONNECT_WITHIN:g} s"
        except (OSError, ValueError, OverflowError) as error:  # the latter: no such host
            return str(error)
        steady = loop.call_later(STEADY_AFTER, self._is_there)
        try:
            await self._open.all_gone()
        finally:
            steady.cancel()
        return "it hangs up at once"

    def _pause(self) -> float:
        """Seconds until the next try."""
        longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._in_vain, 16))
        by_chance = int(self._clock.random_digits(4)) / 10_000
        return longest * (1 - CHANCE + 2 * CHANCE * by_chance)

    # --- what is known of the till --------------------------------------------------------------

    def _counted(self, direction: str, count: int) -> None:
        if direction == "received":
            self._is_there()
        self._count(direction, count)

    def _is_there(self) -> None:
        self._in_vain = 0
        if not self.reached:
            self.reached = True
            self._log().info("a till is served that was dialled")

    def _away(self, problem: str) -> None:
        if self.reached is not False:
            self.reached = False
            self._log().warning("a till cannot be reached; it is dialled again", reason=problem)

    def _log(self) -> structlog.typing.FilteringBoundLogger:
        log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
        return log.bind(listener=self.settings.name, till=self.url)
