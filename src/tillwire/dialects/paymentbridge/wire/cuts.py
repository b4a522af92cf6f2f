"""Card numbers cut out of what goes over Payment Bridge (law 7), while a structure is made and
before anybody has it.

What a person or a terminal writes is masked wherever it looks like a card number. Ids are masked
only where they are the card number of a known issuer: one in ten numbers of that length would pass
for one otherwise. UUIDs stay as they are. Of a chip's data, only tags that say nothing of card or
holder are kept; tracks, names and hashes of numbers have no member here at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from tillwire import pan, uuids

UUID: Final = uuids.PATTERN
_ID: Final = re.compile(rf"(?:urn:[a-z]{{3}}:)?{UUID}")
_MOST_SHOWN: Final = 12
"""Digits of a card number that may be shown: eight of its BIN and the last four."""
_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{2}){1,256}")

KEPT_TAGS: Final = frozenset(
    {"4F", "50", "82", "84", "8A", "95", "9A", "9B", "9C", "5F2A", "5F34"}
    | {f"9F{tag}" for tag in ("02", "03", "06", "07", "08", "09", "0D", "0E", "0F", "10", "12")}
    | {f"9F{tag}" for tag in ("1A", "1E", "21", "26", "27", "33", "34", "35", "36", "37", "39")}
    | {"9F40", "9F41", "9F53"}
)
"""EMV tags that may be kept (EMV Book 3, annex A): application, amounts, cryptograms, how the
holder was verified, and the terminal."""


def written(text: str) -> str:
    """A text without card numbers; a UUID stays as it is."""
    return text if _ID.fullmatch(text) else pan.masked(text)


def named(text: str) -> str:
    """An id without card numbers of known issuers; a UUID stays as it is."""
    return pan.masked(text) if holds_card(text) else text


def holds_card(text: str) -> bool:
    """Whether an id of somebody else's is, or holds, a card number of a known issuer."""
    return _ID.fullmatch(text) is None and pan.is_in(text)


def shown(text: str) -> str:
    """A masked card number, which is cut if it shows more than may be shown."""
    text = pan.masked(text)
    digits = sum("0" <= each <= "9" for each in text)
    if digits <= _MOST_SHOWN:
        return text
    return pan.MASK * (len(text) - pan.KEPT) + text[-pan.KEPT :]


def first(text: str) -> str:
    """The issuer's digits of a card number, eight at most."""
    return text if len(text) <= 8 else ""


def last(text: str) -> str:
    """The last four digits of a card number."""
    return text if len(text) <= pan.KEPT else pan.last_four(text)


def tags(emv: Mapping[str, str]) -> dict[str, str]:
    """A chip's tags, of which only harmless ones are kept, with their values in hex."""
    return {
        key: value
        for key, value in emv.items()
        if key.upper().removeprefix("0X") in KEPT_TAGS
        and _HEX.fullmatch(value)
        and not pan.is_in(value)
        and not pan.is_in(bytes.fromhex(value).decode("latin-1"))
    }
