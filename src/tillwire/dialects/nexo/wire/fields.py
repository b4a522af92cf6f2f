"""What the members of nexo messages are made of: texts with a limit, exact amounts, and the base
of all structures.

Every text has a limit, though nexo gives few: where it gives none, ours is far above what anybody
was seen to send. A peer's rules that are shorter (`TransactionID` of 35 characters at Market Pay)
are the business of the face.
"""

from __future__ import annotations

import re
from decimal import Context, Decimal
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tillwire.dialects.nexo.wire import names

MOST: Final = Decimal("99999999.999999")
"""The largest amount: 8 digits before the point, 6 behind it (nexo `SimpleAmount`)."""
DECIMALS: Final = 6
AMOUNT: Final = f"a number from 0 to {MOST} with at most {DECIMALS} decimals"
NUMBER: Final = "a decimal number of ordinary size"
LONGEST_LIST: Final = 1_000
"""Entries of any list."""

_STEP: Final = Decimal(1).scaleb(-DECIMALS)
_UNTRAPPED: Final = Context(prec=40, traps=[])
_WIDEST: Final = 12
"""Digits before the point of a number that is no amount, such as a rate or a quantity."""
_FINEST: Final = -20

Id = Annotated[str, Meta(min_length=1, max_length=256, description="text of 1 to 256 characters")]
"""What identifies something, and so must say something."""
Short = Annotated[str, Meta(max_length=256, description="text of at most 256 characters")]
Line = Annotated[str, Meta(max_length=4_096, description="text of at most 4096 characters")]
Text = Annotated[str, Meta(max_length=65_536, description="text of at most 65536 characters")]
"""Receipts are in it as a whole with some vendors, in Base64."""
Base64 = Annotated[str, Meta(max_length=262_144, description="Base64 of at most 262144 characters")]
"""Of `OutputXHTML`, by the schema."""
LongBase64 = Annotated[
    str, Meta(max_length=1_048_576, description="Base64 of at most 1048576 characters")
]
Moment = Annotated[
    str, Meta(min_length=1, max_length=64, description="a date and time of ISO 8601 with its zone")
]
"""A date and time, kept as it was written, since it goes back like that."""
Date = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}\Z", description="YYYY-MM-DD")]
CurrencyCode = Annotated[
    str, Meta(pattern=r"^[A-Z]{3}\Z", description="three capital letters of ISO 4217")
]
Language = Annotated[str, Meta(pattern=r"^[A-Za-z]{2}\Z", description="two letters of ISO 639-1")]
Whole = Annotated[int, Meta(ge=-(2**53), le=2**53, description="a whole number of at most 53 bits")]
Count = Annotated[int, Meta(ge=0, le=2**53, description="a whole number, not negative")]

_list = Meta(max_length=LONGEST_LIST)
Shorts = Annotated[tuple[Short, ...], _list]


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename=names.key):
    """A structure of the protocol. Members that are absent are None, or empty."""


class Fault(ValueError):
    """What a structure finds wrong with its own members. `field` is the protocol's key."""

    def __init__(self, field: str, problem: str, allowed: str = "") -> None:
        self.field = field
        self.problem = problem
        self.allowed = allowed
        super().__init__(f"{field}: {problem}")


def amounts(part: msgspec.Struct, *attributes: str) -> None:
    """See to it that these members are amounts. Raises `Fault`."""
    for attribute in attributes:
        value: Decimal | None = getattr(part, attribute)
        if value is None:
            continue
        if not value.is_finite() or not 0 <= value <= MOST:
            raise Fault(names.key(attribute), "Out of range", AMOUNT)
        exponent = value.as_tuple().exponent
        assert isinstance(exponent, int)
        if not -DECIMALS <= exponent <= 0 or value.is_signed():
            # Written in another way (1E+2, -0), or with more decimals than there may be.
            plain = value.quantize(_STEP, context=_UNTRAPPED).copy_abs()
            if plain != value:
                raise Fault(names.key(attribute), "Too many decimals", AMOUNT)
            replace(part, attribute, Decimal(_plain(plain)))


def numbers(part: msgspec.Struct, *attributes: str) -> None:
    """See to it that these members, which are no amounts, have an ordinary size. Raises `Fault`."""
    for attribute in attributes:
        value: Decimal | None = getattr(part, attribute)
        if value is None:
            continue
        if not value.is_finite() or (value and value.adjusted() >= _WIDEST):
            raise Fault(names.key(attribute), "Out of range", NUMBER)
        exponent = value.as_tuple().exponent
        assert isinstance(exponent, int)
        if exponent < _FINEST or len(value.as_tuple().digits) > _WIDEST - _FINEST:
            raise Fault(names.key(attribute), "Too many decimals", NUMBER)
        if exponent > 0:
            replace(part, attribute, Decimal(f"{value:f}") if value else Decimal(0))


def replace(part: msgspec.Struct, attribute: str, value: object) -> None:
    """Set a member of a structure that is being made."""
    msgspec.structs.force_setattr(part, attribute, value)


_TRAILING = re.compile(r"\.?0+\Z")


def _plain(value: Decimal) -> str:
    return _TRAILING.sub("", f"{value:f}")
