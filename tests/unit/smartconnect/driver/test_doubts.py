"""What may go wrong on the way: what is a proof, what is a doubt, and who resolves it."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from tests.kit import scripted
from tests.kit.faults import Connect, Faults
from tests.kit.runner import virtual
from tests.kit.scripted import Asked
from tests.kit.virtual_loop import virtual_loop
from tests.unit.smartconnect.driver import cloud as there
from tests.unit.smartconnect.driver.cloud import PORT, Act, Behaviour
from tests.unit.smartconnect.driver.counter import Counter, at_a_counter, settings
from tillwire.core.model import Evidence, State
from tillwire.dialects.smartconnect.driver import cloud as driver_cloud
from tillwire.dialects.smartconnect.driver.settings import DriverSettings
from tillwire.errors import JournalError, Proof

REFUSALS = [400, 401, 402, 403, 404, 405, 409, 410, 411, 413, 415, 422, 423, 425, 429, 451, 499]
LOST = [201, 202, 204, 301, 302, 303, 307, 308, 408, 500, 501, 502, 503, 504, 520, 599]


# --- the POST -----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", REFUSALS)
@at_a_counter()
async def test_a_refused_post_proves_that_nothing_was_taken(counter: Counter, status: int) -> None:
    counter.cloud.posts.append(there.answer(status, {"error": "device is busy"}))
    failed = await counter.pay()
    assert (failed.state, failed.proof) == (State.FAILED, Proof.REFUSED_BY_PEER)
    reason = counter.gateway.events(failed.id)[-1].detail["reason"]
    assert f"{status} device is busy" in reason
    assert len(counter.cloud.of("POST")) == 1, "it is for the till to try again"


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"null"])
@at_a_counter()
async def test_a_refusal_without_words_is_one(counter: Counter, body: bytes) -> None:
    counter.cloud.posts.append(there.answer(400, body))
    assert (await counter.pay()).proof is Proof.REFUSED_BY_PEER


@pytest.mark.parametrize("status", LOST)
@at_a_counter()
async def test_any_other_status_is_a_doubt_that_a_person_ends(
    counter: Counter, status: int
) -> None:
    counter.cloud.posts.append(there.done_then(there.answer(status, Location="http://elsewhere/")))
    order = await counter.order()
    lost = await counter.lost(order, 40)
    assert (lost.outcome, lost.proof) == (None, None)
    words = await counter.for_a_person(order)
    assert "The cloud's answer with the polling URL was lost." in words
    assert "evidence and no proof" in words
    assert len(counter.cloud.sales) == 1, "it is never sent again"
    assert counter.cloud.charged == [1250], "and it may well have been paid"
    assert {each.path for each in counter.cloud.heard} == {"/POS/Transaction"} | {
        each.path for each in counter.cloud.of("GET")
    }, "no redirect is followed"


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"nonsense", b"\xff", b"[" * 100_000,
                                  b'{"transactionStatus":"DONE"}'])  # fmt: skip
@at_a_counter()
async def test_an_answer_that_cannot_be_read_is_a_doubt(counter: Counter, body: bytes) -> None:
    counter.cloud.posts.append(there.done_then(there.answer(200, body)))
    await counter.lost(await counter.order(), 40)
    assert len(counter.cloud.sales) == 1


@pytest.mark.parametrize(
    "url", ["", "/pos/transaction/1", "ftp://127.0.0.1/1", "x" * 3000, 7, None, "http://a b/"]
)
@at_a_counter()
async def test_an_answer_without_a_usable_url_is_a_doubt(counter: Counter, url: Any) -> None:
    counter.cloud.posts.append(there.without_url(PollingUrl=url))
    order = await counter.order()
    lost = await counter.lost(order, 40)
    assert lost.peer["transaction_id"] in counter.cloud.tasks, "it helps a person"
    counter.cloud.journal = {
        "TransactionResult": "OK-ACCEPTED", "Result": "OK", "AmountTotal": "1250",
        "ReferenceId": lost.peer["transaction_id"], "CardPan": "....4417",
    }  # fmt: skip
    words = await counter.for_a_person(order)
    assert "which is this one by the cloud's id: OK-ACCEPTED" in words
    assert (await counter.now(order)).state is State.UNKNOWN, "and still it is no answer"


@pytest.mark.parametrize("act", [there.done_then(scripted.cut), there.done_then(scripted.silent)])
@at_a_counter()
async def test_a_lost_answer_is_a_doubt(counter: Counter, act: Act) -> None:
    counter.cloud.posts.append(act)
    order = await counter.order()
    await counter.lost(order, 60)
    await counter.for_a_person(order)
    assert len(counter.cloud.sales) == 1


@at_a_counter()
async def test_the_terminal_s_journal_is_not_read_while_a_customer_may_stand_there(
    counter: Counter,
) -> None:
    counter.cloud.posts.append(there.done_then(scripted.cut))
    order = await counter.order()
    await counter.lost(order)
    await asyncio.sleep(170)
    assert len(counter.cloud.of("POST")) == 1
    assert counter.told(order) == []
    await counter.for_a_person(order)
    last = counter.cloud.of("POST")[-1]
    assert last.form["TransactionType"] == "Journal.GetTransResult"


@pytest.mark.parametrize("connect", [Connect.REFUSE, Connect.SILENCE])
@at_a_counter()
async def test_what_was_provably_not_sent_has_failed(counter: Counter, connect: Connect) -> None:
    network = virtual_loop().network
    network.faults = lambda port, number: Faults(connect=connect)
    failed = await counter.pay()
    refused = connect is Connect.REFUSE
    assert failed.state is State.FAILED
    assert failed.proof is (Proof.CONNECT_REFUSED if refused else Proof.NEVER_SENT)
    assert counter.cloud.heard == []


@at_a_counter(send_seconds=2, connect_seconds=30)
async def test_nothing_is_sent_late(counter: Counter) -> None:
    virtual_loop().network.faults = lambda port, number: Faults(connect_delay=5)
    failed = await counter.pay()
    assert (failed.state, failed.proof) == (State.FAILED, Proof.NEVER_SENT)
    assert counter.cloud.heard == []


@pytest.mark.parametrize("seconds", [1, 20, 120])
@at_a_counter()
async def test_the_polling_url_is_not_lost_to_a_journal_that_fails_for_a_while(
    counter: Counter, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """It is polled when it is sealed in the journal, and not before."""
    clock, commit = asyncio.get_running_loop().time, counter.gateway.journal.commit
    begun = clock()

    async def failing(work: Any) -> Any:
        if counter.cloud.of("POST") and clock() - begun < seconds:
            raise JournalError("The disk is full.")
        return await commit(work)

    with monkeypatch.context() as full:
        full.setattr(counter.gateway.journal, "commit", failing)
        paid = await counter.pay()
    assert (paid.state, counter.cloud.charged) == (State.APPROVED, [1250])
    assert all(each.at - begun >= seconds for each in counter.cloud.of("GET"))
    assert len(counter.cloud.of("POST")) == 1


# --- polls --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "act",
    [there.answer(status) for status in (201, 204, 302, 307, 400, 409, 500, 502, 503, 504)]
    + [scripted.cut, scripted.silent]
    + [there.answer(200, body) for body in (b"", b"[]", b"{}", b"\xff", b"[" * 100_000)],
)
@at_a_counter()
async def test_a_poll_that_tells_nothing_is_made_again(counter: Counter, act: Act) -> None:
    counter.cloud.polls.extend([act] * 3)
    paid = await counter.pay()
    assert (paid.state, paid.approved_amount) == (State.APPROVED, 1250)
    assert paid.outcome is not None
    assert paid.outcome.evidence is Evidence.ANSWER
    assert len(counter.cloud.of("POST")) == 1
    assert len({each.path for each in counter.cloud.of("GET")}) == 1, "no redirect is followed"


@at_a_counter()
async def test_the_pause_grows_while_the_cloud_wants_it_and_is_short_again_afterwards(
    counter: Counter,
) -> None:
    counter.cloud.polls.extend([there.answer(429)] * 5)
    counter.cloud.terminal = there.ends(after=200)
    await counter.pay()
    times = [each.at for each in counter.cloud.of("GET")]
    gaps = [round(later - earlier) for earlier, later in pairwise(times)]
    assert gaps[:5] == [6, 12, 24, 30, 30]
    assert set(gaps[5:]) == {3}


@pytest.mark.parametrize(
    ("told", "gap"),
    [("20", 20), ("0", 2), ("1", 2), ("3600", 30), ("9" * 40, 30), ("soon", 6), ("-5", 6),
     ("Wed, 21 Oct 2026 07:28:00 GMT", 6), ("", 6)],
)  # fmt: skip
@at_a_counter()
async def test_retry_after_is_honoured_within_bounds(counter: Counter, told: str, gap: int) -> None:
    counter.cloud.polls.append(there.answer(429, Retry_After=told))
    await counter.pay()
    times = [each.at for each in counter.cloud.of("GET")]
    assert round(times[1] - times[0]) == gap


@at_a_counter(final_within=60)
async def test_what_the_cloud_wants_holds_for_questions_after_the_loss_too(
    counter: Counter,
) -> None:
    async def later(cloud: there.Cloud, asked: Asked) -> Any:
        if 55 < asked.at < 62:
            return await there.answer(429, Retry_After="25")(cloud, asked)
        return cloud.polled(asked)

    counter.cloud.polls.extend([later] * 100)
    counter.cloud.terminal = there.ends(after=70)
    order = await counter.order()
    await counter.lost(order)
    assert (await counter.ended(order)).state is State.APPROVED
    times = [each.at for each in counter.cloud.of("GET")]
    last = max(each for each in times if each < 62)
    assert min(each for each in times if each > last) - last >= 25
    told = [str(each.detail) for each in counter.gateway.events(order.id)]
    assert any("The cloud wants to be asked later." in each for each in told)


@at_a_counter()
async def test_a_silent_cloud_has_no_more_than_some_polls_at_once(counter: Counter) -> None:
    """The gateway has so many connections for all of its clouds."""
    counter.cloud.polls.extend([scripted.silent] * 40)
    asking = asyncio.gather(*(counter.driver.status() for _ in range(40)))
    await asyncio.sleep(5)
    assert len(counter.cloud.of("GET")) == driver_cloud.POLLS
    order = await counter.order()
    await asyncio.sleep(1)
    assert len(counter.cloud.sales) == 1, "a payment waits for none"
    assert not any(each.reachable for each in await asking)
    counter.cloud.polls.clear()
    assert (await counter.ended(order, 60)).state is State.APPROVED


def test_the_pace_of_what_nobody_polls_any_more_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(driver_cloud, "MOST_PACES", 10)
    told = msgspec.convert(settings(), DriverSettings)
    nobody: Any = None

    @virtual()
    async def scenario() -> None:
        cloud = driver_cloud.Cloud(nobody, virtual_loop().clock, nobody)
        for number in range(100):
            cloud.begin(str(number), told)
            await asyncio.sleep(1)
        for number in range(100):
            cloud.begin(f"at once {number}", told)
        assert len(cloud._paces) <= 10

    scenario()


@pytest.mark.parametrize("status", [401, 403, 404, 410])
@at_a_counter()
async def test_a_url_that_is_shut_leaves_it_to_a_person(counter: Counter, status: int) -> None:
    async def shut(cloud: there.Cloud, asked: Asked) -> Any:
        sale = next(iter(cloud.tasks))
        if not asked.path.endswith(sale):
            return cloud.polled(asked)
        return there.refusal(status, "Token expired")

    counter.cloud.polls.extend([shut] * 200)
    counter.cloud.terminal = there.ends(after=20)
    order = await counter.order()
    await counter.lost(order)
    await asyncio.sleep(150)
    assert counter.told(order) == [], "the terminal may still be at it"
    words = await counter.for_a_person(order)
    assert f"{status} Token expired" in words
    assert "Journal.GetTransResult" in words
    assert counter.cloud.charged == [1250]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("00000000-0000-4000-8000-000000000000", {}),
        ("", {"RequestId": "00000000-0000-4000-8000-000000000000"}),
        ("", {"PosRegisterID": "another till"}),
    ],
)
@at_a_counter()
async def test_an_answer_about_another_s_transaction_is_none(
    counter: Counter, name: str, changes: dict[str, str]
) -> None:
    async def another(cloud: there.Cloud, asked: Asked) -> Any:
        ours = next(iter(cloud.tasks.values()))
        task = there.Task(name or ours.id, ours.form, asked.at)
        task.data = there.accepted(task, **changes)
        return await there.answer(200, there.envelope(task))(cloud, asked)

    counter.cloud.polls.append(another)
    counter.cloud.terminal = there.ends_as("OK-DECLINED", "OK")
    order = await counter.order()
    await counter.lost(order)
    assert (await counter.ended(order)).state is State.DECLINED


# --- endings that are none ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "behaviour",
    [there.ends_as("OK-ACCEPTED", result) for result in
     ("", "CANCELLED", "FAILED", "FAILED-INTERFACE", "DELAYED-TRANSACTION", "NEW")]
    + [there.ends_as("OK-DECLINED", result) for result in ("", "FAILED", "CANCELLED")]
    + [there.ends_as(told, "OK") for told in ("", "FAILED", "FAILED-INTERFACE", "OK-DELAYED", "X")]
    + [there.ends_as("FAILED", "FAILED"), there.ends({}), there.ends({"TransactionResult": []})]
    + [there.ends(AmountTotal=told) for told in ("1249", "1251", "0", "-1250", "12.50", "1e3", "x",
                                                 "9" * 20)]
    + [there.ends(AmountTip="120"), there.ends(AmountSurcharge="x"), there.ends(AmountTip="-1"),
       there.ends(Function="Card.Refund")]
    + [there.ends({"TransactionResult": "CANCELLED", "Result": "FAILED-INTERFACE", **told})
       for told in ({"AuthId": "417302"}, {"CardPan": "....4417"})]
    + [there.ends({"TransactionResult": "OK-UNAVAILABLE", "Result": "OK", "AuthId": "417302"})],
)  # fmt: skip
@at_a_counter()
async def test_contradictions_are_for_a_person(counter: Counter, behaviour: Behaviour) -> None:
    counter.cloud.terminal = behaviour
    order = await counter.order()
    lost = await counter.lost(order, 60)
    assert (lost.outcome, lost.proof) == (None, None)
    words = await counter.for_a_person(order, 60)
    assert "Journal.GetTransResult" in words
    assert (await counter.now(order)).state is State.UNKNOWN
    assert len(counter.cloud.sales) == 1


@pytest.mark.parametrize(
    ("journal", "words"),
    [
        ({"TransactionResult": "OK-ACCEPTED", "Result": "OK", "Function": "Card.Purchase",
          "AmountTotal": "1250", "ReferenceId": "another", "CardPan": "....4417",
          "Timestamp": "20260314151602"},
         "which is another one: OK-ACCEPTED, Card.Purchase, amount 1250, card ....4417, at "
         "20260314151602"),
        ({"TransactionResult": "OK-DECLINED", "Result": "OK"},
         "of whom it does not tell: OK-DECLINED, Journal.GetTransResult"),
        ({"TransactionResult": "CANCELLED", "Result": "FAILED-INTERFACE"}, "it is away or busy"),
        ({"TransactionResult": "4111111111111111", "Result": "OK"}, "************1111"),
    ],
)  # fmt: skip
@at_a_counter()
async def test_what_the_terminal_s_journal_says_is_shown_and_proves_nothing(
    counter: Counter, journal: there.Json, words: str
) -> None:
    counter.cloud.terminal = there.ends_as("FAILED", "FAILED")
    counter.cloud.journal = journal
    order = await counter.order()
    assert words in await counter.for_a_person(order, 60)
    assert (await counter.now(order)).state is State.UNKNOWN


@pytest.mark.parametrize(
    "act",
    [there.answer(429, {"error": "device is busy"}), scripted.cut, there.answer(500),
     there.answer(200, b"{}"), scripted.silent],
)  # fmt: skip
@at_a_counter()
async def test_a_journal_that_cannot_be_read_keeps_nobody_waiting(
    counter: Counter, act: Act
) -> None:
    counter.cloud.terminal = there.ends_as("FAILED", "FAILED")
    counter.cloud.posts.extend([there.taken, act])
    order = await counter.order()
    assert "could not be read" in await counter.for_a_person(order, 60)


# --- late, and across restarts ------------------------------------------------------------------


@at_a_counter()
async def test_a_delayed_result_is_found_after_it_counted_as_lost(counter: Counter) -> None:
    counter.cloud.terminal = there.delayed(60, 700)
    order = await counter.order()
    lost = await counter.lost(order)
    assert lost.state is State.UNKNOWN
    assert virtual_loop().clock.now() - order.created_at == pytest.approx(300_000, abs=1000)
    paid = await counter.ended(order)
    assert (paid.state, paid.approved_amount) == (State.APPROVED, 1250)
    assert paid.outcome is not None
    assert paid.outcome.evidence is Evidence.RECOVERED
    times = [each.at for each in counter.cloud.of("GET")]
    assert all(later - earlier >= 2 for earlier, later in pairwise(times))


@pytest.mark.parametrize("seconds", [1, 60, 840])
@at_a_counter()
async def test_a_gateway_that_was_away_for_14_minutes_finds_the_result(
    counter: Counter, seconds: int
) -> None:
    order = await counter.order()
    await counter.gateway.engine.wait(order.id, lambda each: "polling_url" in each.peer, 10)
    await counter.gateway.stop()
    await asyncio.sleep(seconds)
    back = virtual_loop().clock.monotonic()
    await counter.start_gateway()
    paid = await counter.ended(order, 30)
    assert (paid.state, paid.approved_amount) == (State.APPROVED, 1250)
    assert counter.cloud.charged == [1250]
    first = next(each for each in counter.cloud.of("GET") if each.at >= back)
    assert first.at - back < 2, "at once, since the token does not wait"


@at_a_counter()
async def test_a_gateway_that_was_away_for_16_minutes_says_why_nobody_knows(
    counter: Counter,
) -> None:
    order = await counter.order()
    await counter.gateway.engine.wait(order.id, lambda each: "polling_url" in each.peer, 10)
    await counter.gateway.stop()
    await asyncio.sleep(16 * 60)
    await counter.start_gateway()
    words = await counter.for_a_person(order, 60)
    assert "401 Token expired" in words
    assert "15 minutes" in words
    assert (await counter.now(order)).state is State.UNKNOWN
    assert counter.cloud.charged == [1250]


@at_a_counter()
async def test_a_gateway_that_died_during_the_post_sends_nothing_again(counter: Counter) -> None:
    counter.cloud.posts.append(there.done_then(scripted.silent))
    order = await counter.order()
    await asyncio.sleep(1)
    await counter.gateway.stop()
    await counter.start_gateway()
    await counter.lost(order)
    words = await counter.for_a_person(order)
    assert "The cloud's answer with the polling URL was lost." in words
    assert len(counter.cloud.sales) == 1


@at_a_counter()
async def test_an_attempt_that_is_not_in_the_journal_was_never_sent(counter: Counter) -> None:
    order = await counter.order()
    found = await counter.driver.recover(order)
    assert getattr(found, "proof", None) is Proof.NEVER_SENT
    await counter.ended(order)


@at_a_counter()
async def test_with_another_key_the_url_waits_for_the_right_one(counter: Counter) -> None:
    order = await counter.order()
    await counter.gateway.engine.wait(order.id, lambda each: "polling_url" in each.peer, 10)
    await counter.gateway.stop()
    key = counter.folder / "journal.db.key"
    kept = key.read_bytes()
    key.unlink()
    await counter.start_gateway()
    await asyncio.sleep(30)
    now = await counter.now(order)
    assert now.state is State.UNKNOWN
    told = [str(each.detail) for each in counter.gateway.events(order.id)]
    assert any("The polling URL cannot be opened." in each for each in told)
    assert counter.told(order) == [], "a person can help with the key, and not by deciding"
    await counter.gateway.stop()
    key.unlink(missing_ok=True)
    key.write_bytes(kept)
    key.chmod(0o600)
    await counter.start_gateway()
    assert (await counter.ended(order, 30)).state is State.APPROVED


@at_a_counter()
async def test_a_cloud_that_is_away_for_ten_minutes_is_polled_until_it_is_back(
    counter: Counter,
) -> None:
    order = await counter.order()
    await counter.gateway.engine.wait(order.id, lambda each: "polling_url" in each.peer, 10)
    network = virtual_loop().network
    network.faults = lambda port, number: Faults(
        connect=Connect.REFUSE if port == PORT else Connect.ACCEPT
    )
    network.cut(PORT)
    await asyncio.sleep(600)
    assert (await counter.now(order)).state is State.UNKNOWN
    network.faults = lambda port, number: Faults()
    paid = await counter.ended(order, 30)
    assert (paid.state, counter.cloud.charged) == (State.APPROVED, [1250])
