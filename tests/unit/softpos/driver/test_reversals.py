"""What is said of a reversal, by its own id and by its original's: the app reverses its last
payment whatever it is told, so no word but a reversed original means that money went back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.unit.softpos.driver.backend import TID
from tests.unit.softpos.driver.counter import Counter, at_a_counter, set_by
from tillwire.core.model import State, TransactionType, Verdict
from tillwire.dialects.softpos.driver import phone
from tillwire.dialects.softpos.driver.outcome import TERMINAL_ID
from tillwire.errors import Proof

_T = TransactionType
HOUR = 3_600
OTHER = "30009999"


@pytest.mark.parametrize("word", ["STORNATA", "ERROR"])
@at_a_counter(horizon_seconds=HOUR)
async def test_silence_proves_nothing_when_its_original_is_not_approved_any_more(
    counter: Counter, word: str | None
) -> None:
    paid = await counter.paid(1250)
    order = await counter.order(1250, _T.REVERSAL, original=paid)
    await counter.shown(order)
    counter.backend.known[TID, paid.id]["status"] = word
    await counter.lost(order)
    await asyncio.sleep(HOUR + 1_000)
    assert (await counter.now(order)).state is State.UNKNOWN, "it may well have been reversed"
    assert counter.told(order)


WRITTEN_INTO = [
    ({"operationType": "REVERSAL"}, "The backend calls it REVERSAL"),
    ({"amount": 0}, "The backend tells of 0 minor units"),
    ({"resultCode": 22}, "The backend calls it approved, with result 22"),
]
"""How a backend may write a reversal into the payment's own record."""


@pytest.mark.parametrize(("changes", "words"), WRITTEN_INTO)
@at_a_counter(horizon_seconds=HOUR)
async def test_an_original_that_is_not_as_it_was_may_have_been_reversed(
    counter: Counter, changes: dict[str, Any], words: str
) -> None:
    paid = await counter.paid(1250)
    order = await counter.order(1250, _T.REVERSAL, original=paid)
    await counter.shown(order)
    counter.backend.known[TID, paid.id].update(changes)
    await counter.lost(order)
    await asyncio.sleep(HOUR + 1_000)
    assert (await counter.now(order)).state is State.UNKNOWN
    assert f"Its original: {words}" in counter.words(order)[-1]
    assert counter.told(order)


@pytest.mark.parametrize(("changes", "words"), WRITTEN_INTO)
@at_a_counter()
async def test_no_link_for_an_original_that_is_not_as_it_was(
    counter: Counter, changes: dict[str, Any], words: str
) -> None:
    paid = await counter.paid(1250)
    counter.backend.known[TID, paid.id].update(changes)
    failed = await counter.ended(await counter.order(1250, _T.REVERSAL, original=paid), 10)
    assert (failed.state, failed.proof) == (State.FAILED, Proof.NEVER_SENT)
    assert words in counter.reasons(failed)[-1]
    assert phone.LINK not in failed.peer


@at_a_counter(horizon_seconds=HOUR)
async def test_an_original_that_is_forgotten_proves_nothing(counter: Counter) -> None:
    paid = await counter.paid(1250)
    order = await counter.order(1250, _T.REVERSAL, original=paid)
    await counter.shown(order)
    del counter.backend.known[TID, paid.id]
    await counter.lost(order)
    await asyncio.sleep(HOUR + 1_000)
    assert (await counter.now(order)).state is State.UNKNOWN
    assert counter.told(order)


@at_a_counter(horizon_seconds=HOUR)
async def test_a_reversal_that_nobody_opens_is_absent_after_the_horizon(counter: Counter) -> None:
    paid = await counter.paid(1250)
    order = await counter.order(1250, _T.REVERSAL, original=paid)
    await counter.shown(order)
    await counter.lost(order)
    assert (await counter.ended(order, HOUR + 1_000)).state is State.FAILED


@pytest.mark.parametrize(
    ("own", "original", "words"),
    [
        ({"status": "DECLINED"}, {"status": "REVERSED"}, "by something else"),
        ({}, {"status": "REVERSED", "importo": 500}, "unclear: amount"),
        ({}, {"status": "REVERSED", "amount": 500}, "500 minor units"),
    ],
)
@at_a_counter()
async def test_words_that_do_not_fit_together_are_for_a_person(
    counter: Counter, own: dict[str, Any], original: dict[str, Any], words: str
) -> None:
    paid = await counter.paid(1250)
    order = await counter.order(1250, _T.REVERSAL, original=paid)
    counter.backend.pay(await counter.shown(order), **own)
    counter.backend.known[TID, paid.id].update(original)
    await counter.lost(order)
    await asyncio.sleep(600)
    assert (await counter.now(order)).state is State.UNKNOWN
    assert words in counter.words(order)[-1]
    assert counter.told(order)


