"""Additional data, `U`: tags that a till hands to the host, and what the host hands back.

A till announces them with a request's flag and sends them once that was acknowledged. What they
hold are contracts of card tokens, which are handed on as they are, so a till's tag that holds a
card number is not cut but refused (law 7).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tillwire import pan
from tillwire.dialects.ecr17.wire.fields import Field, Table
from tillwire.dialects.ecr17.wire.kinds import ASKED_TEXT, DIGITS, NUMBER, ZEROS
from tillwire.dialects.ecr17.wire.problems import Unfit, Unreadable
from tillwire.dialects.ecr17.wire.texts import asked, printable
from tillwire.dialects.ecr17.wire.values import ByteMap, Spelling

MOST_TAGS: Final = 4
MOST_OCTETS: Final = 100
"""Of all tags' contents together."""
LONGEST_TAG: Final = {1: 30, 2: 30, 3: 30, 4: 30, 5: 100}
"""Octets that a tag of each index may have. Intesa Sanpaolo takes one tag alone, of index 5."""
LONGEST_HOST_DATA: Final = 255
STANDARD: Final = "000000"
"""The usual payment type; PAX has `000001` for the payment of bills."""
WANTED_FIELD: Final = "62"
"""The ISO 8583 field that can be read back at present."""
WANTED_TAG: Final = "DF8D01"
"""The tag that can be read back at present."""

_END: Final = "\x1b"
_ZEROS_BEHIND: Final = 10
_NOTHING_BACK: Final = "00"


class Tag(msgspec.Struct, frozen=True):
    """One content for the host."""

    content: str
    index: int | None = None
    """1 to 5; None where the byte map says nothing."""


class AdditionalData(msgspec.Struct, frozen=True, kw_only=True):
    """`U` of a till: data for the host, and what is wanted back."""

    tid: str
    payment_type: str = STANDARD
    back_from: str = _NOTHING_BACK
    """The ISO 8583 field from which something is to be read back; `00` for nothing."""
    back_tag: str = WANTED_TAG
    """The tag to read back from it."""
    tags: tuple[Tag, ...]

    @property
    def wants_back(self) -> bool:
        """Whether the host's answer is wanted."""
        return self.back_from != _NOTHING_BACK


class HostData(msgspec.Struct, frozen=True, kw_only=True):
    """`U` of a terminal: what the host handed back."""

    tid: str
    content: str
    """Without card numbers of known issuers."""


HEAD = Table(
    Field(11, 6, DIGITS, "payment_type"),
    Field(17, 2, DIGITS, "back_from"),
    Field(19, 8, ASKED_TEXT, "back_tag"),
    Field(27, 1, ZEROS),
    Field(28, 4, DIGITS, "byte_map"),
    Field(32, 5, ZEROS),
    total=36,
)
HOST_HEAD = Table(
    Field(11, 6, ZEROS),
    Field(17, 3, NUMBER, "length"),
    total=19,
)


class _Head(msgspec.Struct, frozen=True):
    payment_type: str
    back_from: str
    back_tag: str
    byte_map: str


class _HostHead(msgspec.Struct, frozen=True):
    length: int


def read_tags(text: str) -> dict[str, Any]:
    """The fields of `AdditionalData`."""
    values = HEAD.read("U", text[: HEAD.total])
    byte_map = values.pop("byte_map")
    *contents, rest = text[HEAD.total :].split(_END)
    if rest.strip("0 "):
        raise Unreadable("U", "the last tag has no end")
    if not 1 <= len(contents) <= MOST_TAGS:
        raise Unreadable("U", f"{len(contents)} tags; allowed are 1 to {MOST_TAGS}")
    for content in contents:
        if not content or printable(content) != content:
            raise Unreadable("U", "a tag is empty, or not printable")
        if pan.is_in(content):
            raise Unreadable("U", "a tag holds a card number")
    if sum(map(len, contents)) > MOST_OCTETS:
        raise Unreadable("U", f"the tags have more than {MOST_OCTETS} octets")
    values["tags"] = tuple(
        Tag(content, int(index) if int(index) in LONGEST_TAG else None)
        for content, index in zip(contents, byte_map, strict=False)
    )
    return values


def write_tags(message: AdditionalData, spelling: Spelling) -> str:
    """What follows on the header of `AdditionalData`."""
    _check_tags(message.tags)
    indices = (
        "".join(str(tag.index or 0) for tag in message.tags)
        if spelling.byte_map is ByteMap.INDICES
        else ""
    )
    head = _Head(
        message.payment_type, message.back_from, message.back_tag, indices.ljust(MOST_TAGS, "0")
    )
    return HEAD.write(head) + "".join(tag.content + _END for tag in message.tags)


def _check_tags(tags: tuple[Tag, ...]) -> None:
    if not 1 <= len(tags) <= MOST_TAGS:
        raise Unfit(f"{len(tags)} tags", f"1 to {MOST_TAGS} tags", "tags")
    indices = [tag.index for tag in tags if tag.index is not None]
    if len(set(indices)) < len(indices) or not LONGEST_TAG.keys() >= set(indices):
        raise Unfit("an index is used twice, or does not exist", "1 to 5, each once", "tags")
    for tag in tags:
        longest = LONGEST_TAG.get(tag.index or 0, MOST_OCTETS)
        if not 1 <= len(tag.content) <= longest:
            raise Unfit("a tag is too long, or empty", f"1 to {longest} octets", "tags")
        if printable(tag.content) != tag.content:
            raise Unfit("a tag is not printable", "printable ASCII", "tags")
    if sum(len(tag.content) for tag in tags) > MOST_OCTETS:
        raise Unfit("the tags are too long", f"{MOST_OCTETS} octets together", "tags")


def read_host_data(text: str) -> dict[str, Any]:
    """The fields of `HostData`. A length that does not fit what follows is not believed."""
    length = HOST_HEAD.read_what_is_there("U", text).get("length")
    rest = text[HOST_HEAD.total :]
    if length is None or length > len(rest):
        length = max(len(rest) - _ZEROS_BEHIND, 0)
    return {"content": asked(rest[:length])}


def write_host_data(message: HostData, _: Spelling) -> str:
    """What follows on the header of `HostData`."""
    length = len(message.content)
    if length > LONGEST_HOST_DATA or printable(message.content) != message.content:
        raise Unfit(
            "it is too long, or not printable",
            f"up to {LONGEST_HOST_DATA} characters of ASCII",
            "content",
        )
    return HOST_HEAD.write(_HostHead(length)) + message.content + "0" * _ZEROS_BEHIND
