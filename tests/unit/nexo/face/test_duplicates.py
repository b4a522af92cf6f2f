"""A message that comes twice: nothing is done twice, whatever happened in between."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from tests.kit.runner import virtual
from tests.unit.core.scripted import approved
from tests.unit.nexo.face.lanes import (
    SETTINGS,
    VISA,
    Json,
    desk_in,
    ended,
    log_in,
    payment,
    poi_id_of,
    response_in,
    reversal,
    sandbox_in,
    words,
)
from tillwire.core.errands import CardRead
from tillwire.core.model import Verdict
from tillwire.core.ports import CannotTell
from tillwire.dialects.nexo.face.logins import Login
from tillwire.dialects.nexo.face.settings import Settings
from tillwire.errors import AnswerLost

REPEATING = msgspec.structs.replace(SETTINGS, repeat_answers=True)
FIRST = {"ServiceID": "1"}
HOUR = 3600.0


@virtual()
async def test_the_same_message_while_it_runs_is_in_progress(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        paying = lane.begin("Payment", payment())
        transaction = await desk.sent()
        again = await lane.pay(header=FIRST)
        assert ended(again) == ("Failure", "InProgress")
        assert "TransactionStatus" in words(again)
        desk.driver.answer(transaction, VISA)
        assert ended(response_in(await paying)) == ("Success", None), "the first gets its answer"
        assert len(desk.driver.ran) == 1


@virtual()
async def test_the_same_message_after_it_ended_is_not_allowed(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        await lane.pay("10.00")
        again = await lane.pay("10.00", header=FIRST)
        assert ended(again) == ("Failure", "NotAllowed")
        assert "answered before" in words(again)
        assert len(await sandbox.charged()) == 1


@virtual()
async def test_the_stored_answer_is_repeated_where_the_settings_say_so(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path, REPEATING) as sandbox:
        lane = sandbox.lane()
        paid = await lane.pay("10.00")
        assert await lane.pay("10.00", header=FIRST) == paid
        declined = await lane.pay("10.40")
        assert await lane.pay("10.40", header={"ServiceID": "2"}) == declined
        assert len(await sandbox.charged()) == 2


@pytest.mark.parametrize("settings", [SETTINGS, REPEATING])
@pytest.mark.parametrize("other", [payment("10.01"), payment("10.00", "Refund")])
def test_another_message_under_the_same_number_is_never_done(
    tmp_path: Path, settings: Settings, other: Json
) -> None:
    @virtual()
    async def scenario() -> None:
        async with sandbox_in(tmp_path, settings) as sandbox:
            lane = sandbox.lane()
            paid = await lane.pay("10.00")
            second = response_in(await lane.send("Payment", other, **FIRST))
            assert ended(second) == ("Failure", "NotAllowed")
            assert "Nothing was done" in words(second)
            reversed_ = response_in(await lane.send("Reversal", reversal(poi_id_of(paid)), **FIRST))
            assert ended(reversed_) == ("Failure", "NotAllowed")
            assert len(await sandbox.charged()) == 1

    scenario()


@virtual()
async def test_two_connections_at_the_very_same_moment_charge_once(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lanes = [sandbox.lane() for _ in range(8)]
        answers = await asyncio.gather(*(lane.pay("10.49") for lane in lanes))
        assert len(await sandbox.charged()) == 1
        assert sorted(map(ended, answers), key=str) == [
            *[("Failure", "InProgress")] * 7,
            ("Success", None),
        ]


@virtual()
async def test_a_message_is_known_again_whatever_its_spelling(tmp_path: Path) -> None:
    """A retransmission by another program: other order, other whitespace, unknown members."""
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        await lane.pay("10.00")
        message = lane.message("Payment", payment("10.00"), **FIRST)["SaleToPOIRequest"]
        message["PaymentRequest"]["Vendor"] = {"x": 1}
        encoder = msgspec.json.Encoder(decimal_format="number")
        flat = msgspec.json.format(encoder.encode(dict(reversed(message.items()))))
        again = response_in(await lane.write(flat))
        assert ended(again) == ("Failure", "NotAllowed")
        assert "answered before" in words(again)


@virtual()
async def test_other_tills_and_terminals_count_for_themselves(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        for sale_id, poi_id in (
            ("LANE-07", "V1-t1"),
            ("LANE-08", "V1-t1"),
            ("LANE-07", "V1-t2"),
        ):
            paid = await sandbox.lane(sale_id, poi_id).pay("10.00")
            assert ended(paid) == ("Success", None)


# --- over time and restarts -------------------------------------------------------------------


@virtual()
async def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path, REPEATING) as sandbox:
        paid = await sandbox.lane().pay("10.00")
    async with sandbox_in(tmp_path, REPEATING) as sandbox:
        assert await sandbox.lane().pay("10.00") == paid
        assert len(await sandbox.charged()) == 1


@virtual()
async def test_a_restart_while_it_runs_starts_nothing_twice(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        paying = sandbox.lane().begin("Payment", payment("10.49"))
        await asyncio.sleep(5)
        paying.cancel()
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        assert ended(await lane.pay("10.49")) == ("Failure", "InProgress")
        await asyncio.sleep(60)
        repeated = (await lane.status("1"))["RepeatedMessageResponse"]
        found = repeated["RepeatedResponseMessageBody"]["PaymentResponse"]
        assert ended(found) == ("Success", None)
        assert await sandbox.charged() == [("PURCHASE", 1049, True)]


@virtual()
async def test_a_number_is_taken_for_48_hours(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        await sandbox.lane().pay("10.00")
        await asyncio.sleep(48 * HOUR - 1)
        assert ended(await sandbox.lane().pay("10.00")) == ("Failure", "NotAllowed")
        await asyncio.sleep(2)
        assert ended(await sandbox.lane().pay("10.00")) == ("Success", None)


# --- refusals are remembered, too -------------------------------------------------------------


@virtual()
async def test_what_was_refused_is_not_done_later_under_its_number(tmp_path: Path) -> None:
    """A till that sends a payment again and again until it works must not pay by accident, long
    after it has given up."""
    async with desk_in(tmp_path) as desk:
        other = desk.lane("LANE-08").begin("Payment", payment())
        transaction = await desk.sent()
        lane = desk.lane()
        busy = await lane.pay()
        assert ended(busy) == ("Failure", "Busy")
        desk.driver.answer(transaction, VISA)
        await other
        assert ended(await lane.pay(header=FIRST)) == ("Failure", "NotAllowed")
        repeated = (await lane.status("1"))["RepeatedMessageResponse"]
        assert repeated["RepeatedResponseMessageBody"]["PaymentResponse"] == busy
        assert len(desk.driver.ran) == 1


@virtual()
async def test_a_message_that_cannot_be_read_is_remembered_by_its_octets(tmp_path: Path) -> None:
    async with desk_in(tmp_path, REPEATING) as desk:
        lane = desk.lane()
        bad = payment(amounts={"RequestedAmount": "much"})
        refused = await lane.send("Payment", bad)
        assert ended(response_in(refused)) == ("Failure", "MessageFormat")
        assert await lane.send("Payment", bad, **FIRST) == refused
        assert ended(await lane.pay(header=FIRST)) == ("Failure", "NotAllowed")
        told = await lane.status("1")
        repeated = told["RepeatedMessageResponse"]["RepeatedResponseMessageBody"]
        assert repeated["PaymentResponse"] == response_in(refused)


@virtual()
async def test_refused_twins_at_the_same_moment_get_the_same_answer(tmp_path: Path) -> None:
    async with desk_in(tmp_path, REPEATING) as desk:
        lanes = [desk.lane() for _ in range(4)]
        answers = await asyncio.gather(*(lane.pay("0") for lane in lanes))
        assert {poi_id_of(answer) for answer in answers} == {poi_id_of(answers[0])}


@virtual()
async def test_a_repeated_payment_of_a_blocked_terminal_is_in_progress(tmp_path: Path) -> None:
    """`Busy` would tell the till to try with a new number, and so to pay twice."""
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        paying = lane.begin("Payment", payment())
        desk.driver.found = [CannotTell("memory lost", needs_person=True)]
        transaction = await desk.sent()
        desk.driver.answer(transaction, AnswerLost("gone"))
        await asyncio.sleep(5)
        assert ended(await lane.pay(header=FIRST)) == ("Failure", "InProgress")
        await desk.engine.decide(transaction.id, Verdict.DECLINED, person="Ada", reason="seen")
        assert ended(response_in(await paying)) == ("Failure", "Refusal")


# --- what moves no money ----------------------------------------------------------------------


@virtual()
async def test_an_errand_is_not_run_twice_either(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        desk.driver.errand_end = CardRead("card-1", brand="VISA", card_last4="0119")
        lane = desk.lane()
        body = {
            "SaleData": payment()["SaleData"],
            "CardAcquisitionTransaction": {"TotalAmount": 5},
        }
        read = response_in(await lane.send("CardAcquisition", body))
        assert ended(read) == ("Success", None)
        again = response_in(await lane.send("CardAcquisition", body, **FIRST))
        assert ended(again) == ("Failure", "NotAllowed")
        assert len(desk.driver.errands) == 1


@virtual()
async def test_questions_may_be_repeated(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        await lane.pay("10.00")
        for _ in range(3):
            answer = await lane.send("TransactionStatus", {}, ServiceID="9")
            assert ended(response_in(answer)) == ("Success", None)
            answer = await lane.send("Diagnosis", {}, ServiceID="9")
            assert ended(response_in(answer)) == ("Success", None)


@virtual()
async def test_a_training_payment_is_not_repeated_as_a_real_one(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        await log_in(desk.engine, lane, Login(training=True))
        assert ended(await lane.pay()) == ("Success", None)
        await log_in(desk.engine, lane, Login())
        desk.driver.at_once = approved()
        assert ended(await lane.pay(header=FIRST)) == ("Failure", "NotAllowed")
        assert desk.driver.ran == []
