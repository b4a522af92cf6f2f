"""The cloud under test, an application that calls it, and where its callbacks arrive.

Written apart from the program's own wire: requests and bodies are made of plain JSON, and signed
with a JOSE library, so that both cannot be wrong in the same way.
"""

from __future__ import annotations

import asyncio
import functools
import gzip
import json
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import msgspec
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.kit.gateway import GatewayUnderTest
from tests.kit.serving import Served, serve_app
from tests.kit.shop import POLLING, SHOP, STORE, VIRTUAL, found
from tests.kit.virtual_loop import EPOCH, VirtualLoop
from tillwire.core.letters import Letter
from tillwire.core.model import (
    Application,
    Device,
    Lifecycle,
    Merchant,
    Organisation,
    Store,
    Terminal,
    Transaction,
)
from tillwire.core.ports import HttpResponse, Unit
from tillwire.dialects.paymentbridge.wire import ids
from tillwire.estate.applications import new_key_pair

PORT: Final = 8740
RECEIVER: Final = 8741
APPLICATION: Final = "urn:aid:5b4e9993-c815-4070-9859-35f48e492b4f"
READER: Final = "urn:aid:5b4e9993-c815-4070-9859-35f48e492b50"
"""An application that may only read."""
STRANGER: Final = "urn:aid:5b4e9993-c815-4070-9859-35f48e492b51"
"""Of another organisation."""
OTHER: Final = "other"
OTHER_STORE: Final = "0b7f5a1e-3b0e-4a0a-8d5c-4c4d3f1b9e11"
LANE: Final = VIRTUAL[0]
SECOND_LANE: Final = VIRTUAL[1]
BUSINESS: Final = ids.business_id("merchant")
OTHER_BUSINESS: Final = ids.business_id("other merchant")
DEVICE: Final = ids.device_id(LANE.id, 1)
SECOND_DEVICE: Final = ids.device_id(SECOND_LANE.id, 1)
AUDIENCE: Final = "https://services.poynt.net"
BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"

Json = Any
"""JSON of any shape."""


@functools.cache
def keys() -> tuple[bytes, bytes]:
    """(private, public) of the applications: made once, since that takes long."""
    return new_key_pair()


@functools.cache
def _signer() -> RSAKey:
    # Read once: to check a key's primes takes as long as a test.
    return RSAKey.import_key(keys()[0])


def _application(name: str, organisation_id: str, *permissions: str) -> Application:
    return Application(
        id=name,
        organisation_id=organisation_id,
        name="till",
        public_key=keys()[1].decode(),
        permissions=permissions,
        created_at=EPOCH,
    )


def _device(terminal: Terminal) -> Device:
    return Device(terminal.id, 1, terminal.serial, EPOCH, Lifecycle.ACTIVATED, EPOCH)


def furnish(unit: Unit) -> None:
    """Put the shop, its devices and the applications into the journal."""
    found(unit)
    unit.put(Organisation(OTHER, "Others"))
    unit.put(Merchant("other merchant", OTHER, "The Other Merchant"))
    elsewhere = unit.estate().stores[STORE]
    fields = {name: getattr(elsewhere, name) for name in elsewhere.__struct_fields__}
    unit.put(Store(**{**fields, "id": OTHER_STORE, "merchant_id": "other merchant"}))
    for terminal in VIRTUAL:
        unit.put(_device(terminal))
    # In the kit's shop it has the serial number of a virtual one.
    unit.put(msgspec.structs.replace(POLLING, serial="7001"))
    unit.put(_application(APPLICATION, SHOP, "cloud-messages:write"))
    unit.put(_application(READER, SHOP))
    unit.put(_application(STRANGER, OTHER, "cloud-messages:write"))


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
    def code(self) -> str:
        """Of the vendor's error body, which says its status, too."""
        said = self.json
        assert said["httpStatus"] == self.status, said
        code: str = said["code"]
        return code


def assertion(application: str = APPLICATION, **claims: Json) -> str:
    """What an application signs to get a token; a claim that is None is left out."""
    now = EPOCH // 1000
    said = {
        "iss": application,
        "sub": application,
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + 300,
        "jti": str(uuid.uuid4()),
        **claims,
    }
    body = {key: value for key, value in said.items() if value is not None}
    return jwt.encode({"alg": "RS256", "typ": "JWT"}, body, _signer())


