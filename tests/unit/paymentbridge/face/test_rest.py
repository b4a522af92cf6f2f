"""Refund, void, capture and cancel over the API, and that no request is done twice."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import msgspec
import pytest

from tests.kit.cloud import Json
from tests.kit.runner import virtual
from tests.unit.paymentbridge.face.cloud import (
    BUSINESS,
    LANE,
    OTHER_BUSINESS,
    READER,
    STRANGER,
    Answer,
    Cloud,
    CloudApplication,
    cloud,
    living,
    receiving,
)
from tillwire.core.estate_model import Lifecycle
from tillwire.core.model import (
    Request,
    State,
    Transaction,
    TransactionType,
    Verdict,
)
from tillwire.core.occupancy import WhenBusy
from tillwire.dialects.paymentbridge.wire import ids
from tillwire.money import Money
from tillwire.virtual.memory import SetScript
from tillwire.virtual.script import Script

_LIST = f"/businesses/{BUSINESS}/transactions"


def _amounts(total: int, **more: Json) -> dict[str, Json]:
    return {
        "transactionAmount": total,
        "orderAmount": total,
        "tipAmount": 0,
        "currency": "EUR",
    } | more


def _refund(parent: str, total: int | None = None, **more: Json) -> dict[str, Json]:
    amounts = {} if total is None else {"amounts": _amounts(total)}
    return {"action": "REFUND", "parentId": parent, **amounts, **more}


async def _known(there: Cloud, uuid_: str) -> Json:
    found = await there.gateway.engine.find(ids.transaction_of(uuid_) or "")
    assert found is not None
    return found


# --- refund -------------------------------------------------------------------------------------


@virtual()
async def test_a_sale_is_refunded_in_parts_and_never_beyond(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        sale = await till.pay(1000)
        reference = {"type": "CUSTOM", "customType": "referenceId", "id": "back-1"}
        answer = await till.ask("POST", _LIST, _refund(sale["id"], 400, references=[reference]))
        assert answer.status == 201, answer
        made = answer.json
        assert (made["action"], made["status"]) == ("REFUND", "REFUNDED")
        assert (made["parentId"], made["amounts"]["transactionAmount"]) == (sale["id"], 400)
        assert made["links"][0]["href"] == f"{_LIST}/{sale['id']}"
        assert (await till.listed("?searchKey=back-1")) == [made]
        answer = await till.ask("POST", _LIST, _refund(sale["id"], 700))
        assert (answer.status, answer.code) == (400, "INVALID_PARAMETER")
        rest = await till.ask("POST", _LIST, _refund(sale["id"]))
        assert rest.json["amounts"]["transactionAmount"] == 600
        assert rest.json.get("references", []) == []
        again = await till.ask("POST", _LIST, _refund(sale["id"]))
        assert (again.status, again.code) == (400, "TXN_ALREADY_REFUNDED")
        assert sorted(await there.charged()) == [400, 600, 1000]


@virtual()
async def test_a_refund_that_the_issuer_declines_is_a_declined_transaction(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        sale = await till.pay(2000)
        answer = await till.ask("POST", _LIST, _refund(sale["id"], 1040))
        assert (answer.status, answer.json["status"]) == (201, "DECLINED")


@virtual()
async def test_a_refund_must_fit_its_sale(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        sale, declined = await till.pay(1000), await till.pay(1241)
        reserved = await till.pay(1500, action="authorize")
        for body, code in (
            ({"action": "SALE"}, "UNSUPPORTED_TXN_ACTION"),
            ({"parentId": sale["id"]}, "MISSING_PARAMETER"),
            ({"action": "REFUND"}, "MISSING_PARAMETER"),
            (_refund("nonsense"), "INVALID_PARAMETER"),
            (_refund(declined["id"]), "TXN_NEVER_PROCESSED"),
            (_refund(reserved["id"]), "UNSUPPORTED_TXN_TYPE"),
            (_refund(sale["id"]) | {"amounts": _amounts(100, currency="USD")}, "INVALID_PARAMETER"),
            (_refund(sale["id"]) | {"amounts": _amounts(0)}, "INVALID_PARAMETER"),
        ):
            answer = await till.ask("POST", _LIST, body)
            assert (answer.status, answer.code) == (400, code), body
        answer = await till.ask("POST", _LIST, b"{")
        assert (answer.status, answer.code) == (400, "INVALID_REQUEST")


@virtual()
async def test_what_may_yet_have_moved_money_is_never_told_as_never_processed(
    tmp_path: Path,
) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        await till.send(till.order(amount=1249))
        await asyncio.sleep(2)
        await till.send(till.order(amount=1247))
        for state in (State.STARTED, State.UNKNOWN):
            last = there.transactions()[0 if state is State.STARTED else -1]
            assert last.state is state
            id_ = ids.transaction_uuid(last.id)
            for path, body in ((_LIST, _refund(id_)), (f"{_LIST}/{id_}/void", None)):
                answer = await till.ask("POST", path, body)
                assert (answer.status, answer.code) == (504, "SERVICE_UNAVAILABLE")
                assert state in answer.json["developerMessage"]
            await asyncio.sleep(60)
        assert await there.charged() == [1249, 1247]


@virtual()
async def test_who_comes_second_hears_what_the_first_one_did(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        engine = there.gateway.engine
        for path, code in (("/void", "TXN_ALREADY_VOIDED"), ("", "TXN_ALREADY_REFUNDED")):
            sale = await till.pay(1000)
            first = f"{_LIST}/{sale['id']}/void" if path else _LIST
            with pytest.MonkeyPatch.context() as patch:

                async def late(
                    request: Request, when_busy: WhenBusy, first: str = first, sale: Json = sale
                ) -> Json:
                    patch.undo()
                    assert (await till.ask("POST", first, _refund(sale["id"]))).status < 300
                    return await engine.accept(request, when_busy)

                patch.setattr(engine, "accept", late)
                answer = await till.ask("POST", _LIST, _refund(sale["id"]))
            assert (answer.status, answer.code) == (400, code)
        assert await there.charged() == [1000] * 4


@virtual()
async def test_what_is_not_ones_own_can_neither_be_refunded_nor_voided(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        sale = await till.pay(1000)
        stranger, reader = await there.application(STRANGER), await there.application(READER)
        theirs = f"/businesses/{OTHER_BUSINESS}/transactions"
        for path, body in (
            (theirs, _refund(sale["id"])),
            (f"{theirs}/{sale['id']}/void", None),
            (f"{theirs}/{sale['id']}/capture", None),
            (f"{theirs}/cancel?transaction-id={sale['id']}", {}),
        ):
            answer = await stranger.ask("POST", path, body)
            assert (answer.status, answer.code) == (404, "TRANSACTION_NOT_FOUND"), path
        for path in (_LIST, f"{_LIST}/{sale['id']}/void", f"{_LIST}/cancel?transaction-id=x"):
            answer = await reader.ask("POST", path, _refund(sale["id"]))
            assert (answer.status, answer.code) == (401, "UNAUTHORIZED_ACCESS")
        assert await there.charged() == [1000]


@virtual()
async def test_ten_refunds_at_once_never_exceed_the_sale(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        sale = await till.pay(1000)
        answers = await asyncio.gather(
            *(till.ask("POST", _LIST, _refund(sale["id"], 300)) for _ in range(10))
        )
        assert sorted(each.status for each in answers) == [201] * 3 + [400] * 7
        assert sorted(await there.charged()) == [300, 300, 300, 1000]


# --- void and capture ---------------------------------------------------------------------------


@virtual()
async def test_a_void_makes_the_sale_voided_and_nothing_of_its_own(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        sale = await till.pay(1000)
        answer = await till.ask("POST", f"{_LIST}/{sale['id']}/void")
        assert answer.status == 200
        voided = answer.json
        assert (voided["id"], voided["action"]) == (sale["id"], "SALE")
        assert (voided["status"], voided["voided"]) == ("VOIDED", True)
        assert await till.listed() == [voided]
        again = await till.ask("POST", f"{_LIST}/{sale['id']}/void")
        assert (again.status, again.code) == (400, "TXN_ALREADY_VOIDED")
        refund = await till.ask("POST", _LIST, _refund(sale["id"]))
        assert (refund.status, refund.code) == (400, "TXN_ALREADY_VOIDED")


@virtual()
async def test_what_is_refunded_in_part_cannot_be_voided(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        sale = await till.pay(1000)
        await till.ask("POST", _LIST, _refund(sale["id"], 300))
        answer = await till.ask("POST", f"{_LIST}/{sale['id']}/void")
        assert (answer.status, answer.code) == (400, "TXN_ALREADY_REFUNDED")


@virtual()
async def test_a_void_that_is_declined_leaves_the_sale_as_it_was(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        sale = await till.pay(2000)
        declined = SetScript(Script(verdict=Verdict.DECLINED, reason="Not now."), 2)
        await there.gateway.world.set_script(LANE.id, declined)
        answer = await till.ask("POST", f"{_LIST}/{sale['id']}/void")
        assert (answer.status, answer.code) == (400, "PROCESSOR_DECLINED")
        order = till.order("void", None, transactionId=sale["id"])
        await till.send(order)
        (told,) = (await there.receiver.final(order["referenceId"]))["transactions"]
        assert (told["action"], told["status"]) == ("VOID", "DECLINED")
        assert (told["parentId"], told["id"] == sale["id"]) == (sale["id"], False)
        # It is none of the business's transactions, whatever is asked of it.
        for method, path in (
            ("GET", f"{_LIST}/{told['id']}"),
            ("POST", f"{_LIST}/{told['id']}/void"),
            ("POST", f"{_LIST}/cancel?transaction-id={told['id']}"),
        ):
            answer = await till.ask(method, path)
            assert (answer.status, answer.code) == (404, "TRANSACTION_NOT_FOUND")
        assert await till.listed() == [sale]


@virtual()
async def test_a_reservation_is_captured_in_parts(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        reserved = await till.pay(2000, action="authorize")
        path = f"{_LIST}/{reserved['id']}/capture"
        answer = await till.ask("POST", path, {"amounts": _amounts(2500)})
        assert (answer.status, answer.code) == (400, "CAPTURE_EXCEEDS_PREAUTH_BAL")
        answer = await till.ask("POST", path, {"amounts": _amounts(1500)})
        child = answer.json
        assert (answer.status, child["action"], child["status"]) == (200, "CAPTURE", "CAPTURED")
        assert (child["parentId"], child["amounts"]["transactionAmount"]) == (reserved["id"], 1500)
        void = await till.ask("POST", f"{_LIST}/{reserved['id']}/void")
        assert (void.status, void.code) == (400, "TXN_ALREADY_CAPTURED")
        rest = await till.ask("POST", path)
        assert rest.json["amounts"]["transactionAmount"] == 500
        again = await till.ask("POST", path, {})
        assert (again.status, again.code) == (400, "TXN_ALREADY_CAPTURED")
        back = await till.ask("POST", _LIST, _refund(child["id"], 100))
        assert back.json["status"] == "REFUNDED"
        sale = await till.pay(1000)
        answer = await till.ask("POST", f"{_LIST}/{sale['id']}/capture")
        assert (answer.status, answer.code) == (400, "CAPTURE_NOT_ALLOWED")


# --- cancel -------------------------------------------------------------------------------------


async def _cancel(till: CloudApplication, uuid_: str) -> Answer:
    body = {"cancelRequest": {"cancelReason": "TIMEOUT"}}
    return await till.ask("POST", f"{_LIST}/cancel?transaction-id={uuid_}", body)


@virtual()
async def test_a_reservation_that_was_raised_and_lowered_elsewhere_is_voided_whole(
    tmp_path: Path,
) -> None:
    async with cloud(tmp_path) as there:
        till, engine = await there.application(), there.gateway.engine

        async def do(kind: TransactionType, minor: int, of: Transaction | None) -> Transaction:
            request = Request(
                organisation_id=LANE.organisation_id,
                terminal_id=LANE.id,
                dialect="test",
                type=kind,
                amount=Money(minor, "EUR"),
                reference="a stay",
                original_id=of.id if of else None,
            )
            made = await engine.accept(request, WhenBusy.REJECT)
            return await engine.wait(made.id, lambda each: each.is_final, 60)

        preauth = await do(TransactionType.PREAUTH, 2000, None)
        raised = await do(TransactionType.INCREMENT, 500, preauth)
        await do(TransactionType.REVERSAL, 500, raised)
        await do(TransactionType.INCREMENT, 300, preauth)
        path = f"{_LIST}/{ids.transaction_uuid(preauth.id)}/void"
        void = await till.ask("POST", path)
        assert (void.status, void.json["status"]) == (200, "VOIDED")
        assert there.transactions()[-1].amount.minor == 2300


@virtual()
async def test_a_cancel_voids_what_was_approved_and_again_it_is_voided(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        sale = await till.pay(1000)
        for _ in range(2):
            answer = await _cancel(till, sale["id"])
            assert (answer.status, answer.json["status"]) == (200, "VOIDED")
        declined = await till.pay(1241)
        assert (await _cancel(till, declined["id"])).json["status"] == "DECLINED"
        answer = await till.ask("POST", f"{_LIST}/cancel", {})
        assert (answer.status, answer.code) == (400, "MISSING_PARAMETER")
        wrong = {"cancelRequest": {"cancelReason": "BORED"}}
        answer = await till.ask("POST", f"{_LIST}/cancel?transaction-id={sale['id']}", wrong)
        assert (answer.status, answer.code) == (400, "INVALID_PARAMETER")


@virtual()
async def test_a_cancel_calls_off_what_is_under_way_or_waits(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        slow, waiting = till.order(amount=1249), till.order(amount=1000)
        await till.send(slow)
        await till.send(waiting)
        await there.receiver.until(2, slow["referenceId"])
        first, second = (ids.transaction_uuid(each.id) for each in there.transactions())
        assert (await _cancel(till, second)).json["status"] == "VOIDED"
        assert (await _cancel(till, first)).json["status"] == "VOIDED"
        final = await there.receiver.final(slow["referenceId"])
        assert final["status"] == "CANCELED"
        await asyncio.sleep(60)
        assert there.receiver.words(waiting["referenceId"]) == []
        assert await there.charged() == []


@virtual()
async def test_a_cancel_of_what_nobody_knows_says_that(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        await till.send(till.order(amount=1247))
        await asyncio.sleep(30)
        (unknown,) = there.transactions()
        assert unknown.state is State.UNKNOWN
        answer = await _cancel(till, ids.transaction_uuid(unknown.id))
        assert (answer.status, answer.code) == (504, "EXTERNAL_SERVER_READ_TIMEOUT")


# --- terminals ----------------------------------------------------------------------------------


@virtual()
async def test_a_follow_up_waits_for_a_busy_terminal_and_gives_up_in_time(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        sale = await till.pay(1000)
        order = till.order(amount=1249)
        await till.send(order)
        await there.receiver.until(2, order["referenceId"])
        await asyncio.sleep(10)
        answer = await till.ask("POST", _LIST, _refund(sale["id"], 100))
        assert answer.status == 201
        await till.send(till.order(amount=1249))
        await till.send(till.order(amount=1149))
        answer = await till.ask("POST", _LIST, _refund(sale["id"], 200))
        assert (answer.status, answer.code) == (504, "SERVICE_UNAVAILABLE")
        await asyncio.sleep(120)
        assert sorted(await there.charged()) == [100, 1000, 1149, 1249, 1249]


@virtual()
async def test_a_blocked_terminal_does_nothing_and_says_so(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        sale = await till.pay(1000)
        await till.send(till.order(amount=1247))
        await asyncio.sleep(30)
        answer = await till.ask("POST", _LIST, _refund(sale["id"], 100))
        assert (answer.status, answer.code) == (504, "SERVICE_UNAVAILABLE")


@virtual()
async def test_another_terminal_of_the_store_takes_the_place_of_one_that_is_gone(
    tmp_path: Path,
) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        sale = await till.pay(1000)
        engine = there.gateway.engine
        gone = msgspec.structs.replace(
            engine.estate.terminals[LANE.id], lifecycle=Lifecycle.REMOVED
        )
        await engine.change_estate(lambda unit: unit.put(gone))
        answer = await till.ask("POST", _LIST, _refund(sale["id"], 100))
        assert answer.status == 201
        made = await _known(there, answer.json["id"])
        assert made.terminal_id != LANE.id
        for terminal in engine.estate.terminals.values():
            removed = msgspec.structs.replace(terminal, lifecycle=Lifecycle.REMOVED)
            await engine.change_estate(lambda unit, it=removed: unit.put(it))
        answer = await till.ask("POST", _LIST, _refund(sale["id"], 100))
        assert (answer.status, answer.code) == (403, "STORE_DEVICE_NOT_ACTIVATED")


@virtual()
async def test_a_refund_whose_answer_is_lost_is_found_under_its_requests_id(tmp_path: Path) -> None:
    async with cloud(tmp_path, answer_within=2.0) as there:
        till = await there.application()
        sale = await till.pay(5000)
        headers = {"Poynt-Request-Id": str(uuid.uuid4())}
        # A cardholder who takes 20 seconds.
        answer = await till.ask("POST", _LIST, _refund(sale["id"], 1249), headers=headers)
        assert (answer.status, answer.code) == (504, "EXTERNAL_SERVER_READ_TIMEOUT")
        await asyncio.sleep(30)
        answer = await till.ask("POST", _LIST, _refund(sale["id"], 1249), headers=headers)
        assert (answer.status, answer.json["status"]) == (201, "REFUNDED")
        assert sorted(await there.charged()) == [1249, 5000]


# --- the same request again ---------------------------------------------------------------------


@virtual()
async def test_under_an_id_that_cannot_be_remembered_nothing_is_done(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        sale = await till.pay(1000)
        for unfit in ("r" * 129, "r\t1", "4111111111111111"):
            headers = {"Poynt-Request-Id": unfit}
            answer = await till.ask("POST", _LIST, _refund(sale["id"], 100), headers=headers)
            assert (answer.status, answer.code) == (400, "INVALID_PARAMETER")
            assert unfit not in answer.body.decode()
        assert await there.charged() == [1000]


@virtual()
async def test_a_request_that_comes_again_gets_the_first_answer_also_after_a_restart(
    tmp_path: Path,
) -> None:
    headers = {"POYNT-REQUEST-ID": str(uuid.uuid4())}
    async with receiving() as receiver:
        async with living(tmp_path, receiver) as there:
            till = await there.application()
            sale = await till.pay(1000)
            body = _refund(sale["id"], 100)
            first = await till.ask("POST", _LIST, body, headers=headers)
            again = await till.ask("POST", _LIST, body, headers=headers)
            assert (again.status, again.body) == (first.status, first.body) == (201, first.body)
        async with living(tmp_path, receiver) as there:
            till = await there.application()
            again = await till.ask("POST", _LIST, body, headers=headers)
            assert (again.status, again.body) == (201, first.body)
            assert sorted(await there.charged()) == [100, 1000]
            refused = await till.ask("POST", _LIST, _refund(sale["id"], 101), headers=headers)
            assert (refused.status, refused.code) == (400, "REQUEST_ID_DUPLICATE")
            elsewhere = await till.ask("POST", f"{_LIST}/{sale['id']}/void", headers=headers)
            assert (elsewhere.status, elsewhere.code) == (400, "REQUEST_ID_DUPLICATE")


@virtual()
async def test_a_refusal_stays_one(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        sale = await till.pay(1000)
        headers = {"Poynt-Request-Id": "r-1"}
        body = _refund(sale["id"], 2000)
        first = await till.ask("POST", _LIST, body, headers=headers)
        again = await till.ask("POST", _LIST, body, headers=headers)
        assert (first.status, first.body) == (again.status, again.body)
        assert first.code == "INVALID_PARAMETER"


@virtual()
async def test_a_request_that_comes_again_can_be_refused(tmp_path: Path) -> None:
    async with cloud(tmp_path, idempotency_replay=False) as there:
        till = await there.application()
        sale = await till.pay(1000)
        headers = {"Poynt-Request-Id": "r-1"}
        body = _refund(sale["id"], 100)
        assert (await till.ask("POST", _LIST, body, headers=headers)).status == 201
        again = await till.ask("POST", _LIST, body, headers=headers)
        assert (again.status, again.code) == (400, "REQUEST_ID_DUPLICATE")


@virtual()
async def test_a_request_that_is_just_being_done_says_so(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        sale = await till.pay(5000)
        headers = {"Poynt-Request-Id": "r-1"}
        slow = asyncio.create_task(
            till.ask("POST", _LIST, _refund(sale["id"], 1249), headers=headers)
        )
        await asyncio.sleep(5)
        again = await till.ask("POST", _LIST, _refund(sale["id"], 1249), headers=headers)
        assert (again.status, again.code) == (400, "REQUEST_IN_PROGRESS")
        other = await till.ask("POST", _LIST, _refund(sale["id"], 1), headers=headers)
        assert (other.status, other.code) == (400, "REQUEST_ID_DUPLICATE")
        assert (await slow).status == 201
        assert sorted(await there.charged()) == [1249, 5000]


@virtual()
async def test_a_request_that_was_begun_when_the_gateway_stopped_is_done_once(
    tmp_path: Path,
) -> None:
    headers = {"Poynt-Request-Id": "r-1"}
    async with receiving() as receiver:
        async with living(tmp_path, receiver) as there:
            till = await there.application()
            sale = await till.pay(5000)
            body = _refund(sale["id"], 1249)
            asking = asyncio.create_task(till.ask("POST", _LIST, body, headers=headers))
            await asyncio.sleep(5)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        async with living(tmp_path, receiver) as there:
            till = await there.application()
            await asyncio.sleep(60)
            answer = await till.ask("POST", _LIST, body, headers=headers)
            assert (answer.status, answer.json["status"]) == (201, "REFUNDED")
            assert sorted(await there.charged()) == [1249, 5000]


@virtual()
async def test_an_id_that_is_used_again_days_later_is_of_another_request(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        first, second = await till.pay(1000), await till.pay(1000)
        named = {"Poynt-Request-Id": "11111111-2222-4333-8444-555555555555"}
        answer = await till.ask("POST", _LIST, _refund(first["id"], 300), headers=named)
        assert answer.json["parentId"] == first["id"]
        await asyncio.sleep(49 * 3600)
        await till.sign_in()
        again = await till.ask("POST", _LIST, _refund(first["id"], 300), headers=named)
        assert again.json["id"] == answer.json["id"], "the same request"
        await asyncio.sleep(49 * 3600)
        await till.sign_in()
        answer = await till.ask("POST", _LIST, _refund(second["id"], 400), headers=named)
        assert (answer.json["parentId"], answer.status) == (second["id"], 201)


@virtual()
async def test_ids_of_requests_are_each_applications_own(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        engine = there.gateway.engine
        allowed = msgspec.structs.replace(
            engine.estate.applications[READER], permissions=("cloud-messages:write",)
        )
        await engine.change_estate(lambda unit: unit.put(allowed))
        one, two = await there.application(), await there.application(READER)
        sale = await one.pay(1000)
        headers = {"Poynt-Request-Id": "r-1"}
        for till in (one, two):
            answer = await till.ask("POST", _LIST, _refund(sale["id"], 100), headers=headers)
            assert answer.status == 201
        assert sorted(await there.charged()) == [100, 100, 1000]
