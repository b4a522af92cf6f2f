"""What Check Transaction says, in the engine's terms: an `Outcome`, or nothing definite. Pure
functions.

Money is only said to have moved, or not, where the answer is about this very transaction and
contradicts itself nowhere. Whatever else it says is kept, and told to a person.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from tillwire.clock import Instant
from tillwire.core.model import EntryMode, Evidence, Outcome, Transaction, Verdict
from tillwire.dialects.softpos.wire.aliases import UNMAPPED, CheckAnswer
from tillwire.dialects.softpos.wire.check import Status

LONGEST: Final = 64
TRANSACTION_ID: Final = "transaction_id"
"""In `Outcome.handle`: the acquirer's reference; `terminal_id` is the TID that it was paid on."""
TERMINAL_ID: Final = "terminal_id"

_PAYMENTS: Final = frozenset({"", "PAYMENT", "0100"})
_REVERSALS: Final = frozenset({"REVERSAL", "0400", "0200"})
_APPROVALS: Final = frozenset({"0", "00", "000"})
"""Codes of results and actions that approve, in the writings of source 001's keys."""
_ENTRY_MODES: Final[Mapping[str, EntryMode]] = {
    "CLI": EntryMode.CONTACTLESS,
    "CLM": EntryMode.CONTACTLESS,
    "ICC": EntryMode.CHIP,
    "MAG": EntryMode.SWIPE,
    "MAN": EntryMode.MANUAL,
}
_VERDICTS: Final = {Status.DECLINED: Verdict.DECLINED, Status.CANCELLED: Verdict.CANCELLED}
_DECISIVE: Final = (
    "status",
    "terminal_id",
    "caller_trx_id",
    "operation_type",
    "result_code",
    "action_code",
    "amount",
    "currency",
)


class Undecided(msgspec.Struct, frozen=True):
    """It says nothing definite."""

    detail: str
    needs_person: bool = False
    """Waiting alone will not change that."""
    is_absent: bool = False
    """The backend knows nothing of it, and nothing that it knows speaks for it."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """An answer, and what was asked for."""

    terminal_id: str
    caller_trx_id: str
    answer: CheckAnswer


def of_payment(asked: Asked | None, transaction: Transaction) -> Outcome | Undecided:
    """What became of a payment of ours."""
    if asked is None:
        return Undecided("The backend does not know it.", is_absent=True)
    answer = asked.answer
    if problem := _no_payment(asked, transaction.amount.currency):
        return Undecided(problem, needs_person=True)
    if answer.status is Status.APPROVED:
        return _approved(asked, transaction)
    if answer.status is Status.REVERSED:
        return Undecided(
            "It was paid and is reversed, and not by us: see on the phone.", needs_person=True
        )
    return _not_approved(asked)


def of_reversal(
    own: Asked | None, original: Asked | None, transaction: Transaction
) -> Outcome | Undecided:
    """What became of a reversal of ours, by its own id and by its original's. The app reverses its
    last payment whatever it is told (source 001), so the original decides: only one that is still
    approved says that nothing was reversed."""
    if original is None:
        return Undecided("The backend does not know its original any more.")
    if problem := _other(original, transaction.amount.currency):
        return Undecided(f"Its original: {problem}", needs_person=True)
    if original.answer.status is Status.REVERSED:
        return _reversed(own, original, transaction)
    if original.answer.status is not Status.APPROVED:
        return _not_approved(original, of="Its original")
    if problem := why_not_standing(original, transaction):
        return Undecided(f"Its original: {problem}", needs_person=True)
    if own is None:
        return Undecided("Its original is not reversed.", is_absent=True)
    if problem := _not_of(own, transaction):
        return Undecided(problem, needs_person=True)
    if own.answer.status is Status.APPROVED:
        return Undecided(
            "The backend tells of a reversal, and its original is not reversed: the app may have "
            "reversed another payment. See on the phone.",
            needs_person=True,
        )
    return _not_approved(own)


def why_not_standing(original: Asked | None, transaction: Transaction) -> str:
    """Why the backend does not have the payment that a reversal is of as it was approved; empty if
    it has. A backend may write a reversal into the payment's own record."""
    if original is None:
        return "The backend does not know it."
    if problem := _no_payment(original, transaction.amount.currency):
        return problem
    if original.answer.status is not Status.APPROVED:
        return f"The backend calls it {original.answer.status}."
    read = _approved(original, transaction)
    return read.detail if isinstance(read, Undecided) else ""


def _reversed(own: Asked | None, original: Asked, transaction: Transaction) -> Outcome | Undecided:
    """Its original is reversed: by this reversal, unless that says something else of itself."""
    told = original.answer.amount
    if told is not None and told != transaction.amount.minor:
        return Undecided(f"The reversed payment is of {told} minor units.", needs_person=True)
    if own is None or _not_of(own, transaction):
        return _described(_unnumbered(original), transaction, Verdict.APPROVED)
    if own.answer.status in _VERDICTS:
        return Undecided(
            f"The backend calls it {own.answer.status}, and its original is reversed: by something "
            "else. See on the phone.",
            needs_person=True,
        )
    return _described(own, transaction, Verdict.APPROVED)


