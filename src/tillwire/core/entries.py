"""Entries: what a terminal, or the cloud behind it, has on its books.

They are evidence to show and to compare, never a verdict: no entry moves a transaction. Asking for
them is the business of `books.py`.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from tillwire.clock import Instant
from tillwire.core.model import Outcome, State, Transaction, TransactionType, Verdict


class Lists(StrEnum):
    """Of which transactions a driver can be asked, beside the last one."""

    NONE = "none"
    """Of none."""
    NAMED = "named"
    """Of those that we name, one by one. What it did for others stays hidden."""
    WHOLE = "whole"
    """Of all that it did in a time."""


class Said(StrEnum):
    """What an entry says became of it, in one word."""

    APPROVED = "APPROVED"
    DECLINED = "DECLINED"
    CANCELLED = "CANCELLED"
    REVERSED = "REVERSED"
    UNKNOWN = "UNKNOWN"


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One transaction, as the other side has it."""

    name: str
    """What it is called there: our id of the transaction, where that has no other name."""
    outcome: Outcome | None = None
    """None while it goes on there, or when what it says cannot be read."""
    type: TransactionType | None = None
    """None when it is not told."""
    amount: int | None = None
    """Minor units: what moved if it was approved, else what was asked for; None when it is not
    told."""
    currency: str = ""
    at: Instant | None = None
    """When it was done there."""
    reference: str = ""
    """The till's own."""
    original: str = ""
    """What it follows, by its name there."""
    tid: str = ""
    reversed: bool = False
    """Approved, and taken back as a whole since."""
    words: str = ""
    """What became of it, in the other side's own words."""
    transaction_id: str = ""
    """Our transaction that it is; empty when nothing says which."""

    @property
    def verdict(self) -> Said:
        """What became of it, in one word."""
        if self.outcome is None:
            return Said.UNKNOWN
        return Said.REVERSED if self.reversed else Said(self.outcome.verdict.value)

    def agrees_with(self, transaction: Transaction) -> bool | None:
        """Whether both say the same of the money; None as long as either does not know."""
        if self.outcome is None or transaction.outcome is None:
            return None
        if self.outcome.verdict is not Verdict.APPROVED:
            return self.outcome.verdict.value == transaction.state.value
        moved = transaction.state is State.APPROVED
        given_back = self.reversed and transaction.reversed_at is None
        return (
            moved
            and not given_back
            and self.amount in (None, transaction.approved_amount)
            and self.currency in ("", transaction.amount.currency)
        )


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which transactions of a terminal are asked for."""

    begin: Instant
    end: Instant
    """From `begin` on, and before `end`."""
    types: frozenset[TransactionType] = frozenset()
    """None given: all."""
    verdicts: frozenset[str] = frozenset()
    """Words of `State` and `Said`; none given: all."""
    reference: str = ""
    """The till's own; empty: any."""
    limit: int = 100
    """How many at most, of the journal and of the other side each."""

    def takes_in(self, transaction: Transaction) -> bool:
        """Whether this one is asked for; its time was looked at."""
        return (
            (not self.types or transaction.type in self.types)
            and (not self.verdicts or transaction.state.value in self.verdicts)
            and self.reference in ("", transaction.reference)
        )

    def takes_in_entry(self, entry: Entry) -> bool:
        """Whether this one is asked for, as far as it tells."""
        return (
            (not self.types or entry.type is None or entry.type in self.types)
            and (not self.verdicts or entry.verdict in self.verdicts)
            and (not self.reference or self.reference == entry.reference)
        )
