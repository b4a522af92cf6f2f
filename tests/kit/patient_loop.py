"""An event loop on real sockets whose clock does not count what the machine took away.

A test with a time limit of 0.3 s says how long a peer may be silent. On the system's clock it also
says that the machine never stops this process for so long, which a shared one does. Here time
passes in small pieces, each counted at no more than `PIECE`: however late a piece ends, what has
arrived meanwhile is seen before the time limit is over.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable
from typing import Final

PIECE: Final = 0.004
"""Seconds that count at most, between two looks at the sockets."""


class PatientClock:
    """Seconds since it was made, of which none is longer than it should have been."""

    def __init__(self, real: Callable[[], float]) -> None:
        self._real = real
        self._counted = 0.0
        self._begun = real()

    def now(self) -> float:
        """What has been counted, with the piece that has begun."""
        return self._counted + min(self._real() - self._begun, PIECE)

    def next_piece(self) -> None:
        """Count what has begun, and begin another one."""
        self._counted = self.now()
        self._begun = self._real()


class _Selector(selectors.DefaultSelector):
    """Waits a piece at a time."""

    def __init__(self, clock: PatientClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._clock.next_piece()
        end = None if timeout is None else self._clock.now() + timeout
        while True:
            left = PIECE if end is None else end - self._clock.now()
            ready = super().select(min(max(left, 0.0), PIECE))
            self._clock.next_piece()
            if ready or (end is not None and self._clock.now() >= end):
                return ready


class PatientLoop(asyncio.SelectorEventLoop):
    """asyncio's own, on a `PatientClock`."""

    def __init__(self, real: Callable[[], float] = time.monotonic) -> None:
        self._clock = PatientClock(real)
        super().__init__(_Selector(self._clock))

    def time(self) -> float:
        """Seconds on the patient clock."""
        return self._clock.now()


class PatientPolicy(asyncio.DefaultEventLoopPolicy):
    """Whoever asks for a new loop gets a patient one."""

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """A `PatientLoop`."""
        return PatientLoop()
