"""Display and Print: a till's texts on the terminal's display and printer."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.kit.runner import virtual
from tests.unit.core.scripted import approved
from tests.unit.nexo.face.lanes import (
    PATIENCE,
    Json,
    Lane,
    desk_in,
    ended,
    payment,
    response_in,
    sandbox_in,
)
from tillwire.core.errands import Ability, ErrandFailed, Print, Show, Trouble
from tillwire.core.ports import Capabilities
from tillwire.errors import AnswerLost
from tillwire.virtual.memory import SetScript
from tillwire.virtual.script import Script

SUCCESS = ("Success", None)


def content(*lines: str) -> Json:
    return {"OutputFormat": "Text", "OutputText": [{"Text": line} for line in lines]}


BAR_CODE = {
    "OutputFormat": "BarCode",
    "OutputBarcode": {"BarcodeType": "EAN13", "BarcodeValue": "4006381333931"},
}


def output(*lines: str, device: str = "CustomerDisplay", **special: Any) -> Json:
    return {
        "Device": device,
        "InfoQualify": "Display",
        "OutputContent": content(*lines),
        **special,
    }


async def show(lane: Lane, *outputs: Json, **header: Any) -> list[Json]:
    """A Display; the OutputResults."""
    answer = await post(lane, "Display", {"DisplayOutput": list(outputs)}, **header)
    results: list[Json] = response_in(answer, "Display")["OutputResult"]
    return results


async def post(lane: Lane, category: str, body: Json, **header: Any) -> Json | None:
    """A device request, under a DeviceID alone."""
    lane.number += 1
    ids = {"ServiceID": None, "DeviceID": f"d{lane.number}", "MessageClass": "Device", **header}
    return await lane.post(category, body, **ids)


def document(*lines: str, mode: str | None = "PrintEnd", **special: Any) -> Json:
    return {
        "PrintOutput": {
            "DocumentQualifier": "SaleReceipt",
            "ResponseMode": mode,
            "OutputContent": content(*lines),
            **special,
        }
    }


async def print_(lane: Lane, body: Json) -> Json:
    return response_in(await post(lane, "Print", body), "Print")


# --- display ----------------------------------------------------------------------------------


@virtual()
async def test_a_text_is_shown_to_the_customer(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        results = await show(sandbox.lane(), output("2 x widget", "40.00"))
        assert results == [
            {
                "Device": "CustomerDisplay",
                "InfoQualify": "Display",
                "Response": {"Result": "Success"},
            }
        ]
        assert await sandbox.shop.display() == "2 x widget\n40.00"


@virtual()
async def test_each_output_has_a_result_in_its_order(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        results = await show(
            desk.lane(),
            output("for the cashier", device="CashierDisplay"),
            output("Welcome", MinimumDisplayTime=5),
            output("Oh", InfoQualify="Error", ResponseRequiredFlag=False),
            output("Beep", InfoQualify="Sound"),
            output("?", device="Hologram"),
        )
        assert [(each["Device"], each["InfoQualify"]) for each in results] == [
            ("CashierDisplay", "Display"),
            ("CustomerDisplay", "Display"),
            ("CustomerDisplay", "Error"),
            ("CustomerDisplay", "Sound"),
            ("Hologram", "Display"),
        ]
        assert [ended(each) for each in results] == [
            ("Failure", "UnavailableDevice"),
            SUCCESS,
            SUCCESS,
            ("Failure", "UnavailableService"),
            ("Failure", "MessageFormat"),
        ]
        assert desk.driver.errands == [Show("Welcome", 5), Show("Oh", 0)]
        assert "DisplayOutput[4], field Device" in results[4]["Response"]["AdditionalResponse"]


@virtual()
async def test_nobody_is_answered_where_no_output_wants_it(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        silent = output("Welcome", ResponseRequiredFlag=False)
        assert await post(lane, "Display", {"DisplayOutput": [silent]}) is None
        desk.driver.errand_end = ErrandFailed(Trouble.BROKEN)
        assert await post(lane, "Display", {"DisplayOutput": [silent]}) is None
        assert len(desk.driver.errands) == 2


@virtual()
async def test_two_outputs_for_one_place_are_refused(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        results = await show(desk.lane(), output("a"), output("b"))
        assert [ended(each) for each in results] == [("Failure", "MessageFormat")] * 2
        assert desk.driver.errands == []


@virtual()
async def test_what_is_no_text_is_told_of_each_output(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        named = {"OutputFormat": "MessageRef", "PredefinedContent": {"ReferenceID": "Idle"}}
        rich = b64encode(b"<p>Total <b>40.00</b></p>").decode()
        results = await show(
            desk.lane(),
            output(OutputContent=named),
            output(InfoQualify="Status", OutputContent=BAR_CODE),
            output(
                InfoQualify="Receipt",
                OutputContent={"OutputFormat": "XHTML", "OutputXHTML": rich},
            ),
        )
        assert [ended(each) for each in results] == [
            ("Failure", "UnavailableService"),
            ("Partial", "UnavailableService"),
            SUCCESS,
        ]
        assert [each.text for each in desk.driver.errands] == ["4006381333931", "Total 40.00"]


@virtual()
async def test_the_entries_of_a_menu_stand_beneath_the_text(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        entries = [content("Coffee"), content("Tea")]
        await show(desk.lane(), output("Today", MenuEntry=entries))
        assert desk.driver.errands == [Show("Today\nCoffee\nTea")]


@virtual()
async def test_the_display_is_the_payments_while_one_runs(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        paying = desk.lane("LANE-01").begin("Payment", payment())
        transaction = await desk.sent()
        for sale_id, condition in (("LANE-02", "Busy"), ("LANE-01", "NotAllowed")):
            lane = desk.lane(sale_id)
            lane.number = 7
            (result,) = await show(lane, output("Welcome"))
            assert ended(result) == ("Failure", condition)
        assert desk.driver.errands == []
        desk.driver.answer(transaction, approved())
        await asyncio.wait_for(paying, PATIENCE)


@pytest.mark.parametrize(
    ("failure", "condition"),
    [
        (ErrandFailed(Trouble.BROKEN), "DeviceOut"),
        (ErrandFailed(Trouble.BUSY), "Busy"),
        (ErrandFailed(Trouble.UNREACHABLE), "UnavailableDevice"),
        (ErrandFailed(Trouble.REFUSED), "NotAllowed"),
        (ErrandFailed(Trouble.TIMED_OUT), "Cancel"),
        (AnswerLost("gone"), "UnavailableDevice"),
    ],
)
def test_every_trouble_has_its_condition(
    tmp_path: Path, failure: Exception, condition: str
) -> None:
    @virtual()
    async def play() -> None:
        async with desk_in(tmp_path) as desk:
            desk.driver.errand_end = failure
            (result,) = await show(desk.lane(), output("Welcome"))
            assert ended(result) == ("Failure", condition)
            printed = await print_(desk.lane(), document("Thank you"))
            assert ended(printed) == ("Failure", condition)

    play()


@virtual()
async def test_a_terminal_without_the_device_says_that_it_has_none(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        desk.driver.capabilities = Capabilities(
            types=frozenset(), errands=frozenset({Ability.READ_CARD})
        )
        lane = desk.lane()
        (result,) = await show(lane, output("Welcome"))
        assert ended(result) == ("Failure", "UnavailableDevice")
        assert ended(await print_(lane, document("x"))) == ("Failure", "UnavailableDevice")


# --- print ------------------------------------------------------------------------------------


@virtual()
async def test_a_document_is_printed_as_plain_lines(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        body = document(RequiredSignatureFlag=True)
        body["PrintOutput"]["OutputContent"]["OutputText"] = [
            {"Text": "HOLLOW CREEK", "Alignment": "Centred", "CharacterStyle": "Bold"},
            {"Text": "Total", "EndOfLineFlag": False},
            {"Text": "   40.00"},
        ]
        printed = await print_(sandbox.lane(), body)
        assert printed == {
            "DocumentQualifier": "SaleReceipt",
            "Response": {"Result": "Success"},
        }
        (printout,) = await sandbox.shop.world.printouts("t1")
        assert printout.text == "HOLLOW CREEK\nTotal   40.00"
        assert printout.signature


@virtual()
async def test_a_printer_without_paper_says_so(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        await sandbox.shop.world.set_script("t1", SetScript(Script(paper_out=True), 1))
        printed = await print_(sandbox.lane(), document("Thank you"))
        assert ended(printed) == ("Failure", "DeviceOut")
        assert "paper" in printed["Response"]["AdditionalResponse"]


@virtual()
async def test_a_print_without_a_mode_is_answered_at_its_end(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        desk.driver.errand_end = end = asyncio.get_running_loop().create_future()
        lane = desk.lane()
        printing = asyncio.ensure_future(print_(lane, document("Thank you", mode=None)))
        await asyncio.wait_for(desk.driver.errand_begun.wait(), PATIENCE)
        await asyncio.sleep(1)
        assert not printing.done()
        end.set_result(None)
        assert ended(await asyncio.wait_for(printing, PATIENCE)) == SUCCESS


@virtual()
async def test_a_print_that_needs_no_response_has_one_when_it_fails(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        assert await post(lane, "Print", document("a", mode="NotRequired")) is None
        desk.driver.errand_end = ErrandFailed(Trouble.BROKEN, "no paper")
        failed = await print_(lane, document("b", mode="NotRequired"))
        assert ended(failed) == ("Failure", "DeviceOut")
        assert [each.text for each in desk.driver.errands] == ["a", "b"]


@pytest.mark.parametrize("special", [{"ResponseMode": "Immediate"}, {"IntegratedPrintFlag": True}])
def test_an_immediate_response_says_that_printing_has_begun(tmp_path: Path, special: Json) -> None:
    @virtual()
    async def play() -> None:
        async with desk_in(tmp_path) as desk:
            desk.driver.errand_end = end = asyncio.get_running_loop().create_future()
            lane = desk.lane()
            assert ended(await print_(lane, document("a long one", **special))) == SUCCESS
            assert desk.driver.errands == [Print("a long one")]
            assert ended(await print_(lane, document("another", **special))) == (
                "Failure",
                "Busy",
            ), "what cannot begin has no success"
            with capture_logs() as logs:
                end.set_exception(ErrandFailed(Trouble.BROKEN, "no paper"))
                await asyncio.sleep(1)
            (entry,) = logs
            assert entry["terminal"] == "TILLWIRE-V1-t1"
            assert "no paper" in entry["error"]
            desk.driver.errand_end = None
            assert ended(await print_(lane, document("another", **special))) == SUCCESS

    play()


@virtual()
async def test_what_is_printed_without_its_looks_alone_is_whole(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        rich = b64encode(b"<h1>Hollow Creek</h1><p>Bye</p>").decode()
        body = document(OutputContent={"OutputFormat": "XHTML", "OutputXHTML": rich})
        assert ended(await print_(lane, body)) == SUCCESS
        coded = document(OutputContent=BAR_CODE)
        assert ended(await print_(lane, coded)) == ("Partial", "UnavailableService")
        assert [each.text for each in desk.driver.errands] == [
            "Hollow Creek\nBye",
            "4006381333931",
        ]
        quiet = document(mode="NotRequired", OutputContent=BAR_CODE)
        assert await post(lane, "Print", quiet) is None


@virtual()
async def test_a_tills_own_numbers_are_printed_and_card_numbers_are_not(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        numbers = ("1234567890123452", "4111111111111111")  # both pass the Luhn check
        await print_(lane, document(*numbers))
        await print_(lane, document(*numbers, DocumentQualifier="CustomerReceipt"))
        assert [each.text for each in desk.driver.errands] == [
            "1234567890123452\n************1111",
            "************3452\n************1111",
        ]
        pieces = [{"Text": "12345678", "EndOfLineFlag": False}, {"Text": "90123452"}]
        parted = {"OutputFormat": "Text", "OutputText": pieces}
        await print_(lane, document(DocumentQualifier="CustomerReceipt", OutputContent=parted))
        assert desk.driver.errands[-1].text == "************3452"


@virtual()
async def test_an_unknown_mode_prints_nothing(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        printed = await print_(desk.lane(), document("x", mode="Tomorrow"))
        assert ended(printed) == ("Failure", "MessageFormat")
        assert "PrintOutput, field ResponseMode" in printed["Response"]["AdditionalResponse"]
        assert printed["DocumentQualifier"] == "SaleReceipt"
        assert desk.driver.errands == []


@virtual()
async def test_a_long_print_can_be_aborted(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        desk.driver.errand_end = end = asyncio.get_running_loop().create_future()
        lane = desk.lane()
        printing = asyncio.ensure_future(print_(lane, document("a long one")))
        await asyncio.wait_for(desk.driver.errand_begun.wait(), PATIENCE)
        reference = {"MessageCategory": "Print", "DeviceID": "d1"}
        body = {"MessageReference": reference, "AbortReason": "MerchantAbort"}
        assert await lane.post("Abort", body) is None
        assert ended(await asyncio.wait_for(printing, PATIENCE)) == ("Failure", "Aborted")
        assert end.cancelled()
