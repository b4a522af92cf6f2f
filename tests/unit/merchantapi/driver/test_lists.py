"""The terminal's list: what else has our name, what may be ours under another one, and when it is a
proof that a payment is not there."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.kit.virtual_loop import virtual_loop
from tests.unit.merchantapi.driver import system as there
from tests.unit.merchantapi.driver.counter import LANE, Counter, at_a_counter
from tests.unit.merchantapi.driver.system import LIST, Act
from tillwire.clock import Instant
from tillwire.core.entries import Wanted
from tillwire.core.model import State
from tillwire.core.recovery import CALLED_OFF
from tillwire.dialects.merchantapi.driver import cloud, orders
from tillwire.errors import Proof
from tillwire.reconcile.facts import Window
from tillwire.reconcile.results import Kind
from tillwire.reconcile.with_engine import reconcile_journal

# --- the network's doubles ------------------------------------------------------------------------


async def _taken_twice(system: there.System, asked: there.Asked) -> Any:
    """The first answer is passed on, and the double replaces the first one."""
    reply = await there.taken(system, asked)
    system.take(asked)
    return reply


@at_a_counter()
async def test_a_payment_that_its_own_double_replaced_is_found_as_that(counter: Counter) -> None:
    counter.system.posts.append(_taken_twice)
    paid = await counter.pay()
    assert (paid.state, counter.system.charged) == (State.APPROVED, [12.5])
    assert paid.outcome is not None
    assert paid.outcome.handle == {"id": counter.system.tasks[1].id}
    assert paid.peer["id"] == counter.system.tasks[0].id


@at_a_counter()
async def test_a_terminal_that_is_off_comes_upon_no_double_either(counter: Counter) -> None:
    counter.system.polls = False
    counter.system.posts.append(_taken_twice)
    ended = await counter.pay()
    assert ended.state is State.CANCELLED
    assert [each.status for each in counter.system.tasks] == ["CANCELLED", "CANCELLED"]
    called = [each.path.rpartition("/")[2] for each in counter.system.of("DELETE")]
    assert called == [counter.system.tasks[1].id]


@at_a_counter()
async def test_a_double_that_was_declined_is_no_cancellation(counter: Counter) -> None:
    counter.system.posts.append(_taken_twice)
    counter.system.terminal = there.ends("CANCELLED", "DECLINED")
    assert (await counter.pay()).state is State.DECLINED


@pytest.mark.parametrize("result", ["DECLINED", None])
@at_a_counter()
async def test_a_double_s_end_is_not_that_of_what_was_paid_before_it(
    counter: Counter, result: str | None
) -> None:
    """The answer to the first one was lost on the way to who sent it again; its terminal had
    fetched it, and came upon the second one afterwards."""

    async def paid_before(system: there.System, asked: there.Asked) -> Any:
        first = system.take(asked)
        first.fetched = True
        await there.ends("CLEARED", "APPROVED")(system, first)
        return await there.taken(system, asked)

    counter.system.posts.append(paid_before)
    counter.system.terminal = there.ends("CANCELLED", result)
    paid = await counter.pay()
    assert (paid.state, counter.system.charged) == (State.APPROVED, [12.5])
    assert paid.outcome is not None
    assert paid.outcome.handle == {"id": counter.system.tasks[0].id}


@at_a_counter()
async def test_a_cancellation_is_not_believed_before_the_list_was_looked_through(
    counter: Counter,
) -> None:
    counter.system.terminal = there.ends("CANCELLED", None)
    counter.system.lists.extend([there.answer(500)] * 3)
    ended = await counter.pay()
    assert ended.state is State.CANCELLED
    assert len([each for each in counter.system.heard if each.path == LIST]) == 1 + 4


@at_a_counter()
async def test_what_was_paid_twice_is_for_a_person(counter: Counter) -> None:
    async def both(system: there.System, asked: there.Asked) -> Any:
        for _ in range(2):
            task = system.take(asked)
            await there.ends("CLEARED", "APPROVED", after=0)(system, task)
        return await there.cut(system, asked)

    counter.system.posts.append(both)
    order = await counter.order()
    await counter.lost(order)
    words = await counter.for_a_person(order)
    assert "It was paid more than once" in words
    assert all(each.id in words for each in counter.system.tasks)


async def _double_behind_it(system: there.System, asked: there.Asked) -> Any:
    """The terminal fetches the first one; then its double comes, waits behind it, and is the one
    whose answer is lost."""
    first = system.take(asked)
    await asyncio.sleep(5)
    assert first.fetched
    system.take(asked)
    return await there.cut(system, asked)


@pytest.mark.parametrize("seconds", [8, 30, 100])
@at_a_counter()
async def test_a_double_that_waits_is_called_off_before_its_terminal_comes_upon_it(
    counter: Counter, seconds: float
) -> None:
    """Else the same sum is shown to the cardholder once more."""
    counter.system.posts.append(_double_behind_it)
    counter.system.terminal = there.ends("CLEARED", "APPROVED", after=seconds)
    order = await counter.order()
    paid = await counter.ended(order, 200)
    assert (paid.state, counter.system.charged) == (State.APPROVED, [12.5])
    first, double = counter.system.tasks
    assert [first.status, double.status] == ["CLEARED", "CANCELLED"]
    called = {each.path.rpartition("/")[2] for each in counter.system.of("DELETE")}
    assert called == {double.id}
    assert counter.told(order, CALLED_OFF), "before it was asked for"
    await asyncio.sleep(300)
    assert counter.system.charged == [12.5]


@at_a_counter()
async def test_what_is_left_of_it_is_called_off_in_its_time(counter: Counter) -> None:
    """Two wait at a terminal that is off: the newer one goes at once, the other after as long as
    any payment."""

    async def both(system: there.System, asked: there.Asked) -> Any:
        first = system.take(asked)
        await asyncio.sleep(1)
        system.take(asked)
        first.status = "CREATED"
        return await there.cut(system, asked)

    counter.system.polls = False
    counter.system.posts.append(both)
    order = await counter.order()
    ended = await counter.ended(order, 300)
    assert ended.state is State.CANCELLED
    first, double = counter.system.tasks
    sent = counter.system.of("POST")[0].at
    called = [
        (each.path.rpartition("/")[2], each.at - sent) for each in counter.system.of("DELETE")
    ]
    assert [name for name, _ in called] == [double.id, first.id]
    assert called[0][1] < 20
    assert called[1][1] > 180


@at_a_counter()
async def test_one_that_could_not_be_called_off_keeps_no_other_from_it(counter: Counter) -> None:
    """The terminal fetched the double, and not the first one, which waits until that is paid."""

    async def fetched_last(system: there.System, asked: there.Asked) -> Any:
        first = system.take(asked)
        await asyncio.sleep(1)
        double = system.take(asked)
        first.status = "CREATED"
        await asyncio.sleep(20)
        assert double.fetched
        return await there.cut(system, asked)

    counter.system.posts.append(fetched_last)
    counter.system.terminal = there.ends("CLEARED", "APPROVED", after=30)
    counter.system.pauses = 15
    order = await counter.order()
    paid = await counter.ended(order, 200)
    assert (paid.state, counter.system.charged) == (State.APPROVED, [12.5])
    first, double = counter.system.tasks
    assert [first.status, double.status] == ["CANCELLED", "CLEARED"]


@at_a_counter()
async def test_a_double_that_waits_behind_what_nobody_can_read_is_called_off(
    counter: Counter,
) -> None:
    """Perhaps that was paid."""
    counter.system.posts.append(_double_behind_it)
    counter.system.terminal = there.ends("CANCELLED", "APPROVED", after=1)
    counter.system.pauses = 4
    order = await counter.order()
    await counter.lost(order)
    counter.system.pauses = 60
    await asyncio.sleep(120)
    first, double = counter.system.tasks
    assert (first.fetched, double.fetched) == (True, False)
    assert double.status == "CANCELLED"
    assert "CANCELLED with APPROVED" in await counter.for_a_person(order)


@at_a_counter()
async def test_two_of_the_same_moment_are_both_left_to_the_terminal(counter: Counter) -> None:
    """Nobody can tell which of them it has fetched."""

    async def at_once(system: there.System, asked: there.Asked) -> Any:
        first = system.take(asked)
        system.take(asked).at = first.at
        first.status = "CREATED"
        return await there.cut(system, asked)

    counter.system.polls = False
    counter.system.posts.append(at_once)
    order = await counter.order()
    await counter.lost(order)
    await asyncio.sleep(100)
    assert not counter.system.of("DELETE")
    # Later neither is wanted any more, and one that the system fails at is in no other's way.
    counter.system.deletes.extend([there.answer(500), there.cancelled] * 5)
    await asyncio.sleep(100)
    assert [each.status for each in counter.system.tasks] == ["CREATED", "CANCELLED"]


@at_a_counter()
async def test_a_double_that_was_paid_unseen_is_a_difference(counter: Counter) -> None:
    """What was paid behind a payment that ended in good order shows when the books are compared."""

    async def behind(system: there.System, asked: there.Asked) -> Any:
        reply = await there.taken(system, asked)
        await asyncio.sleep(5)
        system.take(asked)
        return reply

    counter.system.posts.append(behind)
    assert (await counter.pay()).state is State.APPROVED
    await asyncio.sleep(60)
    assert counter.system.charged == [12.5, 12.5]
    window = Window(Instant(0), Instant(counter.gateway.clock.now() + 1))
    found = await reconcile_journal(counter.gateway.engine, window, {}, ask_terminals=True)
    assert [each.kind for each in found.report.differences] == [Kind.DUPLICATE]


# --- absence --------------------------------------------------------------------------------------


@at_a_counter()
async def test_what_the_whole_list_does_not_have_has_failed_after_a_while(counter: Counter) -> None:
    counter.system.tasks.extend(there.older(7))
    counter.system.posts.append(there.cut)
    order = await counter.order()
    await counter.lost(order)
    await asyncio.sleep(95)
    assert (await counter.now(order)).state is State.UNKNOWN, "it may still arrive"
    failed = await counter.ended(order, 60)
    assert (failed.state, failed.proof) == (State.FAILED, Proof.ABSENT_AT_PEER)
    assert failed.send_by is not None
    assert failed.ended_at is not None
    assert failed.ended_at - failed.send_by >= 90_000


@at_a_counter()
async def test_what_comes_late_into_the_list_is_found(counter: Counter) -> None:
    async def late(system: there.System, asked: there.Asked) -> Any:
        await asyncio.sleep(80)
        return await there.taken(system, asked)

    counter.system.posts.append(late)
    order = await counter.order()
    await counter.lost(order)
    paid = await counter.ended(order)
    assert (paid.state, counter.system.charged) == (State.APPROVED, [12.5])


@at_a_counter()
async def test_a_system_that_wakes_up_may_list_before_it_takes(counter: Counter) -> None:
    """It stood still with the payment in its hands, for longer than anybody waits. Now it does all
    that has come meanwhile, in no order."""
    wakes = virtual_loop().clock.monotonic() + 200

    async def takes(system: there.System, asked: there.Asked) -> Any:
        await asyncio.sleep(wakes + 2 - asked.at)
        return await there.taken(system, asked)

    async def lists(system: there.System, asked: there.Asked) -> Any:
        await asyncio.sleep(max(0.0, wakes - asked.at))
        return await there.listed(system, asked)

    counter.system.posts.append(takes)
    counter.system.lists.extend([lists] * 1_000)
    order = await counter.order()
    await counter.lost(order)
    paid = await counter.ended(order)
    assert (paid.state, counter.system.charged) == (State.APPROVED, [12.5])


async def _ignoring_pages(system: there.System, asked: there.Asked) -> Any:
    asked.query.update(page="1")
    return await there.listed(system, asked)


async def _too_few(system: there.System, asked: there.Asked) -> Any:
    entries = [each.told_as() for each in reversed(system.tasks)]
    return there.page_of(entries, asked, len(entries) + 1)


async def _unordered(system: there.System, asked: there.Asked) -> Any:
    """Its list begins with the oldest, and the last page fails."""
    if asked.query["page"] == "3":
        return there.problem(500, "Internal Server Error")
    return there.page_of([each.told_as() for each in system.tasks], asked)


async def _without_times(system: there.System, asked: there.Asked) -> Any:
    if asked.query["page"] == "3":
        return there.problem(500, "Internal Server Error")
    entries = [each.told_as() for each in reversed(system.tasks)]
    return there.page_of([{**each, "creation_datetime": "?"} for each in entries], asked)


@pytest.mark.parametrize(
    "act",
    [_ignoring_pages, _too_few, _unordered, _without_times, there.cut, there.silent,
     there.answer(200, b"[]"), there.answer(200, {}, [(b"x-total-count", b"0")]),
     there.answer(200, b"[7]", [(b"x-total-count", b"1")]),
     there.answer(200, b"[]", [(b"x-total-count", b"none")]),
     there.answer(200, b"[]", [(b"x-total-count", b"0"), (b"x-total-count", b"9")]),
     there.answer(200, [{"id": "1"}], [(b"x-total-count", b"0")]),
     there.answer(404), there.answer(403), there.answer(200, b" " * ((1 << 20) + 1))],
)  # fmt: skip
@at_a_counter(clock_seconds=86_400)
async def test_a_list_that_is_not_whole_proves_nothing(counter: Counter, act: Act) -> None:
    counter.system.tasks.extend(there.older(120))
    counter.system.posts.append(there.cut)
    counter.system.lists.extend([act] * 10_000)
    order = await counter.order()
    await counter.lost(order)
    await asyncio.sleep(400)
    assert (await counter.now(order)).state is State.UNKNOWN
    counter.system.lists.clear()
    assert (await counter.ended(order, 60)).proof is Proof.ABSENT_AT_PEER


# --- entries that cannot be read ------------------------------------------------------------------


def _with(*rows: Any, behind: int = 0) -> Act:
    """Its list has these, too, behind so many of its newest."""

    async def act(system: there.System, asked: there.Asked) -> Any:
        entries = [each.told_as() for each in reversed(system.tasks)]
        return there.page_of([*entries[:behind], *rows, *entries[behind:]], asked)

    return act


@at_a_counter()
async def test_one_that_cannot_be_read_does_not_hide_what_was_paid(counter: Counter) -> None:
    counter.system.lists.extend([_with({"id": 7})] * 1_000)
    counter.system.posts.append(there.done_then(there.cut))
    order = await counter.order()
    await counter.lost(order)
    assert (await counter.ended(order)).state is State.APPROVED


@pytest.mark.parametrize("result", ["DECLINED", None, "lost"])
@at_a_counter(clock_seconds=60)
async def test_one_that_cannot_be_read_may_be_a_double_that_was_paid(
    counter: Counter, result: str | None
) -> None:
    """So neither a cancellation nor an absence is believed, but in a list that has it no more, or
    behind older ones."""
    counter.system.tasks.extend(there.older(120))
    counter.system.terminal = there.ends("CANCELLED", result)
    counter.system.lists.extend([_with(7)] * 1_000)
    if result == "lost":
        counter.system.posts.append(there.cut)
    order = await counter.order()
    await counter.lost(order)
    await asyncio.sleep(300)
    assert "1 of its list cannot be read" in counter.doubts(order)
    counter.system.lists.clear()
    counter.system.lists.extend([_with(7, behind=3)] * 1_000)
    ended = await counter.ended(order, 60)
    expected = {"DECLINED": State.DECLINED, None: State.CANCELLED, "lost": State.FAILED}
    assert ended.state is expected[result]


@at_a_counter()
async def test_one_that_cannot_be_read_for_long_is_for_a_person(counter: Counter) -> None:
    counter.system.lists.extend([_with(7)] * 1_000)
    counter.system.terminal = there.ends("CANCELLED", "DECLINED")
    order = await counter.order()
    await counter.lost(order)
    assert "1 of its list cannot be read" in await counter.for_a_person(order)


@at_a_counter()
async def test_one_that_cannot_be_read_is_said_behind_the_books(counter: Counter) -> None:
    counter.system.tasks.extend(there.older(70))
    paid = await counter.pay()
    wanted = Wanted(begin=paid.created_at, end=Instant(paid.created_at + 60_000))
    for behind, words in ((0, "1 of its list cannot be read"), (65, "")):
        counter.system.lists.extend([_with(7, behind=behind)] * 2)
        found = await counter.gateway.engine.transactions(LANE, wanted)
        assert [each.transaction_id for each in found.entries] == [paid.id]
        assert words in found.trouble
        assert bool(words) == bool(found.trouble)
        counter.system.lists.clear()
    counter.system.lists.append(_with(7))
    known = await counter.gateway.engine.last_transaction(LANE)
    assert (known.entry, "cannot be read" in known.trouble) == (None, True)


@at_a_counter(clock_seconds=86_400)
async def test_a_list_is_read_to_its_end_if_one_of_it_is_met_twice(counter: Counter) -> None:
    """A new one comes while it is read, so what cannot be read moves to the next page."""
    counter.system.posts.append(there.done_then(there.cut))
    order = await counter.order()
    mine = counter.system.tasks

    async def moving(system: there.System, asked: there.Asked) -> Any:
        first = asked.query["page"] == "1"
        others = [each.told_as() for each in reversed(there.older(98))]
        rows = [*([] if first else [{**others[0], "id": "9"}]), *others[:49], 7, *others[49:]]
        return there.page_of([*rows, *(each.told_as() for each in mine)], asked, 100)

    counter.system.lists.extend([moving] * 1_000)
    await counter.lost(order)
    assert (await counter.ended(order)).state is State.APPROVED


# --- names that the system has changed ------------------------------------------------------------


def _renamed(name: str | None, act: Act | None = None) -> Act:
    """Take it under another name: source 004 does not say how long one may be."""

    async def taken(system: there.System, asked: there.Asked) -> Any:
        task = system.take(asked)
        told = task.asked["merchant_order_reference"]
        task.asked["merchant_order_reference"] = told[:14] if name is None else name
        if act is not None:
            return await act(system, asked)
        return await there.answer(201, task.told_as())(system, asked)

    return taken


@pytest.mark.parametrize("name", [None, "", "order 7"])
@pytest.mark.parametrize("act", [None, there.cut])
@at_a_counter()
async def test_what_is_listed_under_another_name_has_not_failed(
    counter: Counter, name: str | None, act: Act | None
) -> None:
    counter.system.posts.append(_renamed(name, act))
    order = await counter.order()
    words = await counter.for_a_person(order)
    assert counter.system.charged == [12.5]
    assert counter.system.tasks[0].id in words
    assert len(counter.system.of("POST")) == 1


@at_a_counter()
async def test_what_the_system_says_to_have_taken_has_not_failed(counter: Counter) -> None:
    """And yet its list has nothing that could be it."""
    named = {"merchant_order_reference": "order 7", "amount": {"value": 1, "currency": "EUR"}}
    counter.system.posts.append(there.answer(201, {**named, "id": "42", "status": "CREATED"}))
    order = await counter.order()
    lost = await counter.lost(order)
    assert "id" not in lost.peer
    assert "as 42" in await counter.for_a_person(order)


def _listed(changes: there.Json, *, ago: float) -> there.Task:
    """What another till has paid a while before."""
    (task,) = there.older(1, apart=ago)
    task.asked |= {"amount": {"value": 12.5, "currency": "EUR"}, **changes}
    return task


@pytest.mark.parametrize(
    ("changes", "ago"),
    [({}, 20), ({"amount": 12.5}, 20), ({"merchant_order_reference": ["a"]}, 20)],
)
@at_a_counter()
async def test_what_may_be_it_under_another_name_is_for_a_person(
    counter: Counter, changes: there.Json, ago: float
) -> None:
    counter.system.tasks.append(_listed(changes, ago=ago))
    counter.system.posts.append(there.cut)
    order = await counter.order()
    assert counter.system.tasks[0].id in await counter.for_a_person(order)


@pytest.mark.parametrize(
    ("changes", "ago"),
    [({}, 400), ({"type": "REFUND"}, 20), ({"amount": {"value": 12.51, "currency": "EUR"}}, 20),
     ({"merchant_order_reference": orders.reference_of("1773501362118" + "7" * 18)}, 20)],
)  # fmt: skip
@at_a_counter()
async def test_what_cannot_be_it_is_not_in_the_way(
    counter: Counter, changes: there.Json, ago: float
) -> None:
    """It is older, of another kind or amount, or has the name of another one of ours."""
    counter.system.tasks.append(_listed(changes, ago=ago))
    counter.system.posts.append(there.cut)
    assert (await counter.pay()).proof is Proof.ABSENT_AT_PEER


@at_a_counter()
async def test_a_list_that_changes_while_it_is_read_proves_nothing(counter: Counter) -> None:
    """Entries vanish from a page that was read, so others move past the next one."""
    counter.system.tasks.extend(there.older(300, apart=3))
    counter.system.posts.append(there.cut)

    async def shrinking(system: there.System, asked: there.Asked) -> Any:
        reply = await there.listed(system, asked)
        if asked.at < 150 and asked.query["page"] == "1":
            del system.tasks[-1]
        return reply

    counter.system.lists.extend([shrinking] * 1_000)
    order = await counter.order()
    await counter.lost(order)
    await asyncio.sleep(125)
    assert (await counter.now(order)).state is State.UNKNOWN
    assert "list changed while it was read" in counter.doubts(order)
    assert (await counter.ended(order)).proof is Proof.ABSENT_AT_PEER


@at_a_counter(clock_seconds=86_400)
async def test_a_list_without_end_proves_nothing(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud, "MOST_PAGES", 2)
    counter.system.tasks.extend(there.older(120))
    counter.system.posts.append(there.cut)
    order = await counter.order()
    await counter.lost(order)
    await asyncio.sleep(200)
    assert (await counter.now(order)).state is State.UNKNOWN
    assert "no end within 2 pages" in counter.doubts(order)
    assert {each.query["page"] for each in counter.system.of("GET")} == {"1", "2"}


@at_a_counter()
async def test_an_older_list_is_read_no_further_than_it_must(counter: Counter) -> None:
    counter.system.tasks.extend(there.older(500))
    counter.system.posts.append(there.cut)
    assert (await counter.pay()).proof is Proof.ABSENT_AT_PEER
    assert {each.query["page"] for each in counter.system.of("GET")} == {"1"}


@at_a_counter()
async def test_what_the_system_had_taken_and_does_not_know_is_for_a_person(
    counter: Counter,
) -> None:
    order = await counter.named(await counter.order())
    counter.system.tasks.clear()
    words = await counter.for_a_person(order)
    assert "404" in words
    assert (await counter.now(order)).state is State.UNKNOWN


@at_a_counter()
async def test_an_id_that_is_not_known_any_more_is_looked_for_by_its_name(
    counter: Counter,
) -> None:
    counter.system.posts.append(_taken_twice)
    order = await counter.named(await counter.order())
    del counter.system.tasks[0]
    await counter.lost(order)
    assert (await counter.ended(order, 30)).state is State.APPROVED
    assert counter.system.charged == [12.5]
