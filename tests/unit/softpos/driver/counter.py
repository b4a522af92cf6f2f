"""A shop that pays on a phone: a whole gateway, and the backend that its driver asks."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

from jwcrypto import jwk

from tests.kit import shop
from tests.kit.gateway import GatewayUnderTest
from tests.kit.machine import found_journal, memory_disk
from tests.kit.runner import virtual
from tests.unit.softpos.driver.backend import CLIENT, PORT, SECRET, TID, URL, Backend, Json
from tillwire.core.doubts import CANNOT_TELL, NEEDS_PERSON
from tillwire.core.model import (
    Discrepancy,
    Lifecycle,
    Request,
    State,
    Terminal,
    Terms,
    Transaction,
    TransactionType,
)
from tillwire.core.occupancy import WhenBusy
from tillwire.core.ports import HttpResponse, Unit
from tillwire.dialects.softpos.driver.driver import SoftPosDriver
from tillwire.dialects.softpos.driver.phone import LINK
from tillwire.money import Money
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


class Counter:
    """The gateway and the backend."""

    def __init__(self, folder: Path, changes: dict[str, Any], *, free_ports: bool = False) -> None:
        self.folder = folder
        self._free_ports = free_ports
        self.told = settings(folder, **changes)
        self.backend = Backend(app_key())
        self.gateway = self._new_gateway()

    async def start(self) -> None:
        """Start both."""
        url = await self.backend.listen(port=0 if self._free_ports else PORT)
        self.told["url"] = url
        await self._start_gateway()

    def _new_gateway(self) -> GatewayUnderTest:
        return GatewayUnderTest(self.folder, {FACE: 0 if self._free_ports else FACE_PORT})

    async def _start_gateway(self) -> None:
        await self.gateway.start()
        self.told["return_url"] = self.gateway.url(FACE)

        def put(unit: Unit) -> None:
            unit.put(terminal(self.told))

        await self.gateway.engine.change_estate(put)

    async def stop(self) -> None:
        """End both in good order."""
        await self.backend.close()
        await self.gateway.stop()

    async def restart(self) -> None:
        """End the gateway, and start it on what it has left."""
        await self.gateway.stop()
        self.gateway = self._new_gateway()
        await self._start_gateway()

    @property
    def driver(self) -> SoftPosDriver:
        """The driver of the phone."""
        found = self.gateway.engine._driver_of(self.gateway.engine.estate.terminals[LANE])
        assert isinstance(found, SoftPosDriver)
        return found

    async def order(
        self,
        minor: int = 1250,
        kind: TransactionType = TransactionType.PURCHASE,
        *,
        original: Transaction | None = None,
        terms: Terms | None = None,
        currency: str = "EUR",
    ) -> Transaction:
        """Have the gateway accept it."""
        request = Request(
            organisation_id=shop.SHOP,
            terminal_id=LANE,
            dialect="test",
            type=kind,
            amount=Money(minor, currency),
            reference="bill 7",
            original_id=original.id if original else None,
            terms=terms or Terms(),
        )
        return await self.gateway.engine.accept(request, WhenBusy.REJECT)

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

    async def ended(self, order: Transaction, seconds: float = 900) -> Transaction:
        """It, when it is final, or after so many seconds."""
        return await self.gateway.engine.wait(order.id, lambda each: each.is_final, seconds)

    async def lost(self, order: Transaction, seconds: float = 900) -> Transaction:
        """It, when it is UNKNOWN."""
        now = await self.gateway.engine.wait(order.id, lambda each: each.is_settled, seconds)
        assert now.state is State.UNKNOWN, now
        return now

    async def now(self, order: Transaction) -> Transaction:
        """It as the journal has it."""
        found = await self.gateway.engine.find(order.id)
        assert found is not None
        return found

    def words(self, order: Transaction) -> list[str]:
        """What was noted of it while nobody could tell."""
        events = self.gateway.events(order.id)
        return [
            str(each.detail["detail"])
            for each in events
            if each.name in (CANNOT_TELL, NEEDS_PERSON)
        ]

    def reasons(self, order: Transaction) -> list[str]:
        """Why it moved as it did."""
        events = self.gateway.events(order.id)
        return [str(each.detail["reason"]) for each in events if "reason" in each.detail]

    def for_a_person(self, order: Transaction) -> bool:
        """Whether a person was asked to decide."""
        return any(each.name == NEEDS_PERSON for each in self.gateway.events(order.id))

    def discrepancies(self) -> list[Discrepancy]:
        """Those that are open."""
        return self.gateway.journal.read_now(lambda reader: reader.discrepancies())


Scenario = Callable[..., Awaitable[None]]


def at_a_counter(**changes: Any) -> Callable[[Scenario], Callable[..., None]]:
    """Make a scenario with a `Counter`, whose driver has these settings, a test on the virtual
    loop; what follows its counter are the test's own parameters."""

    def decorate(scenario: Scenario) -> Callable[..., None]:
        def test(**parameters: Any) -> None:
            with memory_disk() as name:
                folder = Path(name) / "gateway"
                folder.mkdir()
                found_journal(folder)

                @virtual()
                async def play() -> None:
                    counter = Counter(folder, changes)
                    await counter.start()
                    try:
                        await scenario(counter, **parameters)
                    finally:
                        await counter.stop()

                play()

        test.__name__ = scenario.__name__
        test.__doc__ = scenario.__doc__
        test.__module__ = scenario.__module__
        signature = inspect.signature(scenario)
        kept = [each for name, each in signature.parameters.items() if name != "counter"]
        test.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
        return test

    return decorate
