"""A till on Adyen's library logs in and out, asks how the terminal is, counts, closes the day, and
uses the terminal's display, printer and keys."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import pytest

from tests.conformance.nexo.adyen_till import ANSWERS_WITHIN, AdyenTill, Answer, verdict
from tests.conformance.nexo.waiting import script, until_busy, waiting_payment
from tests.kit.sandbox_process import SandboxProcess
from tests.kit.shop_front import charged

SUCCESS: Final = ("Success", None)


# --- sessions -------------------------------------------------------------------------------


def test_a_login_tells_what_the_terminal_is(till: AdyenTill) -> None:
    login = till.ask("login")
    assert login.result == SUCCESS
    assert login.header["ProtocolVersion"] == "3.0"
    system = login.body["POISystemData"]
    assert system["POISoftware"]["ManufacturerID"]
    assert system["POITerminalData"]["POISerialNumber"]
    assert system["POIStatus"]["GlobalStatus"] == "OK"
    assert till.ask("logout").result == SUCCESS


def test_a_diagnosis_tells_who_is_logged_in(till: AdyenTill) -> None:
    till.ask("login")
    diagnosis = till.ask("diagnosis", hosts=True)
    assert diagnosis.result == SUCCESS
    assert diagnosis.body["POIStatus"]["GlobalStatus"] == "OK"
    assert till.sale_id in diagnosis.body["LoggedSaleID"]
    till.ask("logout")
    assert till.sale_id not in till.ask("diagnosis").body.get("LoggedSaleID", [])


def test_a_diagnosis_beside_a_payment_says_busy(
    till: AdyenTill, sandbox: SandboxProcess, reference: str
) -> None:
    with waiting_payment(till, sandbox.card, reference):
        status = till.another_lane().ask("diagnosis").body["POIStatus"]
    assert status["GlobalStatus"] == "Busy"


def test_training_charges_nobody(till: AdyenTill, sandbox: SandboxProcess, reference: str) -> None:
    assert till.ask("login", training=True).result == SUCCESS
    paid = till.pay("15.00", reference)
    assert paid.result == SUCCESS
    printed = "".join(
        line["Text"]
        for each in paid.body["PaymentReceipt"]
        for line in each["OutputContent"]["OutputText"]
    )
    assert "TRAINING" in printed.upper()
    back = till.pay("15.00", f"{reference}-r", type="Refund", original=paid.transaction)
    assert back.result == SUCCESS
    till.ask("logout")
    assert charged(sandbox.card, reference) == []
    assert charged(sandbox.card, f"{reference}-r") == []


# --- totals ---------------------------------------------------------------------------------


def counted(answer: Answer) -> dict[str, tuple[Decimal, Decimal]]:
    """Counts and amounts in all rows, by the type of transaction."""
    found: dict[str, tuple[Decimal, Decimal]] = {}
    for row in answer.body.get("TransactionTotals", ()):
        for each in row["PaymentTotals"]:
            count, amount = found.get(each["TransactionType"], (Decimal(0), Decimal(0)))
            found[each["TransactionType"]] = (
                count + each["TransactionCount"],
                amount + each["TransactionAmount"],
            )
    return found


def test_totals_count_what_this_till_did(till: AdyenTill, reference: str) -> None:
    sale = till.pay("20.00", reference).transaction
    till.pay("10.40", f"{reference}-declined")
    till.pay("5.00", f"{reference}-back", type="Refund")
    till.ask("reverse", original=sale)
    totals = till.ask("totals", by=["SaleID"], only={"SaleID": till.sale_id})
    assert totals.result == SUCCESS
    assert {row["SaleID"] for row in totals.body["TransactionTotals"]} == {till.sale_id}
    assert counted(totals) == {
        "Debit": (Decimal(1), Decimal(20)),
        "Declined": (Decimal(1), Decimal("10.40")),
        "Credit": (Decimal(1), Decimal(5)),
        "ReverseDebit": (Decimal(1), Decimal(20)),
    }


def test_a_reconciliation_closes_the_period_and_can_be_had_again(
    till: AdyenTill, reference: str
) -> None:
    paid = till.pay("21.00", reference)
    before = counted(till.ask("totals"))
    closing = till.ask("reconcile")
    assert closing.result == SUCCESS
    assert closing.body["ReconciliationType"] == "SaleReconciliation"
    assert closing.body["POIReconciliationID"] == paid.body["POIData"]["POIReconciliationID"]
    assert counted(closing) == before
    after = till.ask("totals")
    assert counted(after) == {}
    period = int(closing.body["POIReconciliationID"])
    assert int(after.body["POIReconciliationID"]) == period + 1
    again = till.ask("reconcile", type="PreviousReconciliation", period=str(period))
    assert again.result == SUCCESS
    assert counted(again) == before


# --- devices --------------------------------------------------------------------------------


def test_a_text_is_shown_to_the_customer(till: AdyenTill) -> None:
    shown = till.ask("display", text="2 x widget\n40.00")
    (result,) = shown.body["OutputResult"]
    assert verdict(result["Response"]) == SUCCESS
    assert (result["Device"], result["InfoQualify"]) == ("CustomerDisplay", "Display")


def test_a_text_is_printed(till: AdyenTill) -> None:
    printed = till.ask("print", text="HOLLOW CREEK STORES\nThank you")
    assert printed.result == SUCCESS
    assert printed.body["DocumentQualifier"] == "Document"


def test_a_printer_without_paper_says_so(till: AdyenTill, sandbox: SandboxProcess) -> None:
    script(sandbox.card, till.poi_id, paper_out=True)
    assert till.ask("print", text="Thank you").result == ("Failure", "DeviceOut")


@pytest.mark.parametrize(
    ("command", "answered", "typed"),
    [
        ("GetConfirmation", "yes", {"ConfirmedFlag": True}),
        ("GetConfirmation", "no", {"ConfirmedFlag": False}),
        ("DigitString", "4711", {"DigitInput": "4711"}),
        ("TextString", "Ada", {"TextInput": "Ada"}),
    ],
)
def test_the_customer_is_asked(
    till: AdyenTill, sandbox: SandboxProcess, command: str, answered: str, typed: dict[str, Any]
) -> None:
    script(sandbox.card, till.poi_id, answer=answered)
    asked = till.ask("input", text="Well?", command=command)
    result = asked.body["InputResult"]
    assert verdict(result["Response"]) == SUCCESS
    assert result["Input"] == {"InputCommand": command, **typed}


@pytest.mark.parametrize("named", [{"ServiceID": "ask1"}, {}])
def test_a_question_is_aborted(
    till: AdyenTill, sandbox: SandboxProcess, named: dict[str, str]
) -> None:
    """By its ServiceID if it has one, as Adyen's tills do, else by its DeviceID."""
    script(sandbox.card, till.poi_id, answer="much too late", seconds=3600)
    number = till.number()
    asked = till.begin(
        "input", number=number, header=named, text="Well?", command="TextString", seconds=100
    )
    until_busy(till, asked)
    target = {"aborted": named["ServiceID"]} if named else {"device": number}
    assert till.ask("abort", category="Input", **target).message == {}
    result = asked.result(ANSWERS_WITHIN).body["InputResult"]
    assert verdict(result["Response"]) == ("Failure", "Aborted")
    assert till.ask("display", text="Thank you").body


