"""Addresses at which terminals tell what came of an order: one for each, which nobody guesses
(`net/secret_paths.py`).
"""

from __future__ import annotations

from typing import Final

from tillwire.core.ports import Vault
from tillwire.net.secret_paths import SecretPaths

_PURPOSE: Final = "paymentbridge callbacks"


class CallbackAddresses(SecretPaths):
    """Makes the last part of addresses, and reads it."""

    def __init__(self, vault: Vault) -> None:
        super().__init__(vault, _PURPOSE)
