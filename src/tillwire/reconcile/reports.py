"""What a reconciliation found, for people and programs: a page, tables for spreadsheets, JSON.

No text of a file steers what shows it: HTML is escaped, a cell of a CSV that a spreadsheet would
take for a formula, or for a number that it has no room for, begins with an apostrophe, and
characters that steer have a sign in their place.
"""

from __future__ import annotations

import csv
import io
import os
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import jinja2
import msgspec

from tillwire.clock import utc
from tillwire.money import Money
from tillwire.reconcile.findings import TOLD
from tillwire.reconcile.match import GATEWAY, LABELS
from tillwire.reconcile.profiles import TEXTS
from tillwire.reconcile.results import Group, Kind, Result, Seen
from tillwire.reconcile.run import Report

MOST_SHOWN: Final = 2000
"""Differences on the page; the CSV and the JSON have all."""
WORDS: Final = {
    Kind.MATCHED: "matched",
    Kind.MISSING_AT_TILL: "missing at the till",
    Kind.MISSING_AT_GATEWAY: "missing at the gateway",
    Kind.MISSING_AT_ACQUIRER: "missing at the acquirer",
    Kind.AMOUNT_DIFFERS: "amount differs",
    Kind.STATUS_DIFFERS: "status differs",
    Kind.DUPLICATE: "duplicate",
    Kind.OUTSIDE: "outside of what was asked for",
}
"""The kinds as people read them, in the order in which they are shown."""
NOT_SAID: Final = "(not said)"
"""In place of a store or terminal of rows that do not name theirs."""
_FORMULA: Final = (*"=+-@", *"\uff1d\uff0b\uff0d\uff20", "\t", "\r", "\n")
_DIGITS: Final = 15
"""Of a number that a spreadsheet keeps; of our ids it would show 1.79E+30."""
_LONGEST_WORD: Final = 100
_LONGEST_TEXT: Final = 1000
"""Characters that the page shows."""
_STEERING: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
"""Categories of Unicode that show nothing of their own, and may move what does."""
_FACTS: Final = ("type", "status", "amount", "currency", "at")


def write(report: Report, folder: Path) -> list[Path]:
    """Write `report.html`, `report.json`, `differences.csv` and `totals.csv`; their paths. Raises
    `OSError`."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        "report.html": html(report),
        "report.json": msgspec.json.format(msgspec.json.encode(view(report)), indent=2).decode(),
        # With its mark, without which Excel takes UTF-8 for something else.
        "differences.csv": "\ufeff" + _csv(_difference_rows(report)),
        "totals.csv": "\ufeff" + _csv(_total_rows(report)),
    }
    for name, text in contents.items():
        _put(folder / name, text)
    return [folder / name for name in contents]


def _put(path: Path, text: str) -> None:
    """Write a file of which nobody ever sees a half."""
    half = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        half.write_text(text, encoding="utf-8", newline="")
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)


# --- JSON -----------------------------------------------------------------------------------


def view(report: Report) -> dict[str, Any]:
    """The report for programs."""
    window = report.window
    return {
        "from": _rfc3339(window.begin),
        "to": _rfc3339(window.end),
        "time_zone": window.zone,
        "sources": report.sources,
        "files": report.files,
        "left_out": report.left_out,
        "kinds": {kind.value: report.kinds[kind] for kind in WORDS},
        "totals": [_group_view(each) for each in report.groups],
        "differences": [difference_view(each) for each in report.differences],
        "resolved": report.resolved,
        "resolvable": report.resolvable,
    }


def _group_view(group: Group) -> dict[str, Any]:
    return {
        "store": group.store,
        "terminal": group.terminal,
        "day": day_of(group.day).isoformat(),
        "currency": group.currency,
        "kinds": {kind.value: count for kind, count in sorted(group.kinds.items())},
        "rows": group.rows,
        "moved": {label: decimal(minor, group.currency) for label, minor in group.flow.items()},
    }


def difference_view(result: Result) -> dict[str, Any]:
    """A difference for programs."""
    return {
        "kind": result.kind.value,
        "kinds": [kind.value for kind in result.kinds],
        "repeats_row": result.twin.row if result.twin else None,
        "repeats_file": result.twin.source if result.twin else None,
        **{label: _seen_view(result.seen.get(label)) for label in LABELS},
    }


def _seen_view(row: Seen | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {
        "file": row.source,
        "row": row.row,
        "type": row.type.value,
        "status": row.status.value,
        "amount": row.amount.decimal(),
        "currency": row.amount.currency,
        "at": _rfc3339(row.at),
        **row.texts,
    }


def fact(row: Seen | None) -> str:
    """What one side has, as short as it can be told."""
    return f"{row.type.value} {row.amount} {row.status.value}" if row else "\N{EN DASH}"


def words(result: Result) -> str:
    """What a comparison came to, for people."""
    twin = ""
    if result.twin is not None:
        elsewhere = "" if result.twin.source == result.first.source else f" of {result.twin.source}"
        twin = f" of row {result.twin.row}{elsewhere}"
    return ", ".join(WORDS[kind] for kind in result.kinds) + twin


def asked_for(report: Report) -> list[Group]:
    """The groups that people look at: a month's file has many days beside the one."""
    return [each for each in report.groups if each.kinds.keys() - {Kind.OUTSIDE}]


def sums(report: Report) -> list[Group]:
    """The sums of these groups, one for each currency; of no store, terminal or day."""
    found: dict[str, Group] = {}
    for each in asked_for(report):
        total = found.setdefault(each.currency, Group("", "", 0, each.currency))
        for kind, count in each.kinds.items():
            total.add(kind, count, {}, {})
        total.add(Kind.MATCHED, 0, each.rows, each.flow)
    return [found[currency] for currency in sorted(found)]


