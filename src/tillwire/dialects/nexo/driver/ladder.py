"""The ladder from a doubt to a fact: TransactionStatus, until it says something definite.

Both a running payment whose terminal refused it and one whose answer was lost climb it. It reads
only, and logs in where the terminal wants that first.
"""

from __future__ import annotations

from typing import Final

from tillwire.core.model import Transaction
from tillwire.core.ports import Absent, CannotTell, Found
from tillwire.dialects.nexo.driver import pos
from tillwire.dialects.nexo.driver.link import Link
from tillwire.dialects.nexo.driver.pos import Order
from tillwire.dialects.nexo.driver.reading import (
    Ended,
    LoggedOut,
    NotKnown,
    Running,
    Stated,
    StatusReading,
    Unclear,
    status_reading,
)
from tillwire.dialects.nexo.wire.services import TransactionStatusResponse
from tillwire.errors import Proof

SETTLE: Final = 10_000
"""Milliseconds after `send_by` before it counts that the terminal knows of nothing: until then the
request may still be under way to it."""


class Ladder:
    """Asks one terminal what became of a transaction."""

    def __init__(self, link: Link, name: str) -> None:
        """`name` is the terminal's, for people."""
        self._link = link
        self._name = name
        self.logins = 0
        """How often a login was needed so far."""

    async def read(self, transaction: Transaction, order: Order) -> StatusReading:
        """What the terminal says of it now. Raises `PeerError`."""
        reading = await self._asked(transaction, order)
        if isinstance(reading, LoggedOut) and self._link.may_log_in:
            await self._link.log_in()
            self.logins += 1
            reading = await self._asked(transaction, order)
        return reading

    async def glance(self, transaction: Transaction, order: Order) -> Found | Absent | CannotTell:
        """What the terminal says while its answer may still come over another line. It is not
        logged in to: it may refuse the question for being busy with that very payment, and drop
        it for a Login. Raises `PeerError`."""
        return self.judged(await self._asked(transaction, order), transaction, order)

    async def _asked(self, transaction: Transaction, order: Order) -> StatusReading:
        body = await self._link.ask(pos.status_request(order), TransactionStatusResponse)
        return status_reading(body, transaction, order)

    async def look(self, transaction: Transaction, order: Order) -> Found | Absent | CannotTell:
        """The same as a rung of the engine's own ladder. Raises `PeerError`."""
        return self.judged(await self.read(transaction, order), transaction, order)

    def judged(
        self, reading: StatusReading, transaction: Transaction, order: Order
    ) -> Found | Absent | CannotTell:
        """What a reading proves."""
        match reading:
            case Ended(outcome):
                return Found(outcome)
            case Stated(_, words, outcome):
                if outcome is not None:
                    return Found(outcome)
                return Absent(f"{self._name} refused it. {words}.", Proof.REFUSED_BY_PEER)
            case NotKnown():
                return self._not_known(transaction, order)
            case Running(words):
                return CannotTell(f"{self._name} is not done with it. {words}.")
            case LoggedOut(words):
                return CannotTell(
                    f'{self._name} wants a login, which the setting login = "never" forbids, or '
                    f"which did not help. {words}."
                )
            case Unclear(words):
                return CannotTell(f"{self._name} says nothing definite. {words}")

    def _not_known(self, transaction: Transaction, order: Order) -> Absent | CannotTell:
        if order.refused:
            return Absent(
                f"{self._name} refused it, and knows of nothing else. {order.refused}.",
                Proof.REFUSED_BY_PEER,
            )
        send_by = transaction.send_by
        if send_by is None or self._link.clock.now() <= send_by + SETTLE:
            return CannotTell(f"{self._name} does not know it; it may still arrive.")
        return CannotTell(
            f"{self._name} does not know it (ServiceID {order.service_id}). It may never have had "
            "the request, or have lost its memory of it: look into the terminal's own journal, "
            "then decide.",
            needs_person=True,
        )
