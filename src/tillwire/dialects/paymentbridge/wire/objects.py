"""Payments and transactions, as the cloud and its terminals have them (source 000).

Members that nobody needs are not here, so they are ignored when read: tracks, holders' names and
addresses, signatures' images, tokens and hashes of cards, expiry dates. What money hangs on (a
status, an amount, the ids by which a transaction is found) makes the whole unreadable when it is
not what it should be; anything else is then left out.
"""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from tillwire.dialects.paymentbridge.wire import cuts, reading
from tillwire.dialects.paymentbridge.wire.fields import (
    LONGEST_LIST,
    MUST,
    Address,
    Currency,
    Flag,
    Id,
    Minor,
    Name,
    Part,
    Status,
    Text,
    Texts,
    Whole,
    Word,
)
from tillwire.errors import RemoteProtocolError

REFERENCE_TYPE: Final = "referenceId"
"""The `customType` of the reference that a till gave to a payment."""

_must: Final = Meta(extra=MUST)
_many: Final = Meta(max_length=LONGEST_LIST)
_all: Final = Meta(max_length=LONGEST_LIST, extra=MUST)


class Amounts(Part, frozen=True, kw_only=True):
    """What a transaction is over, in minor units: the total is order, tip and cashback."""

    transaction_amount: Minor | None = None
    order_amount: Minor | None = None
    tip_amount: Minor | None = None
    cashback_amount: Minor | None = None
    currency: Currency | None = None
    customer_opted_no_tip: bool | None = None


class Context(Part, frozen=True, kw_only=True):
    """Where it took place."""

    business_id: Id | None = None
    store_id: Id | None = None
    store_device_id: Id | None = None
    mid: Id | None = None
    tid: Id | None = None
    mcc: Word | None = None
    source: Word | None = None
    """INSTORE, WEB, MOBILE, CALLIN, CATALOG."""
    source_app: Id | None = None
    business_type: Word | None = None
    transmission_at_local: Word | None = None
    store_timezone: Id | None = None
    store_address_city: Text | None = None
    store_address_territory: Text | None = None
    transaction_instruction: Word | None = None
    """NONE, EXTERNALLY_PROCESSED."""


class Card(Part, frozen=True, kw_only=True):
    """What may be known of a card."""

    special = {  # noqa: RUF012  # the base says what it is
        "number_first6": cuts.first,
        "number_last4": cuts.last,
        "number_masked": cuts.shown,
    }

    type: Word | None = None
    """An open list: VISA, MASTERCARD, MAESTRO, ..."""
    number_first6: Id | None = None
    number_last4: Id | None = None
    number_masked: Id | None = None
    issuer: Text | None = None
    status: Word | None = None


class EntryDetails(Part, frozen=True, kw_only=True):
    """How the card was read."""

    customer_presence_status: Word | None = None
    """PRESENT, MOTO, ECOMMERCE, ARU."""
    entry_mode: Word | None = None
    """KEYED, TRACK_DATA_FROM_MAGSTRIPE, CONTACTLESS_MAGSTRIPE, INTEGRATED_CIRCUIT_CARD,
    CONTACTLESS_INTEGRATED_CIRCUIT_CARD."""
    icc_fallback: bool | None = None


class EmvData(Part, frozen=True, kw_only=True):
    """A chip's data."""

    special = {"emv_tags": cuts.tags}  # noqa: RUF012

    emv_tags: Texts | None = None
    """Values in hex, by tags such as `0x9F02`."""


class CustomFundingSource(Part, frozen=True, kw_only=True):
    """A way to pay that is no card."""

    type: Word | None = None
    name: Text | None = None
    provider: Id | None = None
    processor: Id | None = None
    description: Text | None = None


