"""What may go wrong on the way: what is a proof, what is a doubt, and what resolves it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.kit.faults import Connect, Faults
from tests.kit.virtual_loop import virtual_loop
from tests.unit.merchantapi.driver import system as there
from tests.unit.merchantapi.driver.counter import Counter, at_a_counter
from tests.unit.merchantapi.driver.system import KEY, LIST, PORT, Act, Behaviour
from tillwire.core.model import Evidence, State, TransactionType
from tillwire.dialects.merchantapi.driver import cloud, orders
from tillwire.errors import JournalError, Proof

REFUSALS = [400, 401, 402, 403, 404, 405, 406, 410, 413, 415, 422, 429, 451]
LOST = [301, 302, 307, 308, 408, 425, 499, 500, 502, 503, 504, 599]
GARBAGE = [
    b"", b"{}", b"[]", b"null", b"<html>", b"\xff", b"[" * 100_000, b'{"id":NaN}', b'{"id":"."}',
    b'{"id":"../../stores"}', b'{"id":7}', b'{"id":"1","status":"CLEARED","status":"CREATED"}',
    b'{"id":"1","amount":{"value":1' + b"0" * 5_000 + b'}}', b" " * ((1 << 20) + 1),
]  # fmt: skip
APPROVED = {"status": "CLEARED", "result": "APPROVED"}


# --- the POST -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", REFUSALS)
@at_a_counter()
async def test_a_refused_post_proves_that_nothing_was_taken(counter: Counter, status: int) -> None:
    counter.system.posts.append(there.answer(status, {"title": "No", "detail": "So it is."}))
    failed = await counter.pay()
    assert (failed.state, failed.proof) == (State.FAILED, Proof.REFUSED_BY_PEER)
    reason = counter.gateway.events(failed.id)[-1].detail["reason"]
    assert f"{status} No: So it is" in reason
    assert len(counter.system.heard) == 1, "it is for the till to try again"


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"[" * 100_000, b'{"title":[],"x":1}'])
@at_a_counter()
async def test_a_refusal_without_words_is_one(counter: Counter, body: bytes) -> None:
    counter.system.posts.append(there.answer(400, body))
    assert (await counter.pay()).proof is Proof.REFUSED_BY_PEER


@at_a_counter()
async def test_a_refusal_s_words_show_no_card_number(counter: Counter) -> None:
    counter.system.posts.append(there.answer(400, {"detail": "4111111111111111\n" + "x" * 9_000}))
    failed = await counter.pay()
    reason = str(counter.gateway.events(failed.id)[-1].detail["reason"])
    assert "************1111" in reason
    assert len(reason) < 400


@at_a_counter()
async def test_a_conflict_is_a_refusal_when_nothing_is_listed(counter: Counter) -> None:
    """Neither at once nor later: a system may list later than it takes."""
    counter.system.tasks.extend(there.older(3))
    counter.system.posts.append(there.answer(409, {"title": "Conflict"}))
    failed = await counter.pay()
    assert (failed.state, failed.proof) == (State.FAILED, Proof.REFUSED_BY_PEER)
    assert [each.method for each in counter.system.heard] == ["POST", "GET", "GET"]
    _, first, second = (each.at for each in counter.system.heard)
    assert second - first >= 60, "which is settle_seconds"


@at_a_counter()
async def test_a_conflict_with_a_double_that_is_listed_late_is_no_refusal(counter: Counter) -> None:
    counter.system.posts.append(there.done_then(there.answer(409)))
    counter.system.lists.append(there.without(0))
    order = await counter.order()
    await counter.lost(order, 90)
    paid = await counter.ended(order)
    assert (paid.state, counter.system.charged) == (State.APPROVED, [12.5])


@at_a_counter()
async def test_a_list_that_has_changed_ends_no_conflict(counter: Counter) -> None:
    """Where something goes from a page that was read, what follows moves up past the next."""
    counter.system.tasks.extend(there.older(3))
    counter.system.posts.append(there.answer(409))
    counter.system.lists.extend([there.listed, there.without(1)])
    order = await counter.order()
    await counter.lost(order, 90)
    assert (await counter.ended(order)).proof is Proof.ABSENT_AT_PEER


@pytest.mark.parametrize("listing", [None, there.answer(500)])
@at_a_counter()
async def test_a_conflict_with_its_own_double_is_a_doubt_that_the_list_ends(
    counter: Counter, listing: Act | None
) -> None:
    """A proxy has sent it twice, and passes on the second answer."""
    counter.system.posts.append(there.done_then(there.answer(409)))
    if listing is not None:
        counter.system.lists.append(listing)
    order = await counter.order()
    await counter.lost(order, 10)
    paid = await counter.ended(order)
    assert (paid.state, counter.system.charged) == (State.APPROVED, [12.5])


@pytest.mark.parametrize("status", LOST)
@at_a_counter()
async def test_any_other_status_is_a_doubt_that_the_list_ends(
    counter: Counter, status: int
) -> None:
    where = [(b"location", b"http://elsewhere/terminals")]
    counter.system.posts.append(there.done_then(there.answer(status, headers=where)))
    order = await counter.order()
    lost = await counter.lost(order, 40)
    assert (lost.outcome, lost.proof) == (None, None)
    paid = await counter.ended(order)
    assert paid.outcome is not None
    assert (paid.state, paid.outcome.evidence) == (State.APPROVED, Evidence.RECOVERED)
    assert counter.system.charged == [12.5]
    assert len(counter.system.of("POST")) == 1, "it is never sent again"
    assert {each.path for each in counter.system.heard} == {LIST}, "no redirect is followed"


@pytest.mark.parametrize("body", GARBAGE)
@at_a_counter()
async def test_an_answer_that_cannot_be_read_is_a_doubt(counter: Counter, body: bytes) -> None:
    counter.system.posts.append(there.done_then(there.answer(201, body)))
    order = await counter.order()
    await counter.lost(order, 40)
    assert (await counter.ended(order)).state is State.APPROVED
    assert len(counter.system.of("POST")) == 1


@pytest.mark.parametrize(
    "changes",
    [{"merchant_order_reference": "inv2112280004"}, {"merchant_order_reference": None},
     {"type": "REFUND"}, {"type": None}, {"amount": {"value": 12.51, "currency": "EUR"}},
     {"amount": {"value": 12.5, "currency": "USD"}}, {"amount": None}, {"amount": 12.5},
     {"amount": {"value": "12.50", "currency": "EUR"}}, {"amount": {"value": True}},
     {"amount": {"value": -12.5, "currency": "EUR"}}, {"status": 7}, {"status": "PENDING"}],
)  # fmt: skip
@at_a_counter()
async def test_an_answer_about_something_else_is_a_doubt(
    counter: Counter, changes: there.Json
) -> None:
    counter.system.posts.append(there.changed(there.taken, **changes))
    order = await counter.order()
    assert "id" not in (await counter.lost(order, 40)).peer
    assert (await counter.ended(order)).state is State.APPROVED


@pytest.mark.parametrize("act", [there.done_then(there.cut), there.done_then(there.silent)])
@at_a_counter()
async def test_a_lost_answer_is_found_in_the_list(counter: Counter, act: Act) -> None:
    counter.system.posts.append(act)
    order = await counter.order()
    await counter.lost(order, 60)
    paid = await counter.ended(order)
    assert (paid.state, counter.system.charged) == (State.APPROVED, [12.5])
    assert len(counter.system.of("POST")) == 1


@pytest.mark.parametrize("connect", [Connect.REFUSE, Connect.SILENCE])
@at_a_counter()
async def test_what_was_provably_not_sent_has_failed(counter: Counter, connect: Connect) -> None:
    virtual_loop().network.faults = lambda port, number: Faults(connect=connect)
    failed = await counter.pay()
    refused = connect is Connect.REFUSE
    assert failed.state is State.FAILED
    assert failed.proof is (Proof.CONNECT_REFUSED if refused else Proof.NEVER_SENT)
    assert counter.system.heard == []


@at_a_counter(send_seconds=2, connect_seconds=30)
async def test_nothing_is_sent_late(counter: Counter) -> None:
    virtual_loop().network.faults = lambda port, number: Faults(connect_delay=5)
    failed = await counter.pay()
    assert (failed.state, failed.proof) == (State.FAILED, Proof.NEVER_SENT)
    assert counter.system.heard == []


@pytest.mark.parametrize(
    "key", [b"", b" \n", b"two words", "schl\u00fcssel".encode(), b"x" * 5_000, None]
)
@at_a_counter()
async def test_without_a_key_nothing_is_sent(counter: Counter, key: bytes | None) -> None:
    counter.key_file.unlink()
    if key is not None:
        counter.key_file.write_bytes(key)
    failed = await counter.pay()
    assert (failed.state, failed.proof) == (State.FAILED, Proof.NEVER_SENT)
    reason = counter.gateway.events(failed.id)[-1].detail["reason"]
    assert "api_key_file" in reason
    assert counter.system.heard == []


@at_a_counter()
async def test_a_key_that_is_rotated_is_used_at_once(counter: Counter) -> None:
    """Revoked in the middle of a payment, which goes on with the new one."""
    order = await counter.named(await counter.order())
    counter.system.key = "another.key"
    await asyncio.sleep(20)
    counter.key_file.write_text("another.key")
    assert (await counter.ended(order)).state is State.APPROVED
    refused = [each for each in counter.system.of("GET") if each.header("api-key") == KEY]
    assert len(refused) >= 3


@pytest.mark.parametrize("seconds", [1, 20, 120])
@at_a_counter()
async def test_the_id_is_not_lost_to_a_journal_that_fails_for_a_while(
    counter: Counter, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    clock, commit = asyncio.get_running_loop().time, counter.gateway.journal.commit
    begun = clock()

    async def failing(work: Any) -> Any:
        if counter.system.of("POST") and clock() - begun < seconds:
            raise JournalError("The disk is full.")
        return await commit(work)

    with monkeypatch.context() as full:
        full.setattr(counter.gateway.journal, "commit", failing)
        paid = await counter.pay()
    assert (paid.state, counter.system.charged) == (State.APPROVED, [12.5])
    assert all(each.at - begun >= seconds for each in counter.system.of("GET"))
    assert len(counter.system.of("POST")) == 1


# --- questions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "act",
    [there.answer(status) for status in (201, 204, 302, 401, 403, 404, 409, 500, 503)]
    + [there.cut, there.silent]
    + [there.answer(200, body) for body in GARBAGE]
    + [there.changed(there.read, id="1" * 31)],
)
@at_a_counter()
async def test_a_question_that_tells_nothing_is_asked_again(counter: Counter, act: Act) -> None:
    counter.system.gets.extend([act] * 3)
    paid = await counter.pay()
    assert paid.outcome is not None
    assert (paid.state, paid.outcome.evidence) == (State.APPROVED, Evidence.ANSWER)
    assert len(counter.system.of("POST")) == 1
    assert len({each.path for each in counter.system.of("GET")}) == 1, "no redirect is followed"


@at_a_counter()
async def test_a_silent_system_has_no_more_than_some_questions_at_once(counter: Counter) -> None:
    """The gateway has so many connections for all of its clouds."""
    counter.system.lists.extend([there.silent] * 40)
    questions = [counter.driver.status() for _ in range(40)]
    asking = asyncio.gather(*questions)
    await asyncio.sleep(5)
    assert len(counter.system.heard) == cloud.QUESTIONS
    assert (await counter.named(await counter.order())).peer["id"], "a payment waits for none"
    await asyncio.sleep(10)
    assert len(counter.system.of("GET")) > cloud.QUESTIONS
    assert not any(each.reachable for each in await asking)


@at_a_counter()
async def test_who_waits_to_ask_hears_that_the_system_wants_to_be_asked_later(
    counter: Counter,
) -> None:
    async def later(system: there.System, asked: there.Asked) -> Any:
        await asyncio.sleep(2)
        return await there.answer(429, headers=[(b"retry-after", b"20")])(system, asked)

    counter.system.lists.extend([later] * 40)
    told = await asyncio.gather(*(counter.driver.status() for _ in range(40)))
    assert not any(each.reachable for each in told)
    assert len(counter.system.heard) == cloud.QUESTIONS


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("told", "gap"),
    [(b"20", 20), (b"0", 3), (b"3600", 30), (b"9" * 40, 30), (b"soon", 3), (b"-5", 3), (b"", 3),
     (b"Wed, 21 Oct 2026 07:28:00 GMT", 3)],
)  # fmt: skip
@at_a_counter()
async def test_retry_after_is_honoured_within_bounds(
    counter: Counter, told: bytes, gap: float, status: int
) -> None:
    counter.system.gets.append(there.answer(status, headers=[(b"retry-after", told)]))
    await counter.pay()
    times = [each.at for each in counter.system.of("GET")]
    assert round(times[1] - times[0], 1) == gap


@at_a_counter(final_within=60, cancel_after_seconds=0)
async def test_what_the_system_wants_holds_for_questions_after_the_loss_too(
    counter: Counter,
) -> None:
    async def later(system: there.System, asked: there.Asked) -> Any:
        if 55 < asked.at < 62:
            rest = [(b"retry-after", b"25")]
            return await there.answer(429, headers=rest)(system, asked)
        return await there.read(system, asked)

    counter.system.gets.extend([later] * 100)
    counter.system.terminal = there.ends("CLEARED", "APPROVED", after=70)
    order = await counter.order()
    await counter.lost(order)
    assert (await counter.ended(order)).state is State.APPROVED
    times = [each.at for each in counter.system.of("GET")]
    last = max(each for each in times if each < 62)
    assert min(each for each in times if each > last) - last >= 25
    assert "The system wants to be asked later." in counter.doubts(order)


@at_a_counter()
async def test_a_system_that_is_away_for_ten_minutes_is_asked_until_it_is_back(
    counter: Counter,
) -> None:
    order = await counter.named(await counter.order())
    network = virtual_loop().network
    network.faults = lambda port, number: Faults(
        connect=Connect.REFUSE if port == PORT else Connect.ACCEPT
    )
    network.cut(PORT)
    await asyncio.sleep(600)
    assert (await counter.now(order)).state is State.UNKNOWN
    network.faults = lambda port, number: Faults()
    paid = await counter.ended(order, 30)
    assert (paid.state, counter.system.charged) == (State.APPROVED, [12.5])


# --- endings that are none ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "behaviour",
    [there.ends(status, result) for status, result in
     (("CREATED", "APPROVED"), ("CREATED", "DECLINED"), ("AUTHORIZED", "DECLINED"),
      ("CLEARED", None), ("CLEARED", "DECLINED"), ("CANCELLED", "APPROVED"), ("REVERSED", None),
      ("cleared", "APPROVED"), ("CLEARED", "Approved"), ("", "APPROVED"), ("CLEARED", "OK"))]
    + [there.ends(**APPROVED, approved_amount=told) for told in
       ({"value": 0, "currency": "EUR"}, {"value": -1, "currency": "EUR"}, 12.5,
        {"value": 12.505, "currency": "EUR"}, {"value": 12.5, "currency": "USD"},
        {"value": 1e300, "currency": "EUR"}, {"value": "x", "currency": "EUR"})]
    + [there.ends("CANCELLED", "DECLINED", approved_amount={"value": 12.5, "currency": "EUR"}),
       there.ends(**APPROVED, amount={"value": 12.49, "currency": "EUR"}),
       there.ends(**APPROVED, merchant_order_reference="inv2112280004"),
       there.ends(**APPROVED, type="REFUND"), there.ends(**{**APPROVED, "result": ["APPROVED"]})],
)  # fmt: skip
@at_a_counter()
async def test_contradictions_are_for_a_person(counter: Counter, behaviour: Behaviour) -> None:
    counter.system.terminal = behaviour
    order = await counter.order()
    lost = await counter.lost(order, 60)
    assert (lost.outcome, lost.proof) == (None, None)
    await asyncio.sleep(500)
    assert counter.told(order) == [], "it may set itself right"
    words = await counter.for_a_person(order)
    assert "12.50 EUR" in words
    assert orders.reference_of(order.id) in words
    assert len(counter.system.of("POST")) == 1


@at_a_counter()
async def test_what_sets_itself_right_is_believed_then(counter: Counter) -> None:
    counter.system.terminal = there.ends("CLEARED", None)
    order = await counter.order()
    await counter.lost(order, 60)
    counter.system.tasks[0].told["result"] = "APPROVED"
    assert (await counter.ended(order, 15)).state is State.APPROVED


@at_a_counter()
async def test_a_refund_of_more_than_was_asked_is_for_a_person(counter: Counter) -> None:
    more = {"value": 20, "currency": "EUR"}
    counter.system.terminal = there.ends(**APPROVED, approved_amount=more)
    order = await counter.order(1250, TransactionType.REFUND)
    await counter.lost(order, 60)
    assert "2000 minor units were given back" in await counter.for_a_person(order)


@at_a_counter()
async def test_authorised_without_a_result_goes_on(counter: Counter) -> None:
    async def slow(system: there.System, task: there.Task) -> None:
        task.status = "AUTHORIZED"
        await asyncio.sleep(30)
        await there.approves(system, task)

    counter.system.terminal = slow
    assert (await counter.pay()).state is State.APPROVED


# --- clocks, and restarts -------------------------------------------------------------------------


@pytest.mark.parametrize("hours", [-30, 30])
@at_a_counter()
async def test_a_system_whose_clock_is_wrong_still_finds_it(counter: Counter, hours: int) -> None:
    async def elsewhen(system: there.System, asked: there.Asked) -> Any:
        task = system.take(asked)
        task.at = task.at.replace(day=task.at.day + hours // 24)
        return await there.cut(system, asked)

    counter.system.tasks.extend(there.older(60))
    counter.system.posts.append(elsewhen)
    assert (await counter.pay()).state is State.APPROVED


@pytest.mark.parametrize("seconds", [1, 60, 86_400])
@at_a_counter()
async def test_a_gateway_that_was_away_finds_the_end(counter: Counter, seconds: int) -> None:
    order = await counter.named(await counter.order())
    await counter.gateway.stop()
    await asyncio.sleep(seconds)
    await counter.start_gateway()
    paid = await counter.ended(order, 30)
    assert (paid.state, counter.system.charged) == (State.APPROVED, [12.5])
    assert len(counter.system.of("POST")) == 1


@pytest.mark.parametrize("arrived", [True, False])
@at_a_counter()
async def test_a_gateway_that_died_during_the_post_sends_nothing_again(
    counter: Counter, arrived: bool
) -> None:
    counter.system.posts.append(there.done_then(there.silent) if arrived else there.silent)
    order = await counter.order()
    await asyncio.sleep(1)
    await counter.gateway.stop()
    await counter.start_gateway()
    ended = await counter.ended(order)
    assert ended.state is (State.APPROVED if arrived else State.FAILED)
    assert len(counter.system.of("POST")) == 1


@at_a_counter()
async def test_an_attempt_that_is_not_in_the_journal_was_never_sent(counter: Counter) -> None:
    order = await counter.order()
    found = await counter.driver.recover(order)
    assert getattr(found, "proof", None) is Proof.NEVER_SENT
    await counter.ended(order)


@pytest.mark.parametrize("there_still", [True, False])
@at_a_counter()
async def test_a_terminal_that_is_swapped_meanwhile_is_asked_for_under_its_old_name(
    counter: Counter, there_still: bool
) -> None:
    """The new device's list knows nothing of what the old one has done."""
    counter.system.posts.append(there.done_then(there.silent))
    order = await counter.order()
    await asyncio.sleep(1)
    await counter.gateway.stop()
    if not there_still:
        counter.system.lists.extend([there.answer(404)] * 1_000)
    await counter.start_gateway(serial="PL0919CQ00306")
    await counter.gateway.engine.wait(order.id, lambda each: each.is_final, 300)
    ended = await counter.now(order)
    assert ended.state is (State.APPROVED if there_still else State.UNKNOWN)
    assert {each.path for each in counter.system.of("GET")} == {LIST}
    assert counter.system.charged == [12.5]


