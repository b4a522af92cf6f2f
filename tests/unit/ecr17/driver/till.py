"""A till with an ECR17 terminal: the driver, and in place of the engine a few notes."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.kit.shop import SHOP, STORE
from tests.kit.virtual_loop import virtual_loop
from tests.unit.ecr17.driver.pos import PORT, Pos, listen
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
from tillwire.core.ports import Absent, CannotTell, Found, Sign
from tillwire.dialects.ecr17.driver.driver import Ecr17Driver
from tillwire.money import Money

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


class Notes:
    """In place of the engine: what was journaled, and what else there is."""

    def __init__(self) -> None:
        self.peer: dict[str, str] = {}
        self.displays: list[str] = []
        self.started = False
        self.known: list[Transaction] = []
        """Of this terminal, newest first."""

    async def progress(self, sign: Sign) -> None:
        self.peer.update(sign.peer)
        self.started = self.started or sign.started
        if sign.display:
            self.displays.append(sign.display)

    async def find(self, transaction_id: str) -> Transaction | None:
        return next((each for each in self.known if each.id == transaction_id), None)

    async def follow_ups(self, original_id: str) -> list[Transaction]:
        return [each for each in self.known if each.original_id == original_id]

    async def newest_at(self, terminal_id: str, limit: int) -> list[Transaction]:
        assert terminal_id == "t1"
        return [each for each in self.known if each.terminal_id == terminal_id][:limit]


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
        lost = msgspec.structs.replace(transaction, state=State.UNKNOWN, peer=dict(self.notes.peer))
        return await self.driver.recover(lost)


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
        id="t1",
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
        send_by=Instant(now + 30_000),
        deadline=Instant(now + 255_000),
    )
    return msgspec.structs.replace(made, **changes)


def approved(minor: int = 4250, **changes: Any) -> Transaction:
    """One that was approved earlier at this terminal."""
    outcome = Outcome(
        Verdict.APPROVED,
        approved_amount=minor,
        stan="000123",
        handle={"stan": "000123", "preauthorisation_code": "987654321", "tid": "12345678"},
    )
    earlier = payment(
        minor, id="1773400000000123456789012345678", state=State.APPROVED, outcome=outcome
    )
    return msgspec.structs.replace(earlier, **changes)
