"""What a terminal's answer says of the money: explicit success, explicit failure, a refusal, or
nothing definite.

Pure functions. An answer counts only if it is of our exchange and its amount can be that of what
was asked for. `Stated` is an ErrorCondition that a doubled delivery of the message could have
caused as well, or behind which a payment may stand all the same: it counts only as the repeated
response of a TransactionStatus (`status_reading`), or as a proof once the terminal says that it
knows of nothing.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final, TypeAlias

import msgspec

from tillwire.clock import Instant, instant
from tillwire.core.model import Cause, Evidence, Outcome, Transaction, TransactionType, Verdict
from tillwire.core.moves import check_outcome
from tillwire.dialects.nexo.driver.cards import card_facts, conversion_of
from tillwire.dialects.nexo.driver.pos import (
    HANDLE_ID,
    HANDLE_POI,
    HANDLE_SALE,
    HANDLE_TIME,
    PAYMENT_TYPE,
    Order,
)
from tillwire.dialects.nexo.driver.receipt_texts import fields_of, receipts_of
from tillwire.dialects.nexo.wire import MessageHeader
from tillwire.dialects.nexo.wire.services import (
    PaymentResponse,
    PaymentResult,
    ReversalResponse,
    TransactionStatusResponse,
)
from tillwire.dialects.nexo.wire.shared import POIData, Response, TransactionIdentification
from tillwire.dialects.nexo.wire.values import ErrorCondition, MessageType, PaymentType, Result
from tillwire.errors import InvalidRequest, RemoteProtocolError
from tillwire.money import from_decimal

LONGEST_REASON: Final = 300
_CODE: Final = re.compile(r"\(([0-9]{2})\)\Z")
"""The issuer's code at the end of its words, for which the protocol has no member."""

_ENDS: Final = {
    ErrorCondition.REFUSAL: (Verdict.DECLINED, None),
    ErrorCondition.WRONG_PIN: (Verdict.DECLINED, None),
    ErrorCondition.INVALID_CARD: (Verdict.DECLINED, None),
    ErrorCondition.PAYMENT_RESTRICTION: (Verdict.DECLINED, None),
    ErrorCondition.CANCEL: (Verdict.CANCELLED, Cause.CARDHOLDER),
    ErrorCondition.ABORTED: (Verdict.CANCELLED, Cause.TILL),
}
"""Failures that say by themselves how it ended."""
_REFUSALS: Final = frozenset(
    {
        ErrorCondition.BUSY,
        ErrorCondition.NOT_ALLOWED,
        ErrorCondition.LOGGED_OUT,
        ErrorCondition.MESSAGE_FORMAT,
        ErrorCondition.UNAVAILABLE_SERVICE,
        ErrorCondition.UNAVAILABLE_DEVICE,
        ErrorCondition.DEVICE_OUT,
        ErrorCondition.NOT_FOUND,
        ErrorCondition.IN_PROGRESS,
    }
)
"""Failures that say that it was not begun."""
_ASK_AGAIN: Final = frozenset({ErrorCondition.IN_PROGRESS, ErrorCondition.BUSY})
LOG_IN: Final = frozenset({ErrorCondition.LOGGED_OUT, ErrorCondition.NOT_ALLOWED})
"""What a terminal answers to whom it does not know (Swedbank: `NotAllowed`)."""


class Ended(msgspec.Struct, frozen=True):
    """It ended, and how."""

    outcome: Outcome


class Stated(msgspec.Struct, frozen=True):
    """A failure that counts once it is confirmed."""

    condition: str
    words: str
    outcome: Outcome | None
    """How it ended, if this is what the terminal repeats; None: that is the proof that it was not
    begun."""


class Unclear(msgspec.Struct, frozen=True):
    """Nothing definite."""

    words: str


class Running(msgspec.Struct, frozen=True):
    """It has not ended yet, or the terminal has no time to say."""

    words: str


class NotKnown(msgspec.Struct, frozen=True):
    """The terminal knows of no such exchange."""


class LoggedOut(msgspec.Struct, frozen=True):
    """The terminal wants a login before it says anything."""

    words: str


Reading: TypeAlias = Ended | Stated | Unclear
StatusReading: TypeAlias = Ended | Stated | Unclear | Running | NotKnown | LoggedOut


# --- the answer to a payment or a reversal --------------------------------------------------------


def money_reading(
    body: PaymentResponse | ReversalResponse, transaction: Transaction, order: Order
) -> Reading:
    """What the response to `order` says of `transaction`."""
    response = body.response
    if response.result == Result.FAILURE:
        return _failure(body, order)
    if response.result not in (Result.SUCCESS, Result.PARTIAL):
        return Unclear(f"A result that nobody knows: {response.result}.")
    try:
        if isinstance(body, PaymentResponse):
            outcome = _paid(body, transaction, order)
        else:
            outcome = _reversed(body, transaction, order)
        check_outcome(transaction, outcome)
    except (RemoteProtocolError, InvalidRequest) as error:
        return Unclear(f"It says {response.result}, but: {error}")
    return Ended(outcome)