@at_a_counter()
async def test_another_system_s_list_proves_no_absence(counter: Counter) -> None:
    """Somebody has changed its address, to that of the test system say."""
    counter.system.posts.append(there.cut)
    order = await counter.order()
    await asyncio.sleep(1)
    await counter.gateway.stop()
    await counter.start_gateway(url=there.URL.replace("127.0.0.1", "localhost"))
    words = await counter.for_a_person(order)
    assert there.URL in words


@pytest.mark.parametrize("status", [403, 500])
@at_a_counter()
async def test_a_system_that_repeats_our_key_does_not_have_it_written_down(
    counter: Counter, status: int
) -> None:
    """Not even in the words of a refusal."""
    counter.system.posts.append(
        there.done_then(there.answer(status, {"title": "No", "detail": f"Key {KEY} is bad."}))
    )
    ended = await counter.pay()
    told = json.dumps([dict(each.detail) for each in counter.gateway.events(ended.id)])
    assert "is bad" in told
    assert KEY not in told + str(ended)


@at_a_counter()
async def test_no_secret_and_no_body_is_in_what_people_read(counter: Counter) -> None:
    counter.system.posts.append(there.done_then(there.cut))
    counter.system.lists.extend([there.cut, there.answer(403)])
    paid = await counter.pay()
    told = json.dumps([dict(each.detail) for each in counter.gateway.events(paid.id)])
    assert KEY not in told + str(paid)
