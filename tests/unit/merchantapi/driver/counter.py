"""A shop that pays through a MerchantAPI system: a whole gateway, whose terminal polls a scripted
system."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from tests.kit import shop
from tests.kit.gateway import GatewayUnderTest
from tests.kit.machine import found_journal, memory_disk
from tests.kit.runner import virtual
from tests.unit.merchantapi.driver.system import KEY, URL, System
from tillwire.core.doubts import CANNOT_TELL, NEEDS_PERSON
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
from tillwire.core.ports import Driver, Unit
from tillwire.money import Money

LANE: Final = "merchantapi-1"


def settings(folder: Path, **changes: Any) -> dict[str, Any]:
    """Settings of the driver; `None` leaves one out."""
    given = {"url": URL, "api_key_file": str(folder / "api-key"), **changes}
    return {key: value for key, value in given.items() if value is not None}


SERIAL: Final = "PL0919CQ00305"


def terminal(told: dict[str, Any], serial: str = SERIAL) -> Terminal:
    """The terminal, as the estate has it."""
    return Terminal(
        id=LANE,
        organisation_id=shop.SHOP,
        store_id=shop.STORE,
        manufacturer="SUNMI",
        model="P2-lite",
        serial=serial,
        tid="30350009",
        driver="merchantapi",
        settings=told,
        lifecycle=Lifecycle.ACTIVATED,
    )


class Counter:
    """The gateway and the system."""

    def __init__(self, folder: Path, changes: dict[str, Any]) -> None:
        self.folder = folder
        self.key_file = folder / "api-key"
        self._told = settings(folder, **changes)
        self.system = System()
        self.gateway: GatewayUnderTest

    async def start(self) -> None:
        """Start the system and the gateway."""
        self.key_file.write_text(KEY + "\n")
        await self.system.listen()
        await self.start_gateway()

    async def start_gateway(self, serial: str = SERIAL, **changes: Any) -> None:
        """Start the gateway on what is on the disk, with another serial number or settings of its
        terminal."""
        self.gateway = GatewayUnderTest(self.folder, {})
        await self.gateway.start()
        await self.swap(serial, **changes)

    async def swap(self, serial: str, **changes: Any) -> None:
        """Have the terminal this serial number, and other settings."""

        def put(unit: Unit) -> None:
            unit.put(terminal({**self._told, **changes}, serial))

        await self.gateway.engine.change_estate(put)

    async def stop(self) -> None:
        """End both in good order."""
        await self.system.close()
        await self.gateway.stop()

    @property
    def driver(self) -> Driver:
        """The driver of the terminal."""
        return self.gateway.engine._driver_of(self.gateway.engine.estate.terminals[LANE])

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
            partial_allowed=True,
            terms=terms or Terms(),
        )
        return await self.gateway.engine.accept(request, WhenBusy.REJECT)

    async def ended(self, order: Transaction, seconds: float = 900) -> Transaction:
        """It, when it is final, or after so many seconds."""
        return await self.gateway.engine.wait(order.id, lambda each: each.is_final, seconds)

    async def lost(self, order: Transaction, seconds: float = 900) -> Transaction:
        """It, when it is UNKNOWN."""
        now = await self.gateway.engine.wait(order.id, lambda each: each.is_settled, seconds)
        assert now.state is State.UNKNOWN, now
        return now

    async def named(self, order: Transaction) -> Transaction:
        """It, when the system's id of it is in the journal."""
        return await self.gateway.engine.wait(order.id, lambda each: "id" in each.peer, 30)

    async def for_a_person(self, order: Transaction, seconds: float = 1200) -> str:
        """What a person is told of it, when only one can decide; it stays UNKNOWN."""
        now = await self.gateway.engine.wait(order.id, lambda each: bool(self.told(order)), seconds)
        assert now.state is State.UNKNOWN, now
        (words,) = self.told(order)
        return words

    def told(self, order: Transaction, name: str = NEEDS_PERSON) -> list[str]:
        """What people were told of it."""
        events = self.gateway.events(order.id)
        return [str(each.detail["detail"]) for each in events if each.name == name]

    def doubts(self, order: Transaction) -> str:
        """What was in the way of knowing."""
        return " ".join(self.told(order, CANNOT_TELL))

    async def pay(self, *asked: Any, **more: Any) -> Transaction:
        """Order it, and wait for its end."""
        return await self.ended(await self.order(*asked, **more))

    async def now(self, order: Transaction) -> Transaction:
        """It as the journal has it."""
        found = await self.gateway.engine.find(order.id)
        assert found is not None
        return found


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
