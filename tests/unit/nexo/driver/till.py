"""A till with a nexo terminal: the driver, and in place of the engine a few notes."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.kit.shop import SHOP, STORE
from tests.kit.virtual_loop import virtual_loop
from tests.unit.nexo.driver.poi import PORT, Flat, Poi, listen_flat, listen_held, listen_tcp
from tillwire.clock import Instant
from tillwire.core.model import (
    Heading,
    Lifecycle,
    Outcome,
    State,
    Terminal,
    Transaction,
    TransactionType,
    Verdict,
)
from tillwire.core.ports import Sign
from tillwire.dialects.nexo.driver.dialling import Network
from tillwire.dialects.nexo.driver.driver import NexoDriver
from tillwire.money import Money

HEADING = Heading(
    store_id=STORE,
    store="Corner Shop",
    address="Damrak 1",
    zip_code="1012 LG",
    city="Amsterdam",
    country="NL",
    time_zone="Europe/Amsterdam",
    terminal="ACME-T1-7",
    tid="1",
)
HANDLE = {
    "poi_transaction_id": "P0000018841",
    "poi_time_stamp": "2026-03-13T08:12:41.002Z",
    "poi_id": "T1-7",
    "sale_id": "tillwire",
}


class Notes:
    """In place of the engine: what was journaled, and what else there is."""

    def __init__(self) -> None:
        self.peer: dict[str, str] = {}
        self.signs: list[tuple[float, Sign]] = []
        self.displays: list[str] = []
        self.started = False
        self.known: dict[str, Transaction] = {}
        self.after: dict[str, list[Transaction]] = {}
        self.numbers = 1_773_480_000_000

    async def progress(self, sign: Sign) -> None:
        self.signs.append((virtual_loop().time(), sign))
        self.peer.update(sign.peer)
        self.started = self.started or sign.started
        if sign.display:
            self.displays.append(sign.display)

    async def number(self, series: str) -> int:
        assert series == "nexo tillwire T1-7"
        self.numbers += 1
        return self.numbers

    async def find(self, transaction_id: str) -> Transaction | None:
        return self.known.get(transaction_id)

    async def follow_ups(self, original_id: str) -> list[Transaction]:
        return self.after.get(original_id, [])


class Till:
    """The driver of one terminal, and the terminal."""

    def __init__(self, poi: Poi, network: Network | None = None, **settings: Any) -> None:
        self.poi = poi
        self.notes = Notes()
        given = {"binding": "tcp", "host": "127.0.0.1", "port": PORT, **settings}
        self.driver = NexoDriver(
            terminal(given),
            self.notes,  # type: ignore[arg-type]  # as much of the inbox as the driver uses
            virtual_loop().clock,
            network,
        )
        self.flat: Flat | None = None

    async def run(self, transaction: Transaction) -> Outcome:
        """Carry it."""
        return await self.driver.run(transaction, self.notes.progress)

    def lost(self, transaction: Transaction) -> Transaction:
        """The transaction as the journal has it after its answer was lost."""
        return msgspec.structs.replace(transaction, state=State.UNKNOWN, peer=dict(self.notes.peer))


async def till(binding: str = "tcp", **settings: Any) -> Till:
    """A till and a terminal that are connected by this binding."""
    poi = Poi()
    made = Till(poi, binding=binding, **settings)
    if binding == "tcp":
        await listen_tcp(poi)
    elif binding == "held":
        await listen_held(poi)
    else:
        made.flat = await listen_flat(poi)
    return made


def terminal(settings: dict[str, Any]) -> Terminal:
    """The terminal, as the estate has it."""
    return Terminal(
        id="t1",
        organisation_id=SHOP,
        store_id=STORE,
        manufacturer="ACME",
        model="T1",
        serial="7",
        tid="1",
        driver="nexo",
        settings=settings,
        lifecycle=Lifecycle.ACTIVATED,
    )


def payment(minor: int = 4250, **changes: Any) -> Transaction:
    """A PURCHASE that was dispatched just now, or what `changes` make of it."""
    now = virtual_loop().clock.now()
    made = Transaction(
        id="1773480000000123456789012345678",
        version=2,
        organisation_id=SHOP,
        terminal_id="t1",
        dialect="test",
        type=TransactionType.PURCHASE,
        state=State.SENT,
        amount=Money(minor, "EUR"),
        reference="bill 7",
        heading=HEADING,
        created_at=now,
        token=1,
        sent_at=now,
        send_by=Instant(now + 10_000),
        deadline=Instant(now + 180_000),
    )
    return msgspec.structs.replace(made, **changes)


def approved(minor: int = 4250, **changes: Any) -> Transaction:
    """One that was approved earlier at this terminal."""
    outcome = Outcome(
        Verdict.APPROVED, approved_amount=minor, authorisation_code="9QX001", handle=HANDLE
    )
    earlier = payment(
        minor, id="1773400000000123456789012345678", state=State.APPROVED, outcome=outcome
    )
    return msgspec.structs.replace(earlier, **changes)
