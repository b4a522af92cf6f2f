"""The protocol's enumerations, for writing and for comparing.

What is read stays text, and a value that is not here is kept as it is: lists grow, and vendors
have their own. Vendors' values are here where the sources name them.
"""

from __future__ import annotations

from enum import StrEnum


class MessageClass(StrEnum):
    """What a message is about."""

    SERVICE = "Service"
    DEVICE = "Device"
    EVENT = "Event"


class MessageCategory(StrEnum):
    """What a message is. `TransactionReport` is DataMesh's."""

    ABORT = "Abort"
    ADMIN = "Admin"
    BALANCE_INQUIRY = "BalanceInquiry"
    BATCH = "Batch"
    CARD_ACQUISITION = "CardAcquisition"
    CARD_READER_APDU = "CardReaderAPDU"
    CARD_READER_INIT = "CardReaderInit"
    CARD_READER_POWER_OFF = "CardReaderPowerOff"
    DIAGNOSIS = "Diagnosis"
    DISPLAY = "Display"
    ENABLE_SERVICE = "EnableService"
    EVENT = "Event"
    GET_TOTALS = "GetTotals"
    INPUT = "Input"
    INPUT_UPDATE = "InputUpdate"
    LOGIN = "Login"
    LOGOUT = "Logout"
    LOYALTY = "Loyalty"
    PAYMENT = "Payment"
    PIN = "PIN"
    PRINT = "Print"
    RECONCILIATION = "Reconciliation"
    REVERSAL = "Reversal"
    SOUND = "Sound"
    STORED_VALUE = "StoredValue"
    TRANSACTION_REPORT = "TransactionReport"
    TRANSACTION_STATUS = "TransactionStatus"
    TRANSMIT = "Transmit"


class MessageType(StrEnum):
    """Who speaks: one that asks, one that answers, one that only tells."""

    REQUEST = "Request"
    RESPONSE = "Response"
    NOTIFICATION = "Notification"


class Result(StrEnum):
    """How it ended."""

    SUCCESS = "Success"
    FAILURE = "Failure"
    PARTIAL = "Partial"


class ErrorCondition(StrEnum):
    """Why it did not succeed."""

    ABORTED = "Aborted"
    BUSY = "Busy"
    CANCEL = "Cancel"
    DEVICE_OUT = "DeviceOut"
    IN_PROGRESS = "InProgress"
    INSERTED_CARD = "InsertedCard"
    INVALID_CARD = "InvalidCard"
    LOGGED_OUT = "LoggedOut"
    MESSAGE_FORMAT = "MessageFormat"
    NOT_ALLOWED = "NotAllowed"
    NOT_FOUND = "NotFound"
    PAYMENT_RESTRICTION = "PaymentRestriction"
    REFUSAL = "Refusal"
    UNAVAILABLE_DEVICE = "UnavailableDevice"
    UNAVAILABLE_SERVICE = "UnavailableService"
    UNREACHABLE_HOST = "UnreachableHost"
    WRONG_PIN = "WrongPIN"


class PaymentType(StrEnum):
    """What kind of payment."""

    NORMAL = "Normal"
    REFUND = "Refund"
    ONE_TIME_RESERVATION = "OneTimeReservation"
    FIRST_RESERVATION = "FirstReservation"
    UPDATE_RESERVATION = "UpdateReservation"
    COMPLETION = "Completion"
    CASH_ADVANCE = "CashAdvance"
    CASH_DEPOSIT = "CashDeposit"
    RECURRING = "Recurring"
    INSTALMENT = "Instalment"
    ISSUER_INSTALMENT = "IssuerInstalment"
    PAID_OUT = "PaidOut"


class PaymentInstrumentType(StrEnum):
    """With what is paid."""

    CARD = "Card"
    CHECK = "Check"
    MOBILE = "Mobile"
    STORED_VALUE = "StoredValue"
    CASH = "Cash"


class EntryMode(StrEnum):
    """How a card was read. `CheckReader` may only be asked for."""

    RFID = "RFID"
    KEYED = "Keyed"
    MANUAL = "Manual"
    FILE = "File"
    SCANNED = "Scanned"
    MAG_STRIPE = "MagStripe"
    ICC = "ICC"
    SYNCHRONOUS_ICC = "SynchronousICC"
    TAPPED = "Tapped"
    CONTACTLESS = "Contactless"
    MOBILE = "Mobile"
    CHECK_READER = "CheckReader"


