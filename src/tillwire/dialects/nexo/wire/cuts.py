"""Card numbers cut out of nexo messages (law 7), while a structure is made and before anybody has
it.

What a terminal writes is masked wherever it looks like a card number. What a till writes is
masked only where it is the card number of a known issuer: one in ten of its own numbers of that
length would pass for one. Its ids (`SaleTransactionID`, `SaleToPOIData` ...) are not touched here:
the face refuses those that hold a card number.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error
from typing import Final

from tillwire import pan

_SHORTEST: Final = 8
"""Digits of the shortest PAN, by the schema."""
_MOST_SHOWN: Final = 12
"""Digits of a card number that may be shown: eight of its BIN and the last four."""
_URL_SAFE: Final = str.maketrans("-_", "+/")


def written(text: str) -> str:
    """A terminal's text without card numbers."""
    return pan.masked(text)


def asked(text: str) -> str:
    """A till's or a customer's text without card numbers of known issuers."""
    return pan.masked(text) if pan.is_in(text) else text


def encoded(text: str) -> str:
    """A Base64 text whose content is without card numbers."""
    cut = written(text)
    if cut != text:  # It is plain text, or what would be one if it were not.
        return cut
    plain = "".join(text.split()).rstrip("=").translate(_URL_SAFE)
    try:
        clear = b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (Error, ValueError):
        return text
    content = clear.decode("utf-8", "surrogateescape")
    cut = written(content)
    if cut == content:
        return text
    return b64encode(cut.encode("utf-8", "surrogateescape")).decode()


def number(text: str) -> str:
    """What must be a card number, cut to its last four characters."""
    kept = pan.KEPT if len(text) >= _SHORTEST else 0
    return pan.MASK * (len(text) - kept) + text[len(text) - kept :]


def shown(text: str) -> str:
    """A masked card number, which is cut if it shows more than may be shown."""
    text = written(text)
    digits = sum("0" <= each <= "9" for each in text)
    return number(text) if digits > _MOST_SHOWN else text
