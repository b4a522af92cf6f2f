"""`POST /Transaction`: a register has its terminal do something (source 002).

Every `TransactionType` with its amounts: whole minor units without sign, leading zero or separator,
more than 0, refunds too. What a type does not know must not stand in its form if money hangs on it;
functions without money ignore amounts.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import msgspec

from tillwire.dialects.smartconnect.wire import forms, sale_data
from tillwire.dialects.smartconnect.wire.pairing import Registration, registration_in
from tillwire.errors import InvalidRequest
from tillwire.money import MAX_MINOR

ASYNC: Final = "ASYNC"
PATH: Final = "/Transaction"

_AMOUNT: Final = re.compile(r"[1-9][0-9]{0,14}")
_ADDRESS_CHARACTERS: Final = re.compile(r"[\x21-\x7e]+")


class Function(StrEnum):
    """What the terminal is to do (`TransactionType`), which answers echo as `Function`."""

    PURCHASE = "Card.Purchase"
    PURCHASE_PLUS_CASH = "Card.PurchasePlusCash"
    CASH_ADVANCE = "Card.CashAdvance"
    REFUND = "Card.Refund"
    AUTHORISE = "Card.Authorise"
    FINALISE = "Card.Finalise"
    QR_MERCHANT_PURCHASE = "QR.Merchant.Purchase"
    """The terminal shows the code."""
    QR_CONSUMER_PURCHASE = "QR.Consumer.Purchase"
    """The customer shows it."""
    QR_REFUND = "QR.Refund"
    LOGON = "Acquirer.Logon"
    SETTLEMENT_INQUIRY = "Acquirer.Settlement.Inquiry"
    SETTLEMENT_CUTOVER = "Acquirer.Settlement.Cutover"
    """Ends the period."""
    GET_STATUS = "Terminal.GetStatus"
    READ_CARD = "Terminal.ReadCard"
    PRINT_RECEIPT = "Terminal.PrintReceipt"
    REPRINT_RECEIPT = "Journal.ReprintReceipt"
    GET_TRANS_RESULT = "Journal.GetTransResult"
    """The result of the device's last transaction, whoever asked for that."""


class _Fields(NamedTuple):
    """What the form of a function has beside who sends it."""

    amount: str = ""
    """The field of its amount; empty: no money moves."""
    cash: bool = False
    """Whether `AmountCash` is part of it."""
    reference: bool = False
    """Whether `TransactionReference` must be there."""


_FIELDS: Final = {
    Function.PURCHASE: _Fields("AmountTotal"),
    Function.PURCHASE_PLUS_CASH: _Fields("AmountTotal", cash=True),
    Function.CASH_ADVANCE: _Fields("AmountTotal"),
    Function.REFUND: _Fields("AmountTotal"),
    Function.AUTHORISE: _Fields("AmountAuth"),
    Function.FINALISE: _Fields("AmountFinal", reference=True),
    Function.QR_MERCHANT_PURCHASE: _Fields("AmountTotal"),
    Function.QR_CONSUMER_PURCHASE: _Fields("AmountTotal"),
    Function.QR_REFUND: _Fields("AmountTotal"),
}
AMOUNTS: Final = ("AmountTotal", "AmountCash", "AmountAuth", "AmountFinal")
MOVES_MONEY: Final = frozenset(_FIELDS)
"""Functions that are transactions; the others move nothing."""


class TransactionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a register asks for."""

    registration: Registration
    function: Function
    asynchronous: bool = True
    """Whether the answer is polled for; else the request is held until it is there."""
    amount: int = 0
    """Minor units, cash included; 0 where no money moves."""
    cash: int = 0
    """Minor units of `amount` that are paid out."""
    reference: str = ""
    """`TransactionReference`, by which an authorisation is finalised."""
    date: str = ""
    """Of a settlement inquiry, as it came: its form is not documented."""
    sale_data: str = ""
    """JSON, checked, without card numbers."""
    callback_url: str = ""


def read(octets: bytes, charset: str = "utf-8") -> TransactionRequest:
    """The request in a form. Raises `InvalidRequest`."""
    form = forms.read(octets, charset)
    registration = registration_in(form)
    mode = form.get("TransactionMode", "")
    if mode not in ("", ASYNC):
        raise InvalidRequest("TransactionMode", "it is no mode", f"{ASYNC} or nothing")
    function = _function(form)
    known = _FIELDS.get(function, _Fields())
    amount, cash = _amounts(form, known)
    return TransactionRequest(
        registration=registration,
        function=function,
        asynchronous=mode == ASYNC,
        amount=amount,
        cash=cash,
        reference=forms.named(form, "TransactionReference", must=known.reference),
        date=forms.named(form, "Date", longest=32, must=False),
        sale_data=sale_data.checked(form.get("SaleData", "")),
        callback_url=_callback_url(form),
    )


def write(request: TransactionRequest) -> bytes:
    """The form of a request, its fields in the order in which clients are known to write them."""
    registration = request.registration
    known = _FIELDS.get(request.function, _Fields())
    assert bool(known.amount) == bool(request.amount), "an amount where money moves"
    assert request.cash == 0 or known.cash, "cash only with a purchase"
    return forms.write(
        [
            ("POSRegisterID", registration.register_id),
            ("POSBusinessName", registration.business_name),
            ("POSVendorName", registration.vendor_name),
            ("TransactionMode", ASYNC if request.asynchronous else ""),
            ("TransactionType", request.function.value),
            (known.amount, str(request.amount or "")),
            ("AmountCash", str(request.cash or "")),
            ("TransactionReference", request.reference),
            ("Date", request.date),
            ("SaleData", request.sale_data),
            ("PosNotificationCallbackUrl", request.callback_url),
        ]
    )


def amount_field(function: Function) -> str:
    """The field in which a function has its amount, in forms and in answers; empty: in none."""
    return _FIELDS.get(function, _Fields()).amount


def _function(form: forms.Form) -> Function:
    value = form.get("TransactionType", "")
    if not value:
        raise InvalidRequest("TransactionType", "it is missing", ", ".join(Function))
    try:
        return Function(value)
    except ValueError:
        allowed = ", ".join(Function)
        raise InvalidRequest("TransactionType", "there is no such type", allowed) from None


def _amounts(form: forms.Form, known: _Fields) -> tuple[int, int]:
    if not known.amount:
        return 0, 0
    wanted = [known.amount, "AmountCash"] if known.cash else [known.amount]
    for field in AMOUNTS:
        if field in form and field not in wanted:
            raise InvalidRequest(field, "this type does not have it", " and ".join(wanted))
    amount = _amount(form, known.amount)
    cash = _amount(form, "AmountCash") if known.cash else 0
    if cash > amount:
        raise InvalidRequest(
            "AmountCash", "it is more than AmountTotal", "what AmountTotal includes of cash"
        )
    return amount, cash


def _amount(form: forms.Form, field: str) -> int:
    allowed = f"whole minor units, from 1 to {MAX_MINOR}, digits alone"
    value = form.get(field, "")
    if not value:
        raise InvalidRequest(field, "it is missing", allowed)
    if not _AMOUNT.fullmatch(value):
        raise InvalidRequest(field, "it is no amount", allowed)
    return int(value)


def _callback_url(form: forms.Form) -> str:
    field = "PosNotificationCallbackUrl"
    value = form.get(field, "")
    if value and not is_address(value):
        raise InvalidRequest(
            field,
            "it is no address",
            f"an absolute http or https URL of up to {forms.LONGEST_ADDRESS} characters",
        )
    return value


def is_address(text: str) -> bool:
    """Whether it is an absolute http or https URL without a user in it."""
    if len(text) > forms.LONGEST_ADDRESS or not _ADDRESS_CHARACTERS.fullmatch(text):
        return False
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    return (
        parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and "@" not in parts.netloc
        and port != 0
    )


assert MAX_MINOR == 10**15 - 1, "the pattern of amounts has its limit"
