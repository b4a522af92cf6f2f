"""The face under test on a real journal, its applications, and a clock that stands still."""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.unit.asgi_client import Answer, AsgiClient
from tests.unit.core.scripted import ScriptedDriver, engine_on, is_final
from tests.unit.estate_fixture import purchase
from tillwire.clock import Instant, SystemClock
from tillwire.core.engine import Engine
from tillwire.core.estate_model import ClientApp
from tillwire.core.model import Outcome, Transaction
from tillwire.core.occupancy import WhenBusy
from tillwire.core.ports import Unit
from tillwire.dialects.softpos.face.face import CHECK, KEYS, PUSHED, TOKEN, create
from tillwire.dialects.softpos.face.settings import Settings
from tillwire.dialects.softpos.wire import keys
from tillwire.dialects.softpos.wire.assertions import Claims, claims_for, make_assertion
from tillwire.estate.certificates import Issued, issue, new_authority
from tillwire.estate.client_apps import Wanted, new_client_app
from tillwire.journal.vault import KeyFileVault
from tillwire.net.asgi import PEER_CERTIFICATE, PeerCertificate, Receive, Scope, Send

AUDIENCE: Final = "https://pay.example"
NOW: Final = Instant(1_800_000_000_000)
TIDS: Final = {"t1": "30350001", "t2": "30350002", "t3": "30350003", "x1": "30359001"}
POINT_OF_SALE: Final = "3035000000017"
REDIRECT: Final = "https://till.example/return"


class SetClock(SystemClock):
    """Its time is what the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.at = NOW
        self.ticks = 0.0

    def now(self) -> Instant:
        return self.at

    def monotonic(self) -> float:
        return self.ticks

    def pass_by(self, seconds: float) -> None:
        self.at = Instant(self.at + round(seconds * 1000))
        self.ticks += seconds


@functools.cache
def certificate(name: str) -> Issued:
    """Key and certificate of an application: made once, since that takes long."""
    now = datetime.now(UTC)
    return issue(_authority(), name, "staging", now)


@functools.cache
def _authority() -> Issued:
    return new_authority("an authority", datetime.now(UTC))


def der(name: str) -> bytes:
    return x509.load_pem_x509_certificate(certificate(name).certificate).public_bytes(Encoding.DER)


class Backend:
    """An application, and how it calls the face."""

    def __init__(self, shop: Shop, app: ClientApp, secret: str, name: str) -> None:
        self.shop = shop
        self.app = app
        self.secret = secret
        self.name = name
        self.signing = keys.load(certificate(name).key.decode())
        self._jti = itertools.count(1)

    async def token(self, **fields: str) -> Answer:
        told = {
            "grant_type": "client_credentials",
            "client_id": self.app.id,
            "client_secret": self.secret,
        }
        return await self._form(TOKEN, told | fields)

    async def bearer(self) -> str:
        answer = await self.token()
        assert answer.status == 200, answer.body
        found: str = answer.json()["access_token"]
        return found

    async def live_keys(self) -> tuple[keys.NamedKey, ...]:
        answer = await self.shop.client(self.name).get(KEYS)
        assert answer.status == 200, answer.body
        return keys.read_set(answer.body)

    def claims(self, **changed: Any) -> Claims:
        made = claims_for(
            self.app.id,
            [TIDS["t1"], TIDS["t2"]],
            audience=AUDIENCE,
            now=self.shop.clock.now() // 1000,
            jti=f"{self.name}-{next(self._jti)}",
        )
        return msgspec.structs.replace(made, **changed)

    async def assertion(self, **changed: Any) -> str:
        newest, *_ = await self.live_keys()
        return make_assertion(self.claims(**changed), self.signing, newest)

    async def check(
        self,
        reference: str = "sale-1",
        tid: str = TIDS["t1"],
        *,
        bearer: str = "",
        assertion: str = "",
        certificate_of: str = "",
        body: Any = None,
    ) -> Answer:
        headers: dict[str, str | None] = {
            "authorization": f"Bearer {bearer or await self.bearer()}",
            "client_assertion": assertion or await self.assertion(),
            "client_id": self.app.id,
        }
        asked = body or {"terminalId": tid, "callerTrxId": reference}
        client = self.shop.client(certificate_of or self.name)
        return await client.ask("POST", CHECK, msgspec.json.encode(asked), headers=headers)

    async def push(self, **fields: str) -> Answer:
        told = {
            "client_assertion": await self.assertion(),
            "client_id": self.app.id,
            "scope": "oidc",
            "redirect_uri": REDIRECT,
        }
        return await self._form(PUSHED, told | fields, await self.bearer())

    async def _form(self, path: str, fields: dict[str, str], bearer: str = "") -> Answer:
        headers: dict[str, str | None] = {"content-type": "application/x-www-form-urlencoded"}
        if bearer:
            headers["authorization"] = f"Bearer {bearer}"
        client = self.shop.client(self.name)
        return await client.ask("POST", path, urlencode(fields).encode(), headers=headers)


class Shop:
    """One life of the face."""

    def __init__(
        self, engine: Engine, driver: ScriptedDriver, clock: SetClock, vault: KeyFileVault
    ) -> None:
        self.engine = engine
        self.driver = driver
        self.clock = clock
        self.vault = vault
        self.face = self.serving()

    def serving(self, **settings: Any) -> Any:
        """A face with these settings."""
        told = Settings(**{"audiences": (AUDIENCE,), **settings})
        self.face = create(self.engine, self.clock, told, self.vault)
        return self.face

    def client(self, name: str) -> AsgiClient:
        """A client that has shown the certificate of this name; empty: none."""
        shown = PeerCertificate(der(name), hashlib.sha256(der(name)).digest()) if name else None

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if shown is not None:
                scope["extensions"] = {PEER_CERTIFICATE: {"certificate": shown}}
            await self.face(scope, receive, send)

        return AsgiClient(app)

    async def register(
        self,
        name: str = "till",
        *,
        organisation: str = "shop",
        profile: str = "staging",
        tids: tuple[str, ...] = (TIDS["t1"], TIDS["t2"]),
    ) -> Backend:
        app, secret = new_client_app(
            Wanted(
                organisation_id=organisation,
                name=name,
                profile=profile,
                certificate=certificate(name).certificate,
                tids=tids,
                point_of_sale=POINT_OF_SALE,
                redirect_uris=[REDIRECT],
            ),
            self.clock,
        )
        await self.engine.change_estate(lambda unit: unit.put(app))
        return Backend(self, app, secret, name)

    async def sell(self, outcome: Outcome | Exception | None = None, **asked: Any) -> Transaction:
        """A sale that ended so; None: it is still at its terminal."""
        sale = await self.engine.accept(purchase(**asked), WhenBusy.QUEUE)
        await self.driver.begun(sale)
        if outcome is None:
            return sale
        self.driver.answer(sale, outcome)
        if isinstance(outcome, Outcome):
            await self.engine.wait(sale.id, is_final, 5)
        return sale


@asynccontextmanager
async def shop_in(folder: Path, clock: SetClock | None = None) -> AsyncIterator[Shop]:
    """The face on the journal in the folder, whose terminals have TIDs."""
    driver, clock = ScriptedDriver(), clock or SetClock()
    async with engine_on(folder, driver, clock) as engine:
        await engine.change_estate(_name_terminals)
        yield Shop(engine, driver, clock, KeyFileVault(folder / "journal.db.key"))


def _name_terminals(unit: Unit) -> None:
    for terminal_id, tid in TIDS.items():
        known = unit.estate().terminals[terminal_id]
        if known.tid != tid:
            unit.put(msgspec.structs.replace(known, tid=tid))
