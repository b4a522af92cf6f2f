"""What is asked of the cloud for a transaction. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tillwire import uuids
from tillwire.core.model import Transaction, TransactionType
from tillwire.dialects.smartconnect.driver.settings import DriverSettings, Method
from tillwire.dialects.smartconnect.wire.transactions import Function, TransactionRequest
from tillwire.errors import NotDelivered

REFERENCE: Final = "transaction_reference"
"""In `Outcome.handle`: by which an authorisation is finalised."""

_FUNCTIONS: Final[Mapping[Method, Mapping[TransactionType, Function]]] = {
    Method.CARD: {
        TransactionType.PURCHASE: Function.PURCHASE,
        TransactionType.REFUND: Function.REFUND,
        TransactionType.PREAUTH: Function.AUTHORISE,
        TransactionType.CAPTURE: Function.FINALISE,
        TransactionType.CASH_ADVANCE: Function.CASH_ADVANCE,
    },
    Method.QR_MERCHANT: {
        TransactionType.PURCHASE: Function.QR_MERCHANT_PURCHASE,
        TransactionType.REFUND: Function.QR_REFUND,
    },
    Method.QR_CONSUMER: {
        TransactionType.PURCHASE: Function.QR_CONSUMER_PURCHASE,
        TransactionType.REFUND: Function.QR_REFUND,
    },
}


def kind_of(function: str) -> TransactionType | None:
    """What is done by a function; None where it moves no money, or is none."""
    named = function.strip().casefold()
    return next(
        (
            kind
            for functions in _FUNCTIONS.values()
            for kind, each in functions.items()
            if each.casefold() == named
        ),
        TransactionType.PURCHASE if named == Function.PURCHASE_PLUS_CASH.casefold() else None,
    )


def types(settings: DriverSettings) -> frozenset[TransactionType]:
    """What there is a function for."""
    return frozenset(_FUNCTIONS[settings.method])


def function_of(transaction: Transaction, settings: DriverSettings) -> Function:
    """What the terminal is to do. Raises `NotDelivered` for what it has no function for."""
    function = _FUNCTIONS[settings.method].get(transaction.type)
    if function is None:
        raise NotDelivered(f"SmartConnect has no {transaction.type} by {settings.method}.")
    if transaction.terms.cash_back and transaction.type is TransactionType.PURCHASE:
        if function is not Function.PURCHASE:
            raise NotDelivered("SmartConnect pays out cash with a card alone.")
        return Function.PURCHASE_PLUS_CASH
    return function


def request_of(
    transaction: Transaction, original: Transaction | None, settings: DriverSettings
) -> TransactionRequest:
    """What is asked. Raises `NotDelivered` for what SmartConnect cannot express."""
    if transaction.amount.currency != settings.currency:
        raise NotDelivered(
            f"The terminal takes {settings.currency}, and this is {transaction.amount.currency}."
        )
    function = function_of(transaction, settings)
    return TransactionRequest(
        registration=settings.registration,
        function=function,
        amount=transaction.amount.minor,
        cash=transaction.terms.cash_back if function is Function.PURCHASE_PLUS_CASH else 0,
        reference=reference_of(transaction, original),
    )


def reference_of(transaction: Transaction, original: Transaction | None) -> str:
    """The `TransactionReference`: ours for an authorisation, and the same one again to finalise
    it. Raises `NotDelivered` when the original has none."""
    if transaction.type is TransactionType.PREAUTH:
        return uuids.transaction_uuid(transaction.id)
    if transaction.type is not TransactionType.CAPTURE:
        return ""
    known = original.outcome.handle if original is not None and original.outcome else {}
    if not known.get(REFERENCE):
        raise NotDelivered("Its original was not authorised through SmartConnect.")
    return known[REFERENCE]
