"""What the rows of the cloud's list say, as entries (source 000). Pure functions.

A row is read as the driver reads one that ends a payment (`wire/outcomes.py`), but as it was before
somebody took it back: an entry tells of that beside it, and of the void as another one. What no
word of the vendor's says is unknown, with the words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from tillwire.clock import Instant
from tillwire.core.entries import Entry
from tillwire.core.model import Evidence, Outcome, State, Transaction, TransactionType, Verdict
from tillwire.dialects.paymentbridge.driver.outcome import LONGEST_REASON, as_told
from tillwire.dialects.paymentbridge.wire import fields
from tillwire.dialects.paymentbridge.wire.objects import Transaction as Listed
from tillwire.dialects.paymentbridge.wire.outcomes import (
    Ending,
    Operation,
    Reading,
    of_transactions,
)
from tillwire.errors import AnswerLost
from tillwire.money import CURRENCIES

_T = TransactionType
_OPERATIONS: Final = {
    _T.PURCHASE: Operation.SALE,
    _T.PREAUTH: Operation.PREAUTH,
    _T.CAPTURE: Operation.CAPTURE,
    _T.REFUND: Operation.REFUND,
    _T.REVERSAL: Operation.VOID,
}
_PAID: Final = frozenset(
    {"AUTHORIZED", "CAPTURED", "PARTIALLY_CAPTURED", "PARTIALLY_REFUNDED", "REFUNDED"}
    | {"PARTIALLY_CAPTURED_AND_PARTIALLY_REFUNDED"}
)
"""Statuses of what was paid, whatever has followed it."""
_DONE: Final = {
    Operation.SALE: _PAID,
    Operation.PREAUTH: _PAID,
    Operation.CAPTURE: _PAID - {"AUTHORIZED"},
    Operation.REFUND: frozenset({"REFUNDED"}),
}
_PLAIN: Final = {
    Operation.SALE: "CAPTURED",
    Operation.PREAUTH: "AUTHORIZED",
    Operation.CAPTURE: "CAPTURED",
    Operation.REFUND: "REFUNDED",
}
"""The status of what is done, and was not followed."""
_SETTLED: Final = _PAID | {"DECLINED", "VOIDED"}
_CAPTURED: Final = frozenset({"CAPTURED", "PARTIALLY_CAPTURED"})


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """All rows of one transaction: several where it was tried more than once, or paid in several
    ways."""

    rows: tuple[Listed, ...]
    captures: tuple[Listed, ...] = ()
    """Of a sale: the rows by which it was captured."""
    kind: TransactionType | None
    name: str
    """Our id if it is told, else the cloud's."""
    ours: Transaction | None = None
    reference: str = ""
    original: str = ""
    tid: str = ""
    reversal: Transaction | None = None
    """Of ours, which may have voided it."""
    is_captured_here: bool = False
    """Whether a reservation was captured in its own row."""
    capture: Transaction | None = None
    """Of ours, which may have done that."""


def kind_of(row: Listed) -> TransactionType | None:
    """What it is in our terms; None if its action is unknown. `authOnly` is what marks a
    reservation (source 000's cloud)."""
    match word(row.action):
        case "SALE":
            return _T.PURCHASE
        case "AUTHORIZE" | "OFFLINE_AUTHORIZE":
            return _T.PREAUTH if row.auth_only else _T.PURCHASE
        case "CAPTURE":
            return _T.CAPTURE
        case "REFUND":
            return _T.REFUND
        case "VOID":
            return _T.REVERSAL
        case _:
            return None


def word(text: str | None) -> str:
    """A value of an open enumeration, as it is compared."""
    return (text or "").strip().upper()


def is_settled(row: Listed) -> bool:
    """Whether it will not vanish from the list any more."""
    return word(row.status) in _SETTLED


def is_captured(row: Listed) -> bool:
    """Whether it is a reservation that says itself that it was captured."""
    return kind_of(row) is _T.PREAUTH and word(row.status) in _CAPTURED


def is_voided(row: Listed) -> bool:
    """Whether it was done, and taken back as a whole."""
    status = word(row.status)
    if kind_of(row) is _T.REVERSAL:
        return False
    return status == "VOIDED" or (bool(row.voided) and status in _PAID)


def created(row: Listed) -> Instant | None:
    """When it was made."""
    moment = fields.moment(row.created_at)
    return None if moment is None else Instant(moment)


def changed(row: Listed) -> Instant | None:
    """When it changed last."""
    moment = fields.moment(row.updated_at)
    return created(row) if moment is None else Instant(moment)


# --- entries --------------------------------------------------------------------------------------


