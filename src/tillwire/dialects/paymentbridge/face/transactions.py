"""Our transactions as the cloud has them (source 000, and the vendor's published model).

Pure functions. What a transaction says there follows from itself alone: a void makes the original
VOIDED and is none of its own, one that is under way is CREATED, and what waits for its terminal, or
ended without a word of it or with a cancellation, was not made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from tillwire.clock import Instant
from tillwire.core.estate import Estate
from tillwire.core.model import (
    Conversion,
    EntryMode,
    Outcome,
    State,
    Transaction,
    TransactionType,
    Verification,
)
from tillwire.dialects.paymentbridge.face.places import device_at
from tillwire.dialects.paymentbridge.wire import ids, objects
from tillwire.dialects.paymentbridge.wire.fields import stamp

_T = TransactionType
_UNLISTED: Final = frozenset({_T.REVERSAL, _T.INCREMENT})
"""Types that change another transaction, and are none themselves there."""
_NOT_MADE: Final = frozenset({State.ACCEPTED, State.CANCELLED, State.FAILED})
"""States in which no terminal has made anything of it: it waits for its terminal, or it is over. If
one that waits were listed, its caller would think that the terminal has got it, also when it has
expired."""
_ACTIONS: Final[Mapping[TransactionType, tuple[str, str]]] = {
    _T.PURCHASE: ("SALE", "CAPTURED"),
    _T.CASH_ADVANCE: ("SALE", "CAPTURED"),
    _T.PREAUTH: ("AUTHORIZE", "AUTHORIZED"),
    _T.REFUND: ("REFUND", "REFUNDED"),
    _T.CAPTURE: ("CAPTURE", "CAPTURED"),
}
"""Action, and status once it is approved."""
_CARD_TYPES: Final[Mapping[str, str]] = {
    **{
        each: each
        for each in ("VISA", "MASTERCARD", "MAESTRO", "JCB", "UNIONPAY", "DISCOVER", "DANKORT")
    },
    "V_PAY": "VISA",
    "AMEX": "AMERICAN_EXPRESS",
    "DINERS": "DINERS_CLUB",
}
_ENTRY_MODES: Final = {
    EntryMode.CONTACTLESS: "CONTACTLESS_INTEGRATED_CIRCUIT_CARD",
    EntryMode.CHIP: "INTEGRATED_CIRCUIT_CARD",
    EntryMode.SWIPE: "TRACK_DATA_FROM_MAGSTRIPE",
    EntryMode.MANUAL: "KEYED",
}


def is_one(known: Transaction) -> bool:
    """Whether it is a transaction of its own there, if it came to anything."""
    return known.type not in _UNLISTED


def is_listed(known: Transaction) -> bool:
    """Whether the cloud has a transaction of it."""
    return is_one(known) and known.state not in _NOT_MADE


def updated_at(known: Transaction) -> Instant:
    """When it changed last."""
    moments = (known.created_at, known.ended_at, known.reversed_at)
    return max(each for each in moments if each is not None)


def shown(known: Transaction, estate: Estate, purchase_action: str) -> objects.Transaction:
    """The transaction as the cloud has it."""
    action, _ = _ACTIONS[known.type]
    if known.type is _T.PURCHASE:
        action = purchase_action
    store = estate.stores.get(known.heading.store_id)
    business = ids.business_id(store.merchant_id) if store else None
    outcome = known.outcome
    parent = ids.transaction_uuid(known.original_id) if known.original_id else None
    return objects.Transaction(
        id=ids.transaction_uuid(known.id),
        parent_id=parent,
        created_at=stamp(known.created_at),
        updated_at=stamp(updated_at(known)),
        action=action,
        status=_status(known, purchase_action),
        auth_only=known.type is _T.PREAUTH,
        voided=known.reversed_at is not None,
        partially_approved=_is_partial(known) or None,
        settled=known.cleared_at is not None,
        signature_required=_verified(outcome, Verification.SIGNATURE),
        pin_captured=_verified(outcome, Verification.PIN),
        approval_code=_text(outcome, "authorisation_code"),
        system_trace_audit_number=_text(outcome, "stan"),
        amounts=_amounts(known),
        context=_context(known, estate, business),
        funding_source=None if outcome is None else _funding(outcome),
        processor_response=None if outcome is None else _response(known, outcome),
        references=(objects.Reference.of(known.reference),) if known.reference else (),
        links=_links(business, parent),
    )


def voided(original: objects.Transaction, at: Instant) -> objects.Transaction:
    """The transaction after its void."""
    return msgspec.structs.replace(original, status="VOIDED", voided=True, updated_at=stamp(at))


def refused_void(original: objects.Transaction, void: Transaction) -> objects.Transaction:
    """A void that was declined: a try of its own, so that nobody takes the original for
    declined."""
    return msgspec.structs.replace(
        original,
        id=ids.transaction_uuid(void.id),
        parent_id=original.id,
        created_at=stamp(void.created_at),
        updated_at=stamp(updated_at(void)),
        action="VOID",
        status="DECLINED",
        settled=None,
        approval_code=None,
        processor_response=_response(void, void.outcome) if void.outcome else None,
        references=(objects.Reference.of(void.reference),) if void.reference else (),
    )


def _status(known: Transaction, purchase_action: str) -> str:
    if known.reversed_at is not None:
        return "VOIDED"
    if known.state is State.DECLINED:
        return "DECLINED"
    if known.state is not State.APPROVED:
        return "CREATED"
    if known.type is _T.PURCHASE and purchase_action == "AUTHORIZE":
        return "AUTHORIZED"
    return _ACTIONS[known.type][1]


def _is_partial(known: Transaction) -> bool:
    outcome = known.outcome
    if outcome is None or known.state is not State.APPROVED:
        return False
    return outcome.approved_amount - outcome.tip < known.amount.minor


def _amounts(known: Transaction) -> objects.Amounts:
    """Of an approved one what really moved, else what was asked for."""
    total, tip, cashback = known.amount.minor, known.terms.tip, known.terms.cash_back
    if known.outcome is not None and known.state is State.APPROVED:
        total, tip = known.outcome.approved_amount, tip + known.outcome.tip
    if _is_partial(known):
        tip = cashback = 0
    return objects.Amounts(
        transaction_amount=total,
        order_amount=total - tip - cashback,
        tip_amount=tip,
        cashback_amount=cashback,
        currency=known.amount.currency,
    )


def _context(known: Transaction, estate: Estate, business: str | None) -> objects.Context:
    heading = known.heading
    return objects.Context(
        business_id=business,
        store_id=heading.store_id,
        store_device_id=device_at(estate, known.terminal_id, known.created_at),
        tid=heading.tid or None,
        source="INSTORE",
        store_timezone=heading.time_zone,
        store_address_city=heading.city,
    )


def _funding(outcome: Outcome) -> objects.FundingSource | None:
    if not (outcome.brand or outcome.card_last4):
        return None
    card = objects.Card(
        type=_CARD_TYPES.get(outcome.brand, "OTHER"),
        number_first6=outcome.card_bin[:6] or None,
        number_last4=outcome.card_last4 or None,
    )
    details = None
    if outcome.entry_mode is not None:
        details = objects.EntryDetails(
            customer_presence_status="PRESENT", entry_mode=_ENTRY_MODES[outcome.entry_mode]
        )
    tags = {"0x4F": outcome.application_id} if outcome.application_id else None
    return objects.FundingSource(
        type="CREDIT_DEBIT",
        card=card,
        entry_details=details,
        emv_data=objects.EmvData(emv_tags=tags) if tags else None,
        exchange_rate=_exchange_rate(outcome, outcome.conversion) if outcome.conversion else None,
    )


def _exchange_rate(outcome: Outcome, conversion: Conversion) -> objects.ExchangeRate:
    whole, _, fraction = conversion.rate.partition(".")
    return objects.ExchangeRate(
        card_amount=conversion.amount.minor,
        card_currency=conversion.amount.currency,
        txn_amount=outcome.approved_amount,
        rate=int(whole + fraction),
        rate_precision=len(fraction),
        markup_percentage=conversion.markup or None,
    )


def _response(known: Transaction, outcome: Outcome) -> objects.ProcessorResponse:
    approved = known.state is State.APPROVED
    return objects.ProcessorResponse(
        status="Successful" if approved else "Failure",
        status_code=outcome.response_code or None,
        status_message=outcome.reason or None,
        approval_code=outcome.authorisation_code or None,
        approved_amount=outcome.approved_amount,
        retrieval_ref_num=outcome.acquirer_reference or None,
        transaction_id=ids.transaction_uuid(known.id),
    )


def _verified(outcome: Outcome | None, how: Verification) -> bool | None:
    return None if outcome is None else outcome.verification is how


def _text(outcome: Outcome | None, name: str) -> str | None:
    return None if outcome is None else getattr(outcome, name) or None


def _links(business: str | None, parent: str | None) -> tuple[objects.Link, ...]:
    if business is None or parent is None:
        return ()
    href = f"/businesses/{business}/transactions/{parent}"
    return (objects.Link(href=href, rel="parent", method="GET"),)
