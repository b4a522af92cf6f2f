"""Sides: the rows of a source, checked one by one and brought into one form.

Of each row only what decides is loaded (`load`): hashes of its keys, and its *facts* as one number,
so that ten million of them fit into memory. The texts of those rows that somebody has to look at
are read again (`fetch`). Everything is said in SQL over the source; a row that cannot be read stops
the import as a whole, with its number, its line, and what would be right.

No card number is kept (law 7): a text that may hold one is read apart, and cut before it is stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from tillwire import pan
from tillwire.errors import InvalidRequest
from tillwire.reconcile.facts import CHECKED, OUR_IDS, Window, allowed, typed
from tillwire.reconcile.picking import FEW, pick
from tillwire.reconcile.profiles import COLUMNS, TEXTS, Key
from tillwire.reconcile.sources import File, Prepared, Source, cut
from tillwire.reconcile.workspace import Workspace, quoted

MOST_MISTAKES: Final = 10
"""Mistakes of one file that are told."""

# Wider than what `pan` takes for an issuer's number: what may be one is looked at there.
_SUSPECT: Final = r"(?:[3-6]|2[ .\x{a0}-]{0,2}[2-7])(?:[ .\x{a0}-]{0,2}[0-9]){12}"
_SEPARATOR: Final = "chr(31)"
_PLACE: Final = "coalesce(nullif(terminal_, ''), tid_), store_"


class Side(NamedTuple):
    """One side of a comparison."""

    label: str
    """`gateway`, `till` or `acquirer`."""
    source: Source
    prepared: Prepared
    window: Window

    @property
    def columns(self) -> frozenset[str]:
        """Those of ours that it has."""
        return frozenset(self.prepared.found)


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


def keys_of(one: Side, other: Side) -> list[KeyOf]:
    """The keys that two sides have in common, strongest first."""
    shared = one.columns & other.columns
    place = next((name for name in ("tid", "terminal") if name in shared), "")
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
    empty = [
        column
        for column in ("tid", "terminal")
        if (text := prepared.found.get(column))
        and not _any(workspace, prepared.relation, f"trim({text}) <> ''", name)
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
    workspace: Workspace, side: Side, keys: Mapping[str, KeyOf], *, grouping: bool = False
) -> int:
    """Make the table of the side's label: for each row its facts, and the hash of its first key
    against each other side, `h_LABEL`; its `rowid` is the row's number in its source, from 0; and
    what it is counted by, if the side is the one of `grouping`. How many rows there are. Raises
    `InvalidRequest`."""
    hashes = ", ".join(f"h_{label}" for label in keys)
    grouped = f"inside, hash({_PLACE}) AS place, " if grouping else ""
    workspace.run(
        f"CREATE TABLE {side.label} AS SELECT bad, CAST(day AS INTEGER) AS day, facts, {grouped}"
        f"{hashes} FROM ({_typed(side, _read(side, keys))})",
        reading=side.source.name,
    )
    ((count, bad),) = workspace.run(f"SELECT count(*), count(*) FILTER (bad > 0) FROM {side.label}")
    if bad:
        raise _mistakes(workspace, side, bad)
    return int(count)


def fetch(workspace: Workspace, side: Side, records: int) -> None:
    """Make the table `rows_LABEL` with all columns of those of the side's `records` that the table
    `wanted_LABEL` names by their numbers `n`, in their order. To be called within
    `Workspace.in_order`, where several sides may be fetched at once. Raises `InvalidRequest`."""
    names = [name for name in TEXTS if name in side.columns and name not in OUR_IDS]
    chosen = _typed(side, _chosen(workspace, side, records))
    kept = ", ".join(
        name if name in OUR_IDS else f"CASE WHEN suspect THEN NULL ELSE {name} END AS {name}"
        for name in TEXTS
    )
    workspace.run(
        f"CREATE TABLE rows_{side.label} AS SELECT n, {kept}, kind AS type, word AS status, minor, "
        f"cur, ms, CAST(day AS INTEGER) AS day, inside, facts, class, direction, suspect "
        f"FROM (SELECT *, {_suspects(side, names)} AS suspect FROM ({chosen}))",
        reading=side.source.name,
    )
    _check(workspace, side)
    ((suspects,),) = workspace.run(f"SELECT count(*) FROM rows_{side.label} WHERE suspect")
    if suspects:
        _cut(workspace, side, names, chosen)
    digits = "regexp_replace(card_last4, '[^0-9]', '', 'g')"
    workspace.run(
        f"UPDATE rows_{side.label} SET card_last4 = right({digits}, 4) WHERE strlen(card_last4) > 4"
    )


def _chosen(workspace: Workspace, side: Side, records: int) -> str:
    """The rows that are wanted, as they are written: picked from the file where they are few and
    each is a line, else found by reading all of it again."""
    wanted = f"wanted_{side.label}"
    table = side.prepared.table
    ((count,),) = workspace.run(f"SELECT count(*) FROM {wanted}")
    if table is not None and count <= FEW:
        numbers = [n for (n,) in workspace.run(f"SELECT n FROM {wanted} ORDER BY n")]
        few = workspace.file(f"few_{side.label}.csv")
        if pick(table.path, few, numbers, records=records, header=table.header):
            read = _read(side, {}, relation=table.at(few))
            ranked = f"SELECT n, row_number() OVER (ORDER BY n) - 1 AS place FROM {wanted}"
            return f"SELECT w.n, r.* EXCLUDE (n) FROM ({read}) r JOIN ({ranked}) w ON w.place = r.n"
    return f"SELECT * FROM ({_read(side, {})}) WHERE n IN (SELECT n FROM {wanted})"


def _check(workspace: Workspace, side: Side) -> None:
    """Whether what was fetched is what was loaded."""
    ((same, wanted),) = workspace.run(
        f"SELECT (SELECT count(*) FROM wanted_{side.label} JOIN rows_{side.label} "
        f"USING (n, facts, day)), (SELECT count(*) FROM wanted_{side.label})"
    )
    if same != wanted:
        raise InvalidRequest(
            side.source.name, "it has changed while it was read", "a file that nobody writes into"
        )


def _cut(workspace: Workspace, side: Side, names: Sequence[str], chosen: str) -> None:
    found = workspace.run(
        f"SELECT n, {', '.join(names)} FROM ({chosen}) WHERE {_suspects(side, names)}",
        reading=side.source.name,
    )
    cuts = [(n, *(text and cut(text) for text in texts)) for n, *texts in found]
    workspace.insert(f"cuts_{side.label}", ["n", *names], cuts)
    changes = ", ".join(f"{name} = c.{name}" for name in names)
    workspace.run(
        f"UPDATE rows_{side.label} AS r SET {changes} FROM cuts_{side.label} AS c "
        "WHERE r.n = CAST(c.n AS BIGINT)"
    )


def _suspects(side: Side, names: Sequence[str]) -> str:
    """Whether one of these texts may hold a card number. A long pattern takes its time to be made
    ready: there is one for all of them."""
    there = [name for name in names if name.removesuffix("_") in side.columns]
    if not there:
        return "false"
    long = " OR ".join(f"strlen({name}) > 12" for name in there)
    text = f"concat_ws({_SEPARATOR}, {', '.join(there)})" if len(there) > 1 else there[0]
    return f"(({long}) AND regexp_matches({text}, {quoted(_SUSPECT)})) IS TRUE"


# --- from texts to facts --------------------------------------------------------------------


def _read(side: Side, keys: Mapping[str, KeyOf], *, relation: str = "") -> str:
    """The rows as they are written, each of our columns with `_` behind its name, and the hashes of
    their keys; or, without keys, their numbers `n` from 0. `relation` is the source's, unless it is
    given."""
    found = side.prepared.found
    raw = ", ".join(f"{found.get(name, 'NULL::VARCHAR')} AS {name}_" for name in COLUMNS)
    number = "" if keys else ", row_number() OVER () - 1 AS n"
    hashes = "".join(
        f", CASE WHEN NOT ({_suspects(side, [f'{name}_' for name in key.texts()])}) "
        f"AND {key.quick()} IS NOT NULL THEN hash({key.quick()}) END AS h_{label}"
        for label, key in keys.items()
    )  # what has no key has a hash, too, as DuckDB has it
    return f"SELECT *{hashes} FROM (SELECT {raw}{number} FROM {relation or side.prepared.relation})"


def _typed(side: Side, read: str) -> str:
    """These rows of the side with their facts."""
    return typed(side.source.name, side.source.profile, side.prepared.found, side.window, read)


# --- mistakes -------------------------------------------------------------------------------


def _mistakes(workspace: Workspace, side: Side, count: int) -> InvalidRequest:
    at = "concat_ws(' ', at_, time_)" if "time" in side.columns else "at_"
    raw = ", ".join(at if name == "at" else f"{name}_" for name in CHECKED)
    with workspace.in_order():
        first = workspace.run(
            f"SELECT n, bad, {raw} FROM ({_typed(side, _read(side, {}))}) "
            f"WHERE bad > 0 ORDER BY n LIMIT {MOST_MISTAKES}",
            reading=side.source.name,
        )
    lines = _lines(side, {n for n, *_ in first})
    told: list[str] = []
    explained: set[str] = set()
    for n, code, *texts in first:
        column, text = CHECKED[code - 1], texts[code - 1]
        shown = f"{pan.masked(text)[:40]!r} cannot be read" if text else "it is empty"
        where = f"row {n + 1}" + (f" (line {lines[n]})" if n in lines else "")
        right = f"; allowed: {allowed(side.source.profile, column)}"
        told.append(f"{where}, {column}: {shown}{'' if column in explained else right}")
        explained.add(column)
    more = f"; and {count - len(told)} more rows" if count > len(told) else ""
    return InvalidRequest(side.source.name, "; ".join(told) + more + ". Nothing was imported")


def _lines(side: Side, numbers: set[int]) -> dict[int, int]:
    """On which line of the file each of these rows ends."""
    if not isinstance(side.source, File) or side.prepared.original is None:
        return {}
    found: dict[int, int] = {}
    records: Iterator[tuple[int, Any]] = side.source.records()
    for n, (line, _) in enumerate(records):
        if n in numbers:
            found[n] = line
            if len(found) == len(numbers):
                break
    return found


def _padded(name: str) -> str:
    """A number as all write it: six digits at least."""
    return f"CASE WHEN strlen({name}) < 6 THEN lpad({name}, 6, '0') ELSE {name} END"
