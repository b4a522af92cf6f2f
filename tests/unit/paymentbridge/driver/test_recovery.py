"""What the cloud lists, what its silence proves, and what it does not."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import msgspec
import pytest

from tests.kit.scripted import Asked
from tests.kit.virtual_loop import virtual_loop
from tests.unit.paymentbridge.driver import cloud as there
from tests.unit.paymentbridge.driver.cloud import NEW, OLD, Cloud, Order, device
from tests.unit.paymentbridge.driver.counter import LANE, Counter, at_a_counter
from tillwire.core.model import Evidence, State, Transaction, TransactionType
from tillwire.core.ports import CannotTell
from tillwire.errors import JournalError, Proof

_T = TransactionType


async def silently(cloud: Cloud, order: Order) -> None:
    """It pays, and nobody hears of it but the cloud."""
    await asyncio.sleep(5)
    there.pays(cloud, order)


async def receives(cloud: Cloud, order: Order) -> None:
    """It has got it, and says nothing more."""
    await cloud.sign(order, "RECEIVED")


def seconds_of(transaction: Transaction) -> float:
    assert transaction.ended_at is not None
    return (transaction.ended_at - transaction.created_at) / 1000


# --- what is found --------------------------------------------------------------------------------


@pytest.mark.parametrize("heard", [(), ("RECEIVED",), ("STARTED",), ("RECEIVED", "STARTED")])
@at_a_counter()
async def test_what_callbacks_do_not_tell_the_cloud_is_asked_for(
    counter: Counter, heard: tuple[str, ...]
) -> None:
    async def behave(cloud: Cloud, order: Order) -> None:
        for word in heard:
            await cloud.sign(order, word)
        await silently(cloud, order)

    counter.cloud.terminal = behave
    paid = await counter.pay()
    assert paid.state is State.APPROVED
    assert paid.outcome is not None
    assert paid.outcome.evidence is Evidence.RECOVERED
    assert 14 < seconds_of(paid) < 20


@at_a_counter()
async def test_it_is_found_on_any_page(counter: Counter) -> None:
    counter.cloud.page = 3

    async def behave(cloud: Cloud, order: Order) -> None:
        for number in range(10):
            other = {"type": "CUSTOM", "customType": "referenceId", "id": f"other {number}"}
            cloud.enter(**cloud.sale(order, references=[other]))
        there.pays(cloud, order)

    counter.cloud.terminal = behave
    assert (await counter.pay()).state is State.APPROVED
    assert len(counter.cloud.of("list")) == 4


@at_a_counter()
async def test_an_order_that_is_listed_as_open_is_waited_for(counter: Counter) -> None:
    async def behave(cloud: Cloud, order: Order) -> None:
        entry = cloud.enter(**cloud.sale(order, status="CREATED"))
        await asyncio.sleep(120)
        entry["status"] = "CAPTURED"

    counter.cloud.terminal = behave
    paid = await counter.pay()
    assert paid.state is State.APPROVED
    assert paid.peer["received"] == "list"


@at_a_counter()
async def test_a_sale_that_its_store_captures_is_found_once(counter: Counter) -> None:
    async def behave(cloud: Cloud, order: Order) -> None:
        made = cloud.enter(
            **cloud.sale(order, action="AUTHORIZE", status="AUTHORIZED", authOnly=False)
        )
        child = cloud.sale(order, action="CAPTURE", parentId=made["id"], references=[])
        cloud.enter(**child)

    counter.cloud.terminal = behave
    paid = await counter.pay()
    assert (paid.state, paid.approved_amount) == (State.APPROVED, 4250)


@at_a_counter()
async def test_a_refund_on_the_terminal_is_found(counter: Counter) -> None:
    counter.cloud.terminal = there.in_turn(there.approves, silently)
    await counter.pay()
    refund = await counter.pay(1000, _T.REFUND)
    assert (refund.state, refund.approved_amount) == (State.APPROVED, 1000)


# --- what is not ----------------------------------------------------------------------------------


@at_a_counter()
async def test_a_terminal_that_always_tells_and_is_silent_has_not_got_it(
    counter: Counter,
) -> None:
    counter.cloud.terminal = there.in_turn(there.approves, there.ignores, there.approves)
    await counter.pay()
    failed = await counter.pay()
    assert (failed.state, failed.proof) == (State.FAILED, Proof.ABSENT_AT_PEER)
    assert seconds_of(failed) > 30 + 25 + 10, "ttl, margin and settling"
    assert seconds_of(failed) < 90
    assert len(counter.cloud.of("stores")) == 1
    assert (await counter.pay()).state is State.APPROVED
    assert len(counter.cloud.of("stores")) == 2, "what stands there is asked for anew"


@at_a_counter()
async def test_the_silence_of_a_device_that_never_told_proves_nothing(counter: Counter) -> None:
    """Old versions of Payment Bridge tell no RECEIVED."""
    counter.cloud.terminal = there.ignores
    lost = await counter.lost(await counter.order())
    assert (await counter.ended(lost, 3000)).state is State.UNKNOWN


@at_a_counter()
async def test_a_device_whose_last_words_got_lost_is_not_taken_for_silent(
    counter: Counter,
) -> None:
    """Its callbacks do not come any more: the last payment was found in the list."""
    counter.cloud.terminal = there.in_turn(there.approves, silently, _slowly)
    await counter.pay()
    assert (await counter.pay()).peer["received"] == "list"
    order = await counter.order()
    assert (await counter.ended(order)).state is State.APPROVED
    assert not counter.discrepancies()


@at_a_counter()
async def test_what_was_told_at_another_address_says_nothing_of_this_one(
    counter: Counter,
) -> None:
    counter.cloud.terminal = there.in_turn(there.approves, _slowly)
    await counter.pay()
    lane = counter.gateway.engine.estate.terminals[LANE]
    nobody = dict(lane.settings) | {"callback_url": "http://127.0.0.1:1/moved"}
    moved = msgspec.structs.replace(lane, settings=nobody)
    await counter.gateway.engine.change_estate(lambda unit: unit.put(moved))
    order = await counter.order()
    assert (await counter.ended(order)).state is State.APPROVED


@at_a_counter()
async def test_what_one_device_told_says_nothing_of_another(counter: Counter) -> None:
    counter.cloud.terminal = there.in_turn(there.approves, there.ignores)
    await counter.pay()
    counter.cloud.devices.append(device("P61-2", deviceId=NEW, activatedAt="2026-03-01T00:00:00Z"))
    await asyncio.sleep(400)
    lost = await counter.lost(await counter.order())
    assert lost.peer["device"] == NEW


@at_a_counter(missing_received="never")
async def test_silence_proves_nothing_where_the_settings_say_so(counter: Counter) -> None:
    counter.cloud.terminal = there.in_turn(there.approves, there.ignores)
    await counter.pay()
    await counter.lost(await counter.order())


@at_a_counter(missing_received="always")
async def test_silence_proves_it_where_the_settings_say_so(counter: Counter) -> None:
    counter.cloud.terminal = there.ignores
    failed = await counter.pay()
    assert (failed.state, failed.proof) == (State.FAILED, Proof.ABSENT_AT_PEER)


@at_a_counter()
async def test_who_was_not_there_has_not_heard_nothing(counter: Counter) -> None:
    """The gateway was restarted, and RECEIVED may have come meanwhile."""
    counter.cloud.terminal = there.in_turn(there.approves, there.ignores)
    await counter.pay()
    order = await counter.order()
    await asyncio.sleep(5)
    await counter.restart()
    assert (await counter.ended(order, 3000)).state is State.UNKNOWN


async def _garbles(cloud: Cloud, order: Order) -> None:
    """Its RECEIVED cannot be read."""
    assert await cloud.tell(order, {"status": "RECEIVED"}) == 400
    await _slowly(cloud, order)


async def _finds_no_room(cloud: Cloud, order: Order) -> None:
    """Its RECEIVED is turned away, since the journal fails as long as it tries."""
    for pause in (1.0, 5.5, 10.0):
        await asyncio.sleep(pause)
        assert await cloud.sign(order, "RECEIVED") == 503
    await _slowly(cloud, order)


async def _slowly(cloud: Cloud, order: Order) -> None:
    await asyncio.sleep(90)
    entry = there.pays(cloud, order)
    await cloud.tell(order, cloud.payment(order, entry))


@pytest.mark.parametrize("behave", [_garbles, _finds_no_room])
@at_a_counter()
async def test_a_word_that_was_turned_away_is_no_silence(
    counter: Counter, behave: there.Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter.cloud.terminal = there.in_turn(there.approves, behave)
    await counter.pay()
    order = await counter.order()
    await asyncio.sleep(0.5)

    async def full(work: Any) -> Any:
        raise JournalError("The disk is full.")

    if behave is _finds_no_room:
        with monkeypatch.context() as patch:
            patch.setattr(counter.gateway.journal, "commit", full)
            await asyncio.sleep(20)
    ended = await counter.ended(order)
    assert (ended.state, ended.approved_amount) == (State.APPROVED, 4250)
    assert not counter.discrepancies()


@pytest.mark.parametrize("word", ["RECEIVED", "STARTED"])
@at_a_counter()
async def test_what_was_got_is_never_absent(counter: Counter, word: str) -> None:
    async def behave(cloud: Cloud, order: Order) -> None:
        await cloud.sign(order, word)

    counter.cloud.terminal = there.in_turn(there.approves, behave)
    await counter.pay()
    lost = await counter.lost(await counter.order())
    assert (await counter.ended(lost, 20_000)).state is State.UNKNOWN
    assert "needs_person" in counter.events(lost)
    doubt = counter.gateway.engine.doubt_of(lost.id)
    assert doubt is not None


@at_a_counter()
async def test_what_was_listed_once_is_never_absent(counter: Counter) -> None:
    async def behave(cloud: Cloud, order: Order) -> None:
        entry = cloud.enter(**cloud.sale(order, status="CREATED"))
        await asyncio.sleep(30)
        del cloud.listed[entry["id"]]

    counter.cloud.terminal = there.in_turn(there.approves, behave)
    await counter.pay()
    await counter.lost(await counter.order())


@at_a_counter(over_after_seconds=300.0)
async def test_after_the_time_that_the_shop_vouches_for_it_is_absent(counter: Counter) -> None:
    counter.cloud.terminal = receives
    failed = await counter.pay()
    assert (failed.state, failed.proof) == (State.FAILED, Proof.ABSENT_AT_PEER)
    assert 310 < seconds_of(failed) < 330


UNREACHABLE = {
    "refused": there.refuse(403, "UNAUTHORIZED_ACCESS"),
    "broken": there.refuse(500, "INTERNAL_ERROR"),
    "vanished": there.vanish,
    "nonsense": there.answer(200, b"<html>"),
    "no list": there.answer(200, {"count": 0}),
    "unreadable": there.answer(200, {"transactions": [{"id": "x", "status": []}]}),
    "another host": there.answer(
        200,
        {"transactions": [], "links": [{"rel": "next", "href": "https://evil.example/"}]},
    ),
}


@pytest.mark.parametrize("name", UNREACHABLE)
@at_a_counter(missing_received="always")
async def test_a_list_that_cannot_be_read_proves_nothing(counter: Counter, name: str) -> None:
    counter.cloud.terminal = there.ignores
    counter.cloud.will("list", *[UNREACHABLE[name]] * 60)
    lost = await counter.lost(await counter.order())
    assert (await counter.ended(lost, 100)).state is State.UNKNOWN
    counter.cloud.script["list"].clear()
    ended = await counter.ended(lost, 100)
    assert ended.proof is Proof.ABSENT_AT_PEER


@at_a_counter(missing_received="always")
async def test_what_moved_up_between_two_pages_is_not_absent(counter: Counter) -> None:
    """A transaction before ours is gone from the list when its second page is asked for."""
    cloud, begun = counter.cloud, virtual_loop().time()
    cloud.page = 3

    async def behave(cloud: Cloud, order: Order) -> None:
        for number in range(3):
            other = {"type": "CUSTOM", "customType": "referenceId", "id": f"other {number}"}
            cloud.enter(**cloud.sale(order, references=[other]))
        await asyncio.sleep(65)
        entry = cloud.enter(**cloud.sale(order, status="CREATED"))
        cloud.enter(**cloud.sale(order, references=[]))
        await asyncio.sleep(30)
        entry["status"] = "CAPTURED"

    async def shift(cloud: Cloud, asked: Asked) -> Any:
        reply = await there.USUALLY["list"](cloud, asked)
        if virtual_loop().time() - begun > 66 and len(cloud.listed) == 5:
            del cloud.listed[next(iter(cloud.listed))]
        return reply

    cloud.terminal = behave
    cloud.will("list", *[shift] * 100)
    paid = await counter.pay()
    assert (paid.state, paid.proof) == (State.APPROVED, None)


@at_a_counter(missing_received="always")
async def test_a_list_without_end_proves_nothing(counter: Counter) -> None:
    async def endless(cloud: Cloud, asked: Asked) -> Any:
        offset = int(asked.query.get("startOffset", 0)) + 100
        href = f"{asked.path}?startAt=0&limit=100&startOffset={offset}"
        body = {"transactions": [], "links": [{"rel": "next", "href": href}]}
        return await there.answer(200, body)(cloud, asked)

    counter.cloud.terminal = there.ignores
    counter.cloud.will("list", *[endless] * 100_000)
    await counter.lost(await counter.order())


@at_a_counter(missing_received="always")
async def test_a_page_that_leads_back_to_itself_proves_nothing(counter: Counter) -> None:
    async def circle(cloud: Cloud, asked: Asked) -> Any:
        href = f"{asked.path}?startAt=0"
        body = {"transactions": [], "links": [{"rel": "next", "href": href}]}
        return await there.answer(200, body)(cloud, asked)

    counter.cloud.terminal = there.ignores
    counter.cloud.will("list", *[circle] * 100_000)
    await counter.lost(await counter.order())
    assert len(counter.cloud.of("list")) < 200


@at_a_counter()
async def test_what_says_two_things_at_once_is_for_a_person(counter: Counter) -> None:
    async def behave(cloud: Cloud, order: Order) -> None:
        cloud.enter(**cloud.sale(order, voided=True))

    counter.cloud.terminal = behave
    lost = await counter.lost(await counter.order())
    assert (await counter.ended(lost, 20_000)).state is State.UNKNOWN
    assert "needs_person" in counter.events(lost)


# --- restarts -------------------------------------------------------------------------------------


@at_a_counter()
async def test_a_payment_outlives_the_gateway(counter: Counter) -> None:
    order = await counter.order()
    await asyncio.sleep(2)  # it is STARTED, and not paid yet
    await counter.restart()
    ended = await counter.ended(order, 60)
    assert ended.state is State.APPROVED


@at_a_counter()
async def test_what_has_no_reference_in_the_journal_was_never_sent(counter: Counter) -> None:
    found = await counter.driver.recover(await counter.order())
    assert getattr(found, "proof", None) is Proof.NEVER_SENT


@at_a_counter()
async def test_questions_come_slower_and_slower(counter: Counter) -> None:
    times: list[float] = []

    async def note(cloud: Cloud, asked: Asked) -> Any:
        times.append(virtual_loop().time())
        return await there.USUALLY["list"](cloud, asked)

    counter.cloud.will("list", *[note] * 1000)
    counter.cloud.terminal = receives
    await counter.lost(await counter.order())
    pauses = [round(after - before, 1) for before, after in itertools.pairwise(times)]
    assert pauses[:5] == [2.0, 3.0, 4.5, 6.8, 8.0]
    assert len(times) < 30


# --- behind a router ------------------------------------------------------------------------------


@at_a_counter(callback_url=None)
async def test_where_no_callback_can_come_the_cloud_is_asked(counter: Counter) -> None:
    paid = await counter.pay()
    assert paid.state is State.APPROVED
    (order,) = counter.cloud.orders
    assert "callbackUrl" not in order.members
    assert seconds_of(paid) < 8
    assert not counter.cloud.heard_by_terminals


@at_a_counter(callback_url=None)
async def test_and_its_silence_proves_nothing_then(counter: Counter) -> None:
    counter.cloud.terminal = there.in_turn(there.approves, there.ignores)
    await counter.pay()
    lost = await counter.lost(await counter.order())
    assert (await counter.ended(lost, 20_000)).state is State.UNKNOWN


@at_a_counter(callback_url=None, over_after_seconds=240.0)
async def test_but_for_the_time_that_the_shop_vouches_for(counter: Counter) -> None:
    counter.cloud.terminal = there.ignores
    failed = await counter.pay()
    assert failed.proof is Proof.ABSENT_AT_PEER
    assert seconds_of(failed) > 250


@at_a_counter(callback_url=None)
async def test_a_late_listing_resolves_it(counter: Counter) -> None:
    async def behave(cloud: Cloud, order: Order) -> None:
        await asyncio.sleep(1000)
        there.pays(cloud, order)

    counter.cloud.terminal = behave
    lost = await counter.lost(await counter.order())
    assert (await counter.ended(lost, 2000)).state is State.APPROVED


@at_a_counter()
async def test_recovery_reads_only(counter: Counter) -> None:
    counter.cloud.terminal = receives
    lost = await counter.lost(await counter.order())
    before = len(counter.cloud.orders)
    found = await counter.driver.recover(lost)
    assert isinstance(found, CannotTell)
    assert len(counter.cloud.orders) == before
    assert lost.peer["device"] == OLD


# --- a cloud that stood still ---------------------------------------------------------------------


def stands_still(cloud: Cloud, kind: str, seconds: float) -> None:
    """It answers nothing for 200 seconds. Then it lists at once, and gets to the command of this
    kind that it has in its hands so many seconds later."""
    wakes = virtual_loop().clock.monotonic() + 200

    async def takes(cloud: Cloud, asked: Asked) -> Any:
        await asyncio.sleep(wakes + seconds - asked.at)
        return await there.USUALLY[kind](cloud, asked)

    async def lists(cloud: Cloud, asked: Asked) -> Any:
        await asyncio.sleep(max(0.0, wakes - asked.at))
        return await there.USUALLY["list"](cloud, asked)

    cloud.will(kind, takes)
    cloud.will("list", *[lists] * 1_000)


@at_a_counter()
async def test_a_cloud_that_wakes_up_may_list_before_it_takes_an_order(counter: Counter) -> None:
    async def out_of_reach(cloud: Cloud, order: Order) -> None:
        await asyncio.sleep(25)
        await there.approves(cloud, order)

    counter.cloud.terminal = there.in_turn(there.approves, out_of_reach)
    await counter.pay()
    stands_still(counter.cloud, "message", 2)
    order = await counter.order()
    await counter.lost(order)
    paid = await counter.ended(order)
    assert (paid.state, paid.approved_amount) == (State.APPROVED, 4250)
    assert not counter.discrepancies()


@pytest.mark.parametrize("kind", [_T.REFUND, _T.CAPTURE])
@at_a_counter()
async def test_a_cloud_that_wakes_up_may_list_before_it_carries_out(
    counter: Counter, kind: TransactionType
) -> None:
    sale = await counter.pay(kind=_T.PREAUTH if kind is _T.CAPTURE else _T.PURCHASE)
    stands_still(counter.cloud, kind.lower(), 45)
    order = await counter.order(kind=kind, original=sale)
    await counter.lost(order)
    done = await counter.ended(order)
    assert (done.state, done.approved_amount) == (State.APPROVED, 4250)


@at_a_counter()
async def test_what_a_cloud_that_stood_still_has_lost_is_absent_after_all(
    counter: Counter,
) -> None:
    sale = await counter.pay()
    stands_still(counter.cloud, "refund", 10_000)
    order = await counter.order(kind=_T.REFUND, original=sale)
    await counter.lost(order)
    failed = await counter.ended(order)
    assert (failed.state, failed.proof) == (State.FAILED, Proof.ABSENT_AT_PEER)
    assert 280 < seconds_of(failed) < 300
