"""A shop with the MerchantAPI in front: real engine, real journal, a scripted terminal behind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, MutableMapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from tests.unit.core.scripted import ScriptedDriver, engine_on
from tillwire.clock import Instant, SystemClock
from tillwire.core.engine import Engine
from tillwire.core.estate_model import ApiKey, Store
from tillwire.core.model import Outcome, Transaction, Verdict
from tillwire.core.ports import Unit
from tillwire.dialects.merchantapi import face
from tillwire.dialects.merchantapi.face import Settings
from tillwire.estate.keys import new_api_key

TERMINAL = "TILLWIRE-V1-t1"
PREFIX = "/merchantapi"
PURCHASE = {
    "type": "PURCHASE",
    "merchant_order_reference": "till2-000481",
    "amount": {"value": 12.5, "currency": "EUR"},
}
VISA = Outcome(
    Verdict.APPROVED, approved_amount=1250, stan="000481", brand="VISA", card_last4="0010"
)
DECLINED = Outcome(Verdict.DECLINED, stan="000482", brand="VISA", response_code="05")
CANCELLED = Outcome(Verdict.CANCELLED)


class HandClock(SystemClock):
    """A wall clock that a test can set."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = 0

    def now(self) -> Instant:
        return Instant(super().now() + self.shift)


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def json(self) -> Any:  # Any: JSON of any shape
        return msgspec.json.decode(self.body)

    def header(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key == name.lower()]
        assert len(found) <= 1, f"{name} is there more than once"
        return found[0] if found else None


@dataclass
class Till:
    """A till's backend: sends what it is told, as ASGI."""

    app: Any  # Any: an ASGI application
    key: str | None = None
    key_header: str = "API-Key"
    root: str = PREFIX
    more: list[tuple[str, str]] = field(default_factory=list)

    async def send(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request; a body in several pieces comes without Content-Length."""
        path, _, query = path.partition("?")
        pieces = [body or b""] if body is None or isinstance(body, bytes) else list(body)
        sent = [("Host", "till.test:8700"), *self.more, *(headers or {}).items()]
        if self.key is not None:
            sent.append((self.key_header, self.key))
        if isinstance(body, bytes) and "Content-Length" not in dict(sent):
            sent.append(("Content-Length", str(len(body))))
        scope = {
            "type": "http",
            "method": method,
            "path": self.root + path,
            "raw_path": (self.root + path).encode(),
            "root_path": self.root,
            "query_string": query.encode(),
            "scheme": "http",
            "server": ("127.0.0.1", 8700),
            "headers": [(key.lower().encode(), value.encode("latin-1")) for key, value in sent],
        }
        return await ask(self.app, scope, pieces)

    async def get(self, path: str) -> Answer:
        return await self.send("GET", path)

    async def delete(self, path: str) -> Answer:
        return await self.send("DELETE", path)

    async def post(
        self, path: str, message: Any, headers: Mapping[str, str] | None = None
    ) -> Answer:
        body = message if isinstance(message, bytes) else msgspec.json.encode(message)
        return await self.send(
            "POST", path, body, {"Content-Type": "application/json", **(headers or {})}
        )

    async def start(
        self, message: Mapping[str, Any] = PURCHASE, terminal: str = TERMINAL, **changes: Any
    ) -> Answer:
        """Start a transaction."""
        return await self.post(f"/terminals/{terminal}/transactions", {**message, **changes})

    async def read(self, transaction_id: str, terminal: str = TERMINAL) -> Answer:
        return await self.get(f"/terminals/{terminal}/transactions/{transaction_id}")

    async def cancel(self, transaction_id: str, terminal: str = TERMINAL) -> Answer:
        return await self.delete(f"/terminals/{terminal}/transactions/{transaction_id}")


async def ask(app: Any, scope: MutableMapping[str, Any], pieces: Sequence[bytes] = ()) -> Answer:
    """One request to an ASGI application, and its whole answer."""
    pieces = pieces or [b""]
    messages = [
        {"type": "http.request", "body": piece, "more_body": index + 1 < len(pieces)}
        for index, piece in enumerate(pieces)
    ]
    replies: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        replies.append(message)

    await app(scope, receive, send)
    start, *parts = replies
    headers = [(key.decode(), value.decode("latin-1")) for key, value in start["headers"]]
    return Answer(start["status"], headers, b"".join(part["body"] for part in parts))


@dataclass
class Shop:
    """The organisation `shop` (terminals t1 to t3), its neighbour `other` (x1), and their tills."""

    engine: Engine
    driver: ScriptedDriver
    clock: HandClock
    app: face.Face
    till: Till
    neighbour: Till
    keys: list[ApiKey]

    async def paid(self, outcome: Outcome = VISA, **changes: Any) -> str:
        """A transaction that the terminal has ended; its id."""
        started = await self.till.start(**changes)
        assert started.status == 201, started.body
        return await self.end(started.json["id"], outcome)

    async def end(self, transaction_id: str, outcome: Outcome = VISA) -> str:
        """The terminal ends what it was sent; the transaction's id."""
        known = await self.known(transaction_id)
        await self.driver.begun(known)
        self.driver.answer(known, outcome)
        ended = await self.engine.wait(transaction_id, lambda each: each.is_final, 5)
        assert ended.is_final, f"the outcome does not fit: {ended}"
        return transaction_id

    async def known(self, transaction_id: str) -> Transaction:
        found = await self.engine.find(transaction_id)
        assert found is not None
        return found

    async def new_key(
        self, organisation: str = "shop", **validity: Instant | None
    ) -> tuple[Till, ApiKey]:
        """A till with a new key of the organisation."""
        key, secret = new_api_key(organisation, "till", self.clock, **validity)
        await self.put(key)
        return Till(self.app, secret), key

    async def put(self, *things: Any) -> None:
        """Create or change things of the estate."""

        def work(unit: Unit) -> None:
            for thing in things:
                unit.put(thing)

        await self.engine.change_estate(work)

    async def stores(self, count: int) -> None:
        """Stores until the organisation has `count`."""
        first = self.engine.estate.stores["shop-s"]
        await self.put(*(_store(first, number) for number in range(2, count + 1)))


def _store(like: Store, number: int) -> Store:
    return msgspec.structs.replace(like, id=f"shop-s{number}", name=f"Shop {number:03d}")


@asynccontextmanager
async def open_shop(
    folder: Path, *, pull: bool = False, abort: bool = False, settings: Settings | None = None
) -> AsyncIterator[Shop]:
    """A shop on a new journal in `folder`; `pull`: its terminals fetch."""
    driver, clock = ScriptedDriver(pull=pull, abort=abort), HandClock()
    async with engine_on(folder, driver, clock) as engine:
        app = face.create(engine, clock, settings)
        shop = Shop(engine, driver, clock, app, Till(app), Till(app), [])
        shop.till, mine = await shop.new_key()
        shop.neighbour, theirs = await shop.new_key("other")
        shop.keys = [mine, theirs]
        yield shop
