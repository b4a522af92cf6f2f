"""What a till announces and tells in a second message: accepted at once, sent with it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.kit.runner import virtual
from tests.kit.virtual_loop import VirtualClock, virtual_loop
from tests.unit.core.scripted import ScriptedDriver, approved, engine_on, is_final
from tests.unit.estate_fixture import purchase
from tillwire.core.engine import Engine
from tillwire.core.errands import Show
from tillwire.core.holding import LONGEST_TEXT, MOST_TAGS
from tillwire.core.model import ForHost, HostTag, Request, State, Terms, Transaction
from tillwire.core.occupancy import WhenBusy
from tillwire.errors import InvalidRequest, NotFound, Proof, TerminalBusy, Unsupported

WANTED = ForHost(tags=(HostTag("0COF", 5),), purpose="000000", wanted_field="62")


def able(**special: Any) -> ScriptedDriver:
    driver = ScriptedDriver(**special)
    driver.capabilities = msgspec.structs.replace(driver.capabilities, for_host=True)
    return driver


def on(folder: Path, driver: ScriptedDriver):
    return engine_on(folder, driver, VirtualClock(virtual_loop()))


def held(**special: Any) -> Request:
    return msgspec.structs.replace(purchase(), held=True, waits=False, expires_in=15.0, **special)


async def accept(engine: Engine, **special: Any) -> Transaction:
    return await engine.accept(held(**special), WhenBusy.REJECT)


@virtual()
async def test_it_has_its_terminal_and_is_sent_when_it_is_released(tmp_path: Path) -> None:
    driver = able()
    driver.at_once = approved()
    async with on(tmp_path, driver) as engine:
        sale = await accept(engine)
        await asyncio.sleep(5)
        assert (sale.state, driver.ran) == (State.ACCEPTED, [])
        with pytest.raises(TerminalBusy):
            await engine.accept(purchase(), WhenBusy.REJECT)
        with pytest.raises(TerminalBusy):
            await engine.perform(sale.terminal_id, Show("no"))
        released = await engine.release(sale.id, WANTED)
        assert (released.state, released.terms.for_host) == (State.SENT, WANTED)
        done = await engine.wait(sale.id, is_final, 60)
        assert done.state is State.APPROVED
        (sent,) = driver.ran
        assert sent.terms.for_host == WANTED
        assert sent.send_by is not None
        assert sent.send_by > sale.created_at + 5000, "its time to be sent began when it was sent"
    async with on(tmp_path, able()) as engine:
        found = await engine.find(sale.id)
        assert found is not None
        assert found.terms.for_host == WANTED, "the journal has it"


@virtual()
async def test_what_nobody_releases_was_never_sent(tmp_path: Path) -> None:
    driver = able()
    async with on(tmp_path, driver) as engine:
        sale = await accept(engine)
        ended = await engine.wait(sale.id, is_final, 60)
        assert (ended.state, ended.proof) == (State.CANCELLED, Proof.NEVER_SENT)
        late = await engine.release(sale.id, WANTED)
        assert (late.state, late.terms.for_host) == (State.CANCELLED, None)
        assert driver.ran == []
        await engine.accept(purchase(), WhenBusy.REJECT)


@virtual()
async def test_what_was_held_when_the_gateway_died_was_never_sent(tmp_path: Path) -> None:
    async with on(tmp_path, able()) as engine:
        sale = await accept(engine)
    driver = able()
    async with on(tmp_path, driver) as engine:
        found = await engine.find(sale.id)
        assert found is not None
        assert (found.state, found.proof) == (State.CANCELLED, Proof.NEVER_SENT)
        assert driver.ran == []


@virtual()
async def test_ten_releases_send_it_once(tmp_path: Path) -> None:
    driver = able()
    async with on(tmp_path, driver) as engine:
        sale = await accept(engine)
        other = msgspec.structs.replace(WANTED, purpose="000001")
        found = await asyncio.gather(
            *(engine.release(sale.id, each) for each in [WANTED, other] * 5)
        )
        assert {each.terms.for_host for each in found} == {WANTED}
        await driver.begun(sale)
        assert len(driver.ran) == 1
        driver.answer(sale, approved())
        await engine.wait(sale.id, is_final, 60)
        assert (await engine.release(sale.id, other)).terms.for_host == WANTED
        assert len(driver.ran) == 1


@virtual()
async def test_what_is_not_there_is_not_released(tmp_path: Path) -> None:
    async with on(tmp_path, able()) as engine:
        with pytest.raises(NotFound):
            await engine.release("0" * 31, WANTED)


@virtual()
async def test_what_cannot_be_handed_on_is_not_accepted_and_not_sent(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with on(tmp_path, driver) as engine:
        with pytest.raises(Unsupported):
            await accept(engine, terms=Terms(for_host=WANTED))
        sale = await accept(engine)
        with pytest.raises(Unsupported):
            await engine.release(sale.id, WANTED)
        assert (await engine.wait(sale.id, is_final, 60)).state is State.CANCELLED
        assert driver.ran == []
    async with on(tmp_path, able(pull=True)) as engine:
        with pytest.raises(Unsupported):
            await accept(engine)


@pytest.mark.parametrize(
    "terms",
    [
        Terms(for_host=ForHost(tags=(HostTag("A"),) * (MOST_TAGS + 1))),
        Terms(for_host=ForHost(tags=(HostTag("A" * LONGEST_TEXT), HostTag("B")))),
        Terms(receipt_text="A" * (LONGEST_TEXT + 1)),
    ],
)
@virtual()
async def test_more_than_anybody_hands_on_is_refused(tmp_path: Path, terms: Terms) -> None:
    async with on(tmp_path, able()) as engine:
        with pytest.raises(InvalidRequest) as refused:
            await engine.accept(msgspec.structs.replace(purchase(), terms=terms), WhenBusy.REJECT)
        assert refused.value.field == "terms"
        if terms.for_host is not None:
            sale = await accept(engine)
            with pytest.raises(InvalidRequest):
                await engine.release(sale.id, terms.for_host)
            assert (await engine.find(sale.id)) == sale
