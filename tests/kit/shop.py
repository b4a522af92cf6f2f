"""The kit's estate: one shop with a key, virtual terminals, and a terminal that fetches."""

from __future__ import annotations

from typing import Final

from tests.kit.virtual_loop import EPOCH
from tillwire.core.estate_model import (
    ApiKey,
    Lifecycle,
    Merchant,
    Organisation,
    Store,
    Terminal,
)
from tillwire.core.ports import Unit
from tillwire.estate.keys import digest_of

SHOP: Final = "shop"
STORE: Final = "0b7f5a1e-3b0e-4a0a-8d5c-4c4d3f1b9e10"
API_KEY: Final = "tw_the-shop's-key"
DEVICE_TOKEN: Final = "twd_the-polling-terminal's-token"


def _terminal(
    model: str, serial: str, driver: str, tid: str, digest: bytes | None = None
) -> Terminal:
    return Terminal(
        id=f"{model.lower()}-{serial}",
        organisation_id=SHOP,
        store_id=STORE,
        manufacturer="TILLWIRE",
        model=model,
        serial=serial,
        tid=tid,
        driver=driver,
        settings={},
        lifecycle=Lifecycle.ACTIVATED,
        device_digest=digest,
    )


VIRTUAL: Final = tuple(
    _terminal("V1", f"000{number}", "virtual", f"3035000{number}") for number in (1, 2, 3)
)
"""Terminals that act at once, on the amount's ending."""
POLLING: Final = _terminal("P1", "0001", "device", "30360001", digest_of(DEVICE_TOKEN))
"""A terminal that fetches."""


def found(unit: Unit) -> None:
    """Put the shop into the journal."""
    unit.put(Organisation(SHOP, "The Shop"))
    unit.put(Merchant("merchant", SHOP, "The Merchant"))
    unit.put(
        Store(
            id=STORE,
            merchant_id="merchant",
            name="Corner Shop",
            address="Damrak 1",
            city="Amsterdam",
            zip_code="1012 LG",
            country="NL",
            time_zone="Europe/Amsterdam",
            currency="EUR",
        )
    )
    unit.put(ApiKey(1, SHOP, "till", digest_of(API_KEY), created_at=EPOCH))
    for terminal in (*VIRTUAL, POLLING):
        unit.put(terminal)
