"""Abort: a wish, and its races. The target's own answer always says how it ended."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.kit.runner import virtual
from tests.unit.nexo.face.lanes import (
    SETTINGS,
    VISA,
    Json,
    abort,
    desk_in,
    ended,
    event_in,
    payment,
    response_in,
    sandbox_in,
    words,
)
from tillwire.core.model import Outcome, Verdict
from tillwire.core.ports import AbortResult, CannotTell
from tillwire.errors import AnswerLost, NotDelivered, Proof

ACQUISITION = {"SaleData": payment()["SaleData"], "CardAcquisitionTransaction": {}}


# --- before the card ---------------------------------------------------------------------------


@virtual()
async def test_a_payment_that_waits_for_its_card_is_aborted(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        paying = lane.begin("Payment", payment("10.49"))
        await asyncio.sleep(5)
        assert await lane.abort("1") is None, "an Abort has no response"
        paid = response_in(await paying)
        assert ended(paid) == ("Failure", "Aborted")
        assert await sandbox.charged() == []
        told = await lane.status("1")
        repeated = told["RepeatedMessageResponse"]["RepeatedResponseMessageBody"]
        assert repeated["PaymentResponse"] == paid


@virtual()
async def test_a_payment_that_was_not_fetched_yet_is_aborted(tmp_path: Path) -> None:
    async with desk_in(tmp_path, pull=True) as desk:
        lane = desk.lane()
        paying = lane.begin("Payment", payment())
        await asyncio.sleep(1)
        assert await lane.abort("1") is None
        paid = response_in(await paying)
        assert ended(paid) == ("Failure", "Aborted")
        assert "never sent" in words(paid)


@pytest.mark.parametrize("steps", range(12))
def test_an_abort_right_behind_its_payment_on_the_same_connection(
    tmp_path: Path, steps: int
) -> None:
    """Whatever the payment has come to, the abort finds it: nothing is charged after it, and one
    of the two ends is told."""

    @virtual(seed=steps)
    async def scenario() -> None:
        async with sandbox_in(tmp_path) as sandbox:
            lane = sandbox.lane()
            paying = lane.begin("Payment", payment("10.49"))
            for _ in range(steps):
                await asyncio.sleep(0)
            assert await lane.abort("1") is None
            assert ended(response_in(await paying)) == ("Failure", "Aborted")
            assert await sandbox.charged() == []

    scenario()


@virtual()
async def test_the_driver_may_not_say_who_cancelled(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        paying = lane.begin("Payment", payment())
        await desk.sent()
        desk.driver.abort_result = AbortResult.ABORTED
        await lane.abort("1")
        assert ended(response_in(await paying)) == ("Failure", "Aborted"), "the till has asked"


@pytest.mark.parametrize(
    ("proof", "aborts", "condition"),
    [
        (Proof.NEVER_SENT, True, "Aborted"),
        (Proof.NEVER_SENT, False, "UnavailableDevice"),
        (Proof.CONNECT_REFUSED, True, "UnavailableDevice"),
    ],
)
def test_a_payment_that_was_not_sent_since_the_till_called_it_off_is_aborted(
    tmp_path: Path, proof: Proof, aborts: bool, condition: str
) -> None:
    @virtual()
    async def scenario() -> None:
        async with desk_in(tmp_path) as desk:
            lane = desk.lane()
            paying = lane.begin("Payment", payment())
            transaction = await desk.sent()
            desk.driver.abort_result = AbortResult.TOO_LATE
            if aborts:
                assert await lane.abort("1") is None
            desk.driver.answer(transaction, NotDelivered("It was not sent.", proof))
            paid = response_in(await paying)
            assert ended(paid) == ("Failure", condition)
            told = await lane.status("1")
            repeated = told["RepeatedMessageResponse"]["RepeatedResponseMessageBody"]
            assert repeated["PaymentResponse"] == paid

    scenario()


@virtual()
async def test_a_second_abort_has_no_effect(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        paying = lane.begin("Payment", payment())
        transaction = await desk.sent()
        assert await lane.abort("1") is None
        assert await lane.abort("1") is None
        assert desk.driver.aborted == [transaction.id]
        desk.driver.answer(transaction, VISA)
        await paying


@virtual()
async def test_an_abort_from_another_connection_of_the_till(tmp_path: Path) -> None:
    """The first one broke: nobody waits for the payment's answer any more."""
    async with sandbox_in(tmp_path) as sandbox:
        paying = sandbox.lane().begin("Payment", payment("10.49"))
        await asyncio.sleep(5)
        paying.cancel()
        await asyncio.wait({paying})
        lane = sandbox.lane()
        lane.number = 5
        assert await lane.abort("1") is None
        told = await lane.status("1")
        repeated = told["RepeatedMessageResponse"]["RepeatedResponseMessageBody"]
        assert ended(repeated["PaymentResponse"]) == ("Failure", "Aborted")