class CloudApplication:
    """An application: gets a token, and calls the API."""

    def __init__(self, cloud: Cloud, application: str = APPLICATION) -> None:
        self.cloud = cloud
        self.id = application
        self.token = ""

    async def sign_in(self) -> CloudApplication:
        """Get a token with an assertion."""
        now = self.cloud.gateway.clock.now() // 1000
        said = assertion(self.id, iat=now, exp=now + 300)
        answer = await self.form(grantType=BEARER, assertion=said)
        assert answer.status == 200, answer
        self.token = answer.json["accessToken"]
        return self

    async def form(self, **fields: str) -> Answer:
        """POST /token."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return await self.cloud.ask("POST", "/token", headers, urlencode(fields).encode())

    async def ask(
        self,
        method: str,
        path: str,
        body: Json = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request with the token; a body of bytes goes as it is."""
        said = {"Authorization": f"Bearer {self.token}", "api-version": "1.2", **(headers or {})}
        octets = b""
        if body is not None:
            octets = body if isinstance(body, bytes) else json.dumps(body).encode()
            said.setdefault("Content-Type", "application/json")
        return await self.cloud.ask(method, path, said, octets)

    async def get(self, path: str) -> Json:
        """What can be read there."""
        answer = await self.ask("GET", path)
        assert answer.status == 200, answer
        return answer.json

    def envelope(self, data: Json, **envelope: Json) -> dict[str, Json]:
        """A cloud message with the order `data`; a member that is None is left out."""
        said = {
            "businessId": BUSINESS,
            "storeId": STORE,
            "deviceId": DEVICE,
            "ttl": 60,
            "data": data if isinstance(data, str) else json.dumps(data),
            **envelope,
        }
        return {key: value for key, value in said.items() if value is not None}

    async def send(self, data: Json, **envelope: Json) -> Answer:
        """Send it."""
        return await self.ask("POST", "/cloudMessages", self.envelope(data, **envelope))

    def order(
        self, action: str = "sale", amount: int | None = 1234, **more: Json
    ) -> dict[str, Json]:
        """An order in the flat dialect, with a reference of its own."""
        said: dict[str, Json] = {
            "action": action,
            "purchaseAmount": amount,
            "currency": "EUR" if amount is not None else None,
            "referenceId": str(uuid.uuid4()),
            "callbackUrl": self.cloud.receiver.url,
            **more,
        }
        return {key: value for key, value in said.items() if value is not None}

    async def pay(self, amount: int = 1234, **more: Json) -> Json:
        """A sale; its transaction, as the last callback has it."""
        order = self.order(amount=amount, **more)
        assert (await self.send(order)).status == 202
        final = await self.cloud.receiver.final(order["referenceId"])
        return final["transactions"][0]

    async def listed(self, query: str = "") -> list[Json]:
        """The business's transactions on one page."""
        page = await self.get(f"/businesses/{BUSINESS}/transactions{query}")
        found: list[Json] = page["transactions"]
        assert page["count"] == len(found)
        return found


@dataclass
class Callback:
    """One that arrived."""

    at: float
    headers: Mapping[str, str]
    octets: bytes

    @property
    def json(self) -> Json:
        packed = self.headers.get("content-encoding") == "gzip"
        return json.loads(gzip.decompress(self.octets) if packed else self.octets)

    @property
    def reference(self) -> str:
        said = self.json
        found: str = said.get("referenceID") or said.get("referenceId", "")
        return found


@dataclass
class Receiver:
    """Where callbacks arrive: a server of its own."""

    heard: list[Callback] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    """What the next ones are answered with; then 200."""
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
        headers = {key.decode(): value.decode() for key, value in scope["headers"]}
        self.heard.append(Callback(asyncio.get_running_loop().time(), headers, body))
        status = self.statuses.pop(0) if self.statuses else 200
        start = {"type": "http.response.start", "status": status, "headers": []}
        await send(start)
        await send({"type": "http.response.body", "body": b""})
        self.news.set()

    def of(self, reference: str) -> list[Json]:
        """What was said of an order, in the order of arrival."""
        return [each.json for each in self.heard if each.reference == reference]

    def words(self, reference: str) -> list[str]:
        """The statuses of these."""
        return [each["status"] for each in self.of(reference)]

    async def until(self, count: int, reference: str, within: float = 60.0) -> list[Json]:
        """Wait for so many callbacks of an order."""
        async with asyncio.timeout(within):
            while len(self.of(reference)) < count:
                self.news.clear()
                await self.news.wait()
        return self.of(reference)

    async def final(self, reference: str, within: float = 60.0) -> Json:
        """Wait for the last callback of an order."""
        async with asyncio.timeout(within):
            while True:
                for each in self.of(reference):
                    if each["status"] not in ("RECEIVED", "STARTED"):
                        return each
                self.news.clear()
                await self.news.wait()


class Cloud:
    """A gateway with the face in front, and a receiver."""

    def __init__(self, gateway: GatewayUnderTest, receiver: Receiver) -> None:
        self.gateway = gateway
        self.receiver = receiver
        self._client = gateway.client()

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> Answer:
        """One request over a connection."""
        response: HttpResponse = await self._client.request(
            method,
            self.gateway.url("paymentbridge") + path,
            headers=headers,
            body=body,
            timeout=60.0,
            limit=1 << 22,
        )
        names = {name.lower(): value for name, value in response.headers}
        return Answer(response.status, names, response.body)

    async def application(self, name: str = APPLICATION) -> CloudApplication:
        """An application that has signed in."""
        return await CloudApplication(self, name).sign_in()

    def transactions(self) -> list[Transaction]:
        """All of the journal, oldest first."""
        return self.gateway.transactions()

    async def letters(self, transaction_id: str) -> list[Letter]:
        """What is told of a transaction."""
        return await self.gateway.journal.read(lambda reader: reader.letters_of(transaction_id))

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
async def living(folder: Path, receiver: Receiver, **settings: Json) -> AsyncIterator[Cloud]:
    """One life of the gateway on the journal in `folder`."""
    virtual = isinstance(asyncio.get_running_loop(), VirtualLoop)
    gateway = GatewayUnderTest(
        folder, {"paymentbridge": PORT if virtual else 0}, {"paymentbridge": settings}
    )
    estate = await gateway.journal.read(lambda reader: reader.estate())
    if not estate.applications:
        await gateway.journal.commit(furnish)
    await gateway.start()
    try:
        yield Cloud(gateway, receiver)
    finally:
        await gateway.stop()


@asynccontextmanager
async def cloud(folder: Path, **settings: Json) -> AsyncIterator[Cloud]:
    """A gateway and a receiver."""
    async with receiving() as receiver, living(folder, receiver, **settings) as found:
        yield found
