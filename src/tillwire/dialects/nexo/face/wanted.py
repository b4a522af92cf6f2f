"""What a Payment or a Reversal asks for, checked as far as the message itself can tell.

Pure functions from a request's body to a `Wanted`, or a `Refused` that names the member, what is
wrong with its value and what is allowed. What a payment follows, and how much of that is left, is
`orders.py`'s.

What cannot be honoured is refused rather than left out: a card that the till has read, tokens,
instalments, loyalty. What is only advice (allowed brands, an online authorisation) is not passed
on; README.md lists it.
"""

from __future__ import annotations

import unicodedata
from decimal import Decimal
from typing import Final

import msgspec

from tillwire import pan
from tillwire.core.model import Terms
from tillwire.dialects.nexo.face.context import Malformed, Refused
from tillwire.dialects.nexo.face.logins import Login
from tillwire.dialects.nexo.face.settings import Settings
from tillwire.dialects.nexo.wire import names
from tillwire.dialects.nexo.wire.services import PaymentData, PaymentRequest, ReversalRequest
from tillwire.dialects.nexo.wire.shared import (
    AmountsReq,
    OriginalPOITransaction,
    SaleData,
    TransactionIdentification,
)
from tillwire.dialects.nexo.wire.values import ErrorCondition, LoyaltyHandling, PaymentType
from tillwire.errors import InvalidRequest
from tillwire.money import CURRENCIES, Money, from_decimal

TOO_LONG: Final = "90001"
"""Market Pay's code of a TransactionID that is too long (source 003)."""
LONGEST: Final = 100
"""Characters of the till's texts that are kept with a transaction."""

SERVED: Final = (
    PaymentType.NORMAL,
    PaymentType.REFUND,
    PaymentType.ONE_TIME_RESERVATION,
    PaymentType.FIRST_RESERVATION,
    PaymentType.UPDATE_RESERVATION,
    PaymentType.COMPLETION,
    PaymentType.CASH_ADVANCE,
)
FOLLOWING: Final = frozenset(
    {PaymentType.REFUND, PaymentType.UPDATE_RESERVATION, PaymentType.COMPLETION}
)
"""Payment types that may name an original."""
_NEEDING: Final = frozenset({PaymentType.UPDATE_RESERVATION, PaymentType.COMPLETION})
"""Payment types that must name an original."""
_TIPPED: Final = frozenset({PaymentType.NORMAL, PaymentType.COMPLETION})

_PAYMENT: Final = "PaymentRequest"
_REVERSAL: Final = "ReversalRequest"
_AMOUNTS: Final = f"{_PAYMENT}.PaymentTransaction.AmountsReq"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for."""

    payment_type: str = ""
    """Empty: a Reversal."""
    reference: str
    """The till's own name for the sale; empty where a Reversal has none."""
    money: Money | None
    """None: a Reversal of all that there is, or of an amount whose currency is the original's."""
    terms: Terms
    original: str = ""
    """The id of the transaction that it follows."""
    follows: bool = False
    """Whether the till says that it follows another one, by its id or by its chain."""


def malformed(path: str, field: str, problem: str, allowed: str = "") -> Malformed:
    """The refusal of a wrong value, with the arguments of `Malformed`."""
    return Malformed(path, field, problem, allowed)


# --- payment ----------------------------------------------------------------------------------


def payment(body: PaymentRequest, login: Login, settings: Settings, currency: str) -> Wanted:
    """What a PaymentRequest asks for, at a terminal that is paid in `currency`. Raises
    `Refused`."""
    data = body.payment_data or PaymentData()
    kind = PaymentType.NORMAL if data.payment_type is None else data.payment_type
    if kind not in SERVED:
        raise Refused(
            ErrorCondition.UNAVAILABLE_SERVICE,
            f"PaymentType {kind[:40]} is not served here. Served: {', '.join(SERVED)}.",
        )
    reference = reference_of(body.sale_data, _PAYMENT, settings)
    _check_supported(body, data)
    original = body.payment_transaction.original_poi_transaction
    chain = text_of(f"{_PAYMENT}.SaleData", "SaleReferenceID", body.sale_data.sale_reference_id)
    original_id = _original_id(original, f"{_PAYMENT}.PaymentTransaction.OriginalPOITransaction")
    _check_original(kind, original, original_id, chain)
    money = _money(body.payment_transaction.amounts_req, kind, currency)
    return Wanted(
        payment_type=kind,
        reference=reference,
        money=money,
        terms=_terms(body, data, login, money, chain),
        original=original_id,
        follows=kind in _NEEDING or original is not None,
    )


