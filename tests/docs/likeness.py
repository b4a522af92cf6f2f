"""Whether what was printed is what a page shows, but for what differs from run to run.

Ids, keys, tokens, times and durations are made alike, as is the width of white space. What chance
decides (the card, its numbers) stands on the page as `...`: in text as a line of its own, for any
number of lines, or within a line, for any characters; in JSON as a value, for any value.
"""

from __future__ import annotations

import json
import re
from typing import Final

_ALIKE: Final = (
    (re.compile(r"\b\d{31}\b"), "ID"),
    (re.compile(r"\btwd?_[\w-]{20,}"), "SECRET"),
    (re.compile(r"\bpay-\d{6,14}-\d{6}\b"), "REFERENCE"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00| [A-Z]{3,4})?"), "TIME"),
    (re.compile(r"\b\d\d:\d\d:\d\d(\.\d+)?( [A-Z]{3,4}\b)?"), "TIME"),
    (re.compile(r"\b\d{4}-\d\d-\d\d\b"), "DAY"),
    (re.compile(r"\+\d+(\.\d+)? (ms|s|min|h)\b( \d+ (s|min)\b)?"), "AFTER"),
    (re.compile(r"[ \t]+"), " "),
)


def alike(language: str, shown: str, printed: str) -> bool:
    """Whether `printed` is what the page means by `shown`."""
    if language == "json":
        try:
            return _json_alike(json.loads(shown), json.loads(printed))
        except ValueError:
            return False
    return _text_alike(shown, printed)


def _text_alike(shown: str, printed: str) -> bool:
    lines = [_levelled(line) for line in shown.strip("\n").splitlines()]
    pattern = "".join(
        r"(?:.*\n)*?" if line == "..." else _anything_for_dots(line) + r"\n" for line in lines
    )
    text = "".join(f"{_levelled(line)}\n" for line in printed.strip("\n").splitlines())
    return re.fullmatch(pattern, text) is not None


def _anything_for_dots(line: str) -> str:
    return ".*?".join(re.escape(part) for part in line.split("..."))


def _json_alike(shown: object, printed: object) -> bool:
    match shown, printed:
        case "...", _:
            return True
        case dict(), dict():
            return shown.keys() == printed.keys() and all(
                _json_alike(value, printed[name]) for name, value in shown.items()
            )
        case list(), list():
            return len(shown) == len(printed) and all(
                _json_alike(one, other) for one, other in zip(shown, printed, strict=True)
            )
        case str(), str():
            return _text_alike(shown, printed)
        case _:
            return shown == printed


def _levelled(line: str) -> str:
    for pattern, word in _ALIKE:
        line = pattern.sub(word, line)
    return line.strip()
