"""Sides: the rows of their sources, checked one by one and brought into one form.

Of each row only what decides is loaded (`load`): hashes of its keys, and its *facts* as one number,
so that ten million of them fit into memory. The texts of those rows that somebody has to look at
are read again (`fetch`). Everything is said in SQL over the source; a row that cannot be read stops
the import as a whole, with its number, its line, and what would be right.

No card number is kept (law 7): a text that may hold one is read apart, and cut before it is stored.
"""

from __future__ import annotations

import filecmp
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Final, NamedTuple

import msgspec

from tillwire import pan
from tillwire.errors import InvalidRequest
from tillwire.reconcile.facts import CHECKED, OUR_IDS, Window, allowed, typed
from tillwire.reconcile.picking import FEW, Lines, count_lines, pick
from tillwire.reconcile.profiles import COLUMNS, TEXTS, Key
from tillwire.reconcile.sources import File, Prepared, Source, cut
from tillwire.reconcile.workspace import Workspace, quoted

MOST_MISTAKES: Final = 10
"""Mistakes of one file that are told."""

# Wider than what `pan` takes for an issuer's number: what may be one is looked at there.
_SUSPECT: Final = r"(?:[3-6]|2[ .\x{a0}-]{0,2}[2-7])(?:[ .\x{a0}-]{0,2}[0-9]){12}"
_SEPARATOR: Final = "chr(31)"
_PLACES: Final = ("tid", "terminal", "")
"""By what it is known at which terminal a row is: what is named first, if both sources have it."""
_PLACE: Final = "coalesce(nullif(terminal_, ''), tid_), store_"


class Part(NamedTuple):
    """One source of a side, such as one of its files."""

    label: str
    """Nobody else's in the run."""
    source: Source
    prepared: Prepared
    window: Window

    @property
    def columns(self) -> frozenset[str]:
        """Those of ours that it has."""
        return frozenset(self.prepared.found)


class Side(NamedTuple):
    """One side of a comparison: all rows of its sources, as one."""

    label: str
    """`gateway`, `till` or `acquirer`."""
    parts: Sequence[Part]


class Origin(NamedTuple):
    """Where a row stands."""

    source: str
    row: int
    """From 1."""


class Numbers(NamedTuple):
    """How a side's rows are numbered: from 0, through all of its sources."""

    names: Sequence[str]
    ends: Sequence[int]
    """The first number behind each source's rows."""

    def begin(self, part: int) -> int:
        """The number of its first row."""
        return self.ends[part - 1] if part else 0

    def count(self, part: int) -> int:
        """How many rows it has."""
        return self.ends[part] - self.begin(part)

    def origin(self, n: int) -> Origin:
        """Where the row with this number stands."""
        part = bisect_right(self.ends, n)
        return Origin(self.names[part], n - self.begin(part) + 1)

    def within(self, parts: Iterable[int]) -> str:
        """The condition of rows that are of these sources."""
        chosen = {*parts}
        if len(chosen) == len(self.ends):
            return "true"
        ranges = [f"(n >= {self.begin(part)} AND n < {self.ends[part]})" for part in sorted(chosen)]
        return f"({' OR '.join(ranges)})"


