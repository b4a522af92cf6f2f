"""What is asked of the cloud for a transaction, and what must be remembered of it.

Pure functions. What recovery needs is an `Order`, which goes through the journal (`Order.peer`,
`order_of`) before a byte of the command leaves.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple
from urllib.parse import quote
from uuid import UUID, uuid5

import msgspec

from tillwire.core.model import Transaction, TransactionType
from tillwire.dialects.paymentbridge.driver.settings import DriverSettings, FollowUps
from tillwire.dialects.paymentbridge.wire import bridge, envelope, ids, reading
from tillwire.dialects.paymentbridge.wire.bridge import Action, BridgeOrder
from tillwire.dialects.paymentbridge.wire.envelope import CloudMessage
from tillwire.dialects.paymentbridge.wire.objects import Amounts, Reference
from tillwire.dialects.paymentbridge.wire.outcomes import Operation
from tillwire.dialects.paymentbridge.wire.requests import CaptureRequest, NewTransaction
from tillwire.errors import LocalProtocolError, NotDelivered

TYPES: Final = frozenset(
    {
        TransactionType.PURCHASE,
        TransactionType.PREAUTH,
        TransactionType.REVERSAL,
        TransactionType.REFUND,
        TransactionType.CAPTURE,
    }
)
HANDLE: Final = "transaction_id"
"""In `Outcome.handle`: what the cloud calls it; several with blanks between, if it was paid in
several ways."""
RECEIVED: Final = "received"
"""In `Transaction.peer`: how we know that the terminal has got the order."""
CALLED_AT: Final = "callbacks"
"""In `Transaction.peer`: below which address its terminal was to call us."""
FAILED_AT: Final = "failed_at"
"""In `Transaction.peer`: when the terminal told that it has failed, in milliseconds."""
TAKEN_BY: Final = "taken_by"
"""In `Transaction.peer`: by when the cloud has taken it, if at all, though its answer was lost, in
milliseconds."""
BY_CALLBACK: Final = "callback"
BY_LIST: Final = "list"

_REVERSIBLE: Final = frozenset(
    {TransactionType.PURCHASE, TransactionType.PREAUTH, TransactionType.CAPTURE}
)
_ACTIONS: Final = {
    Operation.SALE: Action.SALE,
    Operation.PREAUTH: Action.AUTHORIZE,
    Operation.CREDIT: Action.CREDIT,
    Operation.REFUND: Action.REFUND,
    Operation.VOID: Action.VOID,
}


class Way(StrEnum):
    """How it is carried out."""

    BRIDGE = "bridge"
    """By the terminal."""
    REST = "rest"
    """By the cloud itself."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What was sent for a transaction, as far as it is needed to find it again."""

    way: Way
    reference: str
    """Our name for it there, a UUID that is made of the transaction's id: so nothing is sent twice
    under two names."""
    device: str = ""
    """The `urn:tid:` to which it was sent, by BRIDGE."""
    original: str = ""
    """What the cloud calls the transaction that it is about."""
    callbacks: str = ""
    """`callback_url` at that time, by BRIDGE."""

    @property
    def peer(self) -> dict[str, str]:
        """As it stands in `Transaction.peer`."""
        return {
            "way": self.way.value,
            "reference": self.reference,
            "device": self.device,
            "original": self.original,
            CALLED_AT: self.callbacks,
        }


class RestCommand(NamedTuple):
    """What the cloud is to do by itself."""

    path: str
    body: bytes


def order_of(peer: Mapping[str, str]) -> Order | None:
    """What was sent, by the journal; None when nothing was."""
    if "reference" not in peer or peer.get("way") not in set(Way):
        return None
    return Order(
        way=Way(peer["way"]),
        reference=peer["reference"],
        device=peer.get("device", ""),
        original=peer.get("original", ""),
        callbacks=peer.get(CALLED_AT, ""),
    )


def operation_of(transaction: Transaction) -> Operation:
    """What it is in the cloud's terms."""
    match transaction.type:
        case TransactionType.PURCHASE:
            return Operation.SALE
        case TransactionType.PREAUTH:
            return Operation.PREAUTH
        case TransactionType.CAPTURE:
            return Operation.CAPTURE
        case TransactionType.REVERSAL:
            return Operation.VOID
        case TransactionType.REFUND:
            return Operation.REFUND if transaction.original_id else Operation.CREDIT
    raise NotDelivered(f"The terminal knows no {transaction.type}.")