@at_a_counter()
async def test_an_original_that_is_reversed_a_moment_later_is_waited_for(counter: Counter) -> None:
    """The backend may know of the reversal before it has done it."""
    paid = await counter.paid(1250)
    order = await counter.order(1250, _T.REVERSAL, original=paid)
    counter.backend.pay(await counter.shown(order))
    await counter.restart()
    await asyncio.sleep(10)
    assert "another payment" in counter.words(order)[-1], "it was asked for, and did not fit"
    assert not counter.told(order)
    counter.backend.known[TID, paid.id]["status"] = "REVERSED"
    assert (await counter.ended(order, 400)).state is State.APPROVED


@at_a_counter()
async def test_a_reversal_of_which_only_its_original_tells_has_none_of_the_payment_s_numbers(
    counter: Counter,
) -> None:
    """Books would take it for the payment by them, and its receipt would be of another time."""
    paid = await counter.paid(1250)
    order = await counter.order(1250, _T.REVERSAL, original=paid)
    await counter.shown(order)
    counter.backend.known[TID, paid.id]["status"] = "REVERSED"
    done = (await counter.ended(order, 20)).outcome
    assert done is not None
    assert (done.verdict, done.approved_amount) == (Verdict.APPROVED, 1250)
    assert (done.brand, done.card_last4) == ("VISA", "5938")
    assert done.handle == {TERMINAL_ID: TID}
    numbers = (done.stan, done.authorisation_code, done.acquirer_reference, done.response_code)
    assert (done.at, set(numbers)) == (None, {""})


# --- which payment the app would reverse --------------------------------------------------------


@at_a_counter()
async def test_no_link_for_a_reversal_that_would_hit_a_later_payment(counter: Counter) -> None:
    first = await counter.paid(1250)
    last = await counter.paid(800)
    failed = await counter.ended(await counter.order(1250, _T.REVERSAL, original=first), 10)
    assert (failed.state, failed.proof) == (State.FAILED, Proof.NEVER_SENT)
    assert phone.LINK not in failed.peer
    assert last.id in counter.reasons(failed)[-1], "that is what the app would have reversed"


@at_a_counter()
async def test_a_payment_that_was_reversed_stands_in_no_other_s_way(counter: Counter) -> None:
    first = await counter.paid(1250)
    last = await counter.paid(800)
    order = await counter.order(800, _T.REVERSAL, original=last)
    counter.backend.pay(await counter.shown(order))
    counter.backend.known[TID, last.id]["status"] = "REVERSED"
    assert (await counter.ended(order, 20)).state is State.APPROVED
    again = await counter.order(1250, _T.REVERSAL, original=first)
    assert "neximpos://reversal" in await counter.shown(again)


@at_a_counter()
async def test_no_link_for_a_reversal_of_a_payment_of_another_month(counter: Counter) -> None:
    """The app knows the payments of this month alone. It is March 14th."""
    paid = await counter.paid(1250)
    for days, state in ((19, State.FAILED), (17, State.SENT)):
        with set_by(counter, days * 24 * HOUR):
            order = await counter.order(1250, _T.REVERSAL, original=paid)
            await asyncio.sleep(2)
            assert (await counter.now(order)).state is state
    assert phone.LINK in (await counter.now(order)).peer


@at_a_counter(reverses_last=False)
async def test_a_mobile_pos_reverses_the_payment_that_is_named(counter: Counter) -> None:
    first = await counter.paid(1250)
    await counter.paid(800)
    order = await counter.order(1250, _T.REVERSAL, original=first)
    assert "neximpos://reversal" in await counter.shown(order)


@at_a_counter(other_tid=OTHER)
async def test_a_later_payment_on_the_other_tid_is_not_the_app_s_last(counter: Counter) -> None:
    first = await counter.paid(1250)
    later = await counter.order(800)
    counter.backend.pay(await counter.shown(later), tid=OTHER)
    assert (await counter.ended(later, 20)).state is State.APPROVED
    order = await counter.order(1250, _T.REVERSAL, original=first)
    assert "neximpos://reversal" in await counter.shown(order)


@at_a_counter()
async def test_what_a_person_decided_is_reversed_on_the_phone_itself(counter: Counter) -> None:
    order = await counter.order(1250)
    counter.backend.pay(await counter.shown(order), status="SOSPESA")
    await counter.lost(order)
    decided = await counter.gateway.engine.decide(
        order.id, Verdict.APPROVED, person="Ada", reason="It is in the portal."
    )
    counter.backend.known[TID, order.id]["status"] = "APPROVED"
    failed = await counter.ended(await counter.order(1250, _T.REVERSAL, original=decided), 10)
    assert (failed.state, failed.proof) == (State.FAILED, Proof.NEVER_SENT)
    assert "reverse it on the phone itself" in counter.reasons(failed)[-1]