def _check_supported(body: PaymentRequest, data: PaymentData) -> None:
    """Raise `Refused` for what changes who pays what, and cannot be honoured."""
    conditions = body.payment_transaction.transaction_conditions
    amounts = body.payment_transaction.amounts_req
    for there, member, reason in (
        (
            data.payment_instrument_data is not None,
            "PaymentInstrumentData",
            "a card that the till has read, a token, a cheque or a stored value cannot be used "
            "here: leave it out, and the terminal asks for the card",
        ),
        (data.instalment is not None, "Instalment", "payments by instalments are not served here"),
        (data.customer_order is not None, "CustomerOrder", "customer orders are not served here"),
        (bool(body.loyalty_data), "LoyaltyData", "loyalty is not served here"),
        (
            conditions is not None and conditions.loyalty_handling == LoyaltyHandling.REQUIRED,
            "LoyaltyHandling",
            "loyalty is not served here, so it cannot be required",
        ),
        (
            conditions is not None and bool(conditions.force_entry_mode),
            "ForceEntryMode",
            "the terminal chooses how it reads the card: leave it out",
        ),
        (
            bool(body.sale_data.sponsored_merchant),
            "SponsoredMerchant",
            "the money goes to the merchant of the terminal, never to another one",
        ),
        (
            bool(amounts.paid_amount),
            "PaidAmount",
            "each part of a split payment is a payment of its own here: send its amount as "
            "RequestedAmount, without PaidAmount",
        ),
    ):
        if there:
            raise Refused(ErrorCondition.UNAVAILABLE_SERVICE, f"{member}: {reason}.")


def _check_original(
    kind: str, original: OriginalPOITransaction | None, original_id: str, chain: str
) -> None:
    path = f"{_PAYMENT}.PaymentTransaction"
    if original is not None and kind not in FOLLOWING:
        raise Refused(
            ErrorCondition.UNAVAILABLE_SERVICE,
            f"OriginalPOITransaction: a {kind} payment follows no other one here. It belongs to "
            + ", ".join(sorted(FOLLOWING))
            + ".",
        )
    if (original is not None or kind in _NEEDING) and not (original_id or chain):
        allowed = "the POITransactionID of the original's response"
        if kind in _NEEDING:
            allowed += ", or SaleData.SaleReferenceID as the reservation had it"
        raise malformed(path, "OriginalPOITransaction", "Missing", allowed)


def _terms(
    body: PaymentRequest, data: PaymentData, login: Login, money: Money, chain: str
) -> Terms:
    sale, path = body.sale_data, f"{_PAYMENT}.SaleData"
    amounts = body.payment_transaction.amounts_req
    terminal_data = sale.sale_terminal_data
    card = data.card_acquisition_reference
    conditions = body.payment_transaction.transaction_conditions
    return Terms(
        cash_back=_amount(amounts, "cash_back_amount", money.currency).minor,
        tip=_amount(amounts, "tip_amount", money.currency).minor,
        operator=text_of(path, "OperatorID", sale.operator_id) or login.operator,
        shift=text_of(path, "ShiftNumber", sale.shift_number) or login.shift,
        totals_group=text_of(
            f"{path}.SaleTerminalData",
            "TotalsGroupID",
            terminal_data.totals_group_id if terminal_data else None,
        )
        or login.totals_group,
        chain=chain,
        card=text_of(
            f"{_PAYMENT}.PaymentData.CardAcquisitionReference",
            "TransactionID",
            card.transaction_id if card else None,
        ),
        valid_until=data.requested_validity_date or "",
        language=((conditions.customer_language if conditions else None) or "").lower(),
    )


# --- reversal ---------------------------------------------------------------------------------


def reversal(body: ReversalRequest, login: Login, settings: Settings) -> Wanted:
    """What a ReversalRequest asks for. Raises `Refused`."""
    sale = body.sale_data
    original_id = _original_id(body.original_poi_transaction, f"{_REVERSAL}.OriginalPOITransaction")
    if not original_id:
        raise malformed(
            f"{_REVERSAL}.OriginalPOITransaction",
            "POITransactionID",
            "Missing",
            "the POITransactionID of the original's response",
        )
    if body.reversed_amount is not None and not body.reversed_amount:
        allowed = "more than 0; without it, all of the original is reversed"
        raise malformed(_REVERSAL, "ReversedAmount", "It is 0", allowed)
    path = f"{_REVERSAL}.SaleData"
    return Wanted(
        reference=reference_of(sale, _REVERSAL, settings) if sale else "",
        money=None,
        terms=Terms(
            operator=text_of(path, "OperatorID", sale.operator_id if sale else None)
            or login.operator,
            shift=text_of(path, "ShiftNumber", sale.shift_number if sale else None) or login.shift,
            totals_group=login.totals_group,
            chain=text_of(path, "SaleReferenceID", sale.sale_reference_id if sale else None),
        ),
        original=original_id,
        follows=True,
    )


