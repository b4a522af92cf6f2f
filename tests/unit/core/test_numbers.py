"""A number is given out once, whatever happens in between."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.unit.core.scripted import ScriptedDriver, engine_on
from tillwire.core import numbers
from tillwire.core.numbers import BLOCK
from tillwire.errors import JournalReadOnly


async def test_a_new_series_begins_at_the_clock_and_counts_on(tmp_path: Path) -> None:
    async with engine_on(tmp_path, ScriptedDriver()) as engine:
        begun = engine.clock.now()
        first = await engine.number("t1")
        assert begun <= first <= engine.clock.now()
        assert [await engine.number("t1") for _ in range(BLOCK)] == list(
            range(first + 1, first + BLOCK + 1)
        )


async def test_callers_at_once_and_after_restarts_get_different_numbers(tmp_path: Path) -> None:
    given: list[int] = []
    for _ in range(3):
        async with engine_on(tmp_path, ScriptedDriver()) as engine:
            given += await asyncio.gather(*(engine.number("t1") for _ in range(250)))
            upcoming = await engine.journal.commit(lambda unit: unit.reserve_numbers("t1", 0, 0))
    assert len(set(given)) == len(given) == 750
    assert upcoming == given[0] + 3 * 3 * BLOCK  # three blocks in each life, and no more


async def test_each_series_has_its_own_numbers(tmp_path: Path) -> None:
    async with engine_on(tmp_path, ScriptedDriver()) as engine:
        first, other = await engine.number("t1"), await engine.number("t2")
        assert await engine.number("t1") == first + 1
        assert await engine.number("t2") == other + 1


async def test_a_caller_that_hangs_up_repeats_no_number(tmp_path: Path) -> None:
    async with engine_on(tmp_path, ScriptedDriver()) as engine:
        asking = [asyncio.create_task(engine.number("t1")) for _ in range(20)]
        await asyncio.sleep(0)
        for each in asking[::2]:
            each.cancel()
        ends = await asyncio.gather(*asking, return_exceptions=True)
        given = [each for each in ends if isinstance(each, int)]
        given += [await engine.number("t1") for _ in range(2 * BLOCK)]
        assert len(set(given)) == len(given) >= 10 + 2 * BLOCK


async def test_no_number_is_given_out_that_is_not_reserved(tmp_path: Path) -> None:
    async with engine_on(tmp_path, ScriptedDriver()) as engine:
        connection = engine.journal._writer._committer._connection
        connection.execute("PRAGMA query_only = ON")
        with pytest.raises(JournalReadOnly):
            await engine.number("t1")
        connection.execute("PRAGMA query_only = OFF")
        assert await engine.number("t1") > 0


async def test_a_series_that_is_not_at_hand_any_more_goes_on_behind_its_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbers, "MOST_SERIES", 2)
    async with engine_on(tmp_path, ScriptedDriver()) as engine:
        first = await engine.number("t1")
        for series in ("t2", "t3"):
            await engine.number(series)
        assert await engine.number("t1") == first + BLOCK
