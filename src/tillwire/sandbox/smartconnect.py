"""The sandbox's SmartConnect cloud: where it stands, and how the card names it."""

from __future__ import annotations

from typing import Final

from tillwire.config import FaceSettings
from tillwire.sandbox.card import SmartConnect
from tillwire.sandbox.keyring import Keyring
from tillwire.sandbox.virtual_estate import SHOP, SMARTCONNECT

FACE: Final = FaceSettings(
    name="smartconnect",
    prefix="/smartconnect",
    # Registers that are web pages are developed here, too.
    settings={"organisation": SHOP.id, "origins": ["*"]},
)
"""It shares the base port's origin."""


def member(base_url: str, keys: Keyring) -> SmartConnect:
    """What the card says of it."""
    codes = keys.pairing_codes
    return SmartConnect(
        url=f"{base_url}{FACE.prefix}/POS",
        pairing_codes=[codes[each.id] for each in SMARTCONNECT if each.id in codes],
    )