def _paid(body: PaymentResponse, transaction: Transaction, order: Order) -> Outcome:
    named = None if body.sale_data is None else body.sale_data.sale_transaction_id.transaction_id
    if named != transaction.id:
        raise RemoteProtocolError(f"It is of the sale {named}, not of {transaction.id}.")
    result = body.payment_result
    amounts = None if result is None else result.amounts_resp
    if result is None or amounts is None:
        raise RemoteProtocolError("There is no AuthorizedAmount.")
    currency = transaction.amount.currency
    if amounts.currency not in (None, currency):
        raise RemoteProtocolError(f"It is in {amounts.currency}, not in {currency}.")
    _check_direction(result, transaction)
    approved = from_decimal(amounts.authorized_amount, currency, "AuthorizedAmount").minor
    tip = 0
    if amounts.tip_amount is not None and transaction.type in _TIPPED:
        given = from_decimal(amounts.tip_amount, currency, "TipAmount").minor
        tip = max(0, given - transaction.terms.tip)
    if transaction.type is TransactionType.INCREMENT:
        assert order.requested is not None, "only a reversal asks for the whole"
        # The protocol answers with what is reserved in all.
        approved += transaction.amount.minor - order.requested
    return msgspec.structs.replace(_described(body, order), approved_amount=approved, tip=tip)


_TIPPED: Final = frozenset(
    {TransactionType.PURCHASE, TransactionType.PREAUTH, TransactionType.CAPTURE}
)


def _check_direction(result: PaymentResult, transaction: Transaction) -> None:
    """An amount that was paid out is no answer to one that was to be paid, and the other way."""
    said, asked = result.payment_type, PAYMENT_TYPE[transaction.type]
    if said and (said == PaymentType.REFUND) is not (asked is PaymentType.REFUND):
        raise RemoteProtocolError(f"It is a {said}, not a {asked}.")


def _reversed(body: ReversalResponse, transaction: Transaction, order: Order) -> Outcome:
    asked, currency = transaction.amount, transaction.amount.currency
    if body.reversed_amount is not None:
        amount = from_decimal(body.reversed_amount, currency, "ReversedAmount").minor
    elif order.requested is None:
        amount = asked.minor
    else:
        raise RemoteProtocolError("There is no ReversedAmount.")
    if amount != asked.minor:
        raise RemoteProtocolError(f"It reversed {body.reversed_amount} {currency}, not {asked}.")
    return msgspec.structs.replace(_described(body, order), approved_amount=amount)


def _failure(body: PaymentResponse | ReversalResponse, order: Order) -> Reading:
    condition = body.response.error_condition or ""
    words = words_of(body.response)
    if condition in _ENDS:
        verdict, cause = _ENDS[ErrorCondition(condition)]
        return Ended(_ended_without_money(body, order, verdict, cause, words))
    if condition in _REFUSALS:
        return Stated(condition, words, None)
    declined = _ended_without_money(body, order, Verdict.DECLINED, None, words)
    return Stated(condition, words, declined)


def _ended_without_money(
    body: PaymentResponse | ReversalResponse,
    order: Order,
    verdict: Verdict,
    cause: Cause | None,
    words: str,
) -> Outcome:
    described = _described(body, order)
    told = _told(body.response)
    code = _CODE.search(told)
    reason = told if code is None else told[: code.start()].rstrip()
    return msgspec.structs.replace(
        described,
        verdict=verdict,
        cause=cause,
        reason=reason or words,
        response_code=described.response_code or (code[1] if code is not None else ""),
    )


def words_of(response: Response) -> str:
    """Why it failed: the condition, and what the terminal says of it, without a full stop."""
    condition = response.error_condition or response.result
    told = _told(response)
    return f"{condition}: {told}" if told else condition


def _told(response: Response) -> str:
    told = response.additional_response or ""
    if "=" in told:  # form-encoded, as with Adyen
        fields = fields_of(told)
        told = fields.get("refusalReason") or fields.get("message") or told
    return _one_line(told).rstrip(".")


def _one_line(text: str) -> str:
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())[
        :LONGEST_REASON
    ]


# --- what is told beside the amount ---------------------------------------------------------------


def _described(body: PaymentResponse | ReversalResponse, order: Order) -> Outcome:
    """An approval of nothing, with all that the answer tells beside the amount."""
    result = body.payment_result if isinstance(body, PaymentResponse) else None
    acquirer = None if result is None else result.payment_acquirer_data
    transaction_id = None if acquirer is None else acquirer.acquirer_transaction_id
    named = None if body.poi_data is None else body.poi_data.poi_transaction_id
    outcome = Outcome(
        Verdict.APPROVED,
        at=_instant(transaction_id) or _instant(named),
        receipts=receipts_of(body.payment_receipt),
        handle=_handle(body.poi_data, order),
    )
    if acquirer is not None:
        reference = acquirer.rrn or (transaction_id.transaction_id if transaction_id else "")
        outcome = msgspec.structs.replace(
            outcome,
            response_code=acquirer.response_code or "",
            authorisation_code=acquirer.approval_code or "",
            stan=acquirer.stan or "",
            acquirer_reference=reference,
        )
    if result is None:
        return outcome
    return msgspec.structs.replace(
        outcome,
        conversion=conversion_of(result.currency_conversion),
        **card_facts(result),
    )


