"""Structures that several messages share: results, who and what a sale is, amounts, totals, status.

In requests, what the protocol requires must be there. In responses, only what nothing can be
understood without: an answer that leaves out an echo still says what became of the money.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from msgspec import Meta

from tillwire.dialects.nexo.wire import cuts
from tillwire.dialects.nexo.wire.fields import (
    LONGEST_LIST,
    Count,
    CurrencyCode,
    Date,
    Id,
    Language,
    Line,
    Moment,
    Part,
    Short,
    Shorts,
    Text,
    Whole,
    amounts,
    numbers,
    replace,
)


class Response(Part, frozen=True, kw_only=True):
    """How an operation ended."""

    result: Id
    error_condition: Short | None = None
    """Why; present unless it succeeded."""
    additional_response: Text | None = None
    """For people; form-encoded or Base64 with some vendors."""

    def __post_init__(self) -> None:
        if self.additional_response is not None:
            replace(self, "additional_response", cuts.written(self.additional_response))


class TransactionIdentification(Part, frozen=True, kw_only=True):
    """A transaction's name: both parts together, and given back as they were written."""

    transaction_id: Annotated[
        str, Meta(min_length=1, max_length=4_096, description="text of 1 to 35 characters")
    ]
    """Far longer here than any peer allows, so that a face can say what that peer would."""
    time_stamp: Moment


# --- the sale ---------------------------------------------------------------------------------


class SaleProfile(Part, frozen=True, kw_only=True):
    """How much of the protocol a till speaks."""

    generic_profile: Short | None = None
    service_profiles: Shorts = ()


class SaleTerminalData(Part, frozen=True, kw_only=True):
    """What a till can do."""

    terminal_environment: Short | None = None
    sale_capabilities: Shorts = ()
    sale_profile: SaleProfile | None = None
    totals_group_id: (
        Annotated[str, Meta(max_length=16, description="text of at most 16 characters")] | None
    ) = None


class SaleToIssuerData(Part, frozen=True, kw_only=True):
    """For the cardholder's bank."""

    statement_reference: Short | None = None


class SponsoredMerchant(Part, frozen=True, kw_only=True):
    """For whom a payment facilitator takes the money."""

    merchant_name: Short
    merchant_address: Line | None = None
    merchant_country: Short
    merchant_category_code: Short
    registration_id: Short | None = None


class SaleData(Part, frozen=True, kw_only=True):
    """What the till says of the sale."""

    operator_id: Short | None = None
    operator_language: Short | None = None
    shift_number: Short | None = None
    sale_transaction_id: TransactionIdentification
    sale_reference_id: Short | None = None
    """Links a reservation and all that follows it."""
    sale_terminal_data: SaleTerminalData | None = None
    token_requested_type: Short | None = None
    customer_order_id: Short | None = None
    customer_order_req: Shorts = ()
    sale_to_poi_data: Text | None = None
    sale_to_acquirer_data: Text | None = None
    sale_to_issuer_data: SaleToIssuerData | None = None
    sponsored_merchant: Annotated[tuple[SponsoredMerchant, ...], Meta(max_length=LONGEST_LIST)] = ()


class POIData(Part, frozen=True, kw_only=True):
    """What the terminal says of the transaction."""

    poi_transaction_id: TransactionIdentification | None = None
    poi_reconciliation_id: Short | None = None


class OriginalPOITransaction(Part, frozen=True, kw_only=True):
    """The transaction that this one follows."""

    sale_id: Short | None = None
    poi_id: Short | None = None
    """If it was another terminal."""
    poi_transaction_id: TransactionIdentification | None = None
    reuse_card_data_flag: bool | None = None
    """Absent is true."""
    approval_code: Short | None = None
    customer_language: Short | None = None
    acquirer_id: Short | None = None
    host_transaction_id: TransactionIdentification | None = None


# --- amounts ----------------------------------------------------------------------------------


