"""Why a terminal is blocked: told to tills, and counted."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from tests.kit.runner import virtual
from tests.kit.virtual_loop import VirtualClock, virtual_loop
from tests.unit.core.scripted import ScriptedDriver, approved, engine_on
from tests.unit.estate_fixture import purchase
from tillwire.clock import Instant
from tillwire.core.doubts import LONGEST, Awaits, Doubt, newest_doubt
from tillwire.core.engine import Engine
from tillwire.core.errands import Show
from tillwire.core.model import Event, State, Transaction, Verdict
from tillwire.core.occupancy import WhenBusy
from tillwire.core.ports import CannotTell, Found
from tillwire.errors import AnswerLost, TerminalBusy


def on(folder: Path, driver: ScriptedDriver):
    return engine_on(folder, driver, VirtualClock(virtual_loop()))


async def lost(engine: Engine) -> Transaction:
    sale = await engine.accept(purchase(), WhenBusy.REJECT)
    return await engine.wait(sale.id, lambda each: each.state is State.UNKNOWN, 60)


def counted(engine: Engine, sale: Transaction) -> dict[str, int]:
    driver = engine.estate.terminals[sale.terminal_id].driver
    return {
        awaits: number
        for (name, awaits), number in engine.blocked_count().items()
        if name == driver
    }


@virtual()
async def test_a_till_hears_what_the_driver_said_and_what_is_waited_for(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    driver.at_once = AnswerLost("The line was cut.")
    driver.found = [CannotTell("It prints."), CannotTell("Look at it.", needs_person=True)]
    async with on(tmp_path, driver) as engine:
        sale = await lost(engine)
        assert counted(engine, sale) == {"answer": 1, "person": 0}
        for seconds, awaits, words in (
            (0.5, Awaits.ANSWER, "The line was cut."),
            (1.0, Awaits.ANSWER, "It prints."),
            (3.0, Awaits.PERSON, "Look at it."),
        ):
            await asyncio.sleep(seconds)
            doubt = engine.doubt_of(sale.id)
            assert doubt is not None
            assert doubt.awaits is awaits
            assert doubt.words.endswith(words)
            with pytest.raises(TerminalBusy) as busy:
                await engine.accept(purchase(), WhenBusy.QUEUE)
            assert words in busy.value.detail
            assert busy.value.unresolved
            with pytest.raises(TerminalBusy) as busy:
                await engine.perform(sale.terminal_id, Show("no"))
            assert words in busy.value.detail
        assert counted(engine, sale) == {"answer": 0, "person": 1}
        assert "tillwire transactions decide" in busy.value.detail
        await engine.decide(sale.id, Verdict.DECLINED, person="Ada", reason="The bank says so.")
        assert engine.doubt_of(sale.id) is None
        assert counted(engine, sale) == {"answer": 0, "person": 0}


@virtual()
async def test_after_a_restart_it_is_asked_again(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    driver.at_once = AnswerLost("The line was cut.")
    driver.found = [CannotTell("Look at it.", needs_person=True)]
    async with on(tmp_path, driver) as engine:
        sale = await lost(engine)
        await asyncio.sleep(5)
    driver.found = [Found(approved())]
    async with on(tmp_path, driver) as engine:
        assert engine.doubt_of(sale.id) == Doubt()
        assert counted(engine, sale) == {"answer": 1, "person": 0}
        await asyncio.sleep(5)
        assert counted(engine, sale) == {"answer": 0, "person": 0}
        events = await engine.journal.read(lambda reader: reader.events(sale.id))
        assert newest_doubt(events) == Doubt(Awaits.PERSON, "Look at it.")


@virtual()
async def test_a_terminal_at_work_is_no_doubt(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with on(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REJECT)
        assert engine.doubt_of(sale.id) is None
        assert engine.doubt_of("0" * 31) is None
        assert sum(engine.blocked_count().values()) == 0
        with pytest.raises(TerminalBusy) as busy:
            await engine.accept(purchase(), WhenBusy.REJECT)
        assert not busy.value.unresolved


def event(name: str, **detail: str) -> Event:
    return Event("t", 1, name, State.UNKNOWN, Instant(0), detail)


def test_the_newest_event_tells() -> None:
    assert newest_doubt([]) == Doubt()
    asked = [event("lose", reason="cut"), event("cannot_tell", detail="busy")]
    assert newest_doubt(asked) == Doubt(Awaits.ANSWER, "busy")
    assert newest_doubt([*asked, event("needs_person", detail="look"), event("sign")]) == Doubt(
        Awaits.PERSON, "look"
    )
    again = [event("needs_person", detail="look"), event("cannot_tell", detail="away")]
    assert newest_doubt(again) == Doubt(Awaits.ANSWER, "away")


def test_endless_words_are_cut() -> None:
    doubt = newest_doubt([event("cannot_tell", detail="x" * 5000)])
    assert len(doubt.words) == LONGEST
    assert str(doubt).startswith("The terminal is still asked. xxx")
    assert str(msgspec.structs.replace(doubt, words="")) == "The terminal is still asked."
