"""Results: what the comparison of each transaction comes to, and the sums.

What no side has moved any money with needs no counterpart: a declined sale may be missing anywhere.
A sale and its reversal may be missing together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec

from tillwire.clock import Instant
from tillwire.core.model import TransactionType
from tillwire.errors import InvalidRequest, TillwireError
from tillwire.money import Money
from tillwire.reconcile.facts import CURRENCY_CODES, HELD, MOVED, NOTHING, OPEN, REVERSED
from tillwire.reconcile.match import ACQUIRER, GATEWAY, LABELS, TILL
from tillwire.reconcile.profiles import TEXTS, Key, Status
from tillwire.reconcile.sides import Numbers, Origin
from tillwire.reconcile.workspace import Workspace

PAGE: Final = 10_000
"""Clusters that are looked at together."""

_STATUSES: Final = list(Status)
_TYPES: Final = list(TransactionType)
_WIDE: Final = (
    *TEXTS,
    "type",
    "status",
    "minor",
    "cur",
    "ms",
    "day",
    "inside",
    "class",
    "direction",
)


class Kind(StrEnum):
    """What a comparison comes to; the weightier first."""

    DUPLICATE = "duplicate"
    MISSING_AT_GATEWAY = "missing_at_gateway"
    MISSING_AT_ACQUIRER = "missing_at_acquirer"
    MISSING_AT_TILL = "missing_at_till"
    AMOUNT_DIFFERS = "amount_differs"
    STATUS_DIFFERS = "status_differs"
    MATCHED = "matched"
    OUTSIDE = "outside"
    """Of another time or terminal than was asked for."""


_MISSING: Final = {
    GATEWAY: Kind.MISSING_AT_GATEWAY,
    TILL: Kind.MISSING_AT_TILL,
    ACQUIRER: Kind.MISSING_AT_ACQUIRER,
}
_WEIGHTS: Final = {kind: weight for weight, kind in enumerate(Kind)}


class Seen(msgspec.Struct, frozen=True):
    """A row as one side has it."""

    row: int
    """Its number in its source, from 1."""
    type: TransactionType
    status: Status
    amount: Money
    at: Instant
    day: int
    """Days since 1970-01-01, in the zone of the run."""
    inside: bool
    meaning: int
    """Of the classes in `sides.py`."""
    back: bool
    """Whether money goes to the cardholder."""
    texts: Mapping[str, str]
    """The columns that it has of `profiles.TEXTS`."""
    source: str = ""
    """The name of its source: of a file, say."""

    @property
    def terminal(self) -> str:
        """What it calls its terminal."""
        return self.texts.get("terminal") or self.texts.get("tid", "")

    @property
    def flow(self) -> int:
        """Minor units that moved, to the shop or (negative) back."""
        moved = self.meaning == MOVED or (self.meaning == REVERSED and self.back)
        return (-self.amount.minor if self.back else self.amount.minor) if moved else 0


class Result(msgspec.Struct, frozen=True):
    """What became of one transaction, or of one row that stands alone."""

    kinds: tuple[Kind, ...]
    """The weightiest first; MATCHED, OUTSIDE and DUPLICATE stand alone."""
    seen: Mapping[str, Seen]
    """The rows, by the side's label."""
    twin: Origin | None = None
    """Of a duplicate: the row that it repeats."""
    key: Key | None = None
    """By what the acquirer's row was found to be the gateway's."""
    alone: bool = False
    """Whether neither side has another row under that key."""

    @property
    def kind(self) -> Kind:
        """The weightiest."""
        return self.kinds[0]

    @property
    def name(self) -> str:
        """What people look it up by: our id, or else a reference; empty when it has neither."""
        texts = self.first.texts
        named = (texts.get(name) for name in ("transaction_id", "reference", "acquirer_reference"))
        return next(filter(None, named), "")

    @property
    def first(self) -> Seen:
        """The row that it is told by: the gateway's, if there is one."""
        return next(self.seen[label] for label in LABELS if label in self.seen)


