"""Journals what became of letters, several in one unit of work where several have ended.

Nobody's way to a host waits for it. As long as the journal fails, all of it is kept and tried
again; a letter that the process dies with is sent again at the next start.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from tillwire.core.letters import Letter
from tillwire.core.ports import Journal, Unit
from tillwire.errors import JournalError

MOST: Final = 256
"""Letters that are not settled yet; nothing more is sent then."""
LAST_TRY: Final = 1.0
"""Seconds that a stop waits for the journal."""
_JOURNAL_PAUSES: Final = (0.1, 0.5, 1.0, 5.0)
"""Seconds between tries; the last one repeats."""

Settled = Callable[[bool], None]
"""Called when it is durable: whether the letter was still waiting, so that this counts."""


class Settling:
    """What has ended and is not in the journal yet, in the order in which it has ended."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._ended: list[tuple[Letter, Settled]] = []
        self._news = asyncio.Event()
        self._log = structlog.get_logger().bind()

    @property
    def is_full(self) -> bool:
        """Whether the journal has to catch up first."""
        return len(self._ended) >= MOST

    def put(self, letter: Letter, settled: Settled) -> None:
        """Have it journaled what became of a letter's last try."""
        self._ended.append((letter, settled))
        self._news.set()

    async def run(self) -> None:
        """Journal, for ever. While one group becomes durable, the next one gathers."""
        while True:
            await self._news.wait()
            while self._ended:
                group = self._ended[:MOST]
                counts = await self._written([letter for letter, _ in group])
                del self._ended[: len(group)]
                for (letter, settled), counted in zip(group, counts, strict=True):
                    self._tell(letter, settled, counted)
            self._news.clear()

    def _tell(self, letter: Letter, settled: Settled, counted: bool) -> None:
        try:
            settled(counted)
        except Exception as error:  # noqa: BLE001 - whoever is told must not hold up the others
            reason = type(error).__name__
            self._log.error("a settled letter was not counted", letter=letter.id, reason=reason)

    async def finish(self) -> None:
        """One last try, at a stop, when `run` has ended."""
        letters = [letter for letter, _ in self._ended]
        if letters:
            with contextlib.suppress(Exception):  # they are sent again, then
                async with asyncio.timeout(LAST_TRY):
                    await self._journal.commit(lambda unit: _settle(unit, letters))

    async def _written(self, letters: Sequence[Letter]) -> list[bool]:
        pauses = iter(_JOURNAL_PAUSES)
        while True:
            try:
                return await self._journal.commit(lambda unit: _settle(unit, letters))
            except JournalError:
                await asyncio.sleep(next(pauses, _JOURNAL_PAUSES[-1]))
            except Exception as error:  # noqa: BLE001 - one must not hold up the others
                if len(letters) > 1:
                    return [(await self._written([each]))[0] for each in letters]
                reason = type(error).__name__
                self._log.error("a letter cannot be settled", letter=letters[0].id, reason=reason)
                return [False]


def _settle(unit: Unit, letters: Sequence[Letter]) -> list[bool]:
    return [unit.settle_letter(letter) for letter in letters]
