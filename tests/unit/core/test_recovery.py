"""Deadlines and the ladder from UNKNOWN to fact, on a virtual clock."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from tests.kit.runner import virtual
from tests.kit.virtual_loop import VirtualClock, virtual_loop
from tests.unit.core.scripted import ScriptedDriver, approved, engine_on, is_final
from tests.unit.estate_fixture import purchase
from tillwire.core.model import Evidence, State, Transaction
from tillwire.core.occupancy import WhenBusy
from tillwire.core.ports import AbortResult, Absent, CannotTell, Found
from tillwire.core.recovery import CALLED_OFF, FIRST_PAUSE, LONGEST_PAUSE
from tillwire.errors import AnswerLost, Proof


def on_virtual_time(folder: Path, driver: ScriptedDriver):
    return engine_on(folder, driver, VirtualClock(virtual_loop()))


@virtual()
async def test_an_outcome_that_does_not_come_in_time_is_unknown_not_failed(
    tmp_path: Path,
) -> None:
    driver = ScriptedDriver()
    async with on_virtual_time(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REJECT)
        begun = engine.clock.monotonic()
        lost = await engine.wait(sale.id, lambda each: each.state is State.UNKNOWN, 3600)
        assert lost.state is State.UNKNOWN
        waited = engine.clock.monotonic() - begun
        assert abs(waited - driver.capabilities.outcome_within) < 1


@virtual()
async def test_recovery_asks_with_growing_pauses_until_it_is_told(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    driver.at_once = AnswerLost("reset")
    driver.found = [CannotTell("busy"), OSError("away"), CannotTell("busy"), Found(approved())]
    async with on_virtual_time(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REJECT)
        begun = engine.clock.monotonic()
        found = await engine.wait(sale.id, is_final, 3600)
        assert found.state is State.APPROVED
        assert found.outcome is not None
        assert found.outcome.evidence is Evidence.RECOVERED
        assert len(driver.asked) == 4
        waited = engine.clock.monotonic() - begun
        assert FIRST_PAUSE * (1 + 2 + 4 + 8) <= waited <= 4 * LONGEST_PAUSE


@virtual()
async def test_a_proof_of_absence_counts_only_after_send_by(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    driver.capabilities = msgspec.structs.replace(driver.capabilities, send_within=20.0)
    driver.at_once = AnswerLost("reset")
    driver.found = [Absent("not there") for _ in range(20)]
    async with on_virtual_time(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REJECT)
        failed = await engine.wait(sale.id, is_final, 3600)
        assert (failed.state, failed.proof) == (State.FAILED, Proof.ABSENT_AT_PEER)
        assert failed.ended_at is not None
        assert failed.send_by is not None
        assert failed.ended_at > failed.send_by


@virtual()
async def test_what_waits_too_long_there_is_called_off_until_that_is_answered(
    tmp_path: Path,
) -> None:
    """And the answer is not believed: what came of it, the next question tells."""
    driver = ScriptedDriver()
    driver.at_once = AnswerLost("reset")
    one, both = frozenset({"a"}), frozenset({"a", "b"})
    driver.found = [
        CannotTell("waits"),
        *[CannotTell("waits", overdue=one)] * 5,
        CannotTell("waits"),
        *[CannotTell("waits", overdue=both)] * 2,
        CannotTell("waits", overdue=one),
    ]
    away = OSError("away")
    answers = [away, AbortResult.UNKNOWN, AbortResult.TOO_LATE, away, AbortResult.ABORTED]

    async def abort(transaction: Transaction) -> AbortResult:
        noted = engine.journal.read_now(lambda reader: reader.events(transaction.id))
        said.append(sum(each.name == CALLED_OFF for each in noted))
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    said: list[int] = []
    driver.abort = abort
    async with on_virtual_time(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REJECT)
        await asyncio.sleep(150)
        assert said == [1, 2, 3, 4, 5], "each is in the journal before it is asked for"
        known = await engine.find(sale.id)
        assert known is not None
        assert known.state is State.UNKNOWN
        assert len(driver.asked) > 10, "and it is still asked for"


@virtual()
async def test_when_only_a_person_can_tell_it_stops_asking_and_stays_open(
    tmp_path: Path,
) -> None:
    driver = ScriptedDriver()
    driver.at_once = AnswerLost("reset")
    driver.found = [CannotTell("The terminal lost its memory.", needs_person=True)]
    async with on_virtual_time(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REJECT)
        assert (await engine.wait(sale.id, is_final, 24 * 3600)).state is State.UNKNOWN
        assert len(driver.asked) == 1
        events = await engine.journal.read(lambda reader: reader.events(sale.id))
        assert events[-1].name == "needs_person"
        assert events[-1].detail == {"detail": "The terminal lost its memory."}


@virtual()
async def test_a_wrong_answer_of_recovery_is_no_answer(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    driver.at_once = AnswerLost("reset")
    driver.found = [Found(approved(999_999)), Found(approved())]
    async with on_virtual_time(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REJECT)
        found = await engine.wait(sale.id, is_final, 3600)
        assert found.approved_amount == 1250
        assert len(driver.asked) == 2


@virtual()
async def test_after_a_restart_recovery_goes_on(tmp_path: Path) -> None:
    async with on_virtual_time(tmp_path, ScriptedDriver()) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REJECT)
    driver = ScriptedDriver()
    driver.found = [Found(approved())]
    async with on_virtual_time(tmp_path, driver) as engine:
        found = await engine.wait(sale.id, is_final, 3600)
        assert found.state is State.APPROVED
        assert driver.ran == []


@virtual()
async def test_a_thousand_open_ones_are_asked_about_a_few_at_a_time(tmp_path: Path) -> None:
    asking = 0
    most = 0

    class SlowDriver(ScriptedDriver):
        async def recover(self, transaction):
            nonlocal asking, most
            asking += 1
            most = max(most, asking)
            await asyncio.sleep(5)
            asking -= 1
            return Found(approved())

    driver = SlowDriver()
    driver.at_once = AnswerLost("reset")
    async with on_virtual_time(tmp_path, driver) as engine:
        sales = []
        for number in range(200):
            await engine.change_estate(lambda unit, n=number: unit.put(_terminal(engine, n)))
            request = purchase(terminal=f"many{number}")
            sales.append(await engine.accept(request, WhenBusy.REJECT))
        for sale in sales:
            assert (await engine.wait(sale.id, is_final, 3600)).state is State.APPROVED
        assert 1 < most <= 64


def _terminal(engine, number: int):
    return msgspec.structs.replace(
        engine.estate.terminals["t1"], id=f"many{number}", serial=f"many{number}"
    )


@virtual()
async def test_what_waits_too_long_for_its_terminal_is_given_up_with_proof(
    tmp_path: Path,
) -> None:
    driver = ScriptedDriver()
    async with on_virtual_time(tmp_path, driver) as engine:
        await engine.accept(purchase(), WhenBusy.REJECT)
        waiting = await engine.accept(purchase(expires_in=30.0), WhenBusy.QUEUE)
        given_up = await engine.wait(waiting.id, is_final, 3600)
        assert (given_up.state, given_up.proof) == (State.CANCELLED, Proof.NEVER_SENT)
        assert given_up.ended_at is not None
        assert 30_000 <= given_up.ended_at - given_up.created_at < 31_000
        assert len(driver.ran) == 1


@virtual()
async def test_a_fetch_that_comes_too_late_after_its_commit_hands_out_nothing(
    tmp_path: Path,
) -> None:
    driver = ScriptedDriver(pull=True)
    async with on_virtual_time(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REPLACE)
        commit = engine.journal.commit

        async def slow_commit(work):
            result = await commit(work)
            await asyncio.sleep(60)  # the process was paused between commit and answer
            return result

        engine.journal.commit = slow_commit
        assert await engine.fetch("t1") is None
        engine.journal.commit = commit
        again = await engine.fetch("t1")
        assert again is not None
        assert (again.id, again.state) == (sale.id, State.SENT)
