"""A driver without the engine: what is noted in its place, and the transactions that the driver is
given. The driver, its settings and its terminal are the dialect's."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tests.kit.shop import SHOP
from tests.kit.virtual_loop import virtual_loop
from tillwire.clock import Instant
from tillwire.core.model import Heading, Outcome, State, Transaction, TransactionType
from tillwire.core.ports import Sign
from tillwire.money import Money

LANE: Final = "t1"
"""The terminal's id."""


class Notes:
    """In place of the engine: what was journaled, and what else there is. As much of the inbox as
    such drivers use."""

    def __init__(self) -> None:
        self.peer: dict[str, str] = {}
        self.signs: list[tuple[float, Sign]] = []
        self.displays: list[str] = []
        self.started = False
        self.known: list[Transaction] = []
        """Of this terminal, newest first."""

    async def progress(self, sign: Sign) -> None:
        self.signs.append((virtual_loop().time(), sign))
        self.peer.update(sign.peer)
        self.started = self.started or sign.started
        if sign.display:
            self.displays.append(sign.display)

    async def find(self, transaction_id: str) -> Transaction | None:
        return next((each for each in self.known if each.id == transaction_id), None)

    async def follow_ups(self, original_id: str) -> list[Transaction]:
        return [each for each in self.known if each.original_id == original_id]

    async def newest_at(self, terminal_id: str, limit: int) -> list[Transaction]:
        assert terminal_id == LANE
        return [each for each in self.known if each.terminal_id == terminal_id][:limit]

    def lost(self, transaction: Transaction) -> Transaction:
        """The transaction as the journal has it after its answer was lost."""
        return msgspec.structs.replace(transaction, state=State.UNKNOWN, peer=dict(self.peer))


def dispatched(
    minor: int, heading: Heading, /, *, send_seconds: int, seconds: int, **changes: Any
) -> Transaction:
    """A PURCHASE that was dispatched just now, may be sent for `send_seconds` and is waited for
    `seconds`; or what `changes` make of it."""
    now = virtual_loop().clock.now()
    made = Transaction(
        id="1773480000000123456789012345678",
        version=2,
        organisation_id=SHOP,
        terminal_id=LANE,
        dialect="test",
        type=TransactionType.PURCHASE,
        state=State.SENT,
        amount=Money(minor, "EUR"),
        reference="bill 7",
        heading=heading,
        created_at=now,
        token=1,
        sent_at=now,
        send_by=Instant(now + send_seconds * 1000),
        deadline=Instant(now + seconds * 1000),
    )
    return msgspec.structs.replace(made, **changes)


def approved_earlier(payment: Transaction, outcome: Outcome, /, **changes: Any) -> Transaction:
    """It, had it been approved earlier, with this outcome; or what `changes` make of it."""
    earlier = msgspec.structs.replace(
        payment, id="1773400000000123456789012345678", state=State.APPROVED, outcome=outcome
    )
    return msgspec.structs.replace(earlier, **changes)
