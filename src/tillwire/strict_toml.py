"""Reads a TOML file into frozen structs, and says every mistake so that a person can mend it.

A wrong file is a `ConfigurationError` that names the file, the path of the setting, the problem,
and what is allowed there. Unknown settings are mistakes too, with the nearest known name.
"""

from __future__ import annotations

import difflib
import enum
import re
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from msgspec import inspect

from tillwire.errors import ConfigurationError

S = TypeVar("S", bound=msgspec.Struct)

LARGEST_FILE: Final = 4 << 20
"""Bytes; a settings file beyond this is surely another file."""

_LOCATED = re.compile(r"(?P<problem>.*?)(?: - at `(?P<path>.*)`)?\Z", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`\Z", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`\Z", re.DOTALL)
_NOT_OF_ENUM = re.compile(r"Invalid enum value (.*)\Z", re.DOTALL)
_WORDS: Final = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "object": "a table",
    "array": "a list",
}
_WORD = re.compile("`(" + "|".join(_WORDS) + ")(?: [^`]*)?`")
_STEP = re.compile(r"\[(\d+|\.\.\.)\]|([^.\[\]]+)")


def read(path: Path) -> dict[str, Any]:
    """The file's tables. Raises `ConfigurationError` when it cannot be read or is not TOML."""
    try:
        there = path.stat()
        if not (stat.S_ISREG(there.st_mode) or stat.S_ISDIR(there.st_mode)):
            raise ConfigurationError(f"{path}: it is no regular file.")
        if there.st_size > LARGEST_FILE:
            raise ConfigurationError(f"{path}: this is too large to be a settings file.")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: it cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: it is not UTF-8 text.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: it is not valid TOML: {error}.") from None


def convert(tables: Mapping[str, Any], kind: type[S], *, source: object, at: str = "") -> S:
    """The struct `kind` from `tables`. Raises `ConfigurationError`.

    `source` names the file in messages, `at` the path under which `tables` stand in it.
    """
    try:
        return msgspec.convert(tables, kind, strict=True)
    except msgspec.ValidationError as error:
        raise _explained(str(error), kind, source, at) from None


def mistake(source: object, path: str, problem: str, allowed: str = "") -> ConfigurationError:
    """The error for one setting, in the one form that all of them have."""
    text = f"{source}: {path}: {problem}" + ("" if problem.endswith("?") else ".")
    return ConfigurationError(text + (f" Allowed: {allowed}." if allowed else ""))


def _explained(
    message: str, kind: type[msgspec.Struct], source: object, at: str
) -> ConfigurationError:
    located = _LOCATED.match(message)
    assert located is not None
    problem, place = located["problem"], (located["path"] or "$").removeprefix("$").lstrip(".")
    found = _type_at(inspect.type_info(kind), place)
    path = ".".join(part for part in (at, place) if part)
    if unknown := _UNKNOWN.match(problem):
        return _unknown(source, path, unknown[1], found)
    if missing := _MISSING.match(problem):
        setting = ".".join(part for part in (path, missing[1]) if part)
        wanted = _type_at(inspect.type_info(kind), f"{place}.{missing[1]}")
        return mistake(source, setting, "this setting is missing", described(wanted))
    return mistake(source, path or "the file", _plain(problem), described(found))


def _plain(problem: str) -> str:
    if enumerated := _NOT_OF_ENUM.match(problem):
        return f"{enumerated[1]} is not one of its values"
    return _WORD.sub(lambda found: _WORDS[found[1]], problem[:1].lower() + problem[1:])


def _unknown(source: object, path: str, name: str, kind: inspect.Type) -> ConfigurationError:
    known = [field.encode_name for field in _fields(kind)]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    setting = ".".join(part for part in (path, name) if part)
    question = f"; did you mean {near[0]!r}?" if near else ""
    return mistake(source, setting, f"there is no such setting{question}", ", ".join(known))


def _fields(kind: inspect.Type) -> tuple[inspect.Field, ...]:
    return kind.fields if isinstance(kind, inspect.StructType) else ()


def _type_at(kind: inspect.Type, place: str) -> inspect.Type:
    """The type that stands at `listener[0].port`, or `AnyType` when the path leaves the known."""
    for index, name in _STEP.findall(place):
        kind = _without_none(kind)
        if index and isinstance(kind, inspect.ListType | inspect.VarTupleType):
            kind = kind.item_type
        elif index:
            return inspect.AnyType()
        else:
            named = [field for field in _fields(kind) if field.encode_name == name]
            if not named:
                return inspect.AnyType()
            kind = named[0].type
    return _without_none(kind)


def _without_none(kind: inspect.Type) -> inspect.Type:
    if isinstance(kind, inspect.UnionType):
        return next(each for each in kind.types if not isinstance(each, inspect.NoneType))
    return kind


def described(kind: inspect.Type) -> str:
    """What a setting of this type may be, in words."""
    match kind:
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType() | inspect.FloatType():
            word = "a whole number" if isinstance(kind, inspect.IntType) else "a number"
            return word + _range(kind)
        case inspect.StrType():
            return "text" + (" that is not empty" if kind.min_length else "")
        case inspect.EnumType():
            return ", ".join(_values(kind.cls))
        case inspect.LiteralType():
            return ", ".join(map(str, kind.values))
        case inspect.StructType():
            return "a table with " + ", ".join(field.encode_name for field in kind.fields)
        case inspect.ListType() | inspect.VarTupleType():
            return f"a list, each {described(kind.item_type)}"
        case _:
            return ""


def _range(kind: inspect.IntType | inspect.FloatType) -> str:
    low, above, high = kind.ge, kind.gt, kind.le
    parts = [
        f"from {low}" if low is not None else "",
        f"more than {above}" if above is not None else "",
        f"to {high}" if high is not None else "",
    ]
    return "".join(f" {part}" for part in parts if part)


def _values(kind: type[enum.Enum]) -> list[str]:
    return [str(member.value) for member in kind]