def new_order(
    transaction: Transaction, original: Transaction | None, settings: DriverSettings
) -> Order:
    """What will be sent; its device is not known yet. Raises `NotDelivered` for what Payment
    Bridge cannot express."""
    operation = operation_of(transaction)
    called = ""
    if transaction.original_id is not None:
        if original is None:
            raise NotDelivered(f"Its original {transaction.original_id} is not in the journal.")
        called = _called(original)
        if operation is Operation.VOID:
            _check_reversal(transaction, original)
    rest = operation is Operation.CAPTURE or (
        bool(called) and settings.follow_ups is FollowUps.REST
    )
    return Order(
        way=Way.REST if rest else Way.BRIDGE,
        reference=ids.transaction_uuid(transaction.id),
        original=called,
        callbacks="" if rest else settings.callback_url,
    )


def _called(original: Transaction) -> str:
    """What the cloud calls the original."""
    known = original.outcome.handle.get(HANDLE, "").split() if original.outcome else []
    if not known:
        raise NotDelivered("The cloud has told no id of its original.")
    if len(known) > 1:
        raise NotDelivered(
            "Its original was paid in several ways: they are given back on the terminal, each."
        )
    return known[0]


def _check_reversal(transaction: Transaction, original: Transaction) -> None:
    if original.type not in _REVERSIBLE:
        raise NotDelivered(f"The cloud cannot reverse a {original.type}.")
    if transaction.amount.minor != original.approved_amount:
        raise NotDelivered("The cloud reverses the whole amount or nothing.")


# --- what is written ----------------------------------------------------------------------------


def message(
    transaction: Transaction, order: Order, settings: DriverSettings, callback_url: str
) -> bytes:
    """The cloud message with the order in it. Raises `NotDelivered` if it cannot be written."""
    if settings.encode_callback_url:
        callback_url = quote(callback_url, safe="")
    try:
        data = bridge.encode(
            _bridge_order(transaction, order, settings, callback_url), settings.payload
        )
        return envelope.encode(
            CloudMessage(
                business_id=settings.business_id,
                store_id=settings.store_id,
                device_id=order.device,
                ttl=settings.ttl_seconds,
                data=data,
            )
        )
    except LocalProtocolError as error:
        raise NotDelivered(str(error)) from error


def _bridge_order(
    transaction: Transaction, order: Order, settings: DriverSettings, callback_url: str
) -> BridgeOrder:
    operation, terms = operation_of(transaction), transaction.terms
    amount: int | None = None
    tip = cashback = 0
    if operation is not Operation.VOID:
        if operation is Operation.SALE:
            tip, cashback = terms.tip, terms.cash_back
        amount = transaction.amount.minor - tip - cashback
    return BridgeOrder(
        action=_ACTIONS[operation],
        amount=amount,
        tip=tip,
        cashback=cashback,
        currency="" if amount is None else transaction.amount.currency,
        reference=order.reference,
        callback_url=callback_url,
        transaction_id=order.original,
        flags=frozenset(settings.options),
    )


def message_id(order: Order) -> str:
    """The request id of a cloud message: the same for the same device, another for another."""
    return str(uuid5(UUID(order.reference), order.device))


def rest_command(transaction: Transaction, order: Order, settings: DriverSettings) -> RestCommand:
    """What the cloud is to do (source 000's cloud; the path of a capture is not documented)."""
    base = f"/businesses/{settings.business_id}/transactions"
    minor, currency = transaction.amount.minor, transaction.amount.currency
    amounts = Amounts(transaction_amount=minor, order_amount=minor, tip_amount=0, currency=currency)
    operation = operation_of(transaction)
    if operation is Operation.VOID:
        return RestCommand(f"{base}/{quote(order.original, safe='')}/void", b"")
    if operation is Operation.CAPTURE:
        path = settings.capture_of(quote(order.original, safe=""))
        return RestCommand(path, reading.encode(CaptureRequest(amounts=amounts)))
    refund = NewTransaction(
        action="REFUND",
        parent_id=order.original,
        amounts=amounts,
        references=(Reference.of(order.reference),),
    )
    return RestCommand(base, reading.encode(refund))