class AuthenticationMethod(StrEnum):
    """How the cardholder was verified."""

    BYPASS = "Bypass"
    MANUAL_VERIFICATION = "ManualVerification"
    MERCHANT_AUTHENTICATION = "MerchantAuthentication"
    OFFLINE_PIN = "OfflinePIN"
    ONLINE_PIN = "OnlinePIN"
    PAPER_SIGNATURE = "PaperSignature"
    SECURED_CHANNEL = "SecuredChannel"
    SECURE_CERTIFICATE = "SecureCertificate"
    SECURE_NO_CERTIFICATE = "SecureNoCertificate"
    SIGNATURE_CAPTURE = "SignatureCapture"
    UNKNOWN_METHOD = "UnknownMethod"


class TerminalEnvironment(StrEnum):
    """Who stands by."""

    ATTENDED = "Attended"
    SEMI_ATTENDED = "SemiAttended"
    UNATTENDED = "Unattended"


class Capability(StrEnum):
    """`SaleCapabilities` and `POICapabilities`."""

    CASHIER_STATUS = "CashierStatus"
    CASHIER_ERROR = "CashierError"
    CASHIER_DISPLAY = "CashierDisplay"
    POI_REPLICATION = "POIReplication"
    CASHIER_INPUT = "CashierInput"
    CUSTOMER_ASSISTANCE = "CustomerAssistance"
    CUSTOMER_DISPLAY = "CustomerDisplay"
    CUSTOMER_ERROR = "CustomerError"
    CUSTOMER_INPUT = "CustomerInput"
    PRINTER_RECEIPT = "PrinterReceipt"
    PRINTER_DOCUMENT = "PrinterDocument"
    PRINTER_VOUCHER = "PrinterVoucher"
    MAG_STRIPE = "MagStripe"
    ICC = "ICC"
    EMV_CONTACTLESS = "EMVContactless"


class GenericProfile(StrEnum):
    """How much of the protocol is spoken. `Custom` is DataMesh's."""

    BASIC = "Basic"
    STANDARD = "Standard"
    EXTENDED = "Extended"
    CUSTOM = "Custom"


class ServiceProfile(StrEnum):
    """What is spoken beyond the generic profile."""

    SYNCHRO = "Synchro"
    BATCH = "Batch"
    ONE_TIME_RES = "OneTimeRes"
    RESERVATION = "Reservation"
    LOYALTY = "Loyalty"
    STORED_VALUE = "StoredValue"
    PIN = "PIN"
    CARD_READER = "CardReader"
    SOUND = "Sound"
    COMMUNICATION = "Communication"


class TokenRequestedType(StrEnum):
    """For how long a token is wanted."""

    TRANSACTION = "Transaction"
    CUSTOMER = "Customer"


class CustomerOrderReq(StrEnum):
    """Which of a customer's orders are asked for."""

    OPEN = "Open"
    CLOSED = "Closed"
    BOTH = "Both"


class LoyaltyHandling(StrEnum):
    """Whether loyalty cards are read."""

    FORBIDDEN = "Forbidden"
    PROCESSED = "Processed"
    ALLOWED = "Allowed"
    PROPOSED = "Proposed"
    REQUIRED = "Required"


class DocumentQualifier(StrEnum):
    """What a printed document is."""

    SALE_RECEIPT = "SaleReceipt"
    CASHIER_RECEIPT = "CashierReceipt"
    CUSTOMER_RECEIPT = "CustomerReceipt"
    DOCUMENT = "Document"
    VOUCHER = "Voucher"
    JOURNAL = "Journal"


class OutputFormat(StrEnum):
    """Which member of an `OutputContent` there is."""

    MESSAGE_REF = "MessageRef"
    TEXT = "Text"
    XHTML = "XHTML"
    BAR_CODE = "BarCode"


class BarcodeType(StrEnum):
    """Which bar code."""

    EAN8 = "EAN8"
    EAN13 = "EAN13"
    UPCA = "UPCA"
    CODE25 = "Code25"
    CODE128 = "Code128"
    PDF417 = "PDF417"
    QR_CODE = "QRCode"


class Color(StrEnum):
    """Of text."""

    WHITE = "White"
    BLACK = "Black"
    RED = "Red"
    GREEN = "Green"
    BLUE = "Blue"
    YELLOW = "Yellow"
    MAGENTA = "Magenta"
    CYAN = "Cyan"


class CharacterWidth(StrEnum):
    """Of text."""

    SINGLE_WIDTH = "SingleWidth"
    DOUBLE_WIDTH = "DoubleWidth"


class CharacterHeight(StrEnum):
    """Of text."""

    SINGLE_HEIGHT = "SingleHeight"
    DOUBLE_HEIGHT = "DoubleHeight"
    HALF_HEIGHT = "HalfHeight"


class CharacterStyle(StrEnum):
    """Of text."""

    NORMAL = "Normal"
    BOLD = "Bold"
    ITALIC = "Italic"
    UNDERLINED = "Underlined"