class ExchangeRate(Part, frozen=True, kw_only=True):
    """What the holder pays in the card's own currency (DCC)."""

    card_amount: Whole | None = None
    card_currency: Word | None = None
    txn_amount: Whole | None = None
    txn_currency: Word | None = None
    rate: Whole | None = None
    rate_precision: Whole | None = None
    markup_percentage: Word | None = None
    provider: Id | None = None
    requested_at: Word | None = None


class FundingSource(Part, frozen=True, kw_only=True):
    """What was paid with."""

    type: Word | None = None
    """CREDIT_DEBIT, CASH, CHEQUE, CUSTOM_FUNDING_SOURCE."""
    debit: bool | None = None
    account_type: Word | None = None
    card: Card | None = None
    entry_details: EntryDetails | None = None
    emv_data: EmvData | None = None
    custom_funding_source: CustomFundingSource | None = None
    exchange_rate: ExchangeRate | None = None


class ProcessorResponse(Part, frozen=True, kw_only=True):
    """What the acquirer said."""

    special = {"emv_tags": cuts.tags}  # noqa: RUF012

    status: Status | None = None
    """`Successful` or `Failure`, in any case."""
    status_code: Word | None = None
    status_message: Text | None = None
    approval_code: Word | None = None
    approved_amount: Minor | None = None
    remaining_balance: Whole | None = None
    transaction_id: Id | None = None
    retrieval_ref_num: Id | None = None
    batch_id: Id | None = None
    acquirer: Id | None = None
    processor: Id | None = None
    cv_result: Word | None = None
    emv_tags: Texts | None = None


class Reference(Part, frozen=True, kw_only=True):
    """What somebody else calls a transaction."""

    id: Name | None = None
    type: Word | None = None
    """POYNT_ORDER, POYNT_STAY, CUSTOM."""
    custom_type: Word | None = None

    @classmethod
    def of(cls, reference: str) -> Reference:
        """The reference that a till gave."""
        return cls(id=reference, type="CUSTOM", custom_type=REFERENCE_TYPE)


class Link(Part, frozen=True, kw_only=True):
    """Where something related is."""

    href: Address | None = None
    rel: Word | None = None
    method: Word | None = None


class Adjustment(Part, frozen=True, kw_only=True):
    """One change of a transaction's amounts."""

    sequence: Whole | None = None
    created_at: Word | None = None
    amounts: Amounts | None = None
    amount_changes: Amounts | None = None
    reason: Text | None = None


class Transaction(Part, frozen=True, kw_only=True):
    """One movement of money, or the try of one."""

    id: Name | None = None
    parent_id: Name | None = None
    created_at: Word | None = None
    updated_at: Word | None = None
    action: Status | None = None
    """AUTHORIZE, CAPTURE, VOID, OFFLINE_AUTHORIZE, REFUND, SALE, VERIFY."""
    status: Status | None = None
    """CREATED, SAVED, AUTHORIZED, PARTIALLY_CAPTURED, CAPTURED, DECLINED,
    PARTIALLY_CAPTURED_AND_PARTIALLY_REFUNDED, PARTIALLY_REFUNDED, REFUNDED, VOIDED."""
    auth_only: Flag | None = None
    voided: Flag | None = None
    action_void: Flag | None = None
    adjusted: Flag | None = None
    amounts_adjusted: Flag | None = None
    partially_approved: Flag | None = None
    settled: bool | None = None
    signature_required: bool | None = None
    signature_captured: bool | None = None
    pin_captured: bool | None = None
    approval_code: Word | None = None
    transaction_number: Id | None = None
    system_trace_audit_number: Word | None = None
    notes: Text | None = None
    customer_language: Word | None = None
    amounts: Annotated[Amounts | None, _must] = None
    context: Context | None = None
    funding_source: FundingSource | None = None
    processor_response: Annotated[ProcessorResponse | None, _must] = None
    references: Annotated[tuple[Reference, ...], _all] = ()
    links: Annotated[tuple[Link, ...], _many] = ()
    adjustment_history: Annotated[tuple[Adjustment, ...], _many] = ()

    def called(self, reference: str) -> bool:
        """Whether a till gave it this reference."""
        return any(each.id == reference for each in self.references)


