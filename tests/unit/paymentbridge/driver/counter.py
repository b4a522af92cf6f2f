"""A shop that pays on a SmartPOS: a whole gateway, whose terminal is behind a scripted cloud."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.kit import counter, shop
from tests.unit.paymentbridge.driver.cloud import BUSINESS, PORT, STORE, TID, Cloud
from tillwire.core.estate_model import Lifecycle, Terminal
from tillwire.dialects.paymentbridge.driver.driver import PaymentBridgeDriver

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


class Counter(counter.Counter):
    """The gateway and the cloud."""

    usual = 4250

    def __init__(self, folder: Path, changes: dict[str, Any]) -> None:
        """`changes` are those to the driver's settings."""
        self.cloud = Cloud()
        super().__init__(folder, self.cloud, {FACE: FACE_PORT})
        key_file(folder)
        self._told = settings(folder, **changes)

    def terminal(self) -> Terminal:
        return terminal(self._told)

    @property
    def driver(self) -> PaymentBridgeDriver:
        """The terminal's."""
        found = super().driver
        assert isinstance(found, PaymentBridgeDriver)
        return found


at_a_counter: Final = counter.scenarios_at(Counter)
