"""What answers say, as values: every ErrorCondition, and the answers to TransactionStatus."""

from __future__ import annotations

from base64 import b64encode
from decimal import Decimal
from typing import Any, Final

import msgspec
import pytest

from tests.kit.runner import virtual
from tests.unit.nexo.driver.till import payment
from tillwire.core.model import Conversion, EntryMode, Evidence, Verdict, Verification
from tillwire.dialects.nexo import wire
from tillwire.dialects.nexo.driver.cards import card_facts, conversion_of
from tillwire.dialects.nexo.driver.pos import Order, order_of
from tillwire.dialects.nexo.driver.reading import (
    Ended,
    LoggedOut,
    NotKnown,
    Running,
    Stated,
    StatusReading,
    Unclear,
    money_reading,
    status_reading,
)
from tillwire.dialects.nexo.driver.receipt_texts import display_text, receipts_of
from tillwire.dialects.nexo.wire.outputs import DisplayOutput, PaymentReceipt
from tillwire.dialects.nexo.wire.services import (
    CurrencyConversion,
    PaymentResponse,
    PaymentResult,
    TransactionStatusResponse,
)
from tillwire.dialects.nexo.wire.values import ErrorCondition
from tillwire.money import Money

ORDER: Final = Order(
    service_id="a1", sale_id="tillwire", poi_id="T1-7", category="Payment", requested=4250
)
DEFINITE: Final = {"Refusal", "WrongPIN", "InvalidCard", "PaymentRestriction", "Cancel", "Aborted"}
REFUSALS: Final = {
    "Busy",
    "NotAllowed",
    "LoggedOut",
    "MessageFormat",
    "UnavailableService",
    "UnavailableDevice",
    "DeviceOut",
    "NotFound",
    "InProgress",
}


def failed(condition: str | None) -> PaymentResponse:
    return msgspec.convert(
        {"Response": {"Result": "Failure", "ErrorCondition": condition}}, type=PaymentResponse
    )


@pytest.mark.parametrize("condition", [*ErrorCondition, "Invented", None])
@virtual()
async def test_every_condition_has_its_meaning(condition: str | None) -> None:
    reading = money_reading(failed(condition), payment(4250), ORDER)
    if condition in DEFINITE:
        assert isinstance(reading, Ended)
        assert reading.outcome.verdict is not Verdict.APPROVED
    elif condition in REFUSALS:
        assert isinstance(reading, Stated)
        assert reading.outcome is None  # nothing was begun
    else:
        assert isinstance(reading, Stated)
        assert reading.outcome is not None
        assert reading.outcome.verdict is Verdict.DECLINED


@pytest.mark.parametrize(
    ("told", "reason", "code"),
    [
        (None, "Refusal", ""),
        ("", "Refusal", ""),
        ("...", "Refusal", ""),
        ("Do not honour.", "Do not honour", ""),
        ("Do not honour (05).", "Do not honour", "05"),
        ("(05)", "Refusal: (05)", "05"),
        ("card 4111 (1111)", "card 4111 (1111)", ""),
        ("two\nlines\x07 here", "two lines here", ""),
        ("x" * 999, "x" * 300, ""),
        (
            "tid=1&message=DECLINED%20Online&refusalReason=210%20Not%20enough%20balance",
            "210 Not enough balance",
            "",
        ),
        ("tid=1&message=DECLINED%20Online", "DECLINED Online", ""),
        ("a=1&" * 200, "a=1&" * 75, ""),
    ],
)
@virtual()
async def test_why_it_was_declined(told: str | None, reason: str, code: str) -> None:
    response = {"Result": "Failure", "ErrorCondition": "Refusal", "AdditionalResponse": told}
    body = msgspec.convert({"Response": response}, type=PaymentResponse)
    reading = money_reading(body, payment(4250), ORDER)
    assert isinstance(reading, Ended)
    assert (reading.outcome.reason, reading.outcome.response_code) == (reason, code)


def test_an_order_comes_back_from_the_journal() -> None:
    for order in (ORDER, msgspec.structs.replace(ORDER, requested=None, refused="Busy: now")):
        assert order_of(order.peer) == order
    assert order_of({}) is None


