"""Reservations that are raised, lowered, captured and released: never more than is reserved."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from tests.unit.core.scripted import DECLINED, ScriptedDriver, approved, engine_on, is_final
from tests.unit.core.test_engine import paid
from tests.unit.estate_fixture import purchase
from tillwire.core.engine import Engine
from tillwire.core.model import Transaction, TransactionType
from tillwire.core.occupancy import WhenBusy
from tillwire.errors import Conflict

Follow = Callable[..., Awaitable[Transaction]]


def following(engine: Engine, driver: ScriptedDriver, held: Transaction) -> Follow:
    """Has the pre-authorisation, or another original, followed by what is approved wholly."""

    async def follow(
        kind: TransactionType, minor: int, *, original: str = "", reserved: int | None = None
    ) -> Transaction:
        driver.at_once = approved(minor)
        request = purchase(minor, type=kind, original=original or held.id)
        request = msgspec.structs.replace(request, reserved=reserved)
        made = await engine.accept(request, WhenBusy.REJECT)
        return await engine.wait(made.id, is_final, 5)

    return follow


async def is_reversed(engine: Engine, transaction: Transaction) -> bool:
    found = await engine.find(transaction.id)
    assert found is not None
    return found.reversed_at is not None


async def test_a_raised_reservation_is_released_wholly(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        held = await paid(engine, driver, type=TransactionType.PREAUTH)
        follow = following(engine, driver, held)
        raised = await follow(TransactionType.INCREMENT, 750)
        with pytest.raises(Conflict, match=r"20\.00 EUR"):
            await follow(TransactionType.REVERSAL, 2001)
        await follow(TransactionType.REVERSAL, 1250)
        assert not await is_reversed(engine, held), "7.50 are reserved still"
        await follow(TransactionType.REVERSAL, 750)
        assert await is_reversed(engine, held)
        with pytest.raises(Conflict, match=r"0\.00 EUR"):
            await follow(TransactionType.REVERSAL, 1, original=raised.id)
        with pytest.raises(Conflict, match="reversed"):
            await follow(TransactionType.INCREMENT, 100)


async def test_what_was_captured_or_lowered_is_not_released(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        held = await paid(engine, driver, type=TransactionType.PREAUTH)
        follow = following(engine, driver, held)
        raised = await follow(TransactionType.INCREMENT, 750)
        await follow(TransactionType.INCREMENT, -500)
        await follow(TransactionType.CAPTURE, 1000)
        for original in (held, raised):
            with pytest.raises(Conflict, match=r"5\.00 EUR"):
                await follow(TransactionType.REVERSAL, 501, original=original.id)
        await follow(TransactionType.REVERSAL, 500)
        assert not await is_reversed(engine, held), "a part of it was paid"
        with pytest.raises(Conflict):
            await follow(TransactionType.CAPTURE, 1)


async def test_a_reservation_whose_changes_were_undone_is_reversed_with_the_last_of_it(
    tmp_path: Path,
) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        held = await paid(engine, driver, type=TransactionType.PREAUTH)
        follow = following(engine, driver, held)
        raised = await follow(TransactionType.INCREMENT, 750)
        await follow(TransactionType.REVERSAL, 1250)
        await follow(TransactionType.REVERSAL, 750, original=raised.id)
        assert await is_reversed(engine, raised)
        assert await is_reversed(engine, held)


async def test_a_reservation_that_is_just_being_raised_is_not_reversed_yet(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        held = await paid(engine, driver, type=TransactionType.PREAUTH)
        follow = following(engine, driver, held)
        driver.at_once = None
        request = purchase(750, type=TransactionType.INCREMENT, original=held.id, terminal="t2")
        raising = await engine.accept(request, WhenBusy.REJECT)
        await driver.begun(raising)
        await follow(TransactionType.REVERSAL, 1250)
        assert not await is_reversed(engine, held)
        driver.answer(raising, DECLINED)
        await engine.wait(raising.id, is_final, 5)
        assert await is_reversed(engine, held)


async def test_a_release_for_an_outdated_picture_is_refused(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        held = await paid(engine, driver, type=TransactionType.PREAUTH)
        follow = following(engine, driver, held)
        await follow(TransactionType.INCREMENT, 750)
        with pytest.raises(Conflict, match=r"it is 20\.00 EUR now"):
            await follow(TransactionType.REVERSAL, 1250, reserved=1250)
        await follow(TransactionType.REVERSAL, 2000, reserved=2000)


async def test_racing_releases_and_captures_stay_within_what_is_reserved(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        held = await paid(engine, driver, type=TransactionType.PREAUTH)
        follow = following(engine, driver, held)
        raised = await follow(TransactionType.INCREMENT, 750)
        driver.at_once = None
        wishes = [
            (TransactionType.REVERSAL, 2000, held.id),
            (TransactionType.CAPTURE, 2000, held.id),
            (TransactionType.REVERSAL, 750, raised.id),
        ]
        made = await asyncio.gather(
            *(
                engine.accept(
                    purchase(minor, type=kind, original=original, terminal=terminal),
                    WhenBusy.REJECT,
                )
                for terminal, (kind, minor, original) in zip(
                    ("t1", "t2", "t3"), wishes, strict=True
                )
            ),
            return_exceptions=True,
        )
        assert sorted(isinstance(each, Conflict) for each in made) == [False, True, True], made
