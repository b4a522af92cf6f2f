"""A shop that pays on a phone: a whole gateway, and the backend that its driver asks."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Final
from unittest import mock
from urllib.parse import parse_qs, urlencode, urlsplit

from jwcrypto import jwk

from tests.kit import counter, shop
from tests.unit.softpos.driver.backend import CLIENT, PORT, SECRET, TID, URL, Backend, Json
from tillwire.clock import Instant
from tillwire.core.doubts import CANNOT_TELL, NEEDS_PERSON
from tillwire.core.estate_model import Lifecycle, Terminal
from tillwire.core.model import State, Transaction
from tillwire.core.ports import HttpResponse
from tillwire.dialects.softpos.driver.driver import SoftPosDriver
from tillwire.dialects.softpos.driver.phone import LINK
from tillwire.net.http_client import AiohttpClient

LANE: Final = "softpos-1"
FACE: Final = "softpos-returns"
FACE_PORT: Final = 8797
RETURNS: Final = f"http://127.0.0.1:{FACE_PORT}"


@functools.cache
def app_key() -> jwk.JWK:
    """The application's key."""
    return jwk.JWK.generate(kty="RSA", size=2048)


def settings(folder: Path, **changes: Any) -> dict[str, Any]:
    """Settings of the driver; `None` leaves one out."""
    (folder / "app.key").write_bytes(app_key().export_to_pem(True, None))
    (folder / "app.secret").write_text(SECRET + "\n")
    given = {
        "profile": "staging",
        "url": URL,
        "client_id": CLIENT,
        "client_secret_file": str(folder / "app.secret"),
        "certificate_file": str(folder / "app.crt"),
        "private_key_file": str(folder / "app.key"),
        "return_url": RETURNS,
        **changes,
    }
    return {key: value for key, value in given.items() if value is not None}


def terminal(told: dict[str, Any], tid: str = TID) -> Terminal:
    """The phone, as the estate has it."""
    return Terminal(
        id=LANE,
        organisation_id=shop.SHOP,
        store_id=shop.STORE,
        manufacturer="NEXI",
        model="SOFTPOS",
        serial="phone-1",
        tid=tid,
        driver="softpos",
        settings=told,
        lifecycle=Lifecycle.ACTIVATED,
    )


class Counter(counter.Counter):
    """The gateway and the backend."""

    def __init__(self, folder: Path, changes: dict[str, Any], *, free_ports: bool = False) -> None:
        """`changes` are those to the driver's settings. Both listen at free ports, or where they
        always do."""
        self.backend = Backend(app_key())
        super().__init__(folder, self.backend, {FACE: 0 if free_ports else FACE_PORT})
        self._free_ports = free_ports
        self._told = settings(folder, **changes)

    def terminal(self) -> Terminal:
        return terminal({**self._told, "return_url": self.gateway.url(FACE)})

    def change(self, **changes: Any) -> None:
        """Have other settings, from the next `install` on."""
        self._told.update(changes)

    async def start(self) -> None:
        """Start the backend, then the gateway."""
        self._told["url"] = await self.backend.listen(port=0 if self._free_ports else PORT)
        await self._open()

    @property
    def driver(self) -> SoftPosDriver:
        """The phone's."""
        found = super().driver
        assert isinstance(found, SoftPosDriver)
        return found

    async def shown(self, order: Transaction) -> str:
        """Its link, as soon as it is there."""
        await self.gateway.engine.wait(
            order.id, lambda each: LINK in each.peer or each.is_settled, 60
        )
        return self.gateway.vault.open((await self.now(order)).peer[LINK])

    async def come_back(self, link: str, fields: Json) -> HttpResponse:
        """The phone opens the caller's address."""
        (uri,) = parse_qs(urlsplit(link).query)["uri"]
        return await self.open(f"{uri}?{urlencode(fields)}")

    async def open(self, url: str, method: str = "GET") -> HttpResponse:
        """A browser opens an address."""
        client = self.gateway.client()
        assert isinstance(client, AiohttpClient)
        return await client.request(method, url, headers={}, body=b"", timeout=30)

    async def paid(self, minor: int = 1250) -> Transaction:
        """One that was paid, and is confirmed."""
        order = await self.order(minor)
        link = await self.shown(order)
        await self.come_back(link, self.backend.pay(link))
        ended = await self.ended(order)
        assert ended.state is State.APPROVED
        return ended

    def words(self, order: Transaction) -> list[str]:
        """What was noted of it while nobody could tell."""
        return self.told(order, CANNOT_TELL, NEEDS_PERSON)

    def reasons(self, order: Transaction) -> list[str]:
        """Why it moved as it did."""
        events = self.gateway.events(order.id)
        return [str(each.detail["reason"]) for each in events if "reason" in each.detail]


def set_by(counter: Counter, seconds: int) -> Any:
    """The gateway's wall clock, set wrong, or a time that has come."""
    clock = counter.gateway.clock
    right = clock.now

    def wrong() -> Instant:
        return Instant(right() + seconds * 1000)

    return mock.patch.object(clock, "now", wrong)


at_a_counter: Final = counter.scenarios_at(Counter)
