"""What the cloud's words for an ending are in the engine's: an `Outcome` with all that a receipt
wants, or nothing definite. Pure functions."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from tillwire.clock import Instant
from tillwire.core.model import (
    Conversion,
    EntryMode,
    Evidence,
    Outcome,
    Transaction,
    Verdict,
    Verification,
)
from tillwire.core.moves import check_outcome
from tillwire.dialects.paymentbridge.driver.orders import HANDLE
from tillwire.dialects.paymentbridge.wire import fields
from tillwire.dialects.paymentbridge.wire.objects import (
    ExchangeRate,
    FundingSource,
    ProcessorResponse,
)
from tillwire.dialects.paymentbridge.wire.objects import Transaction as Listed
from tillwire.dialects.paymentbridge.wire.outcomes import Ending, Reading
from tillwire.errors import AnswerLost, RemoteProtocolError
from tillwire.money import CURRENCIES, Money

LONGEST_REASON: Final = 300

_VERDICTS: Final = {
    Ending.APPROVED: Verdict.APPROVED,
    Ending.DECLINED: Verdict.DECLINED,
    Ending.CANCELLED: Verdict.CANCELLED,
}
_ENTRY_MODES: Final = {
    "KEYED": EntryMode.MANUAL,
    "TRACK_DATA_FROM_MAGSTRIPE": EntryMode.SWIPE,
    "CONTACTLESS_MAGSTRIPE": EntryMode.CONTACTLESS,
    "INTEGRATED_CIRCUIT_CARD": EntryMode.CHIP,
    "CONTACTLESS_INTEGRATED_CIRCUIT_CARD": EntryMode.CONTACTLESS,
}
_AID_TAGS: Final = ("4F", "9F06", "84")
_MOST_DIGITS: Final = 12
"""Of a rate's precision."""


def outcome_of(reading: Reading, transaction: Transaction, evidence: Evidence) -> Outcome:
    """The outcome that is read. Raises `AnswerLost` when it says nothing definite, or nothing that
    can be of this transaction."""
    outcome = as_told(reading, evidence, agreed_tip=transaction.terms.tip)
    try:
        check_outcome(transaction, outcome)
    except RemoteProtocolError as error:
        raise AnswerLost(f"It cannot be of this transaction. {error.detail}") from None
    return outcome


def as_told(reading: Reading, evidence: Evidence, *, agreed_tip: int) -> Outcome:
    """The outcome of whatever transaction; `agreed_tip` is the one that was agreed at the till.
    Raises `AnswerLost` when it says nothing definite."""
    if reading.ending is Ending.UNKNOWN:
        raise AnswerLost(reading.reason)
    told = reading.transactions[-1] if reading.transactions else Listed()
    approved = reading.ending is Ending.APPROVED
    handle = " ".join(each.id for each in reading.transactions if each.id)
    return Outcome(
        _VERDICTS[reading.ending],
        evidence=evidence,
        approved_amount=reading.amount if approved else 0,
        tip=_tip(reading, agreed_tip) if approved else 0,
        handle={HANDLE: handle} if approved and handle else {},
        **_told(told, reading),
    )


def _tip(reading: Reading, agreed: int) -> int:
    """What was added on the terminal, beyond the tip that was agreed at the till."""
    added = max(reading.tip - agreed, 0)
    return added if added < reading.amount else 0


def _told(told: Listed, reading: Reading) -> dict[str, Any]:  # Any: fields of `Outcome`
    response = told.processor_response or ProcessorResponse()
    moment = fields.moment(told.updated_at) or fields.moment(told.created_at)
    code = (response.status_code or "").strip()
    words = reading.reason or response.status_message or ""
    stan = told.system_trace_audit_number or ""
    approved = reading.ending is Ending.APPROVED
    return {
        "at": None if moment is None else Instant(moment),
        "reason": "" if approved else " ".join(words.split())[:LONGEST_REASON],
        "response_code": code if len(code) == 2 and code.isalnum() and code.isascii() else "",
        "authorisation_code": told.approval_code or response.approval_code or "",
        "stan": stan if stan.isascii() and stan.isdecimal() else "",
        "acquirer_reference": response.retrieval_ref_num or "",
        "verification": _verification(told),
        **_card(told.funding_source, response),
    }


def _verification(told: Listed) -> Verification | None:
    if told.pin_captured:
        return Verification.PIN
    signed = told.signature_captured or told.signature_required
    return Verification.SIGNATURE if signed else None


def _card(
    source: FundingSource | None, response: ProcessorResponse
) -> dict[str, Any]:  # Any: as above
    if source is None:
        return {}
    facts: dict[str, Any] = {}
    if (card := source.card) is not None:
        facts = {
            "brand": card.type or "",
            "card_last4": card.number_last4 or "",
            "card_bin": card.number_first6 or "",
        }
    if (entry := source.entry_details) is not None:
        facts["entry_mode"] = _ENTRY_MODES.get(entry.entry_mode or "")
    tags = dict(response.emv_tags or {})
    tags.update((source.emv_data.emv_tags if source.emv_data else None) or {})
    named = {key.upper().removeprefix("0X"): value for key, value in tags.items()}
    facts["application_id"] = next((named[tag] for tag in _AID_TAGS if tag in named), "").upper()
    facts["conversion"] = _conversion(source.exchange_rate)
    return facts


def _conversion(rate: ExchangeRate | None) -> Conversion | None:
    """What the holder was charged in the card's currency, where all of it is told."""
    if rate is None or rate.card_currency not in CURRENCIES:
        return None
    digits = rate.rate_precision or 0
    amount, factor = rate.card_amount or 0, rate.rate or 0
    if amount <= 0 or factor <= 0 or not 0 <= digits <= _MOST_DIGITS:
        return None
    exact = Decimal(factor).scaleb(-digits)
    return Conversion(Money(amount, rate.card_currency), f"{exact:f}", rate.markup_percentage or "")