# --- spreadsheets ---------------------------------------------------------------------------


def plain(text: str) -> str:
    """The text as a cell that a spreadsheet shows as it is."""
    is_long = text.isdecimal() and len(text) > _DIGITS
    return f"'{legible(text)}" if is_long or text.lstrip().startswith(_FORMULA) else legible(text)


def legible(text: str) -> str:
    """The text without characters that could steer what shows it."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(character) in _STEERING else character
        for character in text
    )


def _shortened(text: str) -> str:
    """As `legible`, and no more of it than a page has room for: the other files have all."""
    words = re.sub(rf"\S{{{_LONGEST_WORD + 1},}}", lambda word: word[0][:_LONGEST_WORD] + "…", text)
    return legible(words if len(words) <= _LONGEST_TEXT else words[:_LONGEST_TEXT] + "…")


def _csv(rows: Iterable[Sequence[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def _difference_rows(report: Report) -> Iterable[Sequence[str]]:
    columns = ("file", "row", *_FACTS, *TEXTS)
    labels = [label for label in LABELS if label in report.sources]
    yield ["kind", "kinds", *(f"{label}_{name}" for label in labels for name in columns)]
    for each in report.differences:
        cells = [each.kind.value, " ".join(each.kinds)]
        for label in labels:
            shown = _seen_view(each.seen.get(label)) or {}
            cells += [plain(str(shown.get(name, ""))) for name in columns]
        yield cells


def _total_rows(report: Report) -> Iterable[Sequence[str]]:
    labels = [label for label in LABELS if label in report.sources]
    yield [
        *("store", "terminal", "day", "currency"),
        *(f"{label}_{what}" for label in labels for what in ("rows", "moved")),
        *(kind.value for kind in WORDS),
    ]
    for group in report.groups:
        sides = [
            cell
            for label in labels
            for cell in (
                str(group.rows.get(label, 0)),
                decimal(group.flow.get(label, 0), group.currency),
            )
        ]
        yield [
            plain(group.store),
            plain(group.terminal),
            day_of(group.day).isoformat(),
            group.currency,
            *sides,
            *(str(group.kinds.get(kind, 0)) for kind in WORDS),
        ]


# --- the page -------------------------------------------------------------------------------


class _Side(msgspec.Struct, frozen=True):
    """What one side has of a difference: nothing, if `fact` is empty."""

    fact: str = ""
    names: str = ""
    """Where its row is, and what it has besides in its own way."""
    unlike: bool = True
    """Whether it is not what the first one has."""


class _Shown(msgspec.Struct, frozen=True):
    """A difference as the page has it."""

    words: str
    at: str
    name: str
    names: str
    sides: list[_Side]


def html(report: Report) -> str:
    """The page."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tillwire.reconcile", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    labels = [label for label in LABELS if label in report.sources]
    zone = report.window.zone
    return environment.get_template("report.html.j2").render(
        report=report,
        labels=labels,
        kinds=[(name, report.kinds[kind]) for kind, name in WORDS.items()],
        begin=moment(report.window.begin, zone),
        end=moment(report.window.end, zone),
        groups=[(each, day_of(each.day), *_cells(each, labels)) for each in asked_for(report)],
        sums=[(each, *_cells(each, labels)) for each in sums(report)],
        not_said=NOT_SAID,
        shown=[_shown(each, report.sources, zone) for each in report.differences[:MOST_SHOWN]],
        legible=_shortened,
        hidden=max(0, len(report.differences) - MOST_SHOWN),
    )


def _shown(result: Result, sources: Mapping[str, str], zone: str) -> _Shown:
    labels = [label for label in LABELS if label in sources]
    first = result.first
    at, named = moment(first.at, zone), _named(first)
    sides = []
    for label in labels:
        if (row := result.seen.get(label)) is None:
            sides.append(_Side())
            continue
        own = [] if label == GATEWAY else [_place(row, alone=row.source == sources[label])]
        own += [own_at] if (own_at := moment(row.at, zone)) != at else []
        own += [each for each in _named(row) if each not in named]
        sides.append(_Side(fact(row), ", ".join(own), fact(row) != fact(first)))
    return _Shown(words(result), at, result.name, ", ".join(named), sides)


def _place(row: Seen, *, alone: bool) -> str:
    """Where it stands; `alone` in its side's only file."""
    return f"row {row.row}" if alone else f"{row.source}, row {row.row}"


def _named(row: Seen) -> list[str]:
    return [f"{name} {row.texts[name]}" for name in TOLD if name in row.texts]


def _cells(group: Group, labels: Sequence[str]) -> tuple[list[tuple[int, str]], int]:
    return [_side(group, label) for label in labels], _unlike(group)


def _side(group: Group, label: str) -> tuple[int, str]:
    return group.rows.get(label, 0), decimal(group.flow.get(label, 0), group.currency)


def _unlike(group: Group) -> int:
    """How many results of the group are differences."""
    return sum(
        count for kind, count in group.kinds.items() if kind not in (Kind.MATCHED, Kind.OUTSIDE)
    )


def day_of(number: int) -> date:
    """The day that is so many days after 1970-01-01."""
    return date(1970, 1, 1) + timedelta(days=number)


def decimal(minor: int, currency: str) -> str:
    """An amount in major units."""
    return Money(minor, currency).decimal()


def _rfc3339(moment: int) -> str:
    shown = utc(moment).isoformat(timespec="milliseconds")  # type: ignore[arg-type]
    return shown.replace("+00:00", "Z")


def moment(at: int, zone: str) -> str:
    """The time in a zone, to the second."""
    return f"{datetime.fromtimestamp(at / 1000, ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}"
