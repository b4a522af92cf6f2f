"""A till with a nexo terminal: the driver, and in place of the engine a few notes."""

from __future__ import annotations

from typing import Any

from tests.kit import notes
from tests.kit.notes import LANE, approved_earlier, dispatched
from tests.kit.shop import SHOP, STORE
from tests.kit.virtual_loop import virtual_loop
from tests.unit.nexo.driver.poi import PORT, Flat, Poi, listen_flat, listen_held, listen_tcp
from tillwire.core.estate_model import Lifecycle, Terminal
from tillwire.core.model import Heading, Outcome, Transaction, Verdict
from tillwire.dialects.nexo.driver.dialling import Network
from tillwire.dialects.nexo.driver.driver import NexoDriver

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


class Notes(notes.Notes):
    """What a nexo terminal's driver asks for beside that: numbers for its messages."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 1_773_480_000_000

    async def number(self, series: str) -> int:
        assert series == "nexo tillwire T1-7"
        self.numbers += 1
        return self.numbers


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
        return self.notes.lost(transaction)


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
        id=LANE,
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
    return dispatched(minor, HEADING, send_seconds=10, seconds=180, **changes)


def approved(minor: int = 4250, **changes: Any) -> Transaction:
    """One that was approved earlier at this terminal."""
    outcome = Outcome(
        Verdict.APPROVED, approved_amount=minor, authorisation_code="9QX001", handle=HANDLE
    )
    return approved_earlier(payment(minor), outcome, **changes)
