"""Alternative payment methods, `K`: XML from a till, and XML back, in blocks.

What the XML says is between the till and the terminal's application; here it is moved, put together
and rid of card numbers (law 7). `K` exists on Nexi's Traditional POS alone.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from tillwire import pan
from tillwire.dialects.ecr17.wire.fields import Field, Table
from tillwire.dialects.ecr17.wire.kinds import DIGITS, FLAG, NUMBER, ZEROS
from tillwire.dialects.ecr17.wire.problems import Unfit, Unreadable
from tillwire.dialects.ecr17.wire.values import Spelling

LONGEST_XML: Final = 1024
"""Octets of XML in one message."""
MOST_BLOCKS: Final = 99
"""Blocks of one answer that are put up with."""

_ORDER_ID: Final = re.compile(r"""(k\s*=\s*["']ORDER_ID["'][^>]*>)([^<]*)""")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\xff]")


class VasRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`K` of a till: an `<ecrreq>`."""

    tid: str
    cash_register: str
    xml: str
    """ASCII, at most `LONGEST_XML` characters."""


class VasBlock(msgspec.Struct, frozen=True, kw_only=True):
    """`K` of a terminal: a part of an `<ecrres>`."""

    tid: str
    more: bool
    """Whether another block follows."""
    number: int
    """From 1."""
    octets: bytes
    """May hold a part of a card number: for `VasReader` alone."""

    def __repr__(self) -> str:
        return f"VasBlock({self.number}, {len(self.octets)} octets, more={self.more})"


_REQUEST_HEAD = Table(
    Field(11, 8, DIGITS, "cash_register"),
    Field(19, 3, ZEROS),
    Field(22, 1, ZEROS),
    Field(23, 4, NUMBER, "length"),
    total=26,
)
_BLOCK_HEAD = Table(
    Field(11, 4, ZEROS),
    Field(15, 1, FLAG, "more"),
    Field(16, 3, NUMBER, "number"),
    Field(19, 4, ZEROS),
    Field(23, 4, NUMBER, "length"),
    total=26,
)


class _RequestHead(msgspec.Struct, frozen=True):
    cash_register: str
    length: int


class _BlockHead(msgspec.Struct, frozen=True):
    more: bool
    number: int
    length: int


def read_request(text: str) -> dict[str, Any]:
    """The fields of `VasRequest`. One that holds a card number is refused, since an order's number
    must not be changed."""
    values = _REQUEST_HEAD.read("K", text[: _REQUEST_HEAD.total])
    xml = _text(_body(text, values.pop("length")))
    if pan.is_in(xml):
        raise Unreadable("K", "it holds a card number")
    values["xml"] = xml
    return values


def write_request(message: VasRequest, _: Spelling) -> str:
    """What follows on the header of `VasRequest`."""
    if len(message.xml) > LONGEST_XML or _text(message.xml.encode()) != message.xml:
        raise Unfit(
            "it is too long, or not ASCII", f"up to {LONGEST_XML} characters of ASCII", "xml"
        )
    return _REQUEST_HEAD.write(_RequestHead(message.cash_register, len(message.xml))) + message.xml


def read_block(text: str) -> dict[str, Any]:
    """The fields of `VasBlock`."""
    values = _BLOCK_HEAD.read("K", text[: _BLOCK_HEAD.total])
    values["octets"] = _body(text, values.pop("length"))
    return values


def write_block(message: VasBlock, _: Spelling) -> str:
    """What follows on the header of `VasBlock`."""
    length = len(message.octets)
    if length > LONGEST_XML or _CONTROL.search(message.octets):
        raise Unfit("it is too long, or not ASCII", f"up to {LONGEST_XML} octets", "octets")
    head = _BlockHead(message.more, message.number, length)
    return _BLOCK_HEAD.write(head) + message.octets.decode("ascii")


def vas_blocks(tid: str, xml: str) -> list[VasBlock]:
    """An answer in as many blocks as it needs. What is not ASCII becomes a character reference."""
    octets = xml.encode("ascii", "xmlcharrefreplace")
    starts = range(0, len(octets), LONGEST_XML) or range(1)
    return [
        VasBlock(
            tid=tid,
            more=start + LONGEST_XML < len(octets),
            number=number,
            octets=octets[start : start + LONGEST_XML],
        )
        for number, start in enumerate(starts, 1)
    ]


class VasReader:
    """Puts the blocks of one answer together."""

    def __init__(self) -> None:
        self._octets = bytearray()
        self._number = 0

    def feed(self, block: VasBlock) -> str | None:
        """The XML without card numbers, once the last block is there. One that comes twice is
        taken once. Raises `Unreadable` for a block out of its turn, and for too many."""
        if block.number == self._number > 0:
            return None
        if block.number != self._number + 1 or block.number > MOST_BLOCKS:
            raise Unreadable("K", f"block {block.number} after {self._number}")
        self._number = block.number
        self._octets += block.octets
        return None if block.more else _without_card_numbers(_text(bytes(self._octets)))


def _body(text: str, length: int) -> bytes:
    body = text[_REQUEST_HEAD.total :]
    if not length <= min(len(body), LONGEST_XML):
        raise Unreadable("K", f"{len(body)} octets of XML, and another length")
    return body[:length].encode("latin-1")


def _text(octets: bytes) -> str:
    return _CONTROL.sub(b"?", octets).decode("ascii")


def _without_card_numbers(xml: str) -> str:
    # An order's number is what a refund names, and one in ten would pass for a card's.
    pieces: list[str] = []
    at = 0
    for found in _ORDER_ID.finditer(xml):
        number = pan.masked(found[2]) if pan.is_in(found[2]) else found[2]
        pieces += [pan.masked(xml[at : found.start(2)]), number]
        at = found.end()
    return "".join(pieces) + pan.masked(xml[at:])
