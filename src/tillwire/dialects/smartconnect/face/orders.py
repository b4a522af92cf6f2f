"""What a register asks for, as the engine takes it.

QR payments are payments like others: how the customer pays, the terminal knows. A
`TransactionReference` names an authorisation for its end; so does the authorisation's own
`transactionId`.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from tillwire import uuids
from tillwire.core.follow_ups import FOLLOWS
from tillwire.core.model import (
    Callback,
    Exchange,
    Request,
    State,
    Terms,
    Transaction,
    TransactionType,
)
from tillwire.core.ports import Reader
from tillwire.dialects.smartconnect.face import answers
from tillwire.dialects.smartconnect.face.answers import Asked
from tillwire.dialects.smartconnect.face.context import DIALECT, Caller, Context, device_id
from tillwire.dialects.smartconnect.face.teller import ASKED
from tillwire.dialects.smartconnect.wire.transactions import Function, TransactionRequest
from tillwire.errors import InvalidRequest
from tillwire.money import Money

TRANSACTION: Final = "transaction"
FUNCTION: Final = "function"
"""Kinds of exchanges."""
NOWHERE: Final = ""
"""A register's payments are its own, whatever terminal it is paired with."""

_T = TransactionType
TYPES: Final = {
    Function.PURCHASE: _T.PURCHASE,
    Function.PURCHASE_PLUS_CASH: _T.PURCHASE,
    Function.CASH_ADVANCE: _T.CASH_ADVANCE,
    Function.REFUND: _T.REFUND,
    Function.AUTHORISE: _T.PREAUTH,
    Function.FINALISE: _T.CAPTURE,
    Function.QR_MERCHANT_PURCHASE: _T.PURCHASE,
    Function.QR_CONSUMER_PURCHASE: _T.PURCHASE,
    Function.QR_REFUND: _T.REFUND,
}
QR: Final = frozenset(
    {Function.QR_MERCHANT_PURCHASE, Function.QR_CONSUMER_PURCHASE, Function.QR_REFUND}
)
_SALE_NAMES: Final = ("saleId", "invoiceNumber")
"""Members of SaleData by which a till knows the sale."""


def asked_for(context: Context, caller: Caller, wanted: TransactionRequest) -> Asked:
    """What its answers will repeat."""
    return Asked(
        function=wanted.function,
        register_id=wanted.registration.register_id,
        business_name=wanted.registration.business_name,
        vendor_name=wanted.registration.vendor_name,
        merchant_id=context.merchant_id(caller.terminal),
        device_id=device_id(caller.terminal),
        amount=wanted.amount,
        cash=wanted.cash,
        reference=wanted.reference,
        date=wanted.date,
        sale_data=wanted.sale_data,
    )


def exchange_of(
    context: Context, caller: Caller, wanted: TransactionRequest, asked: Asked, key: str
) -> Exchange:
    """The request, to be remembered under the till's own `key` if it has one."""
    number = hashlib.sha256(key.encode()).hexdigest() if key else context.clock.token(16)
    pays = wanted.function in TYPES
    return Exchange(
        organisation_id=caller.register.organisation_id,
        terminal_id=NOWHERE if pays else caller.terminal.id,
        dialect=DIALECT,
        register=caller.register.id,
        number=number,
        kind=TRANSACTION if pays else FUNCTION,
        digest=_digest(wanted),
        at=context.clock.now(),
        request=answers.stored(asked),
    )


def _digest(wanted: TransactionRequest) -> str:
    """Of all that makes two requests the same: not whether the till waits, and whom to tell."""
    told = msgspec.structs.replace(wanted, asynchronous=True, callback_url="")
    return hashlib.sha256(msgspec.json.encode(told)).hexdigest()


async def request_of(
    context: Context, caller: Caller, wanted: TransactionRequest, asked: Asked, exchange: Exchange
) -> Request:
    """What the engine is asked for. Raises `InvalidRequest`, `JournalError`."""
    terminal = caller.terminal
    kind = TYPES[wanted.function]
    original = None
    if kind is _T.CAPTURE:
        original = await _authorised(context, caller, wanted.reference)
    currency = context.engine.estate.stores[terminal.store_id].currency
    return Request(
        organisation_id=terminal.organisation_id,
        terminal_id=terminal.id,
        dialect=DIALECT,
        type=kind,
        amount=Money(wanted.amount, original.amount.currency if original else currency),
        reference=wanted.reference or _sale_name(wanted.sale_data),
        original_id=original.id if original else None,
        register=caller.register.register_id,
        expires_in=context.settings.deliver_within,
        terms=Terms(cash_back=wanted.cash),
        exchange=exchange,
        callback=_callback(context, wanted, asked),
    )


def telling(
    context: Context, exchange: Exchange, wanted: TransactionRequest, asked: Asked
) -> Exchange:
    """The exchange of what is no transaction, with whom to tell. Raises `JournalError`."""
    if not wanted.callback_url:
        return exchange
    address = _sealed(context, wanted.callback_url)
    asked = msgspec.structs.replace(asked, sealed_callback=address)
    return msgspec.structs.replace(exchange, request=answers.stored(asked))


def _sealed(context: Context, url: str) -> str:
    """Where to tell, for the delivery alone. Raises `JournalError`."""
    return context.vault.seal(msgspec.json.encode({"url": url, "headers": {}}).decode())


def _callback(context: Context, wanted: TransactionRequest, asked: Asked) -> Callback | None:
    if not wanted.callback_url:
        return None
    return Callback(
        face=DIALECT,
        sealed=_sealed(context, wanted.callback_url),
        detail={ASKED: answers.stored(asked)},
    )


def _sale_name(sale_data: str) -> str:
    """How the till calls the sale, if it tells."""
    if not sale_data:
        return ""
    told = msgspec.json.decode(sale_data, type=dict[str, object]).get("saleData")
    found = (told.get(name) for name in _SALE_NAMES) if isinstance(told, dict) else ()
    return next((each[:256] for each in found if isinstance(each, str) and each), "")


async def _authorised(context: Context, caller: Caller, reference: str) -> Transaction:
    """The authorisation that is meant: one of the store's of which something is left. Raises
    `InvalidRequest` when there is none, or when there are several."""
    store, organisation = caller.terminal.store_id, caller.terminal.organisation_id
    own = uuids.transaction_of(reference)

    def read(reader: Reader) -> list[Transaction]:
        named = reader.by_reference(organisation, reference)
        also = reader.transaction(own) if own else None
        found = [*named, also] if also and also.organisation_id == organisation else named
        return [
            each
            for each in found
            if each.type in FOLLOWS[_T.CAPTURE]
            and each.dialect == DIALECT
            and each.heading.store_id == store
            and each.state is State.APPROVED
            and each.reversed_at is None
            and not any(_takes(other) for other in reader.follow_ups(each.id))
        ]

    found = await context.engine.journal.read(read)
    if len(found) == 1:
        return found[0]
    problem = "several authorisations have it" if found else "no open authorisation has it"
    raise InvalidRequest("TransactionReference", problem, "that of one authorisation")


def _takes(follower: Transaction) -> bool:
    """Whether a CAPTURE or REVERSAL took the authorisation, or may still take it."""
    return follower.type in (_T.CAPTURE, _T.REVERSAL) and (
        not follower.is_final or follower.approved_amount > 0
    )
