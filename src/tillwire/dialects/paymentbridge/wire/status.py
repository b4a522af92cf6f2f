"""Callbacks: what a terminal tells the caller of an order (source 000).

RECEIVED and STARTED are small; the last one is a whole Payment. The reference's key is spelled
`referenceID` in the small ones and `referenceId` in the Payment, so it is read in any spelling.
Bodies may be packed with gzip, and are unpacked within a limit. Callbacks come in any order, twice
or not at all: `rank` says which of two is the later one.
"""

from __future__ import annotations

import gzip
import zlib
from enum import Enum
from typing import Any, Final

import msgspec

from tillwire.dialects.paymentbridge.wire import cuts, reading
from tillwire.dialects.paymentbridge.wire.objects import REFERENCE_TYPE, Payment
from tillwire.errors import RemoteProtocolError

LARGEST: Final = 262_144
"""Octets of a callback, unpacked."""
LARGEST_PACKED: Final = 131_072
"""Octets of a callback as it comes, if it is packed."""

RECEIVED: Final = "RECEIVED"
"""The terminal has got the message."""
STARTED: Final = "STARTED"
"""The terminal has begun."""

_RANKS: Final = {RECEIVED: 1, STARTED: 2}
_FINAL: Final = 3
_KEY: Final = REFERENCE_TYPE.lower()


class KeyStyle(Enum):
    """How RECEIVED and STARTED spell the reference's key."""

    NEXI = "nexi"
    """`referenceID`, as source 000 has it."""
    POYNT = "poynt"
    """`referenceId`, as in the Payment."""
    BOTH = "both"


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a callback says."""

    reference: str
    """Empty if it says none."""
    status: str
    """In capital letters."""
    payment: Payment | None = None
    """Of the last one."""

    @property
    def rank(self) -> int:
        """How far the order is."""
        return rank(self.status)


def rank(status: str) -> int:
    """How far an order is whose status is this: a later callback ranks higher, and what is neither
    RECEIVED nor STARTED is the last one."""
    return _RANKS.get(status.upper(), _FINAL)


def opening(status: str, reference: str, style: KeyStyle = KeyStyle.NEXI) -> bytes:
    """The body of a RECEIVED or STARTED."""
    assert status in _RANKS, f"not the status of an opening callback: {status!r}"
    keys = {
        KeyStyle.NEXI: ("referenceID",),
        KeyStyle.POYNT: ("referenceId",),
        KeyStyle.BOTH: ("referenceID", "referenceId"),
    }[style]
    return reading.encode({**dict.fromkeys(keys, reference), "status": status})


def read(octets: bytes, encoding: str = "") -> Told:
    """What the callback in `octets` says; `encoding` is its Content-Encoding. Raises
    `RemoteProtocolError`."""
    plain = unpacked(octets, encoding)
    loose = reading.anything(plain)
    if not isinstance(loose, dict):
        raise RemoteProtocolError("A callback is a JSON object.")
    status = loose.get("status")
    if not isinstance(status, str) or not 0 < len(status.strip()) <= 64:
        raise RemoteProtocolError("A callback has a status.")
    status = cuts.named(status.strip().upper())
    reference = _reference(loose)
    if status in _RANKS:
        return Told(reference=reference, status=status)
    payment = reading.read(Payment, plain, limit=LARGEST)
    return Told(reference=reference, status=status, payment=payment)


def _reference(loose: dict[str, Any]) -> str:
    """The reference of a callback, which must be one and the same wherever it stands."""
    found = [value for key, value in loose.items() if key.lower() == _KEY]
    if isinstance(listed := loose.get("references"), list):
        found += [
            each.get("id")
            for each in listed
            if isinstance(each, dict) and str(each.get("customType")).lower() == _KEY
        ]
    some = [each for each in found if each is not None]
    if not all(isinstance(each, str) and len(each) <= 256 for each in some):
        raise RemoteProtocolError("A callback's reference is a text of up to 256 characters.")
    if len(set(some)) > 1:
        raise RemoteProtocolError("A callback has one reference.")
    return cuts.named(some[0]) if some else ""


# --- packed bodies ----------------------------------------------------------------------------


def packed(body: bytes) -> bytes:
    """The body packed with gzip, the same octets at any time."""
    return gzip.compress(body, mtime=0)


def unpacked(octets: bytes, encoding: str = "") -> bytes:
    """The body itself, of `LARGEST` octets at most. Raises `RemoteProtocolError`."""
    coding = encoding.strip().lower()
    if coding in ("", "identity"):
        if len(octets) > LARGEST:
            raise RemoteProtocolError(f"It has {len(octets)} octets; allowed are {LARGEST}.")
        return octets
    if coding not in ("gzip", "x-gzip"):
        raise RemoteProtocolError("Its encoding is not gzip.")
    if len(octets) > LARGEST_PACKED:
        raise RemoteProtocolError(f"It has {len(octets)} octets; allowed are {LARGEST_PACKED}.")
    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        plain = unpacker.decompress(octets, LARGEST + 1)
    except zlib.error:
        raise RemoteProtocolError("It cannot be unpacked.") from None
    if len(plain) > LARGEST:
        raise RemoteProtocolError(f"It has more than {LARGEST} octets when it is unpacked.")
    if not unpacker.eof or unpacker.unused_data:
        raise RemoteProtocolError("It is not packed as a whole.")
    return plain
