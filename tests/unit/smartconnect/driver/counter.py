"""A shop that pays through SmartConnect: a whole gateway, whose terminal is behind a scripted
cloud."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from tests.kit import counter, shop
from tests.unit.smartconnect.driver.cloud import URL, Cloud
from tillwire.core.estate_model import Lifecycle, Terminal

LANE: Final = "smartconnect-1"


def settings(**changes: Any) -> dict[str, Any]:
    """Settings of the driver; `None` leaves one out."""
    given = {
        "url": URL,
        "register_id": "shop7-till2",
        "business_name": "Harbour Books",
        "vendor_name": "TillCo",
        "currency": "EUR",
        **changes,
    }
    return {key: value for key, value in given.items() if value is not None}


def terminal(told: dict[str, Any]) -> Terminal:
    """The terminal, as the estate has it."""
    return Terminal(
        id=LANE,
        organisation_id=shop.SHOP,
        store_id=shop.STORE,
        manufacturer="SMARTPAY",
        model="P5",
        serial="79801234",
        tid="79801234",
        driver="smartconnect",
        settings=told,
        lifecycle=Lifecycle.ACTIVATED,
    )


class Counter(counter.Counter):
    """The gateway and the cloud."""

    def __init__(self, folder: Path, changes: dict[str, Any]) -> None:
        """`changes` are those to the driver's settings."""
        self.cloud = Cloud()
        super().__init__(folder, self.cloud)
        self._told = settings(**changes)

    def terminal(self) -> Terminal:
        return terminal(self._told)


at_a_counter: Final = counter.scenarios_at(Counter)
