"""Three books of the same shop, to be compared: rows that agree unless a test says otherwise."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from tillwire.clock import Instant
from tillwire.reconcile import profiles
from tillwire.reconcile.facts import Window
from tillwire.reconcile.match import ACQUIRER, GATEWAY, TILL
from tillwire.reconcile.results import Kind
from tillwire.reconcile.run import Report, Resolution, gateway_rows, reconcile
from tillwire.reconcile.sources import File, Row, Rows, Source

DAY = 1_773_446_400_000
"""2026-03-14, UTC."""
WINDOW = Window(Instant(DAY), Instant(DAY + 86_400_000))


def row(number: int = 1, **changes: str) -> Row:
    """A sale, told by its number."""
    seconds = 36_000 + number
    sale = Row(
        transaction_id=f"{DAY + seconds * 1000:013d}{number:018d}",
        reference=f"sale-{number}",
        acquirer_reference=f"rrn-{number}",
        terminal="ACME-P2-PL1",
        tid="30350001",
        store="Corner",
        status="APPROVED",
        amount="12.50",
        currency="EUR",
        at=f"2026-03-14T{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}Z",
        authorisation_code=f"{number:06d}",
        stan=f"{number:06d}",
        card_last4="4242",
    )
    return msgspec.structs.replace(sale, **changes)


def sides(
    gateway: Sequence[Row],
    till: Sequence[Row] | None = None,
    acquirer: Sequence[Row] | None = None,
) -> dict[str, Source]:
    """The sides that are there."""
    found: dict[str, Source] = {GATEWAY: gateway_rows(gateway)}
    for label, rows in ((TILL, till), (ACQUIRER, acquirer)):
        if rows is not None:
            found[label] = Rows(f"{label}.csv", rows, profiles.load("tillwire"))
    return found


def compared(
    gateway: Sequence[Row],
    till: Sequence[Row] | None = None,
    acquirer: Sequence[Row] | None = None,
    *,
    window: Window = WINDOW,
) -> Report:
    """What is found; nothing is resolved."""
    return reconcile(sides(gateway, till, acquirer), window)


def kinds(report: Report) -> dict[str, int]:
    """The results that there are, by their words."""
    return {kind.value: count for kind, count in report.kinds.items() if count}


def found(report: Report) -> list[tuple[Kind, ...]]:
    """The kinds of each difference."""
    return [each.kinds for each in report.differences]


def all_of(known: list[Resolution]) -> set[str]:
    """Resolves whatever can be."""
    return {each.transaction_id for each in known}


def profile(path: Path, text: str) -> profiles.Profile:
    """A profile as it is written in a file."""
    path.write_text(text, encoding="utf-8")
    return profiles.load(str(path))


SMALL = """
currency = "EUR"

[columns]
reference = "Ref"
amount = "Amount"
at = "Date"
"""
"""The profile of a till's small export."""


def small(folder: Path, octets: bytes, more: str = "") -> File:
    """A till's file with these octets."""
    path = folder / "till.csv"
    path.write_bytes(octets)
    return File(path, profile(folder / "till.toml", SMALL + more))


def with_file(gateway: Sequence[Row], file: Source, *, label: str = TILL) -> Report:
    """A file compared with the gateway."""
    return reconcile({GATEWAY: gateway_rows(gateway), label: file}, WINDOW)


def write(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    """A CSV file of these rows."""
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path
