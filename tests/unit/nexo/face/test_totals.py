"""GetTotals and Reconciliation: every transaction counts once, whatever breaks in between."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.kit.runner import virtual
from tests.unit.core.scripted import DECLINED, approved
from tests.unit.estate_fixture import purchase
from tests.unit.nexo.face.lanes import (
    PATIENCE,
    Json,
    Lane,
    desk_in,
    ended,
    payment,
    poi_id_of,
    response_in,
    sandbox_in,
    words,
)
from tests.unit.nexo.face.test_logins import log_in
from tillwire.core.errands import Ability, Count, Counted, ErrandFailed, Trouble
from tillwire.core.model import TransactionType
from tillwire.core.occupancy import WhenBusy
from tillwire.core.ports import Capabilities
from tillwire.core.totals import OpenTotals, TotalsKind, TotalsRow
from tillwire.dialects.nexo.face.closing import totals_of
from tillwire.dialects.nexo.wire.shared import TransactionTotals
from tillwire.virtual.memory import SetScript
from tillwire.virtual.script import Script

Sums = dict[str, tuple[int, Decimal]]


async def totals(lane: Lane, **body: Any) -> Json:
    return response_in(await lane.send("GetTotals", body), "GetTotals")


async def reconcile(lane: Lane, kind: str = "SaleReconciliation", **body: Any) -> Json:
    asked = {"ReconciliationType": kind, **body}
    return response_in(await lane.send("Reconciliation", asked), "Reconciliation")


def sums(row: Mapping[str, Any]) -> Sums:
    """Counts and amounts of one row, by the type of transaction."""
    return {
        each["TransactionType"]: (each["TransactionCount"], each["TransactionAmount"])
        for each in row["PaymentTotals"]
    }


def all_sums(answer: Json) -> Sums:
    """The same over all rows."""
    found: Sums = {}
    for row in answer.get("TransactionTotals", ()):
        for kind, (count, amount) in sums(row).items():
            before = found.get(kind, (0, Decimal(0)))
            found[kind] = (before[0] + count, before[1] + amount)
    return found


# --- rows -------------------------------------------------------------------------------------


def row(kind: TotalsKind, amount: int, count: int = 1, **special: Any) -> TotalsRow:
    return TotalsRow(kind, special.pop("currency", "EUR"), count=count, amount=amount, **special)


def test_a_row_is_of_one_brand_and_one_currency() -> None:
    told = totals_of(
        [
            row(TotalsKind.DEBIT, 1250, brand="VISA"),
            row(TotalsKind.DEBIT, 999, brand="VISA", currency="JPY"),
            row(TotalsKind.CREDIT, 250, brand="VISA"),
            row(TotalsKind.DEBIT, 100, brand="MAESTRO"),
            row(TotalsKind.DECLINED, 4000),
        ],
        "V1-t1",
    )
    assert [(each.card_brand, each.payment_currency) for each in told.rows] == [
        (None, "EUR"),
        ("MAESTRO", "EUR"),
        ("VISA", "EUR"),
        ("VISA", "JPY"),
    ]
    visa = told.rows[2]
    assert visa.payment_instrument_type == "Card"
    assert [
        (each.transaction_type, str(each.transaction_amount)) for each in visa.payment_totals
    ] == [
        ("Debit", "12.50"),
        ("Credit", "2.50"),
    ]
    assert str(told.rows[3].payment_totals[0].transaction_amount) == "999"
    assert told.words == ""


def test_every_kind_has_its_name_and_rows_of_nothing_are_left_out() -> None:
    every = totals_of([row(kind, 100) for kind in TotalsKind], "V1-t1")
    (one,) = every.rows
    assert [each.transaction_type for each in one.payment_totals] == [
        "Debit",
        "Credit",
        "ReverseDebit",
        "ReverseCredit",
        "FirstReservation",
        "UpdateReservation",
        "CompletedReservation",
        "CashAdvance",
        "Declined",
        "Failed",
    ], "no more than the ten that a row may have"
    nothing = totals_of([row(kind, 0, count=0) for kind in TotalsKind], "V1-t1")
    assert nothing.rows == ()


def test_the_reversal_of_a_reservation_lowers_what_is_reserved_and_no_debit() -> None:
    rows = [
        row(TotalsKind.DEBIT, 5000),
        row(TotalsKind.RESERVED, 8000),
        row(TotalsKind.RESERVED_CHANGE, 3000),
        row(TotalsKind.REVERSE_RESERVED, 1000),
    ]
    told = totals_of(rows, "V1-t1")
    assert sums_of(told.rows[0]) == {
        "Debit": (1, "50.00"),
        "FirstReservation": (1, "80.00"),
        "UpdateReservation": (2, "20.00"),
    }
    lowered = totals_of([*rows, row(TotalsKind.REVERSE_RESERVED, 7000)], "V1-t1")
    assert sums_of(lowered.rows[0])["UpdateReservation"] == (3, "0.00")
    assert lowered.words == "UpdateReservation is -50.00 EUR."


def sums_of(told: TransactionTotals) -> dict[str, tuple[int, str]]:
    return {
        each.transaction_type: (each.transaction_count, str(each.transaction_amount))
        for each in told.payment_totals
    }


def test_rows_are_broken_down_by_what_is_asked_for_and_no_more() -> None:
    rows = [
        row(TotalsKind.DEBIT, 100, register="L1", operator="ann", shift="1", totals_group="G"),
        row(TotalsKind.DEBIT, 200, register="L1", operator="bob", shift="1", totals_group="G"),
        row(TotalsKind.DEBIT, 400, register="L2", operator="ann", shift="1", totals_group="G"),
    ]
    by_operator = totals_of(rows, "V1-t1", ["OperatorID", "ShiftNumber"]).rows
    assert [
        (each.operator_id, each.shift_number, each.sale_id, each.totals_group_id, each.poi_id)
        for each in by_operator
    ] == [("ann", "1", None, None, None), ("bob", "1", None, None, None)]
    assert [each.payment_totals[0].transaction_count for each in by_operator] == [2, 1]
    by_all = totals_of(rows, "V1-t1", ["POIID", "SaleID", "OperatorID", "TotalsGroupID"]).rows
    assert [(each.poi_id, each.sale_id, each.operator_id) for each in by_all] == [
        ("V1-t1", "L1", "ann"),
        ("V1-t1", "L1", "bob"),
        ("V1-t1", "L2", "ann"),
    ]
    assert {each.totals_group_id for each in by_all} == {"G"}


def test_less_than_nothing_is_told_in_words() -> None:
    told = totals_of([row(TotalsKind.RESERVED_CHANGE, -1250, brand="VISA")], "V1-t1")
    (total,) = told.rows[0].payment_totals
    assert (total.transaction_count, total.transaction_amount) == (1, 0)
    assert told.words == "UpdateReservation VISA is -12.50 EUR."


# --- GetTotals --------------------------------------------------------------------------------


@virtual()
async def test_totals_count_what_was_done_since_the_last_closing(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        assert await totals(lane) == {"Response": {"Result": "Success"}, "POIReconciliationID": "1"}
        sale = await lane.pay("20.00")
        await lane.pay("10.40")  # declined
        await lane.pay("5.00", kind="Refund")
        await lane.reverse(poi_id_of(sale))
        await lane.pay("80.00", kind="FirstReservation")
        found = await totals(lane)
        assert found["POIReconciliationID"] == "1"
        assert all_sums(found) == {
            "Debit": (1, Decimal("20.00")),
            "Declined": (1, Decimal("10.40")),
            "Credit": (1, Decimal("5.00")),
            "ReverseDebit": (1, Decimal("20.00")),
            "FirstReservation": (1, Decimal("80.00")),
        }
        assert {row["PaymentInstrumentType"] for row in found["TransactionTotals"]} == {"Card"}


@virtual()
async def test_totals_are_broken_down_and_filtered(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        desk.driver.at_once = approved(1000)
        ann, bob = desk.lane("L1"), desk.lane("L2")
        await log_in(ann, OperatorID="ann", ShiftNumber="1")
        await log_in(bob, OperatorID="bob")
        await ann.pay("10.00")
        await ann.pay("10.00", sale={"ShiftNumber": "2"})
        await bob.pay("10.00")

        def shape(answer: Json) -> list[tuple[str | None, str | None, str | None, int]]:
            return [
                (
                    each.get("SaleID"),
                    each.get("OperatorID"),
                    each.get("ShiftNumber"),
                    each["PaymentTotals"][0]["TransactionCount"],
                )
                for each in answer["TransactionTotals"]
            ]

        by = ["SaleID", "OperatorID", "ShiftNumber"]
        assert shape(await totals(bob, TotalDetails=by)) == [
            ("L1", "ann", "1", 1),
            ("L1", "ann", "2", 1),
            ("L2", "bob", None, 1),
        ]
        assert shape(await totals(bob)) == [(None, None, None, 3)], "of all tills"
        mine = {"SaleID": "L1", "OperatorID": "ann"}
        assert shape(await totals(bob, TotalFilter=mine)) == [(None, None, None, 2)]
        here = {"POIID": "V1-t1", "ShiftNumber": "2"}
        (told,) = (await totals(bob, TotalFilter=here, TotalDetails=["POIID"]))["TransactionTotals"]
        assert told["POIID"] == "V1-t1"
        elsewhere = await totals(bob, TotalFilter={"POIID": "V1-t2"})
        assert "TransactionTotals" not in elsewhere
        wrong = await totals(bob, TotalDetails=["SaleID", "Colour"])
        assert ended(wrong) == ("Failure", "MessageFormat")
        assert "GetTotalsRequest, field TotalDetails[1]" in words(wrong)


@virtual()
async def test_more_rows_than_a_message_may_have_are_refused(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        rows = tuple(row(TotalsKind.DEBIT, 100, register=f"L{number}") for number in range(1001))

        async def many(terminal_id: str) -> OpenTotals:
            return OpenTotals(1, desk.engine.clock.now(), rows)

        desk.engine.open_totals = many  # type: ignore[method-assign]
        lane = desk.lane()
        refused = await totals(lane, TotalDetails=["SaleID"])
        assert ended(refused) == ("Failure", "NotAllowed")
        assert all_sums(await totals(lane)) == {"Debit": (1001, Decimal("1001.00"))}


# --- SaleReconciliation and PreviousReconciliation ------------------------------------------------


@virtual()
async def test_a_reconciliation_closes_the_period_with_its_totals(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        paid = await lane.pay("21.00")
        before = await totals(lane)
        closing = await reconcile(lane)
        assert ended(closing) == ("Success", None)
        assert closing["ReconciliationType"] == "SaleReconciliation"
        assert closing["POIReconciliationID"] == paid["POIData"]["POIReconciliationID"] == "1"
        assert closing["TransactionTotals"] == before["TransactionTotals"]
        after = await totals(lane)
        assert after["POIReconciliationID"] == "2"
        assert "TransactionTotals" not in after
        assert (await reconcile(lane)).get("TransactionTotals") is None, "an empty period"


@virtual()
async def test_an_earlier_closing_is_repeated_after_a_restart(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        nothing = await reconcile(lane, "PreviousReconciliation")
        assert ended(nothing) == ("Failure", "NotFound"), "nothing was closed yet"
        await lane.pay("21.00")
        first = await reconcile(lane)
        await lane.pay("22.00")
        second = await reconcile(lane)
        number = lane.number
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        lane.number = number
        last = await reconcile(lane, "PreviousReconciliation")
        assert last == {**second, "ReconciliationType": "PreviousReconciliation"}
        named = await reconcile(lane, "PreviousReconciliation", POIReconciliationID="1")
        assert named == {**first, "ReconciliationType": "PreviousReconciliation"}
        for unknown in ("3", "0", "-1", "x", "9" * 30, "9" * 200, "\u0661"):
            answer = await reconcile(lane, "PreviousReconciliation", POIReconciliationID=unknown)
            assert ended(answer) == ("Failure", "NotFound")
        assert (await totals(lane))["POIReconciliationID"] == "3", "repeating closes nothing"


@pytest.mark.parametrize(
    ("kind", "body", "field"),
    [
        ("SaleReconciliation", {"AcquirerID": ["1"]}, "AcquirerID"),
        ("PreviousReconciliation", {"AcquirerID": ["1"]}, "AcquirerID"),
        ("SaleReconciliation", {"POIReconciliationID": "1"}, "POIReconciliationID"),
        ("AcquirerReconciliation", {"POIReconciliationID": "1"}, "POIReconciliationID"),
        ("Reconcile", {}, "ReconciliationType"),
    ],
)
def test_what_does_not_belong_together_is_refused_and_closes_nothing(
    tmp_path: Path, kind: str, body: Json, field: str
) -> None:
    @virtual()
    async def play() -> None:
        async with desk_in(tmp_path) as desk:
            lane = desk.lane()
            answer = await reconcile(lane, kind, **body)
            assert ended(answer) == ("Failure", "MessageFormat")
            assert f"At SaleToPOIRequest.ReconciliationRequest, field {field}" in words(answer)
            assert (await totals(lane))["POIReconciliationID"] == "1"
            assert desk.driver.errands == []

    play()


@virtual()
async def test_the_same_reconciliation_twice_closes_once(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        first = await reconcile(lane)
        assert first["POIReconciliationID"] == "1"
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        again = await reconcile(lane)
        assert ended(again) == ("Failure", "NotAllowed")
        assert (await totals(lane))["POIReconciliationID"] == "2"


@virtual()
async def test_a_closing_whose_answer_was_lost_is_not_done_again(tmp_path: Path) -> None:
    """The gateway dies between closing and answering."""
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        desk.driver.at_once = approved(2100)
        await lane.pay("21.00")
        store = desk.engine.answer_exchange

        async def die(exchange_id: int, answer: str) -> None:
            await asyncio.get_running_loop().create_future()

        desk.engine.answer_exchange = die  # type: ignore[method-assign]
        lost = lane.begin("Reconciliation", {"ReconciliationType": "SaleReconciliation"})
        await asyncio.sleep(1)
        assert not lost.done()
        lost.cancel()
        desk.engine.answer_exchange = store  # type: ignore[method-assign]
    async with desk_in(tmp_path) as desk:
        again = desk.lane()
        again.number = lane.number - 1
        assert ended(await reconcile(again)) == ("Failure", "NotAllowed")
        assert (await totals(again))["POIReconciliationID"] == "2", "it was closed, and once"
        known = await reconcile(again, "PreviousReconciliation")
        assert all_sums(known) == {"Debit": (1, Decimal("21.00"))}


@virtual()
async def test_what_ends_after_the_closing_counts_in_the_next_period(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        paying = lane.begin("Payment", payment("12.50"))
        transaction = await desk.sent()
        refused = await reconcile(lane)
        assert ended(refused) == ("Failure", "NotAllowed"), "one dialogue at a time"
        closing = await desk.engine.close_period("t1")
        assert closing.rows == ()
        desk.driver.answer(transaction, approved())
        paid = response_in(await asyncio.wait_for(paying, PATIENCE))
        assert paid["POIData"]["POIReconciliationID"] == "2"
        assert all_sums(await reconcile(lane)) == {"Debit": (1, Decimal("12.50"))}


@virtual()
async def test_what_other_faces_did_counts_as_well(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        desk.driver.at_once = DECLINED
        transaction = await desk.engine.accept(purchase(1250), WhenBusy.REJECT)
        await desk.engine.wait(transaction.id, lambda each: each.is_final, PATIENCE)
        assert all_sums(await reconcile(desk.lane())) == {"Declined": (1, Decimal("12.50"))}


@virtual()
async def test_training_closes_nothing(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        desk.driver.at_once = approved(2100)
        await lane.pay("21.00")
        await log_in(lane, TrainingModeFlag=True)
        for kind in ("SaleReconciliation", "AcquirerSynchronisation", "AcquirerReconciliation"):
            answer = await reconcile(lane, kind)
            assert ended(answer) == ("Success", None)
            assert "TRAINING" in words(answer)
            assert "TransactionTotals" not in answer
        assert desk.driver.errands == []
        assert (await totals(lane))["POIReconciliationID"] == "1"


# --- with the acquirer --------------------------------------------------------------------------


@virtual()
async def test_a_synchronisation_closes_here_and_at_the_terminal(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        await lane.pay("21.00")
        answer = await reconcile(lane, "AcquirerSynchronisation", AcquirerID=["601234"])
        assert answer["Response"] == {"Result": "Success"}, "both count the same"
        assert answer["POIReconciliationID"] == "1"
        assert all_sums(answer) == {"Debit": (1, Decimal("21.00"))}
        assert {each["HostReconciliationID"] for each in answer["TransactionTotals"]} == {"1"}
        assert (await sandbox.shop.world.glance("t1")).period == 2
        assert (await totals(lane))["POIReconciliationID"] == "2"


@virtual()
async def test_a_terminal_that_counts_otherwise_is_told_of(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        await lane.pay("21.00")
        await reconcile(lane)
        await lane.pay("22.00")
        answer = await reconcile(lane, "AcquirerSynchronisation")
        assert ended(answer) == ("Success", None)
        assert words(answer) == (
            "The terminal counts otherwise: Debit EUR: 2 of 43.00 there, 1 of 22.00 here."
        )


@virtual()
async def test_what_moved_no_money_need_not_be_counted_by_the_terminal(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        desk.driver.at_once = DECLINED
        await desk.lane().pay("21.00")
        desk.driver.errand_end = Counted(())
        answer = await reconcile(desk.lane("LANE-02"), "AcquirerSynchronisation")
        assert answer["Response"] == {"Result": "Success"}
        assert all_sums(answer) == {"Declined": (1, Decimal("21.00"))}


@virtual()
async def test_an_acquirer_that_fails_makes_it_partial(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        await lane.pay("21.00")
        failing = SetScript(Script(trouble=Trouble.UNREACHABLE), 2)
        await sandbox.shop.world.set_script("t1", failing)
        answer = await reconcile(lane, "AcquirerSynchronisation")
        assert ended(answer) == ("Partial", "UnavailableDevice")
        assert words(answer).startswith("The period is closed, but not with the acquirer.")
        assert answer["POIReconciliationID"] == "1"
        (told,) = answer["TransactionTotals"]
        assert told["ErrorCondition"] == "UnavailableDevice"
        assert sums(told) == {"Debit": (1, Decimal("21.00"))}

        empty = await reconcile(lane, "AcquirerSynchronisation")
        assert ended(empty) == ("Partial", "UnavailableDevice")
        (told,) = empty["TransactionTotals"]
        assert (told["ErrorCondition"], told["AcquirerID"]) == ("UnavailableDevice", "1")
        assert (await totals(lane))["POIReconciliationID"] == "3"


@virtual()
async def test_a_terminal_that_cannot_reconcile_says_so(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        desk.driver.capabilities = Capabilities(
            types=frozenset(TransactionType), errands=frozenset(Ability) - {Ability.COUNT}
        )
        lane = desk.lane()
        both = await reconcile(lane, "AcquirerSynchronisation")
        assert ended(both) == ("Partial", "UnavailableService")
        assert both["POIReconciliationID"] == "1"
        alone = await reconcile(lane, "AcquirerReconciliation")
        assert ended(alone) == ("Failure", "UnavailableService")
        assert alone["ReconciliationType"] == "AcquirerReconciliation"
        assert (await totals(lane))["POIReconciliationID"] == "2"


@virtual()
async def test_the_acquirer_alone_leaves_the_period_open(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        counted = Counted((row(TotalsKind.DEBIT, 2100, brand="VISA"),), "0317")
        desk.driver.errand_end = counted
        lane = desk.lane()
        answer = await reconcile(lane, "AcquirerReconciliation")
        assert desk.driver.errands == [Count(close=True)]
        assert ended(answer) == ("Success", None)
        assert "POIReconciliationID" not in answer
        (told,) = answer["TransactionTotals"]
        assert (told["HostReconciliationID"], told["CardBrand"]) == ("0317", "VISA")
        assert sums(told) == {"Debit": (1, Decimal("21.00"))}
        assert (await totals(lane))["POIReconciliationID"] == "1"


@virtual()
async def test_a_terminal_that_counts_in_no_currency_is_not_believed(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        desk.driver.errand_end = Counted((row(TotalsKind.DEBIT, 2100, currency="XXX"),))
        lane = desk.lane()
        alone = await reconcile(lane, "AcquirerReconciliation")
        assert ended(alone) == ("Failure", "UnavailableDevice")
        both = await reconcile(lane, "AcquirerSynchronisation")
        assert ended(both) == ("Partial", "UnavailableDevice")


@virtual()
async def test_an_abort_while_the_acquirer_is_asked_closes_nothing(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        desk.driver.errand_end = asyncio.get_running_loop().create_future()
        body = {"ReconciliationType": "AcquirerSynchronisation"}
        closing = lane.begin("Reconciliation", body)
        await asyncio.wait_for(desk.driver.errand_begun.wait(), PATIENCE)
        assert await lane.abort("1", "Reconciliation") is None
        answer = response_in(await asyncio.wait_for(closing, PATIENCE), "Reconciliation")
        assert ended(answer) == ("Failure", "Aborted")
        assert desk.driver.errand_end.cancelled(), "the terminal hears of it"
        assert (await totals(lane))["POIReconciliationID"] == "1"


@virtual()
async def test_an_abort_while_the_period_is_closed_comes_too_late(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        close = desk.engine.close_period
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def slowly(terminal_id: str) -> Any:
            begun.set()
            await go_on.wait()
            return await close(terminal_id)

        desk.engine.close_period = slowly  # type: ignore[method-assign]
        closing = lane.begin("Reconciliation", {"ReconciliationType": "SaleReconciliation"})
        await asyncio.wait_for(begun.wait(), PATIENCE)
        assert await lane.abort("1", "Reconciliation") is None
        go_on.set()
        answer = response_in(await asyncio.wait_for(closing, PATIENCE), "Reconciliation")
        assert ended(answer) == ("Success", None), "it was closed, so nobody may say it was not"
        assert answer["POIReconciliationID"] == "1"


@virtual()
async def test_a_failing_acquirer_of_whatever_kind_is_told_in_its_condition(
    tmp_path: Path,
) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        for trouble, condition in (
            (Trouble.BROKEN, "DeviceOut"),
            (Trouble.BUSY, "Busy"),
            (Trouble.REFUSED, "NotAllowed"),
        ):
            desk.driver.errand_end = ErrandFailed(trouble, "because")
            answer = await reconcile(lane, "AcquirerReconciliation")
            assert ended(answer) == ("Failure", condition)
            assert "because" in words(answer)
