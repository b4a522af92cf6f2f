"""The ladder from a doubt to a fact: the id that the system gave, else our name in the terminal's
list, and what their absence proves.

The network may have made a double of our request. It takes the place of the first one, or waits
until that has ended, and nothing says so but the list. So before it is believed that no money
moved, the list is looked through for what else has our name.

Source 004 does not say how long a name may be. So what may be ours under another one, because the
system has cut it say, is no absence either.
"""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple

import msgspec

from tillwire import clock as clocks
from tillwire.clock import Instant
from tillwire.core.model import Outcome, Transaction, Verdict
from tillwire.core.ports import Absent, CannotTell, Clock, Found
from tillwire.dialects.merchantapi.driver.cloud import NoSuch, System
from tillwire.dialects.merchantapi.driver.orders import (
    LIST,
    PEER_ID,
    REFERENCE,
    TAKEN,
    transaction_of,
)
from tillwire.dialects.merchantapi.driver.outcome import Pending, Reading, Unclear, all_read, read
from tillwire.dialects.merchantapi.driver.settings import DriverSettings
from tillwire.dialects.merchantapi.wire.told import Told
from tillwire.errors import PeerError

AWAKE: Final = 10.0
"""Seconds between two readings that prove an absence: a system that stood still may list before it
takes what has come meanwhile."""
CHANGED: Final = "The system's list changed while it was read."
"""Where something goes from a page that was read, what follows moves up past the next."""
MOST_NAMED: Final = 5
"""Entries of the list that a person is told of at once."""