# --- too late ----------------------------------------------------------------------------------


@virtual()
async def test_a_payment_that_cannot_be_stopped_any_more_ends_as_it_does(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        paying = lane.begin("Payment", payment())
        transaction = await desk.sent()
        desk.driver.abort_result = AbortResult.TOO_LATE
        assert await lane.abort("1") is None, "no event fits: the till waits for the answer"
        assert not paying.done()
        desk.driver.answer(transaction, VISA)
        assert ended(response_in(await paying)) == ("Success", None)


@virtual()
async def test_what_was_too_late_to_abort_and_then_declined_is_a_refusal(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        paying = lane.begin("Payment", payment())
        transaction = await desk.sent()
        await lane.abort("1")
        desk.driver.answer(transaction, Outcome(Verdict.DECLINED, response_code="51"))
        assert ended(response_in(await paying)) == ("Failure", "Refusal")


@virtual()
async def test_an_unknown_payment_cannot_be_aborted(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        paying = lane.begin("Payment", payment())
        desk.driver.found = [CannotTell("memory lost", needs_person=True)]
        transaction = await desk.sent()
        desk.driver.answer(transaction, AnswerLost("gone"))
        await asyncio.sleep(5)
        assert await lane.abort("1") is None
        assert not paying.done(), "nobody knows whether the card was charged"
        await desk.engine.decide(transaction.id, Verdict.CANCELLED, person="Ada", reason="seen")
        assert ended(response_in(await paying))[0] == "Failure"


@virtual()
async def test_an_abort_of_what_has_ended_gets_an_event(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        paid = await lane.pay("10.00")
        answer = await lane.abort("1")
        assert answer is not None
        header = answer["SaleToPOIRequest"]["MessageHeader"]
        assert (header["MessageClass"], header["MessageType"]) == ("Event", "Notification")
        assert header["ServiceID"] == "2", "of the Abort itself"
        event = event_in(answer)
        assert event["EventToNotify"] == "Completed"
        assert "RejectedMessage" not in event
        assert ended(paid) == ("Success", None)


@virtual()
async def test_an_abort_of_what_was_refused_gets_the_event_too(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        await lane.pay("0")
        assert event_in(await lane.abort("1"))["EventToNotify"] == "Completed"


# --- no such target ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("of", "category", "reference", "field"),
    [
        ("77", "Payment", {}, "ServiceID"),
        ("1", "CardAcquisition", {}, "ServiceID"),
        ("1", "Payment", {"SaleID": "LANE-08"}, "SaleID"),
        ("1", "Payment", {"POIID": "V1-t2"}, "POIID"),
    ],
)
def test_an_abort_without_a_target_is_rejected(
    tmp_path: Path, of: str, category: str, reference: Json, field: str
) -> None:
    @virtual()
    async def scenario() -> None:
        async with desk_in(tmp_path) as desk:
            lane = desk.lane()
            paying = lane.begin("Payment", payment())
            transaction = await desk.sent()
            event = event_in(await lane.abort(of, category, **reference))
            assert event["EventToNotify"] == "Reject"
            assert field in event["EventDetails"]
            assert b'"AbortRequest"' in base64.b64decode(event["RejectedMessage"])
            desk.driver.answer(transaction, VISA)
            assert ended(response_in(await paying)) == ("Success", None)
            assert desk.driver.aborted == []

    scenario()


@virtual()
async def test_a_till_aborts_its_own_payments_alone(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        paying = desk.lane("LANE-07").begin("Payment", payment())
        transaction = await desk.sent()
        event = event_in(await desk.lane("LANE-08").abort("1"))
        assert event["EventToNotify"] == "Reject"
        desk.driver.answer(transaction, VISA)
        await paying
        assert desk.driver.aborted == []


@virtual()
async def test_an_abort_before_its_target_is_rejected_and_does_not_stop_it(tmp_path: Path) -> None:
    """Two HTTP requests may overtake each other: the till must abort again."""
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        event = event_in(await lane.post("Abort", abort("2"), ServiceID="1"))
        assert event["EventToNotify"] == "Reject"
        assert "abort it again" in event["EventDetails"]
        paid = await lane.pay("10.00", header={"ServiceID": "2"})
        assert ended(paid) == ("Success", None)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"MessageReference": {}, "AbortReason": "x"},
        {"MessageReference": {"MessageCategory": "Payment"}, "AbortReason": "x"},
        {"MessageReference": {"ServiceID": "1"}},
        {"MessageReference": {"ServiceID": "1"}, "AbortReason": ""},
    ],
)
def test_a_bad_abort_is_rejected(tmp_path: Path, body: Any) -> None:
    @virtual()
    async def scenario() -> None:
        async with desk_in(tmp_path) as desk:
            event = event_in(await desk.lane().post("Abort", body))
            assert event["EventToNotify"] == "Reject"
            assert event["EventDetails"].startswith("At ")

    scenario()


@pytest.mark.parametrize("strict", [False, True])
def test_an_abort_under_its_targets_own_number(tmp_path: Path, strict: bool) -> None:
    """A client's bug that is seen in the field."""

    @virtual()
    async def scenario() -> None:
        settings = msgspec.structs.replace(SETTINGS, strict_references=strict)
        async with sandbox_in(tmp_path, settings) as sandbox:
            lane = sandbox.lane()
            paying = lane.begin("Payment", payment("10.49"))
            await asyncio.sleep(5)
            answer = await lane.post("Abort", abort("1"), ServiceID="1")
            paid = response_in(await paying)
            if strict:
                assert event_in(answer)["EventToNotify"] == "Reject"
                assert ended(paid) == ("Success", None)
            else:
                assert answer is None
                assert ended(paid) == ("Failure", "Aborted")

    scenario()


# --- what moves no money -----------------------------------------------------------------------


@virtual()
async def test_an_errand_is_aborted_and_says_so(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        desk.driver.errand_end = asyncio.get_running_loop().create_future()
        reading = lane.begin("CardAcquisition", ACQUISITION)
        await desk.driver.errand_begun.wait()
        assert await lane.abort("1", "CardAcquisition") is None
        read = response_in(await reading, "CardAcquisition")
        assert ended(read) == ("Failure", "Aborted")
        assert desk.driver.errand_end.cancelled(), "the terminal was told to stop"
        told = response_in(
            await lane.send(
                "TransactionStatus",
                {"MessageReference": {"MessageCategory": "CardAcquisition", "ServiceID": "1"}},
            )
        )
        body = told["RepeatedMessageResponse"]["RepeatedResponseMessageBody"]
        assert body["CardAcquisitionResponse"] == read
        desk.driver.at_once = VISA
        assert ended(await lane.pay()) == ("Success", None), "the terminal is free again"


@virtual()
async def test_an_errand_goes_on_without_its_till(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        desk.driver.errand_end = asyncio.get_running_loop().create_future()
        reading = lane.begin("CardAcquisition", ACQUISITION)
        await desk.driver.errand_begun.wait()
        reading.cancel()
        await asyncio.wait({reading})
        reference = {"MessageCategory": "CardAcquisition", "ServiceID": "1"}
        asked = await lane.send("TransactionStatus", {"MessageReference": reference})
        assert ended(response_in(asked)) == ("Failure", "InProgress")
        assert await lane.abort("1", "CardAcquisition") is None
        asked = await lane.send("TransactionStatus", {"MessageReference": reference})
        told = response_in(asked)["RepeatedMessageResponse"]["RepeatedResponseMessageBody"]
        assert ended(told["CardAcquisitionResponse"]) == ("Failure", "Aborted")
