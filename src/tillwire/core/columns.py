"""Text in the columns of a receipt printer: clean, wrapped, centred, or as label and value.

Knows nothing of payments. No line that leaves here is wider than asked, whatever was written into
a shop's name: control characters are dropped, and a wide character (East Asian width W or F)
counts as the two columns that it takes. A combining mark counts as one, so that a printer that
sets it apart has room for it, too.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

_REMEMBERED: Final = 8192
"""Lines that are kept: a shop's receipts say mostly the same."""


def printable(text: str) -> str:
    """The text with nothing in it that a printer would obey instead of print, and single spaces."""
    if text.isascii() and text.isprintable():  # nearly all of it is, and receipts are written often
        return " ".join(text.split()) if " " in text else text
    kept = []
    for character in unicodedata.normalize("NFC", text):
        category = unicodedata.category(character)
        if category == "Cf":  # invisible: joiners, direction marks
            continue
        kept.append(" " if category[0] in "CZ" else character)
    return " ".join("".join(kept).split())


def columns(text: str) -> int:
    """How many columns the text takes."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text)


def wrapped(text: str, width: int) -> tuple[str, ...]:
    """The printable text in lines of at most `width` columns, broken between words where it can
    be. No text makes no line."""
    lines: list[str] = []
    text = printable(text)
    if text and columns(text) <= width:
        return (text,)
    for word in text.split():
        if lines and columns(lines[-1]) + 1 + columns(word) <= width:
            lines[-1] += " " + word
        else:
            lines.extend(_pieces(word, width))
    return tuple(lines)


@lru_cache(_REMEMBERED)
def centred(text: str, width: int) -> tuple[str, ...]:
    """The text in the middle, wrapped."""
    return tuple(" " * ((width - columns(line)) // 2) + line for line in wrapped(text, width))


def pair(label: str, value: str, width: int) -> tuple[str, ...]:
    """The label on the left and the value on the right: on one line if both fit, else the value
    below. No value makes no line."""
    label, value = printable(label), printable(value)
    if not value:
        return ()
    gap = width - columns(label) - columns(value)
    if gap >= 1:
        return (label + " " * gap + value,)
    below = wrapped(value, width)
    return (*wrapped(label, width), *(" " * (width - columns(line)) + line for line in below))


def _pieces(word: str, width: int) -> Iterator[str]:
    """The word in pieces of at most `width` columns."""
    if word.isascii():
        yield from (word[begin : begin + width] for begin in range(0, len(word), width))
        return
    piece = ""
    for character in word:
        if columns(piece) + columns(character) > width:
            yield piece
            piece = ""
        piece += character
    yield piece
