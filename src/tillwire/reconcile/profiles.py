"""Profiles: how a file of transactions is read, as people write it in TOML.

A profile says which column is what, how amounts and times are written, and which of a file's own
words mean what. What is read with it is the business of `sides.py`.
"""

from __future__ import annotations

import io
import re
import zoneinfo
from collections.abc import Mapping, Sequence
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

import msgspec
from msgspec import Meta

from tillwire import strict_toml
from tillwire.core.model import TransactionType
from tillwire.errors import ConfigurationError
from tillwire.money import CURRENCIES

MOST_ALIASES: Final = 20
DIRECTIVE: Final = re.compile("%-?.?", re.DOTALL)
DIRECTIVES: Final = frozenset(
    (*(f"%{letter}" for letter in "aAbBdfHIjmMpSyYz%"), *(f"%-{letter}" for letter in "dHIjmMSy"))
)
"""What a format of times may have in it."""

_NUMBER: Final = re.compile("[1-9][0-9]{0,3}")

W = TypeVar("W")


class Status(StrEnum):
    """What a side says has become of a transaction."""

    APPROVED = "APPROVED"
    DECLINED = "DECLINED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"
    REVERSED = "REVERSED"
    """Approved, and taken back as a whole."""
    UNKNOWN = "UNKNOWN"
    """It is not known yet, or still going on."""


class Key(StrEnum):
    """By what two sides' rows are known to be the same transaction; the strongest first."""

    ID = "id"
    """Our own id."""
    REFERENCE = "reference"
    """The till's reference, at its terminal."""
    ACQUIRER_REFERENCE = "acquirer_reference"
    TRACE = "trace"
    """Terminal, STAN and authorisation code."""


TEXTS: Final = (
    "transaction_id", "original_id", "reference", "acquirer_reference", "terminal", "tid", "store",
    "authorisation_code", "stan", "card_last4",
)  # fmt: skip
"""Columns of a side that are kept as they are written."""
COLUMNS: Final = (*TEXTS, "type", "status", "amount", "refund", "currency", "at", "time")
"""What a column of a file can be; `time` is the time of day where `at` is only the date, and
`refund` the amount of what was given back, where that has a column of its own."""

Name = Annotated[str, Meta(min_length=1, max_length=200)] | Annotated[int, Meta(ge=1, le=1000)]
Constant = Annotated[str, Meta(max_length=200)]
Word = Annotated[str, Meta(max_length=200, pattern=r"^(?!\s*\*\s*$)")]


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What kind of file it is."""

    format: Literal["csv", "parquet", "json"] = "csv"
    delimiter: Annotated[str, Meta(min_length=1, max_length=1)] = ","
    quote: Annotated[str, Meta(max_length=1)] = '"'
    encoding: Annotated[str, Meta(min_length=1, max_length=40)] = "utf-8"
    header: bool = True
    """Whether the first line of a CSV file names the columns; else they are numbered from 1."""
    above: Annotated[int, Meta(ge=0, le=100)] = 0
    """Lines of a CSV file above the one that names the columns."""
    list: str = ""
    """Of JSON: the member that holds the list; empty: the document is the list."""


class Amounts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How amounts are written."""

    unit: Literal["major", "minor"] = "major"
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ".", ",", " ", "'"] = ""
    negative: Literal["refused", "refund"] = "refused"
    """What an amount below zero is: a mistake, or a refund of it."""


