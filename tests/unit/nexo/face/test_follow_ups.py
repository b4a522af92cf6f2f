"""What follows a payment: refunds, reversals, and reservations that are changed and completed."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from tests.kit.runner import virtual
from tests.unit.core.scripted import DECLINED, approved
from tests.unit.estate_fixture import purchase
from tests.unit.nexo.face.lanes import (
    SALE,
    VISA,
    Desk,
    Json,
    Lane,
    Sandbox,
    authorised,
    desk_in,
    ended,
    payment,
    poi_id_of,
    response_in,
    reversal,
    sandbox_in,
    words,
)
from tillwire.core.model import TransactionType
from tillwire.core.occupancy import WhenBusy

_T = TransactionType
FOLIO = {"SaleReferenceID": "FOLIO-8812"}


async def _paid(lane: Lane, amount: str = "20.00", kind: str = "Normal", **special: Json) -> str:
    """An approved payment; its POITransactionID."""
    paid = await lane.pay(amount, kind=kind, **special)
    assert ended(paid) == ("Success", None), paid
    return poi_id_of(paid)


# --- refunds ----------------------------------------------------------------------------------


@virtual()
async def test_refunds_give_back_at_most_what_was_paid(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        original = await _paid(lane, "20.00")
        first = await lane.pay("15.00", kind="Refund", original=original)
        assert ended(first) == ("Success", None)
        assert first["PaymentResult"]["PaymentType"] == "Refund"
        too_much = await lane.pay("5.01", kind="Refund", original=original)
        assert ended(too_much) == ("Failure", "NotAllowed")
        assert "5.00 EUR" in words(too_much), "it says what is left"
        assert ended(await lane.pay("5.00", kind="Refund", original=original))[0] == "Success"
        assert [each[:2] for each in await sandbox.charged()] == [
            ("PURCHASE", 2000),
            ("REFUND", 1500),
            ("REFUND", 500),
        ]


@virtual()
async def test_a_refund_without_an_original_is_unlinked(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        assert ended(await sandbox.lane().pay("7.00", kind="Refund")) == ("Success", None)
        assert await sandbox.charged() == [("REFUND", 700, True)]


@virtual()
async def test_a_refund_by_another_till_at_another_terminal(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        original = await _paid(sandbox.lane())
        refund = await sandbox.lane("LANE-99", "V1-t2").pay(
            "20.00", kind="Refund", original=original
        )
        assert ended(refund) == ("Success", None)


@virtual()
async def test_a_refund_of_an_unknown_original_is_never_an_unlinked_one(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        refused = await lane.pay("7.00", kind="Refund", original="P0000018841")
        assert ended(refused) == ("Failure", "NotFound")
        nameless = await lane.pay(
            "7.00", kind="Refund", transaction={"OriginalPOITransaction": {"SaleID": "LANE-07"}}
        )
        assert ended(nameless) == ("Failure", "MessageFormat")
        assert await sandbox.charged() == []


@virtual()
async def test_the_originals_of_another_organisation_do_not_exist(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        desk.driver.at_once = approved(2000)
        theirs = await desk.engine.accept(
            purchase(2000, terminal="x1", organisation="other"), WhenBusy.REJECT
        )
        await desk.engine.wait(theirs.id, lambda each: each.is_final, 10)
        lane = desk.lane()
        for answer in (
            await lane.pay("1.00", kind="Refund", original=theirs.id),
            await lane.reverse(theirs.id),
            await lane.pay("1.00", kind="Completion", original=theirs.id),
        ):
            assert ended(answer) == ("Failure", "NotFound")


# --- reversals --------------------------------------------------------------------------------


@virtual()
async def test_a_reversal_undoes_the_whole_payment(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        original = await _paid(lane)
        undone = await lane.reverse(original)
        assert ended(undone) == ("Success", None)
        assert undone["ReversedAmount"] == Decimal("20.00")
        assert undone["OriginalPOITransaction"]["POITransactionID"]["TransactionID"] == original
        assert undone["POIData"]["POIReconciliationID"] == "1"
        assert poi_id_of(undone) != original
        assert len(undone["PaymentReceipt"]) == 2
        again = await lane.reverse(original)
        assert ended(again) == ("Failure", "NotAllowed")
        assert "reversed already" in words(again)
        assert await sandbox.charged() == [("PURCHASE", 2000, True), ("REVERSAL", 2000, True)]


@virtual()
async def test_a_reversal_of_a_part(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        original = await _paid(lane)
        part = await lane.reverse(original, "8.00")
        assert (ended(part), part["ReversedAmount"]) == (("Success", None), Decimal("8.00"))
        assert ended(await lane.reverse(original, "12.01")) == ("Failure", "NotAllowed")
        assert ended(await lane.reverse(original, "12.00")) == ("Success", None)


@virtual()
async def test_a_reversal_keeps_the_name_of_its_sale(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        original = await _paid(lane)
        undone = await sandbox.shop.engine.find(poi_id_of(await lane.reverse(original, "1.00")))
        assert undone is not None
        assert undone.reference == "T-0042", "a Reversal without SaleData has its original's"
        own = {"SaleTransactionID": {**SALE, "TransactionID": "V-1"}}
        body = {**reversal(original, "1.00"), "SaleData": own}
        named = response_in(await lane.send("Reversal", body))
        found = await sandbox.shop.engine.find(poi_id_of(named))
        assert found is not None
        assert found.reference == "V-1"


@pytest.mark.parametrize("ending", [40, 43, 52])
def test_what_was_not_approved_cannot_be_reversed(tmp_path: Path, ending: int) -> None:
    @virtual()
    async def scenario() -> None:
        async with sandbox_in(tmp_path) as sandbox:
            lane = sandbox.lane()
            failed = await lane.pay(f"10.{ending}")
            refused = await lane.reverse(poi_id_of(failed))
            assert ended(refused) == ("Failure", "NotAllowed")
            assert "was not approved" in words(refused)

    scenario()


@virtual()
async def test_what_has_not_ended_cannot_be_reversed_yet(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        paying = desk.lane().begin("Payment", payment())
        transaction = await desk.sent()
        refused = await desk.lane("LANE-08", "V1-t2").reverse(transaction.id)
        assert ended(refused) == ("Failure", "InProgress")
        desk.driver.answer(transaction, VISA)
        await paying


@virtual()
async def test_an_unknown_transaction_cannot_be_reversed(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        refused = await sandbox.lane().reverse("P0000018841")
        assert ended(refused) == ("Failure", "NotFound")
        original = refused["OriginalPOITransaction"]["POITransactionID"]
        assert original["TransactionID"] == "P0000018841", "a failure names what was meant"


@virtual()
async def test_a_declined_reversal_leaves_the_payment(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        desk.driver.at_once = VISA
        original = await _paid(lane, "12.50")
        desk.driver.at_once = DECLINED
        refused = await lane.reverse(original)
        assert ended(refused) == ("Failure", "Refusal")
        assert "ReversedAmount" not in refused
        desk.driver.at_once = VISA
        assert ended(await lane.reverse(original)) == ("Success", None)


@virtual()
async def test_what_was_refunded_in_part_is_reversed_no_further(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        original = await _paid(lane)
        await lane.pay("5.00", kind="Refund", original=original)
        refused = await lane.reverse(original)
        assert ended(refused) == ("Failure", "NotAllowed")
        assert "15.00 EUR" in words(refused)
        assert ended(await lane.reverse(original, "15.00")) == ("Success", None)


# --- reservations -----------------------------------------------------------------------------


async def _reserved(lane: Lane, amount: str = "150.00", kind: str = "FirstReservation") -> str:
    return await _paid(lane, amount, kind, sale=FOLIO)


@virtual()
async def test_a_reservation_is_raised_and_completed_by_its_chain(tmp_path: Path) -> None:
    """A hotel's way: a folio is all that the till knows."""
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        first = await lane.pay(
            "150.00",
            kind="FirstReservation",
            sale=FOLIO,
            data={"RequestedValidityDate": "2026-11-27"},
        )
        assert authorised(first) == Decimal(150)
        assert first["PaymentResult"]["ValidityDate"] == "2026-11-27"
        raised = await lane.pay("180.00", kind="UpdateReservation", sale=FOLIO)
        assert authorised(raised) == Decimal(180), "the new total, not the difference"
        assert raised["PaymentResult"]["PaymentType"] == "UpdateReservation"
        lowered = await lane.pay("160.00", kind="UpdateReservation", sale=FOLIO)
        assert (ended(lowered), authorised(lowered)) == (("Success", None), Decimal(160))
        paid = await lane.pay("131.20", kind="Completion", sale=FOLIO)
        assert authorised(paid) == Decimal("131.20")
        assert [each[:2] for each in await sandbox.charged()] == [
            ("PREAUTH", 15000),
            ("INCREMENT", 3000),
            ("INCREMENT", -2000),
            ("CAPTURE", 13120),
        ]


