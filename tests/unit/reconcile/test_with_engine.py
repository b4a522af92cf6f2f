"""A whole reconciliation by the engine: it resolves what is definite, reports each difference once,
and compares with what terminals tell only when they tell all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from functools import partial
from pathlib import Path

import msgspec
import pytest

from tests.kit.runner import virtual
from tests.kit.virtual_loop import VirtualClock, virtual_loop
from tests.unit.core.scripted import DECLINED, ScriptedDriver, approved, engine_on, is_final
from tests.unit.estate_fixture import purchase
from tillwire.clock import Instant
from tillwire.core.engine import Engine
from tillwire.core.entries import Entry, Lists
from tillwire.core.estate_model import Device, Lifecycle
from tillwire.core.model import State, Transaction
from tillwire.core.occupancy import WhenBusy
from tillwire.core.ports import CannotTell, Unit
from tillwire.errors import AnswerLost, InvalidRequest, NotFound, PeerError
from tillwire.reconcile import profiles
from tillwire.reconcile.facts import Window
from tillwire.reconcile.journal_side import row_of
from tillwire.reconcile.match import ACQUIRER, TILL
from tillwire.reconcile.results import Kind
from tillwire.reconcile.sources import Row, Rows, Source
from tillwire.reconcile.with_engine import Reconciled, reconcile_journal

ALWAYS = Window(Instant(0), Instant(2_000_000_000_000), zone="Europe/Amsterdam")


def on(folder: Path, driver: ScriptedDriver):
    return engine_on(folder, driver, VirtualClock(virtual_loop()))


async def sold(engine: Engine) -> Transaction:
    sale = await engine.accept(purchase(), WhenBusy.REJECT)
    return await engine.wait(sale.id, is_final, 60)


async def lost(engine: Engine, driver: ScriptedDriver) -> Transaction:
    driver.at_once = AnswerLost("gone")
    driver.found = [CannotTell("Look at it.", needs_person=True)]
    sale = await engine.accept(purchase(), WhenBusy.REJECT)
    await asyncio.sleep(30)
    return sale


def file(*rows: Row) -> Source:
    return Rows("bank.csv", rows, profiles.load("tillwire"))


def entry(sale: Transaction, **change: object) -> Entry:
    whole = Entry(
        name=sale.id, outcome=approved(), type=sale.type, amount=1250, currency="EUR",
        at=sale.created_at, reference=sale.reference,
    )  # fmt: skip
    return msgspec.structs.replace(whole, **change)


def kinds(done: Reconciled) -> list[Kind]:
    return [each.kind for each in done.report.differences]


@virtual()
async def test_what_an_acquirers_side_proves_ends_an_unknown(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with on(tmp_path, driver) as engine:
        sale = await lost(engine, driver)
        row = msgspec.structs.replace(row_of(sale), status="APPROVED")
        looked = await reconcile_journal(engine, ALWAYS, {ACQUIRER: file(row)}, dry_run=True)
        assert (looked.report.resolvable, looked.report.resolved) == ([sale.id], [])
        assert (await engine.find(sale.id)).state is State.UNKNOWN  # type: ignore[union-attr]
        done = await reconcile_journal(engine, ALWAYS, {ACQUIRER: file(row)})
        assert (done.report.resolved, done.report.differences, done.opened) == ([sale.id], [], 0)
        ended = await engine.find(sale.id)
        assert ended is not None
        assert (ended.state, ended.approved_amount) == (State.APPROVED, 1250)
        again = await reconcile_journal(engine, ALWAYS, {ACQUIRER: file(row)})
        assert (again.report.resolved, again.opened) == ([], 0)


@virtual()
async def test_several_acquirers_are_one_side(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with on(tmp_path, driver) as engine:
        driver.at_once = approved()
        paid, unknown = await sold(engine), await lost(engine, driver)
        first = Rows("first.csv", [row_of(paid)], profiles.load("tillwire"))
        proof = msgspec.structs.replace(row_of(unknown), status="APPROVED")
        second = Rows("second.csv", [proof], profiles.load("tillwire"))
        done = await reconcile_journal(engine, ALWAYS, {ACQUIRER: [first, second]})
        assert (done.report.resolved, done.report.differences) == ([unknown.id], [])
        assert done.report.files[ACQUIRER] == ["first.csv", "second.csv"]
        events = await engine.journal.read(lambda reader: reader.events(unknown.id))
        assert events[-1].detail["source"] == "second.csv"


@virtual()
async def test_each_difference_is_opened_once(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    driver.at_once = approved()
    async with on(tmp_path, driver) as engine:
        sale = await sold(engine)
        row = msgspec.structs.replace(row_of(sale), amount="99.00")
        sides = {ACQUIRER: file(row), TILL: file()}
        assert (await reconcile_journal(engine, ALWAYS, sides, dry_run=True)).opened == 0
        first = await reconcile_journal(engine, ALWAYS, sides)
        second = await reconcile_journal(engine, ALWAYS, sides)
        assert (first.opened, second.opened) == (1, 0)
        assert kinds(first) == kinds(second) == [Kind.MISSING_AT_TILL]
        assert first.report.differences[0].kinds == second.report.differences[0].kinds
        (open_one,) = await engine.journal.read(lambda reader: reader.discrepancies())
        assert open_one.transaction_id == sale.id


@virtual()
async def test_what_terminals_tell_is_a_side(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with on(tmp_path, driver) as engine:
        driver.at_once = approved()
        paid, other = await sold(engine), await sold(engine)
        driver.at_once = DECLINED
        declined = await sold(engine)
        unknown = await lost(engine, driver)
        driver.booked = [
            entry(paid),
            entry(other, amount=1251),
            entry(declined, outcome=DECLINED),
            entry(unknown),
            entry(paid, name="never-heard-of", reference="x", amount=700),
        ]
        asked = {"terminals": {"t1"}, "ask_terminals": True}
        done = await reconcile_journal(engine, ALWAYS, {}, **asked)  # type: ignore[arg-type]
        assert done.report.resolved == [unknown.id]
        assert sorted(kinds(done)) == [Kind.AMOUNT_DIFFERS, Kind.MISSING_AT_GATEWAY]
        assert done.opened == 2
        assert done.report.sources[ACQUIRER] == "the books of TILLWIRE-V1-t1"
        driver.booked = [each for each in driver.booked if isinstance(each, Entry)][1:]
        done = await reconcile_journal(engine, ALWAYS, {}, **asked)  # type: ignore[arg-type]
        assert done.opened == 1
        assert Kind.MISSING_AT_ACQUIRER in kinds(done)


def swapped(engine: Engine, unit: Unit) -> None:
    """Have another device stand at the terminal."""
    place = engine.estate.terminals["t1"]
    at = Instant(1)
    unit.put(Device("t1", 1, place.serial, at, Lifecycle.REMOVED, at, at))
    unit.put(Device("t1", 2, "swapped", at, Lifecycle.ACTIVATED, at))
    unit.put(msgspec.structs.replace(place, serial="swapped"))


@virtual()
async def test_what_was_paid_before_a_swap_is_compared_after_it(tmp_path: Path) -> None:
    """It has the name that the terminal had then, on all sides."""
    driver = ScriptedDriver()
    async with on(tmp_path, driver) as engine:
        driver.at_once = approved()
        before = await sold(engine)
        await engine.change_estate(partial(swapped, engine))
        after = await sold(engine)
        assert before.heading.terminal != after.heading.terminal
        await asyncio.sleep(1)
        driver.booked = [entry(after)]
        asked = {"terminals": {"t1"}, "ask_terminals": True}
        done = await reconcile_journal(engine, ALWAYS, {}, **asked)  # type: ignore[arg-type]
        assert kinds(done) == [Kind.MISSING_AT_ACQUIRER]
        driver.booked = [entry(before), entry(after)]
        done = await reconcile_journal(engine, ALWAYS, {}, **asked)  # type: ignore[arg-type]
        assert not done.report.differences
        places = {each.terminal for each in done.report.groups}
        assert places == {before.heading.terminal, after.heading.terminal}


@virtual()
async def test_what_happens_while_terminals_are_asked_is_left_out(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    driver.at_once = approved()
    async with on(tmp_path, driver) as engine:
        driver.booked = [50.0]  # and then it has told of nothing
        asking = asyncio.create_task(
            reconcile_journal(engine, ALWAYS, {}, terminals={"t1"}, ask_terminals=True)
        )
        await asyncio.sleep(10)
        await sold(engine)
        assert (await asking).report.agrees


@virtual()
async def test_what_ends_while_terminals_are_asked_is_left_out(tmp_path: Path) -> None:
    """It went on there when they told, and has ended here when the journal is read."""
    driver = ScriptedDriver()
    async with on(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REJECT)
        driver.booked = [entry(sale, outcome=None), 50.0]
        await asyncio.sleep(10)
        asking = asyncio.create_task(
            reconcile_journal(engine, ALWAYS, {}, terminals={"t1"}, ask_terminals=True)
        )
        await asyncio.sleep(10)
        driver.answer(sale, approved())
        done = await asking
        assert (kinds(done), done.opened) == ([], 0)
        driver.booked = [entry(sale)]
        done = await reconcile_journal(engine, ALWAYS, {}, terminals={"t1"}, ask_terminals=True)
        assert done.report.agrees
        assert done.report.kinds[Kind.MATCHED] == 1


@virtual()
async def test_another_till_s_payment_of_the_same_reference_is_none_of_ours(
    tmp_path: Path,
) -> None:
    """It was paid past the gateway, say, since the gateway's own try was UNKNOWN."""
    driver = ScriptedDriver()
    async with on(tmp_path, driver) as engine:
        place = msgspec.structs.replace(engine.estate.terminals["t1"], tid="30350009")
        await engine.change_estate(lambda unit: unit.put(place))
        unknown = await lost(engine, driver)
        driver.booked = [entry(unknown, name="theirs")]
        done = await reconcile_journal(engine, ALWAYS, {}, terminals={"t1"}, ask_terminals=True)
        assert (done.report.resolved, done.report.resolvable) == ([], [])
        assert sorted(kinds(done)) == [Kind.MISSING_AT_ACQUIRER, Kind.MISSING_AT_GATEWAY]