class AmountsReq(Part, frozen=True, kw_only=True):
    """What is asked for, in major units. `cash_back_amount` and `tip_amount` are parts of
    `requested_amount`."""

    currency: CurrencyCode
    requested_amount: Decimal | None = None
    """Only reservations may leave it out."""
    cash_back_amount: Decimal | None = None
    tip_amount: Decimal | None = None
    paid_amount: Decimal | None = None
    minimum_amount_to_deliver: Decimal | None = None
    maximum_cash_back_amount: Decimal | None = None
    minimum_split_amount: Decimal | None = None

    def __post_init__(self) -> None:
        amounts(
            self,
            "requested_amount",
            "cash_back_amount",
            "tip_amount",
            "paid_amount",
            "minimum_amount_to_deliver",
            "maximum_cash_back_amount",
            "minimum_split_amount",
        )


class AmountsResp(Part, frozen=True, kw_only=True):
    """What was approved, in major units. `surcharge_amount` is DataMesh's."""

    currency: Short | None = None
    authorized_amount: Decimal
    total_rebates_amount: Decimal | None = None
    total_fees_amount: Decimal | None = None
    cash_back_amount: Decimal | None = None
    tip_amount: Decimal | None = None
    surcharge_amount: Decimal | None = None

    def __post_init__(self) -> None:
        amounts(
            self,
            "authorized_amount",
            "total_rebates_amount",
            "total_fees_amount",
            "cash_back_amount",
            "tip_amount",
            "surcharge_amount",
        )


class TransactionConditions(Part, frozen=True, kw_only=True):
    """How it may be paid."""

    allowed_payment_brand: Shorts = ()
    acquirer_id: Shorts = ()
    debit_preferred_flag: bool | None = None
    allowed_loyalty_brand: Shorts = ()
    loyalty_handling: Short | None = None
    customer_language: Language | None = None
    force_online_flag: bool | None = None
    force_entry_mode: Shorts = ()
    merchant_category_code: (
        Annotated[str, Meta(min_length=3, max_length=4, description="text of 3 to 4 characters")]
        | None
    ) = None


class SaleItem(Part, frozen=True, kw_only=True):
    """A line of the basket."""

    item_id: Count
    product_code: Annotated[
        str, Meta(min_length=1, max_length=20, description="text of 1 to 20 characters")
    ]
    ean_upc: Short | None = None
    unit_of_measure: Short | None = None
    quantity: Decimal | None = None
    unit_price: Decimal | None = None
    item_amount: Decimal
    tax_code: Short | None = None
    sale_channel: Short | None = None
    product_label: Line | None = None
    additional_product_info: Line | None = None

    def __post_init__(self) -> None:
        amounts(self, "unit_price", "item_amount")
        numbers(self, "quantity")


SaleItems = Annotated[tuple[SaleItem, ...], Meta(max_length=LONGEST_LIST)]


class Instalment(Part, frozen=True, kw_only=True):
    """A payment in parts over time."""

    instalment_type: Short | None = None
    sequence_number: Whole | None = None
    plan_id: Short | None = None
    period: Whole | None = None
    period_unit: Short | None = None
    first_payment_date: Date | None = None
    total_nb_of_payments: Whole | None = None
    cumulative_amount: Decimal | None = None
    first_amount: Decimal | None = None
    charges: Decimal | None = None

    def __post_init__(self) -> None:
        amounts(self, "cumulative_amount", "first_amount", "charges")


class PaymentAcquirerData(Part, frozen=True, kw_only=True):
    """What the acquirer says of a payment. `response_code`, `stan` and `rrn` are DataMesh's."""

    acquirer_id: Short | None = None
    merchant_id: Short | None = None
    acquirer_poi_id: Short | None = None
    acquirer_transaction_id: TransactionIdentification | None = None
    approval_code: Short | None = None
    host_reconciliation_id: Short | None = None
    response_code: Short | None = None
    stan: Short | None = None
    rrn: Short | None = None


# --- messages, software, status -----------------------------------------------------------------


class MessageReference(Part, frozen=True, kw_only=True):
    """Another message. `sale_id` and `poi_id` are the header's when they are absent."""

    message_category: Short | None = None
    service_id: Short | None = None
    device_id: Short | None = None
    sale_id: Short | None = None
    poi_id: Short | None = None