# --- cards ----------------------------------------------------------------------------------


def test_a_card_that_was_read_first_pays(
    till: AdyenTill, sandbox: SandboxProcess, reference: str
) -> None:
    read = till.ask("acquire", reference=reference, amount=9.5)
    assert read.result == SUCCESS
    card = read.body["PaymentInstrumentData"]["CardData"]
    assert card["MaskedPan"][-4:].isdigit()
    paid = till.pay("9.50", reference, acquired=read.transaction)
    assert paid.result == SUCCESS
    instrument = paid.body["PaymentResult"]["PaymentInstrumentData"]
    assert instrument["CardData"]["MaskedPan"] == card["MaskedPan"]
    assert charged(sandbox.card, reference) == [950]


def test_a_card_is_read_ahead_of_its_sale(
    till: AdyenTill, sandbox: SandboxProcess, reference: str
) -> None:
    assert till.ask("enable", action="StartTransaction").result == SUCCESS
    assert till.pay("9.60", reference).result == SUCCESS
    assert till.ask("enable", action="AbortTransaction").result == SUCCESS
    assert charged(sandbox.card, reference) == [960]


@pytest.mark.parametrize("sandbox", [1.0], indirect=True, ids=["unhurried"])
def test_to_read_a_card_can_be_aborted(
    till: AdyenTill, sandbox: SandboxProcess, reference: str
) -> None:
    script(sandbox.card, till.poi_id, answer="", seconds=3600)
    number = till.number()
    read = till.begin("acquire", number=number, reference=reference, amount=9.5)
    until_busy(till, read)
    assert till.ask("abort", aborted=number, category="CardAcquisition").message == {}
    assert read.result(ANSWERS_WITHIN).result == ("Failure", "Aborted")


def test_a_balance_is_asked_for(till: AdyenTill) -> None:
    balance = till.ask("balance")
    assert balance.result == SUCCESS
    assert balance.body["PaymentAccountStatus"]["CurrentBalance"] >= 0


def test_an_administrative_service(till: AdyenTill) -> None:
    assert till.ask("admin", service="Update").result == SUCCESS