@virtual()
async def test_only_terminals_in_service_must_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = ScriptedDriver()
    driver.at_once = approved()
    async with on(tmp_path, driver) as engine:
        sale = await sold(engine)
        await asyncio.sleep(10)
        places = {each.id: each for each in engine.estate.terminals.values()}
        usual = engine.entries

        def entries(terminal_id: str, begin: Instant, end: Instant) -> AsyncGenerator[Entry, None]:
            driver.booked = [entry(sale)] if terminal_id == "t1" else [PeerError("404")]
            return usual(terminal_id, begin, end)

        monkeypatch.setattr(engine, "entries", entries)

        def change(unit: Unit) -> None:
            for name in places.keys() - {"t1"}:
                stage = Lifecycle.REMOVED if name == "t2" else Lifecycle.CREATED
                unit.put(msgspec.structs.replace(places[name], lifecycle=stage))

        with pytest.raises(PeerError):
            await reconcile_journal(engine, ALWAYS, {}, ask_terminals=True)
        await engine.change_estate(change)
        done = await reconcile_journal(engine, ALWAYS, {}, ask_terminals=True)
        assert (done.report.agrees, done.report.kinds[Kind.MATCHED]) == (True, 1)


@pytest.mark.parametrize("booked", [[AnswerLost("cut")], [Entry(name="n"), PeerError("no more")]])
@virtual()
async def test_a_list_that_does_not_come_whole_is_none(
    tmp_path: Path, booked: Sequence[Entry | Exception]
) -> None:
    driver = ScriptedDriver()
    driver.at_once = approved()
    async with on(tmp_path, driver) as engine:
        await sold(engine)
        driver.booked = list(booked)
        with pytest.raises(PeerError):
            await reconcile_journal(engine, ALWAYS, {}, ask_terminals=True)
        assert not await engine.journal.read(lambda reader: reader.discrepancies())


@virtual()
async def test_what_cannot_be_compared(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with on(tmp_path, driver) as engine:
        with pytest.raises(InvalidRequest, match="nothing to compare with"):
            await reconcile_journal(engine, ALWAYS, {ACQUIRER: []})
        with pytest.raises(InvalidRequest, match="one of both"):
            await reconcile_journal(engine, ALWAYS, {ACQUIRER: file()}, ask_terminals=True)
        now = engine.clock.now()
        for begin in (now, now + 1):
            window = Window(Instant(begin), Instant(now + 1000))
            with pytest.raises(InvalidRequest, match="has not come yet"):
                await reconcile_journal(engine, window, {}, ask_terminals=True)
        with pytest.raises(NotFound):
            await reconcile_journal(engine, ALWAYS, {}, terminals={"t9"}, ask_terminals=True)
        driver.capabilities = msgspec.structs.replace(driver.capabilities, lists=Lists.NONE)
        with pytest.raises(InvalidRequest, match="keeps a list"):
            await reconcile_journal(engine, ALWAYS, {}, ask_terminals=True)
