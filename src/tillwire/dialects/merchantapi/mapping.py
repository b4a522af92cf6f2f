"""The engine's things in the words of the MerchantAPI."""

from __future__ import annotations

from typing import Final

from msgspec import UNSET, UnsetType

from tillwire import clock
from tillwire.core import receipts
from tillwire.core.estate import Estate
from tillwire.core.estate_model import ApiKey, Store, Terminal
from tillwire.core.model import (
    Outcome,
    State,
    Transaction,
    TransactionType,
    Verdict,
)
from tillwire.dialects.merchantapi import wire
from tillwire.money import Money

VISIBLE: Final = frozenset({TransactionType.PURCHASE, TransactionType.REFUND})
"""The types that the source knows. Others, made through other faces, do not exist here."""

_STATUSES: Final = {
    State.ACCEPTED: wire.Status.CREATED,
    State.SENT: wire.Status.CREATED,
    State.STARTED: wire.Status.CREATED,
    State.UNKNOWN: wire.Status.CREATED,
    State.APPROVED: wire.Status.AUTHORIZED,
    State.DECLINED: wire.Status.CANCELLED,
    State.CANCELLED: wire.Status.CANCELLED,
    State.FAILED: wire.Status.CANCELLED,
}
_RESULTS: Final[dict[Verdict, wire.Result | UnsetType]] = {
    Verdict.APPROVED: wire.Result.APPROVED,
    Verdict.DECLINED: wire.Result.DECLINED,
    Verdict.CANCELLED: UNSET,
}


def status_of(known: Transaction) -> wire.Status:
    """The status: CREATED as long as nobody can tell, CLEARED once it will be settled."""
    if known.state is State.APPROVED and known.cleared_at is not None:
        return wire.Status.CLEARED
    return _STATUSES[known.state]


def transaction(known: Transaction, columns: int) -> wire.Transaction:
    """The transaction, with receipts of so many columns once a terminal has processed it."""
    reference = wire.Reference(known.original_id) if known.original_id else UNSET
    outcome = known.outcome
    if outcome is None:
        return wire.Transaction(
            type=wire.TransactionType(known.type),
            id=known.id,
            merchant_order_reference=known.reference,
            creation_datetime=wire.milliseconds(clock.utc(known.created_at)),
            amount=wire.Amount.of(known.amount),
            reference=reference,
            status=status_of(known),
        )
    at = outcome.at or known.ended_at or known.created_at
    slips = receipts.both_receipts(known, columns)
    return wire.Transaction(
        type=wire.TransactionType(known.type),
        id=known.id,
        merchant_order_reference=known.reference,
        creation_datetime=wire.milliseconds(clock.utc(known.created_at)),
        amount=wire.Amount.of(known.amount),
        reference=reference,
        transaction_datetime=wire.seconds(clock.utc(at)),
        approved_amount=_approved_amount(known, outcome),
        system_trace_audit_number=outcome.stan or UNSET,
        brand=outcome.brand or UNSET,
        receipt=slips.cardholder or UNSET,
        merchant_receipt=slips.merchant or UNSET,
        result=_RESULTS[outcome.verdict],
        status=status_of(known),
        store=wire.StoreReference(known.heading.store_id, known.heading.store),
    )


def _approved_amount(known: Transaction, outcome: Outcome) -> wire.Amount | UnsetType:
    if outcome.verdict is not Verdict.APPROVED or outcome.approved_amount == known.amount.minor:
        return UNSET
    return wire.Amount.of(Money(outcome.approved_amount, known.amount.currency))


def store(known: Store) -> wire.Store:
    """A shop."""
    return wire.Store(
        uuid=known.id,
        name=known.name,
        address=known.address,
        city=known.city,
        zip_code=known.zip_code,
        country=known.country,
        time_zone=known.time_zone,
        currency=known.currency,
    )


def terminal(known: Terminal, estate: Estate) -> wire.Terminal:
    """A terminal, with its shop."""
    shop = estate.stores[known.store_id]
    return wire.Terminal(
        known.manufacturer, known.model, known.serial, wire.StoreReference(shop.id, shop.name)
    )


def validity(key: ApiKey) -> wire.Validity | UnsetType:
    """When the key is valid, if that is limited."""
    if key.valid_from is None and key.valid_until is None:
        return UNSET
    return wire.Validity(
        UNSET if key.valid_from is None else wire.seconds(clock.utc(key.valid_from)),
        UNSET if key.valid_until is None else wire.seconds(clock.utc(key.valid_until)),
    )
