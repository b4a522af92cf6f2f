"""A terminal runs an errand or a transaction, never both, and money goes first."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import msgspec
import pytest

from tests.kit.runner import virtual
from tests.kit.virtual_loop import VirtualClock, virtual_loop
from tests.unit.core.scripted import ScriptedDriver, approved, engine_on, is_final
from tests.unit.core.test_exchanges import asked_by, message
from tests.unit.estate_fixture import purchase
from tillwire.core.claims import WAIT_FOR_ERRAND
from tillwire.core.engine import STATUS_WITHIN, Engine
from tillwire.core.errands import (
    ABILITY_OF,
    Ability,
    Answer,
    Ask,
    AskLast,
    Errand,
    ErrandFailed,
    Print,
    Question,
    Result,
    Show,
    Trouble,
)
from tillwire.core.estate_model import Lifecycle
from tillwire.core.exchanges import Repeated
from tillwire.core.model import Outcome, State, Transaction
from tillwire.core.occupancy import WhenBusy
from tillwire.core.ports import Progress, TerminalStatus
from tillwire.errors import (
    AnswerLost,
    Conflict,
    InvalidRequest,
    NotFound,
    PeerError,
    TerminalBusy,
    Unsupported,
)

ASK = Ask(Question.CONFIRM, "Bag?")


def on_virtual_time(folder: Path, driver: ScriptedDriver):
    return engine_on(folder, driver, VirtualClock(virtual_loop()))


class Held:
    """An errand that runs until it is let go."""

    def __init__(self, engine: Engine, driver: ScriptedDriver) -> None:
        self._driver = driver
        self.result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        driver.errand_end = self.result
        driver.errand_begun.clear()
        self.task = asyncio.create_task(engine.perform("t1", ASK))

    async def begun(self) -> None:
        await self._driver.errand_begun.wait()

    async def end(self) -> Result:
        self.result.set_result(Answer(confirmed=True))
        return await self.task


async def test_a_terminal_answers_what_it_is_asked(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    driver.errand_end = Answer(confirmed=True)
    async with engine_on(tmp_path, driver) as engine:
        assert await engine.perform("t1", ASK) == Answer(confirmed=True)
        assert driver.errands == [ASK]


def test_each_errand_has_its_ability() -> None:
    assert set(ABILITY_OF.values()) == set(Ability)


async def test_it_is_said_who_cannot_run_an_errand(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        with pytest.raises(NotFound):
            await engine.perform("t9", ASK)
        driver.capabilities = msgspec.structs.replace(
            driver.capabilities, errands=frozenset({Ability.SHOW})
        )
        await engine.perform("t1", Show("Hello"))
        with pytest.raises(Unsupported, match="print"):
            await engine.perform("t1", Print("Hello"))
        terminal = engine.estate.terminals["t1"]
        removed = msgspec.structs.replace(terminal, lifecycle=Lifecycle.REMOVED)
        await engine.change_estate(lambda unit: unit.put(removed))
        with pytest.raises(Conflict, match="REMOVED"):
            await engine.perform("t1", Show("Hello"))
        assert driver.errands == [Show("Hello")]


async def test_no_errand_while_a_transaction_holds_the_terminal(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REJECT)
        with pytest.raises(TerminalBusy) as busy:
            await engine.perform("t1", ASK)
        assert busy.value.holder == sale.id
        await engine.perform("t2", ASK)  # another terminal has nothing to do with it
        await driver.begun(sale)
        driver.answer(sale, AnswerLost("reset"))
        await engine.wait(sale.id, lambda each: each.is_settled, 5)
        with pytest.raises(TerminalBusy) as blocked:
            await engine.perform("t1", ASK)
        assert blocked.value.unresolved
        await engine.heard_outcome(sale.id, approved())
        await engine.perform("t1", ASK)


async def test_a_sale_is_refused_while_an_errand_runs_and_told_what_is_going_on(
    tmp_path: Path,
) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        errand = Held(engine, driver)
        await errand.begun()
        with pytest.raises(TerminalBusy, match="asks the customer") as busy:
            await engine.accept(purchase(), WhenBusy.REJECT)
        assert busy.value.holder == ""
        with pytest.raises(TerminalBusy, match="asks the customer"):
            await engine.perform("t1", AskLast())
        assert await errand.end() == Answer(confirmed=True)
        assert (await engine.accept(purchase(), WhenBusy.REJECT)).state is State.SENT


async def test_a_repeated_message_is_recognised_while_an_errand_runs(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    driver.at_once = approved()
    async with engine_on(tmp_path, driver) as engine:
        sale = await engine.accept(asked_by(message()), WhenBusy.REJECT)
        await engine.wait(sale.id, is_final, 5)
        errand = Held(engine, driver)
        await errand.begun()
        with pytest.raises(Repeated):
            await engine.accept(asked_by(message()), WhenBusy.REJECT)
        await errand.end()


@pytest.mark.parametrize("when_busy", [WhenBusy.QUEUE, WhenBusy.REPLACE])
@virtual()
async def test_sales_that_may_wait_begin_in_their_order_when_the_errand_ends(
    tmp_path: Path, when_busy: WhenBusy
) -> None:
    driver = ScriptedDriver()
    async with on_virtual_time(tmp_path, driver) as engine:
        errand = Held(engine, driver)
        await errand.begun()
        waiting = [
            asyncio.create_task(engine.accept(purchase(amount), when_busy)) for amount in (1, 2, 3)
        ]
        await asyncio.sleep(1)
        assert engine.open_transaction("t1") is None
        await errand.end()
        with pytest.raises(TerminalBusy):  # a quick second errand comes after them
            await engine.perform("t1", ASK)
        sales = [await each for each in waiting]
        assert [each.id for each in sales] == sorted(each.id for each in sales)
        assert sales[0].state is State.SENT
        assert await driver.begun(sales[0])
        assert len(driver.ran) == 1


@virtual()
async def test_a_sale_does_not_wait_for_an_errand_for_ever(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with on_virtual_time(tmp_path, driver) as engine:
        errand = Held(engine, driver)
        await errand.begun()
        begun = engine.clock.monotonic()
        with pytest.raises(TerminalBusy):
            await engine.accept(purchase(), WhenBusy.QUEUE)
        assert engine.clock.monotonic() - begun == WAIT_FOR_ERRAND
        await errand.end()
        await engine.perform("t1", Show("Free again"))


@virtual()
async def test_no_errand_begins_while_a_sale_is_being_committed(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with on_virtual_time(tmp_path, driver) as engine:
        refusals = 0
        accepting = asyncio.create_task(engine.accept(purchase(), WhenBusy.REJECT))
        await asyncio.sleep(0)
        while not accepting.done():
            with pytest.raises(TerminalBusy):
                await engine.perform("t1", ASK)
            refusals += 1
            await asyncio.sleep(0)
        assert refusals > 1
        assert driver.errands == []


@virtual()
async def test_a_till_that_hangs_up_while_its_sale_is_committed_lets_no_errand_in(
    tmp_path: Path,
) -> None:
    driver = ScriptedDriver()
    async with on_virtual_time(tmp_path, driver) as engine:
        accepting = asyncio.create_task(engine.accept(purchase(), WhenBusy.REJECT))
        await asyncio.sleep(0)
        accepting.cancel()
        for _ in range(20):
            with pytest.raises(TerminalBusy):
                await engine.perform("t1", ASK)
            await asyncio.sleep(0)
        assert engine.open_transaction("t1") is not None
        assert accepting.cancelled()


@virtual()
async def test_a_till_that_hangs_up_while_it_waits_leaves_the_terminal_free(
    tmp_path: Path,
) -> None:
    driver = ScriptedDriver()
    async with on_virtual_time(tmp_path, driver) as engine:
        errand = Held(engine, driver)
        await errand.begun()
        waiting = asyncio.create_task(engine.accept(purchase(), WhenBusy.QUEUE))
        await asyncio.sleep(1)
        waiting.cancel()
        await asyncio.sleep(1)
        await errand.end()
        await engine.perform("t1", Show("Nobody waits"))
        assert engine.open_transaction("t1") is None


async def test_a_sale_that_is_refused_leaves_the_terminal_free(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        with pytest.raises(InvalidRequest):
            await engine.accept(purchase(original="0" * 31), WhenBusy.REJECT)
        await engine.perform("t1", Show("Free"))


async def test_calling_an_errand_off_ends_the_terminals_work_and_frees_it(
    tmp_path: Path,
) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        errand = Held(engine, driver)
        await errand.begun()
        errand.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await errand.task
        assert errand.result.cancelled()
        assert (await engine.accept(purchase(), WhenBusy.REJECT)).state is State.SENT


@virtual()
async def test_an_errand_that_does_not_end_fails(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with on_virtual_time(tmp_path, driver) as engine:
        driver.errand_end = asyncio.get_running_loop().create_future()
        with pytest.raises(ErrandFailed) as failure:
            await engine.perform("t1", ASK, seconds=7)
        assert failure.value.trouble is Trouble.TIMED_OUT
        assert virtual_loop().time() == 7
        driver.errand_end = None
        await engine.perform("t1", ASK)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (ErrandFailed(Trouble.CARD_INSERTED), ErrandFailed),
        (AnswerLost("reset"), AnswerLost),
        (ZeroDivisionError("a bug"), ErrandFailed),
    ],
)
async def test_whatever_a_driver_raises_is_said_in_our_words(
    tmp_path: Path, raised: Exception, expected: type[PeerError]
) -> None:
    driver = ScriptedDriver()
    driver.errand_end = raised
    async with engine_on(tmp_path, driver) as engine:
        with pytest.raises(expected) as failure:
            await engine.perform("t1", ASK)
        if isinstance(raised, ZeroDivisionError):
            assert isinstance(failure.value, ErrandFailed)
            assert failure.value.trouble is Trouble.BROKEN
            assert "a bug" in str(failure.value)
        else:
            assert failure.value is raised


@virtual()
async def test_what_is_shown_meanwhile_is_told_and_a_listener_that_fails_stops_nothing(
    tmp_path: Path,
) -> None:
    driver = ScriptedDriver()
    heard: list[str] = []

    def tell(text: str) -> None:
        heard.append(text)
        raise ZeroDivisionError("a bug of the listener's")

    async with on_virtual_time(tmp_path, driver) as engine:
        driver.errand_end = asyncio.get_running_loop().create_future()
        errand = asyncio.create_task(engine.perform("t1", ASK, tell=tell))
        await driver.errand_begun.wait()
        assert driver.tell is not None
        driver.tell("Insert card")
        driver.errand_end.set_result(Answer())
        assert await errand == Answer()
        assert heard == ["Insert card"]
    [told] = virtual_loop().unnoticed
    assert isinstance(told["exception"], ZeroDivisionError)
    virtual_loop().unnoticed.clear()


class OneAtATime(ScriptedDriver):
    """Fails when it is asked for two things at once."""

    def __init__(self, source: random.Random) -> None:
        super().__init__()
        self._source = source
        self.at_work = False
        self.done: list[str] = []

    async def _work(self, what: str) -> None:
        assert not self.at_work, "the terminal is at work"
        self.at_work = True
        try:
            await asyncio.sleep(self._source.choice((0, 0, 0.001, 3)))
        finally:
            self.at_work = False
        self.done.append(what)

    async def run(self, transaction: Transaction, progress: Progress) -> Outcome:
        await self._work("sale")
        return approved()

    async def perform(self, errand: Errand, tell: object) -> Result:
        await self._work("errand")
        return None


@pytest.mark.parametrize("seed", range(20))
def test_errands_and_sales_at_random_never_meet_at_a_terminal(tmp_path: Path, seed: int) -> None:
    @virtual(seed)
    async def scenario() -> None:
        source = random.Random(seed)
        driver = OneAtATime(source)

        async def ask(engine: Engine) -> None:
            await asyncio.sleep(source.randrange(60) + source.choice((0, 0.0005, 0.001)))
            if source.random() < 0.5:
                await engine.perform("t1", ASK, seconds=source.choice((1, 10)))
            else:
                await engine.accept(purchase(), source.choice(list(WhenBusy)))

        async with on_virtual_time(tmp_path, driver) as engine:
            tasks = [asyncio.create_task(ask(engine)) for _ in range(80)]
            for each in source.sample(tasks, 20):
                asyncio.get_running_loop().call_later(source.random() * 60, each.cancel)
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            allowed = (Transaction, TerminalBusy, asyncio.CancelledError, type(None))
            late = [each for each in ends if isinstance(each, ErrandFailed)]
            assert all(each.trouble is Trouble.TIMED_OUT for each in late)
            assert not [each for each in ends if not isinstance(each, (*allowed, ErrandFailed))]
            await asyncio.sleep(600)
            assert not engine.open_transaction("t1")
            assert {"sale", "errand"} <= set(driver.done)

    scenario()


@virtual()
async def test_a_terminal_is_asked_how_it_is_and_not_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = ScriptedDriver()
    async with on_virtual_time(tmp_path, driver) as engine:
        assert await engine.status("t1") == TerminalStatus(reachable=True)
        with pytest.raises(NotFound):
            await engine.status("t9")

        async def broken() -> TerminalStatus:
            raise ConnectionResetError("gone")

        monkeypatch.setattr(driver, "status", broken)
        away = await engine.status("t1")
        assert (away.reachable, away.detail) == (False, "ConnectionResetError: gone")
        monkeypatch.setattr(driver, "status", asyncio.Event().wait)
        assert not (await engine.status("t1")).reachable
        assert virtual_loop().time() == STATUS_WITHIN
