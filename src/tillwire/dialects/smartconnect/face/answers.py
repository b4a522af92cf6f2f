"""What a register is told of its transactions: envelopes, made of what is journaled.

Pure functions. What has ended follows from the transaction's final outcome and from what was asked
for alone, so it stays the same however often and whenever it is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from tillwire import uuids
from tillwire.core.model import Outcome, State, Transaction
from tillwire.core.receipts import cardholder_receipt
from tillwire.dialects.smartconnect.wire import stamps
from tillwire.dialects.smartconnect.wire.envelope import COMPLETED, PENDING, Envelope, Result
from tillwire.dialects.smartconnect.wire.outcomes import (
    ACCEPTED,
    CANCELLED,
    DECLINED,
    DELAYED,
    FAILED_INTERFACE,
    OK,
    OK_DELAYED,
)
from tillwire.dialects.smartconnect.wire.transactions import Function, amount_field

RECEIPT_COLUMNS: Final = 30
_HIDDEN_CARD: Final = "...."

_MEMBERS: Final = {
    "AmountTotal": "amount_total",
    "AmountAuth": "amount_auth",
    "AmountFinal": "amount_final",
}
"""The member of a `Result` for a form's field."""
_ENDINGS: Final[Mapping[State, tuple[str, str]]] = {
    State.APPROVED: (ACCEPTED, OK),
    State.DECLINED: (DECLINED, OK),
    State.CANCELLED: (CANCELLED, CANCELLED),
}
AWAY: Final = (CANCELLED, FAILED_INTERFACE)
"""`TransactionResult` and `Result` of what did not reach the terminal: no money has moved."""


class Asked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a register asked for, as far as answers repeat it: `Exchange.request`."""

    function: Function
    register_id: str
    business_name: str
    vendor_name: str
    merchant_id: str
    device_id: str
    amount: int = 0
    cash: int = 0
    reference: str = ""
    date: str = ""
    sale_data: str = ""
    sealed_callback: str = ""
    """Of a function without money: whom to tell."""


_asked: Final = msgspec.json.Decoder(Asked)


def stored(asked: Asked) -> str:
    """As it is journaled."""
    return msgspec.json.encode(asked).decode()


def read(text: str) -> Asked:
    """What was journaled."""
    return _asked.decode(text)


def begun(asked: Asked, transaction_id: str, at: int) -> Envelope:
    """It was accepted at `at`, and its end is not known. The id is of 31 digits."""
    return Envelope(
        transaction_id=uuids.transaction_uuid(transaction_id),
        transaction_time_stamp=stamps.long(at),
        merchant_id=asked.merchant_id,
        device_id=asked.device_id,
        transaction_status=PENDING,
        data=_echo(asked),
    )


def addressed(envelope: Envelope, url: str, token: str) -> Envelope:
    """The same, with where to poll for it."""
    assert envelope.data is not None, "an answer of ours has data"
    data = msgspec.structs.replace(envelope.data, polling_url=f"{url}?merchantAccessToken={token}")
    return msgspec.structs.replace(envelope, data=data, merchant_access_token=token)


def pending(asked: Asked, transaction_id: str, at: int, *, delayed: bool) -> Envelope:
    """It is not known how it ended; `delayed` tells that it takes long."""
    envelope = begun(asked, transaction_id, at)
    if not delayed:
        return envelope
    data = msgspec.structs.replace(_echo(asked), transaction_result=OK_DELAYED, result=DELAYED)
    return msgspec.structs.replace(envelope, data=data)


def completed(asked: Asked, transaction_id: str, at: int, result: Result) -> Envelope:
    """It has ended like this."""
    return msgspec.structs.replace(
        begun(asked, transaction_id, at), transaction_status=COMPLETED, data=result
    )


def of_transaction(asked: Asked, known: Transaction, now: int, delayed_after: float) -> Envelope:
    """How far the transaction is. What nobody can tell is told as delayed: it will be told."""
    if known.is_final:
        return completed(asked, known.id, known.created_at, ending(asked, known))
    late = now - known.created_at >= delayed_after * 1000
    delayed = late or known.state is State.UNKNOWN
    return pending(asked, known.id, known.created_at, delayed=delayed)


def ending(asked: Asked, known: Transaction) -> Result:
    """The `data` of a transaction that has ended."""
    assert known.ended_at is not None, "what is final has ended"
    told, result = AWAY if known.outcome is None else _ENDINGS[known.state]
    return msgspec.structs.replace(
        _echo(asked),
        transaction_result=told,
        result=result,
        request_id=uuids.transaction_uuid(known.id),
        merchant="1",
        terminal_ref=known.heading.tid,
        request_timestamp=stamps.long(known.created_at),
        response_timestamp=stamps.long(known.ended_at),
        **_of_outcome(known, known.outcome) if known.outcome else {},
    )


def _of_outcome(known: Transaction, outcome: Outcome) -> dict[str, str]:
    """What the terminal said."""
    at = outcome.at or known.ended_at or known.created_at
    told = {
        "auth_id": outcome.authorisation_code,
        "acquirer_ref": outcome.acquirer_reference or outcome.stan,
        "card_pan": card_pan(outcome.card_last4),
        "card_type": outcome.brand,
        "timestamp": stamps.short(at, known.heading.time_zone),
        "receipt": cardholder_receipt(known, RECEIPT_COLUMNS),
    }
    if known.state is not State.APPROVED:
        return told
    return told | {
        "amount_total": str(outcome.approved_amount),
        "amount_surcharge": "0",
        "amount_tip": str(outcome.tip),
    }


def card_pan(last4: str) -> str:
    """A card's number as it is told; empty if it is not known."""
    return f"{_HIDDEN_CARD}{last4}" if last4 else ""


def _echo(asked: Asked) -> Result:
    """The `data` that repeats what was asked for."""
    field = amount_field(asked.function)
    amounts = {_MEMBERS[field]: str(asked.amount)} if field else {}
    return Result(
        function=asked.function.value,
        pos_vendor=asked.vendor_name,
        pos_register_id=asked.register_id,
        pos_business_name=asked.business_name,
        device_id=asked.device_id,
        amount_cash=str(asked.cash) if asked.cash else "",
        transaction_reference=asked.reference,
        sale_data=asked.sale_data,
        **amounts,
    )


# --- functions that move no money ---------------------------------------------------------------


def function_ending(
    asked: Asked, number: str, at: int, until: int, words: tuple[str, str]
) -> Result:
    """The `data` of a function of this id (31 digits) that was begun at `at` and has ended."""
    told, result = words
    repeated = asked.function is not Function.GET_TRANS_RESULT
    return msgspec.structs.replace(
        _echo(asked),
        transaction_result=told,
        result=result,
        request_id=uuids.transaction_uuid(number),
        merchant="1",
        request_timestamp=stamps.long(at),
        response_timestamp=stamps.long(until),
        sale_data=asked.sale_data if repeated else "",
    )
