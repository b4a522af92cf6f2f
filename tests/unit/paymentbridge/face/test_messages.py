"""`POST /cloudMessages`: what is taken and in which order it is looked at, what a terminal makes of
the order inside, and that nothing is charged twice."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from tests.kit.cloud import Json
from tests.kit.runner import virtual
from tests.kit.shop import POLLING, STORE
from tests.unit.paymentbridge.face.cloud import (
    BUSINESS,
    DEVICE,
    LANE,
    OTHER_BUSINESS,
    OTHER_STORE,
    READER,
    SECOND_DEVICE,
    Cloud,
    cloud,
)
from tillwire.core.estate_model import Lifecycle, Terminal
from tillwire.core.model import Request, State, Verdict
from tillwire.core.ports import Unit
from tillwire.dialects.paymentbridge.face import context, messages
from tillwire.dialects.paymentbridge.wire import ids
from tillwire.errors import Conflict, Proof
from tillwire.estate import lifecycle
from tillwire.estate.carry_out import carry_out
from tillwire.net import per_minute

_SLOW = 1249
"""An amount whose cardholder takes 20 seconds."""


async def _change(there: Cloud, change: Json) -> None:
    """A step in the life of a terminal, as the command line takes it."""

    def write(unit: Unit) -> None:
        carry_out(unit, [change(unit.estate(), there.gateway.clock.now())])

    await there.gateway.engine.change_estate(write)


async def _swap(there: Cloud, terminal: Terminal, serial: str, former: Lifecycle) -> None:
    await _change(
        there,
        lambda estate, now: lifecycle.swap(estate, terminal.id, serial, now, former=former),
    )


# --- the envelope -------------------------------------------------------------------------------


@virtual()
async def test_a_message_is_looked_at_in_the_vendors_order(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        wrong: dict[str, Json] = {
            "businessId": OTHER_BUSINESS,
            "deviceId": "urn:tid:none",
            "ttl": 0,
            "data": 7,
        }
        steps: list[tuple[dict[str, Json], int, str]] = [
            ({"businessId": None}, 400, "MISSING_PARAMETER"),
            ({"businessId": OTHER_BUSINESS}, 404, "BUSINESS_NOT_FOUND"),
            ({"businessId": BUSINESS}, 404, "STORE_DEVICE_NOT_FOUND"),
            ({"deviceId": DEVICE}, 400, "INVALID_PARAMETER"),
            ({"ttl": 60}, 400, "INVALID_PARAMETER"),
            ({"data": "x" * 4097}, 400, "INVALID_PARAMETER"),
            ({"data": "{}"}, 202, ""),
        ]
        answer = await till.ask("POST", "/cloudMessages", b"{")
        assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
        for mended, status, code in steps:
            wrong |= mended
            said = {key: value for key, value in wrong.items() if value is not None}
            answer = await till.ask("POST", "/cloudMessages", said)
            assert answer.status == status, answer
            assert status == 202 or answer.code == code
        assert there.transactions() == []


@virtual()
async def test_permission_comes_before_the_body(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        reader = await there.application(READER)
        answer = await reader.ask("POST", "/cloudMessages", b"{")
        assert (answer.status, answer.code) == (401, "UNAUTHORIZED_ACCESS")


_MISSING = ("businessId", "deviceId", "ttl", "data")


@virtual()
async def test_each_member_that_is_missing_is_named(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        for member in _MISSING:
            said = {key: told for key, told in till.envelope("{}").items() if key != member}
            answer = await till.ask("POST", "/cloudMessages", said)
            assert (answer.status, answer.code) == (400, "MISSING_PARAMETER")
            assert member in answer.json["developerMessage"]


@virtual()
async def test_what_the_vendors_clients_add_is_accepted(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        kinds: list[dict[str, Json]] = [
            {"recipient": {"packageName": "a.b", "className": "C"}, "id": "1", "sender": "s"},
            {"storeId": None},
            {"deviceId": None, "storeDeviceId": DEVICE},
            {"deviceId": None, "serialNum": LANE.serial},
            {"serialNum": LANE.serial, "unknown": {"x": 1}},
            {"deviceId": DEVICE.upper().replace("URN:TID", "urn:tid")},
        ]
        for envelope in kinds:
            order = till.order(amount=1000)
            assert (await till.send(order, **envelope)).status == 202, envelope
            await there.receiver.final(order["referenceId"])
        assert await there.charged() == [1000] * len(kinds)


@virtual()
async def test_a_device_must_be_of_the_business_and_of_the_store(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        for envelope in (
            {"storeId": OTHER_STORE},
            {"serialNum": "9999"},
            {"deviceId": None, "serialNum": "9999"},
            {"deviceId": "urn:tid:" + str(uuid.uuid4())},
        ):
            answer = await till.send(till.order(), **envelope)
            assert (answer.status, answer.code) == (404, "STORE_DEVICE_NOT_FOUND")


@virtual()
async def test_without_a_device_a_message_is_refused_unless_allowed(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        answer = await till.send(till.order(), deviceId=None)
        assert (answer.status, answer.code) == (400, "MISSING_PARAMETER")
    async with cloud(tmp_path, allow_broadcast=True) as there:
        till = await there.application()
        busy, order = till.order(amount=_SLOW), till.order(amount=1000)
        assert (await till.send(busy, deviceId=None)).status == 202
        assert (await till.send(order, deviceId=None)).status == 202
        # One terminal took each, and not the same one: the second was free.
        await there.receiver.final(order["referenceId"])
        assert "PROCESSED" not in there.receiver.words(busy["referenceId"])
        await there.receiver.final(busy["referenceId"])
        first, second = there.transactions()
        assert first.terminal_id != second.terminal_id


# --- the order inside ---------------------------------------------------------------------------


@virtual()
async def test_both_dialects_of_an_order_are_read(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        payment = {"amount": 1500, "tipAmount": 100, "currency": "EUR", "referenceId": "wrapped-1"}
        told = {"callbackUrl": there.receiver.url, "payment": json.dumps(payment)}
        assert (await till.send(told)).status == 202
        final = await there.receiver.final("wrapped-1")
        assert final["transactions"][0]["amounts"]["transactionAmount"] == 1600
        reserved = payment | {"authzOnly": True, "referenceId": "wrapped-2"}
        assert (await till.send(told | {"payment": reserved})).status == 202
        final = await there.receiver.final("wrapped-2")
        assert final["transactions"][0]["status"] == "AUTHORIZED"
        encoded = there.receiver.url.replace(":", "%3A").replace("/", "%2F")
        flat = till.order("SALE", amount=None, callbackUrl=encoded) | {
            "amount": 900,
            "currency": "EUR",
        }
        assert (await till.send(flat)).status == 202
        final = await there.receiver.final(flat["referenceId"])
        assert final["transactions"][0]["amounts"]["transactionAmount"] == 900


@virtual()
async def test_each_action_does_what_it_says(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        sale = await till.pay(2000)
        reservation = await till.pay(3000, action="authorize")
        assert (reservation["action"], reservation["status"]) == ("AUTHORIZE", "AUTHORIZED")
        assert (reservation["authOnly"], sale["authOnly"]) == (True, False)
        part = await till.pay(500, action="refund", transactionId=sale["id"])
        assert (part["action"], part["status"]) == ("REFUND", "REFUNDED")
        assert (part["parentId"], part["amounts"]["transactionAmount"]) == (sale["id"], 500)
        order = till.order("refund", None, transactionId=sale["id"])
        assert (await till.send(order)).status == 202
        rest = (await there.receiver.final(order["referenceId"]))["transactions"][0]
        assert rest["amounts"]["transactionAmount"] == 1500
        order = till.order("void", None, transactionId=reservation["id"])
        assert (await till.send(order)).status == 202
        final = await there.receiver.final(order["referenceId"])
        assert final["referenceId"] == order["referenceId"]
        (voided,) = final["transactions"]
        assert (voided["id"], voided["action"]) == (reservation["id"], "AUTHORIZE")
        assert (voided["status"], voided["voided"]) == ("VOIDED", True)
        credit = await till.pay(700, action="non-referenced-credit")
        assert (credit["action"], credit["status"]) == ("REFUND", "REFUNDED")
        assert "parentId" not in credit
        assert sorted(await there.charged()) == sorted([2000, 3000, 500, 1500, 3000, 700])


@virtual()
async def test_a_decline_is_processed_and_declined(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        order = till.order(amount=1241)
        await till.send(order)
        final = await there.receiver.final(order["referenceId"])
        assert final["status"] == "PROCESSED"
        (made,) = final["transactions"]
        assert made["status"] == "DECLINED"
        assert made["processorResponse"]["status"] == "Failure"
        assert made["processorResponse"]["statusCode"] == "51"


@virtual()
async def test_a_cancellation_says_little(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        order = till.order(amount=1243)
        await till.send(order)
        final = await there.receiver.final(order["referenceId"])
        assert final == {"referenceId": order["referenceId"], "status": "CANCELED"}
        assert await till.listed() == []


@virtual()
async def test_a_partial_approval_is_told_where_it_is_allowed(tmp_path: Path) -> None:
    async with cloud(tmp_path, partial_approval=True) as there:
        made = await (await there.application()).pay(1245)
        assert (made["status"], made["partiallyApproved"]) == ("CAPTURED", True)
        assert made["amounts"]["transactionAmount"] == 622
        assert made["processorResponse"]["approvedAmount"] == 622


@virtual()
async def test_a_partial_approval_is_a_decline_unless_it_is_allowed(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        made = await (await there.application()).pay(1245)
        assert made["status"] == "DECLINED"


@virtual()
async def test_a_sale_may_be_told_as_an_authorization(tmp_path: Path) -> None:
    async with cloud(tmp_path, purchase_action="AUTHORIZE") as there:
        till = await there.application()
        made = await till.pay(1000)
        assert (made["action"], made["status"], made["authOnly"]) == (
            "AUTHORIZE",
            "AUTHORIZED",
            False,
        )
        assert (await till.listed())[0] == made


@virtual()
async def test_an_order_without_an_address_is_done_and_found_in_the_list(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        order = till.order(callbackUrl=None)
        assert (await till.send(order)).status == 202
        (known,) = there.transactions()
        await there.gateway.engine.wait(known.id, lambda each: each.is_final, 60)
        (listed,) = await till.listed(f"?searchKey={order['referenceId']}")
        assert listed["status"] == "CAPTURED"
        assert await there.letters(known.id) == []


# --- what cannot be done ------------------------------------------------------------------------

_UNREADABLE: dict[str, dict[str, Json]] = {
    "no amount": {"purchaseAmount": None},
    "an amount with a fraction": {"purchaseAmount": 12.5},
    "no currency": {"currency": None},
    "an unknown action": {"action": "pay"},
    "an option that would change what is done": {"verifyOnly": True},
    "two actions": {"authzOnly": True, "nonReferencedCredit": True},
    "no such original": {"action": "refund", "transactionId": str(uuid.uuid4())},
    "nothing to refund": {"action": "refund"},
}


@pytest.mark.parametrize("how", _UNREADABLE)
def test_an_order_that_cannot_be_done_ends_in_failed(tmp_path: Path, how: str) -> None:
    @virtual()
    async def play() -> None:
        async with cloud(tmp_path) as there:
            till = await there.application()
            order = till.order() | _UNREADABLE[how]
            with capture_logs() as written:
                assert (await till.send(order)).status == 202
            (logged,) = (each for each in written if each["event"] == "an order was not done")
            assert logged["reference"] == order["referenceId"]
            final = await there.receiver.final(order["referenceId"])
            assert (final["status"], final["referenceId"]) == ("FAILED", order["referenceId"])
            assert there.receiver.words(order["referenceId"]) == ["FAILED"]
            assert there.transactions() == []

    play()


@virtual()
async def test_orders_that_cannot_be_done_fill_neither_the_log_nor_the_outbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "FAILURES_A_MINUTE", 2)
    monkeypatch.setattr(per_minute, "LOGGED_A_MINUTE", 3)
    async with cloud(tmp_path) as there:
        till = await there.application()

        async def send(count: int) -> list[Json]:
            with capture_logs() as written:
                for _ in range(count):
                    assert (await till.send(till.order(amount=None))).status == 202
            await asyncio.sleep(20)
            return [each for each in written if each["event"] != "a request was served"]

        assert [each["event"] for each in await send(5)] == ["an order was not done"] * 3
        assert [each.json["status"] for each in there.receiver.heard] == ["FAILED"] * 2
        await asyncio.sleep(60)
        more, line = await send(1)
        assert (more["event"], more["count"]) == ("more orders came to nothing", 2)
        assert line["event"] == "an order was not done"
        assert len(there.receiver.heard) == 3


@virtual()
async def test_an_order_that_nobody_can_answer_is_met_with_silence(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        unreadable: list[Json] = [
            "no json",
            "[]",
            till.order(amount=None, callbackUrl="ftp://a"),
            {"action": "sale", "callbackUrl": there.receiver.url},  # no reference
            {"payment": "{"},
        ]
        for data in unreadable:
            assert (await till.send(data)).status == 202
        await asyncio.sleep(60)
        assert there.receiver.heard == []
        assert there.transactions() == []


@virtual()
async def test_no_failure_is_told_of_an_order_without_a_reference(tmp_path: Path) -> None:
    """Nobody could tell it from the same order, which came before and was done."""
    async with cloud(tmp_path) as there:
        till = await there.application()
        sale = await till.pay(1000)
        void = till.order("void", None, transactionId=sale["id"], referenceId=None)
        for _ in range(2):
            assert (await till.send(void)).status == 202
            await asyncio.sleep(30)
        assert "FAILED" not in [each.json["status"] for each in there.receiver.heard]
        (listed,) = await till.listed()
        assert listed["status"] == "VOIDED"


@virtual()
async def test_no_failure_is_told_under_the_reference_of_another_order(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        order = till.order(amount=1000)
        await till.send(order)
        await there.receiver.until(3, order["referenceId"])
        for wrong in ({"purchaseAmount": None}, {"purchaseAmount": 2000}, {"verifyOnly": True}):
            assert (await till.send(order | wrong)).status == 202
        await asyncio.sleep(60)
        assert there.receiver.words(order["referenceId"]) == ["RECEIVED", "STARTED", "PROCESSED"]
        assert await there.charged() == [1000]


_FORBIDDEN = (
    "http://169.254.169.254/latest",
    "http://10.1.2.3/cb",
    "http://[::1]/cb",
    "http://0x0a000001/cb",
    "https://[::ffff:10.0.0.1]/cb",
)


@virtual()
async def test_an_address_inside_the_network_is_refused_before_anything_is_done(
    tmp_path: Path,
) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        for url in _FORBIDDEN:
            answer = await till.send(till.order(callbackUrl=url))
            assert (answer.status, answer.code) == (400, "INVALID_PARAMETER"), url
            assert "callbackUrl" in answer.json["developerMessage"]
            # Nor does an order that cannot be done make us call it.
            assert (await till.send(till.order(amount=None, callbackUrl=url))).status == 202
        await asyncio.sleep(30)
        assert there.transactions() == []
        assert await there.gateway.journal.read(lambda reader: reader.waiting_letters(0, 9)) == []


# --- once ---------------------------------------------------------------------------------------


@virtual()
async def test_the_same_reference_at_once_ten_times_is_one_sale(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        order = till.order(amount=1000)
        answers = await asyncio.gather(*(till.send(order) for _ in range(10)))
        assert [answer.status for answer in answers] == [202] * 10
        await there.receiver.until(3, order["referenceId"])
        await asyncio.sleep(30)
        assert there.receiver.words(order["referenceId"]) == ["RECEIVED", "STARTED", "PROCESSED"]
        assert await there.charged() == [1000]


@virtual()
async def test_the_same_reference_days_later_or_at_another_terminal_charges_nothing(
    tmp_path: Path,
) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        order = till.order(amount=1000)
        await till.send(order)
        await there.receiver.until(3, order["referenceId"])
        assert (await till.send(order, deviceId=SECOND_DEVICE)).status == 202
        await asyncio.sleep(49 * 3600)
        await till.sign_in()
        assert (await till.send(order)).status == 202
        assert (await till.send(order | {"purchaseAmount": 1100})).status == 202
        await asyncio.sleep(60)
        assert await there.charged() == [1000]


@virtual()
async def test_a_refund_may_have_the_reference_of_its_sale_and_is_done_once(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        sale = await till.pay(1000, referenceId="order-7")
        for _ in range(2):
            told = till.order("refund", 400, referenceId="order-7", transactionId=sale["id"])
            assert (await till.send(told)).status == 202
            await asyncio.sleep(30)
        assert sorted(await there.charged()) == [400, 1000]


@virtual()
async def test_two_applications_may_use_the_same_reference(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        one = await there.application()
        order = one.order(amount=1000)
        await one.send(order)
        theirs = there.gateway.engine.estate.applications[READER]
        allowed = msgspec.structs.replace(theirs, permissions=("cloud-messages:write",))
        await there.gateway.engine.change_estate(lambda unit: unit.put(allowed))
        other = await there.application(READER)
        await other.send(order, deviceId=SECOND_DEVICE)
        await asyncio.sleep(30)
        assert await there.charged() == [1000, 1000]


@virtual()
async def test_the_id_of_a_request_means_nothing_for_messages(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        for amount in (1000, 1100):
            order = till.order(amount=amount)
            headers = {"Poynt-Request-Id": "the same"}
            answer = await till.ask("POST", "/cloudMessages", till.envelope(order), headers=headers)
            assert (answer.status, answer.headers["poynt-request-id"]) == (202, "the same")
            await there.receiver.final(order["referenceId"])
        assert await there.charged() == [1000, 1100]


# --- terminals that are busy, blocked, out of reach ---------------------------------------------


@virtual()
async def test_a_busy_terminal_takes_the_next_message_when_it_is_free(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        first, second = till.order(amount=_SLOW), till.order(amount=1000)
        await till.send(first)
        await till.send(second)
        await there.receiver.until(2, first["referenceId"])
        assert there.receiver.words(second["referenceId"]) == []
        await there.receiver.final(second["referenceId"])
        assert there.receiver.words(first["referenceId"])[-1] == "PROCESSED"
        assert await there.charged() == [_SLOW, 1000]


@virtual()
async def test_a_message_whose_ttl_has_passed_is_never_heard_of_again(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        first, late = till.order(amount=_SLOW), till.order(amount=1000)
        await till.send(first)
        await till.send(late, ttl=5)
        await asyncio.sleep(1)
        (under_way,) = await till.listed()
        assert under_way["status"] == "CREATED"
        assert await till.listed(f"?searchKey={late['referenceId']}") == [], "it waits"
        await there.receiver.final(first["referenceId"])
        await asyncio.sleep(60)
        assert there.receiver.words(late["referenceId"]) == []
        assert await till.listed(f"?searchKey={late['referenceId']}") == []
        expired = there.transactions()[1]
        assert (expired.state, expired.proof) == (State.CANCELLED, Proof.NEVER_SENT)
        assert await there.charged() == [_SLOW]


@virtual()
async def test_a_newer_message_of_the_same_collapse_key_replaces_one_that_waits(
    tmp_path: Path,
) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        slow = till.order(amount=_SLOW)
        await till.send(slow)
        old, new, apart = (till.order(amount=minor) for minor in (1000, 1100, 1200))
        await till.send(old, collapseKey="lane")
        await till.send(apart)
        await till.send(new, collapseKey="lane")
        await there.receiver.final(new["referenceId"])
        await there.receiver.final(apart["referenceId"])
        assert there.receiver.words(old["referenceId"]) == []
        assert sorted(await there.charged()) == [1100, 1200, _SLOW]


@virtual()
async def test_a_terminal_that_cannot_be_reached_is_met_with_silence(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        order = till.order(amount=1252)
        assert (await till.send(order)).status == 202
        await asyncio.sleep(60)
        (known,) = there.transactions()
        assert (known.state, known.proof) == (State.FAILED, Proof.CONNECT_REFUSED)
        assert there.receiver.words(order["referenceId"]) == []
        assert await till.listed() == []


@virtual()
async def test_a_refusal_of_the_terminal_itself_is_told(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        order = till.order(amount=0, tipAmount=100)  # a tip on nothing
        assert (await till.send(order)).status == 202
        final = await there.receiver.final(order["referenceId"])
        assert final == {"referenceId": order["referenceId"], "status": "FAILED"}
        (known,) = there.transactions()
        assert (known.state, known.proof) == (State.FAILED, Proof.REFUSED_BY_PEER)


@virtual()
async def test_a_terminal_that_fetches_is_paid_on_within_the_ttl(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        order = till.order(amount=1000)
        fetching = ids.device_id(POLLING.id, 1)
        assert (await till.send(order, deviceId=fetching, ttl=10)).status == 202
        await asyncio.sleep(30)
        (known,) = there.transactions()
        assert (known.state, known.proof) == (State.CANCELLED, Proof.NEVER_SENT)
        assert there.receiver.heard == []


@virtual()
async def test_a_terminal_that_no_driver_reaches_takes_nothing(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        engine = there.gateway.engine
        odd = msgspec.structs.replace(engine.estate.terminals[LANE.id], driver="unheard-of")
        await engine.change_estate(lambda unit: unit.put(odd))
        assert (await till.send(till.order())).status == 202
        assert there.transactions() == []


@virtual()
async def test_at_a_blocked_terminal_orders_wait_as_long_as_they_live(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        lost, brief, patient = (till.order(amount=each) for each in (1247, 1000, 1100))
        await till.send(lost)
        await asyncio.sleep(30)
        (unknown,) = there.transactions()
        assert unknown.state is State.UNKNOWN
        assert there.receiver.words(lost["referenceId"]) == ["RECEIVED"]
        (listed,) = await till.listed()
        assert listed["status"] == "CREATED"
        assert (await till.send(brief, ttl=60)).status == 202
        assert (await till.send(patient, ttl=600)).status == 202
        await asyncio.sleep(90)
        assert there.receiver.words(brief["referenceId"]) == []
        assert there.receiver.words(patient["referenceId"]) == []
        assert await there.charged() == [1247]
        await there.gateway.engine.decide(
            unknown.id, Verdict.APPROVED, person="Ada", reason="on the acquirer's list"
        )
        final = await there.receiver.final(lost["referenceId"])
        assert final["transactions"][0]["status"] == "CAPTURED"
        assert there.receiver.words(lost["referenceId"]) == ["RECEIVED", "STARTED", "PROCESSED"]
        await there.receiver.final(patient["referenceId"])
        assert there.receiver.words(brief["referenceId"]) == []
        assert await there.charged() == [1247, 1100]


@virtual()
async def test_a_lost_answer_is_told_once_it_is_found(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        made = await till.pay(1246)
        assert made["status"] == "CAPTURED"
        assert await there.charged() == [1246]


@virtual()
async def test_a_terminal_has_a_hundred_orders_before_it_at_most(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        await till.send(till.order(amount=_SLOW), ttl=600)
        for _ in range(99):
            await till.send(till.order(amount=1000, callbackUrl=None), ttl=1)
        dropped = till.order(amount=1100)
        assert (await till.send(dropped, ttl=600)).status == 202
        assert len(there.transactions()) == 100
        await asyncio.sleep(60)
        assert there.receiver.words(dropped["referenceId"]) == []


# --- swaps --------------------------------------------------------------------------------------


@virtual()
async def test_between_two_payments_a_terminal_is_swapped(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        await till.pay(1000)
        await _swap(there, LANE, "0901", Lifecycle.REMOVED)
        answer = await till.send(till.order(amount=1100))
        assert (answer.status, answer.code) == (403, "STORE_DEVICE_NOT_ACTIVATED")
        (store,) = await till.get(f"/businesses/{BUSINESS}/stores")
        old, new = (
            each for each in store["storeDevices"] if each["externalTerminalId"] == LANE.tid
        )
        assert (old["deviceId"], old["status"]) == (DEVICE, "REMOVED")
        assert (new["status"], new["serialNumber"]) == ("ACTIVATED", "0901")
        order = till.order(amount=1200)
        assert (await till.send(order, deviceId=new["deviceId"])).status == 202
        final = await there.receiver.final(order["referenceId"])
        assert final["transactions"][0]["context"]["storeDeviceId"] == new["deviceId"]
        assert sorted(await there.charged()) == [1000, 1200]


@virtual()
async def test_a_message_to_a_former_device_that_nobody_retired_gets_lost(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        await _swap(there, LANE, "0901", Lifecycle.ACTIVATED)
        order = till.order(amount=1000)
        with capture_logs() as written:
            assert (await till.send(order)).status == 202
            assert (await till.send(order, deviceId=None, serialNum=LANE.serial)).status == 202
        lost = [each for each in written if each["event"] == "a cloud message was not delivered"]
        assert [each["reference"] for each in lost] == [order["referenceId"]] * 2
        await asyncio.sleep(90)
        assert there.receiver.heard == []
        assert there.transactions() == []


@virtual()
async def test_a_swap_while_a_message_is_taken_sends_no_order_to_the_new_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where another program makes it, and the gateway hears of it in the accepting unit."""
    async with cloud(tmp_path) as there:
        till = await there.application()
        read = messages.request_of

        async def swapped(*asked: Json) -> Request:
            request = await read(*asked)

            def write(unit: Unit) -> None:
                now = there.gateway.clock.now()
                former = Lifecycle.ACTIVATED
                step = lifecycle.swap(unit.estate(), LANE.id, "0901", now, former=former)
                carry_out(unit, [step])

            await there.gateway.journal.commit(write)
            return request

        monkeypatch.setattr(messages, "request_of", swapped)
        order = till.order(amount=1000)
        with capture_logs() as written:
            assert (await till.send(order)).status == 202
        (lost,) = (each for each in written if each["event"] == "a cloud message was not delivered")
        assert lost["reference"] == order["referenceId"]
        await asyncio.sleep(60)
        assert there.receiver.heard == []
        assert there.transactions() == []


