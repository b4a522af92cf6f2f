"""A careful ECR17 till: what a cash register must do so that nobody pays twice, and no more.

It writes down what it is about to ask for, and what it knows of it, which outlives every gateway.
It repeats a request as the protocol says, takes a NAK to each of its copies for a proof that
nothing has begun, and after a lost answer it finds out: by the same request, which a lane takes for
the same sale for a while, or by `s` and `G`, if it is alone on its lane. What it cannot find out is
open: it neither guesses nor asks for money again.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from tests.kit.virtual_loop import virtual_loop
from tests.simulation import ecr17_line as line
from tests.simulation.ecr17_line import ACK, NAK, Line, Result
from tests.simulation.ecr17_street import NEAR_PORTS
from tillwire.core.model import TransactionType

TYPES: Final = {
    "X": TransactionType.PURCHASE,
    "S": TransactionType.REVERSAL,
    "p": TransactionType.PREAUTH,
    "c": TransactionType.CAPTURE,
}
NO_ID: Final = "00000000"
"""What a cash register calls itself that has no id; the lane goes by its address then."""
NO_STAN: Final = "000000"
"""In a KO to what never became a transaction."""
TRIES: Final = 3
CONNECTS_WITHIN: Final = 10.0
RESULT_WITHIN: Final = 130.0
"""Since the last sign of life."""
AGAIN_WITHIN: Final = 15.0
"""The same when an earlier result was repeated: its own may come behind it."""
TICKET_WITHIN: Final = 3.0
PAUSE: Final = 10.0
"""Seconds between two looks; longer than anything is under way, so nothing comes behind it."""
SAME_FOR: Final = 150.0
"""After its first copy was written, for how long a request is surely taken for the same one."""
REMEMBERED: Final = 6
"""STANs of results that it has heard lately."""


@dataclass
class Sale:
    """One request that moves money, in a till's book."""

    kind: str
    minor: int
    begun: float
    """When it was written down: virtual seconds."""
    name: str = ""
    """Of what it follows: the STAN of what is reversed, the code of what is captured."""
    written: float | None = None
    """When its first copy went out that was not refused."""
    result: Result | None = None
    never: bool = False
    """Whether it is proven that nothing has begun."""
    asks_person: bool = False
    """Whether only a person can tell, since others use the lane."""
    found_by: str = ""

    @property
    def is_open(self) -> bool:
        """Whether the till does not know what became of it."""
        return self.result is None and not self.never


