"""Changes of the estate as values: what a plan is made of, and what people read of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

import msgspec

from tillwire.core.estate_model import Merchant, Organisation, Store, Terminal
from tillwire.core.ports import EstateThing

Named = Organisation | Merchant | Store | Terminal
"""What an estate file speaks of."""


class Mark(StrEnum):
    """What happens to a thing, as the plan marks it."""

    CREATE = "+"
    CHANGE = "~"
    REMOVE = "-"


class FieldChange(msgspec.Struct, frozen=True):
    """One field of a thing. `old` is None where the thing is new."""

    field: str
    old: str | None
    new: str


class Change(msgspec.Struct, frozen=True):
    """What happens to one thing of the estate."""

    mark: Mark
    kind: str
    """`organisation`, `merchant`, `store` or `terminal`."""
    id: str
    name: str
    fields: tuple[FieldChange, ...]
    writes: tuple[EstateThing, ...]
    """What is put into the journal for it, in this order."""
    idle_terminal: str | None = None
    """The id of the terminal that must not be occupied while this is done."""


class Plan(msgspec.Struct, frozen=True):
    """All changes; owners stand before what they own."""

    changes: tuple[Change, ...]

    def count(self, mark: Mark) -> int:
        """How many changes of this kind there are."""
        return sum(change.mark is mark for change in self.changes)


_HIDDEN: Final = frozenset({"id", "organisation_id", "device_digest"})
_NOTHING: Final = ""


def difference(
    before: Named | None, after: Named, names: Mapping[str, str]
) -> tuple[FieldChange, ...]:
    """The fields in which `after` differs, in words; `names` says what ids of owners mean."""
    old = {} if before is None else dict(_readable(before, names))
    new = dict(_readable(after, names))
    return tuple(
        FieldChange(field, None if before is None else was, now)
        for field in {**old, **new}
        if (was := old.get(field, _NOTHING)) != (now := new.get(field, _NOTHING))
    )


def _readable(thing: Named, names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for field in thing.__struct_fields__:
        value = getattr(thing, field)
        if field in _HIDDEN:
            continue
        if field.endswith("_id"):
            yield field.removesuffix("_id"), names.get(value, value)
        elif isinstance(value, Mapping):
            for name, setting in value.items():
                yield f"{field}.{name}", msgspec.json.encode(setting).decode()
        else:
            yield field, str(value)
    if isinstance(thing, Terminal) and thing.device_digest is not None:
        yield "polling token", "valid"
