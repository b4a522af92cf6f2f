"""What the till's side says about money: requests made of transactions.

Pure functions. `errand_requests.py` has the other requests, `reading.py` what comes back. What must
be remembered of a request to read its answer, now or after a restart, is an `Order`, which goes
through the journal as text (`Order.peer`, `order_of`) before a byte leaves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC
from decimal import Decimal
from typing import Final

import msgspec

from tillwire.clock import Instant, utc
from tillwire.core.model import State, Transaction, TransactionType
from tillwire.dialects.nexo.driver.settings import DriverSettings
from tillwire.dialects.nexo.wire.header import MessageHeader
from tillwire.dialects.nexo.wire.services import (
    AbortRequest,
    PaymentData,
    PaymentRequest,
    PaymentTransaction,
    ReversalRequest,
    TransactionStatusRequest,
)
from tillwire.dialects.nexo.wire.shared import (
    AmountsReq,
    MessageReference,
    OriginalPOITransaction,
    SaleData,
    SaleTerminalData,
    TransactionConditions,
    TransactionIdentification,
)
from tillwire.dialects.nexo.wire.values import (
    MessageCategory,
    MessageClass,
    MessageType,
    PaymentType,
    ReversalReason,
)
from tillwire.errors import NotDelivered
from tillwire.money import Money

PAYMENT_TYPE: Final = {
    TransactionType.PURCHASE: PaymentType.NORMAL,
    TransactionType.REFUND: PaymentType.REFUND,
    TransactionType.PREAUTH: PaymentType.FIRST_RESERVATION,
    TransactionType.INCREMENT: PaymentType.UPDATE_RESERVATION,
    TransactionType.CAPTURE: PaymentType.COMPLETION,
    TransactionType.CASH_ADVANCE: PaymentType.CASH_ADVANCE,
}
"""What each type of transaction is as a Payment; a REVERSAL is a message of its own."""
_RESERVATIONS: Final = frozenset(
    {TransactionType.PREAUTH, TransactionType.INCREMENT, TransactionType.CAPTURE}
)
_ON_ITS_WAY: Final = frozenset({State.SENT, State.STARTED, State.UNKNOWN})
DEVICE_CATEGORIES: Final = frozenset(
    {MessageCategory.DISPLAY, MessageCategory.PRINT, MessageCategory.INPUT}
)
"""Of the requests that a till sends, those that have a DeviceID."""

HANDLE_ID: Final = "poi_transaction_id"
HANDLE_TIME: Final = "poi_time_stamp"
HANDLE_POI: Final = "poi_id"
HANDLE_SALE: Final = "sale_id"
"""Names in `Outcome.handle`: what the terminal calls a transaction, and where and to whom it did
so, all of it given back as it was written."""

_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2}\Z")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_WHOLE: Final = "whole"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What was sent for a transaction, as far as its answer must fit it."""

    service_id: str
    sale_id: str
    poi_id: str
    category: str
    """`Payment` or `Reversal`."""
    requested: int | None
    """Minor units in the message; None for a Reversal of the whole."""
    refused: str = ""
    """The refusal that was heard for this ServiceID: a proof, once the terminal confirms that it
    knows of nothing else."""

    @property
    def peer(self) -> dict[str, str]:
        """As it stands in `Transaction.peer`."""
        return {
            "service_id": self.service_id,
            "sale_id": self.sale_id,
            "poi_id": self.poi_id,
            "category": self.category,
            "requested": _WHOLE if self.requested is None else str(self.requested),
            "refused": self.refused,
        }

    @property
    def reference(self) -> MessageReference:
        """The message, for whoever asks about it."""
        return MessageReference(
            message_category=self.category,
            service_id=self.service_id,
            sale_id=self.sale_id,
            poi_id=self.poi_id,
        )


def order_of(peer: Mapping[str, str]) -> Order | None:
    """What was sent, by the journal; None when nothing was."""
    if "service_id" not in peer:
        return None
    requested = peer["requested"]
    return Order(
        service_id=peer["service_id"],
        sale_id=peer["sale_id"],
        poi_id=peer["poi_id"],
        category=peer["category"],
        requested=None if requested == _WHOLE else int(requested),
        refused=peer.get("refused", ""),
    )