class SaleSoftware(Part, frozen=True, kw_only=True):
    """The till's software. `provider_identification` was `ManufacturerID` in nexo 3.0."""

    provider_identification: Short
    application_name: Short
    software_version: Short
    certification_code: Short | None = None


class POISoftware(Part, frozen=True, kw_only=True):
    """The terminal's software."""

    provider_identification: Short | None = None
    application_name: Short | None = None
    software_version: Short | None = None
    certification_code: Short | None = None


class POIProfile(Part, frozen=True, kw_only=True):
    """How much of the protocol a terminal speaks."""

    generic_profile: Short | None = None
    service_profiles: Shorts = ()


class POITerminalData(Part, frozen=True, kw_only=True):
    """What a terminal can do."""

    terminal_environment: Short | None = None
    poi_capabilities: Shorts = ()
    poi_profile: POIProfile | None = None
    poi_serial_number: Short | None = None


class CoinsOrBills(Part, frozen=True, kw_only=True):
    """How many there are of one coin or note."""

    unit_value: Decimal
    number: Whole

    def __post_init__(self) -> None:
        amounts(self, "unit_value")


class CashHandlingDevice(Part, frozen=True, kw_only=True):
    """A machine for coins and notes."""

    cash_handling_ok_flag: bool | None = None
    currency: Short | None = None
    coins_or_bills: Annotated[tuple[CoinsOrBills, ...], Meta(max_length=LONGEST_LIST)] = ()


class POIStatus(Part, frozen=True, kw_only=True):
    """How a terminal is. A flag is absent when there is no such component."""

    global_status: Short
    security_ok_flag: bool | None = None
    ped_ok_flag: bool | None = None
    card_reader_ok_flag: bool | None = None
    printer_status: Short | None = None
    communication_ok_flag: bool | None = None
    cash_handling_device: Annotated[tuple[CashHandlingDevice, ...], Meta(max_length=100)] = ()
    fraud_prevention_flag: bool | None = None
    """True when fraud is suspected."""


class POISystemData(Part, frozen=True, kw_only=True):
    """What and how a terminal is. `token_request_status` is a flag or a text, by the vendor."""

    date_time: Moment | None = None
    poi_software: POISoftware | None = None
    poi_terminal_data: POITerminalData | None = None
    poi_status: POIStatus | None = None
    token_request_status: bool | Short | None = None


# --- totals -------------------------------------------------------------------------------------


class PaymentTotals(Part, frozen=True, kw_only=True):
    """How many, and how much in major units, of one type of transaction."""

    transaction_type: Short
    transaction_count: Count
    transaction_amount: Decimal

    def __post_init__(self) -> None:
        numbers(self, "transaction_amount")


class LoyaltyTotals(Part, frozen=True, kw_only=True):
    """How many, and how many points, of one type of transaction."""

    transaction_type: Short
    transaction_count: Count
    transaction_amount: Decimal

    def __post_init__(self) -> None:
        numbers(self, "transaction_amount")


class TransactionTotals(Part, frozen=True, kw_only=True):
    """Totals of one card brand and whatever else was asked to be told apart."""

    payment_instrument_type: Short
    acquirer_id: Short | None = None
    error_condition: Short | None = None
    """Why there are none of this acquirer, though others' are here."""
    host_reconciliation_id: Short | None = None
    card_brand: Short | None = None
    poi_id: Short | None = None
    sale_id: Short | None = None
    operator_id: Short | None = None
    shift_number: Short | None = None
    totals_group_id: Short | None = None
    payment_currency: Short | None = None
    payment_totals: Annotated[tuple[PaymentTotals, ...], Meta(max_length=LONGEST_LIST)] = ()
    loyalty_unit: Short | None = None
    loyalty_currency: Short | None = None
    loyalty_totals: Annotated[tuple[LoyaltyTotals, ...], Meta(max_length=LONGEST_LIST)] = ()
