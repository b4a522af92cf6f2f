"""Any structure of the cloud, for property tests: every member may be absent or anything that it
may be."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from tillwire.money import CURRENCIES, MAX_MINOR

VISA: Final = "4111111111111111"
"""A card number that everybody knows, for tests alone."""
CARDS: Final = (VISA, "5500005555555559", "340000000000009", "6011000990139424")

_LETTERS: Final = st.characters(exclude_categories=["Cs"])


def structures(struct: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Instances of a structure."""
    described = inspect.type_info(struct)
    assert isinstance(described, inspect.StructType)
    members = {each.name: _values(each.type) for each in described.fields}
    return st.fixed_dictionaries(members).map(lambda values: struct(**values))


def _values(kind: inspect.Type) -> st.SearchStrategy[Any]:
    if isinstance(kind, inspect.Metadata):
        return _values(kind.type)
    if isinstance(kind, inspect.UnionType):
        return st.one_of(*map(_values, kind.types))
    if isinstance(kind, inspect.NoneType):
        return st.none()
    if isinstance(kind, inspect.StrType):
        if kind.pattern:
            return st.sampled_from(sorted(CURRENCIES))
        return st.text(_LETTERS, max_size=min(kind.max_length or 40, 40))
    if isinstance(kind, inspect.BoolType):
        return st.booleans()
    if isinstance(kind, inspect.FloatType):
        return st.floats(-180, 180, allow_nan=False)
    if isinstance(kind, inspect.IntType):
        least = 0 if kind.ge is None else int(kind.ge)
        return st.integers(least, MAX_MINOR if kind.le is None else int(kind.le))
    if isinstance(kind, inspect.VarTupleType):
        least = kind.min_length or 0
        return st.lists(_values(kind.item_type), min_size=least, max_size=2).map(tuple)
    if isinstance(kind, inspect.DictType):
        return st.dictionaries(_values(kind.key_type), _values(kind.value_type), max_size=2)
    if isinstance(kind, inspect.StructType):
        return st.deferred(lambda: structures(kind.cls))
    raise AssertionError(kind)


def members(struct: type[msgspec.Struct]) -> list[tuple[str, inspect.Type]]:
    """Every member of a structure, by its key in JSON."""
    described = inspect.type_info(struct)
    assert isinstance(described, inspect.StructType)
    return [(each.encode_name, each.type) for each in described.fields]