class KeyOf(NamedTuple):
    """A key by which two sides' rows are compared."""

    key: Key
    place: str
    """The column that says at which terminal; empty where the sides have none in common."""

    def sql(self) -> str:
        """The key of a row with our columns; NULL when it has none."""
        place = f"lower({self.place})" if self.place else "''"
        match self.key:
            case Key.ID:
                return "transaction_id"
            case Key.REFERENCE:
                parts = ["reference", place, "CAST(direction AS VARCHAR)"]
            case Key.ACQUIRER_REFERENCE:
                parts = ["acquirer_reference", "CAST(direction AS VARCHAR)"]
            case Key.TRACE:
                parts = [place, _padded("stan"), _padded("authorisation_code")]
                parts += ["CAST(direction AS VARCHAR)"]
        return f" || {_SEPARATOR} || ".join(parts)

    def quick(self) -> str:
        """A text of a row as it was read, which is the same wherever the key is the same."""
        place = f"lower(trim({self.place}_))" if self.place else "''"
        match self.key:
            case Key.ID:
                return "CASE WHEN strlen(transaction_id_) = 31 THEN transaction_id_ END"
            case Key.REFERENCE:
                return f"nullif(trim(reference_), '') || {_SEPARATOR} || {place}"
            case Key.ACQUIRER_REFERENCE:
                return "nullif(trim(acquirer_reference_), '')"
            case Key.TRACE:
                parts = [f"nullif({place}, '')"]
                parts += [
                    _padded(f"nullif(trim({n}_), '')") for n in ("stan", "authorisation_code")
                ]
                return f" || {_SEPARATOR} || ".join(parts)

    def texts(self) -> list[str]:
        """The columns that it is made of."""
        match self.key:
            case Key.ID:
                return []
            case Key.REFERENCE:
                return ["reference", *([self.place] if self.place else [])]
            case Key.ACQUIRER_REFERENCE:
                return ["acquirer_reference"]
            case Key.TRACE:
                return [self.place, "stan", "authorisation_code"]


class Shared(NamedTuple):
    """A key, and the sources of two sides that have it in common."""

    by: KeyOf
    ones: frozenset[int]
    others: frozenset[int]


def keys_of(one: Side, other: Side) -> list[Shared]:
    """The keys that sources of two sides have in common, strongest first. Their order is not that
    in which the sources were named."""
    found: dict[KeyOf, dict[int, set[int]]] = {}
    for a, first in enumerate(one.parts):
        for b, second in enumerate(other.parts):
            for key in _keys_of(first, second):
                found.setdefault(key, {}).setdefault(a, set()).add(b)
    shared: list[Shared] = []
    for key in sorted(found, key=_rank):
        alike: dict[frozenset[int], set[int]] = {}
        for a, others in found[key].items():
            alike.setdefault(frozenset(others), set()).add(a)
        groups = [Shared(key, frozenset(ones), others) for others, ones in alike.items()]
        shared += sorted(groups, key=lambda each: sorted(map(_shape, _of(one, each.ones))))
    return shared


def _rank(key: KeyOf) -> tuple[int, int]:
    return list(Key).index(key.key), _PLACES.index(key.place)


def _of(side: Side, parts: Iterable[int]) -> list[Part]:
    return [side.parts[part] for part in parts]


def _shape(part: Part) -> list[str]:
    return sorted((*part.columns, *part.source.profile.keys))


def _keys_of(one: Part, other: Part) -> list[KeyOf]:
    shared = one.columns & other.columns
    place = next(name for name in _PLACES if name in shared or not name)
    needed = {
        Key.ID: {"transaction_id"},
        Key.REFERENCE: {"reference"},
        Key.ACQUIRER_REFERENCE: {"acquirer_reference"},
        Key.TRACE: {"stan", "authorisation_code", place or "tid"},
    }
    usable = [set(each.source.profile.keys) for each in (one, other)]
    return [
        KeyOf(key, place)
        for key in Key
        if needed[key] <= shared and all(key in each for each in usable)
    ]


def telling(workspace: Workspace, prepared: Prepared, name: str) -> Prepared:
    """The source without a column for terminals in which there is nothing: by it no row would be
    at the terminal of any other. `name` is the source's. Raises `InvalidRequest`."""
    filled = {
        column: f"trim({prepared.found[column]}) <> ''"
        for column in ("tid", "terminal")
        if column in prepared.found
    }
    if not filled or _any(workspace, prepared.relation, " AND ".join(filled.values()), name):
        return prepared  # a row has them all, as most have
    empty = [
        column
        for column, has in filled.items()
        if not _any(workspace, prepared.relation, has, name)
    ]
    if not empty or not _any(workspace, prepared.relation, "true", name):
        return prepared
    found = {column: text for column, text in prepared.found.items() if column not in empty}
    return msgspec.structs.replace(prepared, found=found)