@virtual()
async def test_a_reservation_is_completed_by_its_id_or_that_of_its_change(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        first = await _reserved(lane)
        change = await _paid(lane, "180.00", "UpdateReservation", original=first)
        done = await lane.pay("175.00", kind="Completion", original=change)
        assert (ended(done), authorised(done)) == (("Success", None), Decimal(175))
        known = await sandbox.shop.engine.find(poi_id_of(done))
        assert known is not None
        assert known.original_id == first


@virtual()
async def test_a_completion_of_more_than_is_reserved_is_not_allowed(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        await _reserved(lane)
        refused = await lane.pay("150.01", kind="Completion", sale=FOLIO)
        assert ended(refused) == ("Failure", "NotAllowed")
        assert "150.00 EUR" in words(refused)


@virtual()
async def test_a_completion_of_nothing_releases_the_reservation(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        first = await _reserved(lane)
        released = await lane.pay("0", kind="Completion", sale=FOLIO)
        assert (ended(released), authorised(released)) == (("Success", None), Decimal(0))
        original = await sandbox.shop.engine.find(first)
        assert original is not None
        assert original.reversed_at is not None
        assert ended(await lane.pay("0", kind="Completion", original=first))[0] == "Failure"
        assert ended(await lane.pay("0", kind="Completion", sale=FOLIO)) == ("Failure", "NotFound")


@virtual()
async def test_a_one_time_reservation_is_completed_once(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        first = await _reserved(lane, "100.00", "OneTimeReservation")
        assert ended(await lane.pay("61.00", kind="Completion", original=first))[0] == "Success"
        second = await lane.pay("5.00", kind="Completion", original=first)
        assert ended(second) == ("Failure", "NotAllowed")
        assert "completed already" in words(second)


@virtual()
async def test_another_reservation_may_be_completed_in_parts(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        first = await _reserved(lane)
        for part in ("50.00", "100.00"):
            assert ended(await lane.pay(part, kind="Completion", original=first))[0] == "Success"
        assert ended(await lane.pay("0.01", kind="Completion", original=first))[0] == "Failure"
        raised = await lane.pay("200.00", kind="UpdateReservation", original=first)
        assert ended(raised) == ("Failure", "NotAllowed")


@virtual()
async def test_a_chain_with_two_open_reservations_is_not_guessed(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        first, second = await _reserved(lane), await _reserved(lane)
        refused = await lane.pay("10.00", kind="Completion", sale=FOLIO)
        assert ended(refused) == ("Failure", "NotAllowed")
        assert first in words(refused)
        assert second in words(refused)
        await lane.pay("0", kind="Completion", original=first)
        assert ended(await lane.pay("10.00", kind="Completion", sale=FOLIO))[0] == "Success"


@virtual()
async def test_an_extension_changes_the_date_alone(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        desk.driver.at_once = approved(15000)
        await _reserved(lane)
        nothing = await lane.pay("150.00", kind="UpdateReservation", sale=FOLIO)
        assert ended(nothing) == ("Failure", "NotAllowed")
        desk.driver.at_once = msgspec.structs.replace(VISA, approved_amount=0)
        extended = await lane.pay(
            "150.00",
            kind="UpdateReservation",
            sale=FOLIO,
            data={"RequestedValidityDate": "2026-12-01"},
        )
        assert (ended(extended), authorised(extended)) == (("Success", None), Decimal(150))
        assert desk.driver.ran[-1].amount.minor == 0
        assert desk.driver.ran[-1].terms.valid_until == "2026-12-01"


@virtual()
async def test_a_reservation_that_is_just_being_changed_is_left_alone(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        desk.driver.at_once = approved(15000)
        first = await _reserved(lane)
        desk.driver.at_once = None
        raising = lane.begin("Payment", payment("180.00", "UpdateReservation", original=first))
        change = await desk.sent(2)
        other = desk.lane("LANE-08", "V1-t2")
        refused = await other.pay("170.00", kind="UpdateReservation", original=first)
        assert ended(refused) == ("Failure", "InProgress")
        desk.driver.answer(change, approved(3000))
        assert authorised(response_in(await raising)) == Decimal(180)


@virtual()
async def test_a_purchase_is_no_reservation(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        original = await _paid(lane)
        refused = await lane.pay("5.00", kind="Completion", original=original)
        assert ended(refused) == ("Failure", "NotAllowed")
        assert "cannot have a CAPTURE" in words(refused)


@virtual()
async def test_a_capture_is_refunded_by_its_chain(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        await _reserved(lane)
        await lane.pay("131.00", kind="Completion", sale=FOLIO)
        refund = await lane.pay(
            "31.00",
            kind="Refund",
            sale=FOLIO,
            transaction={"OriginalPOITransaction": {"SaleID": "LANE-07"}},
        )
        assert ended(refund) == ("Success", None)
        assert (await sandbox.charged())[-1] == ("REFUND", 3100, True)


@pytest.mark.parametrize("count", [10])
def test_racing_refunds_never_exceed_the_payment(tmp_path: Path, count: int) -> None:
    async def refunded(sandbox: Sandbox, original: str, number: int) -> Json:
        lane = sandbox.lane(f"LANE-{number}", f"V1-t{number % 3 + 1}")
        return await lane.pay("9.00", kind="Refund", original=original)

    @virtual()
    async def scenario() -> None:
        async with sandbox_in(tmp_path) as sandbox:
            original = await _paid(sandbox.lane())
            await asyncio.gather(*(refunded(sandbox, original, each) for each in range(count)))
            gone = sum(minor for kind, minor, _ in await sandbox.charged() if kind == "REFUND")
            assert gone in (900, 1800)

    scenario()


@virtual()
async def test_a_follow_up_is_in_the_currency_of_its_terminal(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        desk.driver.at_once = VISA
        original = await _paid(lane, "12.50")
        await _change_currency(desk, "SEK")
        refused = await lane.pay(
            "1.00", kind="Refund", original=original, amounts={"Currency": "SEK"}
        )
        assert ended(refused) == ("Failure", "MessageFormat")
        assert "EUR" in words(refused)


async def _change_currency(desk: Desk, currency: str) -> None:
    store = desk.engine.estate.stores["shop-s"]
    await desk.put(msgspec.structs.replace(store, currency=currency))


# --- reservations that were given back in part ------------------------------------------------


@virtual()
async def test_what_was_given_back_of_a_reservation_is_not_reserved(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        first = await _reserved(lane, "100.00")
        assert ended(await lane.reverse(first, "40.00"))[0] == "Success"
        raised = await lane.pay("80.00", kind="UpdateReservation", sale=FOLIO)
        assert authorised(raised) == Decimal(80)
        assert ended(await lane.pay("80.01", kind="Completion", sale=FOLIO))[0] == "Failure"
        released = await lane.pay("0", kind="Completion", sale=FOLIO)
        assert ended(released) == ("Success", None), released
        assert [each[:2] for each in await sandbox.charged()] == [
            ("PREAUTH", 10000),
            ("REVERSAL", 4000),
            ("INCREMENT", 2000),
            ("REVERSAL", 8000),
        ]


@pytest.mark.parametrize("way", ["Completion", "Reversal"])
def test_a_raised_reservation_is_released_with_what_has_raised_it(tmp_path: Path, way: str) -> None:
    @virtual()
    async def play() -> None:
        async with sandbox_in(tmp_path) as sandbox:
            lane = sandbox.lane()
            first = await _reserved(lane, "60.00")
            await _paid(lane, "80.00", "UpdateReservation", original=first)
            if way == "Completion":
                released = await lane.pay("0", kind="Completion", sale=FOLIO)
                assert authorised(released) == Decimal(0)
            else:
                released = await lane.reverse(first)
                assert released["ReversedAmount"] == Decimal(80)
            assert ended(released) == ("Success", None)
            assert (await sandbox.charged())[-1][:2] == ("REVERSAL", 8000)
            original = await sandbox.shop.engine.find(first)
            assert original is not None
            assert original.reversed_at is not None
            again = await lane.reverse(first)
            assert ended(again) == ("Failure", "NotAllowed")

    play()


@virtual()
async def test_of_a_reservation_that_was_completed_in_part_the_rest_is_released(
    tmp_path: Path,
) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        first = await _reserved(lane, "100.00")
        await _paid(lane, "61.00", "Completion", original=first)
        assert (await lane.reverse(first))["ReversedAmount"] == Decimal(39)
        nothing = await lane.reverse(first)
        assert ended(nothing) == ("Failure", "NotAllowed")
        assert "Nothing" in words(nothing)


@virtual()
async def test_a_reservation_that_is_just_being_raised_is_not_reversed(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        desk.driver.at_once = approved(10_000)
        lane = desk.lane()
        first = await _reserved(lane, "100.00")
        desk.driver.at_once = None
        other = desk.lane("LANE-02", "V1-t2")
        raising = other.begin("Payment", payment("150.00", "UpdateReservation", original=first))
        transaction = await desk.sent(2)
        assert ended(await lane.reverse(first)) == ("Failure", "InProgress")
        desk.driver.answer(transaction, approved(5000))
        assert ended(response_in(await raising)) == ("Success", None)
        desk.driver.at_once = approved(15_000)
        assert (await lane.reverse(first))["ReversedAmount"] == Decimal(150)


@virtual()
async def test_a_change_that_was_reversed_is_not_reserved(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        first = await _reserved(lane, "100.00")
        change = await _paid(lane, "150.00", "UpdateReservation", original=first)
        assert ended(await lane.reverse(change))[0] == "Success"
        too_much = await lane.pay("100.01", kind="Completion", original=first)
        assert ended(too_much) == ("Failure", "NotAllowed")
        assert "100.00 EUR" in words(too_much)
        again = await lane.pay("120.00", kind="UpdateReservation", original=first)
        assert authorised(again) == Decimal(120)
        assert (await sandbox.charged())[-1][:2] == ("INCREMENT", 2000)


@virtual()
async def test_two_terminals_that_raise_one_reservation_at_once_do_not_add_up(
    tmp_path: Path,
) -> None:
    """Each till names the new total. Whose picture is outdated is refused, not added."""
    async with sandbox_in(tmp_path) as sandbox:
        first = await _reserved(sandbox.lane(), "100.00")
        answers = await asyncio.gather(
            *(
                sandbox.lane("LANE-9" + poi_id[-1], poi_id).pay(
                    "150.00", kind="UpdateReservation", original=first
                )
                for poi_id in ("V1-t1", "V1-t2", "V1-t3")
            )
        )
        assert sorted(ended(each)[0] for each in answers) == ["Failure", "Failure", "Success"]
        assert [each[:2] for each in await sandbox.charged()] == [
            ("PREAUTH", 10000),
            ("INCREMENT", 5000),
        ]
