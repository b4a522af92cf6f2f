"""Totals: what a terminal's transactions of a period come to, counted by what each did.

A period of a terminal runs from one closing to the next. A transaction belongs to the one in which
the journal learned how it ended: the commit's position decides, not a clock, so that each counts
exactly once.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

import msgspec

from tillwire.clock import Instant
from tillwire.core.model import State, Terms, TransactionType


class TotalsKind(StrEnum):
    """What the transactions of a row did."""

    DEBIT = "debit"
    """PURCHASE."""
    CREDIT = "credit"
    """REFUND."""
    REVERSE_DEBIT = "reverse_debit"
    """REVERSAL of what took money."""
    REVERSE_CREDIT = "reverse_credit"
    """REVERSAL of a REFUND."""
    RESERVED = "reserved"
    """PREAUTH."""
    RESERVED_CHANGE = "reserved_change"
    """INCREMENT; its amount may be negative."""
    REVERSE_RESERVED = "reverse_reserved"
    """REVERSAL of a PREAUTH or an INCREMENT: what was reserved is not any more, and no money that
    was taken is given back."""
    COMPLETED = "completed"
    """CAPTURE."""
    CASH_ADVANCE = "cash_advance"
    DECLINED = "declined"
    """DECLINED or CANCELLED, whatever it was; amounts are what was asked for."""
    FAILED = "failed"
    """FAILED; amounts are what was asked for."""


class TotalsRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """Count and sum of transactions that have all of this in common."""

    kind: TotalsKind
    currency: str
    brand: str = ""
    register: str = ""
    operator: str = ""
    shift: str = ""
    totals_group: str = ""
    count: int = 0
    amount: int = 0
    """Minor units."""


class Closing(msgspec.Struct, frozen=True, kw_only=True):
    """The end of one period of a terminal."""

    terminal_id: str
    number: int
    """1 for the terminal's first period, and so on without gaps."""
    opened_at: Instant
    closed_at: Instant
    position: int
    """The last event of the journal that the period takes in."""
    ended: int
    """How many transactions of the terminal had ended by then, in this period and all before."""
    rows: tuple[TotalsRow, ...]


class OpenTotals(msgspec.Struct, frozen=True):
    """What the period that has not been closed comes to so far."""

    number: int
    """The one that its closing will have."""
    opened_at: Instant
    rows: tuple[TotalsRow, ...]


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How one transaction ended, as far as totals care."""

    type: TransactionType
    state: State
    """A final one."""
    asked: int
    approved: int
    """Minor units, both."""
    currency: str
    brand: str
    register: str
    terms: Terms
    original_type: TransactionType | None
    """Of the transaction that it follows."""


MOST_ROWS: Final = 2000
"""Rows of one period at most. What has yet other words in it (a till that invents an operator for
each sale) is counted in rows that leave all words out."""

_KINDS: Final = {
    TransactionType.PURCHASE: TotalsKind.DEBIT,
    TransactionType.REFUND: TotalsKind.CREDIT,
    TransactionType.PREAUTH: TotalsKind.RESERVED,
    TransactionType.INCREMENT: TotalsKind.RESERVED_CHANGE,
    TransactionType.CAPTURE: TotalsKind.COMPLETED,
    TransactionType.CASH_ADVANCE: TotalsKind.CASH_ADVANCE,
}
_REVERSALS: Final[dict[TransactionType | None, TotalsKind]] = {
    TransactionType.REFUND: TotalsKind.REVERSE_CREDIT,
    TransactionType.PREAUTH: TotalsKind.REVERSE_RESERVED,
    TransactionType.INCREMENT: TotalsKind.REVERSE_RESERVED,
}
"""What a REVERSAL counts as, by what it reverses; all else took money."""


def tally(endings: Iterable[Ending]) -> tuple[TotalsRow, ...]:
    """What they come to, in a fixed order of rows."""
    sums: dict[TotalsRow, list[int]] = {}
    for ending in endings:
        row = _row(ending)
        if row not in sums and len(sums) >= MOST_ROWS:
            row = TotalsRow(row.kind, row.currency)
        found = sums.setdefault(row, [0, 0])
        found[0] += 1
        found[1] += ending.approved if ending.state is State.APPROVED else ending.asked
    rows = (
        msgspec.structs.replace(row, count=count, amount=amount)
        for row, (count, amount) in sums.items()
    )
    return tuple(sorted(rows, key=msgspec.structs.astuple))


def _row(ending: Ending) -> TotalsRow:
    """The row that the transaction counts in, still empty."""
    terms = ending.terms
    return TotalsRow(
        _kind(ending),
        ending.currency,
        brand=ending.brand,
        register=ending.register,
        operator=terms.operator,
        shift=terms.shift,
        totals_group=terms.totals_group,
    )


def _kind(ending: Ending) -> TotalsKind:
    if ending.state is State.FAILED:
        return TotalsKind.FAILED
    if ending.state is not State.APPROVED:
        return TotalsKind.DECLINED
    if ending.type is not TransactionType.REVERSAL:
        return _KINDS[ending.type]
    return _REVERSALS.get(ending.original_type, TotalsKind.REVERSE_DEBIT)
