"""Tables of fields, as the protocol's own documents have them: position, length, type, name.

Positions count from 1 and include the header, which every message begins with:

    1  8  N  terminal id
    9  1  A  `0`
   10  1  A  message code

A table is checked when it is made: its fields follow each other without gap or overlap, from
behind the header to its end.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec

from tillwire.dialects.ecr17.wire.kinds import Kind
from tillwire.dialects.ecr17.wire.problems import Unfit, Unreadable
from tillwire.errors import LocalProtocolError

HEADER: Final = 10
"""Characters of the header."""


class Field(msgspec.Struct, frozen=True):
    """One row of a table."""

    position: int
    """Of its first character, counted from 1."""
    length: int
    kind: Kind
    name: str = ""
    """The attribute of the message; reserved fields have none."""


class Table:
    """The fields of a message, behind its header."""

    def __init__(self, *fields: Field, total: int, short: int | None = None) -> None:
        """`total`: characters of the message. `short`: characters of the form without what follows,
        in which it is written when nothing of that is known."""
        self.fields = fields
        self.total = total
        self.short = short
        self.named: Final = {each.name: each.kind for each in fields if each.name}
        self._read = [
            (each.name, each.position - 1, each.position - 1 + each.length, each.kind)
            for each in fields
            if each.name
        ]
        self._check()
        self._significant = max((end for _, _, end, _ in self._read), default=HEADER)

    def _check(self) -> None:
        at = HEADER + 1
        for each in self.fields:
            if each.position != at or each.length < 1:
                raise LocalProtocolError(f"The field at {each.position} should be at {at}.")
            if each.kind.reserved == bool(each.name):
                raise LocalProtocolError(f"The field at {at} has a name, and is reserved, or not.")
            at += each.length
        if at != self.total + 1:
            raise LocalProtocolError(f"The fields end at {at - 1} and not at {self.total}.")
        if self.short is not None and self.short + 1 not in {each.position for each in self.fields}:
            raise LocalProtocolError(f"No field ends at {self.short}.")
        if len(self.named) != len(self._read):
            raise LocalProtocolError("Two fields have one name.")

    def read(self, code: str, text: str) -> dict[str, Any]:
        """The values of a request. What is reserved at its end may be missing or longer. Raises
        `Unreadable` for everything else that is not as it should be."""
        if len(text) < self._significant:
            raise Unreadable(code, f"{len(text)} characters, and {self.total} are expected")
        if text[self.total :].strip("0 "):
            raise Unreadable(code, f"something follows after {self.total} characters")
        values: dict[str, Any] = {}
        for name, start, end, kind in self._read:
            try:
                values[name] = kind.reads(text[start:end])
            except ValueError:
                raise _bad(code, name, start, end) from None
        return values

    def read_what_is_there(self, code: str, text: str) -> dict[str, Any]:
        """The values of a result, of any length: what is missing, cut or senseless is unknown, and
        what follows is ignored. Raises `Unreadable` where the result itself is missing."""
        values: dict[str, Any] = {}
        available = len(text)
        for name, start, end, kind in self._read:
            if end <= available or (kind.cut and start < available):
                try:
                    values[name] = kind.reads(text[start:end])
                    continue
                except ValueError:
                    pass
            if kind.needed:
                raise _bad(code, name, start, end)
        return values

    def write(self, message: object) -> str:
        """The message's fields as they follow on the header. Raises `Unfit`, with the field."""
        written: list[str] = []
        end = self._end(message)
        for each in self.fields:
            if each.position > end:
                break
            value = getattr(message, each.name) if each.name else None
            try:
                characters = each.kind.writes(value, each.length)
            except Unfit as problem:
                problem.field = each.name
                raise
            assert len(characters) == each.length, each
            written.append(characters)
        return "".join(written)

    def _end(self, message: object) -> int:
        if self.short is None:
            return self.total
        knows_more = any(
            getattr(message, each.name) != each.kind.unknown
            for each in self.fields
            if each.name and each.position > self.short
        )
        return self.total if knows_more else self.short


def check_places(message: type[msgspec.Struct], tables: Collection[Table]) -> None:
    """That the message has each field for which a table has a name, and that each of its own has a
    place in some table. Raises `LocalProtocolError`."""
    placed = {name for table in tables for name in table.named} | {"tid"}
    wrong = sorted(placed ^ set(message.__struct_fields__))
    if wrong:
        raise LocalProtocolError(f"{message.__name__} and its tables differ in {wrong}.")


def check_unknowns(message: type[msgspec.Struct], tables: Collection[Table]) -> None:
    """That what is not read of a result is unknown in it. Raises `LocalProtocolError`."""
    defaults = defaults_of(message)
    for table in tables:
        for name, kind in table.named.items():
            if not kind.needed and (name not in defaults or defaults[name] != kind.unknown):
                raise LocalProtocolError(f"{message.__name__}.{name} has another default.")


def defaults_of(message: type[msgspec.Struct]) -> Mapping[str, Any]:
    """The default of each field that has one."""
    return {
        each.name: each.default
        for each in msgspec.structs.fields(message)
        if each.default is not msgspec.NODEFAULT
    }


def _bad(code: str, name: str, start: int, end: int) -> Unreadable:
    return Unreadable(code, f"characters {start + 1} to {end} are no {name}")
