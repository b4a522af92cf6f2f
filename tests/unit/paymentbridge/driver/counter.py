"""A shop that pays on a SmartPOS: a whole gateway, whose terminal is behind a scripted cloud."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.kit import shop
from tests.kit.gateway import GatewayUnderTest
from tests.kit.machine import found_journal, memory_disk
from tests.kit.runner import virtual
from tests.unit.paymentbridge.driver.cloud import BUSINESS, PORT, STORE, TID, Cloud
from tillwire.core.model import (
    Lifecycle,
    Request,
    State,
    Terminal,
    Terms,
    Transaction,
    TransactionType,
)
from tillwire.core.occupancy import WhenBusy
from tillwire.core.ports import Reader, Unit
from tillwire.dialects.paymentbridge.driver.driver import PaymentBridgeDriver
from tillwire.money import Money

FACE: Final = "paymentbridge-callbacks"
FACE_PORT: Final = 8791
CALLBACKS: Final = f"http://127.0.0.1:{FACE_PORT}"
APPLICATION: Final = "urn:aid:5b4e9993-c815-4070-9859-35f48e492b4f"
LANE: Final = "smartpos-1"


@functools.cache
def private_key() -> bytes:
    """An application's key, PEM."""
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return made.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def key_file(folder: Path) -> Path:
    """The application's key in a file."""
    file = folder / "application.pem"
    file.write_bytes(private_key())
    return file


def settings(folder: Path, **changes: Any) -> dict[str, Any]:
    """Settings of the driver; `None` leaves one out."""
    given = {
        "url": f"http://127.0.0.1:{PORT}",
        "application_id": APPLICATION,
        "private_key_file": str(folder / "application.pem"),
        "business_id": BUSINESS,
        "store_id": STORE,
        "callback_url": CALLBACKS,
        **changes,
    }
    return {key: value for key, value in given.items() if value is not None}


def terminal(told: dict[str, Any], **changes: Any) -> Terminal:
    """The SmartPOS, as the estate has it."""
    members: dict[str, Any] = {
        "id": LANE,
        "organisation_id": shop.SHOP,
        "store_id": shop.STORE,
        "manufacturer": "NEXI",
        "model": "P61B",
        "serial": "P61-1",
        "tid": TID,
        "driver": "paymentbridge",
        "settings": told,
        "lifecycle": Lifecycle.ACTIVATED,
        **changes,
    }
    return Terminal(**members)


class Counter:
    """The gateway and the cloud."""

    def __init__(self, folder: Path, told: dict[str, Any]) -> None:
        self.folder = folder
        self._told = told
        self.cloud = Cloud()
        self.gateway = GatewayUnderTest(folder, {FACE: FACE_PORT})

    async def start(self) -> None:
        """Start the cloud and the gateway."""
        await self.cloud.listen()
        await self._start_gateway()

    async def _start_gateway(self) -> None:
        await self.gateway.start()

        def put(unit: Unit) -> None:
            unit.put(terminal(self._told))

        await self.gateway.engine.change_estate(put)

    async def stop(self) -> None:
        """End both in good order."""
        await self.cloud.close()
        await self.gateway.stop()

    async def restart(self) -> None:
        """End the gateway, and start it on what it has left."""
        await self.gateway.stop()
        self.gateway = GatewayUnderTest(self.folder, {FACE: FACE_PORT})
        await self._start_gateway()

    @property
    def driver(self) -> PaymentBridgeDriver:
        """The driver of the terminal."""
        found = self.gateway.engine._driver_of(self.gateway.engine.estate.terminals[LANE])
        assert isinstance(found, PaymentBridgeDriver)
        return found

    async def order(
        self,
        minor: int = 4250,
        kind: TransactionType = TransactionType.PURCHASE,
        *,
        original: Transaction | None = None,
        terms: Terms | None = None,
        at: str = LANE,
    ) -> Transaction:
        """Have the gateway accept it."""
        request = Request(
            organisation_id=shop.SHOP,
            terminal_id=at,
            dialect="test",
            type=kind,
            amount=Money(minor, "EUR"),
            reference="bill 7",
            original_id=original.id if original else None,
            partial_allowed=True,
            terms=terms or Terms(),
        )
        return await self.gateway.engine.accept(request, WhenBusy.REJECT)

    async def ended(self, order: Transaction, seconds: float = 600) -> Transaction:
        """It, when it is final, or after so many seconds."""
        return await self.gateway.engine.wait(order.id, lambda each: each.is_final, seconds)

    async def lost(self, order: Transaction, seconds: float = 600) -> Transaction:
        """It, when it is UNKNOWN."""
        now = await self.gateway.engine.wait(order.id, lambda each: each.is_settled, seconds)
        assert now.state is State.UNKNOWN, now
        return now

    async def pay(self, *asked: Any, **more: Any) -> Transaction:
        """Order it, and wait for its end."""
        return await self.ended(await self.order(*asked, **more))

    async def now(self, order: Transaction) -> Transaction:
        """It as the journal has it."""
        found = await self.gateway.engine.find(order.id)
        assert found is not None
        return found

    def discrepancies(self) -> int:
        """How many are open."""

        def count(reader: Reader) -> int:
            return len(reader.discrepancies())

        return self.gateway.journal.read_now(count)

    def events(self, order: Transaction) -> list[str]:
        """The names of its events."""
        return [each.name for each in self.gateway.events(order.id)]


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
                key_file(folder)

                @virtual()
                async def play() -> None:
                    counter = Counter(folder, settings(folder, **changes))
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
