"""A face in front of a gateway, as a cloud is: whoever calls it, a second organisation that must
not be seen, and a server of its own that is told of what happens. Each dialect adds what is said.
"""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, TypeVar
from urllib.parse import urlsplit

import msgspec

from tests.kit.gateway import GatewayUnderTest
from tests.kit.serving import serve_app
from tests.kit.shop import POLLING, STORE, found
from tests.kit.virtual_loop import VirtualLoop
from tillwire.core.estate_model import Merchant, Organisation, Store
from tillwire.core.model import Transaction
from tillwire.core.ports import Unit

OTHER: Final = "other"
"""The second organisation, whose merchant is the other one."""

Json = Any
"""JSON of any shape."""
H = TypeVar("H")
R = TypeVar("R", bound="Receiver[Any]")


def found_two(unit: Unit, other_store: str) -> None:
    """Put the shop into the journal, and the second organisation with a store of this id."""
    found(unit)
    # In the kit's shop it has the serial number of a virtual one.
    unit.put(msgspec.structs.replace(POLLING, serial="7001"))
    unit.put(Organisation(OTHER, "Others"))
    unit.put(Merchant("other merchant", OTHER, "The Other Merchant"))
    elsewhere = unit.estate().stores[STORE]
    fields = {name: getattr(elsewhere, name) for name in elsewhere.__struct_fields__}
    unit.put(Store(**{**fields, "id": other_store, "merchant_id": "other merchant"}))


@dataclass(frozen=True)
class Answer:
    """A whole HTTP response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Json:
        return json.loads(self.body)


A = TypeVar("A", bound=Answer)


@dataclass
class Receiver(ABC, Generic[H]):
    """What is told: a server of its own, which hears such things as H."""

    ordinary: ClassVar[int] = 204
    heard: list[H] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    """What the next ones are answered with; then the ordinary one."""
    url: str = ""
    news: asyncio.Event = field(default_factory=asyncio.Event)

    @abstractmethod
    def read(self, method: str, headers: Mapping[str, str], body: bytes) -> H:
        """What was said by such a request."""

    async def __call__(self, scope: Json, receive: Json, send: Json) -> None:
        """The ASGI application."""
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {key.decode(): value.decode() for key, value in scope["headers"]}
        self.heard.append(self.read(scope["method"], headers, body))
        status = self.statuses.pop(0) if self.statuses else self.ordinary
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        self.news.set()

    async def when(self, enough: Callable[[], bool], within: float) -> None:
        """Wait until that was heard, for so many seconds at most."""
        async with asyncio.timeout(within):
            while not enough():
                self.news.clear()
                await self.news.wait()


class Cloud(Generic[R, A]):
    """A gateway with the face in front, and a receiver."""

    face: ClassVar[str]
    answer: type[A]

    def __init__(self, gateway: GatewayUnderTest, receiver: R) -> None:
        self.gateway = gateway
        self.receiver = receiver
        self._client = gateway.client()

    @property
    def url(self) -> str:
        return self.gateway.url(self.face)

    async def ask(
        self, method: str, where: str, headers: Mapping[str, str], body: bytes = b""
    ) -> A:
        """One request over a connection; `where` is a path at the face, or a URL."""
        response = await self._client.request(
            method,
            self.url + where if where.startswith("/") else where,
            headers=headers,
            body=body,
            timeout=600.0,
            limit=1 << 22,
        )
        names = {name.lower(): value for name, value in response.headers}
        return self.answer(response.status, names, response.body)

    def transactions(self) -> list[Transaction]:
        """All of the journal, oldest first."""
        return self.gateway.transactions()

    async def charged(self) -> list[int]:
        """What the acquirer really moved, in minor units."""
        return list((await self.gateway.charges()).values())


@asynccontextmanager
async def listening(receiver: R, port: int) -> AsyncIterator[R]:
    """The receiver, which listens; on a real loop at a free port."""
    served = await serve_app(receiver, port=port if _virtual() else 0)
    receiver.url = f"http://127.0.0.1:{urlsplit(served.url).port}/told"
    try:
        yield receiver
    finally:
        await served.close()


@asynccontextmanager
async def serving(
    folder: Path,
    face: str,
    port: int,
    settings: Mapping[str, Any],
    furnish: Callable[[Unit], None],
) -> AsyncIterator[GatewayUnderTest]:
    """One life of a gateway with the face on the journal in `folder`, which is furnished if it is
    new; on a real loop at a free port."""
    gateway = GatewayUnderTest(folder, {face: port if _virtual() else 0}, {face: settings})
    estate = await gateway.journal.read(lambda reader: reader.estate())
    if OTHER not in estate.organisations:
        await gateway.journal.commit(furnish)
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()


def _virtual() -> bool:
    return isinstance(asyncio.get_running_loop(), VirtualLoop)