# --- TransactionStatus ----------------------------------------------------------------------------

HEADER: Final = {
    "MessageClass": "Service",
    "MessageCategory": "Payment",
    "MessageType": "Response",
    "ServiceID": "a1",
    "SaleID": "tillwire",
    "POIID": "T1-7",
}
APPROVAL: Final = {
    "Response": {"Result": "Success"},
    "SaleData": {
        "SaleTransactionID": {
            "TransactionID": "1773480000000123456789012345678",
            "TimeStamp": "2026-03-14T09:20:00Z",
        }
    },
    "POIData": {"POITransactionID": {"TransactionID": "P1", "TimeStamp": "2026-03-14T09:20:01Z"}},
    "PaymentResult": {"AmountsResp": {"Currency": "EUR", "AuthorizedAmount": 42.5}},
}
OUTER: Final = {
    "MessageHeader": {**HEADER, "MessageCategory": "TransactionStatus", "ServiceID": "s1"}
}


def status(repeated: Any, response: dict[str, str] | None = None) -> StatusReading:
    """The reading of a status answer as it came over the wire."""
    body = {"Response": response or {"Result": "Success"}, "RepeatedMessageResponse": repeated}
    octets = msgspec.json.encode(
        {"SaleToPOIResponse": {**OUTER, "TransactionStatusResponse": body}}
    )
    message = wire.decode(octets)
    assert isinstance(message.body, TransactionStatusResponse)
    return status_reading(message.body, payment(4250), ORDER)


def repeated(body: Any = APPROVAL, **header: str) -> Any:
    return {
        "MessageHeader": {**HEADER, **header},
        "RepeatedResponseMessageBody": {"PaymentResponse": body},
    }


@virtual()
async def test_the_repeated_response_is_what_counts() -> None:
    reading = status(repeated())
    assert isinstance(reading, Ended)
    assert reading.outcome.approved_amount == 4250
    assert reading.outcome.evidence is Evidence.RECOVERED
    declined = {"Response": {"Result": "Failure", "ErrorCondition": "Refusal"}}
    reading = status(repeated(declined))
    assert isinstance(reading, Ended)
    assert reading.outcome.verdict is Verdict.DECLINED


@virtual()
async def test_a_flattened_repeated_response_counts_as_well() -> None:
    reading = status({"MessageHeader": HEADER, "PaymentResponse": APPROVAL})
    assert isinstance(reading, Ended)
    assert reading.outcome.approved_amount == 4250


@pytest.mark.parametrize(
    ("condition", "kind"),
    [
        ("NotFound", NotKnown),
        ("InProgress", Running),
        ("Busy", Running),
        ("LoggedOut", LoggedOut),
        ("NotAllowed", LoggedOut),
        ("UnreachableHost", Unclear),
        ("Refusal", Unclear),
        ("Aborted", Unclear),
        ("MessageFormat", Unclear),
        ("Invented", Unclear),
    ],
)
@virtual()
async def test_a_failure_of_the_question_says_nothing_of_the_payment(
    condition: str, kind: type[StatusReading]
) -> None:
    response = {"Result": "Failure", "ErrorCondition": condition}
    assert isinstance(status(None, response), kind)
    assert isinstance(status(repeated(), response), kind)


@pytest.mark.parametrize(
    "other",
    [
        None,
        {},
        {"MessageHeader": HEADER},
        {"RepeatedResponseMessageBody": {"PaymentResponse": APPROVAL}},
        repeated(ServiceID="a2"),
        repeated(SaleID="another"),
        repeated(POIID="another"),
        repeated(MessageCategory="Reversal"),
        repeated(MessageType="Request"),
        {
            "MessageHeader": HEADER,
            "RepeatedResponseMessageBody": {
                "ReversalResponse": {"Response": {"Result": "Success"}, "ReversedAmount": 42.5}
            },
        },
        repeated({**APPROVAL, "SaleData": None}),
        repeated({**APPROVAL, "PaymentResult": {"AmountsResp": {"AuthorizedAmount": 42.6}}}),
        repeated(
            {**APPROVAL, "PaymentResult": {"PaymentType": "Refund", **APPROVAL["PaymentResult"]}}
        ),
    ],
)
@virtual()
async def test_what_is_repeated_must_be_the_answer_to_ours(other: Any) -> None:
    assert isinstance(status(other), Unclear)


