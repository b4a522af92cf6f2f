"""A till with an ECR17 terminal: the driver, and in place of the engine a few notes."""

from __future__ import annotations

from typing import Any

from tests.kit.notes import LANE, Notes, approved_earlier, dispatched
from tests.kit.shop import SHOP, STORE
from tests.kit.virtual_loop import virtual_loop
from tests.unit.ecr17.driver.pos import PORT, Pos, listen
from tillwire.core.estate_model import Lifecycle, Terminal
from tillwire.core.model import Heading, Outcome, Transaction, Verdict
from tillwire.core.ports import Absent, CannotTell, Found
from tillwire.dialects.ecr17.driver.driver import Ecr17Driver

HEADING = Heading(
    store_id=STORE,
    store="Bar Centrale",
    address="Via Roma 1",
    zip_code="00184",
    city="Roma",
    country="IT",
    time_zone="Europe/Rome",
    terminal="NEXI-P61B-7",
    tid="12345678",
)


class Till:
    """The driver of one terminal, and the terminal."""

    def __init__(self, pos: Pos, **settings: Any) -> None:
        self.pos = pos
        self.notes = Notes()
        self.driver = Ecr17Driver(
            terminal({"host": "127.0.0.1", "port": PORT, **settings}),
            self.notes,  # type: ignore[arg-type]  # as much of the inbox as the driver uses
            virtual_loop().clock,
        )

    async def run(self, transaction: Transaction) -> Outcome:
        """Carry it."""
        return await self.driver.run(transaction, self.notes.progress)

    async def recover(self, transaction: Transaction) -> Found | Absent | CannotTell:
        """Ask about it, as the journal has it after its answer was lost."""
        return await self.driver.recover(self.notes.lost(transaction))


async def till(reading: str = "stx", **settings: Any) -> Till:
    """A till and a terminal that it can reach. `reading` is the terminal's."""
    pos = Pos()
    pos.reading = type(pos.reading)(reading)
    made = Till(pos, **settings)
    await listen(pos)
    return made


def terminal(settings: dict[str, Any]) -> Terminal:
    """The terminal, as the estate has it."""
    return Terminal(
        id=LANE,
        organisation_id=SHOP,
        store_id=STORE,
        manufacturer="NEXI",
        model="P61B",
        serial="7",
        tid="12345678",
        driver="ecr17",
        settings=settings,
        lifecycle=Lifecycle.ACTIVATED,
    )


def payment(minor: int = 4250, **changes: Any) -> Transaction:
    """A PURCHASE that was dispatched just now, or what `changes` make of it."""
    return dispatched(minor, HEADING, send_seconds=30, seconds=255, **changes)


def approved(minor: int = 4250, **changes: Any) -> Transaction:
    """One that was approved earlier at this terminal."""
    outcome = Outcome(
        Verdict.APPROVED,
        approved_amount=minor,
        stan="000123",
        handle={"stan": "000123", "preauthorisation_code": "987654321", "tid": "12345678"},
    )
    return approved_earlier(payment(minor), outcome, **changes)