def _unnumbered(original: Asked) -> Asked:
    """The answer without what is the payment's own: by its numbers, books would take the reversal
    for the payment."""
    plain = msgspec.structs.replace(
        original.answer,
        at=None,
        transaction_id="",
        authorization_number="",
        stan="",
        action_code="",
    )
    return msgspec.structs.replace(original, answer=plain)


def _not_of(own: Asked, transaction: Transaction) -> str:
    """Why the answer under a reversal's own id cannot be of it; empty if it can."""
    kind = own.answer.operation_type
    if kind and kind.upper() not in _REVERSALS:
        return "The backend calls it no reversal."
    return _other(own, transaction.amount.currency)


def _no_payment(asked: Asked, currency: str) -> str:
    """Why the answer cannot be of a payment that was asked for; empty if it can."""
    kind = asked.answer.operation_type
    problem = _other(asked, currency)
    if not problem and kind.upper() not in _PAYMENTS:
        problem = f"The backend calls it {kind}, and it was sent as a payment."
    return problem


def _other(asked: Asked, currency: str) -> str:
    """Why the answer cannot be of what was asked for; empty if it can."""
    answer = asked.answer
    unclear = [each for each in _DECISIVE if each in answer.unclear]
    if unclear:
        return f"The backend's answer is unclear: {', '.join(unclear)}."
    if answer.terminal_id not in ("", asked.terminal_id):
        return "The backend's answer is about another terminal."
    if answer.caller_trx_id not in ("", asked.caller_trx_id):
        return "The backend's answer is about another transaction."
    if answer.currency not in ("", currency):
        return f"The backend's answer is in {answer.currency[:LONGEST]}, and it is in {currency}."
    return ""


def _approved(asked: Asked, transaction: Transaction) -> Outcome | Undecided:
    answer, wanted = asked.answer, transaction.amount.minor
    if not _codes(answer) <= _APPROVALS:
        return Undecided(
            f"The backend calls it approved, with result {answer.result_code or 'none'} and action "
            f"code {answer.action_code or 'none'}.",
            needs_person=True,
        )
    if answer.amount is None:
        return Undecided("The backend calls it approved, and tells no amount.", needs_person=True)
    if answer.amount != wanted:
        return Undecided(
            f"The backend tells of {answer.amount} minor units, and {wanted} were asked for.",
            needs_person=True,
        )
    return _described(asked, transaction, Verdict.APPROVED)


def _codes(answer: CheckAnswer) -> set[str]:
    """Those that it tells."""
    return {answer.result_code, answer.action_code} - {""}


def _not_approved(asked: Asked, of: str = "It") -> Outcome | Undecided:
    answer = asked.answer
    if answer.status == UNMAPPED:
        word = answer.status_word[:LONGEST] or "none"
        return Undecided(f"UNMAPPED: {of} has a status that is not known here: {word}.")
    if of != "It":
        return Undecided(f"{of} is {answer.status}, neither approved nor reversed.")
    verdict = _VERDICTS.get(Status(answer.status))
    if verdict is None:
        return Undecided(f"The backend calls it {answer.status}.")
    if _codes(answer) & _APPROVALS:
        return Undecided(
            f"The backend calls it {answer.status}, with the codes of an approval.",
            needs_person=True,
        )
    return _described(asked, None, verdict)


def _described(asked: Asked, transaction: Transaction | None, verdict: Verdict) -> Outcome:
    answer = asked.answer
    approved = verdict is Verdict.APPROVED
    code = answer.action_code
    two = code[1:] if len(code) == 3 and code.startswith("0") and code.isdecimal() else ""
    handle = {
        TRANSACTION_ID: answer.transaction_id[:LONGEST],
        TERMINAL_ID: asked.terminal_id,
    }
    return Outcome(
        verdict,
        evidence=Evidence.ANSWER,
        approved_amount=transaction.amount.minor if transaction is not None and approved else 0,
        at=None if answer.at is None else Instant(answer.at),
        reason="" if approved else f"The backend calls it {answer.status}.",
        response_code=two,
        authorisation_code=answer.authorization_number[:LONGEST],
        stan=answer.stan if answer.stan.isascii() and answer.stan.isdecimal() else "",
        brand=answer.card_type[:LONGEST],
        card_last4=answer.card_last4,
        entry_mode=_ENTRY_MODES.get(answer.transaction_type.upper()),
        acquirer_reference=answer.transaction_id[:LONGEST],
        handle={key: value for key, value in handle.items() if value} if approved else {},
    )
