"""The cloud under test, a register that calls it, and where it is told.

Written apart from the program's own wire: forms and JSON are made by the standard library, so that
both cannot be wrong in the same way.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import msgspec

from tests.kit.gateway import GatewayUnderTest
from tests.kit.serving import Served, serve_app
from tests.kit.shop import POLLING, SHOP, STORE, VIRTUAL, found
from tests.kit.virtual_loop import VirtualLoop
from tillwire.core.model import Lifecycle, Merchant, Organisation, Register, Store, Transaction
from tillwire.core.ports import HttpResponse, Unit
from tillwire.estate import pairings
from tillwire.estate.pairings import Codes, show_code

PORT: Final = 8760
RECEIVER: Final = 8761
FACE: Final = "smartconnect"
OTHER: Final = "other"
OTHER_STORE: Final = "0b7f5a1e-3b0e-4a0a-8d5c-4c4d3f1b9e12"
LANE: Final = VIRTUAL[0]
SECOND_LANE: Final = VIRTUAL[1]
FORM: Final = "application/x-www-form-urlencoded"
OTHERS: Final = msgspec.structs.replace(
    LANE, id="v1-9001", organisation_id=OTHER, store_id=OTHER_STORE, serial="9001", tid="30359001"
)

Json = Any
"""JSON of any shape."""


def furnish(unit: Unit) -> None:
    """Put the shop into the journal, and a second organisation with a terminal."""
    found(unit)
    unit.put(msgspec.structs.replace(POLLING, serial="7001"))
    unit.put(Organisation(OTHER, "Others"))
    unit.put(Merchant("other merchant", OTHER, "The Other Merchant"))
    elsewhere = unit.estate().stores[STORE]
    fields = {name: getattr(elsewhere, name) for name in elsewhere.__struct_fields__}
    unit.put(Store(**{**fields, "id": OTHER_STORE, "merchant_id": "other merchant"}))
    unit.put(OTHERS)


@dataclass(frozen=True)
class Answer:
    """A whole HTTP response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Json:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """Why it was refused."""
        said = self.json
        assert list(said) == ["error"], said
        words: str = said["error"]
        return words

    @property
    def polling_url(self) -> str:
        url: str = self.json["data"]["PollingUrl"]
        return url


class RegisterUnderTest:
    """A register: pairs itself, asks and polls."""

    def __init__(
        self,
        cloud: Cloud,
        register_id: str = "shop7-till2",
        business: str = "Harbour Books",
        vendor: str = "TillCo",
    ) -> None:
        self.cloud = cloud
        self.names = {
            "POSRegisterID": register_id,
            "POSBusinessName": business,
            "POSVendorName": vendor,
        }

    async def pair(self, code: str, **fields: str) -> Answer:
        """Enter a code."""
        said = {**self.names, "POSRegisterName": "Till 2", **fields}
        return await self.cloud.form("PUT", f"/POS/Pairing/{code}", said)

    async def paired(self, terminal: str = LANE.id) -> RegisterUnderTest:
        """Enter the code that the terminal shows."""
        answer = await self.pair(await self.cloud.code(terminal))
        assert (answer.status, answer.json) == (200, {"result": "success"}), answer
        return self

    async def ask(
        self, kind: str = "Card.Purchase", headers: Mapping[str, str] | None = None, **fields: str
    ) -> Answer:
        """POST a transaction; a field that is empty is left out."""
        said = {**self.names, "TransactionMode": "ASYNC", "TransactionType": kind, **fields}
        kept = {name: value for name, value in said.items() if value}
        return await self.cloud.form("POST", "/POS/Transaction", kept, headers)

    async def begin(self, kind: str = "Card.Purchase", **fields: str) -> Answer:
        """The same, which must be accepted."""
        answer = await self.ask(kind, **fields)
        assert answer.status == 200, answer
        assert answer.json["transactionStatus"] == "PENDING", answer
        return answer

    async def end(self, begun: Answer, within: float = 400.0) -> Json:
        """Poll until it is completed; the envelope."""
        async with asyncio.timeout(within):
            while True:
                answer = await self.cloud.get(begun.polling_url)
                if answer.status == 429:
                    await asyncio.sleep(int(answer.headers["retry-after"]))
                    continue
                assert answer.status == 200, answer
                if answer.json["transactionStatus"] == "COMPLETED":
                    return answer.json
                await asyncio.sleep(2.0)

    async def do(self, kind: str = "Card.Purchase", **fields: str) -> Json:
        """Ask, and poll until it is completed; its data."""
        ended = await self.end(await self.begin(kind, **fields))
        return ended["data"]


def words(data: Json) -> tuple[str, str]:
    """`TransactionResult` and `Result`."""
    return data.get("TransactionResult", ""), data.get("Result", "")


ACCEPTED: Final = ("OK-ACCEPTED", "OK")
AWAY: Final = ("CANCELLED", "FAILED-INTERFACE")
DELAYED: Final = ("OK-DELAYED", "DELAYED-TRANSACTION")


