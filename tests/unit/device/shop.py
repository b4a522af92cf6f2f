"""A shop whose terminals fetch: engine, journal and device face on a virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from tests.kit.virtual_loop import VirtualLoop
from tests.unit.asgi_client import Answer, AsgiClient
from tests.unit.estate_fixture import found_shop, purchase
from tillwire.core.engine import Engine
from tillwire.core.estate_model import Terminal
from tillwire.core.model import Discrepancy, Event, State, Transaction
from tillwire.core.occupancy import WhenBusy
from tillwire.core.ports import Reader, Unit
from tillwire.device import face, wire
from tillwire.device.driver import DeviceDriver
from tillwire.device.presence import Presence
from tillwire.journal.sqlite import SqliteJournal

T = TypeVar("T")
PATIENCE = 300.0
"""Virtual seconds after which a test stops waiting."""


class CountingJournal(SqliteJournal):
    """Counts how often it is asked for anything."""

    touched = 0

    async def commit(self, work: Callable[[Unit], T]) -> T:
        self.touched += 1
        return await super().commit(work)

    async def read(self, work: Callable[[Reader], T]) -> T:
        self.touched += 1
        return await super().read(work)


class Shop(msgspec.Struct):
    """A gateway, and the terminal `t1` that a test plays."""

    engine: Engine
    journal: CountingJournal
    presence: Presence
    app: face.DeviceFace

    def terminal(self, name: str = "t1") -> AsgiClient:
        """The HTTP client of a terminal."""
        headers = {"authorization": f"Bearer {token_of(name)}"}
        return AsgiClient(self.app, root="/device", headers=headers)

    async def pay(self, minor: int = 1250, **special: object) -> Transaction:
        """Ask for a purchase (or what `special` says) at `t1`."""
        return await self.engine.accept(purchase(minor, **special), WhenBusy.REPLACE)  # type: ignore[arg-type]

    async def fetched(self, query: str = "") -> wire.Offer:
        """What `t1` is given."""
        answer = await self.terminal().post("/next" + query)
        assert answer.status == 200, answer
        return wire.parse(wire.Offer, answer.body)

    async def tell(self, transaction_id: str, type: str, **more: object) -> Answer:  # noqa: A002
        """`t1` tells an event."""
        event = {"type": type, **more}
        return await self.terminal().post(f"/transactions/{transaction_id}/events", event)

    async def now(self, transaction: Transaction | wire.Offer) -> Transaction:
        """The transaction as it stands."""
        found = await self.engine.find(transaction.id)
        assert found is not None
        return found

    async def until(self, transaction: Transaction | wire.Offer, state: State) -> Transaction:
        return await self.engine.wait(transaction.id, lambda each: each.state is state, PATIENCE)

    async def events(self, transaction: Transaction | wire.Offer) -> list[Event]:
        return await self.journal.read(lambda reader: reader.events(transaction.id))

    async def discrepancies(self) -> list[Discrepancy]:
        return await self.journal.read(lambda reader: reader.discrepancies())


def token_of(terminal_id: str) -> str:
    return f"secret-of-{terminal_id}"


def found_polling_shop(unit: Unit) -> None:
    """The shop of other tests, with terminals that fetch."""
    found_shop(unit, driver="device")
    for terminal in unit.estate().terminals.values():
        digest = wire.digest_of_bearer(f"Bearer {token_of(terminal.id)}")
        unit.put(msgspec.structs.replace(terminal, device_digest=digest))


@asynccontextmanager
async def shop_in(folder: Path) -> AsyncIterator[Shop]:
    """The gateway on what is in `folder`. Leaving it is the gateway's death."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    journal = CountingJournal(folder / "journal.db", inline=True)
    presence = Presence(loop.clock)

    def driver_of(terminal: Terminal) -> DeviceDriver:
        return DeviceDriver(terminal, engine, presence)

    engine = Engine(journal, driver_of, loop.clock)
    await engine.start()
    if not engine.estate.organisations:
        await engine.change_estate(found_polling_shop)
    app = face.create(engine, loop.clock, presence)
    try:
        yield Shop(engine, journal, presence, app)
    finally:
        await engine.stop()
        journal.close()
