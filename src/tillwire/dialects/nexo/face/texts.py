"""What the protocol shows and prints, as the plain text that every terminal has.

Lines stay lines; fonts, styles, colours, sizes, places and alignments are dropped. XHTML keeps its
words. A bar code keeps its digits, and a text that has lost more than its looks says so
(`Plain.lost`). Predefined contents are names of things that only the maker of a terminal knows.
"""

from __future__ import annotations

import unicodedata
from base64 import b64decode
from binascii import Error
from collections.abc import Sequence
from typing import NamedTuple

from tillwire.dialects.nexo.face.context import Malformed, Refused
from tillwire.dialects.nexo.wire import cuts
from tillwire.dialects.nexo.wire.outputs import MenuEntry, OutputContent, OutputText
from tillwire.dialects.nexo.wire.values import ErrorCondition, OutputFormat
from tillwire.dialects.nexo.wire.xhtml import words_of


class Plain(NamedTuple):
    """A content as text."""

    text: str
    """Lines with `\\n` between them."""
    lost: str = ""
    """What of it no plain text can be, in words; empty when that is nothing but looks."""


def plain(content: OutputContent | MenuEntry, path: str) -> Plain:
    """A content as text. `path` is where it stands in its message. Raises `Refused`."""
    match content.output_format:
        case OutputFormat.TEXT:
            if not content.output_text:
                raise Malformed(path, "OutputText", "Missing", "at least one line")
            return Plain(_clean(_lines(content.output_text)))
        case OutputFormat.XHTML:
            if content.output_xhtml is None:
                raise Malformed(path, "OutputXHTML", "Missing", "XHTML in Base64")
            words = words_of(_decoded(content.output_xhtml, path))
            # A card number that was spread over elements is one only now.
            text = cuts.written(_clean(words.text))
            return Plain(text, "a picture" if words.pictures else "")
        case OutputFormat.BAR_CODE:
            if content.output_barcode is None:
                raise Malformed(path, "OutputBarcode", "Missing", "a bar code")
            value = _clean(content.output_barcode.barcode_value)
            return Plain(value, "a bar code, of which only the digits are there")
        case OutputFormat.MESSAGE_REF:
            raise Refused(
                ErrorCondition.UNAVAILABLE_SERVICE,
                f"At {path}: there are no predefined contents here; send it as Text.",
            )
    problem = f"{content.output_format[:40]!r} is unknown"
    raise Malformed(path, "OutputFormat", problem, ", ".join(OutputFormat))


def one_line(content: OutputContent | MenuEntry, path: str) -> str:
    """A content as text of one line. Raises `Refused`."""
    return " ".join(plain(content, path).text.split())


def _lines(pieces: Sequence[OutputText]) -> str:
    """`EndOfLineFlag` ends a line, also where it is absent; a piece without text feeds paper."""
    whole = "".join(
        (piece.text or "") + ("" if piece.end_of_line_flag is False else "\n") for piece in pieces
    )
    return whole.removesuffix("\n")


def _clean(text: str) -> str:
    """Without characters that are not written: what a printer would take for a command."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    if text.isprintable():
        return text
    return "".join(
        each for each in text if each == "\n" or not unicodedata.category(each).startswith("C")
    )


def _decoded(text: str, path: str) -> str:
    try:
        return b64decode(text).decode()
    except (Error, ValueError):
        allowed = "XHTML, in UTF-8, in Base64"
        raise Malformed(path, "OutputXHTML", "It cannot be read", allowed) from None