@virtual()
async def test_a_repeated_refusal_is_a_proof_and_a_repeated_in_progress_is_not() -> None:
    for condition in REFUSALS - {"InProgress"}:
        reading = status(repeated({"Response": {"Result": "Failure", "ErrorCondition": condition}}))
        assert isinstance(reading, Stated), condition
        assert reading.outcome is None
    again = repeated({"Response": {"Result": "Failure", "ErrorCondition": "InProgress"}})
    assert isinstance(status(again), Running)


@virtual()
async def test_a_repeated_unreachable_host_ends_it() -> None:
    reading = status(
        repeated({"Response": {"Result": "Failure", "ErrorCondition": "UnreachableHost"}})
    )
    assert isinstance(reading, Stated)
    assert reading.outcome is not None
    assert (reading.outcome.verdict, reading.outcome.evidence) == (
        Verdict.DECLINED,
        Evidence.RECOVERED,
    )


# --- what is told beside the amount -------------------------------------------------------------


@pytest.mark.parametrize(
    ("modes", "method", "read", "verified"),
    [
        (["Contactless"], "OnlinePIN", EntryMode.CONTACTLESS, Verification.PIN),
        (["Tapped"], "OnLinePIN", EntryMode.CONTACTLESS, Verification.PIN),
        (["RFID"], "Bypass", EntryMode.CONTACTLESS, Verification.NONE),
        ("ICC", "OfflinePIN", EntryMode.CHIP, Verification.PIN),
        (["MagStripe"], "PaperSignature", EntryMode.SWIPE, Verification.SIGNATURE),
        (["Keyed"], "SignatureCapture", EntryMode.MANUAL, Verification.SIGNATURE),
        (["File"], "UnknownMethod", None, None),
        (["Invented", "ICC"], "Invented", EntryMode.CHIP, None),
    ],
)
@virtual()
async def test_how_the_card_was_read_and_its_holder_verified(
    modes: Any, method: str, read: EntryMode | None, verified: Verification | None
) -> None:
    result = {
        **APPROVAL["PaymentResult"],
        "AuthenticationMethod": [method],
        "PaymentInstrumentData": {
            "PaymentInstrumentType": "Card",
            "CardData": {
                "PaymentBrand": "VISA",
                "MaskedPan": "411111******1111",
                "EntryMode": modes,
            },
        },
    }
    reading = status(repeated({**APPROVAL, "PaymentResult": result}))
    assert isinstance(reading, Ended)
    outcome = reading.outcome
    assert (outcome.entry_mode, outcome.verification) == (read, verified)
    assert (outcome.brand, outcome.card_bin, outcome.card_last4) == ("VISA", "411111", "1111")


@virtual()
async def test_no_card_number_comes_through() -> None:
    card = {"CardData": {"SensitiveCardData": {"PAN": "4111111111111111"}}}
    result = {
        **APPROVAL["PaymentResult"],
        "PaymentInstrumentData": {"PaymentInstrumentType": "Card", **card},
    }
    reading = status(repeated({**APPROVAL, "PaymentResult": result}))
    assert isinstance(reading, Ended)
    assert reading.outcome.card_last4 == "1111"
    assert "41111" not in repr(reading)


def test_a_card_without_digits_has_no_last_four() -> None:
    result = msgspec.convert(
        {
            "PaymentInstrumentData": {
                "PaymentInstrumentType": "Card",
                "CardData": {"MaskedPAN": "4111********"},
            }
        },
        type=PaymentResult,
    )
    facts = card_facts(result)
    assert (facts["card_last4"], facts["card_bin"]) == ("", "")


def _conversion(**members: Any) -> CurrencyConversion:
    whole = {
        "ConvertedAmount": {"AmountValue": Decimal("46.11"), "Currency": "USD"},
        "Rate": Decimal("1.085"),
        "Markup": Decimal("3.5"),
    }
    return msgspec.convert({**whole, **members}, type=CurrencyConversion)


