"""The token of a polling URL: good for one transaction and a limited time, and kept nowhere.

It is a UUID, as the vendor's is: the second in which it was made, and a MAC of it and of what it
opens, under a key of the vault's.
"""

from __future__ import annotations

import hashlib
import hmac
from http import HTTPStatus
from typing import Final

from tillwire import uuids
from tillwire.dialects.smartconnect.face.refusals import Refused

PURPOSE: Final = "smartconnect polling"
"""What the vault derives the key for."""
_TIME_BITS: Final = 34
_MAC_BITS: Final = uuids.BITS - _TIME_BITS
EXPIRED: Final = "Token expired"
"""The vendor's words."""


def made(key: bytes, organisation_id: str, transaction_id: str, now: int) -> str:
    """A token for the transaction, made at `now` (seconds since 1970)."""
    return uuids.of_bits(now << _MAC_BITS | _mac(key, organisation_id, transaction_id, now))


def check(
    token: str, key: bytes, organisation_id: str, transaction_id: str, *, now: int, seconds: int
) -> None:
    """Raise `Refused` (401) unless the token is one for the transaction, and at most so many
    seconds old."""
    bits = uuids.bits_of(token)
    if bits is None:
        raise Refused(HTTPStatus.UNAUTHORIZED, "There is no such token.")
    at, given = bits >> _MAC_BITS, bits & (1 << _MAC_BITS) - 1
    right = _mac(key, organisation_id, transaction_id, at)
    if not hmac.compare_digest(given.to_bytes(16), right.to_bytes(16)):
        raise Refused(HTTPStatus.UNAUTHORIZED, "There is no such token.")
    if now - at >= seconds:
        raise Refused(HTTPStatus.UNAUTHORIZED, EXPIRED)


def _mac(key: bytes, organisation_id: str, transaction_id: str, at: int) -> int:
    told = f"{organisation_id}\n{transaction_id}\n{at}".encode()
    return int.from_bytes(hmac.digest(key, told, hashlib.sha256)) >> (256 - _MAC_BITS)
