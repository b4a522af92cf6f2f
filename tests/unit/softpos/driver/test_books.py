"""What the backend has on its books of a phone: asked for one by one, and told as it is."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from tests.unit.softpos.driver import backend as there
from tests.unit.softpos.driver.backend import CHECK, TID
from tests.unit.softpos.driver.counter import LANE, Counter, at_a_counter
from tillwire.clock import Instant
from tillwire.core.entries import Entry, Lists
from tillwire.core.errands import AskLast, Show
from tillwire.core.model import State, Transaction, TransactionType, Verdict
from tillwire.dialects.softpos.driver import books
from tillwire.errors import PeerError, Unsupported

_T = TransactionType
OTHER = "30009999"
AT = 1_773_497_762_000


async def listed(
    counter: Counter, begin: Transaction | None = None, end: Transaction | None = None
) -> list[Entry]:
    """From the one on, and before the other."""
    first = Instant(0) if begin is None else begin.created_at
    behind = counter.gateway.clock.now() + 1 if end is None else end.created_at
    found = counter.gateway.engine.entries(LANE, first, Instant(behind))
    return [each async for each in found]


@at_a_counter()
async def test_what_was_paid_is_told_with_all_that_the_backend_says(counter: Counter) -> None:
    assert counter.driver.capabilities.lists is Lists.NAMED
    paid = await counter.paid(1250)
    (entry,) = await listed(counter)
    assert entry.name == entry.transaction_id == paid.id
    assert (entry.type, entry.amount, entry.currency) == (_T.PURCHASE, 1250, "EUR")
    assert (entry.at, entry.tid, entry.words) == (AT, TID, "APPROVED")
    assert (entry.reference, entry.original) == ("bill 7", "")
    assert entry.verdict == "APPROVED"
    assert entry.agrees_with(paid)
    assert entry.outcome is not None
    assert entry.outcome.approved_amount == 1250
    assert (entry.outcome.stan, entry.outcome.card_last4) == ("000231", "5938")


@at_a_counter()
async def test_those_that_were_accepted_in_the_time_are_asked_for_and_no_others(
    counter: Counter,
) -> None:
    made = []
    for minor in (100, 200, 300):
        made.append(await counter.paid(minor))
        await asyncio.sleep(60)
    first, second, third = made
    assert [each.name for each in await listed(counter)] == [third.id, second.id, first.id]
    asked = len(counter.backend.of(CHECK))
    assert [each.name for each in await listed(counter, second, third)] == [second.id]
    assert len(counter.backend.of(CHECK)) == asked + 1, "nobody else was asked for"


@at_a_counter()
async def test_a_question_for_many_leaves_half_a_second_between_two(counter: Counter) -> None:
    for _ in range(4):
        await counter.paid(100)
    await listed(counter)
    moments = [each.at for each in counter.backend.of(CHECK)][-4:]
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert min(gaps) >= 0.499


@at_a_counter()
async def test_what_the_backend_does_not_know_is_not_there(counter: Counter) -> None:
    order = await counter.order(100)
    await counter.shown(order)
    assert await listed(counter) == []
    counter.backend.pay(await counter.shown(order))
    assert [each.name for each in await listed(counter)] == [order.id], "it is open in the journal"


@at_a_counter()
async def test_one_whose_link_nobody_could_see_is_not_asked_for(counter: Counter) -> None:
    counter.backend.tokens.extend([there.answers(500)] * 5)
    failed = await counter.ended(await counter.order(100))
    assert failed.state is State.FAILED
    asked = len(counter.backend.of(CHECK))
    assert await listed(counter) == []
    assert len(counter.backend.of(CHECK)) == asked


@pytest.mark.parametrize(
    ("told", "verdict", "amount", "words"),
    [
        ({"status": "DECLINED"}, "DECLINED", 1250, "DECLINED"),
        ({"status": "CANCELLED"}, "CANCELLED", 1250, "CANCELLED"),
        ({"status": "PENDING"}, "UNKNOWN", 1250, "PENDING: The backend calls it PENDING."),
        ({"status": "ERROR"}, "UNKNOWN", 1250, "ERROR: The backend calls it ERROR."),
        ({"status": "ESEGUITA"}, "UNKNOWN", 1250, "ESEGUITA"),
        ({"status": None}, "UNKNOWN", 1250, ""),
        ({"status": "REVERSED"}, "REVERSED", 1250, "REVERSED"),
        ({"amount": 1300}, "APPROVED", 1300, "APPROVED"),
        ({"amount": None}, "APPROVED", None, "APPROVED"),
        ({"resultCode": 21}, "UNKNOWN", 1250, "APPROVED: The backend calls it approved, with resu"),
        ({"importo": 1}, "UNKNOWN", None, "APPROVED: The backend's answer is unclear: amount."),
        ({"terminalId": OTHER}, "UNKNOWN", 1250, "APPROVED: The backend's answer is about anot"),
        ({"callerTrxId": "7"}, "UNKNOWN", 1250, "APPROVED: The backend's answer is about anot"),
        ({"currency": "CHF"}, "UNKNOWN", 1250, "APPROVED: The backend's answer is in CHF"),
        ({"currency": "euro"}, "UNKNOWN", 1250, "APPROVED: The backend's answer is in euro"),
        ({"operationType": "REVERSAL"}, "UNKNOWN", 1250, "APPROVED: The backend calls it REVERSA"),
    ],
)
@at_a_counter()
async def test_every_answer(
    counter: Counter, told: dict[str, Any], verdict: str, amount: int | None, words: str
) -> None:
    order = await counter.order(1250)
    counter.backend.pay(await counter.shown(order), **told)
    (entry,) = await listed(counter)
    assert (entry.verdict, entry.amount) == (verdict, amount)
    assert entry.words == words if verdict != "UNKNOWN" else entry.words.startswith(words)
    assert entry.transaction_id == order.id
    assert entry.currency == {"CHF": "CHF", "euro": ""}.get(told.get("currency", ""), "EUR")
    if entry.outcome is not None and entry.outcome.verdict is Verdict.APPROVED and amount:
        assert entry.outcome.approved_amount == amount


@pytest.mark.parametrize(
    ("stamp", "at"),
    [
        ("2026-03-14T14:16:02Z", AT),
        ("9999-12-31T23:59:59-12:00", None),
        ("0001-01-01T00:00:00+00:00", None),
        ("1970-01-01T00:00:00Z", None),
        ("2026-03-14T14:16:02", None),
        ("yesterday", None),
    ],
)
@at_a_counter()
async def test_a_time_that_can_be_none_of_a_payment_is_not_told(
    counter: Counter, stamp: str, at: int | None
) -> None:
    paid = await counter.paid(1250)
    counter.backend.known[TID, paid.id]["transactionTimestamp"] = stamp
    (entry,) = await listed(counter)
    assert (entry.verdict, entry.at) == ("APPROVED", at)


@at_a_counter()
async def test_more_than_was_asked_for_agrees_with_nothing(counter: Counter) -> None:
    paid = await counter.paid(1250)
    counter.backend.known[TID, paid.id]["amount"] = 1300
    (entry,) = await listed(counter)
    assert entry.agrees_with(paid) is False


@at_a_counter()
async def test_a_reversal_is_told_by_its_own_id(counter: Counter) -> None:
    paid = await counter.paid(1250)
    order = await counter.order(1250, _T.REVERSAL, original=paid)
    counter.backend.pay(await counter.shown(order))
    counter.backend.known[TID, paid.id]["status"] = "REVERSED"
    back, sale = await listed(counter)
    assert (back.name, back.type, back.original) == (order.id, _T.REVERSAL, paid.id)
    assert (back.verdict, back.amount) == ("APPROVED", 1250)
    assert (sale.name, sale.verdict, sale.reversed) == (paid.id, "REVERSED", True)
    assert back.agrees_with(await counter.ended(order))


@pytest.mark.parametrize(
    ("own", "original", "words"),
    [
        ("APPROVED", "APPROVED", "the app may have reversed another payment"),
        ("DECLINED", "REVERSED", "by something else"),
        ("APPROVED", None, "does not know its original"),
    ],
)
@at_a_counter()
async def test_what_is_said_of_a_reversal_alone_says_nothing_of_its_original(
    counter: Counter, own: str, original: str | None, words: str
) -> None:
    paid = await counter.paid(1250)
    order = await counter.order(1250, _T.REVERSAL, original=paid)
    counter.backend.pay(await counter.shown(order), status=own)
    if original is None:
        del counter.backend.known[TID, paid.id]
    else:
        counter.backend.known[TID, paid.id]["status"] = original
    back = (await listed(counter))[0]
    assert (back.name, back.type, back.amount) == (order.id, _T.REVERSAL, 1250)
    assert back.outcome is None, "the reconciliation would end it by that"
    assert back.words.startswith(own)
    assert words in back.words


@at_a_counter()
async def test_a_reversal_without_a_word_of_its_own_is_told_by_its_original(
    counter: Counter,
) -> None:
    paid = await counter.paid(1250)
    order = await counter.order(1250, _T.REVERSAL, original=paid)
    counter.backend.pay(await counter.shown(order))
    del counter.backend.known[TID, order.id]
    assert [each.name for each in await listed(counter)] == [paid.id], "it is not reversed"
    counter.backend.known[TID, paid.id]["status"] = "REVERSED"
    back, sale = await listed(counter)
    assert (back.name, back.verdict, back.amount) == (order.id, "APPROVED", 1250)
    assert (back.words, sale.verdict) == ("REVERSED", "REVERSED")


@at_a_counter()
async def test_of_two_reversals_none_is_told_by_the_original(counter: Counter) -> None:
    """The first was declined, and the backend has forgotten it: that is not the one that did it."""
    paid = await counter.paid(1250)
    ends = []
    for status in ("DECLINED", "APPROVED"):
        order = await counter.order(1250, _T.REVERSAL, original=paid)
        link = await counter.shown(order)
        back = counter.backend.pay(link, status=status)
        if status == "APPROVED":
            counter.backend.known[TID, paid.id]["status"] = "REVERSED"
        await counter.come_back(link, back)
        ends.append(await counter.ended(order))
    assert [each.state for each in ends] == [State.DECLINED, State.APPROVED]
    told = [(each.name, each.verdict) for each in await listed(counter)]
    assert told[:2] == [(ends[1].id, "APPROVED"), (ends[0].id, "DECLINED")]
    for each in ends:
        del counter.backend.known[TID, each.id]
    assert [each.name for each in await listed(counter)] == [ends[1].id, paid.id]


@at_a_counter(other_tid=OTHER)
async def test_both_terminals_of_a_phone_are_asked(counter: Counter) -> None:
    order = await counter.order(1250)
    counter.backend.pay(await counter.shown(order), tid=OTHER)
    (entry,) = await listed(counter)
    assert (entry.tid, entry.verdict) == (OTHER, "APPROVED")
    counter.backend.known[TID, order.id] = counter.backend.known[OTHER, order.id]
    (entry,) = await listed(counter)
    assert entry.outcome is None
    assert entry.words.startswith("Both TIDs of the phone know it: ")


@at_a_counter()
async def test_one_answer_that_cannot_be_read_hides_no_other(counter: Counter) -> None:
    first, second = await counter.paid(100), await counter.paid(200)
    counter.backend.checks.append(there.answers(200, b"no JSON"))
    newest, oldest = await listed(counter)
    assert (newest.name, newest.outcome, newest.amount) == (second.id, None, None)
    assert newest.words
    assert (oldest.name, oldest.verdict) == (first.id, "APPROVED")


@at_a_counter()
async def test_a_backend_that_fails_is_not_a_list_that_ends(counter: Counter) -> None:
    first, second = await counter.paid(100), await counter.paid(200)
    counter.backend.checks.extend([there.tells, *[there.answers(500)] * 3])
    told = counter.driver.transactions(Instant(0), Instant(first.created_at + 86_400_000))
    assert (await anext(told)).name == second.id
    with pytest.raises(PeerError):
        await anext(told)


@at_a_counter()
async def test_the_last_transaction_is_the_newest_that_the_backend_knows(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await counter.gateway.engine.last_transaction(LANE)).entry is None
    paid = await counter.paid(1250)
    declined = await counter.order(300)
    counter.backend.pay(await counter.shown(declined), status="DECLINED")
    await counter.ended(declined)
    del counter.backend.known[TID, declined.id]
    last = await counter.gateway.engine.last_transaction(LANE)
    assert (last.trouble, last.journal and last.journal.id) == ("", declined.id)
    assert last.entry is not None
    assert (last.entry.name, last.entry.verdict) == (paid.id, "APPROVED")
    assert last.known == paid
    monkeypatch.setattr(books, "LOOKED_BACK", 1)
    last = await counter.gateway.engine.last_transaction(LANE)
    assert last.entry is None
    assert "none of the last 1" in last.trouble, "it may know an earlier one"


@at_a_counter()
async def test_the_last_transaction_is_told_while_nobody_knows_what_became_of_it(
    counter: Counter,
) -> None:
    order = await counter.order(1250)
    link = await counter.shown(order)
    await counter.lost(order)
    counter.backend.pay(link, status="SOSPESA")
    last = await counter.gateway.engine.last_transaction(LANE)
    assert last.entry is not None
    assert (last.entry.name, last.entry.verdict, last.entry.words) == (
        order.id,
        "UNKNOWN",
        "SOSPESA",
    )


@at_a_counter()
async def test_a_phone_runs_no_other_errand(counter: Counter) -> None:
    with pytest.raises(Unsupported):
        await counter.driver.perform(Show("Hello"), lambda _: None)
    assert await counter.driver.perform(AskLast(), lambda _: None) is None
