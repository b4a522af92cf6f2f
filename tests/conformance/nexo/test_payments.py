"""A till on Adyen's library pays, refunds and reverses, in clear and encrypted; and what the
acquirer really charged."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.conformance.nexo.adyen_till import ANSWERS_WITHIN, AdyenTill, Answer, Program
from tests.kit.sandbox_process import SandboxProcess
from tests.kit.shop_front import charged, ledger

SUCCESS = ("Success", None)


def authorised(answer: Answer) -> Any:
    """The amounts of a payment response."""
    return answer.body["PaymentResult"]["AmountsResp"]


def moved(sandbox: SandboxProcess, reference: str) -> list[tuple[str, int]]:
    """What the acquirer did for a reference: types and minor units."""
    return [(each["type"], each["amount"]) for each in ledger(sandbox.card, reference)]


def test_a_payment_is_approved_and_charged(
    till: AdyenTill, sandbox: SandboxProcess, reference: str
) -> None:
    paid = till.pay("19.99", reference, number="first", operator="op-19")
    assert paid.result == SUCCESS
    assert paid.header["ServiceID"] == "first"
    assert (paid.header["SaleID"], paid.header["POIID"]) == (till.sale_id, till.poi_id)
    assert paid.body["SaleData"]["SaleTransactionID"]["TransactionID"] == reference
    assert paid.transaction["TransactionID"]
    assert authorised(paid) == {"AuthorizedAmount": Decimal("19.99"), "Currency": "EUR"}
    assert charged(sandbox.card, reference) == [1999]


def test_the_card_reaches_the_till_under_the_names_that_the_library_knows(
    till: AdyenTill, reference: str
) -> None:
    instrument = till.pay("5.00", reference).body["PaymentResult"]["PaymentInstrumentData"]
    assert instrument["PaymentInstrumentType"] == "Card"
    card = instrument["CardData"]
    assert card["MaskedPan"].count("*") > 3
    assert card["MaskedPan"][-4:].isdigit()
    assert card["PaymentBrand"]
    assert card["EntryMode"]


def test_both_receipts_come_with_the_answer(till: AdyenTill, reference: str) -> None:
    receipts = till.pay("7.35", reference).body["PaymentReceipt"]
    assert {each["DocumentQualifier"] for each in receipts} == {
        "CashierReceipt",
        "CustomerReceipt",
    }
    for each in receipts:
        assert each["OutputContent"]["OutputFormat"] == "Text"
        assert "7.35" in "".join(line["Text"] for line in each["OutputContent"]["OutputText"])


@pytest.mark.parametrize(
    ("amount", "condition"),
    [
        ("10.40", "Refusal"),
        ("10.41", "Refusal"),
        ("10.43", "Cancel"),
        ("10.44", "Cancel"),  # no card is presented
        ("10.52", "UnavailableDevice"),
        ("10.53", "Refusal"),  # whose answer was lost first
    ],
)
def test_a_payment_is_not_approved(
    till: AdyenTill, sandbox: SandboxProcess, reference: str, amount: str, condition: str
) -> None:
    assert till.pay(amount, reference).result == ("Failure", condition)
    assert charged(sandbox.card, reference) == []


@pytest.mark.parametrize(
    ("amount", "moved"),
    [
        ("10.46", 1046),  # whose answer was lost first
        ("10.48", 1048),  # whose answer comes twice
        ("10.49", 1049),  # whose cardholder takes long
        ("10.50", 1050),  # with a signature
        ("10.51", 1051),  # in another currency
    ],
)
def test_a_payment_is_approved_once_whatever_happens(
    till: AdyenTill, sandbox: SandboxProcess, reference: str, amount: str, moved: int
) -> None:
    paid = till.pay(amount, reference)
    assert paid.result == SUCCESS
    assert authorised(paid)["AuthorizedAmount"] == Decimal(amount)
    assert charged(sandbox.card, reference) == [moved]


def test_a_partial_approval_says_how_much(
    till: AdyenTill, sandbox: SandboxProcess, reference: str
) -> None:
    paid = till.pay("10.45", reference)
    assert paid.body["Response"]["Result"] == "Partial"
    assert authorised(paid)["AuthorizedAmount"] == Decimal("5.22")
    assert charged(sandbox.card, reference) == [522]


def test_a_signature_is_asked_for_on_the_cashiers_receipt(till: AdyenTill, reference: str) -> None:
    receipts = till.pay("10.50", reference).body["PaymentReceipt"]
    assert {
        each["DocumentQualifier"] for each in receipts if each.get("RequiredSignatureFlag")
    } == {"CashierReceipt"}


def test_a_tip_of_the_terminal_is_part_of_what_was_authorised(
    till: AdyenTill, sandbox: SandboxProcess, reference: str
) -> None:
    amounts = authorised(till.pay("10.54", reference))
    assert amounts["AuthorizedAmount"] == Decimal("11.59")
    assert amounts["TipAmount"] == Decimal("1.05")
    assert charged(sandbox.card, reference) == [1159]


def test_the_tills_tip_and_cash_back_are_within_the_amount(
    till: AdyenTill, sandbox: SandboxProcess, reference: str
) -> None:
    amounts = authorised(till.pay("30.00", reference, tip=2.5, cash_back=20))
    assert amounts["AuthorizedAmount"] == Decimal(30)
    assert amounts["TipAmount"] == Decimal("2.5")
    assert amounts["CashBackAmount"] == Decimal(20)
    assert charged(sandbox.card, reference) == [3000]


def test_a_linked_refund_gives_back_up_to_what_was_paid(
    till: AdyenTill, sandbox: SandboxProcess, reference: str
) -> None:
    sale = till.pay("20.00", reference).transaction
    first = till.pay("12.00", f"{reference}-a", type="Refund", original=sale)
    assert first.result == SUCCESS
    assert authorised(first)["AuthorizedAmount"] == Decimal(12)
    too_much = till.pay("9.00", f"{reference}-b", type="Refund", original=sale)
    assert too_much.result == ("Failure", "NotAllowed")
    rest = till.pay("8.00", f"{reference}-c", type="Refund", original=sale)
    assert rest.result == SUCCESS
    assert moved(sandbox, f"{reference}-a") == [("REFUND", 1200)]
    assert moved(sandbox, f"{reference}-b") == []
    assert moved(sandbox, f"{reference}-c") == [("REFUND", 800)]


def test_an_unlinked_refund(till: AdyenTill, sandbox: SandboxProcess, reference: str) -> None:
    refund = till.pay("6.60", reference, type="Refund")
    assert refund.result == SUCCESS
    assert refund.body["PaymentResult"]["PaymentType"] == "Refund"
    assert moved(sandbox, reference) == [("REFUND", 660)]


def test_a_reversal_takes_the_whole_payment_back_once(
    till: AdyenTill, sandbox: SandboxProcess, reference: str
) -> None:
    sale = till.pay("33.00", reference).transaction
    reversal = till.ask("reverse", original=sale, reference=f"{reference}-r")
    assert reversal.result == SUCCESS
    assert reversal.body["ReversedAmount"] == Decimal(33)
    assert reversal.transaction["TransactionID"] != sale["TransactionID"]
    again = till.ask("reverse", original=sale, reference=f"{reference}-s")
    assert again.result == ("Failure", "NotAllowed")
    assert moved(sandbox, f"{reference}-r") == [("REVERSAL", 3300)]
    assert moved(sandbox, f"{reference}-s") == []


def test_a_reversal_may_take_back_a_part(
    till: AdyenTill, sandbox: SandboxProcess, reference: str
) -> None:
    sale = till.pay("33.00", reference).transaction
    reversal = till.ask("reverse", original=sale, amount=11, reference=f"{reference}-r")
    assert reversal.result == SUCCESS
    assert reversal.body["ReversedAmount"] == Decimal(11)
    assert moved(sandbox, f"{reference}-r") == [("REVERSAL", 1100)]


def test_a_reversal_of_what_never_was(till: AdyenTill, reference: str) -> None:
    unknown = {"TransactionID": "1" * 31, "TimeStamp": "2026-11-20T08:12:41Z"}
    reversal = till.ask("reverse", original=unknown, reference=reference)
    assert reversal.result == ("Failure", "NotFound")


def test_a_reservation_is_raised_and_completed(
    till: AdyenTill, sandbox: SandboxProcess, reference: str
) -> None:
    first = till.pay("50.00", reference, type="FirstReservation")
    assert first.result == SUCCESS
    held = first.transaction
    raised = till.pay("70.00", f"{reference}-u", type="UpdateReservation", original=held)
    assert raised.result == SUCCESS
    done = till.pay("64.00", f"{reference}-c", type="Completion", original=held)
    assert done.result == SUCCESS
    assert authorised(done)["AuthorizedAmount"] == Decimal(64)
    assert moved(sandbox, reference) == [("PREAUTH", 5000)]
    assert moved(sandbox, f"{reference}-u") == [("INCREMENT", 2000)]
    assert moved(sandbox, f"{reference}-c") == [("CAPTURE", 6400)]


def test_a_reservation_is_found_by_what_the_till_calls_it(
    till: AdyenTill, sandbox: SandboxProcess, reference: str
) -> None:
    first = till.pay("50.00", reference, type="OneTimeReservation", chain=reference)
    assert first.result == SUCCESS
    assert first.body["SaleData"]["SaleReferenceID"] == reference
    done = till.pay("41.00", f"{reference}-c", type="Completion", chain=reference)
    assert done.result == SUCCESS
    assert moved(sandbox, f"{reference}-c") == [("CAPTURE", 4100)]


def test_a_cash_advance(till: AdyenTill, sandbox: SandboxProcess, reference: str) -> None:
    assert till.pay("80.00", reference, type="CashAdvance").result == SUCCESS
    assert moved(sandbox, reference) == [("CASH_ADVANCE", 8000)]


def test_lanes_at_terminals_of_their_own_pay_at_once(
    till: AdyenTill, sandbox: SandboxProcess, reference: str
) -> None:
    lanes = [AdyenTill(till.program, till.way, f"V1-000{number}") for number in range(1, 6)]
    paid = [
        lane.begin("pay", amount=10.49, reference=f"{reference}-{lane.poi_id}") for lane in lanes
    ]
    assert {each.result(ANSWERS_WITHIN).result for each in paid} == {SUCCESS}
    for lane in lanes:
        assert charged(sandbox.card, f"{reference}-{lane.poi_id}") == [1049]


def test_a_till_on_an_ordinary_https_client_pays(
    program: Program, sandbox: SandboxProcess, reference: str
) -> None:
    """One that demands a certificate for the host that it calls, by the CA of the card."""
    till = AdyenTill(program, "cloud", sandbox.card["nexo"]["poi_id"])
    assert till.pay("12.34", reference).result == SUCCESS
    assert charged(sandbox.card, reference) == [1234]
