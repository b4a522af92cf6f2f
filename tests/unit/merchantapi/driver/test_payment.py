"""Payments through a MerchantAPI system: what goes over the wire, and how each ending is read."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from tests.kit.virtual_loop import virtual_loop
from tests.unit.merchantapi.driver import system as there
from tests.unit.merchantapi.driver.counter import LANE, SERIAL, Counter, at_a_counter
from tests.unit.merchantapi.driver.system import KEY, LIST
from tillwire import clock
from tillwire.core.entries import Lists
from tillwire.core.errands import Ability
from tillwire.core.model import Evidence, State, Terms, TransactionType
from tillwire.core.ports import AbortResult
from tillwire.core.recovery import CALLED_OFF
from tillwire.dialects.merchantapi.driver import orders
from tillwire.errors import PeerError, Proof
from tillwire.money import Money
from tillwire.net.asgi import Reply

_T = TransactionType


# --- octet for octet ------------------------------------------------------------------------------


@at_a_counter()
async def test_a_payment_octet_for_octet(counter: Counter) -> None:
    paid = await counter.pay(1250)
    assert paid.state is State.APPROVED
    (post,) = counter.system.of("POST")
    name = orders.reference_of(paid.id)
    assert post.path == LIST, "the model's own hyphen stays"
    assert post.body == (
        b'{"type":"PURCHASE","merchant_order_reference":"%s",'
        b'"amount":{"value":12.50,"currency":"EUR"}}' % name.encode()
    )
    told = {key.lower(): value for key, value in post.headers}
    assert told["api-key"] == KEY
    assert told["content-type"] == "application/json"
    assert told["idempotency-key"] == name
    assert told["accept"] == "application/json, application/problem+json"
    gets = counter.system.of("GET")
    assert {each.path for each in gets} == {f"{LIST}/{counter.system.tasks[0].id}"}
    assert {each.body for each in gets} == {b""}
    assert all(each.header("api-key") == KEY for each in gets)


@pytest.mark.parametrize(
    ("minor", "currency", "digits"),
    [(1, "EUR", b"0.01"), (30, "EUR", b"0.30"), (1999, "GBP", b"19.99"), (1200, "JPY", b"1200"),
     (1234, "KWD", b"1.234"), (99_999_999_999, "EUR", b"999999999.99")],
)  # fmt: skip
@at_a_counter()
async def test_amounts_are_exact_in_every_currency(
    counter: Counter, minor: int, currency: str, digits: bytes
) -> None:
    paid = await counter.pay(minor, currency=currency)
    assert (paid.state, paid.approved_amount) == (State.APPROVED, minor)
    assert b'"amount":{"value":%s,' % digits in counter.system.of("POST")[0].body


def test_a_name_there_is_unique_and_leads_back() -> None:
    ids = ["0" * 31, "9" * 31, "1773501362118" + "7" * 18, "1773501362118" + "7" * 17 + "8"]
    names = [orders.reference_of(each) for each in ids]
    assert len(set(names)) == len(ids)
    assert all(len(each) == 22 and each.isalpha() and each.islower() for each in names)
    assert [orders.transaction_of(each) for each in names] == ids
    for stranger in ("", "bill 7", names[0].upper(), names[0][1:], "z" * 22, "ä" * 22):
        assert orders.transaction_of(stranger) == ""


@at_a_counter()
async def test_the_name_is_journaled_before_the_request_leaves_and_the_id_before_it_is_asked_for(
    counter: Counter,
) -> None:
    seen: list[dict[str, str]] = []

    async def look(system: there.System, asked: there.Asked) -> Any:
        (order,) = counter.gateway.transactions()
        seen.append(dict(order.peer))
        usual = there.taken if asked.method == "POST" else there.read
        return await usual(system, asked)

    counter.system.posts.append(look)
    counter.system.gets.append(look)
    paid = await counter.pay()
    listed_at = there.URL.removesuffix("/pos/v1") + LIST
    name = {"merchant_order_reference": orders.reference_of(paid.id), "list": listed_at}
    assert seen == [name, {**name, "id": counter.system.tasks[0].id}]


# --- endings --------------------------------------------------------------------------------------


@at_a_counter()
async def test_an_approval_has_all_that_is_told(counter: Counter) -> None:
    paid = await counter.pay()
    outcome = paid.outcome
    assert outcome is not None
    assert (paid.approved_amount, outcome.evidence) == (1250, Evidence.ANSWER)
    assert (outcome.stan, outcome.brand) == ("055890", "V_PAY")
    assert outcome.handle == {"id": counter.system.tasks[0].id}
    done = datetime.fromisoformat(counter.system.tasks[0].told["transaction_datetime"])
    assert outcome.at == clock.instant(done)
    assert outcome.receipts is not None
    assert outcome.receipts.cardholder.split("\n")[:3] == [
        "HARBOUR BOOKS", "CARD ************1111", "PAYMENT ACCEPTED",
    ]  # fmt: skip
    assert outcome.receipts.merchant == "MERCHANT\nPAYMENT ACCEPTED"


@pytest.mark.parametrize("status", ["AUTHORIZED", "CLEARED"])
@at_a_counter()
async def test_approved_is_paid_before_and_after_it_is_cleared(
    counter: Counter, status: str
) -> None:
    counter.system.terminal = there.ends(status, "APPROVED")
    assert (await counter.pay()).state is State.APPROVED


@at_a_counter()
async def test_declined_and_cancelled_are_told_apart_by_the_result(counter: Counter) -> None:
    counter.system.terminal = there.ends("CANCELLED", "DECLINED")
    declined = await counter.pay()
    counter.system.terminal = there.ends("CANCELLED", None)
    stopped = await counter.pay()
    assert (declined.state, stopped.state) == (State.DECLINED, State.CANCELLED)
    assert declined.outcome is not None
    assert stopped.outcome is not None
    assert "bank" in declined.outcome.reason
    assert stopped.outcome.reason == "It was cancelled at the terminal."


@pytest.mark.parametrize(
    ("told", "moved", "tip"),
    [
        ({"value": 6.25, "currency": "EUR"}, 625, 0),
        ({"value": 13.75, "currency": "EUR"}, 1375, 125),
    ],
)
@at_a_counter()
async def test_what_was_really_approved_counts_where_it_is_told(
    counter: Counter, told: there.Json, moved: int, tip: int
) -> None:
    counter.system.terminal = there.ends("CLEARED", "APPROVED", approved_amount=told)
    paid = await counter.pay()
    assert paid.outcome is not None
    assert (paid.state, paid.approved_amount, paid.outcome.tip) == (State.APPROVED, moved, tip)


@at_a_counter()
async def test_a_payment_that_another_till_replaces_is_cancelled(counter: Counter) -> None:
    counter.system.polls = False
    order = await counter.named(await counter.order())
    await asyncio.sleep(20)
    other = json.dumps({"type": "PURCHASE", "merchant_order_reference": "inv2112280004",
                        "amount": {"value": 98.75, "currency": "EUR"}}).encode()  # fmt: skip
    counter.system.take(there.Asked("POST", LIST, {}, [], other, 0))
    ended = await counter.ended(order, 10)
    assert ended.state is State.CANCELLED
    assert ended.outcome is not None
    assert "replaced by a newer one" in ended.outcome.reason
    counter.system.polls = True
    assert (await counter.pay()).state is State.APPROVED, "the terminal is free again"


# --- refunds --------------------------------------------------------------------------------------


@at_a_counter()
async def test_a_refund_names_its_purchase(counter: Counter) -> None:
    paid = await counter.pay(1250)
    back = await counter.pay(450, _T.REFUND, original=paid)
    assert (back.state, back.approved_amount) == (State.APPROVED, 450)
    assert counter.system.of("POST")[1].body == (
        b'{"type":"REFUND","merchant_order_reference":"%s",'
        b'"amount":{"value":4.50,"currency":"EUR"},"reference":{"id":"%s"}}'
        % (orders.reference_of(back.id).encode(), counter.system.tasks[0].id.encode())
    )


@at_a_counter()
async def test_a_refund_without_a_purchase_has_no_reference(counter: Counter) -> None:
    back = await counter.pay(450, _T.REFUND)
    assert back.state is State.APPROVED
    assert "reference" not in json.loads(counter.system.of("POST")[0].body)


@at_a_counter()
async def test_what_source_004_lacks_is_not_sent(counter: Counter) -> None:
    failed = await counter.pay(1250, terms=Terms(cash_back=500))
    assert (failed.state, failed.proof) == (State.FAILED, Proof.NEVER_SENT)
    told = counter.driver.capabilities
    assert told.types == {_T.PURCHASE, _T.REFUND}
    assert (told.abort, told.pull, told.lists) == (True, False, Lists.WHOLE)
    assert (told.outcome_within, told.send_within) == (300, 10)
    assert told.errands == {Ability.LAST}
    assert counter.system.heard == []


# --- the pace -------------------------------------------------------------------------------------


@at_a_counter(cancel_after_seconds=0)
async def test_the_pause_between_questions_grows_up_to_its_limit(counter: Counter) -> None:
    counter.system.terminal = there.ends("CLEARED", "APPROVED", after=60)
    await counter.pay()
    times = [each.at for each in counter.system.of("GET")]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert [round(gap, 1) for gap in gaps[:5]] == [1.9, 2.3, 2.9, 3.7, 4.6]
    assert {round(gap, 1) for gap in gaps[6:]} == {5.0}


# --- calling off ----------------------------------------------------------------------------------


@at_a_counter()
async def test_what_no_terminal_has_fetched_can_be_called_off(counter: Counter) -> None:
    counter.system.polls = False
    order = await counter.named(await counter.order())
    assert await counter.gateway.engine.abort(order.id) is AbortResult.ABORTED
    ended = await counter.ended(order, 1)
    assert ended.state is State.CANCELLED
    (delete,) = counter.system.of("DELETE")
    assert (delete.path, delete.body) == (f"{LIST}/{counter.system.tasks[0].id}", b"")


@at_a_counter()
async def test_what_waits_at_a_terminal_that_was_swapped_can_be_called_off(
    counter: Counter,
) -> None:
    counter.system.polls = False
    order = await counter.named(await counter.order())
    await counter.swap("PL0919CQ00306")
    assert await counter.gateway.engine.abort(order.id) is AbortResult.ABORTED
    (delete,) = counter.system.of("DELETE")
    assert delete.path == f"{LIST}/{counter.system.tasks[0].id}"


@at_a_counter()
async def test_what_its_terminal_has_begun_goes_on(counter: Counter) -> None:
    order = await counter.order()
    await asyncio.sleep(5)
    assert await counter.gateway.engine.abort(order.id) is AbortResult.TOO_LATE
    assert (await counter.ended(order)).state is State.APPROVED


@at_a_counter()
async def test_what_has_no_id_yet_cannot_be_called_off(counter: Counter) -> None:
    async def slow(system: there.System, asked: there.Asked) -> Any:
        await asyncio.sleep(5)
        return await there.taken(system, asked)

    counter.system.posts.append(slow)
    order = await counter.order()
    await asyncio.sleep(1)
    assert await counter.gateway.engine.abort(order.id) is AbortResult.TOO_LATE
    assert counter.system.of("DELETE") == []
    assert (await counter.ended(order)).state is State.APPROVED


async def _done_and_cut(system: there.System, asked: there.Asked) -> Any:
    await there.cancelled(system, asked)
    return await there.cut(system, asked)


@pytest.mark.parametrize(
    ("act", "polls", "result"),
    [
        (_done_and_cut, False, AbortResult.ABORTED),
        (there.cut, False, AbortResult.UNKNOWN),
        (there.answer(500), False, AbortResult.UNKNOWN),
        (there.answer(404), False, AbortResult.UNKNOWN),
        (there.answer(403), False, AbortResult.UNKNOWN),
        (there.silent, False, AbortResult.UNKNOWN),
    ],
)
@at_a_counter(cancel_after_seconds=0)
async def test_a_lost_answer_to_a_cancellation_is_looked_after(
    counter: Counter, act: there.Act, polls: bool, result: AbortResult
) -> None:
    counter.system.polls = polls
    counter.system.deletes.append(act)
    order = await counter.named(await counter.order())
    assert await counter.gateway.engine.abort(order.id) is result
    if result is AbortResult.UNKNOWN:
        counter.system.polls = True
        assert (await counter.ended(order)).state is State.APPROVED, "its own end comes"


@at_a_counter()
async def test_a_terminal_that_is_off_comes_upon_no_old_payment(counter: Counter) -> None:
    """What nobody has fetched for three minutes is called off, until that is answered."""
    counter.system.polls = False
    counter.system.deletes.extend([there.answer(503), there.cut])
    order = await counter.order()
    ended = await counter.ended(order, 240)
    assert ended.state is State.CANCELLED
    first, *_ = counter.system.of("DELETE")
    assert 180 <= first.at - counter.system.of("POST")[0].at < 190
    assert len(counter.system.of("DELETE")) == 3


@pytest.mark.parametrize("loss", ["restart", "answer", "double"])
@at_a_counter()
async def test_nor_does_it_after_a_loss(counter: Counter, loss: str) -> None:
    """Recovery reads only, and has what waits there called off, until that is answered."""
    counter.system.polls = False
    counter.system.deletes.extend([there.answer(503), there.cut])
    if loss != "restart":
        counter.system.posts.append(there.done_then(there.cut))
    order = await counter.order()
    if loss == "restart":
        await counter.named(order)
        await counter.restart()
    await counter.lost(order)
    if loss == "double":
        counter.system.tasks.append(replace(counter.system.tasks[0], id="7301188204417735520"))
    ended = await counter.ended(order, 300)
    assert ended.state is State.CANCELLED
    assert {each.status for each in counter.system.tasks} == {"CANCELLED"}
    first, *others = counter.system.of("DELETE")
    assert 180 <= first.at - counter.system.of("POST")[0].at < 195
    assert len(others) == (3 if loss == "double" else 2), "each until it was answered"
    assert counter.told(order, CALLED_OFF), "before it was asked for"


@at_a_counter(cancel_after_seconds=0)
async def test_what_may_wait_is_not_called_off_after_a_restart_either(counter: Counter) -> None:
    counter.system.polls = False
    order = await counter.named(await counter.order())
    await counter.restart()
    await asyncio.sleep(1_000)
    assert not counter.system.of("DELETE")
    counter.system.polls = True
    assert (await counter.ended(order)).state is State.APPROVED


@at_a_counter()
async def test_what_its_terminal_is_at_goes_on_after_a_restart(counter: Counter) -> None:
    counter.system.terminal = there.ends("CLEARED", "APPROVED", after=250)
    order = await counter.named(await counter.order())
    await asyncio.sleep(20)
    await counter.restart()
    paid = await counter.ended(order)
    assert (paid.state, counter.system.charged) == (State.APPROVED, [12.5])
    assert len(counter.system.of("DELETE")) == 1, "it was asked for, and was too late"


@at_a_counter()
async def test_a_customer_who_takes_long_is_not_called_off(counter: Counter) -> None:
    counter.system.terminal = there.ends("CLEARED", "APPROVED", after=250)
    paid = await counter.pay()
    assert paid.state is State.APPROVED
    assert len(counter.system.of("DELETE")) == 1, "it was asked for, and was too late"


# --- beside payments ------------------------------------------------------------------------------


@at_a_counter()
async def test_the_status_says_what_the_system_knows(counter: Counter) -> None:
    status = await counter.gateway.engine.status(LANE)
    assert (status.reachable, "does not tell whether it polls" in status.detail) == (True, True)
    (asked,) = counter.system.heard
    assert (asked.method, asked.path, asked.query) == ("GET", LIST, {"page": "1", "size": "1"})
    counter.system.lists.append(there.answer(404, {"title": "Not Found", "detail": "No such."}))
    status = await counter.gateway.engine.status(LANE)
    assert (status.reachable, "404 Not Found: No such" in status.detail) == (False, True)
    counter.key_file.write_text("wrong")
    status = await counter.gateway.engine.status(LANE)
    assert (status.reachable, "403 Forbidden" in status.detail) == (False, True)


@at_a_counter()
async def test_the_last_transaction_is_evidence(counter: Counter) -> None:
    known = await counter.gateway.engine.last_transaction(LANE)
    assert (known.entry, known.trouble) == (None, "")
    paid = await counter.pay()
    known = await counter.gateway.engine.last_transaction(LANE)
    assert known.entry is not None
    assert known.entry.transaction_id == paid.id
    assert known.entry.agrees_with(paid)
    others = there.older(120)
    counter.system.tasks[:0] = others
    counter.system.heard.clear()
    assert await counter.gateway.engine.last_transaction(LANE) == known
    assert len(counter.system.heard) == 1
    counter.system.tasks.reverse()
    assert await counter.gateway.engine.last_transaction(LANE) == known, "though it is listed last"


@at_a_counter()
async def test_a_name_that_is_told_in_capitals_is_ours_in_the_books_too(counter: Counter) -> None:
    paid = await counter.pay()
    asked = counter.system.tasks[0].asked
    asked["merchant_order_reference"] = asked["merchant_order_reference"].upper()
    known = await counter.gateway.engine.last_transaction(LANE)
    assert known.entry is not None
    assert (known.entry.transaction_id, known.entry.reference) == (paid.id, paid.reference)


@at_a_counter()
async def test_the_list_of_a_time_is_told_page_by_page(counter: Counter) -> None:
    counter.system.tasks.extend(there.older(230))
    paid = await counter.pay()
    end = virtual_loop().clock.now() + 1
    begin = type(end)(end - 120 * 60_000)
    found = [each async for each in counter.gateway.engine.entries(LANE, begin, end)]
    assert len(found) == len({each.name for each in found}) == 120
    assert found[0].transaction_id == paid.id
    assert found[0].name == counter.system.tasks[-1].id, "as the system's own pages have it"
    assert Money(found[0].amount or 0, found[0].currency) == paid.amount
    assert {each.words for each in found[1:]} == {"CLEARED APPROVED"}
    pages = [each.query["page"] for each in counter.system.of("GET") if each.path == LIST]
    assert pages == ["1", "2", "3", "4"], "and no further than an hour before"


def _page(*entries: there.Json) -> there.Act:
    async def act(system: there.System, asked: there.Asked) -> Reply:
        return there.page_of(list(entries), asked)

    return act


async def _listed(counter: Counter, terminal: str) -> dict[str, str]:
    """What is told of the terminal, by its name there, and as which of ours."""
    now = virtual_loop().clock.now()
    span = type(now)(now - 3_600_000), type(now)(now + 1)
    told = counter.gateway.engine.entries(terminal, *span)
    return {each.name: each.transaction_id async for each in told}


@at_a_counter()
async def test_what_was_paid_before_a_swap_is_in_the_books_after_it(counter: Counter) -> None:
    """The system lists by device: what ours were sent to is asked, too, for ours alone."""
    earlier, other = there.older(1)[0], there.older(1)[0].told_as()
    paid = await counter.pay()
    counter.system.tasks.insert(0, earlier)
    mine = counter.system.tasks[1].id
    await counter.swap("PL0919CQ00999")
    counter.system.gets.append(_page({**other, "id": "1" * 31}))
    assert await _listed(counter, LANE) == {mine: paid.id, "1" * 31: ""}
    counter.system.gets.append(_page())
    counter.system.lists.append(there.answer(404))
    with pytest.raises(PeerError, match=f"{SERIAL}.* 404"):
        await _listed(counter, LANE)


@at_a_counter()
async def test_what_was_paid_on_a_device_elsewhere_is_not_of_where_it_stands_now(
    counter: Counter,
) -> None:
    paid = await counter.pay()
    counter.system.tasks.extend(there.older(1))
    await counter.swap("PL0919CQ00999")
    here = msgspec.structs.replace(counter.terminal(), id="lane-2", serial=SERIAL, tid="")
    await counter.gateway.engine.change_estate(lambda unit: unit.put(here))
    assert await _listed(counter, here.id) == {counter.system.tasks[1].id: ""}
    known = await counter.gateway.engine.last_transaction(here.id)
    assert known.entry is not None
    assert (known.entry.name, known.known) == (counter.system.tasks[1].id, None)
    counter.system.tasks.pop()
    assert (await counter.gateway.engine.last_transaction(here.id)).entry is None
    counter.system.gets.append(_page())
    assert await _listed(counter, LANE) == {counter.system.tasks[0].id: paid.id}


@at_a_counter()
async def test_books_that_were_kept_by_another_system_are_not_told_of(counter: Counter) -> None:
    await counter.pay()
    moved = counter.driver.settings.url.replace("/pos/v1", "/pos/v2")
    await counter.swap(SERIAL, url=moved)
    counter.system.gets.append(_page())
    with pytest.raises(PeerError, match="another system"):
        await _listed(counter, LANE)


@at_a_counter()
async def test_the_list_of_a_time_has_what_was_created_or_done_in_it(counter: Counter) -> None:
    """Created before midnight, say, which is its day in the journal, and paid after it."""
    counter.system.terminal = there.ends("CLEARED", "APPROVED", after=60)
    order = await counter.named(await counter.order())
    await asyncio.sleep(1)
    begin = virtual_loop().clock.now()
    paid = await counter.ended(order)
    end = type(begin)(begin + 3_600_000)
    found = [each async for each in counter.gateway.engine.entries(LANE, begin, end)]
    assert [each.transaction_id for each in found] == [paid.id]
    earlier = type(begin)(begin - 3_600_000)
    found = [each async for each in counter.gateway.engine.entries(LANE, earlier, begin)]
    assert [each.transaction_id for each in found] == [paid.id]
    later = type(begin)(end + 3_600_000)
    assert [each async for each in counter.gateway.engine.entries(LANE, end, later)] == []
