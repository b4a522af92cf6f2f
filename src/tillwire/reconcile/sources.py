"""Sources: where a side's rows come from, brought to where DuckDB can read them.

A UTF-8 CSV file and a Parquet file are read where they are. Anything else (another encoding, JSON,
rows of this program) is written anew into the workspace: only the columns that are wanted, and no
card number (law 7). What the columns mean is the business of `sides.py`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Protocol, TextIO

import msgspec

from tillwire import pan
from tillwire.errors import InvalidRequest
from tillwire.reconcile.profiles import COLUMNS, Name, Profile
from tillwire.reconcile.workspace import Workspace, quoted

LARGEST_JSON: Final = 64 << 20
"""Octets of a JSON file, which is read as a whole."""
MOST_COLUMNS: Final = 1000
LONGEST_HEADER: Final = 1 << 20

csv.field_size_limit(1 << 20)


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One row of a side, as our own export writes it."""

    transaction_id: str = ""
    original_id: str = ""
    reference: str = ""
    acquirer_reference: str = ""
    terminal: str = ""
    tid: str = ""
    store: str = ""
    type: str = "PURCHASE"
    status: str
    """Of `profiles.Status`."""
    amount: str
    """Major units, with exactly the currency's decimals: what moved if it is APPROVED."""
    currency: str
    at: str
    """RFC 3339 with an offset."""
    authorisation_code: str = ""
    stan: str = ""
    card_last4: str = ""


ROW_COLUMNS: Final = Row.__struct_fields__


class Prepared(msgspec.Struct, frozen=True):
    """A source that DuckDB can read."""

    relation: str
    """What stands behind FROM."""
    found: Mapping[str, str]
    """Which of our columns there are, and as which text expression of the relation."""
    original: Path | None
    """The file whose lines a mistake is told by; None when it has none."""


class Source(Protocol):
    """What a side's rows come from."""

    name: str
    """For people: a file's name, `the gateway`."""
    profile: Profile

    def prepare(self, workspace: Workspace, side: str) -> Prepared:
        """Raises `InvalidRequest` when it cannot be read."""


class Rows:
    """Rows of this program: of the journal, or of a driver."""

    def __init__(self, name: str, rows: Iterable[Row], profile: Profile) -> None:
        """`profile` is the one of our own export."""
        self.name = name
        self.profile = profile
        self._rows = rows

    def prepare(self, workspace: Workspace, side: str) -> Prepared:
        """Write them into the workspace."""
        path = workspace.file(f"{side}.csv")
        with path.open("w", encoding="utf-8", newline="") as out:
            write_rows(out, self._rows)
        names = {name: f"c{index}" for index, name in enumerate(ROW_COLUMNS)}
        return Prepared(_csv(path, len(ROW_COLUMNS), ",", '"', header=True), names, None)


