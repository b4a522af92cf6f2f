"""Totals: what a terminal's transactions of a period come to, counted by what each did.

A period of a terminal runs from one closing to the next. A transaction belongs to the one in which
the journal learned how it ended: the commit's position decides, not a clock, so that each counts
exactly once.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from tillwire.clock import Instant


class TotalsKind(StrEnum):
    """What the transactions of a row did."""

    DEBIT = "debit"
    """PURCHASE."""
    CREDIT = "credit"
    """REFUND."""
    REVERSE_DEBIT = "reverse_debit"
    """REVERSAL of what took money or reserved it."""
    REVERSE_CREDIT = "reverse_credit"
    """REVERSAL of a REFUND."""
    RESERVED = "reserved"
    """PREAUTH."""
    RESERVED_CHANGE = "reserved_change"
    """INCREMENT; its amount may be negative."""
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
    rows: tuple[TotalsRow, ...]
