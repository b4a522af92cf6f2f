"""A shop that pays through a MerchantAPI system: a whole gateway, whose terminal polls a scripted
system."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from tests.kit import counter, shop
from tests.unit.merchantapi.driver.system import KEY, URL, System
from tillwire.core.doubts import CANNOT_TELL
from tillwire.core.estate_model import Lifecycle, Terminal
from tillwire.core.model import Transaction

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


class Counter(counter.Counter):
    """The gateway and the system."""

    def __init__(self, folder: Path, changes: dict[str, Any]) -> None:
        """`changes` are those to the driver's settings."""
        self.system = System()
        super().__init__(folder, self.system)
        self.key_file = folder / "api-key"
        self.key_file.write_text(KEY + "\n")
        self._told = settings(folder, **changes)
        self._terminal = terminal(self._told)

    def terminal(self) -> Terminal:
        return self._terminal

    async def start_gateway(self, serial: str = SERIAL, **changes: Any) -> None:
        """Start another gateway on what the one that was stopped has left, with this serial number
        and other settings of its terminal."""
        self._terminal = terminal({**self._told, **changes}, serial)
        await super().start_gateway()

    async def swap(self, serial: str, **changes: Any) -> None:
        """Have the terminal this serial number, and other settings."""
        self._terminal = terminal({**self._told, **changes}, serial)
        await self.install()

    async def named(self, order: Transaction) -> Transaction:
        """It, when the system's id of it is in the journal."""
        return await self.gateway.engine.wait(order.id, lambda each: "id" in each.peer, 30)

    def doubts(self, order: Transaction) -> str:
        """What was in the way of knowing."""
        return " ".join(self.told(order, CANNOT_TELL))


at_a_counter: Final = counter.scenarios_at(Counter)
