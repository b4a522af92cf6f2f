"""JSON into messages, with errors that a person can act on.

Whatever is wrong with a document comes out as `InvalidRequest` that names the member by its path
(`amount.value`), the problem, and what is allowed there; nothing else leaves here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from tillwire.errors import InvalidRequest

M = TypeVar("M")

WHOLE: Final = "body"
"""The name under which the document as a whole is at fault."""

_LOCATED = re.compile(r"(?P<problem>.*?)(?: - at `\$\.?(?P<path>.*)`)?\Z", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`\Z", re.DOTALL)
_EXPECTED = re.compile(r"Expected `([a-z]+)(?: \| null)?`, got `([a-z]+)`\Z")
_KINDS: Final = {
    "array": "a list",
    "bool": "true or false",
    "datetime": "text",
    "float": "a number",
    "int": "a whole number",
    "null": "null",
    "object": "an object",
    "str": "text",
}


def decoded(decoder: msgspec.json.Decoder[M], body: bytes, allowed: Mapping[str, str]) -> M:
    """The message in `body`. `allowed` says, by path, what each member may be.

    Raises `InvalidRequest`.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _misfit(str(error), allowed) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _malformed(body, allowed) from None


def _misfit(message: str, allowed: Mapping[str, str]) -> InvalidRequest:
    """It is JSON, but not of the message's shape."""
    located = _LOCATED.match(message)
    assert located is not None
    problem, path = located["problem"], located["path"] or ""
    if missing := _MISSING.match(problem):
        path = f"{path}.{missing[1]}" if path else missing[1]
        return InvalidRequest(path, "it is missing", allowed.get(path, ""))
    if expected := _EXPECTED.match(problem):
        problem = f"it is {_KINDS.get(expected[2], expected[2])}"
        kind = _KINDS.get(expected[1], "")
        return InvalidRequest(path or WHOLE, problem, allowed.get(path, kind))
    # What is left are values of the right kind that break a rule, which `allowed` spells out.
    return InvalidRequest(path or WHOLE, "it does not fit", allowed.get(path, ""))


def _malformed(body: bytes, allowed: Mapping[str, str]) -> InvalidRequest:
    """It is not JSON. NaN and Infinity, which some libraries write, are told by their place."""
    try:
        document = json.loads(body, parse_constant=_Constant)
    except (ValueError, RecursionError):
        document = None
    found = _constant_in(document)
    if found is None:
        return InvalidRequest(WHOLE, "it is not valid JSON", "a JSON object in UTF-8")
    path, constant = found
    problem = f"{constant.name} is not a number in JSON"
    return InvalidRequest(path or WHOLE, problem, allowed.get(path, "a decimal number"))


class _Constant:
    """Stands where a document has NaN or Infinity."""

    def __init__(self, name: str) -> None:
        self.name = name


def _constant_in(document: Any) -> tuple[str, _Constant] | None:  # Any: JSON of any shape
    """The first constant in the document and its path. A stack, since it may be nested deeply."""
    waiting: list[tuple[str, Any]] = [("", document)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, _Constant):
            return path, value
        if isinstance(value, dict):
            below = [(f"{path}.{key}" if path else key, each) for key, each in value.items()]
            waiting.extend(reversed(below))
        elif isinstance(value, list):
            waiting.extend((f"{path}[{index}]", each) for index, each in enumerate(value))
    return None
