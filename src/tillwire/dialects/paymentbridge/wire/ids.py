"""What our things are called in the cloud, and back.

A transaction's id (31 decimal digits, 103 bits) is a UUID of version 8 (RFC 9562 section 5.8)
there: reversible, and in the same order. Businesses, devices and records of a TID are named by
UUIDs of version 5, always the same ones: who needs the way back looks at all there are.
"""

from __future__ import annotations

import re
from typing import Final
from uuid import UUID, uuid5

from tillwire.dialects.paymentbridge.wire import cuts

_DIGITS: Final = re.compile(r"[0-9]{31}")
_UUID: Final = re.compile(cuts.UUID)
_APPLICATION: Final = re.compile(rf"urn:aid:({cuts.UUID})")
_SPACE: Final = UUID("6f2fd22a-9a4b-5d55-8a52-6c2f4e1b7b05")
"""The name space of our UUIDs of version 5; they all change with it."""

_SPARE: Final = 122 - 103
"""Bits of a UUID of version 8 that an id leaves unused: 0, which tells ours from others."""
_LOW: Final = 62
_MIDDLE: Final = 12


def transaction_uuid(transaction_id: str) -> str:
    """The UUID of a transaction's id of 31 digits."""
    assert _DIGITS.fullmatch(transaction_id), f"not a transaction's id: {transaction_id!r}"
    free = int(transaction_id) << _SPARE
    high, middle = free >> (_LOW + _MIDDLE), free >> _LOW & (1 << _MIDDLE) - 1
    low = free & (1 << _LOW) - 1
    return str(UUID(int=high << 80 | 8 << 76 | middle << 64 | 2 << 62 | low))


def transaction_of(uuid: str) -> str | None:
    """The id of 31 digits that a transaction's UUID stands for; None if it is none of ours."""
    if not _UUID.fullmatch(uuid):
        return None
    bits = UUID(uuid).int
    if bits >> 76 & 0xF != 8 or bits >> 62 & 3 != 2:
        return None
    high, middle, low = bits >> 80, bits >> 64 & (1 << _MIDDLE) - 1, bits & (1 << _LOW) - 1
    free = high << (_LOW + _MIDDLE) | middle << _LOW | low
    if free & (1 << _SPARE) - 1:
        return None
    digits = f"{free >> _SPARE:031d}"
    return digits if len(digits) == 31 else None


def business_id(merchant_id: str) -> str:
    """The UUID of a merchant, who is a business in the cloud."""
    return str(uuid5(_SPACE, f"business:{merchant_id}"))


def device_id(terminal_id: str, number: int) -> str:
    """The `urn:tid:` of the device with this number at a terminal."""
    return f"urn:tid:{uuid5(_SPACE, f'device:{number}:{terminal_id}')}"


def tid_record_id(terminal_id: str) -> str:
    """The UUID under which `/terminal-ids` has a terminal's TID."""
    return str(uuid5(_SPACE, f"tid:{terminal_id}"))


def application_id(text: str) -> str | None:
    """An application's id in small letters; None if it is none. The vendor's portal also hands it
    out as `<uuid>=urn:aid:<uuid>`."""
    _, _, last = text.rpartition("=")
    found = _APPLICATION.fullmatch(last)
    return last.lower() if found else None


def is_uuid(text: str) -> bool:
    """Whether the text is a UUID in its usual form, in letters of any case."""
    return _UUID.fullmatch(text) is not None
