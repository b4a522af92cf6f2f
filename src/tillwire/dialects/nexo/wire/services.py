"""The bodies of services and events: sessions, payments, their status, totals, administration."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Final

from msgspec import Meta

from tillwire.dialects.nexo.wire import cuts
from tillwire.dialects.nexo.wire.devices import CardReaderAPDUResponse
from tillwire.dialects.nexo.wire.fields import (
    LONGEST_LIST,
    Date,
    Fault,
    Id,
    Language,
    Line,
    LongBase64,
    Moment,
    Part,
    Short,
    Shorts,
    Text,
    amounts,
    numbers,
    replace,
)
from tillwire.dialects.nexo.wire.header import MessageHeader
from tillwire.dialects.nexo.wire.instruments import (
    CustomerOrder,
    CustomerOrders,
    LoyaltyAccountID,
    PaymentInstrumentData,
)
from tillwire.dialects.nexo.wire.loyalty import (
    LoyaltyAccount,
    LoyaltyAccountStatus,
    LoyaltyDatas,
    LoyaltyRequest,
    LoyaltyResponse,
    LoyaltyResults,
    Receipts,
    StoredValueResponse,
)
from tillwire.dialects.nexo.wire.outputs import DisplayOutput
from tillwire.dialects.nexo.wire.shared import (
    AmountsReq,
    AmountsResp,
    Instalment,
    MessageReference,
    OriginalPOITransaction,
    PaymentAcquirerData,
    POIData,
    POIStatus,
    POISystemData,
    Response,
    SaleData,
    SaleItems,
    SaleSoftware,
    SaleTerminalData,
    TransactionConditions,
    TransactionIdentification,
    TransactionTotals,
)
from tillwire.dialects.nexo.wire.values import PaymentType

Totals = Annotated[tuple[TransactionTotals, ...], Meta(max_length=LONGEST_LIST)]


# --- sessions -----------------------------------------------------------------------------------


class LoginRequest(Part, frozen=True, kw_only=True):
    """Opens a session. `pairing` is DataMesh's."""

    date_time: Moment
    sale_software: SaleSoftware
    sale_terminal_data: SaleTerminalData | None = None
    training_mode_flag: bool | None = None
    """The whole session is make-believe; absent is false."""
    operator_language: Language
    operator_id: Short | None = None
    shift_number: Short | None = None
    token_requested_type: Short | None = None
    customer_order_req: Shorts = ()
    poi_serial_number: Short | None = None
    """Of the previous login's answer, so that a swapped terminal is noticed."""
    pairing: bool | None = None


class LoginResponse(Part, frozen=True, kw_only=True):
    """Says who the terminal is."""

    response: Response
    poi_system_data: POISystemData | None = None


class LogoutRequest(Part, frozen=True, kw_only=True):
    """Closes a session."""

    maintenance_allowed: bool | None = None
    """Absent is false."""


class LogoutResponse(Part, frozen=True, kw_only=True):
    """Says whether the session is closed."""

    response: Response


class DiagnosisRequest(Part, frozen=True, kw_only=True):
    """Asks how the terminal is."""

    poi_id: Short | None = None
    host_diagnosis_flag: bool | None = None
    """Whether to reach for the acquirers, too; absent is false."""
    acquirer_id: Shorts = ()


class HostStatus(Part, frozen=True, kw_only=True):
    """Whether an acquirer can be reached."""

    acquirer_id: Short
    is_reachable_flag: bool | None = None
    """Absent is true."""


class DiagnosisResponse(Part, frozen=True, kw_only=True):
    """How the terminal is."""

    response: Response
    logged_sale_id: Shorts = ()
    poi_status: POIStatus | None = None
    host_status: Annotated[tuple[HostStatus, ...], Meta(max_length=LONGEST_LIST)] = ()


# --- payment ------------------------------------------------------------------------------------


class PaymentTransaction(Part, frozen=True, kw_only=True):
    """What is to be paid."""

    amounts_req: AmountsReq
    original_poi_transaction: OriginalPOITransaction | None = None
    transaction_conditions: TransactionConditions | None = None
    sale_item: SaleItems = ()