@virtual()
async def test_in_the_middle_of_a_payment_no_terminal_is_swapped(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        order = till.order(amount=_SLOW)
        await till.send(order)
        with pytest.raises(Conflict):
            await _swap(there, LANE, "0901", Lifecycle.REMOVED)
        made = (await there.receiver.final(order["referenceId"]))["transactions"][0]
        await _swap(there, LANE, "0901", Lifecycle.REMOVED)
        # The old payment stays what it was, on the device that it was made on.
        (listed,) = await till.listed()
        assert listed == made
        assert listed["context"]["storeDeviceId"] == DEVICE


@virtual()
async def test_a_retired_terminal_takes_no_message(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        await _change(there, lambda estate, now: lifecycle.retire(estate, LANE.id, now))
        answer = await till.send(till.order())
        assert (answer.status, answer.code) == (403, "STORE_DEVICE_NOT_ACTIVATED")


@virtual()
async def test_a_terminal_whose_device_is_not_set_up_has_no_device_id(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        till = await there.application()
        newcomer = lifecycle.Newcomer(
            store_id=STORE, tid="30350099", manufacturer="NEXI", model="P61", driver="virtual"
        )
        await _change(there, lambda estate, now: lifecycle.add(estate, newcomer, now))
        (store,) = await till.get(f"/businesses/{BUSINESS}/stores")
        (added,) = (
            each for each in store["storeDevices"] if each["externalTerminalId"] == "30350099"
        )
        assert added["status"] == "CREATED"
        assert not {"deviceId", "serialNumber", "activatedAt"} & set(added)
        terminal = there.gateway.engine.estate.terminal_with_tid("shop", "30350099")
        assert terminal is not None
        await _change(
            there, lambda estate, now: lifecycle.activate(estate, terminal.id, "P61SWA77", now)
        )
        (store,) = await till.get(f"/businesses/{BUSINESS}/stores")
        (added,) = (
            each for each in store["storeDevices"] if each["externalTerminalId"] == "30350099"
        )
        assert (added["status"], added["serialNumber"]) == ("ACTIVATED", "P61SWA77")
        order = till.order(amount=1000)
        assert (await till.send(order, deviceId=added["deviceId"])).status == 202
        await there.receiver.final(order["referenceId"])
