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
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.kit import cloud as cloud_kit
from tests.kit.cloud import OTHER, Json, found_two, listening, serving
from tests.kit.shop import SHOP, STORE, VIRTUAL
from tests.kit.virtual_loop import EPOCH
from tillwire.core.estate_model import Application, Device, Lifecycle, Terminal
from tillwire.core.letters import Letter
from tillwire.core.ports import Unit
from tillwire.dialects.paymentbridge.wire import ids
from tillwire.estate.applications import new_key_pair

PORT: Final = 8740
RECEIVER: Final = 8741
FACE: Final = "paymentbridge"
APPLICATION: Final = "urn:aid:5b4e9993-c815-4070-9859-35f48e492b4f"
READER: Final = "urn:aid:5b4e9993-c815-4070-9859-35f48e492b50"
"""An application that may only read."""
STRANGER: Final = "urn:aid:5b4e9993-c815-4070-9859-35f48e492b51"
"""Of another organisation."""
OTHER_STORE: Final = "0b7f5a1e-3b0e-4a0a-8d5c-4c4d3f1b9e11"
LANE: Final = VIRTUAL[0]
SECOND_LANE: Final = VIRTUAL[1]
BUSINESS: Final = ids.business_id("merchant")
OTHER_BUSINESS: Final = ids.business_id("other merchant")
DEVICE: Final = ids.device_id(LANE.id, 1)
SECOND_DEVICE: Final = ids.device_id(SECOND_LANE.id, 1)
AUDIENCE: Final = "https://services.poynt.net"
BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"


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
    found_two(unit, OTHER_STORE)
    for terminal in VIRTUAL:
        unit.put(_device(terminal))
    unit.put(_application(APPLICATION, SHOP, "cloud-messages:write"))
    unit.put(_application(READER, SHOP))
    unit.put(_application(STRANGER, OTHER, "cloud-messages:write"))


class Answer(cloud_kit.Answer):
    """Of the face."""

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


class Receiver(cloud_kit.Receiver[Callback]):
    """Where callbacks arrive."""

    ordinary = 200

    def read(self, method: str, headers: Mapping[str, str], body: bytes) -> Callback:
        return Callback(asyncio.get_running_loop().time(), headers, body)

    def of(self, reference: str) -> list[Json]:
        """What was said of an order, in the order of arrival."""
        return [each.json for each in self.heard if each.reference == reference]

    def words(self, reference: str) -> list[str]:
        """The statuses of these."""
        return [each["status"] for each in self.of(reference)]

    async def until(self, count: int, reference: str, within: float = 60.0) -> list[Json]:
        """Wait for so many callbacks of an order."""
        await self.when(lambda: len(self.of(reference)) >= count, within)
        return self.of(reference)

    async def final(self, reference: str, within: float = 60.0) -> Json:
        """Wait for the last callback of an order."""
        await self.when(lambda: bool(self._last(reference)), within)
        return self._last(reference)[0]

    def _last(self, reference: str) -> list[Json]:
        return [
            each for each in self.of(reference) if each["status"] not in ("RECEIVED", "STARTED")
        ]


class Cloud(cloud_kit.Cloud[Receiver, Answer]):
    """A gateway with the face in front, and a receiver."""

    face = FACE
    answer = Answer

    async def application(self, name: str = APPLICATION) -> CloudApplication:
        """An application that has signed in."""
        return await CloudApplication(self, name).sign_in()

    async def letters(self, transaction_id: str) -> list[Letter]:
        """What is told of a transaction."""
        return await self.gateway.journal.read(lambda reader: reader.letters_of(transaction_id))


def receiving() -> AbstractAsyncContextManager[Receiver]:
    """A receiver that listens."""
    return listening(Receiver(), RECEIVER)


@asynccontextmanager
async def living(folder: Path, receiver: Receiver, **settings: Json) -> AsyncIterator[Cloud]:
    """One life of the gateway on the journal in `folder`."""
    async with serving(folder, FACE, PORT, settings, furnish) as gateway:
        yield Cloud(gateway, receiver)


@asynccontextmanager
async def cloud(folder: Path, **settings: Json) -> AsyncIterator[Cloud]:
    """A gateway and a receiver."""
    async with receiving() as receiver, living(folder, receiver, **settings) as found:
        yield found