def _any(workspace: Workspace, relation: str, condition: str, name: str) -> bool:
    sql = f"SELECT 1 FROM {relation} WHERE {condition} LIMIT 1"
    return bool(workspace.run(sql, reading=name))


# --- loading --------------------------------------------------------------------------------


def load(
    workspace: Workspace,
    side: Side,
    keys: Mapping[str, KeyOf],
    *,
    having: Collection[int] = (0,),
    grouping: bool = False,
) -> Numbers:
    """Make the table of the side's label: for each row its facts, and the hash of its first key
    against each other side, `h_LABEL`, if it is of a source that is among `having`; its `rowid` is
    the row's number; and what it is counted by, if the side is the one of `grouping`. Raises
    `InvalidRequest`."""
    hashes = ", ".join(f"h_{label}" for label in keys)
    grouped = f"inside, hash({_PLACE}) AS place, " if grouping else ""
    ends: list[int] = []
    for index, part in enumerate(side.parts):
        its = {label: key if index in having else None for label, key in keys.items()}
        workspace.run(
            f"{_into(side.label, index)} SELECT bad, CAST(day AS INTEGER) AS day, facts, {grouped}"
            f"{hashes} FROM ({_typed(part, _read(part, its))})",
            reading=part.source.name,
        )
        begin = ends[-1] if ends else 0
        new = f"FROM {side.label} WHERE rowid >= {begin}" if begin else f"FROM {side.label}"
        ((count, bad),) = workspace.run(f"SELECT count(*), count(*) FILTER (bad > 0) {new}")
        if bad:
            raise _mistakes(workspace, part, bad)
        ends.append(begin + int(count))
    numbers = Numbers([part.source.name for part in side.parts], ends)
    _refuse_copies(side, numbers)
    return numbers


def _into(table: str, index: int) -> str:
    """The first of several selections makes the table."""
    return f"INSERT INTO {table}" if index else f"CREATE TABLE {table} AS"


def _refuse_copies(side: Side, numbers: Numbers) -> None:
    """Refuse a file that is given twice: all that is in it would be there twice. Days without a
    sale are alike, and so may be those of two terminals that only their profiles name."""
    known: dict[tuple[object, ...], list[File]] = {}
    for index, part in enumerate(side.parts):
        file = part.source
        if not isinstance(file, File) or not numbers.count(index):
            continue
        alike = (file.path.stat().st_size, *file.profile.constants().items())
        for other in known.setdefault(alike, []):
            if filecmp.cmp(file.path, other.path, shallow=False):
                problem = f"it has the same content as {other.name}"
                raise InvalidRequest(file.name, problem, "each file once. Nothing was imported")
        known[alike].append(file)


def count(sides: Iterable[Side]) -> dict[str, Lines | None]:
    """The lines of those of the sides' sources that are CSV files, by their labels. Raises
    `InvalidRequest` when one is too long."""
    found: dict[str, Lines | None] = {}
    for part in (part for side in sides for part in side.parts):
        if part.prepared.table is None:
            continue
        lines = found[part.label] = count_lines(part.prepared.table.path)
        if lines is not None and lines.too_long:
            where = "a line" if lines.total is None else f"line {lines.too_long}"
            raise InvalidRequest(part.source.name, f"{where} is too long", "lines of up to 2 MB")
    return found


