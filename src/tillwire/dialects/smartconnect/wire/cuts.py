"""Card numbers cut out of what goes over SmartConnect (law 7), while a structure is made and before
anybody has it.

What a terminal writes is masked wherever it looks like a card number. What a till writes is masked
only where it is the card number of a known issuer: one in ten of a shop's own numbers of that
length would pass for one otherwise. What names something cannot be masked, so a till that puts a
card number there is refused (`forms.named`). UUIDs stay as they are.
"""

from __future__ import annotations

from typing import Final

from tillwire import pan, uuids

_MOST_SHOWN: Final = 10
"""Digits of a card number that may be shown: six of its BIN and the last four."""


def written(text: str) -> str:
    """A terminal's text without card numbers."""
    return text if uuids.is_uuid(text) else pan.masked(text)


def sold(text: str) -> str:
    """A till's text without card numbers of known issuers."""
    return pan.masked(text) if holds_card(text) else text


def holds_card(text: str) -> bool:
    """Whether a till's text is, or holds, a card number of a known issuer."""
    return not uuids.is_uuid(text) and pan.is_in(text)


def shown(text: str) -> str:
    """A masked card number, which is cut if it shows more than may be shown."""
    text = pan.masked(text)
    digits = sum(each in "0123456789" for each in text)
    if digits <= _MOST_SHOWN:
        return text
    return pan.MASK * (len(text) - pan.KEPT) + text[-pan.KEPT :]
