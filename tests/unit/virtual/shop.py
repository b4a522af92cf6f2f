"""A shop with virtual terminals on a virtual clock: engine, journal and world, all for real."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from tests.kit.virtual_loop import VirtualLoop
from tests.unit.estate_fixture import found_shop, purchase
from tillwire.core.engine import Engine
from tillwire.core.errands import Errand, ErrandFailed, Result, Trouble
from tillwire.core.estate_model import Terminal
from tillwire.core.model import Event, State, Terms, Transaction
from tillwire.core.occupancy import WhenBusy
from tillwire.core.ports import Clock
from tillwire.journal.sqlite import SqliteJournal
from tillwire.virtual.acquirer import Entry
from tillwire.virtual.driver import VirtualDriver
from tillwire.virtual.memory import SetScript
from tillwire.virtual.script import Script
from tillwire.virtual.world import World

PATIENCE = 120.0
"""Virtual seconds after which a test stops waiting."""
NO_TERMS = Terms()


class Shop(msgspec.Struct):
    """A gateway with the world behind it."""

    engine: Engine
    world: World
    journal: SqliteJournal

    async def pay(self, minor: int, terms: Terms = NO_TERMS, **special: object) -> Transaction:
        """Ask for a purchase (or what `special` says), and do not wait for its end."""
        request = msgspec.structs.replace(purchase(minor, **special), terms=terms)  # type: ignore[arg-type]
        return await self.engine.accept(request, WhenBusy.REJECT)

    async def paid(self, minor: int, terms: Terms = NO_TERMS, **special: object) -> Transaction:
        """Ask for it, and wait until it is final."""
        return await self.until_final(await self.pay(minor, terms, **special))

    async def perform(
        self, errand: Errand, script: Script | None = None, terminal: str = "t1"
    ) -> tuple[Result, list[str]]:
        """Run an errand, by a script for this once; its result, and what it showed meanwhile."""
        if script is not None:
            await self.world.set_script(terminal, SetScript(script, 1))
        shown: list[str] = []
        return await self.engine.perform(terminal, errand, tell=shown.append), shown

    async def trouble(self, errand: Errand, script: Script | None = None) -> Trouble:
        """Run an errand that fails; why."""
        with pytest.raises(ErrandFailed) as failure:
            await self.perform(errand, script)
        return failure.value.trouble

    async def display(self, terminal: str = "t1") -> str:
        """What the customer reads now."""
        return (await self.world.glance(terminal)).display

    async def until_final(self, transaction: Transaction) -> Transaction:
        return await self.engine.wait(transaction.id, lambda each: each.is_final, PATIENCE)

    async def until(self, transaction: Transaction, state: State) -> Transaction:
        return await self.engine.wait(transaction.id, lambda each: each.state is state, PATIENCE)

    async def noted(self, transaction: Transaction, name: str) -> Event:
        """Wait until the transaction has an event of this name."""
        async with asyncio.timeout(PATIENCE):
            while True:
                known = await self.engine.find(transaction.id)
                assert known is not None
                events = await self.journal.read(lambda reader: reader.events(transaction.id))
                for event in events:
                    if event.name == name:
                        return event
                version = known.version
                await self.engine.wait(
                    transaction.id, lambda each, seen=version: each.version > seen, PATIENCE
                )

    async def ledger(self) -> list[tuple[str, int, bool]]:
        """(type, amount, approved) of every entry."""
        return [(each.type.value, each.amount, each.approved) for each in await self.entries()]

    async def entries(self) -> list[Entry]:
        return await self.world.ledger()

    async def discrepancies(self) -> int:
        return len(await self.journal.read(lambda reader: reader.discrepancies()))


def clock_of_loop() -> Clock:
    """The virtual clock of the running loop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop.clock


@asynccontextmanager
async def shop_in(folder: Path, *, pace: float = 1.0) -> AsyncIterator[Shop]:
    """The gateway on what is in `folder`. Leaving it is the gateway's death: what was on its way
    stays so in the journal, and the world goes on."""
    clock = clock_of_loop()
    journal = SqliteJournal(folder / "journal.db", inline=True)
    world = World(folder, clock, pace, inline=True)

    def driver_of(terminal: Terminal) -> VirtualDriver:
        return VirtualDriver(terminal, world, engine)

    engine = Engine(journal, driver_of, clock)
    await engine.start()
    if not engine.estate.organisations:
        await engine.change_estate(found_shop)
    try:
        yield Shop(engine, world, journal)
    finally:
        await engine.stop()
        await world.stop()
        world.close()
        journal.close()
