"""Whatever goes wrong around the engine, a committed transaction is carried to a true end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from tests.kit.runner import virtual
from tests.kit.virtual_loop import VirtualClock, virtual_loop
from tests.unit.core.scripted import ScriptedDriver, approved, engine_on, is_final
from tests.unit.estate_fixture import purchase
from tillwire.clock import Instant, SystemClock
from tillwire.core.estate_model import Lifecycle, Terminal
from tillwire.core.model import State, Transaction
from tillwire.core.occupancy import WhenBusy
from tillwire.core.ports import AbortResult, Absent, Driver, Found
from tillwire.errors import AnswerLost, Conflict, Proof
from tillwire.journal.sqlite import SqliteJournal


def on_virtual_time(folder: Path, driver: ScriptedDriver):
    return engine_on(folder, driver, VirtualClock(virtual_loop()))


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
        engine._changes._watch = Failing()
        sale = await engine.accept(purchase(), WhenBusy.REJECT)
        assert (await engine.wait(sale.id, is_final, 5)).state is State.APPROVED


# --- clocks and restarts --------------------------------------------------------------------


class JumpingClock(SystemClock):
    """The wall clock goes ahead of all timers: the machine slept, or its clock was set."""

    ahead = 0

    def now(self) -> Instant:
        return Instant(super().now() + self.ahead)


async def test_what_has_expired_is_not_handed_out_though_its_timer_is_late(
    tmp_path: Path,
) -> None:
    driver, clock = ScriptedDriver(pull=True), JumpingClock()
    async with engine_on(tmp_path, driver, clock) as engine:
        sale = await engine.accept(purchase(expires_in=30.0), WhenBusy.QUEUE)
        next_one = await engine.accept(purchase(), WhenBusy.QUEUE)
        clock.ahead = 3_600_000
        fetched = await engine.fetch("t1")
        assert fetched is not None
        assert fetched.id == next_one.id
        known = await engine.find(sale.id)
        assert known is not None
        assert (known.state, known.proof) == (State.CANCELLED, Proof.NEVER_SENT)


async def test_what_has_expired_does_not_get_its_turn(tmp_path: Path) -> None:
    driver, clock = ScriptedDriver(), JumpingClock()
    async with engine_on(tmp_path, driver, clock) as engine:
        first = await engine.accept(purchase(), WhenBusy.QUEUE)
        late = await engine.accept(purchase(expires_in=30.0), WhenBusy.QUEUE)
        last = await engine.accept(purchase(), WhenBusy.QUEUE)
        clock.ahead = 3_600_000
        await driver.begun(first)
        driver.answer(first, approved())
        async with asyncio.timeout(30):
            await driver.begun(last)
        assert [each.id for each in driver.ran] == [first.id, last.id]
        known = await engine.find(late.id)
        assert known is not None
        assert (known.state, known.proof) == (State.CANCELLED, Proof.NEVER_SENT)


async def test_after_a_restart_nothing_is_sent_that_does_not_outlive_one(tmp_path: Path) -> None:
    async with engine_on(tmp_path, ScriptedDriver(pull=True)) as engine:
        queue = [await engine.accept(purchase(waits=False), WhenBusy.QUEUE) for _ in range(3)]
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        known = [await engine.find(each.id) for each in queue]
        assert [each.state for each in known if each] == [State.CANCELLED] * 3
        assert driver.ran == []


# --- the estate changes ---------------------------------------------------------------------


async def test_a_terminal_that_another_program_removed_takes_nothing_any_more(
    tmp_path: Path,
) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        removed = msgspec.structs.replace(
            engine.estate.terminals["t1"], lifecycle=Lifecycle.REMOVED
        )
        other = SqliteJournal(tmp_path / "journal.db")
        await other.commit(lambda unit: unit.put(removed))
        other.close()
        with pytest.raises(Conflict, match="REMOVED"):
            await engine.accept(purchase(), WhenBusy.REJECT)
        assert (await engine.accept(purchase(terminal="t2"), WhenBusy.REJECT)).sent_at


async def test_who_asks_again_under_its_key_learns_of_its_sale_at_a_removed_terminal(
    tmp_path: Path,
) -> None:
    driver = ScriptedDriver()
    driver.at_once = approved()
    async with engine_on(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(idempotency_key="k"), WhenBusy.REJECT)
        await engine.wait(sale.id, is_final, 5)
        removed = msgspec.structs.replace(
            engine.estate.terminals["t1"], lifecycle=Lifecycle.REMOVED
        )
        await engine.change_estate(lambda unit: unit.put(removed))
        again = await engine.accept(purchase(idempotency_key="k"), WhenBusy.REJECT)
        assert (again.id, again.state) == (sale.id, State.APPROVED)
        with pytest.raises(Conflict, match="REMOVED"):
            await engine.accept(purchase(idempotency_key="other"), WhenBusy.REJECT)


# --- terminals ------------------------------------------------------------------------------


async def test_a_terminal_that_fetches_in_a_loop_does_not_fill_the_journal(
    tmp_path: Path,
) -> None:
    driver, clock = ScriptedDriver(pull=True), JumpingClock()
    async with engine_on(tmp_path, driver, clock) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REPLACE)
        for _ in range(50):
            fetched = await engine.fetch("t1")
            assert fetched is not None
            assert fetched.id == sale.id
        clock.ahead = 4_000
        again = await engine.fetch("t1")
        assert again is not None
        assert again.send_by is not None
        assert again.send_by > clock.now()
        events = await engine.journal.read(lambda reader: reader.events(sale.id))
        assert [event.name for event in events] == ["accept", "dispatch", "redeliver"]
