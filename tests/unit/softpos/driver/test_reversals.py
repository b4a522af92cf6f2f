"""What is said of a reversal, by its own id and by its original's: the app reverses its last
payment whatever it is told, so no word but a reversed original means that money went back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.unit.softpos.driver.backend import TID
from tests.unit.softpos.driver.counter import Counter, at_a_counter
from tillwire.core.model import State, TransactionType

_T = TransactionType
DAY = 86_400


@pytest.mark.parametrize("word", ["STORNATA", "ERROR"])
@at_a_counter()
async def test_silence_proves_nothing_when_its_original_is_not_approved_any_more(
    counter: Counter, word: str | None
) -> None:
    paid = await counter.paid(1250)
    order = await counter.order(1250, _T.REVERSAL, original=paid)
    await counter.shown(order)
    counter.backend.known[TID, paid.id]["status"] = word
    await counter.lost(order)
    await asyncio.sleep(DAY + 1_000)
    assert (await counter.now(order)).state is State.UNKNOWN, "it may well have been reversed"
    assert counter.for_a_person(order)


@at_a_counter()
async def test_an_original_that_is_forgotten_proves_nothing(counter: Counter) -> None:
    paid = await counter.paid(1250)
    order = await counter.order(1250, _T.REVERSAL, original=paid)
    await counter.shown(order)
    del counter.backend.known[TID, paid.id]
    await counter.lost(order)
    await asyncio.sleep(DAY + 1_000)
    assert (await counter.now(order)).state is State.UNKNOWN
    assert counter.for_a_person(order)


@at_a_counter()
async def test_a_reversal_that_nobody_opens_is_absent_after_the_horizon(counter: Counter) -> None:
    paid = await counter.paid(1250)
    order = await counter.order(1250, _T.REVERSAL, original=paid)
    await counter.shown(order)
    await counter.lost(order)
    assert (await counter.ended(order, DAY + 1_000)).state is State.FAILED


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
    assert counter.for_a_person(order)