@dataclass
class Receiver:
    """Where registers are told: a server of its own."""

    heard: list[tuple[Mapping[str, str], Json]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    """What the next ones are answered with; then 204."""
    url: str = ""
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Json, receive: Json, send: Json) -> None:
        """The ASGI application."""
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        assert scope["method"] == "POST"
        headers = {key.decode(): value.decode() for key, value in scope["headers"]}
        self.heard.append((headers, json.loads(body)))
        status = self.statuses.pop(0) if self.statuses else 204
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        self.news.set()

    async def until(self, count: int, within: float = 400.0) -> list[Json]:
        """Wait for so many; what they said."""
        async with asyncio.timeout(within):
            while len(self.heard) < count:
                self.news.clear()
                await self.news.wait()
        return [said for _, said in self.heard]


class Cloud:
    """A gateway with the face in front, and a receiver."""

    def __init__(self, gateway: GatewayUnderTest, receiver: Receiver) -> None:
        self.gateway = gateway
        self.receiver = receiver
        self._client = gateway.client()

    @property
    def url(self) -> str:
        return self.gateway.url(FACE)

    async def ask(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b""
    ) -> Answer:
        """One request over a connection."""
        response: HttpResponse = await self._client.request(
            method, url, headers=headers, body=body, timeout=600.0, limit=1 << 22
        )
        names = {name.lower(): value for name, value in response.headers}
        return Answer(response.status, names, response.body)

    async def form(
        self,
        method: str,
        path: str,
        fields: Mapping[str, str] | bytes,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One form; bytes go as they are."""
        body = fields if isinstance(fields, bytes) else urlencode(fields).encode()
        said = {"Content-Type": FORM, "Accept": "application/json", **(headers or {})}
        return await self.ask(method, self.url + path, said, body)

    async def get(self, url: str) -> Answer:
        """Poll."""
        return await self.ask("GET", url, {"Accept": "application/json"})

    async def code(self, terminal: str = LANE.id, seconds: float | None = 120) -> str:
        """Have a terminal show a code."""
        drawn = Codes(self.gateway.vault).drawn(self.gateway.clock)
        now = self.gateway.clock.now()
        engine = self.gateway.engine
        code, _ = await engine.change_estate(
            lambda unit: show_code(unit, terminal, drawn, now, seconds)
        )
        return code

    def register(self, *names: str) -> RegisterUnderTest:
        return RegisterUnderTest(self, *names)

    def known(self, register_id: str = "shop7-till2") -> list[Register]:
        """The journal's registers of this id."""
        estate = self.gateway.journal.read_now(lambda reader: reader.estate())
        return [each for each in estate.registers.values() if each.register_id == register_id]

    async def unpair(self, register_id: str = "shop7-till2") -> None:
        """Somebody unpairs it at the terminal."""
        (register,) = self.known(register_id)
        now = self.gateway.clock.now()
        await self.gateway.engine.change_estate(
            lambda unit: pairings.unpair(unit, register.id, now)
        )

    async def set_lifecycle(self, lifecycle: Lifecycle, terminal: str = LANE.id) -> None:
        engine = self.gateway.engine
        changed = msgspec.structs.replace(engine.estate.terminals[terminal], lifecycle=lifecycle)
        await engine.change_estate(lambda unit: unit.put(changed))

    def transactions(self) -> list[Transaction]:
        """All of the journal, oldest first."""
        return self.gateway.transactions()

    async def charged(self) -> list[int]:
        """What the acquirer really moved, in minor units."""
        return list((await self.gateway.charges()).values())


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver that listens."""
    receiver = Receiver()
    virtual = isinstance(asyncio.get_running_loop(), VirtualLoop)
    served: Served = await serve_app(receiver, port=RECEIVER if virtual else 0)
    receiver.url = f"http://127.0.0.1:{urlsplit(served.url).port}/told"
    try:
        yield receiver
    finally:
        await served.close()


@asynccontextmanager
async def living(
    folder: Path, receiver: Receiver | None = None, **settings: Json
) -> AsyncIterator[Cloud]:
    """One life of the gateway on the journal in `folder`."""
    virtual = isinstance(asyncio.get_running_loop(), VirtualLoop)
    told = {"organisation": SHOP, **settings}
    gateway = GatewayUnderTest(folder, {FACE: PORT if virtual else 0}, {FACE: told})
    estate = await gateway.journal.read(lambda reader: reader.estate())
    if not estate.organisations:
        await gateway.journal.commit(furnish)
    await gateway.start()
    try:
        yield Cloud(gateway, receiver or Receiver())
    finally:
        await gateway.stop()


@asynccontextmanager
async def cloud(folder: Path, **settings: Json) -> AsyncIterator[Cloud]:
    """A gateway and a receiver."""
    async with receiving() as receiver, living(folder, receiver, **settings) as there:
        yield there