class Group(msgspec.Struct):
    """The sums of a store, terminal, day and currency."""

    store: str
    terminal: str
    day: int
    currency: str
    kinds: dict[Kind, int] = {}
    rows: dict[str, int] = {}
    """How many rows of each side."""
    flow: dict[str, int] = {}
    """Minor units that moved, refunds taken off, as each side has it; of what was asked for."""

    def add(self, kind: Kind, count: int, rows: Mapping[str, int], flow: Mapping[str, int]) -> None:
        """Count some more."""
        self.kinds[kind] = self.kinds.get(kind, 0) + count
        for label, number in rows.items():
            self.rows[label] = self.rows.get(label, 0) + number
        for label, minor in flow.items():
            self.flow[label] = self.flow.get(label, 0) + minor


class Totals:
    """The sums of all groups."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str, int, str], Group] = {}

    def group(self, store: str, terminal: str, day: int, currency: str) -> Group:
        """The one for these."""
        key = (store, terminal, day, currency)
        return self._groups.setdefault(key, Group(*key))

    def add(self, result: Result) -> None:
        """Count a result, and each row of it in its own currency."""
        first = result.first
        counts = result.kind is not Kind.OUTSIDE
        for label, row in result.seen.items():
            group = self.group(
                first.texts.get("store", ""), first.terminal, first.day, row.amount.currency
            )
            number = 1 if row is first else 0
            group.add(result.kind, number, {label: 1}, {label: row.flow if counts else 0})

    def groups(self) -> list[Group]:
        """All of them, in order."""
        return [self._groups[key] for key in sorted(self._groups)]

    def kinds(self) -> dict[Kind, int]:
        """How many results of each kind there are."""
        return {
            kind: sum(group.kinds.get(kind, 0) for group in self._groups.values()) for kind in Kind
        }


# --- reading them ---------------------------------------------------------------------------


def count_agreed(workspace: Workspace, others: Sequence[str], totals: Totals) -> None:
    """Count what agrees in all facts."""
    labels = (GATEWAY, *others)
    found = workspace.run(
        "SELECT place, any_value(terminal), any_value(tid), any_value(store) FROM joined "
        f"JOIN wanted_{GATEWAY} ON h = sampled JOIN rows_{GATEWAY} USING (n) "
        "WHERE agrees GROUP BY place"
    )
    names = {place: (store or "", name or tid or "") for place, name, tid, store in found}
    counted = ", ".join(f"count_{label}" for label in labels)
    for place, day, inside, kind, minor, *counts in workspace.run(
        f"SELECT place, day, inside, kind, minor, {counted} FROM joined WHERE agrees"
    ):
        store, terminal = names[place]
        group = totals.group(store, terminal, day, CURRENCY_CODES[kind // 10])
        meaning, back = divmod(kind % 10, 2)
        flow = (-int(minor) if back else int(minor)) if inside and meaning == MOVED else 0
        rows = {label: count for label, count in zip(labels, counts, strict=True) if count}
        result = Kind.MATCHED if inside else Kind.OUTSIDE
        group.add(result, rows[GATEWAY], rows, dict.fromkeys(rows, flow))


def results(
    workspace: Workspace,
    others: Sequence[str],
    numbers: Mapping[str, Numbers],
    *,
    condition: str = "true",
) -> Iterator[Result]:
    """The results of all clusters, in the order of their times. `numbers` say where each side's
    rows stand."""
    labels = (GATEWAY, *others)
    wide = ", ".join(f"{label}.n, " + ", ".join(f"{label}.{c}" for c in _WIDE) for label in labels)
    joins = " ".join(
        f"LEFT JOIN rows_{label} AS {label} ON {label}.n = c.{label}" for label in labels
    )
    kin = ", ".join(f"kin.{label}" for label in others)
    moment = "coalesce(" + ", ".join(f"{label}.ms" for label in labels) + ")"
    number = ", ".join(f"c.{label}" for label in labels)
    workspace.run(
        f"CREATE OR REPLACE TABLE ordered AS SELECT row_number() OVER (ORDER BY {moment}, "
        f"{number}) AS i, c.* FROM clusters c {joins} WHERE {condition}"
    )
    ((count,),) = workspace.run("SELECT count(*) FROM ordered")
    for begin in range(0, count, PAGE):
        for row in workspace.run(
            f"SELECT c.key, c.alone, c.twin, {kin}, {wide} FROM ordered c {joins} "
            f"LEFT JOIN kin ON kin.n = c.gateway WHERE c.i > {begin} AND c.i <= {begin + PAGE} "
            "ORDER BY c.i"
        ):
            yield _result(row, others, numbers)


def _result(row: Sequence[Any], others: Sequence[str], numbers: Mapping[str, Numbers]) -> Result:
    key, alone, twin, *rest = row
    kin = dict(zip(others, rest, strict=False))
    rest = rest[len(others) :]
    width = len(_WIDE) + 1
    seen = {
        label: _seen(rest[index * width : (index + 1) * width], numbers[label])
        for index, label in enumerate((GATEWAY, *others))
        if rest[index * width] is not None
    }
    (first, *_) = seen
    repeats = None if twin is None else numbers[first].origin(twin)
    found = Result((Kind.MATCHED,), seen, repeats, Key(key) if key else None, bool(alone))
    return msgspec.structs.replace(found, kinds=compare(found, others, kin))


def _seen(values: Sequence[Any], numbers: Numbers) -> Seen:
    source, row = numbers.origin(values[0])
    found = dict(zip(_WIDE, values[1:], strict=True))
    return Seen(
        row=row,
        type=_TYPES[found["type"]],
        status=_STATUSES[found["status"]],
        amount=Money(found["minor"], CURRENCY_CODES[found["cur"]]),
        at=Instant(found["ms"]),
        day=found["day"],
        inside=found["inside"],
        meaning=found["class"],
        back=bool(found["direction"]),
        texts={name: found[name] for name in TEXTS if found[name]},
        source=source,
    )


Kin = Mapping[str, bool | None]
"""Whether a side has what the gateway's row reverses, or is reversed by; None: nobody knows it."""