def reversed_money(body: ReversalRequest, currency: str) -> Money | None:
    """The amount to reverse, in the original's currency; None: all of it. Raises `Refused`."""
    if body.reversed_amount is None:
        return None
    try:
        return from_decimal(body.reversed_amount, currency)
    except InvalidRequest as error:
        raise malformed(_REVERSAL, "ReversedAmount", error.problem, error.allowed) from None


# --- members ----------------------------------------------------------------------------------


def reference_of(sale: SaleData, body: str, settings: Settings) -> str:
    """SaleTransactionID.TransactionID, which is the till's own name for the sale."""
    path, field = f"{body}.SaleData.SaleTransactionID", "TransactionID"
    text = sale.sale_transaction_id.transaction_id
    longest = settings.longest_transaction_id
    if len(text) > longest:
        raise malformed(
            path,
            field,
            f"It has {len(text)} characters ({TOO_LONG})",
            f"at most {longest}: a shorter ticket reference, or a UUID without its hyphens. "
            "Nothing was sent to the terminal",
        )
    text_of(path, "TimeStamp", sale.sale_transaction_id.time_stamp)
    return text_of(path, field, text, longest)


def _original_id(original: OriginalPOITransaction | None, path: str) -> str:
    if original is None or original.poi_transaction_id is None:
        return ""
    identification: TransactionIdentification = original.poi_transaction_id
    path = f"{path}.POITransactionID"
    text_of(path, "TimeStamp", identification.time_stamp)
    return text_of(path, "TransactionID", identification.transaction_id)


def _money(amounts: AmountsReq, kind: str, currency: str) -> Money:
    if amounts.currency not in CURRENCIES:
        allowed = "three capital letters of ISO 4217"
        raise malformed(_AMOUNTS, "Currency", f"{amounts.currency!r} is not a currency", allowed)
    if amounts.currency != currency:
        raise Refused(
            ErrorCondition.UNAVAILABLE_SERVICE,
            f"Currency: this terminal is paid in {currency}, not in {amounts.currency}.",
        )
    if amounts.requested_amount is None:
        raise malformed(_AMOUNTS, "RequestedAmount", "Missing", f"an amount in {currency}")
    money = _amount(amounts, "requested_amount", currency)
    if not money.minor and kind != PaymentType.COMPLETION:
        allowed = "more than 0"
        if kind == PaymentType.UPDATE_RESERVATION:
            allowed += ". A Completion of 0 releases a reservation"
        raise malformed(_AMOUNTS, "RequestedAmount", "It is 0", allowed)
    _check_parts(amounts, kind, money)
    return money


def _check_parts(amounts: AmountsReq, kind: str, money: Money) -> None:
    cash = _amount(amounts, "cash_back_amount", money.currency).minor
    tip = _amount(amounts, "tip_amount", money.currency).minor
    if cash and kind != PaymentType.NORMAL:
        raise malformed(_AMOUNTS, "CashBackAmount", f"A {kind} has none", "only with Normal")
    if tip and kind not in _TIPPED:
        allowed = "only with " + " and ".join(sorted(_TIPPED))
        raise malformed(_AMOUNTS, "TipAmount", f"A {kind} has none", allowed)
    if cash + tip > money.minor:
        field = "CashBackAmount" if cash else "TipAmount"
        raise malformed(
            _AMOUNTS,
            field,
            "CashBackAmount and TipAmount are parts of RequestedAmount, and more than it",
            f"up to {money.decimal()} together",
        )


def _amount(amounts: AmountsReq, attribute: str, currency: str) -> Money:
    """One of the amounts; nothing of it where it is absent."""
    value: Decimal = getattr(amounts, attribute) or Decimal(0)
    try:
        return from_decimal(value, currency)
    except InvalidRequest as error:
        field = names.key(attribute)
        raise malformed(_AMOUNTS, field, error.problem, error.allowed) from None


def text_of(path: str, field: str, text: str | None, longest: int = LONGEST) -> str:
    """A text of the till that is kept; empty when it is absent. Raises `Refused` when it is too
    long, has control characters, or looks like a card number (law 7)."""
    if not text:
        return ""
    if len(text) > longest:
        problem, allowed = f"It has {len(text)} characters", f"at most {longest}"
        raise malformed(path, field, problem, allowed)
    # What is printable has none, and nearly every text is.
    if not text.isprintable() and any(unicodedata.category(each)[0] == "C" for each in text):
        raise malformed(path, field, "It has control characters", "text of one line")
    if pan.is_in(text):
        problem = "It looks like a card number, which must never be sent or kept here"
        raise malformed(path, field, problem, "a reference of the sale's own")
    return text