class PaymentData(Part, frozen=True, kw_only=True):
    """How it is to be paid."""

    payment_type: Short | None = None
    """Absent is `Normal`."""
    split_payment_flag: bool | None = None
    card_acquisition_reference: TransactionIdentification | None = None
    requested_validity_date: Date | None = None
    instalment: Instalment | None = None
    customer_order: CustomerOrder | None = None
    payment_instrument_data: PaymentInstrumentData | None = None


MAY_LACK_AMOUNT: Final = frozenset(
    {
        PaymentType.ONE_TIME_RESERVATION,
        PaymentType.FIRST_RESERVATION,
        PaymentType.UPDATE_RESERVATION,
    }
)
"""Payment types that may leave out `RequestedAmount`."""


class PaymentRequest(Part, frozen=True, kw_only=True):
    """Asks for a payment, a refund, a reservation or what follows one."""

    sale_data: SaleData
    payment_transaction: PaymentTransaction
    payment_data: PaymentData | None = None
    loyalty_data: LoyaltyDatas = ()

    def __post_init__(self) -> None:
        if self.payment_transaction.amounts_req.requested_amount is not None:
            return
        if self.payment_data is None or self.payment_data.payment_type not in MAY_LACK_AMOUNT:
            raise Fault("PaymentTransaction.AmountsReq.RequestedAmount", "Missing")


class ConvertedAmount(Part, frozen=True, kw_only=True):
    """An amount in the cardholder's own currency."""

    amount_value: Decimal
    currency: Short | None = None

    def __post_init__(self) -> None:
        numbers(self, "amount_value")


class CurrencyConversion(Part, frozen=True, kw_only=True):
    """How the amount became one in the cardholder's own currency."""

    customer_approved_flag: bool | None = None
    """Absent is true."""
    converted_amount: ConvertedAmount
    rate: Decimal | None = None
    markup: Decimal | None = None
    commission: Decimal | None = None
    declaration: Line | None = None

    def __post_init__(self) -> None:
        numbers(self, "rate", "markup", "commission")
        if self.declaration is not None:
            replace(self, "declaration", cuts.written(self.declaration))


class Point(Part, frozen=True, kw_only=True):
    """A place or a size, two hexadecimal numbers. FFFF and FFFF: the pen was lifted."""

    x: Short
    y: Short


class CapturedSignature(Part, frozen=True, kw_only=True):
    """A signature as it was drawn."""

    area_size: Point | None = None
    signature_point: Annotated[tuple[Point, ...], Meta(max_length=20_000)] = ()


class PaymentResult(Part, frozen=True, kw_only=True):
    """What was paid and how."""

    payment_type: Short | None = None
    payment_instrument_data: PaymentInstrumentData | None = None
    amounts_resp: AmountsResp | None = None
    instalment: Instalment | None = None
    currency_conversion: Annotated[tuple[CurrencyConversion, ...], Meta(max_length=50)] = ()
    merchant_override_flag: bool | None = None
    captured_signature: CapturedSignature | None = None
    customer_language: Short | None = None
    online_flag: bool | None = None
    """Absent is true."""
    authentication_method: Shorts = ()
    validity_date: Short | None = None
    payment_acquirer_data: PaymentAcquirerData | None = None


class PaymentResponse(Part, frozen=True, kw_only=True):
    """What became of a payment."""

    response: Response
    sale_data: SaleData | None = None
    poi_data: POIData | None = None
    payment_result: PaymentResult | None = None
    loyalty_result: LoyaltyResults = ()
    payment_receipt: Receipts = ()
    customer_order: CustomerOrders = ()


class ReversalRequest(Part, frozen=True, kw_only=True):
    """Undoes a payment that was not settled yet."""

    sale_data: SaleData | None = None
    original_poi_transaction: OriginalPOITransaction
    reversed_amount: Decimal | None = None
    """Absent is all that was authorised."""
    reversal_reason: Id
    customer_order: CustomerOrder | None = None

    def __post_init__(self) -> None:
        amounts(self, "reversed_amount")


class ReversalResponse(Part, frozen=True, kw_only=True):
    """What became of a reversal."""

    response: Response
    poi_data: POIData | None = None
    original_poi_transaction: OriginalPOITransaction | None = None
    reversed_amount: Decimal | None = None
    customer_order_id: Short | None = None
    payment_receipt: Receipts = ()

    def __post_init__(self) -> None:
        amounts(self, "reversed_amount")


