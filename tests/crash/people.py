"""Who lives on when the gateway dies: a till with its book, and a terminal with its memory.

Both do what source 004 and the device link tell them to after a lost reply, so the same code plays
a sale from the start and takes it up again after a restart. Any method may raise one of `GONE`
when the gateway dies under it.
"""

from __future__ import annotations

import http.client
from dataclasses import dataclass, field
from typing import Any, Final

from tests.kit.sandbox_process import Card
from tests.kit.shop_front import OPEN, PolledTerminal, Till

GONE: Final = (OSError, http.client.HTTPException)
"""What a lost connection looks like."""
SETTLES_WITHIN: Final = 40.0
"""Seconds: a lost answer is found within 30, on a busy machine a little later."""


@dataclass
class Sale:
    """One sale, as its till remembers it."""

    reference: str
    minor: int
    kind: str = "PURCHASE"
    original: str | None = None
    asked: bool = False
    id: str | None = None
    heard: list[tuple[str, str | None]] = field(default_factory=list)
    """Status and result, each time they were read."""
    cancelled: list[int] = field(default_factory=list)
    """What DELETE has answered."""
    service: str = ""
    """Under which number a nexo till has sent it last."""
    tries: int = 0
    """How many messages a nexo till has sent for it."""
    register: str = ""
    """The cash register of an ECR17 till that has asked for it, and for no other sale."""
    before: bytes = b""
    """The STAN of the lane's last result before an ECR17 till asked for it."""
    stan: str = ""
    """What an ECR17 till has heard of it."""

    def hear(self, told: Any) -> None:  # Any: JSON
        """Write down what the gateway says of it now."""
        assert self.id in (None, told["id"]), "a sale keeps its id"
        self.id = told["id"]
        self.heard.append((told["status"], told.get("result")))

    @property
    def is_over(self) -> bool:
        """Whether the till has heard how it ended."""
        return bool(self.heard) and self.heard[-1][0] != OPEN


class CarefulTill:
    """A till that looks before it asks again."""

    def __init__(self, card: Card, terminal: str) -> None:
        self._till = Till(card, terminal)

    def order(self, sale: Sale) -> bool:
        """Make sure that the sale is ordered, once; False while its terminal is blocked by one
        whose outcome nobody knows yet."""
        if sale.id is None and sale.asked:
            found = self._till.look_up(sale.reference)
            assert len(found) <= 1, "ordered once"
            for told in found:
                sale.hear(told)
        if sale.id is None:
            sale.asked = True
            answer = self._till.ask(
                sale.reference, sale.minor, kind=sale.kind, original=sale.original
            )
            if answer.status == 409:
                return False
            assert answer.status == 201, answer
            sale.hear(answer.json)
        return True

    def read(self, sale: Sale) -> None:
        """Read its status once."""
        assert sale.id is not None
        sale.hear(self._till.read(sale.id))

    def follow(self, sale: Sale, seconds: float = SETTLES_WITHIN) -> None:
        """Read its status until it has ended, so many seconds at most."""
        assert sale.id is not None
        sale.hear(self._till.follow(sale.id, seconds))

    def cancel(self, sale: Sale) -> None:
        """Cancel it; after a lost reply, look first."""
        assert sale.id is not None
        self.read(sale)
        if not sale.is_over:
            sale.cancelled.append(self._till.cancel(sale.id).status)
            self.read(sale)


class Memory:
    """What a terminal that fetches remembers of its transactions, by id."""

    def __init__(self) -> None:
        self.open: str | None = None
        self.amounts: dict[str, int] = {}
        self.charged: dict[str, int] = {}
        """What it has charged."""


class CarefulTerminal:
    """A terminal that tells everything until it is answered, and charges no id twice."""

    def __init__(self, card: Card, memory: Memory) -> None:
        self._terminal = PolledTerminal(card)
        self._memory = memory
        self.name = self._terminal.name

    def work(self) -> None:
        """Go on with what it has, else fetch; to the end of one transaction, if there is one."""
        memory = self._memory
        if memory.open is None:
            answer = self._terminal.poll()
            if answer.status == 204:
                return
            assert answer.status == 200, answer
            self._take(answer.json)
        sale = memory.open
        assert sale is not None
        if sale not in memory.charged:
            presented = self._terminal.tell(sale, "card_presented")
            assert presented.status == 200, presented
            memory.charged[sale] = memory.amounts[sale]
        told = self._terminal.tell(sale, "approved", authorisation_code="123456", stan="000001")
        assert told.status == 200, told
        memory.open = None

    def _take(self, offer: Any) -> None:  # Any: JSON
        memory = self._memory
        assert offer["id"] not in memory.charged, "handed out again after its outcome was told"
        assert not offer["resume"], "it has not presented any card yet"
        memory.open = offer["id"]
        memory.amounts[offer["id"]] = offer["amount"]["minor"]
