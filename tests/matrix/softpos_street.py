"""A counter with a phone, in a world that outlives the gateway: whoever saw a link may open it, and
the backend has its books. They are the truth about the money."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from tests.unit.softpos.driver.backend import TID, Json
from tests.unit.softpos.driver.counter import Counter
from tillwire.core.model import State, Transaction

HOUR: Final = 3_600
STATES: Final = {
    "APPROVED": State.APPROVED,
    "DECLINED": State.DECLINED,
    "CANCELLED": State.CANCELLED,
}


@dataclass
class World:
    """What outlives the gateway: the links that were seen, and the backend's books."""

    seen: list[str] = field(default_factory=list)
    known: dict[tuple[str, str], Json] = field(default_factory=dict)
    charged: list[int] = field(default_factory=list)


class Street(Counter):
    """A counter in that world."""

    def __init__(self, folder: Path, world: World) -> None:
        super().__init__(folder, {"horizon_seconds": HOUR})
        self.world = world
        self.backend.known, self.backend.charged = world.known, world.charged

    def let_go(self) -> None:
        """Close all files."""
        self.gateway.let_go()

    async def see(self, order: Transaction) -> str:
        """Somebody opens the link's picture on the phone."""
        link = await self.shown(order)
        self.world.seen.append(link)
        return link

    def name_in(self, link: str) -> str:
        """The transaction's id."""
        return dict(parse_qsl(urlsplit(link).query))["callerTrxId"]

    def amount_in(self, link: str) -> str:
        """In minor units."""
        return dict(parse_qsl(urlsplit(link).query))["amount"]

    def use(self, link: str, status: str) -> Json:
        """The phone does what the link wants; a reversal hits its original."""
        told = self.backend.pay(link, status=status)
        if urlsplit(link).netloc == "reversal" and status == "APPROVED":
            self.world.known[self._last_paid()]["status"] = "REVERSED"
        return told

    def _last_paid(self) -> tuple[str, str]:
        """What the app reverses, whatever it is told."""
        *_, last = [
            key
            for key, told in self.world.known.items()
            if told["operationType"] == "PAYMENT" and told["status"] == "APPROVED"
        ]
        return last


def check(transaction: Transaction, world: World) -> None:
    """Raise `AssertionError` unless we say what the backend says."""
    found = world.known.get((TID, transaction.id))
    if found is None:
        assert transaction.state in (State.FAILED, State.CANCELLED), transaction
        assert transaction.proof is not None or transaction.outcome is not None
    elif found["status"] == "REVERSED":
        assert transaction.state is State.APPROVED
        assert transaction.reversed_at is not None
    else:
        assert transaction.state is STATES[found["status"]], transaction
