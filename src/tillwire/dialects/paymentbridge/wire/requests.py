"""What callers ask of the cloud itself, without a terminal: a refund, a capture, a cancel (source
000), and their bodies in both directions.
"""

from __future__ import annotations

from typing import Final

from tillwire.dialects.paymentbridge.wire import ids
from tillwire.dialects.paymentbridge.wire.errors import CodedRequest, asked, missing, wrong
from tillwire.dialects.paymentbridge.wire.fields import Id, Part, Word
from tillwire.dialects.paymentbridge.wire.objects import Amounts, Reference
from tillwire.money import CURRENCIES

LARGEST: Final = 65_536
"""Octets of a request at most."""

CANCEL_REASONS: Final = frozenset(
    {
        "TIMEOUT",
        "CARD_REMOVED",
        "CHIP_DECLINE_AFTER_HOST_APPROVAL",
        "PIN_PAD_NOT_AVAILABLE",
        "MERCHANT_CANCELLED",
    }
)


class NewTransaction(Part, frozen=True, kw_only=True):
    """`POST /businesses/{id}/transactions`: a refund of `parent_id`."""

    action: Word | None = None
    parent_id: Id | None = None
    amounts: Amounts | None = None
    """None gives back all."""
    references: tuple[Reference, ...] = ()


class CaptureRequest(Part, frozen=True, kw_only=True):
    """`POST .../capture`: how much of it; None is all."""

    amounts: Amounts | None = None


class CancelRequest(Part, frozen=True, kw_only=True):
    """Why it is cancelled."""

    cancel_reason: Word | None = None


class Cancel(Part, frozen=True, kw_only=True):
    """`POST .../transactions/cancel`."""

    cancel_request: CancelRequest | None = None


def read_refund(octets: bytes) -> NewTransaction:
    """A refund. Raises `CodedRequest`; any other action is not supported here."""
    found = asked(NewTransaction, octets, limit=LARGEST)
    if not found.action:
        raise missing("action")
    if found.action.upper() != "REFUND":
        raise CodedRequest("UNSUPPORTED_TXN_ACTION", "action", "it is not supported", "REFUND")
    if not found.parent_id:
        raise missing("parentId")
    if not ids.is_uuid(found.parent_id):
        raise wrong("parentId", "it is no UUID", "a transaction's UUID")
    _check(found.amounts)
    return found


def read_capture(octets: bytes) -> CaptureRequest:
    """How much is to be captured; no body, or an empty one, means all. Raises `CodedRequest`."""
    found = asked(CaptureRequest, octets or b"{}", limit=LARGEST)
    _check(found.amounts)
    return found


def read_cancel(octets: bytes) -> Cancel:
    """Why it is cancelled, which need not be said. Raises `CodedRequest`."""
    found = asked(Cancel, octets or b"{}", limit=LARGEST)
    reason = found.cancel_request.cancel_reason if found.cancel_request else None
    if reason is not None and reason not in CANCEL_REASONS:
        raise wrong(
            "cancelRequest.cancelReason", "it is unknown", ", ".join(sorted(CANCEL_REASONS))
        )
    return found


def _check(amounts: Amounts | None) -> None:
    """See to it that the total is there, more than nothing, and what its parts come to."""
    if amounts is None:
        return
    total = amounts.transaction_amount
    if total is None:
        raise missing("amounts.transactionAmount")
    if not total:
        raise wrong("amounts.transactionAmount", "it is nothing", "more than 0")
    parts = (amounts.order_amount, amounts.tip_amount, amounts.cashback_amount)
    if amounts.order_amount is not None and sum(each or 0 for each in parts) != total:
        raise wrong("amounts", "the parts do not come to the total", "order, tip and cashback")
    if amounts.currency is not None and amounts.currency not in CURRENCIES:
        raise wrong("amounts.currency", "it is no currency", "three capital letters of ISO 4217")
