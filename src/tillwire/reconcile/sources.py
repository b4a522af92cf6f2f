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
from functools import partial
from pathlib import Path
from typing import IO, Any, Final, Protocol, TextIO

import msgspec

from tillwire import pan
from tillwire.errors import InvalidRequest
from tillwire.reconcile.picking import LONGEST_LINE
from tillwire.reconcile.profiles import COLUMNS, TEXTS, Name, Profile
from tillwire.reconcile.workspace import Workspace, quoted, shown

LARGEST_JSON: Final = 64 << 20
"""Octets of a JSON file, which is read as a whole."""
MOST_COLUMNS: Final = 1000

AMOUNTS: Final = ("amount", "refund")
MOST_DIGITS: Final = 30
"""Of a JSON number that is written out: one of few characters may be of millions."""
_NO_HEADINGS: Final = "its first line has no headings, or too many"
_PACKED: Final = {
    b"PK\x03\x04": "a workbook or a ZIP archive",
    b"\xd0\xcf\x11\xe0": "an old workbook",
    b"\x1f\x8b": "compressed by gzip",
}

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
    table: Table | None = None
    """The CSV file that the relation reads, if it is one."""
    left_out: int = 0
    """Rows of the file that are no transactions, as its profile says."""


class Table(msgspec.Struct, frozen=True):
    """A CSV file as DuckDB reads it."""

    path: Path
    columns: int
    delimiter: str = ","
    quote: str = '"'
    header: bool = True

    def at(self, path: Path, *, numbered: bool = False) -> str:
        """The relation over this file, or over another one of the same shape, which may have the
        records' numbers `n` in front."""
        types = ", ".join(f"'c{index}': 'VARCHAR'" for index in range(self.columns))
        types = f"'n': 'BIGINT', {types}" if numbered else types
        return (
            f"read_csv({quoted(str(path))}, auto_detect=false, header={str(self.header).lower()}, "
            f"delim={quoted(self.delimiter)}, quote={quoted(self.quote)}, "
            f"escape={quoted(self.quote)}, columns={{{types}}}, strict_mode=true, "
            "null_padding=false, encoding='utf-8')"
        )

    def prepared(self, found: Mapping[str, str], original: Path | None) -> Prepared:
        """The source that it is."""
        return Prepared(self.at(self.path), found, original, self)


class Source(Protocol):
    """What a side's rows come from."""

    name: str
    """For people: a file's name, `the gateway`."""
    profile: Profile

    def prepare(self, workspace: Workspace, side: str) -> Prepared:
        """Raises `InvalidRequest` when it cannot be read."""


Sources = Mapping[str, Source | Sequence[Source]]
"""What each side's rows come from, by its label: a source, or several that are compared as one."""


class Rows:
    """Rows of this program: of the journal, or of a driver."""

    def __init__(self, name: str, rows: Iterable[Row], profile: Profile) -> None:
        """`profile` is the one of our own export."""
        self.name = name
        self.profile = profile
        self.rows = rows

    def prepare(self, workspace: Workspace, side: str) -> Prepared:
        """Write them into the workspace."""
        path = workspace.file(f"{side}.csv")
        with path.open("w", encoding="utf-8", newline="") as out:
            write_rows(out, self.rows)
        names = {name: f"c{index}" for index, name in enumerate(ROW_COLUMNS)}
        return Table(path, len(ROW_COLUMNS)).prepared(names, None)


