"""Transactions' ids as UUIDs, for protocols whose ids are UUIDs, and back.

A transaction's id (31 decimal digits, 103 bits) is a UUID of version 8 (RFC 9562 section 5.8):
reversible, in the same order, and nothing has to be remembered for it.
"""

from __future__ import annotations

import re
from typing import Final
from uuid import UUID

PATTERN: Final = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
"""A UUID in its usual form, in letters of any case."""

_DIGITS: Final = re.compile(r"[0-9]{31}")
_UUID: Final = re.compile(PATTERN)

BITS: Final = 122
"""Bits of a UUID of version 8 that are free."""

_SPARE: Final = BITS - 103
"""Bits of a UUID of version 8 that an id leaves unused: 0, which tells ours from others."""
_LOW: Final = 62
_MIDDLE: Final = 12


def transaction_uuid(transaction_id: str) -> str:
    """The UUID of a transaction's id of 31 digits."""
    assert _DIGITS.fullmatch(transaction_id), f"not a transaction's id: {transaction_id!r}"
    return of_bits(int(transaction_id) << _SPARE)


def transaction_of(uuid: str) -> str | None:
    """The id of 31 digits that a transaction's UUID stands for; None if it is none of ours."""
    free = bits_of(uuid)
    if free is None or free & (1 << _SPARE) - 1:
        return None
    digits = f"{free >> _SPARE:031d}"
    return digits if len(digits) == 31 else None


def of_bits(free: int) -> str:
    """The UUID of version 8 with these 122 bits."""
    assert 0 <= free < 1 << BITS, "no more bits than a UUID leaves free"
    high, middle = free >> (_LOW + _MIDDLE), free >> _LOW & (1 << _MIDDLE) - 1
    low = free & (1 << _LOW) - 1
    return str(UUID(int=high << 80 | 8 << 76 | middle << 64 | 2 << 62 | low))


def bits_of(uuid: str) -> int | None:
    """The 122 bits of a UUID of version 8; None if it is none."""
    if not _UUID.fullmatch(uuid):
        return None
    bits = UUID(uuid).int
    if bits >> 76 & 0xF != 8 or bits >> 62 & 3 != 2:
        return None
    high, middle, low = bits >> 80, bits >> 64 & (1 << _MIDDLE) - 1, bits & (1 << _LOW) - 1
    return high << (_LOW + _MIDDLE) | middle << _LOW | low


def is_uuid(text: str) -> bool:
    """Whether the text is a UUID in its usual form, in letters of any case."""
    return _UUID.fullmatch(text) is not None