class Chain(msgspec.Struct, frozen=True):
    """The transaction that a follow-up follows, and what else follows it."""

    original: Transaction
    follow_ups: tuple[Transaction, ...] = ()
    """Those of its INCREMENTs, too."""

    def is_whole(self, reversal: Transaction) -> bool:
        """Whether it is of all that there is, by whatever account: nothing else has followed the
        original, nor may have, but approved INCREMENTs."""
        total = self.original.approved_amount
        for each in self.follow_ups:
            if each.id == reversal.id or not (each.approved_amount or each.state in _ON_ITS_WAY):
                continue
            if each.type is not TransactionType.INCREMENT or not each.is_final:
                return False
            total += each.approved_amount
        return reversal.amount.minor == total

    def reserved(self, besides: str) -> int:
        """Minor units that are reserved for a PREAUTH now, without the transaction whose id is
        `besides`. Raises `NotDelivered` while that cannot be told."""
        total = self.original.approved_amount
        for each in self.follow_ups:
            if each.id == besides:
                continue
            if each.state in _ON_ITS_WAY:
                raise NotDelivered(
                    f"Transaction {each.id}, a {each.type} of the same original, is {each.state}: "
                    "how much is reserved is not known before it has ended."
                )
            if each.type is TransactionType.INCREMENT:
                total += each.approved_amount
            else:
                total -= each.approved_amount
        return total


# --- headers and ids ----------------------------------------------------------------------------


def number_text(number: int, longest: int) -> str:
    """A number of the journal as a ServiceID or DeviceID of at most `longest` characters: in base
    36. With fewer than eight characters, only its last ones fit: six still differ for weeks."""
    digits = ""
    while number and len(digits) < longest:
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits or "0"


def header(settings: DriverSettings, poi_id: str, category: str, number: str) -> MessageHeader:
    """The header of a request of ours."""
    device = category in DEVICE_CATEGORIES
    return MessageHeader(
        protocol_version=settings.protocol_version,
        message_class=(MessageClass.DEVICE if device else MessageClass.SERVICE).value,
        message_category=category,
        message_type=MessageType.REQUEST.value,
        service_id=number if not device or settings.device_service_id else None,
        device_id=number if device else None,
        sale_id=settings.sale_id,
        poi_id=poi_id,
    )


def stamp(instant: Instant) -> str:
    """A DateTime: UTC, to the millisecond."""
    text = utc(instant).astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
    return f"{text}Z"


def major(amount: Money) -> Decimal:
    """The amount as the protocol has it."""
    return Decimal(amount.decimal())


# --- requests -----------------------------------------------------------------------------------


def money_request(
    transaction: Transaction, chain: Chain | None
) -> tuple[PaymentRequest | ReversalRequest, int | None]:
    """What to send for a transaction, and how many minor units that asks for (`Order.requested`).

    `chain` is there when it has an original. Raises `NotDelivered` when it cannot be asked of this
    terminal, in words that say why.
    """
    if transaction.type is not TransactionType.REVERSAL:
        return _payment(transaction, chain)
    assert chain is not None, "a reversal has an original"
    whole = chain.is_whole(transaction)
    request = ReversalRequest(
        sale_data=_sale_data(transaction, chain),
        original_poi_transaction=_original(chain),
        reversed_amount=None if whole else major(transaction.amount),
        reversal_reason=ReversalReason.MERCHANT_CANCEL.value,
    )
    return request, None if whole else transaction.amount.minor


