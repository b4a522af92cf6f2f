"""Receipts as a terminal sends them to a till: `S` messages, one after the other.

    7D  new line, and back to normal; at the beginning of a line a blank one. Not sent behind a line
        that is exactly full, since the printer turns to the next by itself.
    7F  bold and double height   7E  double height    for this line; stand at its beginning
    7B  double width             7C  the same, bold
    5E  compressed
    1B  the end, behind six 7D

A line has 24 columns, 12 at double width, 42 if it is compressed. How a line looked is not kept.
A number may be split over two messages or two lines, so a part shows nothing of itself, and card
numbers are cut when the ticket is whole (law 7).
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from tillwire import pan
from tillwire.dialects.ecr17.wire.fields import HEADER
from tillwire.dialects.ecr17.wire.problems import Unfit, Unreadable
from tillwire.dialects.ecr17.wire.texts import plain, printable
from tillwire.dialects.ecr17.wire.values import Spelling

COLUMNS: Final = 24
"""Of the till's printer."""
LONGEST_PART: Final = 200
"""Characters of a ticket in one message."""
LARGEST_TICKET: Final = 16_384
"""Characters of a ticket that are put up with."""

_NEW_LINE: Final = "}"
_END: Final = "\x1b"
_FEED: Final = _NEW_LINE * 6 + _END
_WIDTHS: Final = {"\x7f": COLUMNS, "~": COLUMNS, "{": 12, "|": 12, "^": 42}
"""Columns of a line that begins with one of these."""
_FOR_CODES: Final = str.maketrans("{|}~^", "(!)-'")
"""What is printed for characters that have another meaning in a ticket."""
_NOT_IN_A_TICKET: Final = re.compile(rb"[^\x1b\x20-\x7f]")
_GAP: Final = re.compile(r"(?P<label>.*\S) {2,}(?P<value>\S.*)")


class ReceiptPart(msgspec.Struct, frozen=True, kw_only=True):
    """`S` of a terminal: a part of a ticket, which may end anywhere in it."""

    tid: str
    octets: bytes
    """May hold a card number: for `TicketReader` alone."""

    @property
    def is_last(self) -> bool:
        """Whether the ticket ends with it."""
        return self.octets.endswith(b"\x1b")

    def __repr__(self) -> str:
        return f"ReceiptPart({len(self.octets)} octets)"


def read_part(text: str) -> dict[str, Any]:
    """The fields of `ReceiptPart`."""
    return {"octets": text[HEADER:].encode("latin-1")}


def write_part(message: ReceiptPart, _: Spelling) -> str:
    """What follows on the header of `ReceiptPart`."""
    octets = message.octets
    if not 1 <= len(octets) <= LONGEST_PART or _NOT_IN_A_TICKET.search(octets):
        raise Unfit("it is too long, empty, or not ASCII", f"1 to {LONGEST_PART} octets", "octets")
    return octets.decode("ascii")


# --- read ---------------------------------------------------------------------------------------


class TicketReader:
    """Puts the parts of tickets together."""

    def __init__(self) -> None:
        self._text = ""

    @property
    def is_empty(self) -> bool:
        """Whether no ticket has begun and not ended."""
        return not self._text

    def feed(self, part: ReceiptPart) -> list[str]:
        """The tickets that are whole now: plain lines of at most `COLUMNS` columns, with `\\n`
        between them and without card numbers. Raises `Unreadable` when a ticket does not end."""
        *whole, self._text = (self._text + part.octets.decode("latin-1")).split(_END)
        if len(self._text) > LARGEST_TICKET:
            self._text = ""
            raise Unreadable("S", f"a ticket of more than {LARGEST_TICKET} characters")
        return [_read(each) for each in whole]


def _read(ticket: str) -> str:
    lines = list(_lines(ticket))
    # A card number may begin in a full line and go on in the next, and what ends the line before
    # may hide that it is one: so both are looked at, the lines and the text without line ends.
    hidden = _lines(pan.masked(ticket))
    paper: list[str] = []
    for line, other in zip(lines, hidden, strict=True):
        cut = _both(pan.masked(line), other)
        # A compressed line takes two of these.
        starts = range(0, len(cut) or 1, COLUMNS)
        paper += [cut[start : start + COLUMNS].rstrip() for start in starts]
    while paper and not paper[-1]:
        paper.pop()
    return "\n".join(paper)


def _both(line: str, other: str) -> str:
    """The same line with whatever is masked in one of the two."""
    if line == other:
        return line
    return "".join(
        pan.MASK if pan.MASK in pair else pair[0] for pair in zip(line, other, strict=True)
    )


def _lines(ticket: str) -> Iterator[str]:
    """The lines as they are printed."""
    line, width = "", COLUMNS
    for character in ticket:
        if character == _NEW_LINE:
            yield line
            line, width = "", COLUMNS
        elif character in _WIDTHS:
            if not line:
                width = _WIDTHS[character]
        else:
            line += printable(character)
            if len(line) == width:
                yield line
                line, width = "", COLUMNS
    if line:
        yield line


# --- written ------------------------------------------------------------------------------------


def receipt_parts(tid: str, text: str) -> list[ReceiptPart]:
    """A ticket of plain text with `\\n` line ends, in as many parts as it needs; none for no text.
    What is not ASCII is spelt in ASCII, and what is wider than the paper is laid out anew."""
    if not text.strip():
        return []
    pieces = [_line(line) for wide in text.rstrip().split("\n") for line in _fitted(wide)]
    parts = [""]
    for piece in [*pieces, _FEED]:
        if len(parts[-1]) + len(piece) > LONGEST_PART:
            parts.append("")
        parts[-1] += piece
    return [ReceiptPart(tid=tid, octets=part.encode("ascii")) for part in parts]


def _line(line: str) -> str:
    return line if len(line) == COLUMNS else line + _NEW_LINE


def _fitted(line: str) -> list[str]:
    """A line in lines that the paper has room for."""
    line = pan.masked(plain(line.expandtabs()).translate(_FOR_CODES)).rstrip()
    if len(line) <= COLUMNS:
        return [line]
    gap = _GAP.fullmatch(line)
    if gap and not line.startswith(" "):
        label, value = gap["label"].rstrip(), gap["value"]
        if len(label) + len(value) < COLUMNS:
            return [label + value.rjust(COLUMNS - len(label))]
    wrapped = textwrap.wrap(line.strip(), COLUMNS)
    if line.startswith("  "):
        return [" " * ((COLUMNS - len(each)) // 2) + each for each in wrapped]
    return wrapped