def _handle(data: POIData | None, order: Order) -> dict[str, str]:
    named = None if data is None else data.poi_transaction_id
    if named is None:
        return {}
    return {
        HANDLE_ID: named.transaction_id,
        HANDLE_TIME: named.time_stamp,
        HANDLE_POI: order.poi_id,
        HANDLE_SALE: order.sale_id,
    }


def _instant(named: TransactionIdentification | None) -> Instant | None:
    if named is None:
        return None
    try:
        moment = datetime.fromisoformat(named.time_stamp)
        return None if moment.tzinfo is None else instant(moment)
    except (ValueError, OverflowError):
        return None


# --- the answer to a TransactionStatus ------------------------------------------------------------


def status_reading(
    body: TransactionStatusResponse, transaction: Transaction, order: Order
) -> StatusReading:
    """What the answer to a question for `order` says of `transaction`. That it was found says
    nothing yet: what counts is the response in there."""
    response = body.response
    if response.result == Result.FAILURE:
        return _no_status(response)
    if response.result not in (Result.SUCCESS, Result.PARTIAL):
        return Unclear(f"A result that nobody knows: {response.result}.")
    repeated = body.repeated_message_response
    header = None if repeated is None else repeated.message_header
    inner = None if repeated is None else repeated.repeated_response_message_body
    if inner is None or header is None or not _is_answer_to(order, header):
        return Unclear("It repeats no response, or that to another message.")
    found = inner.payment_response or inner.reversal_response
    if found is None or header.message_category != _category(found):
        return Unclear("It repeats the response to another kind of message.")
    reading = money_reading(found, transaction, order)
    if isinstance(reading, Ended):
        return Ended(msgspec.structs.replace(reading.outcome, evidence=Evidence.RECOVERED))
    if isinstance(reading, Stated):
        if reading.condition == ErrorCondition.IN_PROGRESS:
            return Running(reading.words)
        if reading.outcome is not None:
            recovered = msgspec.structs.replace(reading.outcome, evidence=Evidence.RECOVERED)
            return msgspec.structs.replace(reading, outcome=recovered)
    return reading


def _no_status(response: Response) -> StatusReading:
    words = words_of(response)
    condition = response.error_condition
    if condition == ErrorCondition.NOT_FOUND:
        return NotKnown()
    if condition in _ASK_AGAIN:
        return Running(words)
    if condition in LOG_IN:
        return LoggedOut(words)
    return Unclear(words)


# --- the last transaction, as evidence to show ----------------------------------------------------


def evidence(body: PaymentResponse | ReversalResponse, order: Order) -> Outcome | None:
    """What a response says by itself, whatever was asked for; None where it says of no end. An
    amount without a currency is told in words."""
    response = body.response
    if response.result == Result.FAILURE:
        reading = _failure(body, order)
        return reading.outcome if isinstance(reading, Ended | Stated) else None
    if response.result not in (Result.SUCCESS, Result.PARTIAL):
        return None
    outcome = _described(body, order)
    if isinstance(body, ReversalResponse):
        amount = body.reversed_amount
        words = "Reversed." if amount is None else f"Reversed {amount:f}."
        return msgspec.structs.replace(outcome, reason=words)
    amounts = None if body.payment_result is None else body.payment_result.amounts_resp
    if amounts is None:
        return outcome
    try:
        money = from_decimal(amounts.authorized_amount, amounts.currency or "", "AuthorizedAmount")
    except InvalidRequest:
        return msgspec.structs.replace(outcome, reason=f"Authorised {amounts.authorized_amount:f}.")
    if kind_of(body) is TransactionType.INCREMENT:
        return msgspec.structs.replace(outcome, reason=f"{money} are reserved in all.")
    return msgspec.structs.replace(outcome, approved_amount=money.minor)


def kind_of(body: PaymentResponse | ReversalResponse) -> TransactionType | None:
    """What was done, where a response tells."""
    if isinstance(body, ReversalResponse):
        return TransactionType.REVERSAL
    told = None if body.payment_result is None else body.payment_result.payment_type
    return next((kind for kind, each in PAYMENT_TYPE.items() if each == told), None)


def _category(body: PaymentResponse | ReversalResponse) -> str:
    return type(body).__name__.removesuffix(MessageType.RESPONSE.value)


def _is_answer_to(order: Order, header: MessageHeader) -> bool:
    return (
        header.message_type == MessageType.RESPONSE
        and header.message_category == order.category
        and header.service_id == order.service_id
        and header.sale_id == order.sale_id
        and header.poi_id == order.poi_id
    )
