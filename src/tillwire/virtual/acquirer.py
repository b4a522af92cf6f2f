"""The acquirer behind the virtual terminals: decides, and keeps a ledger of what really moved.

The ledger is apart from the journal, so that tests can compare the two. It has one entry for each
transaction that the acquirer was asked about: approved, with what really moved (tip, cash-back and
partial approval included), or declined, with amount 0. What ended before the acquirer was asked
(cancelled by the cardholder, no card presented, never delivered) has no entry.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Final

import msgspec

from tillwire.clock import Instant
from tillwire.core.model import Cause, Conversion, Outcome, Transaction, TransactionType, Verdict
from tillwire.money import CURRENCIES, Money
from tillwire.virtual import cards
from tillwire.virtual.cards import Card
from tillwire.virtual.script import Script

HIGHEST_STAN: Final = 999_999
"""A system trace audit number has six digits, and starts again with 1."""
MARKUP: Final = "3.00"
_EUR_PER_USD: Final = "0.9217"
_USD_PER_OTHER: Final = "1.0850"


class Entry(msgspec.Struct, frozen=True):
    """One line of the ledger."""

    terminal: str
    """`manufacturer-model-serial`."""
    type: TransactionType
    amount: int
    """Minor units that really moved; 0 if declined."""
    currency: str
    reference: str
    """The till's own."""
    approved: bool
    at: Instant
    asked: int = 0
    """Minor units that were asked for."""
    original: str | None = None
    """The transaction that it follows."""


def answer(
    transaction: Transaction, script: Script, card: Card, number: int, at: Instant
) -> Outcome:
    """What becomes of the transaction. `number` is the terminal's own count of its transactions,
    `at` when the card is presented or given up."""
    asked = transaction.amount.minor
    if script.verdict is Verdict.CANCELLED:
        cause = script.cause or Cause.CARDHOLDER
        return Outcome(Verdict.CANCELLED, at=at, reason=script.reason, cause=cause)
    stan = f"{(number - 1) % HIGHEST_STAN + 1:06d}"
    entry_mode, verification = cards.reading(asked, signature=script.signature)
    decided = Outcome(
        Verdict.DECLINED,
        at=at,
        stan=stan,
        brand=card.brand,
        card_last4=card.last4,
        card_bin=card.bin,
        application_id=card.application_id,
        entry_mode=entry_mode,
        verification=verification,
        response_code=script.response_code or "05",
        reason=script.reason,
    )
    if script.verdict is Verdict.DECLINED:
        return decided
    tip = 0 if script.half else _tip(transaction, script)
    approved = _part(transaction) if script.half else asked + tip
    if script.half and approved <= 0:
        return msgspec.structs.replace(
            decided, response_code="51", reason="Insufficient funds for the whole amount."
        )
    return msgspec.structs.replace(
        decided,
        verdict=Verdict.APPROVED,
        approved_amount=approved,
        tip=tip,
        reason="",
        response_code=script.response_code or ("10" if script.half else "00"),
        authorisation_code=cards.authorisation_code(transaction.id),
        acquirer_reference=f"{at // 1000 % 1_000_000:06d}{stan}",
        conversion=_converted(Money(approved, transaction.amount.currency))
        if script.conversion
        else None,
        from_host=_told(transaction),
    )


def entry(transaction: Transaction, terminal: str, outcome: Outcome, at: Instant) -> Entry | None:
    """What the ledger says of an answer; None when the acquirer was not asked."""
    if outcome.verdict is Verdict.CANCELLED:
        return None
    return Entry(
        terminal=terminal,
        type=transaction.type,
        amount=outcome.approved_amount,
        currency=transaction.amount.currency,
        reference=transaction.reference,
        approved=outcome.verdict is Verdict.APPROVED,
        at=at,
        asked=transaction.amount.minor,
        original=transaction.original_id,
    )


def nonsense(transaction: Transaction) -> str:
    """What makes the till's terms impossible; empty when nothing does."""
    cash_back, tip = transaction.terms.cash_back, transaction.terms.tip
    rest = transaction.amount.minor - cash_back - tip
    if cash_back < 0 or tip < 0:
        return "cash-back and tip cannot be negative"
    if (cash_back and rest < 0) or (tip and rest <= 0):
        return "cash-back and tip are more than the amount allows"
    return ""


def _told(transaction: Transaction) -> str:
    """What a till gets back that has handed over something and wants an answer."""
    asked = transaction.terms.for_host
    if asked is None or not asked.wanted_field:
        return ""
    return f"TOKEN {cards.authorisation_code(transaction.id)}"


def _tip(transaction: Transaction, script: Script) -> int:
    """What is added on the terminal; a tip that the till agreed is in the amount already."""
    # Only a sale asks for a tip: a refund must not give back more than was asked for.
    if transaction.type is not TransactionType.PURCHASE:
        return 0
    return transaction.amount.minor * script.tip_percent // 100


def _part(transaction: Transaction) -> int:
    """Half of the amount; nothing where the till does not allow it. It pays for no cash."""
    if not transaction.partial_allowed:
        return 0
    asked = transaction.amount.minor
    return min(asked // 2, asked - transaction.terms.cash_back)


def _converted(money: Money) -> Conversion:
    home, rate = ("EUR", _EUR_PER_USD) if money.currency == "USD" else ("USD", _USD_PER_OTHER)
    major = Decimal(money.minor).scaleb(-CURRENCIES[money.currency].exponent)
    minor = (major * Decimal(rate)).scaleb(CURRENCIES[home].exponent)
    return Conversion(
        amount=Money(int(minor.to_integral_value(ROUND_HALF_UP)), home), rate=rate, markup=MARKUP
    )
