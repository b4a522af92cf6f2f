"""A till that speaks the MerchantAPI as source 004 tells it to, written apart from our own code.

It writes everything it does and hears into a `Book`, which survives whatever happens to the
gateway: tills have a life of their own. After a lost reply it looks before it asks again; or, with
an idempotency key, it simply asks again.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from tests.kit import shop
from tillwire.core.estate_model import Terminal
from tillwire.core.ports import HttpClient, HttpResponse
from tillwire.errors import NotDelivered, PeerError

FACE: Final = "merchantapi"
"""The face that this till speaks to."""
PATIENCE: Final = 10.0
"""Seconds that a till waits for one reply."""
POLL: Final = 1.0
"""Seconds between two status reads."""
TRIES: Final = 5
"""How often a till asks again before it gives up for now."""
OVER: Final = frozenset({"CLEARED", "CANCELLED"})
"""Statuses after which nothing comes any more."""


class Heard(msgspec.Struct, frozen=True):
    """What a till heard of a transaction at one time."""

    status: str
    result: str | None
    minor: int
    """What was paid, if it says so; else what was asked for."""


class Sale(msgspec.Struct):
    """One sale in the till's book."""

    reference: str
    terminal: str
    minor: int
    type: str = "PURCHASE"
    original: str | None = None
    id: str | None = None
    refused: int | None = None
    """The HTTP status with which the gateway refused it."""
    heard: list[Heard] = []
    """What it read that was news."""
    deleted: list[int] = []
    """What DELETE answered, each time."""


class Book:
    """The till's memory of its sales, by reference."""

    def __init__(self, written: bytes = b"{}") -> None:
        self.sales = msgspec.json.decode(written, type=dict[str, Sale])

    def written(self) -> bytes:
        """The book as it stands."""
        return msgspec.json.encode(self.sales)


class Till:
    """One till at one terminal."""

    def __init__(
        self,
        http: HttpClient,
        url: str,
        book: Book,
        terminal: Terminal,
        *,
        repeats: bool = False,
    ) -> None:
        """`url` is the face's. `repeats`: after a lost reply, ask again under the same idempotency
        key instead of looking."""
        self._http = http
        self._book = book
        self._terminal = terminal
        self._repeats = repeats
        self._url = f"{url}/terminals/{terminal.name}/transactions"

    async def pay(
        self,
        reference: str,
        minor: int,
        *,
        type: str = "PURCHASE",  # noqa: A002 - it is the field's name
        original: str | None = None,
    ) -> Sale:
        """Ask for one payment or refund, until it is known to be asked for, or given up."""
        sale = Sale(reference, self._terminal.name, minor, type, original)
        self._book.sales[reference] = sale
        for _ in range(TRIES):
            try:
                response = await self._post(sale)
            except NotDelivered:
                await asyncio.sleep(POLL)  # it did not leave: ask again
            except PeerError:
                if not self._repeats:
                    await self.look(sale)
                    return sale
            else:
                self._note_answer(sale, response)
                return sale
        return sale

    async def _post(self, sale: Sale) -> HttpResponse:
        euros = f"{sale.minor // 100}.{sale.minor % 100:02d}"
        reference = json.dumps({"id": sale.original}) if sale.original else "null"
        body = (
            f'{{"type": "{sale.type}", "merchant_order_reference": "{sale.reference}", '
            f'"amount": {{"value": {euros}, "currency": "EUR"}}'
            + (f', "reference": {reference}' if sale.original else "")
            + "}"
        )
        headers = {"Content-Type": "application/json"}
        if self._repeats:
            headers["Idempotency-Key"] = sale.reference
        return await self._ask("POST", self._url, headers, body.encode())

    def _note_answer(self, sale: Sale, response: HttpResponse) -> None:
        if response.status == 201:
            self._note(sale, json.loads(response.body, parse_float=Decimal))
        elif response.status < 500:
            sale.refused = response.status

    def _note(self, sale: Sale, told: Mapping[str, Any]) -> None:
        assert sale.id in (None, told["id"]), "a sale keeps its id"
        sale.id = told["id"]
        amount = told.get("approved_amount", told["amount"])
        minor = int(Decimal(amount["value"]) * 100)
        heard = Heard(told["status"], told.get("result"), minor)
        if sale.heard[-1:] != [heard]:
            sale.heard.append(heard)

    async def look(self, sale: Sale) -> None:
        """Find out whether a sale whose reply was lost was taken (source 004: list the terminal's
        transactions and look for the reference)."""
        for _ in range(TRIES):
            try:
                response = await self._ask("GET", f"{self._url}?size=100", {}, b"")
            except PeerError:
                await asyncio.sleep(POLL)
                continue
            if response.status == 200:
                listed = json.loads(response.body, parse_float=Decimal)
                mine = [t for t in listed if t["merchant_order_reference"] == sale.reference]
                if mine:
                    self._note(sale, mine[-1])  # the oldest: a double of it may have come since
                return

    async def read(self, sale: Sale) -> bool:
        """Read the status once; whether nothing comes any more."""
        if sale.id is None:
            return sale.refused is not None
        try:
            response = await self._ask("GET", f"{self._url}/{sale.id}", {}, b"")
        except PeerError:
            return False
        if response.status == 200:
            self._note(sale, json.loads(response.body, parse_float=Decimal))
        else:
            assert response.status >= 500, f"what was taken is there: {response}"
        return sale.heard[-1].status in OVER

    async def follow(self, sale: Sale, seconds: float) -> bool:
        """Read the status until nothing comes any more, for so many seconds; whether that came."""
        for _ in range(math.ceil(seconds / POLL)):
            if await self.read(sale):
                return True
            await asyncio.sleep(POLL)
        return await self.read(sale)

    async def cancel(self, sale: Sale) -> None:
        """Ask to cancel, once."""
        if sale.id is None:
            return
        try:
            response = await self._ask("DELETE", f"{self._url}/{sale.id}", {}, b"")
        except PeerError:
            return
        sale.deleted.append(response.status)

    async def _ask(
        self, method: str, url: str, headers: dict[str, str], body: bytes
    ) -> HttpResponse:
        headers["API-Key"] = shop.API_KEY
        return await self._http.request(method, url, headers=headers, body=body, timeout=PATIENCE)