class File:
    """A file that somebody else wrote."""

    def __init__(self, path: Path, profile: Profile) -> None:
        self.name = shown(path.name)
        self.profile = profile
        self.path = path
        self._left_out = 0

    def by_path(self) -> File:
        """The same one, called by its path, where another one of the run has its name."""
        file = File(self.path, self.profile)
        file.name = shown(str(self.path))
        return file

    def prepare(self, workspace: Workspace, side: str) -> Prepared:
        """Look at its columns; write it anew where DuckDB cannot read it itself."""
        prepared = self._prepared(workspace, side)
        constants = {name: quoted(text) for name, text in self.profile.constants().items()}
        found = {**prepared.found, **constants}
        if back := found.pop("refund", ""):
            found["amount"] = _signed(found["amount"], back)
        return msgspec.structs.replace(prepared, found=found, left_out=self._left_out)

    def _prepared(self, workspace: Workspace, side: str) -> Prepared:
        if self._is_parquet():
            return self._parquet(workspace, side)
        if self.profile.file.format == "json":
            return self._json(workspace, side)
        line, names = self._header()
        places = _places(self.profile, names, self.name)
        if _is_utf8(self.profile) and line == 1 and not self.profile.ignore:
            link = workspace.link(self.path, f"{side}.csv")
            shape = self.profile.file
            found = {column: f"c{index}" for column, index in places.items()}
            table = Table(link, len(names), shape.delimiter, shape.quote, shape.header)
            return table.prepared(found, self.path)
        records = ([record[index] for index in places.values()] for record in self._decoded(names))
        return self._anew(workspace, side, list(places), records, self.path)

    def _is_parquet(self) -> bool:
        try:
            if not self.path.is_file():
                there = self.path.exists()
                problem = "it is no regular file" if there else "there is no such file"
                raise InvalidRequest(self.name, problem, "a file that can be read")
            with self.path.open("rb") as file:
                first = file.read(4)
        except OSError as error:
            problem = f"it cannot be read: {error.strerror}"
            raise InvalidRequest(self.name, problem, "a file that can be read") from None
        if not first:
            raise InvalidRequest(self.name, "the file is empty", "at least a line of headings")
        is_one = first == b"PAR1"
        if self.profile.file.format == "parquet" and not is_one:
            raise InvalidRequest(self.name, "it is no Parquet file", "a file as its profile says")
        for octets, what in _PACKED.items():
            if first.startswith(octets):
                raise InvalidRequest(self.name, f"it is {what}", "CSV, Parquet or JSON, unpacked")
        return is_one and self.profile.file.format in ("parquet", "csv")

    def _parquet(self, workspace: Workspace, side: str) -> Prepared:
        link = workspace.link(self.path, f"{side}.parquet")
        relation = f"read_parquet({quoted(str(link))})"
        columns = workspace.columns_of(relation, self.name)
        if self.profile.ignore:
            relation = self._left(workspace, relation, [name for name, _ in columns])
        found = {
            column: self._written(column, *columns[index])
            for column, index in _places(
                self.profile, [name for name, _ in columns], self.name
            ).items()
        }
        return Prepared(relation, found, None)

    def _left(self, workspace: Workspace, relation: str, names: Sequence[str]) -> str:
        """The relation without the rows that are no transactions."""
        ignored = " OR ".join(
            f"starts_with({text}, {quoted(word[:-1])})"
            if word.endswith("*")
            else f"{text} = {quoted(word)}"
            for place, words in self._ignored(names)
            for text in (f"trim(coalesce(CAST({identifier(names[place])} AS VARCHAR), ''))",)
            for word in words
        )
        ((self._left_out,),) = workspace.run(
            f"SELECT count(*) FILTER ({ignored}) FROM {relation}", reading=self.name
        )
        return f"(SELECT * FROM {relation} WHERE NOT ({ignored}))"

    def _ignored(self, names: Sequence[str]) -> list[tuple[int, list[str]]]:
        """Where it is looked which rows are no transactions, and for which words. Raises
        `InvalidRequest` when there is no such column."""
        found = []
        for name, words in self.profile.ignore.items():
            its = [int(name) - 1] if not self.profile.file.header else _place(name, names)
            if len(its) != 1:
                problem = f"there is no one column {name!r}, by which rows are ignored"
                raise InvalidRequest(self.name, problem, "one of its columns")
            found.append((its[0], [word.strip() for word in words]))
        return found

    def _written(self, column: str, name: str, kind: str) -> str:
        """A typed column as the profile would have it written."""
        if kind.startswith(("STRUCT", "MAP", "UNION")) or kind.endswith("]"):
            problem = f"column {cut(name)[:40]!r} holds lists or objects"
            raise InvalidRequest(self.name, problem, "text, numbers or times")
        text = f"CAST({identifier(name)} AS VARCHAR)"
        is_amount = column in AMOUNTS and kind.startswith("DECIMAL")
        if not (is_amount or kind in ("DOUBLE", "FLOAT")):
            return text
        plain = f"contains({text}, '.') AND NOT contains({text}, 'e')"
        text = f"CASE WHEN {plain} THEN rtrim(rtrim({text}, '0'), '.') ELSE {text} END"
        mark = self.profile.amount.decimal
        return f"replace({text}, '.', '{mark}')" if column in AMOUNTS else text

    # --- text ---------------------------------------------------------------------------------

    def _text(self, *, errors: str = "strict") -> TextIO:
        encoding = "utf-8-sig" if _is_utf8(self.profile) else self.profile.file.encoding
        return self.path.open(encoding=encoding, errors=errors, newline="")

    def _first_undecoded(self) -> int:
        """The first line that is no text. What is read of a file is decoded by the block: the line
        that comes next may be a good one."""
        with self._text(errors="replace") as text:
            lines = iter(partial(text.readline, LONGEST_LINE), "")
            return next((n for n, line in enumerate(lines, 1) if "\ufffd" in line), 1)

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """The records of a CSV file behind its headings that are transactions, each with the line
        on which it ends. Raises `InvalidRequest`."""
        records = self._all_records()
        names: list[str] = []
        if self.profile.file.header:
            _, names = next(records, (0, names))
        ignored = self._ignored([name.strip() for name in names])
        self._left_out = 0
        for line, record in records:
            if any(
                place < len(record) and _is_one(record[place], words) for place, words in ignored
            ):
                self._left_out += 1
            else:
                yield line, record

    def _all_records(self) -> Iterator[tuple[int, list[str]]]:
        shape = self.profile.file
        with self._text() as text:
            reader = csv.reader(
                self._lines(text),
                delimiter=shape.delimiter,
                quotechar=shape.quote or None,
                quoting=csv.QUOTE_MINIMAL if shape.quote else csv.QUOTE_NONE,
                strict=True,
            )
            try:
                for record in reader:
                    if record:
                        yield shape.above + reader.line_num, record
            except UnicodeError:
                raise InvalidRequest(
                    self.name,
                    f"line {self._first_undecoded()} is not {shape.encoding} text",
                    "the encoding that the profile names under [file]",
                ) from None
            except csv.Error as error:
                problem = f"line {shape.above + reader.line_num}: {error}"
                raise InvalidRequest(self.name, problem, "CSV as its profile says") from None

    def _lines(self, text: TextIO) -> Iterator[str]:
        number = 0
        while line := text.readline(LONGEST_LINE):
            number += 1
            if len(line) == LONGEST_LINE:
                raise InvalidRequest(
                    self.name, f"line {number}: it is too long", "lines of up to 2 MB"
                )
            if number > self.profile.file.above:
                # Encodings that name their order of octets leave the mark where it is.
                yield line.removeprefix("\ufeff") if number == 1 else line

    def _header(self) -> tuple[int, list[str]]:
        """The columns' names, and on which line they end."""
        line, names = next(self._all_records(), (0, []))
        if any("\0" in name for name in names):
            raise InvalidRequest(
                self.name, "it is no text of this encoding", "the encoding that it has"
            )
        if not names or len(names) > MOST_COLUMNS:
            raise InvalidRequest(self.name, _NO_HEADINGS, f"a line of up to {MOST_COLUMNS} columns")
        return line, [name.strip() for name in names]

    def _decoded(self, names: Sequence[str]) -> Iterator[Sequence[str]]:
        for number, (line, record) in enumerate(self.records(), 1):
            if len(record) != len(names):
                raise InvalidRequest(
                    self.name,
                    f"row {number} (line {line}) has {len(record)} columns",
                    f"{len(names)} of them",
                )
            yield record

    # --- JSON ---------------------------------------------------------------------------------

    def _json(self, workspace: Workspace, side: str) -> Prepared:
        items = list(self._transactions())
        rows = {
            column: [_chosen(item, self.profile, column) for item in items]
            for column in COLUMNS
            if column in self.profile.columns
        }
        for column, values in rows.items():
            # What a text says may be unknown of all; what decides may not be guessed for all.
            guessed = column in (*TEXTS, "refund") or (
                column == "currency" and self.profile.currency
            )
            if items and not guessed and all(value is None for value in values):
                raise _missing(self.name, self.profile.names_of(column), column)
        # A list without any object lacks nothing.
        there = [
            column
            for column, values in rows.items()
            if not items or any(value is not None for value in values)
        ]
        return self._anew(
            workspace, side, there, zip(*(rows[column] for column in there), strict=True), None
        )

    def _transactions(self) -> Iterator[dict[str, Any]]:
        """Those objects that are."""
        ignored = {
            name: [word.strip() for word in words] for name, words in self.profile.ignore.items()
        }
        self._left_out = 0
        for item in self._objects():
            if any(_is_one(_plain(item.get(name)), words) for name, words in ignored.items()):
                self._left_out += 1
            else:
                yield item

    def _objects(self) -> list[dict[str, Any]]:
        """The objects of a JSON list."""
        items = self._list()
        for number, item in enumerate(items, 1):
            if not isinstance(item, dict):
                raise InvalidRequest(self.name, f"row {number} is no object", "a list of objects")
        return items

    def _list(self) -> list[Any]:
        if self.path.stat().st_size > LARGEST_JSON:
            raise InvalidRequest(
                self.name, "the JSON file is too large", f"up to {LARGEST_JSON >> 20} MB"
            )
        try:
            document = json.loads(self.path.read_bytes(), parse_float=Decimal, parse_constant=str)
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
        columns: Sequence[str],
        rows: Iterable[Sequence[Any]],
        original: Path | None,
    ) -> Prepared:
        path = workspace.file(f"{side}.csv")
        with path.open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(columns)
            for number, values in enumerate(rows, 1):
                writer.writerow(
                    [
                        self._as_text(value, number, column)
                        for column, value in zip(columns, values, strict=True)
                    ]
                )
        found = {column: f"c{index}" for index, column in enumerate(columns)}
        return Table(path, len(columns)).prepared(found, original)

    def _as_text(self, value: Any, number: int, column: str) -> str:
        match value:
            case None:
                return ""
            case bool():
                return str(value).lower()
            case str() if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
                problem = f"row {number}, {column}: it has half a character"
                raise InvalidRequest(self.name, problem, "text of whole ones")
            case str():
                return cut(value)
            case Decimal() if column in AMOUNTS and abs(value.adjusted()) < MOST_DIGITS:
                plain = f"{value:f}"
                plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
                return cut(plain.replace(".", self.profile.amount.decimal))
            case int() | Decimal():
                return cut(str(value))
            case _:
                raise InvalidRequest(
                    self.name,
                    f"row {number}, {column}: it is a list or an object",
                    "text or a number",
                )


