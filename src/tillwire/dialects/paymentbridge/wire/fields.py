"""What the members of the cloud's objects are made of: texts with a limit, exact amounts, and the
base of all structures.

Members are optional and None when absent, as the vendor's own models have them, so null and absence
are one thing. Every text has a limit, though the vendor gives few. A structure's texts are cut
(`cuts.py`) whenever one is made, so none of them holds a card number, whoever made it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Final

import msgspec
from msgspec import Meta

from tillwire.dialects.paymentbridge.wire import cuts
from tillwire.money import MAX_MINOR

LONGEST_LIST: Final = 1_000
"""Entries of any list or map."""
MUST: Final[dict[str, Any]] = {"must": True}
"""Marks members on which money hangs: one that is not what it should be makes the whole
unreadable, while others are left out."""

Id = Annotated[str, Meta(max_length=256, extra={"cut": "id"})]
"""What names something."""
Text = Annotated[str, Meta(max_length=4_096, extra={"cut": "text"})]
Address = Annotated[str, Meta(max_length=2_048, extra={"cut": "id"})]
"""A URL."""
Word = Annotated[str, Meta(max_length=64, extra={"cut": "id"})]
"""A value of an enumeration that is open, a code, a moment."""
Status = Annotated[str, Meta(max_length=64, extra=MUST | {"cut": "id"})]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z", extra=MUST)]
Name = Annotated[str, Meta(max_length=256, extra=MUST | {"cut": "id"})]
"""What names a transaction, by which it is found."""
Minor = Annotated[int, Meta(ge=0, le=MAX_MINOR, extra=MUST)]
"""An amount in minor units."""
Flag = Annotated[bool, Meta(extra=MUST)]
"""A flag on which money hangs."""
Whole = Annotated[int, Meta(ge=-(2**53), le=2**53)]
_many = Meta(max_length=LONGEST_LIST)
Words = Annotated[tuple[Word, ...], _many]
Texts = Annotated[dict[Id, Text], _many]


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """An object of the cloud. Members that are absent are None, or empty."""

    special: ClassVar[Mapping[str, Callable[[Any], Any]]] = {}
    """Members that are cut in a way of their own."""

    def __post_init__(self) -> None:
        """Cut card numbers out of all texts."""
        for name, cut in _cuts(type(self)):
            value = getattr(self, name)
            if value is not None and (kept := cut(value)) != value:
                msgspec.structs.force_setattr(self, name, kept)


_CUT: Final[Mapping[str, Callable[[str], str]]] = {"id": cuts.named, "text": cuts.written}


@functools.cache
def _cuts(struct: type[Part]) -> tuple[tuple[str, Callable[[Any], Any]], ...]:
    """By attribute, how each text of a structure is cut."""
    described = msgspec.inspect.type_info(struct)
    assert isinstance(described, msgspec.inspect.StructType)
    pairs = ((each.name, _cut(struct, each)) for each in described.fields)
    return tuple((name, cut) for name, cut in pairs if cut is not None)


def _cut(struct: type[Part], field: msgspec.inspect.Field) -> Callable[[Any], Any] | None:
    if field.name in struct.special:
        return struct.special[field.name]
    described, extra = unwrapped(field.type)
    one = _CUT.get(extra.get("cut", ""))
    if isinstance(described, msgspec.inspect.VarTupleType):
        _, extra = unwrapped(described.item_type)
        each = _CUT.get(extra.get("cut", ""))
        return None if each is None else lambda many: tuple(map(each, many))
    if isinstance(described, msgspec.inspect.DictType):
        return lambda map_: {cuts.named(key): cuts.written(text) for key, text in map_.items()}
    return one


def unwrapped(described: msgspec.inspect.Type) -> tuple[msgspec.inspect.Type, dict[str, Any]]:
    """The type without None and marks, and its marks."""
    extra: dict[str, Any] = {}
    while True:
        if isinstance(described, msgspec.inspect.Metadata):
            extra |= described.extra or {}
            described = described.type
        elif isinstance(described, msgspec.inspect.UnionType):
            some = [
                each for each in described.types if not isinstance(each, msgspec.inspect.NoneType)
            ]
            if len(some) != 1:
                return described, extra
            described = some[0]
        else:
            return described, extra


# --- moments ----------------------------------------------------------------------------------

_MOMENT: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(Z|[+-][0-9]{2}:?[0-9]{2})"
)
MILLISECONDS_FROM: Final = 10**11
"""Numbers above this, as moments, are milliseconds: as seconds they would be in the year 5138."""


def moment(text: str | None) -> int | None:
    """Milliseconds since 1970 of a moment of ISO 8601 with its zone; None if it is none, be it that
    its zone puts it before the year 1, or behind 9999."""
    found = _MOMENT.fullmatch(text) if text else None
    if found is None:
        return None
    day, time, fraction, zone = found.groups()
    try:
        whole = datetime.fromisoformat(f"{day}T{time}{'+00:00' if zone == 'Z' else zone}")
        seconds = int(whole.astimezone(UTC).timestamp())
    except (ValueError, OverflowError):
        return None
    return seconds * 1000 + int(((fraction or "") + "000")[:3])


def stamp(instant: int) -> str:
    """Milliseconds since 1970 as the cloud writes a moment: UTC, whole seconds."""
    return datetime.fromtimestamp(instant // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(value: float) -> int:
    """A moment that is given in seconds or in milliseconds, as seconds (the vendor's SDKs for
    Python and Node write milliseconds where their documents say seconds)."""
    return int(value) // 1000 if value > MILLISECONDS_FROM else int(value)
