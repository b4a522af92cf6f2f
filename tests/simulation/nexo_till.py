"""A till that speaks nexo over TCP itself, written apart from our own code, and its book.

It does what the protocol tells it: one ServiceID for each payment; after a lost answer it never
pays again, but asks TransactionStatus until that says something definite.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from tests.unit.nexo.bindings.lane import Socket, opened, payment, status
from tillwire.core.model import Transaction

SALE_ID: Final = "LANE-9"
PATIENCE: Final = 60.0
"""Seconds that the till waits for an answer."""
PAUSE: Final = 5.0
"""Seconds between two questions."""
OVER: Final = frozenset({"Success", "Partial", "Failure"})

Json = Any


@dataclass
class NexoSale:
    """One payment in the till's book."""

    service: str
    minor: int
    heard: list[tuple[str, int]] = field(default_factory=list)
    """Result and minor units of every answer to it that it got, however it got it."""
    absent: bool = False
    """Whether the terminal has said that it never had it."""

    @property
    def is_over(self) -> bool:
        """Whether the till knows how it ended."""
        return bool(self.heard) or self.absent


class NexoBook:
    """The till's memory, which outlives every gateway."""

    def __init__(self) -> None:
        self.sales: list[NexoSale] = []

    def new(self, minor: int) -> NexoSale:
        """A payment under a number of its own."""
        sale = NexoSale(f"n{len(self.sales)}", minor)
        self.sales.append(sale)
        return sale

    def check(self, transactions: Sequence[Transaction], charges: Mapping[str, int]) -> None:
        """Raise `AssertionError` unless what the till heard is what was charged."""
        mine = {each.reference: each for each in transactions if each.register == SALE_ID}
        for sale in self.sales:
            assert len(set(sale.heard)) <= 1, f"it heard two ends: {sale}"
            found = mine.get(f"T-{sale.service}")
            charged = charges.get(found.id) if found else None
            if sale.heard:
                result, minor = sale.heard[0]
                assert (charged or 0) == minor, f"charged {charged}: {sale}, {found}"
                assert (result == "Failure") == (charged is None), f"charged {charged}: {sale}"
            elif sale.absent:
                assert found is None, f"it was there: {sale}, {found}"
            else:
                assert found is not None, f"nobody has told the till: {sale}"
                assert not found.is_final, f"nobody has told the till: {sale}, {found}"


class NexoTill:
    """The till at one terminal."""

    def __init__(self, port: int, poi: str, book: NexoBook) -> None:
        self._port = port
        self._poi = poi
        self._book = book
        self._questions = 0

    async def pay(self, minor: int) -> None:
        """Pay, and find out how it ended as far as that is known soon."""
        sale = self._book.new(minor)
        asked = payment(minor, sale.service, sale=SALE_ID, poi=self._poi)
        answer = await self._exchange(asked, "PaymentResponse")
        if answer is not None:
            self._hear(sale, answer["PaymentResponse"])
        else:
            await self._find_out(sale, 3)

    async def settle(self, seconds: float) -> None:
        """Ask for everything that it does not know yet, for so long."""
        for sale in self._book.sales:
            if not sale.is_over:
                await self._find_out(sale, round(seconds / PAUSE / 10))

    async def _find_out(self, sale: NexoSale, times: int) -> None:
        for _ in range(times):
            await asyncio.sleep(PAUSE)
            self._questions += 1
            number = f"q{self._questions}"
            asked = status(sale.service, number, sale=SALE_ID, poi=self._poi)
            answer = await self._exchange(asked, "TransactionStatusResponse")
            if answer is None:
                continue
            found = answer["TransactionStatusResponse"]
            if found["Response"]["Result"] == "Success":
                body = found["RepeatedMessageResponse"]["RepeatedResponseMessageBody"]
                self._hear(sale, body["PaymentResponse"])
                return
            if found["Response"]["ErrorCondition"] == "NotFound":
                sale.absent = True
                return

    async def _exchange(self, message: Json, kind: str) -> Json | None:
        """The response to it; None when none came."""
        try:
            async with asyncio.timeout(PATIENCE), await Socket.open(self._port) as socket:
                socket.say(message)
                while True:
                    heard = opened(await socket.hear())
                    if kind in heard:
                        return heard
        except (OSError, EOFError):
            return None

    def _hear(self, sale: NexoSale, body: Json) -> None:
        result = body["Response"]["Result"]
        amounts = body.get("PaymentResult", {}).get("AmountsResp", {})
        minor = int(Decimal(str(amounts.get("AuthorizedAmount", 0))) * 100)
        sale.heard.append((result, minor))