def cut(text: str) -> str:
    """The text of a file without card numbers. A till's own numbers stay as they are."""
    return pan.masked(text) if pan.is_in(text) else text


def write_rows(out: IO[str], rows: Iterable[Row]) -> int:
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


def _places(profile: Profile, names: Sequence[str], source: str) -> dict[str, int]:
    """Where in the file each of our columns is. Raises `InvalidRequest` when one is missing."""
    places: dict[str, int] = {}
    for column in profile.columns:
        wanted = profile.names_of(column)
        found = next((each for name in wanted if (each := _place(name, names))), [])
        if not found:
            raise _missing(source, wanted, column, names)
        if len(found) > 1:
            problem = f"there are {len(found)} columns {cut(names[found[0]])[:40]!r}"
            raise InvalidRequest(source, problem, f"one of them, which is to be {column}")
        places[column] = found[0]
    return places


def _place(name: Name, names: Sequence[str]) -> Sequence[int]:
    if isinstance(name, int):
        return [name - 1] if name <= len(names) else []
    return [index for index, each in enumerate(names) if each == name]


def _missing(
    source: str, wanted: Sequence[Name], column: str, names: Sequence[str] = ()
) -> InvalidRequest:
    called = " or ".join(repr(name) for name in wanted)
    there = ", ".join(cut(name)[:40] for name in names[:20])
    problem = f"there is no column {called}, which is to be {column}"
    return InvalidRequest(source, problem, f"one of its columns: {there}" if there else "")


def _signed(amount: str, back: str) -> str:
    """The amount where two columns have it: below zero if it is in the one for refunds. What is in
    both is none."""
    nothing = [f"regexp_full_match(coalesce({text}, ''), '[ 0.,]*')" for text in (amount, back)]
    return (
        f"CASE WHEN {nothing[1]} THEN {amount} WHEN {nothing[0]} THEN '-' || trim({back}) "
        f"ELSE {amount} || ' and ' || {back} END"
    )


def _is_one(text: str, words: Sequence[str]) -> bool:
    """Whether it is one of these words, or begins as one that ends in `*`."""
    text = text.strip(" ")
    return any(text.startswith(word[:-1]) if word.endswith("*") else text == word for word in words)


def _plain(value: object) -> str:
    """A value of JSON as a text to be looked at."""
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _is_utf8(profile: Profile) -> bool:
    return profile.file.encoding.lower().replace("_", "-") in ("utf-8", "utf8", "utf-8-sig")


def _chosen(item: Mapping[str, Any], profile: Profile, column: str) -> Any:
    """What an object has of one of our columns; None when it has nothing."""
    names = map(str, profile.names_of(column))
    return next((item[name] for name in names if item.get(name) not in (None, "")), None)
