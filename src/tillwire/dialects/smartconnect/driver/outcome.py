"""What a cloud's answer is in the engine's terms: an `Outcome`, a proof that nothing moved, or
nothing definite. Pure functions."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from tillwire import pan
from tillwire.clock import Instant
from tillwire.core.model import Outcome, Receipts, Transaction, Verdict
from tillwire.core.moves import check_outcome
from tillwire.core.ports import Absent
from tillwire.dialects.smartconnect.driver.orders import REFERENCE
from tillwire.dialects.smartconnect.wire import outcomes, stamps
from tillwire.dialects.smartconnect.wire.envelope import Envelope, Result
from tillwire.dialects.smartconnect.wire.outcomes import Ending
from tillwire.dialects.smartconnect.wire.transactions import Function, amount_field
from tillwire.errors import Proof, RemoteProtocolError
from tillwire.money import MAX_MINOR

LONGEST: Final = 64
"""Characters of a reference, a code, a brand."""
LONGEST_REASON: Final = 300

_VERDICTS: Final = {
    Ending.ACCEPTED: Verdict.APPROVED,
    Ending.DECLINED: Verdict.DECLINED,
    Ending.CANCELLED: Verdict.CANCELLED,
}
_PROOFS: Final = {
    Ending.OFFLINE: "The terminal was away or busy: the cloud has not handed it over.",
    Ending.UNAVAILABLE: "The terminal does not have this service.",
}
_MINOR: Final = re.compile(r"[0-9]{1,15}")


class Pending(msgspec.Struct, frozen=True):
    """It goes on."""

    delayed: bool = False


class Unclear(msgspec.Struct, frozen=True):
    """It is over, and nobody can tell how."""

    detail: str


def read(
    envelope: Envelope, transaction: Transaction, function: Function, reference: str
) -> Outcome | Absent | Pending | Unclear:
    """What an answer says of a transaction, which was sent as this function."""
    reading = outcomes.of_transaction(envelope)
    if reading.ending in (Ending.PENDING, Ending.DELAYED):
        return Pending(reading.ending is Ending.DELAYED)
    if reading.ending is Ending.UNKNOWN or envelope.data is None:
        return Unclear(reading.reason)
    told = envelope.data
    if told.function and told.function.casefold() != function.casefold():
        return Unclear(f"It was sent as {function}, and ended as {_text(told.function)}.")
    if reading.ending in _PROOFS:
        if told.auth_id or (reading.ending is Ending.OFFLINE and told.card_pan):
            return Unclear("It is said not to have been done, and yet has a card or its approval.")
        return Absent(_PROOFS[reading.ending], Proof.REFUSED_BY_PEER)
    try:
        outcome = _described(told, _VERDICTS[reading.ending], transaction, function, reference)
        check_outcome(transaction, outcome)
    except RemoteProtocolError as error:
        return Unclear(error.detail)
    return outcome


def _described(
    told: Result,
    verdict: Verdict,
    transaction: Transaction,
    function: Function,
    reference: str,
) -> Outcome:
    approved = verdict is Verdict.APPROVED
    surcharge = tip = amount = 0
    if approved:
        surcharge = _minor("AmountSurcharge", told.amount_surcharge)
        tip = _minor("AmountTip", told.amount_tip)
        amount = _amount(told, transaction, function, surcharge + tip)
    handle = {
        "transaction_id": _text(told.request_id),
        "terminal_ref": _text(told.terminal_ref),
        "account_type": _text(told.account_type),
        "surcharge": str(surcharge or ""),
        REFERENCE: reference,
    }
    return Outcome(
        verdict,
        approved_amount=amount,
        # The engine knows one kind of money that is added at a terminal.
        tip=surcharge + tip,
        at=_moment(told, transaction),
        reason="" if approved else _text(told.result_text, LONGEST_REASON),
        authorisation_code=_text(told.auth_id),
        acquirer_reference=_text(told.acquirer_ref),
        brand=_text(told.card_type),
        card_last4=pan.last_four(told.card_pan),
        receipts=receipts_of(told.receipt),
        handle={key: value for key, value in handle.items() if value} if approved else {},
    )


def _amount(told: Result, transaction: Transaction, function: Function, added: int) -> int:
    """What was charged, which is what was asked and what was added at the terminal. Raises
    `RemoteProtocolError` when the answer says otherwise."""
    charged = transaction.amount.minor + added
    own = {"AmountAuth": told.amount_auth, "AmountFinal": told.amount_final}
    text = told.amount_total or own.get(amount_field(function), "")
    if text and _minor("AmountTotal", text) != charged:
        raise RemoteProtocolError(
            f"{transaction.amount.minor} minor units that were asked for, and {added} added at the "
            f"terminal, are not the {text.strip()} that it tells."
        )
    return charged


def _minor(name: str, value: str) -> int:
    text = value.strip()
    if not text:
        return 0
    if not _MINOR.fullmatch(text) or int(text) > MAX_MINOR:
        raise RemoteProtocolError(f"{name} is no amount.")
    return int(text)


def receipts_of(text: str) -> Receipts | None:
    """The receipt as the terminal wrote it, the customer's, in lines that any printer takes."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    plain = ("".join(each if each.isprintable() else " " for each in line) for line in lines)
    return Receipts(cardholder="\n".join(plain)) if text.strip() else None


def _moment(told: Result, transaction: Transaction) -> Instant | None:
    found = stamps.read_short(told.timestamp, transaction.heading.time_zone)
    return None if found is None else Instant(found)


def _text(value: str, longest: int = LONGEST) -> str:
    """One line of it."""
    return "".join(each for each in " ".join(value.split()) if each.isprintable())[:longest]
