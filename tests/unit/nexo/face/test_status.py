"""TransactionStatus: how a till finds out what became of an answer that it lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from tests.kit.runner import virtual
from tests.unit.nexo.face.lanes import (
    SALE,
    SETTINGS,
    VISA,
    Json,
    desk_in,
    ended,
    lines_of,
    payment,
    poi_id_of,
    response_in,
    reversal,
    sandbox_in,
    words,
)
from tillwire.core.model import Verdict
from tillwire.core.ports import CannotTell, Sign
from tillwire.errors import AnswerLost


def repeated(status: Json, category: str = "Payment") -> Json:
    """The response that a status repeats."""
    assert ended(status) == ("Success", None), status
    body: Json = status["RepeatedMessageResponse"]["RepeatedResponseMessageBody"]
    assert list(body) == [f"{category}Response"], "one of them, and no other"
    response: Json = body[f"{category}Response"]
    return response


# --- found -------------------------------------------------------------------------------------


@virtual()
async def test_the_lost_answer_comes_whole_with_its_header(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        lost = (await lane.send("Payment", payment("10.00")))["SaleToPOIResponse"]
        status = await lane.status("1")
        assert repeated(status) == lost["PaymentResponse"]
        assert status["RepeatedMessageResponse"]["MessageHeader"] == lost["MessageHeader"]
        assert status["MessageReference"] == {
            "MessageCategory": "Payment",
            "ServiceID": "1",
            "SaleID": "LANE-07",
            "POIID": "V1-t1",
        }


@virtual()
async def test_success_means_found_and_the_payment_may_have_failed(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        await lane.pay("10.40")
        assert ended(repeated(await lane.status("1"))) == ("Failure", "Refusal")


@virtual()
async def test_an_answer_stays_the_same_for_good(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        paid = await lane.pay("10.00")
        period = await sandbox.shop.engine.close_period("t1")
        assert period.number == 1
        assert repeated(await lane.status("1")) == paid
    async with sandbox_in(tmp_path) as sandbox:
        await asyncio.sleep(30 * 24 * 3600)
        assert repeated(await sandbox.lane().status("1")) == paid


@virtual()
async def test_a_status_names_any_till_and_terminal_of_the_organisation(tmp_path: Path) -> None:
    """A till that stands in for a broken one finds its payments."""
    async with sandbox_in(tmp_path) as sandbox:
        paid = await sandbox.lane("LANE-07", "V1-t1").pay("10.00")
        other = sandbox.lane("LANE-08", "V1-t2")
        reference = {"ServiceID": "1", "SaleID": "LANE-07", "POIID": "V1-t1"}
        status = response_in(await other.send("TransactionStatus", {"MessageReference": reference}))
        assert repeated(status) == paid
        assert status["MessageReference"]["POIID"] == "V1-t1"
        assert status["RepeatedMessageResponse"]["MessageHeader"]["POIID"] == "V1-t1"


@virtual()
async def test_without_a_reference_the_tills_last_transaction_is_meant(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane, other = sandbox.lane(), sandbox.lane("LANE-08")
        assert ended(await lane.status()) == ("Failure", "NotFound")
        paid = await lane.pay("10.00")
        await other.pay("99.00")
        assert repeated(await lane.status()) == paid
        undone = response_in(await lane.send("Reversal", reversal(poi_id_of(paid))))
        assert repeated(await lane.status(), "Reversal") == undone
        by_category = {"MessageReference": {"MessageCategory": "Payment"}}
        status = response_in(await lane.send("TransactionStatus", by_category))
        assert repeated(status) == paid


@virtual()
async def test_without_a_reference_what_goes_on_counts_more_than_what_it_kept_out(
    tmp_path: Path,
) -> None:
    """A till that was restarted tries to pay, is refused, and asks for the last one: it must not
    hear that nothing was done."""
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        paying = lane.begin("Payment", payment())
        transaction = await desk.sent()
        assert ended(await lane.pay()) == ("Failure", "NotAllowed")
        status = await lane.status()
        assert ended(status) == ("Failure", "InProgress")
        assert status["MessageReference"]["ServiceID"] == "1"
        desk.driver.answer(transaction, AnswerLost("gone"))
        desk.driver.found = [CannotTell("memory lost", needs_person=True)]
        await asyncio.sleep(5)
        assert ended(await lane.pay()) == ("Failure", "Busy")
        assert "Do not pay again" in words(await lane.status())
        other = response_in(await desk.lane("LANE-08").send("TransactionStatus", {}))
        assert ended(other) == ("Failure", "NotFound"), "it is another till's"
        await desk.engine.decide(transaction.id, Verdict.APPROVED, person="Ada", reason="seen")
        await paying


@virtual()
async def test_a_reversal_is_repeated_as_one(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        paid = await lane.pay("10.00")
        undone = await lane.reverse(poi_id_of(paid))
        reference = {"MessageCategory": "Reversal", "ServiceID": "2"}
        status = response_in(await lane.send("TransactionStatus", {"MessageReference": reference}))
        assert repeated(status, "Reversal") == undone


# --- still running -----------------------------------------------------------------------------


@virtual()
async def test_a_running_payment_is_in_progress_and_says_what_goes_on(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        paying = lane.begin("Payment", payment())
        transaction = await desk.sent()
        status = await lane.status("1")
        assert ended(status) == ("Failure", "InProgress")
        assert words(status) == "It was sent to the terminal."
        assert status["MessageReference"]["ServiceID"] == "1"
        assert "RepeatedMessageResponse" not in status
        await (await desk.driver.begun(transaction))(Sign(started=True))
        assert words(await lane.status("1")) == "The terminal works on it."
        desk.driver.answer(transaction, AnswerLost("gone"))
        desk.driver.found = [CannotTell("memory lost", needs_person=True)]
        await asyncio.sleep(5)
        unknown = await lane.status("1")
        assert ended(unknown) == ("Failure", "InProgress"), "never NotFound, never a failure"
        assert "Do not pay again" in words(unknown)
        assert "tillwire transactions decide" in words(unknown), "it says what to do"
        await desk.engine.decide(transaction.id, Verdict.APPROVED, person="Ada", reason="seen")
        assert repeated(await lane.status("1")) == response_in(await paying)


@virtual()
async def test_a_payment_that_waits_for_its_terminal(tmp_path: Path) -> None:
    async with desk_in(tmp_path, pull=True) as desk:
        lane = desk.lane()
        paying = lane.begin("Payment", payment())
        await asyncio.sleep(1)
        status = await lane.status("1")
        assert ended(status) == ("Failure", "InProgress")
        assert "waits for the terminal" in words(status)
        await lane.abort("1")
        await paying


@virtual()
async def test_a_status_right_behind_its_payment_finds_it(tmp_path: Path) -> None:
    """It is being accepted: NotFound would make the till pay again."""
    async with sandbox_in(tmp_path) as sandbox:
        for number in range(1, 6):
            lane = sandbox.lane(f"LANE-{number}", f"V1-t{number % 3 + 1}")
            paying = lane.begin("Payment", payment("10.00"))
            for _ in range(number):
                await asyncio.sleep(0)
            status = await lane.status("1")
            assert ended(status) in (("Failure", "InProgress"), ("Success", None))
            await paying


# --- not found ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reference",
    [
        {"ServiceID": "77"},
        {"ServiceID": "1", "MessageCategory": "Reversal"},
        {"ServiceID": "1", "SaleID": "LANE-08"},
        {"ServiceID": "1", "POIID": "V1-t2"},
        {"ServiceID": "1", "POIID": "nowhere"},
        {"MessageCategory": "CardAcquisition"},
    ],
)
def test_what_was_never_received_is_not_found(tmp_path: Path, reference: Json) -> None:
    @virtual()
    async def scenario() -> None:
        async with sandbox_in(tmp_path) as sandbox:
            lane = sandbox.lane()
            await lane.pay("10.00")
            body = {"MessageReference": reference}
            status = response_in(await lane.send("TransactionStatus", body))
            assert ended(status) == ("Failure", "NotFound")

    scenario()


@virtual()
async def test_the_terminals_of_another_organisation_are_not_found(tmp_path: Path) -> None:
    theirs = msgspec.structs.replace(SETTINGS, organisation="other")
    async with sandbox_in(tmp_path, theirs) as sandbox:
        assert ended(await sandbox.lane("LANE-07", "V1-x1").pay("10.00")) == ("Success", None)
    async with sandbox_in(tmp_path) as sandbox:
        body = {"MessageReference": {"ServiceID": "1", "POIID": "V1-x1"}}
        status = response_in(await sandbox.lane().send("TransactionStatus", body))
        assert ended(status) == ("Failure", "NotFound")


@virtual()
async def test_what_cannot_be_repeated_says_so(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        body = {"MessageReference": {"ServiceID": "1", "MessageCategory": "Admin"}}
        status = response_in(await sandbox.lane().send("TransactionStatus", body))
        assert ended(status) == ("Failure", "UnavailableService")


@pytest.mark.parametrize("strict", [False, True])
def test_a_status_under_its_targets_own_number(tmp_path: Path, strict: bool) -> None:
    @virtual()
    async def scenario() -> None:
        settings = msgspec.structs.replace(SETTINGS, strict_references=strict)
        async with sandbox_in(tmp_path, settings) as sandbox:
            lane = sandbox.lane()
            paid = await lane.pay("10.00")
            body = {"MessageReference": {"ServiceID": "1"}}
            answer = await lane.send("TransactionStatus", body, ServiceID="1")
            status = response_in(answer)
            if strict:
                assert ended(status) == ("Failure", "MessageFormat")
            else:
                assert repeated(status) == paid

    scenario()


# --- sessions and restarts ---------------------------------------------------------------------


@virtual()
async def test_a_status_needs_no_login(tmp_path: Path) -> None:
    """After a restart of either side, it is how the till finds its way back."""
    async with sandbox_in(tmp_path) as sandbox:
        paid = await sandbox.lane().pay("10.00")
    strict = msgspec.structs.replace(SETTINGS, login_required=True)
    async with sandbox_in(tmp_path, strict) as sandbox:
        lane = sandbox.lane()
        lane.number = 1
        assert ended(await lane.pay("10.00")) == ("Failure", "LoggedOut")
        assert repeated(await lane.status("1")) == paid


@virtual()
async def test_an_errand_that_a_restart_cut_off_has_ended(tmp_path: Path) -> None:
    body = {"SaleData": payment()["SaleData"], "CardAcquisitionTransaction": {}}
    reference = {"MessageReference": {"MessageCategory": "CardAcquisition", "ServiceID": "1"}}
    async with desk_in(tmp_path) as desk:
        desk.driver.errand_end = asyncio.get_running_loop().create_future()
        reading = desk.lane().begin("CardAcquisition", body)
        await desk.driver.errand_begun.wait()
        reading.cancel()
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        answers = [
            response_in(await lane.send("TransactionStatus", reference, ServiceID=number))
            for number in ("8", "9")
        ]
        told = repeated(answers[0], "CardAcquisition")
        assert ended(told) == ("Failure", "Aborted")
        assert "restarted" in words(told)
        assert answers[0] == answers[1], "and stays so"
        again = response_in(await lane.send("CardAcquisition", body, ServiceID="1"))
        assert ended(again) == ("Failure", "NotAllowed")


# --- receipts ----------------------------------------------------------------------------------


@virtual()
async def test_receipts_are_reprinted_as_copies(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        paid = await lane.pay("10.00")
        status = await lane.status("1", ReceiptReprintFlag=True)
        again = repeated(status)
        assert [each["DocumentQualifier"] for each in again["PaymentReceipt"]] == [
            "CashierReceipt",
            "CustomerReceipt",
        ]
        assert lines_of(again["PaymentReceipt"][1])[:2] == ["*** REPRINT ***", " "]
        assert lines_of(again["PaymentReceipt"][1])[2:] == lines_of(paid["PaymentReceipt"][1])
        assert again["PaymentResult"] == paid["PaymentResult"]


@virtual()
async def test_a_number_of_the_sale_stays_readable_on_its_receipts(tmp_path: Path) -> None:
    """One in ten of a shop's own numbers of this length passes the check of a card number."""
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        order = {"SaleTransactionID": {**SALE, "TransactionID": "268499000001"}}
        paid = await lane.pay("10.00", sale=order)
        again = repeated(await lane.status("1", ReceiptReprintFlag=True))
        for receipt in (*paid["PaymentReceipt"], *again["PaymentReceipt"]):
            assert "Reference   268499000001" in lines_of(receipt)