def fetch(
    workspace: Workspace, side: Side, numbers: Numbers, lines: Mapping[str, Lines | None]
) -> None:
    """Make the table `rows_LABEL` with all columns of those of the side's rows that the table
    `wanted_LABEL` names by their numbers `n`. `lines` are those of the sources, by their labels.
    Raises `InvalidRequest`."""
    for index, part in enumerate(side.parts):
        _fetch(workspace, side.label, index, part, numbers, lines.get(part.label))
    digits = "regexp_replace(card_last4, '[^0-9]', '', 'g')"
    workspace.run(
        f"UPDATE rows_{side.label} SET card_last4 = right({digits}, 4) WHERE strlen(card_last4) > 4"
    )


def _fetch(
    workspace: Workspace,
    label: str,
    index: int,
    part: Part,
    numbers: Numbers,
    lines: Lines | None,
) -> None:
    """Those of one source."""
    wanted = f"(SELECT * FROM wanted_{label} WHERE {numbers.within([index])})"
    ((count,),) = workspace.run(f"SELECT count(*) FROM {wanted}")
    if not count and index:
        return
    few = _picked(workspace, part, wanted, count, numbers, index, lines)
    read = f"SELECT * REPLACE (n + {numbers.begin(index)} AS n) FROM ({_read(part, {}, few)})"
    if not few:
        read = f"SELECT * FROM ({read}) WHERE n IN (SELECT n FROM {wanted})"
    names = [name for name in TEXTS if name in part.columns and name not in OUR_IDS]
    kept = ", ".join(
        name if name in OUR_IDS else f"CASE WHEN suspect THEN NULL ELSE {name} END AS {name}"
        for name in TEXTS
    )
    rows = f"(SELECT * FROM rows_{label} WHERE {numbers.within([index])})"
    with nullcontext() if few else workspace.in_order():
        workspace.run(
            f"{_into(f'rows_{label}', index)} SELECT n, {kept}, kind AS type, word AS status, "
            "minor, cur, ms, CAST(day AS INTEGER) AS day, inside, facts, class, direction, suspect "
            f"FROM (SELECT *, {_suspects(part, names)} AS suspect FROM ({_typed(part, read)}))",
            reading=part.source.name,
        )
        ((same, suspects),) = workspace.run(
            f"SELECT (SELECT count(*) FROM {wanted} JOIN {rows} USING (n, facts, day)), "
            f"(SELECT count(*) FROM {rows} WHERE suspect)"
        )
        if same != count:
            problem = "it has changed while it was read"
            raise InvalidRequest(part.source.name, problem, "a file that nobody writes into")
        if suspects:
            _cut(workspace, label, part, names, _typed(part, read))


def _picked(
    workspace: Workspace,
    part: Part,
    wanted: str,
    count: int,
    numbers: Numbers,
    index: int,
    lines: Lines | None,
) -> str:
    """The relation over a file of the `count` rows that are wanted, where they are few and each is
    a line; else nothing, and the whole source is read again."""
    table = part.prepared.table
    if table is None or lines is None or count > FEW:
        return ""
    begin = numbers.begin(index)
    found = [n for (n,) in workspace.run(f"SELECT n - {begin} AS n FROM {wanted} ORDER BY n")]
    few = workspace.file(f"few_{part.label}.csv")
    if pick(
        table.path,
        few,
        found,
        lines,
        records=numbers.count(index),
        header=table.header,
        delimiter=table.delimiter,
    ):
        return table.at(few, numbered=True)
    return ""


def _cut(workspace: Workspace, label: str, part: Part, names: Sequence[str], chosen: str) -> None:
    found = workspace.run(
        f"SELECT n, {', '.join(names)} FROM ({chosen}) WHERE {_suspects(part, names)}",
        reading=part.source.name,
    )
    cuts = [(n, *(text and cut(text) for text in texts)) for n, *texts in found]
    workspace.insert(f"cuts_{part.label}", ["n", *names], cuts)
    changes = ", ".join(f"{name} = c.{name}" for name in names)
    workspace.run(
        f"UPDATE rows_{label} AS r SET {changes} FROM cuts_{part.label} AS c "
        "WHERE r.n = CAST(c.n AS BIGINT)"
    )