class AbortRequest(Part, frozen=True, kw_only=True):
    """Wishes a running operation to end. There is no response: the operation's own says how it
    ended."""

    message_reference: MessageReference
    abort_reason: Annotated[
        str, Meta(min_length=1, max_length=1_024, description="text of 1 to 1024 characters")
    ]
    display_output: DisplayOutput | None = None

    def __post_init__(self) -> None:
        replace(self, "abort_reason", cuts.asked(self.abort_reason))


class CardAcquisitionTransaction(Part, frozen=True, kw_only=True):
    """Which card is to be read, and for what."""

    allowed_payment_brand: Shorts = ()
    allowed_loyalty_brand: Shorts = ()
    loyalty_handling: Short | None = None
    customer_language: Language | None = None
    force_customer_selection_flag: bool | None = None
    total_amount: Decimal | None = None
    payment_type: Short | None = None
    cash_back_flag: bool | None = None
    force_entry_mode: Shorts = ()

    def __post_init__(self) -> None:
        amounts(self, "total_amount")


class CardAcquisitionRequest(Part, frozen=True, kw_only=True):
    """Has a card read before its payment."""

    sale_data: SaleData
    card_acquisition_transaction: CardAcquisitionTransaction


class CardAcquisitionResponse(Part, frozen=True, kw_only=True):
    """The card that was read; `poi_data.poi_transaction_id` is what a payment refers to."""

    response: Response
    sale_data: SaleData | None = None
    poi_data: POIData | None = None
    payment_brand: Shorts = ()
    payment_instrument_data: PaymentInstrumentData | None = None
    loyalty_account: Annotated[tuple[LoyaltyAccount, ...], Meta(max_length=LONGEST_LIST)] = ()
    customer_order: CustomerOrders = ()


# --- what became of it --------------------------------------------------------------------------


class TransactionStatusRequest(Part, frozen=True, kw_only=True):
    """Asks what became of an operation; without `message_reference`, of the last one."""

    message_reference: MessageReference | None = None
    receipt_reprint_flag: bool | None = None
    document_qualifier: Shorts = ()


class RepeatedResponseMessageBody(Part, frozen=True, kw_only=True):
    """The body of a response that was given before: one of these."""

    payment_response: PaymentResponse | None = None
    loyalty_response: LoyaltyResponse | None = None
    reversal_response: ReversalResponse | None = None
    stored_value_response: StoredValueResponse | None = None
    card_acquisition_response: CardAcquisitionResponse | None = None
    card_reader_apdu_response: CardReaderAPDUResponse | None = None


class RepeatedMessageResponse(Part, frozen=True, kw_only=True):
    """A response that was given before."""

    message_header: MessageHeader | None = None
    repeated_response_message_body: RepeatedResponseMessageBody | None = None


class TransactionStatusResponse(Part, frozen=True, kw_only=True):
    """What became of an operation. Success says only that its response was found: how it ended is
    in there."""

    response: Response
    message_reference: MessageReference | None = None
    repeated_message_response: RepeatedMessageResponse | None = None


# --- totals and administration ------------------------------------------------------------------


class ReconciliationRequest(Part, frozen=True, kw_only=True):
    """Closes a period, or asks for one that was closed."""

    reconciliation_type: Id
    acquirer_id: Shorts = ()
    poi_reconciliation_id: Short | None = None


class ReconciliationResponse(Part, frozen=True, kw_only=True):
    """The totals of a closed period."""

    response: Response
    reconciliation_type: Short | None = None
    poi_reconciliation_id: Short | None = None
    transaction_totals: Totals = ()


class TotalFilter(Part, frozen=True, kw_only=True):
    """Which transactions count."""

    poi_id: Short | None = None
    sale_id: Short | None = None
    operator_id: Short | None = None
    shift_number: Short | None = None
    totals_group_id: Short | None = None


class GetTotalsRequest(Part, frozen=True, kw_only=True):
    """Asks for the totals of the open period."""

    total_details: Shorts = ()
    total_filter: TotalFilter | None = None


class GetTotalsResponse(Part, frozen=True, kw_only=True):
    """The totals of the open period."""

    response: Response
    poi_reconciliation_id: Short | None = None
    transaction_totals: Totals = ()