def entries_of(group: Group) -> list[Entry]:
    """The transaction as the cloud has it; behind it its void, and what was captured in its row."""
    operation = None if group.kind is None else _OPERATIONS.get(group.kind)
    voided = [each for each in group.rows if is_voided(each)]
    alive = [each for each in group.rows if each not in voided and _is_done(each, operation)]
    is_back = bool(voided) and not alive and _was_paid(group)
    reading = _reading(group, operation, is_back=is_back)
    told = _told(group, reading)
    agreed = group.ours.terms.tip if group.ours else 0
    currency = (told.amounts.currency if told.amounts else None) or ""
    outcome = _outcome(reading, agreed) if not currency or currency in CURRENCIES else None
    is_paid = outcome is not None and outcome.verdict is Verdict.APPROVED
    amounts = told.amounts
    amount = reading.amount if is_paid else (amounts.transaction_amount if amounts else None)
    captured = is_paid and not is_back and group.is_captured_here
    if outcome is not None and captured:  # its amount is the capture's by now
        outcome, amount = msgspec.structs.replace(outcome, approved_amount=0, tip=0), None
    entry = Entry(
        name=group.name,
        outcome=outcome,
        type=group.kind,
        amount=amount,
        currency=currency if currency in CURRENCIES else "",
        at=_latest(created(each) for each in _last(group.rows)),
        reference=group.reference,
        original=group.original,
        tid=group.tid,
        reversed=is_paid and is_back,
        words=_words(told, reading, outcome),
        transaction_id=group.ours.id if group.ours else "",
    )
    found = [entry]
    if is_paid and is_back:
        at = _latest(changed(each) for each in voided)
        found.append(_following(entry, _T.REVERSAL, group.reversal, told, at, amount))
    if captured:
        at = _latest(changed(each) for each in group.rows)
        whole = word(told.status) == "CAPTURED" and amounts is not None
        total = amounts.transaction_amount if amounts and whole else None
        found.append(_following(entry, _T.CAPTURE, group.capture, told, at, total))
    return found


def _was_paid(group: Group) -> bool:
    """Whether what is voided was paid before: a payment of ours that the journal has not as paid
    is read as the driver would, as one that came to nothing."""
    ours = group.ours
    return ours is None or ours.state is State.APPROVED or group.reversal is not None


def _is_done(row: Listed, operation: Operation | None) -> bool:
    return operation in _DONE and word(row.status) in _DONE[operation]


def _reading(group: Group, operation: Operation | None, *, is_back: bool) -> Reading:
    if operation is None:
        return Reading(ending=Ending.UNKNOWN)
    rows = [_as_it_was(each, operation, is_back=is_back) for each in group.rows]
    currency = group.ours.amount.currency if group.ours else ""
    return of_transactions([*rows, *group.captures], operation, currency=currency)


def _as_it_was(row: Listed, operation: Operation, *, is_back: bool) -> Listed:
    """The row before anything followed it; `is_back`: before it was voided, too."""
    undone = is_back and is_voided(row)
    if not undone and not _is_done(row, operation):
        return row
    plain = msgspec.structs.replace(row, voided=None, action_void=None) if undone else row
    if operation is Operation.SALE and word(row.status) == "AUTHORIZED":
        return plain
    return msgspec.structs.replace(plain, status=_PLAIN.get(operation, row.status))


def _told(group: Group, reading: Reading) -> Listed:
    """The row that tells most: as it is listed."""
    decisive = reading.transactions[-1].id if reading.transactions else None
    rows = (*group.rows, *group.captures)
    return next((each for each in rows if each.id == decisive), group.rows[-1])


def _outcome(reading: Reading, agreed_tip: int) -> Outcome | None:
    try:
        return as_told(reading, Evidence.RECOVERED, agreed_tip=agreed_tip)
    except AnswerLost:
        return None


def _last(rows: Sequence[Listed]) -> Sequence[Listed]:
    """Those by whose time it was done: not its declined tries, if there is anything else."""
    return [each for each in rows if word(each.status) != "DECLINED"] or rows


def _latest(moments: Iterable[Instant | None]) -> Instant | None:
    return max((each for each in moments if each is not None), default=None)


def _words(told: Listed, reading: Reading, outcome: Outcome | None) -> str:
    """The cloud's own: action, status, how it was paid if not by card, and why."""
    paid_by = word(told.funding_source.type) if told.funding_source else ""
    parts = [word(told.action), word(told.status), "" if paid_by == "CREDIT_DEBIT" else paid_by]
    why = reading.reason if outcome is None else outcome.reason
    said = " ".join(each for each in parts if each)
    return " ".join(f"{said}: {why}".split() if why else said.split())[:LONGEST_REASON]


def _following(
    entry: Entry,
    kind: TransactionType,
    ours: Transaction | None,
    told: Listed,
    at: Instant | None,
    amount: int | None,
) -> Entry:
    """What followed a transaction, and has no row of its own."""
    return Entry(
        name=ours.id if ours else f"{told.id} {kind}",
        outcome=Outcome(
            Verdict.APPROVED, evidence=Evidence.RECOVERED, approved_amount=amount or 0, at=at
        ),
        type=kind,
        amount=amount,
        currency=entry.currency,
        at=at,
        reference=ours.reference if ours else "",
        original=(ours.original_id if ours else None) or entry.name,
        tid=entry.tid,
        words=f"{word(told.action)} {word(told.status)}",
        transaction_id=ours.id if ours else "",
    )
