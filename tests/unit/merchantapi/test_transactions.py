"""Starting, reading and cancelling transactions (source 004, "Transaction related endpoints")."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.estate_fixture import purchase
from tests.unit.merchantapi.shop import (
    CANCELLED,
    DECLINED,
    PREFIX,
    PURCHASE,
    TERMINAL,
    Answer,
    Shop,
    open_shop,
)
from tillwire.core.estate_model import Lifecycle
from tillwire.core.model import Outcome, TransactionType, Verdict
from tillwire.core.occupancy import WhenBusy
from tillwire.core.ports import AbortResult
from tillwire.dialects.merchantapi.face import Settings
from tillwire.errors import AnswerLost, NotDelivered

AFTER_PROCESSING = {
    "transaction_datetime",
    "system_trace_audit_number",
    "brand",
    "receipt",
    "merchant_receipt",
    "store",
}


def refund(of: str | None, value: float = 12.5, currency: str = "EUR") -> dict[str, Any]:
    message = {**PURCHASE, "type": "REFUND", "amount": {"value": value, "currency": currency}}
    return message if of is None else {**message, "reference": {"id": of}}


async def statuses(shop: Shop, *ids: str) -> list[str]:
    return [(await shop.till.read(each)).json["status"] for each in ids]


# --- create -----------------------------------------------------------------------------------


async def test_a_purchase_is_created(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        answer = await shop.till.start()
        assert answer.status == 201
        told = answer.json
        path = f"{PREFIX}/terminals/{TERMINAL}/transactions/{told['id']}"
        assert answer.header("location") == f"http://till.test:8700{path}"
        assert re.fullmatch("[0-9]{31}", told.pop("id"))
        assert re.fullmatch(
            r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told.pop("creation_datetime")
        )
        assert told == {**PURCHASE, "status": "CREATED"}


async def test_the_answer_writes_the_amount_as_a_number(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        body = (await shop.till.start(amount={"value": 98.7, "currency": "EUR"})).body
        assert b'"amount":{"value":98.70,"currency":"EUR"}' in body
        body = (await shop.till.start(amount={"value": 1200, "currency": "JPY"})).body
        assert b'"amount":{"value":1200,"currency":"JPY"}' in body


async def test_a_fault_is_told_by_the_members_name_and_nothing_happens(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        for value in (98.755, -1, 0, "12,50"):
            answer = await shop.till.start(amount={"value": value, "currency": "EUR"})
            assert answer.status == 400
            assert answer.json["detail"].startswith("amount.value: ")
        listed = await shop.till.get(f"/terminals/{TERMINAL}/transactions")
        assert listed.json == []


@pytest.mark.parametrize("name", ["TILLWIRE-V1-nope", "TILLWIRE", "--", "x", "%20", "t1"])
async def test_an_unknown_terminal_is_not_there(tmp_path: Path, name: str) -> None:
    async with open_shop(tmp_path) as shop:
        assert (await shop.till.start(terminal=name)).status == 404


async def test_a_terminal_is_known_in_any_case_and_with_hyphens_in_its_model(
    tmp_path: Path,
) -> None:
    async with open_shop(tmp_path) as shop:
        first = shop.engine.estate.terminals["t1"]
        sunmi = msgspec.structs.replace(
            first, id="t9", manufacturer="SUNMI", model="P2-lite-SE", serial="PL1"
        )
        await shop.put(sunmi)
        started = await shop.till.start(terminal="sunmi-p2-LITE-se-pl1")
        assert started.status == 201
        assert (await shop.known(started.json["id"])).terminal_id == "t9"
        assert (await shop.till.read(started.json["id"], "SUNMI-P2-lite-SE-PL1")).status == 200


@pytest.mark.parametrize("lifecycle", [Lifecycle.CREATED, Lifecycle.REMOVED])
async def test_a_terminal_out_of_service_takes_nothing_but_keeps_its_past(
    tmp_path: Path, lifecycle: Lifecycle
) -> None:
    async with open_shop(tmp_path) as shop:
        paid = await shop.paid()
        terminal = shop.engine.estate.terminals["t1"]
        await shop.put(msgspec.structs.replace(terminal, lifecycle=lifecycle))
        assert (await shop.till.start()).status == 409
        assert (await shop.till.read(paid)).json["result"] == "APPROVED"
        assert len((await shop.till.get(f"/terminals/{TERMINAL}/transactions")).json) == 1
        listed = [each["serial"] for each in (await shop.till.get("/terminals")).json]
        assert ("t1" in listed) is (lifecycle is not Lifecycle.REMOVED)


async def test_a_terminal_that_waits_for_its_device_has_no_name_to_be_paid_under(
    tmp_path: Path,
) -> None:
    async with open_shop(tmp_path) as shop:
        terminal = shop.engine.estate.terminals["t1"]
        lane = msgspec.structs.replace(terminal, id="t9", serial="", lifecycle=Lifecycle.CREATED)
        await shop.put(lane)
        listed = [each["serial"] for each in (await shop.till.get("/terminals")).json]
        assert "" not in listed
        for name in ("TILLWIRE-V1", "TILLWIRE-V1-"):
            assert (await shop.till.start(terminal=name)).status == 404


async def test_what_a_terminal_cannot_do_is_a_conflict(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        only_sales = frozenset({TransactionType.PURCHASE})
        shop.driver.capabilities = msgspec.structs.replace(
            shop.driver.capabilities, types=only_sales
        )
        assert (await shop.till.start(refund(None))).status == 409


# --- the same request twice -------------------------------------------------------------------


async def test_the_same_key_and_request_start_one_transaction(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        key = {"Idempotency-Key": '"8e03978e-40d5-43e8-bc93-6894a57f9324"'}
        path = f"/terminals/{TERMINAL}/transactions"
        answers = await asyncio.gather(*(shop.till.post(path, PURCHASE, key) for _ in range(20)))
        assert {answer.status for answer in answers} == {201}
        assert len({answer.json["id"] for answer in answers}) == 1
        assert (await shop.till.get(path)).header("x-total-count") == "1"
        other = {**PURCHASE, "merchant_order_reference": "till2-000482"}
        assert (await shop.till.post(path, other, key)).status == 409
        assert (await shop.neighbour.start(terminal="TILLWIRE-V1-x1")).status == 201


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 201, "ÿ", "a\tb"])
async def test_an_odd_idempotency_key_is_refused(tmp_path: Path, key: str) -> None:
    async with open_shop(tmp_path) as shop:
        path = f"/terminals/{TERMINAL}/transactions"
        answer = await shop.till.post(path, PURCHASE, {"Idempotency-Key": key})
        assert answer.status == 400
        assert answer.json["detail"].startswith("Idempotency-Key: ")


async def test_after_a_lost_answer_the_till_finds_its_transaction(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        for number in range(15):
            await shop.paid(merchant_order_reference=f"till2-{number}")
        found, page = [], 1
        while not found:
            listed = await shop.till.get(f"/terminals/{TERMINAL}/transactions?size=5&page={page}")
            found = [each for each in listed.json if each["merchant_order_reference"] == "till2-2"]
            page += 1
        assert page == 4
        assert found[0]["status"] == "CLEARED"


# --- one waiting payment per terminal -----------------------------------------------------------


async def test_a_newer_one_takes_the_place_of_one_not_fetched(tmp_path: Path) -> None:
    async with open_shop(tmp_path, pull=True) as shop:
        a = (await shop.till.start()).json["id"]
        b = (await shop.till.start(refund(None))).json["id"]
        assert await statuses(shop, a, b) == ["CANCELLED", "CREATED"]
        assert "result" not in (await shop.till.read(a)).json
        fetched = await shop.engine.fetch("t1")
        assert fetched is not None
        assert fetched.id == b


async def test_behind_a_fetched_one_the_newest_waits(tmp_path: Path) -> None:
    async with open_shop(tmp_path, pull=True) as shop:
        a = (await shop.till.start()).json["id"]
        await shop.engine.fetch("t1")
        b = (await shop.till.start()).json["id"]
        c = (await shop.till.start()).json["id"]
        assert await statuses(shop, a, b, c) == ["CREATED", "CANCELLED", "CREATED"]
        await shop.end(a)
        fetched = await shop.engine.fetch("t1")
        assert fetched is not None
        assert fetched.id == c


async def test_a_fetch_that_races_with_a_newer_one_gets_exactly_one(tmp_path: Path) -> None:
    async with open_shop(tmp_path, pull=True) as shop:
        for _ in range(20):
            a = (await shop.till.start()).json["id"]
            fetched, started = await asyncio.gather(shop.engine.fetch("t1"), shop.till.start())
            b = started.json["id"]
            assert fetched is not None
            told = dict(zip((a, b), await statuses(shop, a, b), strict=True))
            assert told[fetched.id] == "CREATED"
            assert told[a] == ("CREATED" if fetched.id == a else "CANCELLED")
            await shop.end(fetched.id)
            if fetched.id == a:
                assert (await shop.till.cancel(b)).status == 204


async def test_a_terminal_that_nobody_can_tell_about_takes_no_other(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        lost = (await shop.till.start()).json["id"]
        await shop.driver.begun(await shop.known(lost))
        shop.driver.answer(await shop.known(lost), AnswerLost("The line went dead."))
        await shop.engine.wait(lost, lambda each: each.state == "UNKNOWN", 5)
        assert await statuses(shop, lost) == ["CREATED"]
        refused = await shop.till.start()
        assert refused.status == 409
        assert lost in refused.json["detail"]
        cancelled = await shop.till.cancel(lost)
        assert cancelled.status == 409
        assert (await shop.till.start(terminal="TILLWIRE-V1-t2")).status == 201


async def test_what_nobody_fetches_may_be_given_up(tmp_path: Path) -> None:
    settings = Settings(cancel_unfetched_after=0.05)
    async with open_shop(tmp_path, pull=True, settings=settings) as shop:
        started = (await shop.till.start()).json["id"]
        await shop.engine.wait(started, lambda each: each.is_final, 5)
        assert await statuses(shop, started) == ["CANCELLED"]


# --- refunds ----------------------------------------------------------------------------------


async def test_a_referenced_refund_names_its_purchase(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        paid = await shop.paid()
        started = await shop.till.start(refund(paid), terminal="TILLWIRE-V1-t2")
        assert started.status == 201
        assert started.json["reference"] == {"id": paid}
        await shop.end(started.json["id"])
        told = (await shop.till.read(started.json["id"], "TILLWIRE-V1-t2")).json
        assert (told["type"], told["status"], told["result"]) == ("REFUND", "CLEARED", "APPROVED")
        assert told["reference"] == {"id": paid}
        assert await statuses(shop, paid) == ["CLEARED"]


async def test_an_unreferenced_refund_needs_no_purchase(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        started = await shop.till.start(refund(None, 500))
        assert started.status == 201
        assert "reference" not in started.json


async def test_refunds_never_exceed_their_purchase(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        paid = await shop.paid()
        part = Outcome(Verdict.APPROVED, approved_amount=1000)
        await shop.paid(part, **refund(paid, 10))
        assert (await shop.till.start(refund(paid, 2.51))).status == 409
        assert (await shop.till.start(refund(paid, 2.5))).status == 201


async def test_of_ten_racing_refunds_only_what_fits_is_accepted(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        paid = await shop.paid()
        for number in range(4, 14):
            terminal = shop.engine.estate.terminals["t1"]
            more = msgspec.structs.replace(terminal, id=f"t{number}", serial=f"t{number}")
            await shop.put(more)
        answers = await asyncio.gather(
            *(
                shop.till.start(refund(paid, 5), terminal=f"TILLWIRE-V1-t{number}")
                for number in range(4, 14)
            )
        )
        assert sorted(answer.status for answer in answers) == [201] * 2 + [409] * 8


async def test_what_cannot_be_refunded(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        paid = await shop.paid()
        refunded = await shop.paid(
            Outcome(Verdict.APPROVED, approved_amount=100), **refund(paid, 1)
        )
        declined = await shop.paid(DECLINED)
        theirs = (await shop.neighbour.start(terminal="TILLWIRE-V1-x1")).json["id"]
        still_open = (await shop.till.start(terminal="TILLWIRE-V1-t2")).json["id"]
        expected = {"9" * 31: 400, theirs: 400, refunded: 409, declined: 409, still_open: 409}
        for original, status in expected.items():
            answer = await shop.till.start(refund(original, 1))
            assert answer.status == status, original
            assert answer.json["detail"].startswith("reference.id: ") is (status == 400)
        assert (await shop.till.start(refund(paid, 1, "USD"))).status == 409


async def test_a_purchase_refers_to_nothing(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        paid = await shop.paid()
        answer = await shop.till.start(reference={"id": paid})
        assert answer.status == 400
        assert answer.json["detail"].startswith("reference: ")


# --- reading ----------------------------------------------------------------------------------


async def test_an_approved_purchase(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        started = (await shop.till.start()).json
        assert (await shop.till.read(started["id"])).json == started
        told = (await shop.till.read(await shop.end(started["id"]))).json
        assert set(told) == set(started) | AFTER_PROCESSING | {"result"}
        assert (told["status"], told["result"]) == ("CLEARED", "APPROVED")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", told["transaction_datetime"])
        assert told["system_trace_audit_number"] == "000481"
        assert told["brand"] == "VISA"
        assert told["store"] == {"uuid": "shop-s", "name": "Corner Shop"}
        assert told["amount"] == started["amount"]


async def test_receipts_are_plain_text_of_both_copies(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        told = (await shop.till.read(await shop.paid())).json
        for receipt, whose in (
            (told["receipt"], "CARDHOLDER"),
            (told["merchant_receipt"], "MERCHANT"),
        ):
            assert whose in receipt
            for line in ("Corner Shop", "EUR 12.50", "************0010", "APPROVED"):
                assert line in receipt
            assert max(len(line) for line in receipt.splitlines()) <= 24


async def test_receipts_may_be_wider(tmp_path: Path) -> None:
    async with open_shop(tmp_path, settings=Settings(receipt_columns=40)) as shop:
        told = (await shop.till.read(await shop.paid())).json
        assert max(len(line) for line in told["receipt"].splitlines()) == 40


async def test_a_declined_one_is_cancelled_with_the_banks_no(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        told = (await shop.till.read(await shop.paid(DECLINED))).json
        assert (told["status"], told["result"]) == ("CANCELLED", "DECLINED")
        assert "receipt" in told


async def test_one_that_the_cardholder_stopped_has_no_result(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        told = (await shop.till.read(await shop.paid(CANCELLED))).json
        assert told["status"] == "CANCELLED"
        assert "result" not in told


async def test_one_that_provably_never_arrived_is_cancelled(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        shop.driver.at_once = NotDelivered("Nobody listens there.")
        started = (await shop.till.start()).json["id"]
        await shop.engine.wait(started, lambda each: each.is_final, 5)
        told = (await shop.till.read(started)).json
        assert told["status"] == "CANCELLED"
        assert not AFTER_PROCESSING & set(told)


@pytest.mark.parametrize(("outcome", "value"), [(600, 6.0), (1375, 13.75)])
async def test_what_was_approved_is_told_where_it_is_not_what_was_asked(
    tmp_path: Path, outcome: int, value: float
) -> None:
    async with open_shop(tmp_path) as shop:
        tip = max(0, outcome - 1250)
        told = (
            await shop.till.read(
                await shop.paid(Outcome(Verdict.APPROVED, approved_amount=outcome, tip=tip))
            )
        ).json
        assert told["amount"]["value"] == 12.5
        assert told["approved_amount"] == {"value": value, "currency": "EUR"}


async def test_what_is_approved_but_not_cleared_is_authorized(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        paid = await shop.known(await shop.paid())
        uncleared = msgspec.structs.replace(paid, cleared_at=None, version=paid.version + 1)
        shop.engine._mirror.put(uncleared)
        assert await statuses(shop, paid.id) == ["AUTHORIZED"]


@pytest.mark.parametrize("transaction_id", ["9" * 31, "x", "1" * 400, "%00", "12 34"])
async def test_an_unknown_transaction_is_not_there(tmp_path: Path, transaction_id: str) -> None:
    async with open_shop(tmp_path) as shop:
        assert (await shop.till.read(transaction_id)).status == 404
        assert (await shop.till.cancel(transaction_id)).status == 404


async def test_a_transaction_is_only_at_its_own_terminal(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        started = (await shop.till.start()).json["id"]
        assert (await shop.till.read(started, "TILLWIRE-V1-t2")).status == 404
        assert (await shop.till.cancel(started, "TILLWIRE-V1-t2")).status == 404


# --- cancelling -------------------------------------------------------------------------------


async def test_what_waits_can_be_cancelled_once(tmp_path: Path) -> None:
    async with open_shop(tmp_path, pull=True) as shop:
        started = (await shop.till.start()).json["id"]
        first, second = await shop.till.cancel(started), await shop.till.cancel(started)
        assert (first.status, first.body, second.status) == (204, b"", 409)
        assert await statuses(shop, started) == ["CANCELLED"]
        assert await shop.engine.fetch("t1") is None


async def test_what_was_fetched_or_has_ended_cannot_be_cancelled(tmp_path: Path) -> None:
    async with open_shop(tmp_path, pull=True) as shop:
        started = (await shop.till.start()).json["id"]
        await shop.engine.fetch("t1")
        assert (await shop.till.cancel(started)).status == 409
        await shop.end(started)
        assert (await shop.till.cancel(started)).status == 409
        assert await statuses(shop, started) == ["CLEARED"]


async def test_a_terminal_that_can_call_it_back_is_asked(tmp_path: Path) -> None:
    async with open_shop(tmp_path, abort=True) as shop:
        shop.driver.abort_result = AbortResult.ABORTED
        started = (await shop.till.start()).json["id"]
        await shop.driver.begun(await shop.known(started))
        assert (await shop.till.cancel(started)).status == 204
        assert await statuses(shop, started) == ["CANCELLED"]


async def test_fifty_cancellations_have_one_winner(tmp_path: Path) -> None:
    async with open_shop(tmp_path, pull=True) as shop:
        started = (await shop.till.start()).json["id"]
        answers = await asyncio.gather(*(shop.till.cancel(started) for _ in range(50)))
        assert sorted(answer.status for answer in answers) == [204] + [409] * 49


async def test_a_cancellation_and_a_fetch_have_one_winner(tmp_path: Path) -> None:
    async with open_shop(tmp_path, pull=True) as shop:
        for _ in range(20):
            started = (await shop.till.start()).json["id"]
            fetched, cancelled = await asyncio.gather(
                shop.engine.fetch("t1"), shop.till.cancel(started)
            )
            assert (cancelled.status == 204) is (fetched is None)
            if fetched is not None:
                await shop.end(started)


# --- listing ----------------------------------------------------------------------------------


async def listed(shop: Shop, query: str = "") -> Answer:
    return await shop.till.get(f"/terminals/{TERMINAL}/transactions{query}")


async def test_the_newest_comes_first(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        made = [await shop.paid() for _ in range(12)]
        answer = await listed(shop)
        assert [each["id"] for each in answer.json] == made[:1:-1]
        assert answer.header("x-total-count") == "12"
        assert answer.json[0] == (await shop.till.read(made[-1])).json
        last = await listed(shop, "?page=2")
        assert [each["id"] for each in last.json] == made[1::-1]
        assert (await listed(shop, "?page=3")).json == []
        assert (await listed(shop, "?page=99999999999999999999")).json == []


async def test_only_this_terminals_transactions_are_listed(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        await shop.till.start(terminal="TILLWIRE-V1-t2")
        answer = await listed(shop)
        assert (answer.json, answer.header("x-total-count")) == ([], "0")


async def test_types_that_the_source_does_not_know_are_not_there(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        paid = await shop.paid()
        reversal = await shop.engine.accept(
            purchase(1250, type=TransactionType.REVERSAL, original=paid, dialect="nexo"),
            WhenBusy.REJECT,
        )
        await shop.end(reversal.id)
        answer = await listed(shop)
        assert [each["id"] for each in answer.json] == [paid]
        assert answer.header("x-total-count") == "1"
        assert (await shop.till.read(reversal.id)).status == 404
        assert (await shop.till.cancel(reversal.id)).status == 404
        assert (await shop.till.start(refund(reversal.id))).status == 400
        assert await statuses(shop, paid) == ["CLEARED"]


async def test_a_sale_of_another_face_is_there(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        sale = await shop.engine.accept(purchase(dialect="nexo"), WhenBusy.REJECT)
        await shop.end(sale.id)
        assert [each["id"] for each in (await listed(shop)).json] == [sale.id]
        assert (await shop.till.read(sale.id)).json["result"] == "APPROVED"