# --- comparing ------------------------------------------------------------------------------


def compare(result: Result, others: Sequence[str], kin: Kin) -> tuple[Kind, ...]:
    """What the rows of a result come to."""
    if result.twin is not None:
        return (Kind.DUPLICATE if result.first.inside else Kind.OUTSIDE,)
    ours = result.seen.get(GATEWAY)
    counts = ours.inside if ours else any(each.inside for each in result.seen.values())
    if not counts:
        return (Kind.OUTSIDE,)
    found = (
        _with_ours(ours, result.seen, others, kin) if ours else _without_ours(result.seen, others)
    )
    return tuple(sorted(found, key=_WEIGHTS.__getitem__)) or (Kind.MATCHED,)


def _with_ours(ours: Seen, seen: Mapping[str, Seen], others: Sequence[str], kin: Kin) -> set[Kind]:
    found = set()
    for label in others:
        if label in seen:
            found |= _differences(ours, seen[label], reversed_there=bool(kin.get(label)))
        elif _is_missed(ours, kin.get(label)):
            found.add(_MISSING[label])
    return found


def _without_ours(seen: Mapping[str, Seen], others: Sequence[str]) -> set[Kind]:
    if all(each.meaning == NOTHING for each in seen.values()):
        return set()
    found = {Kind.MISSING_AT_GATEWAY}
    if len(seen) == 2:
        found |= _differences(seen[TILL], seen[ACQUIRER], reversed_there=True)
    else:
        (only,) = seen.values()
        absent = [label for label in others if label not in seen]
        found |= {_MISSING[label] for label in absent if _is_missed(only, True)}
    return found


def _is_missed(row: Seen, kin: bool | None) -> bool:
    """Whether a side must have a row that it has not."""
    if row.meaning == REVERSED:
        return row.back if kin is None else kin
    return row.meaning not in (NOTHING, HELD)


def _differences(one: Seen, other: Seen, *, reversed_there: bool) -> set[Kind]:
    first, second = _standing(one), _standing(other)
    if first != second:
        # It stands reversed here, and there as paid, with the reversal in a row of its own.
        if not (first == REVERSED and second == MOVED and reversed_there):
            return {Kind.STATUS_DIFFERS}
    elif first in (NOTHING, OPEN):
        return set()
    if (one.amount, one.back) != (other.amount, other.back):
        return {Kind.AMOUNT_DIFFERS}
    return set()


def _standing(row: Seen) -> int:
    """The class of a row by itself: a reversal moves money back."""
    return MOVED if row.meaning == REVERSED and row.back else row.meaning


def too_many(most: int) -> TillwireError:
    """The error for more differences than can be anybody's work."""
    return InvalidRequest(
        "--most",
        f"there are more than {most} differences: these are hardly the same sales, or a profile is "
        "wrong. Nothing was written down",
        "more, up to 1000000",
    )