@dataclass
class Till:
    """One cash register on a lane. What it remembers is on its disk."""

    shop: int
    register: str
    """Its id, eight digits."""
    dice: random.Random
    alone: bool = True
    """Whether no other till is on its lane."""
    keeps: bool = False
    """Whether it keeps its connection."""
    asks_first: bool = False
    """Whether it asks for the last result before each sale."""
    prints: bool = False
    """Whether it prints receipts."""
    ack_within: float = 5.0
    """Seconds after which it sends again what was not answered."""
    sales: list[Sale] = field(default_factory=list)
    heard: deque[str] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    """STANs of results, newest last."""
    kept: Line | None = None

    @property
    def name(self) -> str:
        """For people."""
        return f"till {self.register} at {self.port}"

    @property
    def port(self) -> int:
        """The lane's."""
        return NEAR_PORTS[f"ecr17 {self.shop}"]

    # --- what a cashier asks for ----------------------------------------------------------------

    async def sell(self, kind: str, minor: int, name: str = "") -> Sale:
        """Ask for it, and find out how it ended, however long that takes."""
        assert not self.sales or not self.sales[-1].is_open, "one after the other"
        sale = Sale(kind, minor, _now(), name)
        self.sales.append(sale)
        for _ in range(TRIES):
            await self._try(sale, self.kept)
            if not sale.is_open or sale.written is not None:
                break
            await asyncio.sleep(self.dice.choice((0.5, 5.0)))
        else:
            sale.never = True
        await self.find_out()
        return sale

    async def find_out(self) -> None:
        """Ask about the last sale until it is known what became of it."""
        if not self.sales:
            return
        sale = self.sales[-1]
        if sale.written is None and sale.is_open:
            sale.never = True
        while sale.is_open:
            assert sale.written is not None, "else nothing has begun"
            await asyncio.sleep(PAUSE + self.dice.choice((0.0, 1.0, 10.0)))
            is_same = _now() - sale.written < SAME_FOR
            if is_same and not (self.alone and self.dice.random() < 0.5):
                await self._try(sale, None)
                sale.never = sale.written is None
            elif self.alone:
                await self._look(sale)
            else:
                sale.asks_person = True

    # --- one connection ---------------------------------------------------------------------------

    async def _try(self, sale: Sale, connection: Line | None) -> None:
        """Ask for it on this connection, or a new one."""
        is_again, self.kept = sale.written is not None, None
        keeps = False
        try:
            if self.asks_first and not is_again:
                connection = await self._usable(connection)
                await self._last(connection)
            if self.prints:
                connection = await self._usable(connection)
                await self._is_taken(connection, line.receipt_here())
            connection = await self._usable(connection)
            await self._ask(connection, sale)
            if sale.result is not None:
                sale.found_by = "repetition" if is_again else "answer"
                if self.prints:
                    await self._print(connection)
            keeps = self.keeps and not connection.doubled
        except OSError:
            pass  # the connection broke, or nothing came in time
        finally:
            if keeps:
                self.kept = connection
            elif connection is not None:
                connection.close()

    async def _usable(self, connection: Line | None) -> Line:
        """This connection, or another one if what was sent twice on it may be answered twice."""
        if connection is not None:
            if not connection.doubled:
                return connection
            connection.close()
        return await Line.open(self.port, CONNECTS_WITHIN)

    async def _ask(self, connection: Line, sale: Sale) -> None:
        first = sale.written if sale.written is not None else _now()
        sale.written = first
        payload = line.order(sale.kind, self.register, sale.minor, sale.name)
        if not await self._is_taken(connection, payload):
            if _now() - first < SAME_FOR:
                sale.written = None  # the lane would have known it
            return
        found = await self._result(connection, sale.kind)
        self._remember(found)
        sale.result = found

    async def _is_taken(self, connection: Line, payload: str) -> bool:
        """Send it up to three times; whether it was acknowledged, or else refused as often as it
        was sent. Raises `OSError` when that is not known."""
        sent = refused = 0
        while True:
            connection.write(line.framed(payload))
            connection.doubled = connection.doubled or sent > 0
            sent += 1
            with suppress(TimeoutError):
                while True:
                    frame = await connection.frame(self.ack_within)
                    if frame[0] == ACK[0]:
                        return True
                    if line.is_message(frame):
                        connection.write(ACK)  # an earlier one once more, whose ACK was late
                    elif frame[0] == NAK[0]:
                        refused += 1
                        if refused == sent:
                            break
            if sent == TRIES:
                if refused == sent:
                    return False
                raise TimeoutError("It answers nothing.")
            await asyncio.sleep(self.dice.choice((0.5, 2.0)))

    async def _result(self, connection: Line, kind: str) -> Result:
        """The result of a request of this kind, acknowledged. Raises `OSError`."""
        within = RESULT_WITHIN
        while True:
            frame = await connection.frame(within)
            if not line.is_message(frame):
                continue
            payload = line.payload_of(frame)
            connection.write(ACK if payload else NAK)
            found = line.result_of(payload) if payload else None
            if found is None:
                continue
            if found.stan in self.heard:
                within = AGAIN_WITHIN
                continue
            assert kind in ("G", found.kind), f"asked for {kind}: {payload}"
            return found

    async def _print(self, connection: Line) -> None:
        while True:
            frame = await connection.frame(TICKET_WITHIN)
            if line.is_message(frame):
                connection.write(ACK)
                if frame[-3:-2] == b"\x1b":
                    return

    # --- the last result --------------------------------------------------------------------------

    async def _last(self, connection: Line) -> Result | None:
        """The lane's last result, whosever it is; None when it tells none. Raises `OSError`."""
        if not await self._is_taken(connection, line.last_result(self.register)):
            return None
        while True:
            frame = await connection.frame(self.ack_within)
            payload = line.payload_of(frame) if line.is_message(frame) else None
            if payload is not None:
                connection.write(ACK)
                if found := line.result_of(payload):
                    self._remember(found)
                    return found

    async def _look(self, sale: Sale) -> None:
        """Ask how the terminal is, and if it is ready for its last result."""
        connection = None
        before = tuple(self.heard)
        try:
            connection = await Line.open(self.port, CONNECTS_WITHIN)
            if not await self._is_ready(connection):
                return
            found = await self._last(connection)
            if found is None and (before or not await self._is_ready(connection)):
                return
            if found is None or found.stan in before:
                sale.never = True
            else:
                assert found.kind == sale.kind, f"alone on its lane, it hears {found}: {sale}"
                sale.result = found
            sale.found_by = "G"
        except OSError:
            pass
        finally:
            if connection is not None:
                connection.close()

    async def _is_ready(self, connection: Line) -> bool:
        if not await self._is_taken(connection, line.status()):
            return False
        while not line.is_message(await connection.frame(self.ack_within)):
            continue
        connection.write(ACK)
        return True

    def hear_of(self, sale: Sale, found: Result | None) -> None:
        """Be told by a person what became of it; None: nothing has begun."""
        sale.result, sale.never, sale.found_by = found, found is None, "person"
        if found is not None:
            self._remember(found)

    def _remember(self, found: Result) -> None:
        if found.stan != NO_STAN and found.stan not in self.heard:
            self.heard.append(found.stan)


def _now() -> float:
    return virtual_loop().time()
