"""Claims: who occupies a terminal beside transactions, in memory.

An errand has a terminal for itself as long as it runs. A transaction's hold is a row in the journal
(`occupancy.py`), which takes an await to write; so whoever is about to write one says so here
first, and no errand begins meanwhile. Looking and taking happen in one step of the event loop.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from tillwire.clock import Instant, utc
from tillwire.core.displays import guarded
from tillwire.core.errands import (
    Ask,
    AskBalance,
    AskLast,
    Count,
    Errand,
    ErrandFailed,
    Print,
    ReadCard,
    Reprint,
    Result,
    Show,
    Trouble,
    Update,
)
from tillwire.core.mirror import Mirror
from tillwire.core.model import State
from tillwire.core.occupancy import busy
from tillwire.core.patience import within
from tillwire.core.ports import Clock, Driver
from tillwire.errors import TerminalBusy, TillwireError

WAIT_FOR_ERRAND: Final = 30.0
"""Seconds that a transaction waits for the end of an errand at most."""
_DOING: Final[dict[type[Errand], str]] = {
    Show: "shows a text",
    Print: "prints",
    Ask: "asks the customer something",
    ReadCard: "reads a card",
    AskBalance: "asks for a card's balance",
    Update: "is being updated",
    Count: "counts its totals",
    AskLast: "is asked for its last transaction",
    Reprint: "prints its last receipt again",
}


class _Running:
    """An errand that runs."""

    def __init__(self, doing: str, since: Instant) -> None:
        self.doing = doing
        self.since = since
        self.ended = asyncio.Event()

    def busy(self) -> TerminalBusy:
        begun = utc(self.since).isoformat(timespec="seconds")
        return TerminalBusy(f"It {self.doing}, since {begun}.", holder="", since=self.since)


class Claims:
    """Errands that run, and transactions that are about to take a place."""

    def __init__(self, mirror: Mirror, clock: Clock) -> None:
        """`mirror` knows the transactions that hold terminals."""
        self._mirror = mirror
        self._clock = clock
        self._errands: dict[str, _Running] = {}
        self._entering: Counter[str] = Counter()

    def errand_at(self, terminal_id: str) -> bool:
        """Whether an errand has the terminal."""
        return terminal_id in self._errands

    @contextmanager
    def errand(self, terminal_id: str, errand: Errand) -> Iterator[None]:
        """Have the terminal for an errand. Raises `TerminalBusy` when anybody else has it or is
        about to. What it did last may be asked beside an UNKNOWN transaction, as recovery asks."""
        now = self._clock.now()
        holder = self._mirror.holder(terminal_id)
        if holder is not None and not (
            holder.state is State.UNKNOWN and isinstance(errand, AskLast)
        ):
            raise busy(holder)
        if (running := self._errands.get(terminal_id)) is not None:
            raise running.busy()
        if self._entering[terminal_id]:
            raise TerminalBusy("A transaction is about to begin.", holder="", since=now)
        mine = self._errands[terminal_id] = _Running(_DOING[type(errand)], now)
        try:
            yield
        finally:
            del self._errands[terminal_id]
            mine.ended.set()

    async def over(self, terminal_id: str) -> None:
        """Wait for the end of the errand that has the terminal, if one has."""
        if (running := self._errands.get(terminal_id)) is not None:
            await running.ended.wait()

    async def clear(self, terminal_id: str, *, wait: bool) -> None:
        """When this returns no errand has the terminal. Raises `TerminalBusy` if one has, after
        `WAIT_FOR_ERRAND` seconds if `wait`. An errand that comes later comes after who waits."""
        running = self._errands.get(terminal_id)
        if running is None:
            return
        if not wait:
            raise running.busy()
        leave = self.enter(terminal_id)
        try:
            async with asyncio.timeout(WAIT_FOR_ERRAND):
                await running.ended.wait()
        except TimeoutError:
            raise running.busy() from None
        finally:
            leave()

    def enter(self, terminal_id: str) -> Callable[[], None]:
        """Keep errands from the terminal while a transaction takes its place; the result ends
        that."""
        self._entering[terminal_id] += 1

        def leave() -> None:
            self._entering[terminal_id] -= 1
            if not self._entering[terminal_id]:
                del self._entering[terminal_id]

        return leave


async def run_errand(
    driver: Driver, errand: Errand, tell: Callable[[str], None], seconds: float
) -> Result:
    """What the driver makes of the errand, in so many seconds. Raises `ErrandFailed`, and what
    else of ours the driver raises."""
    try:
        return await within(seconds, driver.perform(errand, guarded(tell)))
    except TimeoutError:
        raise ErrandFailed(Trouble.TIMED_OUT, f"No end within {seconds:g} seconds.") from None
    except TillwireError:
        raise
    except Exception as error:
        failure = f"The driver failed: {type(error).__name__}: {error}"
        raise ErrandFailed(Trouble.BROKEN, failure) from error
