"""How a message is laid out: which table it is read and written by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tillwire.dialects.ecr17.wire.fields import Table, check_places, defaults_of
from tillwire.dialects.ecr17.wire.problems import Unfit
from tillwire.dialects.ecr17.wire.values import Spelling


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """A message, and its way from and to the characters of a payload."""

    code: str
    """The message code."""
    message: type[msgspec.Struct]
    read: Callable[[str], dict[str, Any]]
    """The message's fields but `tid`, from a whole payload. Raises `Unreadable`."""
    write: Callable[[Any, Spelling], str]
    """What follows on the header. Raises `Unfit`."""
    tables: tuple[Table, ...] = ()
    """The tables that describe it wholly, if there are such."""


def tabled(
    code: str,
    message: type[msgspec.Struct],
    tables: Sequence[Table],
    read: Callable[[str], dict[str, Any]],
    table_of: Callable[[Any, Spelling], Table],
) -> Layout:
    """The layout of a message that some tables describe wholly; `table_of` says which of them
    writes it."""
    check_places(message, tables)
    defaults = defaults_of(message)
    without_place = {
        table: [
            (name, defaults.get(name, msgspec.NODEFAULT))
            for name in message.__struct_fields__
            if name != "tid" and name not in table.named
        ]
        for table in tables
    }

    def write(value: Any, spelling: Spelling) -> str:
        table = table_of(value, spelling)
        for name, default in without_place[table]:
            if getattr(value, name) != default:
                raise Unfit("it has no place in this message", field=name)
        return table.write(value)

    return Layout(code=code, message=message, read=read, write=write, tables=tuple(tables))
