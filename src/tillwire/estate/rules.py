"""What single values of an estate file must be like: keys, names, zones, countries, currencies.

Each rule is a function of one value that answers with a problem, or None. Which field obeys which
rule is the table at the end.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
import uuid
from collections.abc import Callable, Iterable
from functools import cache
from importlib import resources
from typing import Final, NamedTuple

import msgspec

from tillwire.money import CURRENCIES
from tillwire.strict_toml import mistake

LONGEST_NAME: Final = 100

_KEY = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,38}[a-z0-9])?\Z")
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~]{0,39}\Z")
_MODEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._~-]{0,38}[A-Za-z0-9])?\Z")
_TID = re.compile(r"[A-Za-z0-9._-]{0,32}\Z")
_EIGHT_DIGITS = re.compile(r"[0-9]{8}\Z")

FOUND_BY_TID: Final = frozenset({"paymentbridge"})
"""Drivers that find a terminal by its TID, in whose system it has eight digits (source 000)."""


class Problem(NamedTuple):
    """What is wrong with a value, and what would be right."""

    what: str
    allowed: str


Rule = Callable[[str], Problem | None]


def _matches(pattern: re.Pattern[str], allowed: str) -> Rule:
    def check(value: str) -> Problem | None:
        return None if pattern.match(value) else Problem(f"{value[:60]!r} does not fit", allowed)

    return check


def _text(value: str) -> Problem | None:
    """Text that is printed on receipts."""
    allowed = f"1 to {LONGEST_NAME} printable characters"
    if not value.strip():
        return Problem("it is empty", allowed)
    return _text_or_empty(value)


def _text_or_empty(value: str) -> Problem | None:
    allowed = f"up to {LONGEST_NAME} printable characters"
    if len(value) > LONGEST_NAME:
        return Problem(f"it has {len(value)} characters", allowed)
    if any(unicodedata.category(character).startswith("C") for character in value):
        return Problem("it has characters that cannot be printed", allowed)
    return None


def _uuid(value: str) -> Problem | None:
    allowed = "a UUID such as 0b5c2d1e-7f1a-4c7e-9c55-3a0a0d6e2f10, or no uuid at all"
    try:
        canonical = str(uuid.UUID(value)) if value else value
    except ValueError:
        return Problem(f"{value[:60]!r} is not a UUID", allowed)
    return None if canonical == value.lower() else Problem(f"{value!r} is not a UUID", allowed)


@cache
def time_zones() -> frozenset[str]:
    """Every name of the IANA time zone database."""
    return frozenset((resources.files("tzdata") / "zones").read_text("utf-8").split())


@cache
def countries() -> frozenset[str]:
    """Every code of ISO 3166-1 alpha-2, and XK, under which Kosovo is known to card schemes."""
    table = (resources.files("tzdata") / "zoneinfo" / "iso3166.tab").read_text("utf-8")
    listed = (line.split("\t")[0] for line in table.splitlines() if not line.startswith("#"))
    return frozenset(listed) | {"XK"}


def _one_of(known: Callable[[], Iterable[str]], what: str, allowed: str) -> Rule:
    def check(value: str) -> Problem | None:
        names = known()
        if value in names:
            return None
        same = [name for name in names if name.lower() == value.lower()]
        near = same or difflib.get_close_matches(value, names, n=1, cutoff=0.7)
        question = f"; did you mean {near[0]!r}?" if near else ""
        return Problem(f"{value[:60]!r} is not {what}{question}", allowed)

    return check


_part = _matches(
    _PART, "1 to 40 letters, digits, dots, underscores or tildes, first a letter or digit"
)
_eight_digits = _matches(_EIGHT_DIGITS, "eight digits")


def _serial(value: str) -> Problem | None:
    return _part(value) if value else None


def check_tid(tid: str, driver: str, *, eight_digits: bool = False) -> Problem | None:
    """What is wrong with the TID of a terminal with this driver; `eight_digits` wants as many
    whatever the driver."""
    return (_eight_digits if eight_digits or driver in FOUND_BY_TID else RULES["tid"])(tid)


RULES: Final[dict[str, Rule]] = {
    "key": _matches(
        _KEY, "1 to 40 small letters, digits, dots, hyphens or underscores; no sign at either end"
    ),
    "name": _text,
    "address": _text,
    "city": _text,
    "zip_code": _text_or_empty,
    "country": _one_of(countries, "a country", "two capital letters of ISO 3166-1"),
    "time_zone": _one_of(
        time_zones, "a time zone", "a name of the IANA database such as Europe/Rome"
    ),
    "currency": _one_of(
        lambda: CURRENCIES, "a currency", "three capital letters of ISO 4217 such as EUR"
    ),
    "uuid": _uuid,
    # Together they name the terminal in one URL path segment, split by hyphens.
    "manufacturer": _part,
    "serial": _serial,
    "model": _matches(
        _MODEL,
        "1 to 40 letters, digits, dots, hyphens, underscores or tildes; no sign at either end",
    ),
    "tid": _matches(_TID, "up to 32 letters, digits, dots, hyphens or underscores"),
}
"""Which rule a text field obeys, whatever it is a field of."""


class Place:
    """A place in an estate file; remembers what must be unique below it."""

    def __init__(self, source: str, path: str) -> None:
        self.source = source
        self.path = path
        self._taken: dict[tuple[str, str], str] = {}

    def unique(self, kind: str, value: str, path: str, field: str = "") -> None:
        """Raises `ConfigurationError` when the place at `path` has a value that another has."""
        earlier = self._taken.setdefault((kind, value), path)
        if earlier != path:
            problem = f"{value!r} is the {kind} of {earlier}, too"
            where = f"{path}.{field or kind}"
            raise mistake(self.source, where, problem, f"a {kind} of its own within {self.path}")


def check_entry(place: Place, entry: msgspec.Struct) -> None:
    """Check every text of the entry. Raises `ConfigurationError`."""
    for field in entry.__struct_fields__:
        value = getattr(entry, field)
        if field not in RULES or not isinstance(value, str):
            continue
        problem = RULES[field](value)
        if problem is not None:
            raise mistake(place.source, f"{place.path}.{field}", problem.what, problem.allowed)
