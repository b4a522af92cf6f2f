"""A terminal that an UNKNOWN blocks may be asked for its last transaction. When the UNKNOWN ends
meanwhile, the next payment has the terminal, and begins when the question is over."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from tests.kit.runner import virtual
from tests.kit.virtual_loop import VirtualClock, virtual_loop
from tests.unit.core.scripted import ScriptedDriver, approved, engine_on
from tests.unit.estate_fixture import purchase
from tillwire.core.engine import Engine
from tillwire.core.entries import Entry
from tillwire.core.errands import AskLast, ErrandFailed, Result
from tillwire.core.model import Outcome, State, Transaction
from tillwire.core.occupancy import WhenBusy
from tillwire.core.ports import AbortResult, CannotTell, Found, Progress
from tillwire.errors import AnswerLost, TerminalBusy

ENTRY = Entry(name="000124")


def on(folder: Path, driver: ScriptedDriver):
    return engine_on(folder, driver, VirtualClock(virtual_loop()))


async def lost(engine: Engine, driver: ScriptedDriver) -> Transaction:
    """A payment that nobody can tell about, and will not by itself."""
    driver.found = [CannotTell("Look at it.", needs_person=True)]
    sale = await engine.accept(purchase(), WhenBusy.REJECT)
    await driver.begun(sale)
    driver.answer(sale, AnswerLost("gone"))
    await asyncio.sleep(5)
    return sale


async def asking(engine: Engine, driver: ScriptedDriver) -> asyncio.Task[Result]:
    """The question, which takes until `errand_end` is set."""
    driver.errand_end = asyncio.get_running_loop().create_future()
    driver.errand_begun.clear()
    task = asyncio.create_task(engine.perform("t1", AskLast()))
    await driver.errand_begun.wait()
    return task


def answer(driver: ScriptedDriver) -> None:
    assert isinstance(driver.errand_end, asyncio.Future)
    driver.errand_end.set_result(ENTRY)


@virtual()
async def test_the_next_payment_begins_when_the_question_is_over(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with on(tmp_path, driver) as engine:
        sale = await lost(engine, driver)
        following = await engine.accept(purchase(700), WhenBusy.WAIT)
        last = await engine.accept(purchase(800), WhenBusy.WAIT)
        question = await asking(engine, driver)
        await engine.heard_outcome(sale.id, approved())
        await asyncio.sleep(20)
        assert [each.id for each in driver.ran] == [sale.id]
        waits = engine.open_transaction("t1")
        assert waits is not None
        assert (waits.id, waits.state) == (following.id, State.ACCEPTED)
        with pytest.raises(TerminalBusy):
            await engine.perform("t1", AskLast())
        answer(driver)
        assert await question == ENTRY
        await driver.begun(following)
        driver.answer(following, approved(700))
        await driver.begun(last)


@virtual()
async def test_no_question_begins_while_the_terminal_is_passed_on(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with on(tmp_path, driver) as engine:
        sale = await lost(engine, driver)
        following = await engine.accept(purchase(700), WhenBusy.WAIT)
        concluding = asyncio.create_task(engine.heard_outcome(sale.id, approved()))
        await asyncio.sleep(0)
        refusals = 0
        while not concluding.done():
            with pytest.raises(TerminalBusy):
                await engine.perform("t1", AskLast())
            refusals += 1
            await asyncio.sleep(0)
        assert refusals
        await driver.begun(following)
        assert not driver.errands


@virtual()
async def test_who_waits_for_the_end_of_a_question_can_be_called_off(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with on(tmp_path, driver) as engine:
        sale = await lost(engine, driver)
        dropped = await engine.accept(purchase(700), WhenBusy.WAIT)
        hasty = await engine.accept(purchase(800, expires_in=10), WhenBusy.WAIT)
        patient = await engine.accept(purchase(900), WhenBusy.WAIT)
        question = await asking(engine, driver)
        await engine.heard_outcome(sale.id, approved())
        assert await engine.abort(dropped.id) is AbortResult.ABORTED
        await asyncio.sleep(11)
        given_up = await engine.find(hasty.id)
        assert given_up is not None
        assert given_up.state is State.CANCELLED
        question.cancel()
        await driver.begun(patient)
        assert [each.id for each in driver.ran] == [sale.id, patient.id]


@virtual()
async def test_who_waits_for_the_end_of_a_question_is_sent_after_a_restart(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with on(tmp_path, driver) as engine:
        sale = await lost(engine, driver)
        following = await engine.accept(purchase(700, waits=True), WhenBusy.WAIT)
        question = await asking(engine, driver)
        await engine.heard_outcome(sale.id, approved())
    question.cancel()
    async with on(tmp_path, driver):
        await driver.begun(following)


class Forgetful(ScriptedDriver):
    """Loses each second answer, finds it again some time later, and counts how often it was to pay
    while it was asked for its last transaction."""

    def __init__(self, source: random.Random) -> None:
        super().__init__()
        self._source = source
        self.is_asked = False
        self.asked_last = 0
        self.met = 0

    async def run(self, transaction: Transaction, progress: Progress) -> Outcome:
        self.met += self.is_asked
        await asyncio.sleep(self._source.choice((0, 0.001, 3)))
        if self._source.random() < 0.5:
            raise AnswerLost("gone")
        return approved()

    async def recover(self, transaction: Transaction) -> Found | CannotTell:
        await asyncio.sleep(self._source.choice((0, 0.001, 2)))
        return Found(approved()) if self._source.random() < 0.4 else CannotTell("not yet")

    async def perform(self, errand: object, tell: object) -> Result:
        assert not self.is_asked, "it is asked already"
        self.is_asked = True
        try:
            await asyncio.sleep(self._source.choice((0, 0.001, 4)))
        finally:
            self.is_asked = False
        self.asked_last += 1
        return ENTRY


@pytest.mark.parametrize("seed", range(10))
def test_questions_and_payments_at_random_never_meet(tmp_path: Path, seed: int) -> None:
    @virtual(seed)
    async def scenario() -> None:
        source = random.Random(seed)
        driver = Forgetful(source)

        async def come(engine: Engine) -> Result | Transaction:
            await asyncio.sleep(source.randrange(90) + source.choice((0, 0.0005, 0.001)))
            if source.random() < 0.6:
                return await engine.perform("t1", AskLast(), seconds=source.choice((1, 10)))
            return await engine.accept(purchase(), WhenBusy.WAIT)

        async with on(tmp_path, driver) as engine:
            tasks = [asyncio.create_task(come(engine)) for _ in range(80)]
            for each in source.sample(tasks, 10):
                asyncio.get_running_loop().call_later(source.random() * 90, each.cancel)
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            allowed = (Transaction, Entry, TerminalBusy, ErrandFailed, asyncio.CancelledError)
            assert not [each for each in ends if not isinstance(each, allowed)]
            await asyncio.sleep(1200)
            assert not engine.open_transaction("t1")
            assert driver.asked_last
            assert not driver.met
            sales = [each for each in ends if isinstance(each, Transaction)]
            for each in sales:
                latest = await engine.find(each.id)
                assert latest is not None
                assert latest.state is State.APPROVED

    scenario()
