"""What a terminal shows is told to the till, and to nobody's journal."""

from __future__ import annotations

from pathlib import Path

from tests.kit.runner import virtual
from tests.kit.virtual_loop import VirtualClock, virtual_loop
from tests.unit.core.scripted import ScriptedDriver, approved, engine_on, is_final
from tests.unit.estate_fixture import purchase
from tillwire.core.displays import LONGEST, MOST_LISTENERS, Displays
from tillwire.core.engine import Engine
from tillwire.core.model import Event, Transaction
from tillwire.core.occupancy import WhenBusy
from tillwire.core.ports import Sign


async def events(engine: Engine, transaction: Transaction) -> list[Event]:
    return await engine.journal.read(lambda reader: reader.events(transaction.id))


async def test_a_till_hears_what_is_shown_and_what_was_shown_last(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    early: list[str] = []
    late: list[str] = []
    async with engine_on(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REJECT)
        engine.listen(sale.id, early.append)
        progress = await driver.begun(sale)
        await progress(Sign(started=True, display="Present card"))
        await progress(Sign(display="Enter PIN"))
        stop = engine.listen(sale.id, late.append)
        await progress(Sign(display="Enter PIN"))
        stop()
        stop()
        await progress(Sign(display="Remove card"))
        assert early == ["Present card", "Enter PIN", "Enter PIN", "Remove card"]
        assert late == ["Enter PIN", "Enter PIN"]


async def test_what_is_shown_writes_nothing_unless_it_comes_with_the_start(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REJECT)
        progress = await driver.begun(sale)
        await progress(Sign(display="Please wait"))
        await progress(Sign(started=True, display="Present card"))
        for _ in range(50):
            await progress(Sign(started=True, display="Present card"))
        await progress(Sign(peer={"stan": "7"}, display="Enter PIN"))
        written = await events(engine, sale)
        assert [each.name for each in written] == ["accept", "dispatch", "start", "sign"]
        assert written[2].detail == {"display": "Present card"}
        assert written[3].detail == {"peer": ["stan"]}


async def test_an_ended_transaction_shows_nothing_and_is_forgotten(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    heard: list[str] = []
    async with engine_on(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REJECT)
        progress = await driver.begun(sale)
        stop = engine.listen(sale.id, heard.append)
        await progress(Sign(started=True, display="Present card"))
        driver.answer(sale, approved())
        await engine.wait(sale.id, is_final, 5)
        await progress(Sign(display="Thank you"))
        engine.listen(sale.id, heard.append)()
        engine.listen("0" * 31, heard.append)()
        stop()
        assert heard == ["Present card"]
        assert engine._displays._latest == engine._displays._listeners == {}


@virtual()
async def test_a_listener_that_fails_stops_no_payment(tmp_path: Path) -> None:
    driver = ScriptedDriver()

    def fail(text: str) -> None:
        raise ZeroDivisionError(text)

    heard: list[str] = []
    async with engine_on(tmp_path, driver, VirtualClock(virtual_loop())) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REJECT)
        engine.listen(sale.id, fail)
        engine.listen(sale.id, heard.append)
        progress = await driver.begun(sale)
        await progress(Sign(started=True, display="Present card"))
        assert heard == ["Present card"]
    [told] = virtual_loop().unnoticed
    assert isinstance(told["exception"], ZeroDivisionError)
    virtual_loop().unnoticed.clear()


def test_texts_and_listeners_have_limits() -> None:
    displays = Displays()
    heard: dict[int, list[str]] = {number: [] for number in range(MOST_LISTENERS + 1)}
    for texts in heard.values():
        displays.listen("1", texts.append)
    displays.show("1", "x" * (LONGEST + 1))
    assert heard[0] == []  # the oldest gave its place to the newest
    assert all(heard[number] == ["x" * LONGEST] for number in range(1, MOST_LISTENERS + 1))
