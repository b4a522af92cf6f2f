"""What a cloud message asks for, as the engine takes it.

A `referenceId` is the caller's own name of an order and never charges twice: it is the idempotency
key, within the application, of all its sales, and of what follows one transaction. Whatever cannot
be done exactly as it was asked for is refused.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from tillwire.core.estate_model import Application, Merchant, Terminal
from tillwire.core.model import Callback, Request, Terms, TransactionType
from tillwire.dialects.paymentbridge.face import originals, transactions
from tillwire.dialects.paymentbridge.face.context import DIALECT, Context
from tillwire.dialects.paymentbridge.face.settings import Settings
from tillwire.dialects.paymentbridge.face.teller import FACE, Notes
from tillwire.dialects.paymentbridge.wire import reading
from tillwire.dialects.paymentbridge.wire.bridge import Action, BridgeOrder
from tillwire.errors import InvalidRequest
from tillwire.money import Money

_TYPES: Final = {
    Action.SALE: TransactionType.PURCHASE,
    Action.AUTHORIZE: TransactionType.PREAUTH,
    Action.VOID: TransactionType.REVERSAL,
    Action.REFUND: TransactionType.REFUND,
    Action.CREDIT: TransactionType.REFUND,
}
_CHARGES: Final = frozenset({Action.SALE, Action.AUTHORIZE})
_CANNOT: Final = frozenset(
    {"verifyOnly", "readCardDataOnly", "isBalanceInquiry", "balanceInquiry", "offlineAuth"}
    | {"cashOnly", "voucher", "adjustToAddCharges", "captureWithCard", "incrementalAuthWithCard"}
    | {"ebtCashCashback"}
)
"""Options that ask for something else than the card payment that would be made. The other ones
are wishes of how it is made, and do no harm where they are not heeded."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was read, and whose it is."""

    application: Application
    merchant: Merchant
    terminal: Terminal
    order: BridgeOrder
    ttl: int
    """Seconds."""
    collapse_key: str = ""


async def request_of(context: Context, asked: Asked) -> Request:
    """What the engine is asked for. Raises `InvalidRequest`, `Refused`, `JournalError`."""
    order = asked.order
    if unable := sorted(order.flags & _CANNOT):
        raise InvalidRequest(unable[0], "the terminals here cannot do this", "without it")
    original, told = None, ""
    if order.action in (Action.VOID, Action.REFUND):
        kind = _TYPES[order.action]
        original = await originals.original(context, asked.merchant, order.transaction_id, kind)
    if original is not None and order.action is Action.VOID:
        estate, purchase = context.engine.estate, context.settings.purchase_action
        told = reading.encode(transactions.shown(original.transaction, estate, purchase)).decode()
    key = f"{asked.application.id} {asked.collapse_key}" if asked.collapse_key else ""
    charge = order.action in _CHARGES
    return Request(
        organisation_id=asked.terminal.organisation_id,
        terminal_id=asked.terminal.id,
        dialect=DIALECT,
        type=_TYPES[order.action],
        amount=_amount(order, original),
        reference=order.reference,
        original_id=original.transaction.id if original else None,
        reserved=original.reserved if original else None,
        partial_allowed=charge and context.settings.partial_approval,
        register=asked.application.id,
        waits=True,
        expires_in=asked.ttl,
        idempotency_key=_key(asked.application, order),
        terms=Terms(
            cash_back=order.cashback if charge else 0,
            tip=order.tip if charge else 0,
            collapse_key=key,
        ),
        callback=_callback(context, order, told),
    )


def _amount(order: BridgeOrder, original: originals.Original | None) -> Money:
    """What is to move. Where the order does not say it, all that is left of the original."""
    if original is None:
        assert order.total is not None, "the wire has looked"
        return Money(order.total, order.currency)
    currency = original.transaction.amount.currency
    total = original.left if order.total is None else order.total
    return Money(total, order.currency or currency)


def _key(application: Application, order: BridgeOrder) -> str:
    """Under which the order is accepted once, for good; empty without a reference."""
    if not order.reference:
        return ""
    kind = "charge" if order.action in _CHARGES else f"{order.action} {order.transaction_id}"
    name = f"{application.id}\n{kind}\n{order.reference}"
    return f"{DIALECT} {hashlib.sha256(name.encode()).hexdigest()}"


def _callback(context: Context, order: BridgeOrder, original: str) -> Callback | None:
    if not order.callback_url:
        return None
    sealed = sealed_address(context, order.callback_url, dict(order.headers))
    settings = context.settings
    notes = Notes(
        reference=order.reference,
        order_id=order.order_id,
        text=order.notes,
        purchase_action=settings.purchase_action,
        original=original,
        **_writing(settings),
    )
    return Callback(face=FACE, sealed=sealed, detail=notes.detail())


def sealed_address(context: Context, url: str, headers: dict[str, str]) -> str:
    """Address and headers, for the delivery alone. Raises `JournalError`."""
    return context.vault.seal(msgspec.json.encode({"url": url, "headers": headers}).decode())


def _writing(settings: Settings) -> dict[str, str]:
    """How callbacks are written, by the settings as they are now."""
    mischief = settings.mischief
    return {
        "style": settings.reference_key_style,
        "gzip": "yes" if settings.gzip else "",
        "drop": ",".join(mischief.drop),
        "twice": "yes" if mischief.final_twice else "",
        "reversed": "yes" if mischief.reversed_order else "",
        "delay": str(mischief.delay) if mischief.delay else "",
    }