def _suspects(part: Part, names: Sequence[str]) -> str:
    """Whether one of these texts may hold a card number. A long pattern takes its time to be made
    ready: there is one for all of them."""
    there = [name for name in names if name.removesuffix("_") in part.columns]
    if not there:
        return "false"
    long = " OR ".join(f"strlen({name}) > 12" for name in there)
    text = f"concat_ws({_SEPARATOR}, {', '.join(there)})" if len(there) > 1 else there[0]
    return f"(({long}) AND regexp_matches({text}, {quoted(_SUSPECT)})) IS TRUE"


# --- from texts to facts --------------------------------------------------------------------


def _read(part: Part, keys: Mapping[str, KeyOf | None], numbered: str = "") -> str:
    """The rows as they are written, each of our columns with `_` behind its name, and the hashes of
    their keys, of none where there is none; or, without keys, their numbers `n` from 0, by which
    those of the relation `numbered` are called already."""
    found = part.prepared.found
    raw = ", ".join(f"{found.get(name, 'NULL::VARCHAR')} AS {name}_" for name in COLUMNS)
    number = "" if keys else ", n" if numbered else ", row_number() OVER () - 1 AS n"
    hashes = "".join(
        f", CASE WHEN NOT ({_suspects(part, [f'{name}_' for name in key.texts()])}) "
        f"AND {key.quick()} IS NOT NULL THEN hash({key.quick()}) END AS h_{label}"
        if key
        else f", NULL::UBIGINT AS h_{label}"
        for label, key in keys.items()
    )  # what has no key has a hash, too, as DuckDB has it
    return f"SELECT *{hashes} FROM (SELECT {raw}{number} FROM {numbered or part.prepared.relation})"


def _typed(part: Part, read: str) -> str:
    """These rows of the source with their facts."""
    return typed(part.source.name, part.source.profile, part.prepared.found, part.window, read)


# --- mistakes -------------------------------------------------------------------------------


def _mistakes(workspace: Workspace, part: Part, count: int) -> InvalidRequest:
    at = "concat_ws(' ', at_, time_)" if "time" in part.columns else "at_"
    raw = ", ".join(at if name == "at" else f"{name}_" for name in CHECKED)
    with workspace.in_order():
        first = workspace.run(
            f"SELECT n, bad, {raw} FROM ({_typed(part, _read(part, {}))}) "
            f"WHERE bad > 0 ORDER BY n LIMIT {MOST_MISTAKES}",
            reading=part.source.name,
        )
    lines = _lines(part, {n for n, *_ in first})
    told: list[str] = []
    explained: set[str] = set()
    for n, code, *texts in first:
        column, text = CHECKED[code - 1], texts[code - 1]
        shown = f"{pan.masked(text)[:40]!r} cannot be read" if text else "it is empty"
        where = f"row {n + 1}" + (f" (line {lines[n]})" if n in lines else "")
        right = f"; allowed: {allowed(part.source.profile, column)}"
        told.append(f"{where}, {column}: {shown}{'' if column in explained else right}")
        explained.add(column)
    more = f"; and {count - len(told)} more rows" if count > len(told) else ""
    return InvalidRequest(part.source.name, "; ".join(told) + more + ". Nothing was imported")


def _lines(part: Part, numbers: set[int]) -> dict[int, int]:
    """On which line of the file each of these rows ends."""
    if not isinstance(part.source, File) or part.prepared.original is None:
        return {}
    found: dict[int, int] = {}
    records: Iterator[tuple[int, Any]] = part.source.records()
    for n, (line, _) in enumerate(records):
        if n in numbers:
            found[n] = line
            if len(found) == len(numbers):
                break
    return found


def _padded(name: str) -> str:
    """A number as all write it: six digits at least."""
    return f"CASE WHEN strlen({name}) < 6 THEN lpad({name}, 6, '0') ELSE {name} END"