class File:
    """A file that somebody else wrote."""

    def __init__(self, path: Path, profile: Profile) -> None:
        self.name = path.name
        self.profile = profile
        self._path = path

    def prepare(self, workspace: Workspace, side: str) -> Prepared:
        """Look at its columns; write it anew where DuckDB cannot read it itself."""
        if not self._path.is_file():
            raise InvalidRequest(self.name, "there is no such file", "a file that can be read")
        if self._path.stat().st_size == 0:
            raise InvalidRequest(self.name, "the file is empty", "at least a line of headings")
        if self._is_parquet():
            return self._parquet(workspace, side)
        if self.profile.file.format == "json":
            return self._anew(workspace, side, self._objects)
        names = self._header()
        if _is_utf8(self.profile):
            link = workspace.link(self._path, f"{side}.csv")
            shape = self.profile.file
            found = {
                column: f"c{index}"
                for column, index in _places(self.profile, names, self.name).items()
            }
            relation = _csv(link, len(names), shape.delimiter, shape.quote, header=shape.header)
            return Prepared(relation, found, self._path)
        return self._anew(workspace, side, self._decoded)

    def _is_parquet(self) -> bool:
        with self._path.open("rb") as file:
            is_one = file.read(4) == b"PAR1"
        if self.profile.file.format == "parquet" and not is_one:
            raise InvalidRequest(self.name, "it is no Parquet file", "a file as its profile says")
        return is_one and self.profile.file.format in ("parquet", "csv")

    def _parquet(self, workspace: Workspace, side: str) -> Prepared:
        link = workspace.link(self._path, f"{side}.parquet")
        relation = f"read_parquet({quoted(str(link))})"
        names = workspace.columns_of(relation, self.name)
        found = {
            column: f"CAST({identifier(names[index])} AS VARCHAR)"
            for column, index in _places(self.profile, names, self.name).items()
        }
        return Prepared(relation, found, None)

    # --- text ---------------------------------------------------------------------------------

    def _text(self) -> TextIO:
        encoding = self.profile.file.encoding
        return self._path.open(
            encoding="utf-8-sig" if _is_utf8(self.profile) else encoding, newline=""
        )

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """The records of a CSV file behind its headings, each with the line on which it ends.
        Raises `InvalidRequest`."""
        shape = self.profile.file
        with self._text() as text:
            reader = csv.reader(
                text,
                delimiter=shape.delimiter,
                quotechar=shape.quote or None,
                quoting=csv.QUOTE_MINIMAL if shape.quote else csv.QUOTE_NONE,
                strict=True,
            )
            try:
                for number, record in enumerate(each for each in reader if each):
                    if number or not shape.header:
                        yield reader.line_num, record
            except UnicodeDecodeError as error:
                raise self._unreadable(reader.line_num + 1, error.encoding) from None
            except csv.Error as error:
                problem = f"line {reader.line_num}: {error}"
                raise InvalidRequest(self.name, problem, "CSV as its profile says") from None

    def _unreadable(self, line: int, encoding: str) -> InvalidRequest:
        return InvalidRequest(
            self.name,
            f"line {line} is not {encoding} text",
            "the encoding that the profile names under [file]",
        )

    def _header(self) -> list[str]:
        shape = self.profile.file
        try:
            with self._text() as text:
                line = text.readline(LONGEST_HEADER)
        except UnicodeDecodeError as error:
            raise self._unreadable(1, error.encoding) from None
        if "\0" in line:
            raise InvalidRequest(
                self.name, "it is no text of this encoding", "the encoding that it has"
            )
        names = next(
            csv.reader([line], delimiter=shape.delimiter, quotechar=shape.quote or None), []
        )
        if not names or len(names) > MOST_COLUMNS:
            raise InvalidRequest(
                self.name, "its first line has no headings", f"up to {MOST_COLUMNS} columns"
            )
        return [name.strip() for name in names]

    def _decoded(self) -> Iterator[tuple[Sequence[Any], Sequence[str]]]:
        names = self._header()
        for number, (line, record) in enumerate(self.records(), 1):
            if len(record) != len(names):
                raise InvalidRequest(
                    self.name,
                    f"row {number} (line {line}) has {len(record)} columns",
                    f"{len(names)} of them",
                )
            yield record, names

    def _objects(self) -> Iterator[tuple[Sequence[Any], Sequence[str]]]:
        """The values of each object in a JSON list, and their names."""
        for number, item in enumerate(self._list(), 1):
            if not isinstance(item, dict):
                raise InvalidRequest(self.name, f"row {number} is no object", "a list of objects")
            yield list(item.values()), list(item)

    def _list(self) -> list[Any]:
        if self._path.stat().st_size > LARGEST_JSON:
            raise InvalidRequest(
                self.name, "the JSON file is too large", f"up to {LARGEST_JSON >> 20} MB"
            )
        try:
            document = json.loads(self._path.read_bytes(), parse_float=Decimal)
        except (ValueError, RecursionError) as error:
            detail = str(error) if isinstance(error, json.JSONDecodeError) else "not JSON"
            raise InvalidRequest(self.name, f"it cannot be read: {detail}", "JSON") from None
        member = self.profile.file.list
        found = document.get(member) if member and isinstance(document, dict) else document
        if not isinstance(found, list):
            where = f"under {member!r}" if member else "in the file"
            raise InvalidRequest(self.name, f"there is no list {where}", "a list of objects")
        return found

    def _anew(
        self,
        workspace: Workspace,
        side: str,
        records: Any,  # Any: one of the two above
    ) -> Prepared:
        path = workspace.file(f"{side}.csv")
        wanted = [column for column in COLUMNS if column in self.profile.columns]
        seen: set[str] = set()
        with path.open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(wanted)
            for number, (values, names) in enumerate(records(), 1):
                row = dict(zip(names, values, strict=True))
                chosen = [_chosen(row, self.profile, column) for column in wanted]
                seen |= {column for column, value in zip(wanted, chosen, strict=True) if value}
                writer.writerow(
                    [
                        _as_text(value, self.name, number, column)
                        for column, value in zip(wanted, chosen, strict=True)
                    ]
                )
        places = {str(column): f"c{index}" for index, column in enumerate(wanted)}
        # A list without any object lacks nothing.
        found = {column: place for column, place in places.items() if column in seen} or places
        for column in ("amount", "at"):
            if column not in found:
                raise _missing(self.name, self.profile.names_of(column), column)
        original = None if self.profile.file.format == "json" else self._path
        return Prepared(_csv(path, len(wanted), ",", '"', header=True), found, original)