class Alignment(StrEnum):
    """Of text."""

    LEFT = "Left"
    RIGHT = "Right"
    CENTRED = "Centred"
    JUSTIFIED = "Justified"


class Device(StrEnum):
    """A logical device, for output or input."""

    CASHIER_DISPLAY = "CashierDisplay"
    CUSTOMER_DISPLAY = "CustomerDisplay"
    CASHIER_INPUT = "CashierInput"
    CUSTOMER_INPUT = "CustomerInput"


class InfoQualify(StrEnum):
    """What is shown or asked for."""

    STATUS = "Status"
    ERROR = "Error"
    DISPLAY = "Display"
    SOUND = "Sound"
    INPUT = "Input"
    POI_REPLICATION = "POIReplication"
    CUSTOMER_ASSISTANCE = "CustomerAssistance"
    RECEIPT = "Receipt"
    DOCUMENT = "Document"
    VOUCHER = "Voucher"


class MenuEntryTag(StrEnum):
    """What an entry of a menu is."""

    SELECTABLE = "Selectable"
    NON_SELECTABLE = "NonSelectable"
    SUB_MENU = "SubMenu"
    NON_SELECTABLE_SUB_MENU = "NonSelectableSubMenu"


class ResponseMode(StrEnum):
    """When a print or sound is answered."""

    NOT_REQUIRED = "NotRequired"
    IMMEDIATE = "Immediate"
    PRINT_END = "PrintEnd"
    SOUND_END = "SoundEnd"


class GlobalStatus(StrEnum):
    """How a terminal is."""

    OK = "OK"
    BUSY = "Busy"
    MAINTENANCE = "Maintenance"
    UNREACHABLE = "Unreachable"


class PrinterStatus(StrEnum):
    """How its printer is."""

    OK = "OK"
    PAPER_LOW = "PaperLow"
    NO_PAPER = "NoPaper"
    PAPER_JAM = "PaperJam"
    OUT_OF_ORDER = "OutOfOrder"


class ReversalReason(StrEnum):
    """Why a payment is undone."""

    CUST_CANCEL = "CustCancel"
    MERCHANT_CANCEL = "MerchantCancel"
    MALFUNCTION = "Malfunction"
    UNABLE_TO_COMPLETE = "Unable2Compl"


class ReconciliationType(StrEnum):
    """What is closed and with whom."""

    SALE_RECONCILIATION = "SaleReconciliation"
    ACQUIRER_SYNCHRONISATION = "AcquirerSynchronisation"
    ACQUIRER_RECONCILIATION = "AcquirerReconciliation"
    PREVIOUS_RECONCILIATION = "PreviousReconciliation"


class TotalDetails(StrEnum):
    """By what totals are broken down."""

    POI_ID = "POIID"
    SALE_ID = "SaleID"
    OPERATOR_ID = "OperatorID"
    SHIFT_NUMBER = "ShiftNumber"
    TOTALS_GROUP_ID = "TotalsGroupID"


class TransactionType(StrEnum):
    """What a total counts. `CompletedDeffered` is how the protocol spells it."""

    DEBIT = "Debit"
    CREDIT = "Credit"
    REVERSE_DEBIT = "ReverseDebit"
    REVERSE_CREDIT = "ReverseCredit"
    ONE_TIME_RESERVATION = "OneTimeReservation"
    COMPLETED_DEFFERED = "CompletedDeffered"
    FIRST_RESERVATION = "FirstReservation"
    UPDATE_RESERVATION = "UpdateReservation"
    COMPLETED_RESERVATION = "CompletedReservation"
    CASH_ADVANCE = "CashAdvance"
    ISSUER_INSTALMENT = "IssuerInstalment"
    DECLINED = "Declined"
    FAILED = "Failed"
    AWARD = "Award"
    REVERSE_AWARD = "ReverseAward"
    REDEMPTION = "Redemption"
    REVERSE_REDEMPTION = "ReverseRedemption"
    REBATE = "Rebate"
    REVERSE_REBATE = "ReverseRebate"


