"""The periods of a terminal: what the open one comes to, and how it is closed.

A period takes in the transactions whose final event stands, in the journal's commit order, behind
the last closing and not behind its own. So each transaction counts once, however long it was
UNKNOWN, and whatever the clocks did. The sums are made of a snapshot, beside the writer; the commit
that closes the period makes sure that nothing has ended at the terminal since.

Two closings at the same time close two periods, the second of which may be empty: a till that
asks again for the same one is recognised by its exchange.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from tillwire.clock import Instant
from tillwire.core.changes import TRIES
from tillwire.core.model import Transaction
from tillwire.core.ports import Clock, Journal, Reader, StaleError, Unit
from tillwire.core.totals import Closing, OpenTotals, tally
from tillwire.errors import Conflict, JournalError

MARGIN: Final = 24 * 3_600_000
"""Milliseconds before the last closing from which on the open period's transactions are looked for,
by the clock that stamped their end. When it was set by more than that, counting them shows it, and
all of the terminal's are looked at."""

SUMS_AT_ONCE: Final = 2
"""How many sums are made at the same time: tills that ask for totals over and over leave readers
for everybody else."""
_HIGHEST: Final = 2**31
"""Numbers from here on are nobody's; one that a till made up may not even fit into the journal."""


class Closings:
    """The closed periods of a journal's terminals, and the open one of each."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._places = asyncio.Semaphore(SUMS_AT_ONCE)

    async def open_totals(self, terminal_id: str) -> OpenTotals:
        """What the terminal's open period comes to so far. Raises `JournalError`."""
        draft = await self._draft(terminal_id)
        return OpenTotals(draft.number, draft.opened_at, draft.rows)

    async def open_period(self, terminal_id: str) -> int:
        """The number of the terminal's open period, which costs no sum. Raises `JournalError`."""
        last = await self._journal.read(lambda reader: reader.last_closing(terminal_id))
        return (last.number if last else 0) + 1

    async def close(self, terminal_id: str) -> Closing:
        """Close the terminal's open period, and begin the next one. Raises `JournalError`."""
        for _ in range(TRIES):
            draft = await self._draft(terminal_id)
            try:
                await self._journal.commit(partial(_insert, draft))
            except StaleError:
                continue
            return draft
        raise JournalError(f"Transactions have ended {TRIES} times meanwhile.")

    async def closing(self, terminal_id: str, number: int) -> Closing | None:
        """The end of the terminal's period of this number, if it has ended."""
        if not 1 <= number <= _HIGHEST:
            return None
        return await self._journal.read(lambda reader: reader.closing(terminal_id, number))

    async def period_of(self, transaction: Transaction) -> int:
        """The number of the period in which a final transaction counts, closed or open. Once
        told it stays the same. Raises `Conflict` while the transaction is not final."""

        def look(reader: Reader) -> int | None:
            position = reader.ended_where(transaction.id)
            return position and reader.period_at(transaction.terminal_id, position)

        number = await self._journal.read(look)
        if number is None:
            raise Conflict(f"Transaction {transaction.id} has not ended.")
        return number

    async def _draft(self, terminal_id: str) -> Closing:
        async with self._places:
            return await self._journal.read(partial(_draft, terminal_id, self._clock.now()))


def _draft(terminal_id: str, now: Instant, reader: Reader) -> Closing:
    """The closing of the terminal's open period, as of the snapshot."""
    last = reader.last_closing(terminal_id)
    number, before, position, opened_at = 1, 0, 0, reader.first_accepted_at(terminal_id) or now
    if last is not None:
        number, before, position = last.number + 1, last.ended, last.position
        opened_at = last.closed_at
    ended = reader.ended_count(terminal_id)
    rows = tally(reader.endings(terminal_id, Instant(opened_at - MARGIN), position))
    if sum(row.count for row in rows) != ended - before:
        rows = tally(reader.endings(terminal_id, Instant(0), position))
    return Closing(
        terminal_id=terminal_id,
        number=number,
        opened_at=opened_at,
        closed_at=now,
        position=reader.newest_position(),
        ended=ended,
        rows=rows,
    )


def _insert(closing: Closing, unit: Unit) -> None:
    unit.insert_closing(closing)
