"""The one place that masks: what may not be read in a log line is cut here.

Card numbers (digit runs that pass the Luhn check, law 7), secrets in running text (bearer tokens,
API keys, passwords) and everything under a key that sounds like a secret. Wire parsers cut card
numbers long before; this is the net below them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping, Sequence
from functools import lru_cache
from typing import Any, Final

from tillwire import pan

MASK: Final = "***"
DEEPEST: Final = 6
"""Levels of nested values that are looked at; what lies deeper is cut."""
LONGEST_TEXT: Final = 20_000
"""Characters of one value that are kept; a traceback fits."""
_LONGEST_KNOWN: Final = 64
_MOST_KNOWN: Final = 4096

_SECRET_KEY = re.compile(
    r"key|secret|token|passw|passphrase|authori[sz]ation(?!_code)|credential|cookie|bearer|\bpin\b",
    re.IGNORECASE,
)
_HARMLESS_KEY = re.compile(r"_(id|label|count|at)\Z", re.IGNORECASE)
_BETWEEN: Final = "[ ._+-]"
"""What may stand between two groups of a card number."""
_DIGITS = re.compile(f"[0-9]+(?:{_BETWEEN}[0-9]+)*")
_GROUP = re.compile(r"[0-9]+")
_IPV4 = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
"""A peer's address may have twelve digits, and is none."""
_OWN_SECRET = re.compile(r"\btw[ds]?_[A-Za-z0-9_-]{16,}")
"""API keys, device tokens and secrets of applications, as `estate` makes them."""
_SCHEME = re.compile(r"\b(bearer|basic|digest)\s+[\w.~+/=-]{4,}", re.IGNORECASE)
_ASSIGNED = re.compile(
    r"""(?P<name>\b(?:[\w-]*(?:api[-_]?key|secret|token|passw(?:or)?d|passphrase)|authorization|cookie)
        ["']?\s*[:=]\s*)(?P<value>"[^"]*"|'[^']*'|[^\s,;&"'}]+)""",
    re.IGNORECASE | re.VERBOSE,
)


_ENOUGH_DIGITS = re.compile(f"(?<![0-9])[0-9](?:{_BETWEEN}?[0-9]){{11,18}}(?![0-9])")
"""So many digits that a card number may be among them; a longer run without gaps is none."""
_TRIGGER: Final = re.compile(
    r"key|secret|token|passw|passphrase|authori|cookie|bearer|basic|digest|tw[ds]?_"
)
"""Small letters without which no text of ASCII holds a secret."""
_harmless: Final[set[str]] = set()
"""Short texts in which there was nothing to mask, some of which stand in each line: what is suspect
is looked at anew each time, and kept nowhere."""


def processor(_logger: object, _method: str, line: MutableMapping[str, Any]) -> dict[str, Any]:
    """The log line with everything masked; a structlog processor."""
    return {
        key: value
        if type(value) is str and not is_secret(key) and (value in _harmless or _is_harmless(value))
        else _masked(key, value, 0)
        for key, value in line.items()
    }


def _is_harmless(value: str) -> bool:
    """Whether there is nothing to mask or cut: asked first, since most values hold nothing and to
    mask costs more than all the rest of a line."""
    if len(value) > LONGEST_TEXT or _may_hold_secret(value) or _ENOUGH_DIGITS.search(value):
        return False
    if len(value) <= _LONGEST_KNOWN:
        if len(_harmless) >= _MOST_KNOWN:
            _harmless.clear()
        _harmless.add(value)
    return True


def _may_hold_secret(value: str) -> bool:
    # An expression that ignores case takes several times as long as to make the letters small. What
    # other alphabets have for i, k and s, the expressions know.
    return not value.isascii() or _TRIGGER.search(value.lower()) is not None


def masked(value: object) -> Any:  # Any: what comes out is JSON of any shape
    """The value without card numbers and secrets, made of plain JSON types only."""
    return _masked("", value, 0)


def _masked(key: str, value: object, depth: int) -> Any:
    if key and is_secret(key):
        return MASK if value not in (None, "") else value
    if isinstance(value, str):
        return text(value)
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if text(str(value)) == str(value) else text(str(value))
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if depth >= DEEPEST:
        return MASK
    if isinstance(value, Mapping):
        return {text(str(k)): _masked(str(k), v, depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked("", each, depth + 1) for each in value]
    return text(str(value))


@lru_cache(1024)
def is_secret(key: str) -> bool:
    """Whether what stands under this key is a secret, by the key's name."""
    return bool(_SECRET_KEY.search(key)) and not _HARMLESS_KEY.search(key)


def text(value: str) -> str:
    """The text without card numbers and secrets."""
    if len(value) > LONGEST_TEXT:
        value = value[:LONGEST_TEXT] + "..."
    if _ENOUGH_DIGITS.search(value):
        value = _DIGITS.sub(lambda run: _without_pans(run[0]), value)
    if not _may_hold_secret(value):
        return value
    value = _OWN_SECRET.sub(MASK, value)
    value = _SCHEME.sub(rf"\1 {MASK}", value)
    return _ASSIGNED.sub(rf"\g<name>{MASK}", value)


def _without_pans(run: str) -> str:
    """A run of digit groups without those neighbouring groups that together are a card number.

    Groups are looked at together because a number may stand beside a date. The longest stretch
    counts: the beginning of a card number may be a valid number, too.
    """
    if _IPV4.fullmatch(run):
        return run
    groups = [found.span() for found in _GROUP.finditer(run)]
    kept: list[str] = []
    first = done = 0
    while first < len(groups):
        number = _number_from(run, groups, first)
        if number is None:
            first += 1
            continue
        past, digits = number
        kept += (run[done : groups[first][0]], MASK, digits[-4:])
        done, first = groups[past - 1][1], past
    return "".join((*kept, run[done:]))


def _number_from(run: str, groups: Sequence[tuple[int, int]], first: int) -> tuple[int, str] | None:
    """The longest card number that begins with the group `first`: (the group after it, digits)."""
    longest = None
    digits = ""
    for past, (begin, end) in enumerate(groups[first : first + pan.LONGEST], first + 1):
        digits += run[begin:end]
        if len(digits) > pan.LONGEST:
            break
        if len(digits) >= pan.SHORTEST and pan.luhn(digits):
            longest = past, digits
    return longest
