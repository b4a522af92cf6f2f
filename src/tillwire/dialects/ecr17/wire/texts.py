"""Texts in seven-bit ASCII: what comes in is made printable and rid of card numbers (law 7), and
what goes out is made to fit.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from tillwire import pan

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_FOREIGN: Final = re.compile(r"[^ -~]")
_LONG_NUMBER: Final = re.compile(rf"[0-9]{{{pan.SHORTEST},}}")
_SPELT: Final = str.maketrans({"€": "E", "ß": "ss", "Æ": "AE", "æ": "ae", "Ø": "O", "ø": "o"})
"""What does not fall into a letter and its accent."""


def printable(text: str) -> str:
    """The text with a blank for each control character, and a question mark for each other one
    that is not ASCII: every character keeps its place."""
    if text.isascii() and text.isprintable():
        return text
    return _FOREIGN.sub("?", _CONTROL.sub(" ", text))


def told(text: str) -> str:
    """What a terminal wrote in a field for text, without card numbers. Any long number is cut,
    since a terminal with another layout may have a card number there, behind zeros."""
    return _LONG_NUMBER.sub(_cut, pan.masked(printable(text)))


def _cut(number: re.Match[str]) -> str:
    return number[0][-pan.KEPT :].rjust(len(number[0]), pan.MASK)


def asked(text: str) -> str:
    """What a till wrote, without card numbers of known issuers: one in ten of a till's own numbers
    would pass for some card's."""
    text = printable(text)
    return pan.masked(text) if pan.is_in(text) else text


def plain(text: str) -> str:
    """Any text in printable ASCII: without accents, and a question mark for what has no letter."""
    if not text.isascii():
        text = "".join(
            each
            for each in unicodedata.normalize("NFKD", text.translate(_SPELT))
            if not unicodedata.combining(each)
        )
    return printable(text)


def fitted(text: str, length: int) -> str:
    """Any text in one line of at most `length` characters of ASCII; what is too long is cut."""
    return plain(" ".join(text.split()))[:length].rstrip()