class Ladder:
    """Asks what became of one terminal's transactions."""

    def __init__(self, system: System, settings: DriverSettings, clock: Clock, name: str) -> None:
        """`name` is the terminal's, for people."""
        self._system = system
        self._settings = settings
        self._clock = clock
        self._name = name

    def where_sent(self, transaction: Transaction) -> Ladder:
        """It, at the terminal to which the transaction was sent, if that is of the same system."""
        address = transaction.peer.get(LIST, self._system.list)
        return Ladder(self._system.listing(address), self._settings, self._clock, self._name)

    async def look(self, transaction: Transaction) -> Found | Absent | CannotTell:
        """One look at what was sent."""
        begun = self._clock.now()
        called, unknown = transaction.peer.get(PEER_ID, ""), ""
        try:
            if called:
                try:
                    return self._judged(transaction, await self.by_id(transaction, called))
                except NoSuch as answer:
                    unknown = f"It had taken it as {called}, and now: {answer.detail}."
            seen = await self._seen(transaction)
            if seen.mine:
                return self._judged(transaction, seen.read(seen.mine, transaction))
            if unknown:
                return self._later(transaction, unknown)
            return await self._absence(transaction, seen, begun)
        except NoSuch as answer:
            return self._later(transaction, f"The system answered {answer.detail}.")
        except PeerError as error:
            return CannotTell(f"The system does not tell. {error.detail}")

    async def by_id(self, transaction: Transaction, called: str) -> Reading:
        """What the system tells of the transaction that it calls so. Raises `PeerError`."""
        found = await self._system.transaction(called)
        reading = read(found, transaction, transaction.peer[REFERENCE])
        if isinstance(reading, Outcome) and not _is_paid(reading):
            seen = await self._seen(transaction)
            others = [each for each in seen.mine if each.id != called]
            return seen.read([found, *others], transaction)
        return reading

    async def cancel(self, called: str) -> bool:
        """Call off what the system calls so; whether that was granted. Raises `PeerError`."""
        return await self._system.cancel(called)

    async def listed_overdue(self, transaction: Transaction) -> frozenset[str]:
        """What the system calls it, and each double of it, that is to be called off. Raises
        `PeerError`."""
        seen = await self._seen(transaction)
        if not seen.mine:
            called = transaction.peer.get(PEER_ID)
            return self.overdue(transaction, Pending(waiting=(called,) if called else ()))
        reading = seen.read(seen.mine, transaction)
        return frozenset() if isinstance(reading, Outcome) else self.overdue(transaction, reading)

    def overdue(self, transaction: Transaction, reading: Pending | Unclear) -> frozenset[str]:
        """What a terminal that has not fetched it should not come upon any more: all of it after a
        while, and at once what is of no use."""
        after = self._settings.cancel_after_seconds
        assert transaction.sent_at is not None, "it was dispatched"
        is_late = after and self._clock.now() > transaction.sent_at + round(after * 1000)
        if is_late and isinstance(reading, Pending):
            return frozenset(reading.waiting)
        return reading.spare

    async def trace(self, transaction: Transaction) -> str:
        """What speaks for it that the system has what it just refused; empty if nothing does, now
        and `settle_seconds` later. Raises `PeerError`."""
        seen = await self._seen(transaction)
        if not seen.mine:
            await asyncio.sleep(self._settings.settle_seconds)
            before, seen = seen, await self._seen(transaction)
            if not before.names <= seen.names:
                return CHANGED
            if seen.unreadable and not seen.mine:
                return seen.gap
        return "And yet the system lists it." if seen.mine else ""

    def _judged(self, transaction: Transaction, reading: Reading) -> Found | CannotTell:
        if isinstance(reading, Outcome):
            return Found(reading)
        if isinstance(reading, Pending):
            where = "is at work on it" if reading.begun else "has not ended it, or not fetched it"
            return CannotTell(f"{self._name} {where}.", overdue=self.overdue(transaction, reading))
        found = self._later(transaction, reading.detail)
        return msgspec.structs.replace(found, overdue=self.overdue(transaction, reading))

    # --- the list -------------------------------------------------------------------------------

    async def _seen(self, transaction: Transaction) -> _Seen:
        assert transaction.sent_at is not None, "what is looked for was dispatched"
        begin = Instant(transaction.sent_at - round(self._settings.clock_seconds * 1000))
        seen = _Seen([], [], set(), 0)
        async for page in self._system.listed(begin):
            seen.names.update(each.id for each in page.entries)
            seen.mine.extend(each for each in page.entries if _is_called(each, transaction))
            seen.alike.extend(each for each in page.entries if _may_be(each, transaction, begin))
            seen = seen._replace(unreadable=seen.unreadable + page.unreadable)
        return seen

    async def _absence(
        self, transaction: Transaction, seen: _Seen, begun: Instant
    ) -> Absent | CannotTell:
        """What it means that the list, asked for at `begun`, has nothing of our name."""
        if taken := transaction.peer.get(TAKEN):
            what = f"The system has taken it as {taken}, not as it was sent, and does not list it."
            return self._later(transaction, what)
        if seen.unreadable:
            return self._later(transaction, seen.gap)
        if seen.alike:
            names = ", ".join(each.id for each in seen.alike[:MOST_NAMED])
            return self._later(transaction, f"It may be there under another name: {names}.")
        if (sent_to := transaction.peer.get(LIST, self._system.list)) != self._system.list:
            return self._later(transaction, f"It was sent to another system, to {sent_to}.")
        assert transaction.send_by is not None, "it was dispatched"
        wait = self._settings.answer_seconds + self._settings.settle_seconds
        if begun <= transaction.send_by + round(wait * 1000):
            return CannotTell("It is not listed, and may still be.")
        await asyncio.sleep(AWAKE)
        again = await self._seen(transaction)
        if again.mine or again.alike or again.unreadable or not seen.names <= again.names:
            return CannotTell(CHANGED)
        return Absent(
            f"The system lists nothing of it, {wait:g} seconds after it could have been sent last."
        )

    def _later(self, transaction: Transaction, why: str) -> CannotTell:
        """Nothing yet; after a long time, nothing for good."""
        assert transaction.sent_at is not None, "it was dispatched"
        patience = round(self._settings.person_after_seconds * 1000)
        if self._clock.now() <= transaction.sent_at + patience:
            return CannotTell(why)
        return CannotTell(
            f"{why} Look at {self._name}, or into the system's own pages, for {transaction.amount} "
            f"under {transaction.peer[REFERENCE]}, then decide.",
            needs_person=True,
        )


class _Seen(NamedTuple):
    """What one reading of the list came to."""

    mine: list[Told]
    alike: list[Told]
    """Those of another name that may be ours all the same."""
    names: set[str]
    """The ids of all that was listed."""
    unreadable: int
    """How many more are of that time, and cannot be read."""

    @property
    def gap(self) -> str:
        """Those, for people."""
        return f"{self.unreadable} of its list cannot be read, and may be it."

    def read(self, mine: list[Told], transaction: Transaction) -> Reading:
        """What is told of these. That nothing was paid, only a list that is whole tells."""
        reading = all_read(mine, transaction, transaction.peer[REFERENCE])
        if self.unreadable and isinstance(reading, Outcome) and not _is_paid(reading):
            return Unclear(self.gap)
        return reading


def _is_called(each: Told, transaction: Transaction) -> bool:
    return each.reference.casefold() == transaction.peer[REFERENCE]


def _may_be(each: Told, transaction: Transaction, begin: Instant) -> bool:
    """Whether it may be this one, if the system has changed its name: it is neither older than
    `begin`, nor another one of ours."""
    if each.created_at is not None and clocks.instant(each.created_at) < begin:
        return False
    if transaction_of(each.reference.casefold()):
        return False
    same = each.type == transaction.type and each.amount == transaction.amount
    return same or bool(each.broken)


def _is_paid(outcome: Outcome) -> bool:
    return outcome.verdict is Verdict.APPROVED