@pytest.mark.parametrize(
    ("wanted", "receipts"),
    [
        (["CustomerReceipt"], ["CustomerReceipt"]),
        (["CashierReceipt"], ["CashierReceipt"]),
        (["CashierReceipt", "CustomerReceipt"], ["CashierReceipt", "CustomerReceipt"]),
        (["Voucher"], []),
    ],
)
def test_the_receipts_that_are_wanted(
    tmp_path: Path, wanted: list[str], receipts: list[str]
) -> None:
    @virtual()
    async def scenario() -> None:
        async with sandbox_in(tmp_path) as sandbox:
            lane = sandbox.lane()
            await lane.pay("10.00")
            status = await lane.status("1", ReceiptReprintFlag=True, DocumentQualifier=wanted)
            found = repeated(status).get("PaymentReceipt", [])
            assert [each["DocumentQualifier"] for each in found] == receipts

    scenario()


@virtual()
async def test_without_the_flag_nothing_is_reprinted(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        paid = await lane.pay("10.00")
        status = await lane.status(
            "1", ReceiptReprintFlag=False, DocumentQualifier=["CustomerReceipt"]
        )
        assert repeated(status) == paid


@virtual()
async def test_a_payment_without_receipts_has_none_to_reprint(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        desk.driver.at_once = VISA
        await lane.pay("0")
        status = await lane.status("1", ReceiptReprintFlag=True)
        assert "PaymentReceipt" not in repeated(status)
