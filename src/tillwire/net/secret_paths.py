"""Addresses of ours that let in whoever knows them: one for each transaction, which nobody guesses.

The last part of such an address is the transaction's id and a MAC of it under a key of the vault,
so nothing has to be remembered: whoever knows one address can make no other.
"""

from __future__ import annotations

import base64
import hmac
import re
from typing import Final

from tillwire.core.ports import Vault

_ADDRESS: Final = re.compile(r"([0-9]{31})([A-Za-z0-9_-]{43})")


class SecretPaths:
    """Makes the last part of addresses, and reads it."""

    def __init__(self, vault: Vault, purpose: str) -> None:
        """Addresses for one purpose are worth nothing for another."""
        self._vault = vault
        self._purpose = purpose
        self._key: bytes | None = None

    def token(self, transaction_id: str) -> str:
        """The last part of a transaction's address. Raises `JournalError` without a key."""
        return transaction_id + self._mac(transaction_id)

    def transaction_id(self, token: str) -> str | None:
        """Whose address it is; None if we have made none such. Takes the same time for every MAC.
        Raises `JournalError` without a key."""
        found = _ADDRESS.fullmatch(token)
        if found is None:
            return None
        transaction_id, mac = found.groups()
        same = hmac.compare_digest(mac.encode(), self._mac(transaction_id).encode())
        return transaction_id if same else None

    def _mac(self, transaction_id: str) -> str:
        if self._key is None:
            self._key = self._vault.derive(self._purpose)
        digest = hmac.digest(self._key, transaction_id.encode(), "sha256")
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
