"""Payments that go as they should, and what they end in."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.kit.scripted import Asked
from tests.unit.paymentbridge.driver import cloud as there
from tests.unit.paymentbridge.driver.cloud import BUSINESS, OLD, STORE, Cloud, Json, Order
from tests.unit.paymentbridge.driver.counter import CALLBACKS, Counter, at_a_counter
from tillwire.core.model import EntryMode, Evidence, State, Terms, TransactionType
from tillwire.errors import Proof

_T = TransactionType


@at_a_counter()
async def test_a_sale_is_told_by_callbacks(counter: Counter) -> None:
    paid = await counter.pay(4250)
    assert paid.state is State.APPROVED
    assert paid.outcome is not None
    assert paid.approved_amount == 4250
    assert paid.outcome.evidence is Evidence.REPORTED
    assert paid.outcome.authorisation_code == "9QX001"
    assert paid.outcome.stan == "000017"
    assert paid.outcome.acquirer_reference == "613200000017"
    assert (paid.outcome.brand, paid.outcome.card_last4) == ("VISA", "1111")
    assert paid.outcome.entry_mode is EntryMode.CONTACTLESS
    assert paid.outcome.application_id == "A0000000031010"
    assert paid.started_at is not None
    await asyncio.sleep(1)
    assert counter.cloud.heard_by_terminals == [
        ("RECEIVED", 200),
        ("STARTED", 200),
        ("PROCESSED", 200),
    ]
    assert not counter.cloud.of("list"), "nobody had to ask"


@at_a_counter()
async def test_what_is_asked_of_the_cloud(counter: Counter) -> None:
    paid = await counter.pay(4250, terms=Terms(tip=250))
    (order,) = counter.cloud.orders
    data = order.envelope.pop("data")
    assert order.envelope == {
        "businessId": BUSINESS,
        "storeId": STORE,
        "deviceId": OLD,
        "ttl": 30,
    }
    told = json.loads(data)
    url = told.pop("callbackUrl")
    assert told == {
        "action": "sale",
        "purchaseAmount": 4000,
        "tipAmount": 250,
        "currency": "EUR",
        "referenceId": paid.peer["reference"],
    }
    assert url.startswith(f"{CALLBACKS}/{paid.id}")
    assert len(url) == len(f"{CALLBACKS}/{paid.id}") + 43
    assert paid.approved_amount == 4250
    assert paid.outcome is not None
    assert paid.outcome.tip == 0, "it was agreed at the till"
    (message,) = counter.cloud.of("message")
    assert message.headers["api-version"] == "1.2"


@at_a_counter()
async def test_the_device_and_the_reference_are_journaled_before_the_order_leaves(
    counter: Counter,
) -> None:
    known: list[dict[str, str]] = []

    async def look(cloud: Cloud, asked: Asked) -> Any:
        transactions = counter.gateway.transactions()
        known.append(dict(transactions[-1].peer))
        return await there.USUALLY["message"](cloud, asked)

    counter.cloud.will("message", look)
    paid = await counter.pay()
    assert known == [
        {
            "way": "bridge",
            "reference": paid.peer["reference"],
            "device": OLD,
            "original": "",
            "callbacks": CALLBACKS,
        }
    ]


@pytest.mark.parametrize("dialect", ["flat", "wrapped"])
def test_both_dialects_of_orders(dialect: str) -> None:
    @at_a_counter(payload=dialect, options=["skipReceiptScreen", "disableTip"])
    async def scenario(counter: Counter) -> None:
        assert (await counter.pay(4250)).state is State.APPROVED
        assert (await counter.pay(900, _T.PREAUTH)).state is State.APPROVED
        assert (await counter.pay(100, _T.REFUND)).state is State.APPROVED
        actions = [each.members["action"] for each in counter.cloud.orders]
        assert actions == ["sale", "authorize", "non-referenced-credit"]
        data = counter.cloud.orders[0].envelope["data"]
        assert ("payment" in json.loads(data)) is (dialect == "wrapped")
        for each in counter.cloud.orders:
            assert each.members["skipReceiptScreen"] is True
            assert each.members["disableTip"] is True

    scenario()


@at_a_counter(encode_callback_url=True)
async def test_an_address_can_be_percent_encoded(counter: Counter) -> None:
    counter.cloud.terminal = there.ignores
    await counter.order()
    await asyncio.sleep(1)
    (order,) = counter.cloud.orders
    assert order.members["callbackUrl"].startswith("http%3A%2F%2F127.0.0.1%3A")


def declined(cloud: Cloud, order: Order) -> Json:
    response = {"status": "Failure", "statusCode": "51", "statusMessage": "Insufficient funds"}
    return cloud.enter(**cloud.sale(order, status="DECLINED", processorResponse=response))


def partial(cloud: Cloud, order: Order) -> Json:
    response = {"status": "Successful", "approvedAmount": 2000}
    return cloud.enter(**cloud.sale(order, partiallyApproved=True, processorResponse=response))


def tipped(cloud: Cloud, order: Order) -> Json:
    amounts = {"transactionAmount": order.total + 300, "orderAmount": order.total, "tipAmount": 300}
    paid = cloud.sale(order, amounts={**amounts, "currency": "EUR"})
    del paid["processorResponse"]["approvedAmount"]
    return cloud.enter(**paid)


def in_part(minor: int) -> Any:
    def pays(cloud: Cloud, order: Order) -> Json:
        amounts = {"transactionAmount": minor, "orderAmount": minor, "currency": "EUR"}
        return cloud.enter(**cloud.sale(order, amounts=amounts, processorResponse=None))

    return pays


def as_authorized(cloud: Cloud, order: Order) -> Json:
    return cloud.enter(**cloud.sale(order, action="AUTHORIZE", status="AUTHORIZED", authOnly=False))


@pytest.mark.parametrize(
    ("behaviour", "state", "moved"),
    [
        (there.ends("PROCESSED", declined), State.DECLINED, 0),
        (there.ends("DECLINED"), State.DECLINED, 0),
        (there.ends("CANCELED"), State.CANCELLED, 0),
        (there.ends("CANCELLED"), State.CANCELLED, 0),
        (there.ends("PROCESSED", partial), State.APPROVED, 2000),
        (there.ends("PROCESSED", tipped), State.APPROVED, 4550),
        (there.ends("PROCESSED", in_part(4000), in_part(250)), State.APPROVED, 4250),
        (there.ends("PROCESSED", declined, in_part(4250)), State.APPROVED, 4250),
        (there.ends("COMPLETED", as_authorized), State.APPROVED, 4250),
    ],
    ids=[
        *[
            "declined",
            "alone",
            "canceled",
            "cancelled",
            "partial",
            "tip",
            "ways",
            "second",
            "authorized",
        ]
    ],
)
@at_a_counter()
async def test_every_ending(counter: Counter, behaviour: Any, state: State, moved: int) -> None:
    counter.cloud.terminal = behaviour
    ended = await counter.pay(4250)
    assert (ended.state, ended.approved_amount) == (state, moved)
    assert not counter.discrepancies()
    assert ended.outcome is not None
    assert ended.outcome.tip == max(0, moved - 4250)


@pytest.mark.parametrize("status", ["HOLD", "READ_CARD_ONLY", "PROCESSED"])
@at_a_counter()
async def test_a_last_word_that_says_nothing_has_the_cloud_asked(
    counter: Counter, status: str
) -> None:
    async def behave(cloud: Cloud, order: Order) -> None:
        await cloud.sign(order, "RECEIVED")
        assert await cloud.tell(order, cloud.payment(order, status=status)) == 200
        await asyncio.sleep(30)
        there.pays(cloud, order)

    counter.cloud.terminal = behave
    ended = await counter.pay()
    assert ended.state is State.APPROVED
    assert ended.outcome is not None
    assert ended.outcome.evidence is Evidence.RECOVERED


@at_a_counter()
async def test_a_sale_in_several_ways_has_no_follow_up(counter: Counter) -> None:
    counter.cloud.terminal = there.ends("PROCESSED", in_part(4000), in_part(250))
    paid = await counter.pay(4250)
    refund = await counter.pay(4250, _T.REFUND, original=paid)
    assert (refund.state, refund.proof) == (State.FAILED, Proof.NEVER_SENT)


@at_a_counter()
async def test_what_failed_and_is_not_listed_never_was(counter: Counter) -> None:
    counter.cloud.terminal = there.ends("FAILED")
    failed = await counter.pay()
    assert (failed.state, failed.proof) == (State.FAILED, Proof.ABSENT_AT_PEER)
    assert failed.ended_at is not None
    assert 12_000 < failed.ended_at - failed.created_at < 30_000, "once it would be listed"


# --- follow-ups -----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["rest", "bridge"])
@pytest.mark.parametrize(
    ("first", "kind"),
    [(_T.PURCHASE, _T.REVERSAL), (_T.PREAUTH, _T.REVERSAL), (_T.PURCHASE, _T.REFUND)],
)
def test_what_was_paid_is_given_back(
    way: str, first: TransactionType, kind: TransactionType
) -> None:
    @at_a_counter(follow_ups=way)
    async def scenario(counter: Counter) -> None:
        paid = await counter.pay(4250, first)
        assert paid.outcome is not None
        called = paid.outcome.handle["transaction_id"]
        minor = 4250 if kind is _T.REVERSAL else 1000
        back = await counter.pay(minor, kind, original=paid)
        assert (back.state, back.approved_amount) == (State.APPROVED, minor)
        assert back.peer["original"] == called
        if way == "bridge":
            assert counter.cloud.orders[-1].members["transactionId"] == called
        else:
            assert len(counter.cloud.orders) == 1
        assert (counter.cloud.listed[called]["status"] == "VOIDED") is (kind is _T.REVERSAL)

    scenario()


@pytest.mark.parametrize("way", ["rest", "bridge"])
def test_a_capture_is_always_of_the_cloud(way: str) -> None:
    @at_a_counter(follow_ups=way)
    async def scenario(counter: Counter) -> None:
        reserved = await counter.pay(4250, _T.PREAUTH)
        first = await counter.pay(1000, _T.CAPTURE, original=reserved)
        second = await counter.pay(500, _T.CAPTURE, original=reserved)
        assert [each.approved_amount for each in (first, second)] == [1000, 500]
        assert len(counter.cloud.of("capture")) == 2
        assert len(counter.cloud.orders) == 1

    scenario()


@at_a_counter()
async def test_a_part_of_a_sale_is_not_reversed(counter: Counter) -> None:
    paid = await counter.pay(4250)
    back = await counter.pay(1000, _T.REVERSAL, original=paid)
    assert (back.state, back.proof) == (State.FAILED, Proof.NEVER_SENT)
    assert not counter.cloud.of("void")


@at_a_counter()
async def test_what_the_processor_declines_is_declined(counter: Counter) -> None:
    paid = await counter.pay(4250)
    counter.cloud.will("refund", there.refuse(400, "PROCESSOR_DECLINED"))
    refund = await counter.pay(1000, _T.REFUND, original=paid)
    assert refund.state is State.DECLINED


# --- beside payments ------------------------------------------------------------------------------


@at_a_counter()
async def test_its_status_is_that_of_the_cloud(counter: Counter) -> None:
    engine = counter.gateway.engine
    status = await engine.status("smartpos-1")
    assert status.reachable
    assert "P61-1" in status.detail
    counter.cloud.devices = [there.device(status="REMOVED")]
    status = await engine.status("smartpos-1")
    assert not status.reachable
    counter.cloud.will("stores", there.refuse(404, "BUSINESS_NOT_FOUND"))
    status = await engine.status("smartpos-1")
    assert not status.reachable
    assert "BUSINESS_NOT_FOUND" in status.detail
