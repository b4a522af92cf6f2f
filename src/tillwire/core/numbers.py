"""Numbers that are given out once: of a protocol's own messages, traces and services.

Reserved in the journal in blocks before the first of a block is used, so a number costs no commit,
and none comes again after a restart: what was left of a block then is left out. A new series begins
at the clock's milliseconds, so that a journal that was lost does not repeat them either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final

from tillwire.core.ports import Clock, Journal

BLOCK: Final = 100
"""Numbers that are reserved at once."""
MOST_SERIES: Final = 10_000
"""Series that are kept at hand. One that is dropped leaves the rest of its block out."""


class _Series:
    """What is left of a series' block."""

    def __init__(self) -> None:
        self.left: Iterator[int] = iter(())
        self.turn = asyncio.Lock()


class Numbers:
    """Durable counters."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._at_hand: dict[str, _Series] = {}

    async def next(self, series: str) -> int:
        """The next number of the series. Raises `JournalError`."""
        known = self._at_hand.get(series) or self._take_up(series)
        async with known.turn:
            number = next(known.left, None)
            if number is None:
                known.left = await self._block(series)
                number = next(known.left)
        return number

    def _take_up(self, series: str) -> _Series:
        known = self._at_hand[series] = _Series()
        if len(self._at_hand) > MOST_SERIES:
            del self._at_hand[next(iter(self._at_hand))]
        return known

    async def _block(self, series: str) -> Iterator[int]:
        now = self._clock.now()
        first = await self._journal.commit(lambda unit: unit.reserve_numbers(series, now, BLOCK))
        return iter(range(first, first + BLOCK))
