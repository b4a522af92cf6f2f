"""What others can cause as often as they like, within limits."""

from __future__ import annotations

import asyncio

from tests.kit.runner import virtual
from tests.kit.virtual_loop import virtual_loop
from tillwire.net.per_minute import NAMES, EachPerMinute


@virtual()
async def test_each_name_has_a_limit_of_its_own() -> None:
    counts = EachPerMinute(virtual_loop().clock, 2)
    assert [counts.is_one_too_many("a") for _ in range(4)] == [False, False, True, True]
    assert not counts.is_one_too_many("b")


@virtual()
async def test_its_minute_begins_with_the_first() -> None:
    counts = EachPerMinute(virtual_loop().clock, 1)
    assert not counts.is_one_too_many("a")
    await asyncio.sleep(59)
    assert counts.is_one_too_many("a")
    await asyncio.sleep(2)
    assert not counts.is_one_too_many("a")


@virtual()
async def test_the_names_that_came_last_are_remembered() -> None:
    counts = EachPerMinute(virtual_loop().clock, 1)
    for number in range(NAMES + 1):
        counts.is_one_too_many(str(number))
    assert not counts.is_one_too_many("0"), "it was forgotten for the newest"
    assert counts.is_one_too_many(str(NAMES))