class AdminRequest(Part, frozen=True, kw_only=True):
    """Asks for something that the vendor defines."""

    service_identification: Text | None = None


class AdminResponse(Part, frozen=True, kw_only=True):
    """Whether it was done."""

    response: Response


class EnableServiceRequest(Part, frozen=True, kw_only=True):
    """Lets a customer present the card before the sale is known, or ends that."""

    transaction_action: Id
    services_enabled: Shorts = ()
    display_output: DisplayOutput | None = None


class EnableServiceResponse(Part, frozen=True, kw_only=True):
    """Whether it was done."""

    response: Response


class PaymentAccountReq(Part, frozen=True, kw_only=True):
    """Whose balance is asked for."""

    account_type: Short | None = None
    card_acquisition_reference: TransactionIdentification | None = None
    payment_instrument_data: PaymentInstrumentData | None = None


class LoyaltyAccountReq(Part, frozen=True, kw_only=True):
    """Whose points are asked for."""

    card_acquisition_reference: TransactionIdentification | None = None
    loyalty_account_id: LoyaltyAccountID | None = None


class BalanceInquiryRequest(Part, frozen=True, kw_only=True):
    """Asks for a balance."""

    payment_account_req: PaymentAccountReq | None = None
    loyalty_account_req: LoyaltyAccountReq | None = None


class PaymentAccountStatus(Part, frozen=True, kw_only=True):
    """A card and its balance, in major units."""

    payment_instrument_data: PaymentInstrumentData | None = None
    current_balance: Decimal | None = None
    currency: Short | None = None
    payment_acquirer_data: PaymentAcquirerData | None = None
    loyalty_account_status: LoyaltyAccountStatus | None = None

    def __post_init__(self) -> None:
        numbers(self, "current_balance")


class BalanceInquiryResponse(Part, frozen=True, kw_only=True):
    """A balance. `payment_receipt` is Adyen's."""

    response: Response
    payment_account_status: PaymentAccountStatus | None = None
    loyalty_account_status: LoyaltyAccountStatus | None = None
    payment_receipt: Receipts = ()


class TransactionToPerform(Part, frozen=True, kw_only=True):
    """One of a batch: exactly one of these."""

    payment_request: PaymentRequest | None = None
    loyalty_request: LoyaltyRequest | None = None
    reversal_request: ReversalRequest | None = None


class BatchRequest(Part, frozen=True, kw_only=True):
    """Leaves transactions for customers that come later, or asks for those that were done."""

    transaction_to_perform: Annotated[
        tuple[TransactionToPerform, ...], Meta(max_length=LONGEST_LIST)
    ] = ()
    remove_all_flag: bool | None = None


class PerformedTransaction(Part, frozen=True, kw_only=True):
    """One that was done."""

    response: Response
    sale_data: SaleData | None = None
    poi_data: POIData | None = None
    payment_result: PaymentResult | None = None
    loyalty_result: LoyaltyResults = ()
    reversed_amount: Decimal | None = None

    def __post_init__(self) -> None:
        amounts(self, "reversed_amount")


class BatchResponse(Part, frozen=True, kw_only=True):
    """Those that were done."""

    response: Response
    performed_transaction: Annotated[
        tuple[PerformedTransaction, ...], Meta(max_length=LONGEST_LIST)
    ] = ()


class TransactionReportRequest(Part, frozen=True, kw_only=True):
    """DataMesh's own; what is in it is not known here."""


class TransactionReportResponse(Part, frozen=True, kw_only=True):
    """Says that there is none."""

    response: Response


# --- events -------------------------------------------------------------------------------------


class EventNotification(Part, frozen=True, kw_only=True):
    """What a terminal tells unasked."""

    time_stamp: Moment
    event_to_notify: Id
    event_details: Text | None = None
    rejected_message: LongBase64 | None = None
    """The message that could not be accepted, in Base64; with `Reject` alone."""
    maintenance_required_flag: bool | None = None
    customer_language: Short | None = None
    display_output: DisplayOutput | None = None

    def __post_init__(self) -> None:
        if self.event_details is not None:
            replace(self, "event_details", cuts.written(self.event_details))
        if self.rejected_message is not None:
            replace(self, "rejected_message", cuts.encoded(self.rejected_message))
