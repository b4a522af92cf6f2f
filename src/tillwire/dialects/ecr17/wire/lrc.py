"""The check character at the end of a frame, in the readings that are in use.

The protocol's text says "XOR of any message byte, base 0x7F" and leaves open which bytes. For the
same payload the readings differ by a constant, so any value from 00 to 7F may be right, STX, ETX,
ACK and NAK among them: the check character is found by its place alone.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

STX: Final = 0x02
ETX: Final = 0x03
_BASE: Final = 0x7F


class Lrc(StrEnum):
    """What of a frame the check character is made of."""

    STX = "stx"
    """STX, payload and ETX: the one that a live exchange and real terminals bear out."""
    ETX = "etx"
    """Payload and ETX."""
    PAYLOAD = "payload"
    """The payload alone."""


_BEGINS_WITH: Final = {
    Lrc.STX: _BASE ^ STX ^ ETX,
    Lrc.ETX: _BASE ^ ETX,
    Lrc.PAYLOAD: _BASE,
}


def lrc(payload: bytes, reading: Lrc = Lrc.STX) -> int:
    """The check character of an application frame."""
    return _BEGINS_WITH[reading] ^ _folded(payload)


def readings(payload: bytes, found: int) -> frozenset[Lrc]:
    """The readings by which `found` is this payload's check character: one, or none."""
    folded = _folded(payload)
    return frozenset(
        reading for reading, begins_with in _BEGINS_WITH.items() if begins_with ^ folded == found
    )


def of_control(octet: int) -> int:
    """The check character of ACK or NAK, whatever the reading: over the octet and ETX."""
    return _BASE ^ octet ^ ETX


def _folded(octets: bytes) -> int:
    """The XOR of all octets: one half is laid over the other until a single octet is left."""
    value, width = int.from_bytes(octets, "big"), len(octets)
    while width > 1:
        half = (width + 1) // 2
        value = (value >> 8 * half) ^ (value & ((1 << 8 * half) - 1))
        width = half
    return value
