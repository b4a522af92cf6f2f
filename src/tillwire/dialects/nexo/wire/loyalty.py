"""Loyalty and gift cards: structures of payments, and the two services of their own."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from msgspec import Meta

from tillwire.dialects.nexo.wire.fields import (
    LONGEST_LIST,
    Count,
    CurrencyCode,
    Language,
    Line,
    Part,
    Short,
    amounts,
    numbers,
)
from tillwire.dialects.nexo.wire.instruments import LoyaltyAccountID, StoredValueAccountID
from tillwire.dialects.nexo.wire.outputs import PaymentReceipt
from tillwire.dialects.nexo.wire.shared import (
    OriginalPOITransaction,
    POIData,
    Response,
    SaleData,
    SaleItems,
    TransactionConditions,
    TransactionIdentification,
)

Receipts = Annotated[tuple[PaymentReceipt, ...], Meta(max_length=50)]


class LoyaltyAmount(Part, frozen=True, kw_only=True):
    """Points, or money."""

    loyalty_unit: Short | None = None
    currency: Short | None = None
    value: Decimal

    def __post_init__(self) -> None:
        amounts(self, "value")


class LoyaltyData(Part, frozen=True, kw_only=True):
    """A loyalty card that comes with a payment."""

    card_acquisition_reference: TransactionIdentification | None = None
    loyalty_account_id: LoyaltyAccountID | None = None
    loyalty_amount: LoyaltyAmount | None = None


LoyaltyDatas = Annotated[tuple[LoyaltyData, ...], Meta(max_length=LONGEST_LIST)]


class LoyaltyAccount(Part, frozen=True, kw_only=True):
    """A loyalty account and its brand."""

    loyalty_account_id: LoyaltyAccountID | None = None
    loyalty_brand: Short | None = None


class LoyaltyAcquirerData(Part, frozen=True, kw_only=True):
    """What the host says of points."""

    loyalty_acquirer_id: Short | None = None
    approval_code: Short | None = None
    loyalty_transaction_id: TransactionIdentification | None = None
    host_reconciliation_id: Short | None = None


class SaleItemRebate(Part, frozen=True, kw_only=True):
    """A rebate on one line of the basket."""

    item_id: Count
    product_code: Short | None = None
    ean_upc: Short | None = None
    item_amount: Decimal | None = None
    rebate_label: Line | None = None

    def __post_init__(self) -> None:
        amounts(self, "item_amount")


class Rebates(Part, frozen=True, kw_only=True):
    """Rebates that points gave."""

    total_rebate: Decimal | None = None
    rebate_label: Line | None = None
    sale_item_rebate: Annotated[tuple[SaleItemRebate, ...], Meta(max_length=LONGEST_LIST)] = ()

    def __post_init__(self) -> None:
        amounts(self, "total_rebate")


class LoyaltyResult(Part, frozen=True, kw_only=True):
    """What became of one loyalty account."""

    loyalty_account: LoyaltyAccount | None = None
    current_balance: Decimal | None = None
    loyalty_amount: LoyaltyAmount | None = None
    loyalty_acquirer_data: LoyaltyAcquirerData | None = None
    rebates: Rebates | None = None

    def __post_init__(self) -> None:
        numbers(self, "current_balance")


LoyaltyResults = Annotated[tuple[LoyaltyResult, ...], Meta(max_length=LONGEST_LIST)]


class LoyaltyAccountStatus(Part, frozen=True, kw_only=True):
    """The balance of a loyalty account."""

    loyalty_account: LoyaltyAccount | None = None
    current_balance: Decimal | None = None
    loyalty_unit: Short | None = None
    currency: Short | None = None

    def __post_init__(self) -> None:
        numbers(self, "current_balance")


class LoyaltyTransaction(Part, frozen=True, kw_only=True):
    """What to do with points."""

    loyalty_transaction_type: Short
    currency: CurrencyCode | None = None
    total_amount: Decimal | None = None
    original_poi_transaction: OriginalPOITransaction | None = None
    transaction_conditions: TransactionConditions | None = None
    sale_item: SaleItems = ()

    def __post_init__(self) -> None:
        amounts(self, "total_amount")


class LoyaltyRequest(Part, frozen=True, kw_only=True):
    """Gives or takes points."""

    sale_data: SaleData
    loyalty_transaction: LoyaltyTransaction
    loyalty_data: LoyaltyDatas = ()


class LoyaltyResponse(Part, frozen=True, kw_only=True):
    """What became of points."""

    response: Response
    sale_data: SaleData | None = None
    poi_data: POIData | None = None
    loyalty_result: LoyaltyResults = ()
    payment_receipt: Receipts = ()


class StoredValueData(Part, frozen=True, kw_only=True):
    """What to do with one gift card."""

    stored_value_provider: Short | None = None
    stored_value_transaction_type: Short
    stored_value_account_id: StoredValueAccountID | None = None
    original_poi_transaction: OriginalPOITransaction | None = None
    product_code: Short | None = None
    ean_upc: Short | None = None
    item_amount: Decimal | None = None
    currency: CurrencyCode | None = None

    def __post_init__(self) -> None:
        amounts(self, "item_amount")


class StoredValueAccountStatus(Part, frozen=True, kw_only=True):
    """The balance of a gift card."""

    stored_value_account_id: StoredValueAccountID | None = None
    current_balance: Decimal | None = None

    def __post_init__(self) -> None:
        numbers(self, "current_balance")


class StoredValueResult(Part, frozen=True, kw_only=True):
    """What became of one gift card."""

    stored_value_transaction_type: Short
    product_code: Short | None = None
    ean_upc: Short | None = None
    item_amount: Decimal | None = None
    currency: Short | None = None
    stored_value_account_status: StoredValueAccountStatus | None = None
    host_transaction_id: TransactionIdentification | None = None

    def __post_init__(self) -> None:
        amounts(self, "item_amount")


class StoredValueRequest(Part, frozen=True, kw_only=True):
    """Sells, loads or empties gift cards."""

    sale_data: SaleData
    stored_value_data: Annotated[
        tuple[StoredValueData, ...], Meta(min_length=1, max_length=LONGEST_LIST)
    ]
    customer_language: Language | None = None


class StoredValueResponse(Part, frozen=True, kw_only=True):
    """What became of gift cards."""

    response: Response
    sale_data: SaleData | None = None
    poi_data: POIData | None = None
    stored_value_result: Annotated[
        tuple[StoredValueResult, ...], Meta(max_length=LONGEST_LIST)
    ] = ()
    payment_receipt: Receipts = ()