def cut(text: str) -> str:
    """The text of a file without card numbers. A till's own numbers stay as they are."""
    return pan.masked(text) if pan.is_in(text) else text


def write_rows(out: TextIO, rows: Iterable[Row]) -> int:
    """Write rows as our own export has them; how many there were."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(ROW_COLUMNS)
    count = 0
    for row in rows:
        writer.writerow(msgspec.structs.astuple(row))
        count += 1
    return count


def identifier(name: str) -> str:
    """A column's name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def _csv(path: Path, columns: int, delimiter: str, quote: str, *, header: bool) -> str:
    types = ", ".join(f"'c{index}': 'VARCHAR'" for index in range(columns))
    return (
        f"read_csv({quoted(str(path))}, auto_detect=false, header={str(header).lower()}, "
        f"delim={quoted(delimiter)}, quote={quoted(quote)}, escape={quoted(quote)}, "
        f"columns={{{types}}}, strict_mode=true, null_padding=false, encoding='utf-8')"
    )


def _places(profile: Profile, names: Sequence[str], source: str) -> dict[str, int]:
    """Where in the file each of our columns is. Raises `InvalidRequest` when one is missing."""
    places: dict[str, int] = {}
    for column in profile.columns:
        wanted = profile.names_of(column)
        found = [index for name in wanted if (index := _place(name, names)) is not None]
        if not found:
            raise _missing(source, wanted, column, names)
        places[column] = found[0]
    return places


def _place(name: Name, names: Sequence[str]) -> int | None:
    if isinstance(name, int):
        return name - 1 if name <= len(names) else None
    return names.index(name) if name in names else None


def _missing(
    source: str, wanted: Sequence[Name], column: str, names: Sequence[str] = ()
) -> InvalidRequest:
    called = " or ".join(repr(name) for name in wanted)
    there = ", ".join(cut(name)[:40] for name in names[:20])
    problem = f"there is no column {called}, which is to be {column}"
    return InvalidRequest(source, problem, f"one of its columns: {there}" if there else "")


def _is_utf8(profile: Profile) -> bool:
    return profile.file.encoding.lower().replace("_", "-") in ("utf-8", "utf8", "utf-8-sig")


def _chosen(row: Mapping[str, Any], profile: Profile, column: str) -> Any:
    names = profile.names_of(column)
    if names and isinstance(names[0], int):
        values = list(row.values())
        return values[names[0] - 1] if names[0] <= len(values) else None
    return next((row[str(name)] for name in names if row.get(str(name)) not in (None, "")), None)


def _as_text(value: Any, source: str, number: int, column: str) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case str():
            return cut(value)
        case int() | Decimal():
            return cut(str(value))
        case _:
            raise InvalidRequest(
                source, f"row {number}, {column}: it is a list or an object", "text or a number"
            )
