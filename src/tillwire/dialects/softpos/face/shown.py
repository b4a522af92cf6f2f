"""A transaction of ours as Check Transaction tells it (source 001, in the profile of
`wire/check.py`). Pure functions.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from tillwire.clock import Instant, utc
from tillwire.core.model import (
    EntryMode,
    Outcome,
    State,
    Transaction,
    TransactionType,
    Verdict,
)
from tillwire.dialects.softpos.face.settings import Settings
from tillwire.dialects.softpos.wire.check import RESULT_CODES, CheckTransactionResponse, Status

SAME_SALE_WITHIN: Final = 12 * 3_600_000
"""Milliseconds in which a reference that comes again is another try of the same sale. Tills that
count from 1 each day use it again later."""

_OPERATIONS: Final[Mapping[TransactionType, str]] = {
    TransactionType.PURCHASE: "PAYMENT",
    TransactionType.CASH_ADVANCE: "PAYMENT",
    TransactionType.REVERSAL: "REVERSAL",
}
"""Types that have a word of the vendor's; others have our own."""
_STATUSES: Final[Mapping[State, Status]] = {
    State.APPROVED: Status.APPROVED,
    State.DECLINED: Status.DECLINED,
    State.CANCELLED: Status.CANCELLED,
    State.FAILED: Status.ERROR,
}
_ENTRY_MODES: Final[Mapping[EntryMode, str]] = {
    EntryMode.CONTACTLESS: "CLI",
    EntryMode.CHIP: "ICC",
    EntryMode.SWIPE: "MAG",
    EntryMode.MANUAL: "MAN",
}
_NOTHING: Final = Outcome(Verdict.CANCELLED)
"""Of one without an outcome: none of its members is told."""


def meant(newest_first: Sequence[Transaction]) -> Transaction | None:
    """Of the transactions under one reference, the one that is asked for. Of the tries of the same
    sale it is the newest that stands, or may; then the newest of which the acquirer can know. One
    that provably never got there counts only if there is no other, and a reversal shows at its
    original."""
    tries = _of_one_sale(newest_first)
    known = [each for each in tries if each.proof is None] or tries
    there = {each.id for each in known}
    told = [each for each in known if not _shows_at(each, there)]
    return next(filter(_may_stand, told), told[0] if told else None)


def _of_one_sale(newest_first: Sequence[Transaction]) -> Sequence[Transaction]:
    """Those that belong to the newest: what was begun shortly before it, and what that is about."""
    since = max((each.created_at for each in newest_first), default=0) - SAME_SALE_WITHIN
    about = {each.original_id for each in newest_first if each.created_at >= since}
    return [each for each in newest_first if each.created_at >= since or each.id in about]


def _shows_at(known: Transaction, there: Collection[str]) -> bool:
    """Whether it is a reversal whose original is there."""
    return known.type is TransactionType.REVERSAL and known.original_id in there


def _may_stand(known: Transaction) -> bool:
    """Whether it has moved money that was not given back, or nobody can tell yet."""
    return status_of(known) in (Status.APPROVED, Status.PENDING)


def status_of(known: Transaction) -> Status:
    """How it stands. What nobody can tell yet is pending, never an error."""
    if known.state is State.APPROVED and known.reversed_at is not None:
        return Status.REVERSED
    return _STATUSES.get(known.state, Status.PENDING)


def shown(known: Transaction, tid: str, settings: Settings) -> CheckTransactionResponse:
    """The transaction, on the terminal that is called `tid`."""
    status = status_of(known)
    outcome = known.outcome or _NOTHING
    approved = known.state is State.APPROVED
    return CheckTransactionResponse(
        terminal_id=tid,
        caller_trx_id=known.reference or None,
        merchant_id=settings.merchant_id or None,
        transaction_id=outcome.acquirer_reference or None,
        operation_type=_OPERATIONS.get(known.type, known.type.value),
        status=status,
        result_code=RESULT_CODES.get(status),
        action_code=_action_code(outcome, approved=approved),
        amount=outcome.approved_amount if approved else known.amount.minor,
        currency=known.amount.currency,
        card_type=outcome.brand or None,
        pan=f"{'*' * 12}{outcome.card_last4}" if outcome.card_last4 else None,
        transaction_type=_ENTRY_MODES[outcome.entry_mode] if outcome.entry_mode else None,
        acquirer_id=settings.acquirer_id or None,
        acquirer_name=settings.acquirer_name or None,
        authorization_number=outcome.authorisation_code or None,
        stan=outcome.stan or None,
        transaction_timestamp=_stamp(outcome.at or known.created_at),
        update_timestamp=_stamp(_updated_at(known)),
    )


def _action_code(outcome: Outcome, *, approved: bool) -> str | None:
    if approved:
        return "000"
    code = outcome.response_code
    return code.zfill(3) if code.isdecimal() and len(code) <= 3 else None


def _updated_at(known: Transaction) -> Instant:
    moments = (known.created_at, known.started_at, known.ended_at, known.reversed_at)
    return max(each for each in moments if each is not None)


def _stamp(at: Instant) -> str:
    """ISO 8601 in UTC, with milliseconds."""
    return utc(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")