def test_a_conversion_is_told_if_it_was_agreed_to_and_is_whole() -> None:
    assert conversion_of((_conversion(),)) == Conversion(Money(4611, "USD"), "1.085", "3.5")
    assert conversion_of(()) is None
    assert conversion_of((_conversion(CustomerApprovedFlag=False),)) is None
    assert conversion_of((_conversion(ConvertedAmount={"AmountValue": Decimal(46)}),)) is None
    no_such = {"AmountValue": Decimal(46), "Currency": "XXX"}
    assert conversion_of((_conversion(ConvertedAmount=no_such),)) is None
    assert conversion_of((_conversion(Rate=None),)) is None


# --- receipts and displays ------------------------------------------------------------------------


def _receipt(content: Any, qualifier: str = "CustomerReceipt") -> PaymentReceipt:
    return msgspec.convert(
        {"DocumentQualifier": qualifier, "OutputContent": content}, type=PaymentReceipt
    )


def _text(*parts: Any) -> Any:
    return {"OutputFormat": "Text", "OutputText": list(parts)}


def _xhtml(source: str) -> Any:
    return {"OutputFormat": "XHTML", "OutputXHTML": b64encode(source.encode()).decode()}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (_text({"Text": "TOTAL"}, {"Text": "42.50"}), "TOTAL\n42.50\n"),
        (_text({"Text": "TOTAL ", "EndOfLineFlag": False}, {"Text": "42.50"}), "TOTAL 42.50\n"),
        (_text({"Text": "A"}, {}, {"Text": "B"}), "A\n\nB\n"),
        (_text({"Text": "key=total&name=TOTAL&value=%E2%82%AC%2042.50"}), "TOTAL € 42.50\n"),
        (_text({"Text": "key=filler"}), "\n"),
        (_text({"Text": "a\x1b[31mb\tc"}), "a [31mb c\n"),
        (_xhtml("<html><body><p>TOTAL</p><p>42.50 &euro;</p></body></html>"), "TOTAL\n42.50 €\n"),
        ({"OutputFormat": "XHTML", "OutputXHTML": "***"}, "\n"),
        (
            _text({"Text": "4111 1111", "EndOfLineFlag": False}, {"Text": " 1111 1111"}),
            "**** **** **** 1111\n",
        ),
    ],
)
def test_a_receipt_becomes_plain_text(content: Any, text: str) -> None:
    receipts = receipts_of([_receipt(content)])
    assert receipts is not None
    assert (receipts.cardholder, receipts.merchant) == (text, "")


def test_receipts_that_are_none() -> None:
    assert receipts_of([]) is None
    assert receipts_of([_receipt(_text({"Text": "x"}), "Journal")]) is None
    assert receipts_of([_receipt({"OutputFormat": "BarCode"})]) is None


def test_a_receipt_is_cut_at_its_limit() -> None:
    long = _text(*({"Text": "x" * 200} for _ in range(500)))
    receipts = receipts_of([_receipt(long, "CashierReceipt")])
    assert receipts is not None
    assert len(receipts.merchant) == 20_000


def _shown(device: str, content: Any) -> DisplayOutput:
    return msgspec.convert(
        {"Device": device, "InfoQualify": "Status", "OutputContent": content}, type=DisplayOutput
    )


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ("TransactionID=1&TimeStamp=2&event=WAIT_FOR_PIN", "Wait for pin"),
        ("RemoveCard", "RemoveCard"),
        ("&".join(f"a{n}=1" for n in range(200)), "a0=1&a1=1"),
    ],
)
def test_a_predefined_display_is_told_by_its_name(reference: str, text: str) -> None:
    content = {"OutputFormat": "MessageRef", "PredefinedContent": {"ReferenceID": reference[:256]}}
    assert display_text([_shown("CashierDisplay", content)]).startswith(text)


def test_what_is_for_the_cashier_is_told_first() -> None:
    customer = _shown("CustomerDisplay", _text({"Text": "Insert card"}))
    cashier = _shown("CashierDisplay", _text({"Text": "Waiting"}, {"Text": "for card"}))
    assert display_text([customer, cashier]) == "Waiting for card"
    assert display_text([customer]) == "Insert card"
    assert len(display_text([_shown("CashierDisplay", _text({"Text": "x" * 999}))])) == 300
