"""What proves that nothing was taken, and what does not: refusals, tokens, cuts, and time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.kit.faults import Connect, Faults, Flow, scripted
from tests.kit.scripted import Asked
from tests.kit.virtual_loop import virtual_loop
from tests.unit.paymentbridge.driver import cloud as there
from tests.unit.paymentbridge.driver.cloud import NEW, OLD, PORT, Cloud, device
from tests.unit.paymentbridge.driver.counter import LANE, Counter, at_a_counter, terminal
from tillwire.core.errands import AskLast
from tillwire.core.model import State, TransactionType, Verdict
from tillwire.dialects.paymentbridge.driver.cloud import QUESTIONS
from tillwire.dialects.paymentbridge.wire.errors import HTTP
from tillwire.errors import PeerError, Proof

_T = TransactionType

CLEAR = sorted(
    code
    for code, status in HTTP.items()
    if status in (400, 403, 404)
    and code
    not in {
        "REQUEST_ID_DUPLICATE",
        "REQUEST_IN_PROGRESS",
        "TXN_DUPLICATE",
        "TXN_ALREADY_EXISTS",
        "TXN_ALREADY_CAPTURED",
        "TXN_ALREADY_REFUNDED",
        "TXN_ALREADY_VOIDED",
        "PROCESSOR_TIMEOUT",
        "PROCESSOR_DETECTED_DUP",
    }
)
"""Codes that say that nothing was done."""


def reason_of(counter: Counter, order: Any) -> str:
    detail = counter.gateway.events(order.id)[-1].detail
    found: str = detail["reason"]
    return found


@at_a_counter()
async def test_an_explicit_refusal_is_a_proof(counter: Counter) -> None:
    for code in CLEAR:
        counter.cloud.will("message", there.refuse(HTTP[code], code))
        failed = await counter.pay()
        assert (failed.state, failed.proof) == (State.FAILED, Proof.REFUSED_BY_PEER), code
        assert code in reason_of(counter, failed)
    assert not counter.cloud.orders


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "REQUEST_ID_DUPLICATE"),
        (400, "REQUEST_IN_PROGRESS"),
        (400, "TXN_DUPLICATE"),
        (400, "PROCESSOR_TIMEOUT"),
        (408, ""),
        (409, "RESOURCE_MODIFIED"),
        (499, "BROKEN_PIPE"),
        (500, "INTERNAL_ERROR"),
        (502, ""),
        (503, "RKMS_UNAVAILABLE"),
        (504, "SERVICE_UNAVAILABLE"),
        (302, ""),
    ],
)
@at_a_counter()
async def test_any_other_answer_is_none(counter: Counter, status: int, code: str) -> None:
    counter.cloud.will("message", there.refuse(status, code))
    lost = await counter.lost(await counter.order())
    assert len(counter.cloud.of("message")) == 1
    assert lost.peer["device"] == OLD


@at_a_counter()
async def test_a_refusal_without_a_code_is_one(counter: Counter) -> None:
    counter.cloud.will("message", there.answer(403, b"<html>Forbidden</html>"))
    failed = await counter.pay()
    assert (failed.state, failed.proof) == (State.FAILED, Proof.REFUSED_BY_PEER)


# --- tokens ---------------------------------------------------------------------------------------


@at_a_counter()
async def test_one_token_is_good_for_many_payments(counter: Counter) -> None:
    for _ in range(3):
        assert (await counter.pay()).state is State.APPROVED
    assert len(counter.cloud.of("token")) == 1


@at_a_counter()
async def test_a_token_is_renewed_before_it_ends(counter: Counter) -> None:
    counter.cloud.token_seconds = 600
    for _ in range(4):
        await counter.pay()
        await asyncio.sleep(400)
    assert len(counter.cloud.of("token")) == 2
    assert len({each.headers["authorization"] for each in counter.cloud.of("message")}) == 2


@at_a_counter()
async def test_a_token_that_is_not_taken_any_more_is_renewed_and_the_order_sent_again(
    counter: Counter,
) -> None:
    await counter.pay()
    counter.cloud.forget_tokens()
    assert (await counter.pay()).state is State.APPROVED
    first, refused, again = counter.cloud.of("message")
    assert refused.headers["poynt-request-id"] == again.headers["poynt-request-id"]
    assert first.headers["poynt-request-id"] != again.headers["poynt-request-id"]
    assert refused.body == again.body
    assert len(counter.cloud.orders) == 2


@at_a_counter()
async def test_a_second_401_is_the_last_word(counter: Counter) -> None:
    refused = there.refuse(401, "UNAUTHORIZED_ACCESS")
    counter.cloud.will("message", refused, refused, refused)
    failed = await counter.pay()
    assert (failed.state, failed.proof) == (State.FAILED, Proof.REFUSED_BY_PEER)
    assert "UNAUTHORIZED_ACCESS" in reason_of(counter, failed)
    assert len(counter.cloud.of("message")) == 2


@at_a_counter()
async def test_what_is_lost_after_a_401_is_lost(counter: Counter) -> None:
    counter.cloud.will("message", there.refuse(401, "INVALID_ACCESS_TOKEN"), there.vanish)
    await counter.lost(await counter.order())
    assert len(counter.cloud.of("message")) == 2


@pytest.mark.parametrize(
    "act",
    [
        there.refuse(401, "LOGIN_FAILED"),
        there.refuse(500, "INTERNAL_ERROR"),
        there.answer(200, b"{}"),
        there.answer(200, b"nonsense"),
        there.answer(200, {"accessToken": "a\nb"}),
        there.vanish,
    ],
)
@at_a_counter()
async def test_without_a_token_nothing_is_sent(counter: Counter, act: there.Act) -> None:
    counter.cloud.will("token", act)
    failed = await counter.pay()
    assert (failed.state, failed.proof) == (State.FAILED, Proof.NEVER_SENT)
    assert not counter.cloud.of("message")
    assert (await counter.pay()).state is State.APPROVED


@pytest.mark.parametrize("content", [None, b"", b"no key", b"\xff\xfe"])
@at_a_counter()
async def test_without_a_key_nothing_is_sent(counter: Counter, content: bytes | None) -> None:
    file = counter.folder / "application.pem"
    key = file.read_bytes()
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    failed = await counter.pay()
    assert (failed.state, failed.proof) == (State.FAILED, Proof.NEVER_SENT)
    file.write_bytes(key)
    assert (await counter.pay()).state is State.APPROVED


@at_a_counter()
async def test_a_silent_cloud_holds_up_many_terminals_no_longer_than_one(counter: Counter) -> None:
    async def silence(cloud: Cloud, asked: Asked) -> Any:
        await asyncio.sleep(3600)

    counter.cloud.will("token", *[silence] * 20)
    driver, begun = counter.driver, virtual_loop().time()
    found = await asyncio.gather(*(driver.status() for _ in range(10)))
    assert not any(each.reachable for each in found)
    assert virtual_loop().time() - begun < 21


@at_a_counter(device_cache_seconds=0.0)
async def test_a_silent_cloud_has_no_more_than_some_questions_at_once(counter: Counter) -> None:
    """The gateway has so many connections for all of its clouds."""

    async def silence(cloud: Cloud, asked: Asked) -> Any:
        await asyncio.sleep(3600)

    counter.cloud.will("list", *[silence] * 40)
    questions = [counter.driver.perform(AskLast(), lambda line: None) for _ in range(40)]
    asking = asyncio.gather(*questions, return_exceptions=True)
    await asyncio.sleep(1)
    assert len(counter.cloud.of("list")) == QUESTIONS
    assert (await counter.pay()).state is State.APPROVED, "a payment waits for none"
    assert len(counter.cloud.of("list")) == QUESTIONS
    assert all(isinstance(each, PeerError) for each in await asking)
    assert len(counter.cloud.of("list")) == 40


# --- connections ----------------------------------------------------------------------------------


def next_connections(*faults: Faults) -> None:
    """Those to the cloud that come next have these faults."""
    made = virtual_loop().network
    policy = scripted({PORT: list(faults)})
    count = 0

    def from_now_on(port: int, number: int) -> Faults:
        nonlocal count
        if port != PORT:
            return Faults()
        count += 1
        return policy(port, count - 1)

    made.faults = from_now_on


@at_a_counter()
async def test_no_connection_is_a_proof(counter: Counter) -> None:
    await counter.pay()
    await asyncio.sleep(10)
    next_connections(Faults(connect=Connect.REFUSE))
    failed = await counter.pay()
    assert (failed.state, failed.proof) == (State.FAILED, Proof.CONNECT_REFUSED)
    next_connections(Faults(connect=Connect.SILENCE))
    failed = await counter.pay()
    assert (failed.state, failed.proof) == (State.FAILED, Proof.NEVER_SENT)
    assert len(counter.cloud.orders) == 1


@at_a_counter()
async def test_an_answer_that_is_lost_is_no_proof_and_nothing_is_sent_again(
    counter: Counter,
) -> None:
    await counter.pay()
    counter.cloud.will("message", there.done_but_lost("message"))
    order = await counter.order()
    assert (await counter.ended(order, 60)).state is State.APPROVED
    assert "lose" in counter.events(order)
    assert len(counter.cloud.orders) == 2


@pytest.mark.parametrize("octets", [0, 1, 100, 500])
@at_a_counter()
async def test_an_order_that_is_cut_off_is_lost(counter: Counter, octets: int) -> None:
    await counter.pay()
    await asyncio.sleep(10)
    next_connections(Faults(to_server=Flow(cut_after=octets)))
    order = await counter.order()
    ended = await counter.ended(order)
    assert ended.state is State.FAILED
    assert ended.proof is Proof.ABSENT_AT_PEER
    assert len(counter.cloud.of("message")) == 1


@at_a_counter(send_seconds=3.0)
async def test_it_is_not_written_late(counter: Counter) -> None:
    async def slow(cloud: Cloud, asked: Asked) -> Any:
        await asyncio.sleep(4)
        return await there.USUALLY["stores"](cloud, asked)

    counter.cloud.will("stores", slow)
    failed = await counter.pay()
    assert (failed.state, failed.proof) == (State.FAILED, Proof.NEVER_SENT)
    assert not counter.cloud.of("message")


# --- what the cloud does by itself ----------------------------------------------------------------


@pytest.mark.parametrize("kind", [_T.REVERSAL, _T.REFUND])
@at_a_counter()
async def test_a_refused_follow_up_has_failed(counter: Counter, kind: TransactionType) -> None:
    paid = await counter.pay()
    name = "void" if kind is _T.REVERSAL else "refund"
    counter.cloud.will(name, there.refuse(400, "UNSUPPORTED_TXN_TYPE"))
    failed = await counter.pay(4250, kind, original=paid)
    assert (failed.state, failed.proof) == (State.FAILED, Proof.REFUSED_BY_PEER)
    again = await counter.pay(4250, kind, original=paid)
    assert again.state is State.APPROVED


@pytest.mark.parametrize(
    ("kind", "name"), [(_T.REVERSAL, "void"), (_T.REFUND, "refund"), (_T.CAPTURE, "capture")]
)
@pytest.mark.parametrize("done", [True, False])
@at_a_counter()
async def test_a_lost_follow_up_is_found_or_proven_absent(
    counter: Counter, kind: TransactionType, name: str, done: bool
) -> None:
    paid = await counter.pay(4250, _T.PREAUTH if kind is _T.CAPTURE else _T.PURCHASE)
    counter.cloud.will(name, there.done_but_lost(name) if done else there.vanish)
    order = await counter.order(4250, kind, original=paid)
    ended = await counter.ended(order)
    if done:
        assert (ended.state, ended.approved_amount) == (State.APPROVED, 4250)
    else:
        assert (ended.state, ended.proof) == (State.FAILED, Proof.ABSENT_AT_PEER)
    assert len(counter.cloud.of(name)) == 1


@pytest.mark.parametrize(
    "act",
    [
        there.answer(200, b""),
        there.answer(200, {"status": "REFUNDED"}),
        there.answer(200, {"id": "x", "parentId": "another", "status": "REFUNDED"}),
        there.answer(202, b""),
        there.refuse(400, "TXN_ALREADY_REFUNDED"),
        there.refuse(400, "PROCESSOR_TIMEOUT"),
    ],
)
@at_a_counter()
async def test_an_unclear_answer_is_looked_up(counter: Counter, act: there.Act) -> None:
    paid = await counter.pay()

    async def do_it(cloud: Cloud, asked: Asked) -> Any:
        await there.USUALLY["refund"](cloud, asked)
        return await act(cloud, asked)

    counter.cloud.will("refund", do_it)
    refund = await counter.pay(1000, _T.REFUND, original=paid)
    assert (refund.state, refund.approved_amount) == (State.APPROVED, 1000)
    assert "lose" in counter.events(refund)


@at_a_counter()
async def test_a_lost_capture_that_may_be_anothers_is_not_adopted(counter: Counter) -> None:
    reserved = await counter.pay(4250, _T.PREAUTH)
    assert reserved.outcome is not None
    parent = reserved.outcome.handle["transaction_id"]

    async def lose(cloud: Cloud, asked: Asked) -> Any:
        for _ in range(2):  # somebody captures in the portal at the same time
            await there.USUALLY["capture"](cloud, asked)
        return await there.vanish(cloud, asked)

    counter.cloud.will("capture", lose)
    order = await counter.order(1000, _T.CAPTURE, original=reserved)
    assert (await counter.ended(order)).state is State.UNKNOWN
    children = [each for each in counter.cloud.listed.values() if each.get("parentId") == parent]
    assert len(children) == 2


@at_a_counter()
async def test_a_capture_that_a_person_decided_is_not_adopted_by_the_next_one(
    counter: Counter,
) -> None:
    reserved = await counter.pay(4250, _T.PREAUTH)

    async def lose_two(cloud: Cloud, asked: Asked) -> Any:
        for _ in range(2):  # somebody captures in the portal at the same time
            await there.USUALLY["capture"](cloud, asked)
        return await there.vanish(cloud, asked)

    counter.cloud.will("capture", lose_two)
    first = await counter.lost(await counter.order(1000, _T.CAPTURE, original=reserved))
    engine = counter.gateway.engine
    await engine.decide(first.id, Verdict.APPROVED, person="Ada", reason="The portal has it.")
    portals = [each for each in counter.cloud.listed.values() if each["action"] == "CAPTURE"]
    del counter.cloud.listed[portals[1]["id"]]
    counter.cloud.will("capture", there.vanish)
    second = await counter.order(1000, _T.CAPTURE, original=reserved)
    assert (await counter.ended(second)).state is State.UNKNOWN


@at_a_counter()
async def test_of_two_captures_at_once_none_adopts_what_may_be_the_others(
    counter: Counter,
) -> None:
    reserved = await counter.pay(4250, _T.PREAUTH)
    told = counter.gateway.engine.estate.terminals[LANE].settings
    other = terminal(dict(told), id="smartpos-2", serial="P61-2", tid="30350040")
    await counter.gateway.engine.change_estate(lambda unit: unit.put(other))
    counter.cloud.will("capture", there.vanish, there.done_but_lost("capture"))
    first = await counter.order(1000, _T.CAPTURE, original=reserved)
    await asyncio.sleep(1)
    second = await counter.order(1000, _T.CAPTURE, original=reserved, at=other.id)
    found = [await counter.ended(each) for each in (first, second)]
    approved = [each for each in found if each.state is State.APPROVED]
    assert len(approved) <= 1, "one was carried out"
    assert not [each for each in found if each.state is State.FAILED]


@at_a_counter()
async def test_a_declined_void_is_listed_beside_its_original(counter: Counter) -> None:
    paid = await counter.pay()
    assert paid.outcome is not None
    called = paid.outcome.handle["transaction_id"]

    async def decline(cloud: Cloud, asked: Asked) -> Any:
        tried = {**cloud.listed[called], "id": cloud.name(), "parentId": called}
        tried.update(action="VOID", status="DECLINED", references=[])
        return await there.answer(200, tried)(cloud, asked)

    counter.cloud.will("void", decline)
    back = await counter.pay(4250, _T.REVERSAL, original=paid)
    assert back.state is State.DECLINED


# --- devices --------------------------------------------------------------------------------------


@at_a_counter()
async def test_the_device_is_remembered_for_a_while(counter: Counter) -> None:
    for _ in range(3):
        await counter.pay()
    assert len(counter.cloud.of("stores")) == 1
    await asyncio.sleep(301)
    await counter.pay()
    assert len(counter.cloud.of("stores")) == 2


@pytest.mark.parametrize("code", ["STORE_DEVICE_NOT_FOUND", "STORE_DEVICE_NOT_ACTIVATED"])
@at_a_counter()
async def test_an_order_for_a_device_that_is_gone_goes_to_the_one_in_its_place(
    counter: Counter, code: str
) -> None:
    await counter.pay()
    newer = device("P61-2", deviceId=NEW, activatedAt="2026-03-01T00:00:00Z")
    counter.cloud.devices = [device(status="REMOVED"), newer]
    counter.cloud.will("message", there.refuse(HTTP[code], code))
    paid = await counter.pay()
    assert paid.state is State.APPROVED
    assert paid.peer["device"] == NEW
    _, refused, again = counter.cloud.of("message")
    assert refused.headers["poynt-request-id"] != again.headers["poynt-request-id"]
    assert [each.envelope["deviceId"] for each in counter.cloud.orders] == [OLD, NEW]


@at_a_counter()
async def test_an_order_for_a_device_that_is_gone_has_failed_where_none_is_in_its_place(
    counter: Counter,
) -> None:
    await counter.pay()
    counter.cloud.devices = []
    counter.cloud.will("message", there.refuse(404, "STORE_DEVICE_NOT_FOUND"))
    failed = await counter.pay()
    assert (failed.state, failed.proof) == (State.FAILED, Proof.REFUSED_BY_PEER)
    failed = await counter.pay()
    assert (failed.state, failed.proof) == (State.FAILED, Proof.NEVER_SENT)


ESTATES: list[tuple[Callable[[], list[Any]], str]] = [
    (lambda: [device(), device("2", deviceId=NEW, activatedAt="2026-02-01T00:00:00Z")], NEW),
    (lambda: [device(activatedAt="2026-02-01T00:00:00Z"), device("2", deviceId=NEW)], OLD),
    (lambda: [device(), device("2", deviceId=NEW, status="REMOVED")], OLD),
    (lambda: [device(), device(None, deviceId=None, status="CREATED", activatedAt=None)], OLD),
    (lambda: [device(externalTerminalId="30350040", deviceId=NEW), device()], OLD),
    (lambda: [device(status="DEACTIVATED"), device("2", deviceId=NEW)], NEW),
]


@pytest.mark.parametrize(("devices", "expected"), ESTATES)
@at_a_counter()
async def test_the_newest_activated_device_of_the_tid_is_paid_on(
    counter: Counter, devices: Callable[[], list[Any]], expected: str
) -> None:
    counter.cloud.devices = devices()
    assert (await counter.pay()).peer["device"] == expected


@pytest.mark.parametrize(
    "act",
    [
        there.answer(200, []),
        there.answer(200, {"stores": []}),
        there.answer(200, b"nonsense"),
        there.refuse(404, "BUSINESS_NOT_FOUND"),
        there.refuse(500, "INTERNAL_ERROR"),
        there.vanish,
    ],
)
@at_a_counter()
async def test_without_a_device_nothing_is_sent(counter: Counter, act: there.Act) -> None:
    counter.cloud.will("stores", act)
    failed = await counter.pay()
    assert (failed.state, failed.proof) == (State.FAILED, Proof.NEVER_SENT)
    assert (await counter.pay()).state is State.APPROVED