class Payment(Part, frozen=True, kw_only=True):
    """All that came of one order: the body of the final callback."""

    reference_id: Name | None = None
    status: Status | None = None
    """PROCESSED, CANCELED, or something else: see `outcomes.py`."""
    action: Word | None = None
    amount: Minor | None = None
    """Minor units, without the tip."""
    tip_amount: Minor | None = None
    cashback_amount: Minor | None = None
    currency: Currency | None = None
    references: Annotated[tuple[Reference, ...], _all] = ()
    order_id: Id | None = None
    transaction_number: Id | None = None
    notes: Text | None = None
    action_label: Text | None = None
    caller_package_name: Id | None = None
    authz_only: bool | None = None
    multi_tender: bool | None = None
    non_referenced_credit: bool | None = None
    mid: Id | None = None
    tid: Id | None = None
    transactions: Annotated[tuple[Transaction, ...], _all] = ()


class TransactionList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a business's transactions."""

    transactions: tuple[Transaction, ...] = ()
    links: tuple[Link, ...] = ()
    count: int = 0
    unreadable: int = 0
    """How many could not be read: as long as there is one, an absence proves nothing."""


# --- reading and writing ----------------------------------------------------------------------

_PAGE: Final = 200
"""Entries of a page at most; we ask for 100."""


def read_transaction(octets: bytes) -> Transaction:
    """One transaction. Raises `RemoteProtocolError`."""
    return reading.read(Transaction, octets)


def read_payment(octets: bytes) -> Payment:
    """A payment. Raises `RemoteProtocolError`."""
    return reading.read(Payment, octets)


class _Page(msgspec.Struct, frozen=True):
    transactions: Annotated[tuple[msgspec.Raw, ...], Meta(max_length=_PAGE)] | None = None
    links: Annotated[tuple[Link, ...], _all] | None = None
    count: Annotated[int, Meta(ge=0, le=2**53)] | None = None


def read_page(octets: bytes) -> TransactionList:
    """A page of transactions, of which some may be unreadable. Raises `RemoteProtocolError` when
    it is no such page."""
    if len(octets) > reading.LARGEST_ANSWER:
        raise RemoteProtocolError(f"It has {len(octets)} octets.")
    try:
        page = reading.exact(_Page, octets)
    except (msgspec.ValidationError, *reading.NOT_JSON) as error:
        raise RemoteProtocolError(f"It is no page of transactions: {error}.") from None
    if page.transactions is None:
        raise RemoteProtocolError("It is no page of transactions.")
    found: list[Transaction] = []
    for raw in page.transactions:
        try:
            found.append(read_transaction(bytes(raw)))
        except RemoteProtocolError:
            continue
    return TransactionList(
        transactions=tuple(found),
        links=page.links or (),
        count=len(page.transactions) if page.count is None else page.count,
        unreadable=len(page.transactions) - len(found),
    )


def write_page(transactions: tuple[Transaction, ...], links: tuple[Link, ...]) -> bytes:
    """A page of transactions; the `links` are relative, since clients put a host before them."""
    return reading.encode(
        {"transactions": transactions, "links": links, "count": len(transactions)}
    )


def next_page(links: tuple[Link, ...]) -> str | None:
    """Where the next page is, as a path of the same host with its query; None if this is the last
    one. Raises `RemoteProtocolError` when it leads anywhere else."""
    for link in links:
        if (link.rel or "").lower() == "next":
            href = link.href or ""
            parts = urlsplit(href)
            if parts.scheme or parts.netloc or not href.startswith("/") or "\\" in href:
                raise RemoteProtocolError("The link to the next page is not relative.")
            if not href.isascii() or not href.isprintable() or " " in href:
                raise RemoteProtocolError("The link to the next page is no path.")
            return href
    return None