class Times(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How times are written."""

    format: Annotated[str, Meta(min_length=1, max_length=60)] = "iso8601"
    """`iso8601`, or as `strptime` has it: `%d/%m/%Y %H:%M:%S`."""
    zone: str = ""
    """Of times without an offset, as in the IANA database; empty: each time has its offset."""

    def has_offset(self) -> bool:
        """Whether each time in its own format says its offset."""
        return "%z" in DIRECTIVE.findall(self.format)


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How one kind of file is read."""

    description: str = ""
    file: Shape = Shape()
    columns: dict[str, Name | list[Name]]
    """Which of the file's columns each of ours is; of several names, the first that is there."""
    amount: Amounts = Amounts()
    time: Times = Times()
    currency: str = ""
    """Of all amounts, where no column has it."""
    store: Constant = ""
    """Of all rows, where no column has it; so are the next two."""
    terminal: Constant = ""
    tid: Constant = ""
    ignore: dict[str, list[Word]] = {}
    """By the file's column: words of rows that are no transactions. One that ends in `*` is the
    beginning of such words."""
    statuses: dict[str, Status] = {}
    """The file's words for statuses, in any case of letters, beside our own."""
    types: dict[str, TransactionType] = {}
    """The file's words for types, beside our own."""
    default_status: Status | None = None
    """Of a row with nothing there, else a mistake; and of a file without that column, else
    APPROVED: a settlement file has what was settled."""
    default_type: TransactionType | None = None
    """The same; else PURCHASE."""
    keys: tuple[Key, ...] = tuple(Key)
    """By what its rows may be known."""

    def names_of(self, column: str) -> Sequence[Name]:
        """The names that one of our columns may have in the file."""
        names = self.columns.get(column, [])
        return names if isinstance(names, list) else [names]

    def constants(self) -> dict[str, str]:
        """What all rows have, by our columns."""
        told = {"store": self.store, "terminal": self.terminal, "tid": self.tid}
        return {column: text for column, text in told.items() if text}

    def meant_by_statuses(self) -> dict[str, Status]:
        """The file's words for statuses, in capitals."""
        return _meant(self.statuses, self.default_status)

    def meant_by_types(self) -> dict[str, TransactionType]:
        """The file's words for types, in capitals."""
        return _meant(self.types, self.default_type)


def _meant(words: Mapping[str, W], default: W | None) -> dict[str, W]:
    nothing = {} if default is None else {"": default}
    return nothing | {each: code for word, code in words.items() for each in _written(word)}


def _written(word: str) -> set[str]:
    """A word as it is, and in capitals, which not all letters have."""
    return {word.strip(), word.strip().upper()}


def load(text: str) -> Profile:
    """The profile that `text` names: one of `shipped()`, or a TOML file. Raises
    `ConfigurationError`."""
    if text in shipped():
        source = resources.files("tillwire.reconcile") / "profiles" / f"{text}.toml"
        with resources.as_file(source) as path:
            return _checked(strict_toml.read(path), text)
    if not text.endswith(".toml"):
        known = ", ".join(shipped())
        raise ConfigurationError(f"No profile {text!r}; there is: {known}; or name a .toml file.")
    return _checked(strict_toml.read(Path(text)), text)


def shipped() -> list[str]:
    """The names of the profiles that come with tillwire."""
    folder = resources.files("tillwire.reconcile") / "profiles"
    names = (each.name for each in folder.iterdir())
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


def _checked(tables: Mapping[str, object], source: str) -> Profile:
    profile = strict_toml.convert(tables, Profile, source=source)
    _check_columns(profile, source)
    _check_values(profile, source)
    return profile


def _check_columns(profile: Profile, source: str) -> None:
    for column in profile.columns:
        names = profile.names_of(column)
        where = f"columns.{column}"
        if column not in COLUMNS:
            raise strict_toml.mistake(source, where, "there is no such column", ", ".join(COLUMNS))
        if not names or len(names) > MOST_ALIASES:
            allowed = f"one name, or a list of up to {MOST_ALIASES}"
            raise strict_toml.mistake(source, where, "it has no name, or too many", allowed)
        numbered = profile.file.format == "csv" and not profile.file.header
        if any(isinstance(name, int) != numbered for name in names):
            allowed = "a number from 1" if numbered else "the column's name"
            raise strict_toml.mistake(source, where, "it is not named as the file has it", allowed)
    for needed in ("amount", "at"):
        if needed not in profile.columns:
            raise strict_toml.mistake(
                source, f"columns.{needed}", "this setting is missing", "the column's name"
            )

    _check_rows(profile, source)


def _check_rows(profile: Profile, source: str) -> None:
    if "refund" in profile.columns and profile.amount.negative != "refund":
        raise strict_toml.mistake(
            source, "columns.refund", "nothing is given back here", 'amount.negative = "refund"'
        )
    for column in profile.constants():
        if column in profile.columns:
            raise strict_toml.mistake(
                source, column, "there is a column for it, too", "one of both"
            )
    shape = profile.file
    if shape.above and not (shape.header and shape.format == "csv"):
        raise strict_toml.mistake(
            source, "file.above", "there are no headings to stand above", "0, or CSV with headings"
        )
    for name, words in profile.ignore.items():
        if not words:
            raise strict_toml.mistake(source, f"ignore.{name}", "it has no word", "a list of some")
        if shape.format == "csv" and not shape.header and not _NUMBER.fullmatch(name):
            allowed = "the column's number, from 1"
            raise strict_toml.mistake(source, f"ignore.{name}", "there are no headings", allowed)


def _check_values(profile: Profile, source: str) -> None:
    if "currency" not in profile.columns and profile.currency not in CURRENCIES:
        allowed = "three capital letters of ISO 4217, or columns.currency"
        raise strict_toml.mistake(source, "currency", "no amount has a currency", allowed)
    _check_marks(profile.file, source)
    for setting, words in (("statuses", [*profile.statuses]), ("types", [*profile.types])):
        capitals = [word.strip().upper() for word in words]
        if twice := [word for word in words if capitals.count(word.strip().upper()) > 1]:
            raise strict_toml.mistake(
                source, f"{setting}.{twice[-1]}", "it is there twice", "each word once, in any case"
            )
    if profile.amount.thousands == profile.amount.decimal:
        raise strict_toml.mistake(
            source, "amount.thousands", "it is the decimal mark, too", "another character"
        )
    _check_times(profile.time, source)
    try:
        io.TextIOWrapper(io.BytesIO(), encoding=profile.file.encoding)
    except (LookupError, ValueError):
        raise strict_toml.mistake(
            source, "file.encoding", "there is no such encoding", "such as utf-8 or cp1252"
        ) from None


def _check_marks(shape: Shape, source: str) -> None:
    for name, mark in (("delimiter", shape.delimiter), ("quote", shape.quote)):
        if mark and mark != "\t" and not (" " <= mark <= "~" and not mark.isalnum()):
            raise strict_toml.mistake(
                source, f"file.{name}", "it separates nothing", "an ASCII character, no letter"
            )
    if shape.delimiter == shape.quote:
        raise strict_toml.mistake(
            source, "file.quote", "it is the delimiter, too", "another character, or none"
        )


def _check_times(times: Times, source: str) -> None:
    if times.zone and times.zone not in zoneinfo.available_timezones():
        raise strict_toml.mistake(
            source, "time.zone", "there is no such zone", "a name such as Europe/Rome"
        )
    if times.format == "iso8601":
        return
    strange = sorted({*DIRECTIVE.findall(times.format)} - DIRECTIVES)
    if strange or "%" not in times.format:
        problem = f"there is no {strange[0]!r}" if strange else "there is no time in it"
        raise strict_toml.mistake(source, "time.format", problem, " ".join(sorted(DIRECTIVES)))
    if not times.zone and not times.has_offset():
        raise strict_toml.mistake(
            source, "time.zone", "times without an offset need a zone", "such as Europe/Rome"
        )