def _payment(transaction: Transaction, chain: Chain | None) -> tuple[PaymentRequest, int]:
    terms, currency = transaction.terms, transaction.amount.currency
    requested = transaction.amount.minor
    if transaction.type is TransactionType.INCREMENT:
        assert chain is not None, "an increment has an original"
        # The protocol asks for what is to be reserved in all.
        requested += chain.reserved(transaction.id)
    if requested < 0:
        raise NotDelivered(f"Less than nothing would be reserved: {Money(requested, currency)}.")
    language = terms.language if _LANGUAGE.match(terms.language) else ""
    reserves = transaction.type in _RESERVATIONS
    valid_until = terms.valid_until if reserves and _DATE.match(terms.valid_until) else ""
    request = PaymentRequest(
        sale_data=_sale_data(transaction, chain),
        payment_transaction=PaymentTransaction(
            amounts_req=AmountsReq(
                currency=currency,
                requested_amount=major(Money(requested, currency)),
                cash_back_amount=_part(terms.cash_back, currency),
                tip_amount=_part(terms.tip, currency),
            ),
            original_poi_transaction=_original(chain) if chain is not None else None,
            transaction_conditions=(
                TransactionConditions(customer_language=language) if language else None
            ),
        ),
        payment_data=PaymentData(
            payment_type=PAYMENT_TYPE[transaction.type].value,
            card_acquisition_reference=card_reference(terms.card) if terms.card else None,
            requested_validity_date=valid_until or None,
        ),
    )
    return request, requested


def _part(minor: int, currency: str) -> Decimal | None:
    return major(Money(minor, currency)) if minor else None


def _sale_data(transaction: Transaction, chain: Chain | None) -> SaleData:
    terms = transaction.terms
    group = SaleTerminalData(totals_group_id=terms.totals_group) if terms.totals_group else None
    return SaleData(
        operator_id=terms.operator or None,
        shift_number=terms.shift or None,
        sale_transaction_id=TransactionIdentification(
            transaction_id=transaction.id, time_stamp=stamp(transaction.created_at)
        ),
        sale_reference_id=_chain_name(transaction, chain) or None,
        sale_terminal_data=group,
    )


def _chain_name(transaction: Transaction, chain: Chain | None) -> str:
    """The name of a reservation and all that follows it: the till's, or the reservation's id."""
    first = transaction if chain is None else chain.original
    reserves = first.type in _RESERVATIONS
    return first.terms.chain or transaction.terms.chain or (first.id if reserves else "")


def _original(chain: Chain) -> OriginalPOITransaction:
    original = chain.original
    handle = {} if original.outcome is None else original.outcome.handle
    if not handle.get(HANDLE_ID) or not handle.get(HANDLE_TIME):
        raise NotDelivered(
            f"Transaction {original.id} was not made by a nexo terminal that named it "
            "(POITransactionID), so no nexo terminal can find it."
        )
    assert original.outcome is not None, "what has a handle has an outcome"
    captures = original.type is TransactionType.PREAUTH
    return OriginalPOITransaction(
        sale_id=handle.get(HANDLE_SALE),
        poi_id=handle.get(HANDLE_POI),
        poi_transaction_id=TransactionIdentification(
            transaction_id=handle[HANDLE_ID], time_stamp=handle[HANDLE_TIME]
        ),
        approval_code=(original.outcome.authorisation_code or None) if captures else None,
    )


def status_request(order: Order) -> TransactionStatusRequest:
    """Asks what became of it."""
    return TransactionStatusRequest(message_reference=order.reference)


def abort_request(reference: MessageReference) -> AbortRequest:
    """Asks to drop it. The reason is the one that Adyen and Market Pay know."""
    return AbortRequest(message_reference=reference, abort_reason="MerchantAbort")


# --- a card that was read before ----------------------------------------------------------------


def card_name(read: TransactionIdentification) -> str:
    """`CardRead.card`: what the terminal calls the reading, both parts in one text."""
    return f"{read.time_stamp}@{read.transaction_id}"


def card_reference(card: str) -> TransactionIdentification:
    """The same, for the payment. Raises `NotDelivered` for a name that is not of our making."""
    time_stamp, _, name = card.partition("@")
    if not time_stamp or not name:
        raise NotDelivered("The card was not read by a nexo terminal; read it again.")
    return TransactionIdentification(transaction_id=name, time_stamp=time_stamp)
