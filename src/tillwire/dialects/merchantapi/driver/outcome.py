"""What a system's words are in the engine's terms: an `Outcome`, or nothing definite. Pure
functions.

Paid is `APPROVED` with `AUTHORIZED` or `CLEARED`; not paid is `CANCELLED`, with `DECLINED` when the
bank said no and without a result when it was not asked (source 004, "Statuses and result of a
Transaction"). What goes on is `CREATED`, and `AUTHORIZED` before the bank has spoken. Nothing else
is believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import chain
from typing import Final

import msgspec

from tillwire import clock
from tillwire.clock import Instant
from tillwire.core.entries import Entry
from tillwire.core.model import Outcome, Receipts, Transaction, TransactionType, Verdict
from tillwire.core.moves import check_outcome
from tillwire.dialects.merchantapi.driver.orders import PEER_ID, TYPES, transaction_of
from tillwire.dialects.merchantapi.wire import Result, Status
from tillwire.dialects.merchantapi.wire.told import Told
from tillwire.errors import RemoteProtocolError

DECLINED: Final = "The cardholder's bank did not approve it."
STOPPED: Final = "It was cancelled at the terminal."
NOT_BEGUN: Final = (
    "It was cancelled before its terminal processed it: called off, or replaced by a newer one."
)

_VERDICTS: Final = {
    (Status.AUTHORIZED, Result.APPROVED): Verdict.APPROVED,
    (Status.CLEARED, Result.APPROVED): Verdict.APPROVED,
    (Status.CANCELLED, Result.DECLINED): Verdict.DECLINED,
    (Status.CANCELLED, ""): Verdict.CANCELLED,
}
_OPEN: Final = frozenset({(Status.CREATED, ""), (Status.AUTHORIZED, "")})


class Pending(msgspec.Struct, frozen=True):
    """It goes on."""

    begun: bool = False
    """Whether its terminal is known to be at it."""
    waiting: tuple[str, ...] = ()
    """What it is called there, of each that perhaps no terminal has begun."""
    spare: frozenset[str] = frozenset()
    """Those of them that are of no use: another one was begun, or paid, or came before."""


class Unclear(msgspec.Struct, frozen=True):
    """Nobody can tell what it says."""

    detail: str
    spare: frozenset[str] = frozenset()
    """As in `Pending`: what waits while another one may have been paid."""


Reading = Outcome | Pending | Unclear


def read(told: Told, transaction: Transaction, reference: str) -> Reading:
    """What the system says of a transaction, which has this name there."""
    if problem := _strange(told, transaction, reference):
        return Unclear(problem)
    outcome = _read(told, transaction.amount.minor, transaction.type)
    if isinstance(outcome, Outcome):
        try:
            check_outcome(transaction, outcome)
        except RemoteProtocolError as error:
            return Unclear(error.detail)
    return outcome


def all_read(mine: Sequence[Told], transaction: Transaction, reference: str) -> Reading:
    """What it says of all that have this name there: more than one only if the network has doubled
    the request. Then each may have moved money."""
    readings = [read(each, transaction, reference) for each in mine]
    assert readings, "of what is not listed, nothing is read"
    for each in readings:
        if isinstance(each, Unclear):
            waiting = (one.waiting for one in readings if isinstance(one, Pending))
            return Unclear(each.detail, frozenset(chain.from_iterable(waiting)))
    ends = [each for each in readings if isinstance(each, Outcome)]
    paid = [each for each in ends if each.verdict is Verdict.APPROVED]
    if len(paid) > 1:
        names = " and ".join(each.handle[PEER_ID] for each in paid)
        return Unclear(f"It was paid more than once, as {names}.")
    if len(ends) < len(readings):
        return _pending(mine, readings, is_paid=bool(paid))
    order = (Verdict.APPROVED, Verdict.DECLINED, Verdict.CANCELLED)
    return min(ends, key=lambda each: order.index(each.verdict))


def _pending(mine: Sequence[Told], readings: Sequence[Reading], *, is_paid: bool) -> Pending:
    """What goes on. One that came later waits until its terminal is done with the first one, and
    would have the same paid once more."""
    begun = any(isinstance(each, Pending) and each.begun for each in readings)
    waiting = [
        told
        for told, each in zip(mine, readings, strict=True)
        if isinstance(each, Pending) and each.waiting
    ]
    made = [each.created_at for each in waiting if each.created_at is not None]
    spare = frozenset(
        each.id
        for each in waiting
        if begun or is_paid or (each.created_at is not None and each.created_at > min(made))
    )
    return Pending(begun, tuple(each.id for each in waiting), spare)


def _strange(told: Told, transaction: Transaction, reference: str) -> str:
    """Why it cannot be this transaction; empty if it can."""
    if told.broken:
        return f"Its {told.broken} cannot be read."
    if told.reference.casefold() != reference:
        return "What the system tells is about another transaction."
    if told.type != transaction.type or told.amount != transaction.amount:
        what = f"{told.type or 'nothing'} of {told.amount or 'nothing'}"
        return f"It was sent as {transaction.type} of {transaction.amount}, and is told as {what}."
    return ""


def _read(told: Told, asked: int, kind: TransactionType | None) -> Reading:
    said = _said(told)
    if said in _OPEN:
        begun = told.status == Status.AUTHORIZED
        return Pending(begun=begun, waiting=() if begun else (told.id,))
    verdict = next((found for words, found in _VERDICTS.items() if words == said), None)
    if verdict is None:
        words = f"{told.status or 'no status'} with {told.result or 'no result'}"
        return Unclear(f"The system tells {words}.")
    approved = verdict is Verdict.APPROVED
    if told.approved is not None and not approved:
        return Unclear(f"The system tells {told.status}, and yet an approved amount.")
    moved = told.approved or told.amount
    if approved and (moved is None or moved.currency != (told.amount or moved).currency):
        return Unclear("The system tells two currencies of it, or no amount.")
    minor = moved.minor if approved and moved is not None else 0
    if minor > asked and kind is not TransactionType.PURCHASE:
        return Unclear(f"{minor} minor units were given back, when {asked} were asked for.")
    return Outcome(
        verdict,
        approved_amount=minor,
        tip=max(minor - asked, 0),
        at=_instant(told.processed_at),
        reason=_reason(told, verdict),
        stan=told.stan,
        brand=told.brand,
        receipts=_receipts(told),
        handle={PEER_ID: told.id} if approved else {},
    )


def _said(told: Told) -> tuple[str, str]:
    return told.status, told.result


def _reason(told: Told, verdict: Verdict) -> str:
    match verdict:
        case Verdict.APPROVED:
            return ""
        case Verdict.DECLINED:
            return DECLINED
        case Verdict.CANCELLED:
            return NOT_BEGUN if told.processed_at is None else STOPPED


def _receipts(told: Told) -> Receipts | None:
    if not (told.receipt or told.merchant_receipt):
        return None
    return Receipts(told.receipt, told.merchant_receipt)


def _instant(moment: datetime | None) -> Instant | None:
    return None if moment is None else clock.instant(moment)


# --- evidence -----------------------------------------------------------------------------------


def moments_of(told: Told) -> list[Instant]:
    """When it was done, and when it was created, as far as that is told."""
    return [
        clock.instant(each) for each in (told.processed_at, told.created_at) if each is not None
    ]


def entry_of(told: Told) -> Entry:
    """What the system has on its books, as evidence. Of a type that source 004 cannot start, an
    approval may mean something else than that money moved."""
    kind = next((each for each in TYPES if each == told.type), None)
    asked = told.amount.minor if told.amount else 0
    unclear = told.broken or kind is None
    found = Unclear("It cannot be read.") if unclear else _read(told, asked, kind)
    ours = transaction_of(told.reference.casefold())
    outcome = found if isinstance(found, Outcome) else None
    moved = outcome.approved_amount if outcome is not None else 0
    return Entry(
        name=told.id,
        outcome=outcome,
        type=kind,
        amount=moved or (told.amount.minor if told.amount else None),
        currency=told.amount.currency if told.amount else "",
        at=next(iter(moments_of(told)), None),
        reference="" if ours else told.reference,
        original=told.original,
        words=" ".join(each for each in ("" if kind else told.type, *_said(told)) if each),
        transaction_id=ours,
    )