class EventToNotify(StrEnum):
    """What a terminal tells. The last four are Adyen's."""

    BEGIN_MAINTENANCE = "BeginMaintenance"
    END_MAINTENANCE = "EndMaintenance"
    SHUTDOWN = "Shutdown"
    INITIALISED = "Initialised"
    OUT_OF_ORDER = "OutOfOrder"
    COMPLETED = "Completed"
    ABORT = "Abort"
    SALE_WAKE_UP = "SaleWakeUp"
    SALE_ADMIN = "SaleAdmin"
    CUSTOMER_LANGUAGE = "CustomerLanguage"
    KEY_PRESSED = "KeyPressed"
    SECURITY_ALARM = "SecurityAlarm"
    STOP_ASSISTANCE = "StopAssistance"
    CARD_INSERTED = "CardInserted"
    CARD_REMOVED = "CardRemoved"
    REJECT = "Reject"
    NETWORK_CONNECTED = "NetworkConnected"
    NETWORK_DISCONNECTED = "NetworkDisconnected"
    SCAN_BARCODE_RESULT = "ScanBarcodeResult"
    USE_ANOTHER_CARD_FOR_PREAUTH = "UseAnotherCardForPreauth"


class TransactionAction(StrEnum):
    """What `EnableService` does."""

    START_TRANSACTION = "StartTransaction"
    ABORT_TRANSACTION = "AbortTransaction"


class ServicesEnabled(StrEnum):
    """What `EnableService` prepares."""

    CARD_ACQUISITION = "CardAcquisition"
    PAYMENT = "Payment"
    LOYALTY = "Loyalty"


class AccountType(StrEnum):
    """Which account of a card."""

    DEFAULT = "Default"
    SAVINGS = "Savings"
    CHECKING = "Checking"
    CREDIT_CARD = "CreditCard"
    UNIVERSAL = "Universal"
    INVESTMENT = "Investment"
    CARD_TOTALS = "CardTotals"
    EPURSE_CARD = "EpurseCard"


class InputCommand(StrEnum):
    """What is asked for."""

    GET_ANY_KEY = "GetAnyKey"
    GET_CONFIRMATION = "GetConfirmation"
    SITE_MANAGER = "SiteManager"
    TEXT_STRING = "TextString"
    DIGIT_STRING = "DigitString"
    DECIMAL_STRING = "DecimalString"
    GET_FUNCTION_KEY = "GetFunctionKey"
    GET_MENU_ENTRY = "GetMenuEntry"
    PASSWORD = "Password"  # noqa: S105


class SoundAction(StrEnum):
    """What to do with sound."""

    START_SOUND = "StartSound"
    STOP_SOUND = "StopSound"
    SET_DEFAULT_VOLUME = "SetDefaultVolume"


class SoundFormat(StrEnum):
    """What a sound is made of."""

    SOUND_REF = "SoundRef"
    MESSAGE_REF = "MessageRef"
    TEXT = "Text"


class PINRequestType(StrEnum):
    """What is done with a PIN."""

    PIN_VERIFY = "PINVerify"
    PIN_VERIFY_ONLY = "PINVerifyOnly"
    PIN_ENTER = "PINEnter"


class StoredValueTransactionType(StrEnum):
    """What is done with a gift card."""

    RESERVE = "Reserve"
    ACTIVATE = "Activate"
    LOAD = "Load"
    UNLOAD = "Unload"
    REVERSE = "Reverse"
    DUPLICATE = "Duplicate"


class StoredValueAccountType(StrEnum):
    """What kind of prepaid account."""

    GIFT_CARD = "GiftCard"
    PHONE_CARD = "PhoneCard"
    OTHER = "Other"


class IdentificationType(StrEnum):
    """What names an account."""

    PAN = "PAN"
    ISO_TRACK2 = "ISOTrack2"
    BAR_CODE = "BarCode"
    ACCOUNT_NUMBER = "AccountNumber"
    PHONE_NUMBER = "PhoneNumber"


class LoyaltyTransactionType(StrEnum):
    """What is done with points."""

    AWARD = "Award"
    REBATE = "Rebate"
    REDEMPTION = "Redemption"
    AWARD_REFUND = "AwardRefund"
    REBATE_REFUND = "RebateRefund"
    REDEMPTION_REFUND = "RedemptionRefund"


class LoyaltyUnit(StrEnum):
    """What is counted."""

    POINT = "Point"
    MONETARY = "Monetary"


class InstalmentType(StrEnum):
    """How a payment is split over time."""

    DEFERRED_INSTALMENTS = "DeferredInstalments"
    EQUAL_INSTALMENTS = "EqualInstalments"
    INEQUAL_INSTALMENTS = "InequalInstalments"


class PeriodUnit(StrEnum):
    """Of an instalment plan."""

    DAILY = "Daily"
    WEEKLY = "Weekly"
    MONTHLY = "Monthly"
    ANNUAL = "Annual"


class TrackFormat(StrEnum):
    """Of a magnetic stripe."""

    ISO = "ISO"
    JIS_I = "JIS-I"
    JIS_II = "JIS-II"
    AAMVA = "AAMVA"
    CMC_7 = "CMC-7"
    E_13_B = "E-13B"
