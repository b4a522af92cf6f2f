"""Whatever goes wrong around the engine, a committed transaction is carried to a true end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.kit.runner import virtual
from tests.kit.virtual_loop import VirtualClock, virtual_loop
from tests.unit.core.scripted import ScriptedDriver, approved, engine_on, is_final
from tests.unit.estate_fixture import purchase
from tillwire.core.model import State, Terminal, Transaction
from tillwire.core.occupancy import WhenBusy
from tillwire.core.ports import AbortResult, Absent, Driver, Found
from tillwire.errors import AnswerLost


def on_virtual_time(folder: Path, driver: ScriptedDriver):
    return engine_on(folder, driver, VirtualClock(virtual_loop()), inline=True)


# --- callers --------------------------------------------------------------------------------


@virtual()
async def test_a_sale_whose_caller_is_cancelled_while_it_is_committed_is_carried_on(
    tmp_path: Path,
) -> None:
    driver = ScriptedDriver()
    async with on_virtual_time(tmp_path, driver) as engine:
        caller = asyncio.create_task(engine.accept(purchase(), WhenBusy.REJECT))
        await asyncio.sleep(0)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        await asyncio.sleep(1)
        (sale,) = await engine.journal.read(lambda reader: reader.open_transactions())
        assert [each.id for each in driver.ran] == [sale.id]
        driver.answer(sale, approved())
        assert (await engine.wait(sale.id, is_final, 5)).state is State.APPROVED


@virtual()
async def test_a_fetch_that_is_cancelled_while_it_is_committed_still_has_a_deadline(
    tmp_path: Path,
) -> None:
    driver = ScriptedDriver(pull=True)
    async with on_virtual_time(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REPLACE)
        terminal = asyncio.create_task(engine.fetch("t1"))
        await asyncio.sleep(0)
        terminal.cancel()
        with pytest.raises(asyncio.CancelledError):
            await terminal
        lost = await engine.wait(sale.id, lambda each: each.state is State.UNKNOWN, 3600)
        assert lost.state is State.UNKNOWN


# --- drivers --------------------------------------------------------------------------------


@virtual()
async def test_a_driver_that_cancels_itself_has_lost_the_answer(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with on_virtual_time(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REJECT)
        await driver.begun(sale)
        driver._answers[sale.id].cancel()
        lost = await engine.wait(sale.id, lambda each: each.state is State.UNKNOWN, 60)
        assert lost.state is State.UNKNOWN


@virtual()
async def test_a_question_that_cancels_itself_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = ScriptedDriver()
    driver.at_once = AnswerLost("reset")
    asked = 0

    async def recover(transaction: Transaction) -> Found:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise asyncio.CancelledError
        return Found(approved())

    monkeypatch.setattr(driver, "recover", recover)
    async with on_virtual_time(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REJECT)
        assert (await engine.wait(sale.id, is_final, 3600)).state is State.APPROVED


async def test_an_outcome_is_journaled_also_when_the_driver_cannot_be_built_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = ScriptedDriver()

    def broken(terminal: Terminal) -> Driver:
        raise ValueError("its settings are wrong by now")

    async with engine_on(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REJECT)
        await driver.begun(sale)
        monkeypatch.setattr(engine, "_driver_of", broken)
        driver.answer(sale, approved())
        assert (await engine.wait(sale.id, is_final, 5)).state is State.APPROVED


async def test_of_an_abort_that_failed_nobody_can_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = ScriptedDriver(abort=True)

    async def abort(transaction: Transaction) -> AbortResult:
        raise ZeroDivisionError

    monkeypatch.setattr(driver, "abort", abort)
    async with engine_on(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REJECT)
        assert await engine.abort(sale.id) is AbortResult.UNKNOWN
        driver.answer(sale, approved())
        assert (await engine.wait(sale.id, is_final, 5)).state is State.APPROVED


# --- proofs ---------------------------------------------------------------------------------


@virtual()
async def test_absent_proves_nothing_when_it_was_asked_before_send_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = ScriptedDriver()
    driver.at_once = AnswerLost("reset")
    answers = [Absent("not there"), Found(approved())]

    async def recover(transaction: Transaction) -> Found | Absent:
        await asyncio.sleep(10)  # the peer looked at once, and its answer took its time
        return answers.pop(0)

    monkeypatch.setattr(driver, "recover", recover)
    async with on_virtual_time(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REJECT)
        assert (await engine.wait(sale.id, is_final, 3600)).state is State.APPROVED


@virtual()
async def test_absent_proves_nothing_when_it_was_handed_out_again_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = ScriptedDriver(pull=True)
    answered = asyncio.Event()
    asked = asyncio.Event()

    async def recover(transaction: Transaction) -> Absent:
        asked.set()
        await answered.wait()
        return Absent("not there")

    monkeypatch.setattr(driver, "recover", recover)
    async with on_virtual_time(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REPLACE)
        assert await engine.fetch("t1") is not None
        await asyncio.sleep(driver.capabilities.send_within + 1)
        driver.answer(sale, AnswerLost("reset"))
        await asked.wait()
        assert await engine.fetch("t1") is not None
        answered.set()
        await asyncio.sleep(0.1)
        known = await engine.find(sale.id)
        assert known is not None
        assert known.state is State.UNKNOWN


# --- whoever watches ------------------------------------------------------------------------


async def test_a_watcher_that_fails_does_not_stop_a_sale(tmp_path: Path) -> None:
    class Failing:
        def transition(self, before: Transaction | None, after: Transaction, event: str) -> None:
            raise OSError("no space left for logs")

    driver = ScriptedDriver()
    driver.at_once = approved()
    async with engine_on(tmp_path, driver) as engine:
        engine._watch = Failing()
        sale = await engine.accept(purchase(), WhenBusy.REJECT)
        assert (await engine.wait(sale.id, is_final, 5)).state is State.APPROVED
