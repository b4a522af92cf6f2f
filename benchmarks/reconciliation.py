"""What a reconciliation takes: two files of the same sales, compared as `tillwire reconcile` does,
beside the bare full outer join of the same files in the same database, with the same memory.

The bare join reads the columns that the reconciliation compares, as text, and counts in how many
rows each differs. It checks no amount and no time, finds no duplicate, and names no difference.
Each runs in a process of its own, so that its memory is its own; they take turns.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.processes import said_by
from benchmarks.reconciliation_files import differences_of


class Reconciled(NamedTuple):
    """What it took."""

    rows: int
    """Of each side, about."""
    octets: int
    """Of both files."""
    seconds: float
    bare_seconds: float
    processor: float
    """Seconds of processor time."""
    bare_processor: float
    resident: int
    """Octets at most."""
    bare_resident: int
    differences: int

    @property
    def ratio(self) -> float:
        """Of the times."""
        return self.seconds / self.bare_seconds


def measure(directory: Path, *, rows: int, rounds: int, say: Callable[[str], None]) -> Reconciled:
    """Medians of so many rounds."""
    folder = directory / "reconciliation"
    folder.mkdir(parents=True, exist_ok=True)
    say(f"writing two files of {rows} sales")
    said_by("benchmarks.reconciliation_files", str(folder), str(rows))
    found: dict[str, list[dict[str, float]]] = {"bare": [], "reconcile": []}
    for number in range(rounds):
        for way, took in found.items():
            say(f"round {number + 1}: {way} over {rows} sales on each side")
            took.append(said_by("benchmarks.reconciliation_process", way, str(folder)))
    expected = differences_of(rows)
    differences = {int(each["differences"]) for each in found["reconcile"]}
    assert differences == {expected}, f"{differences} found, {expected} put in"

    def median(way: str, what: str) -> float:
        return statistics.median(each[what] for each in found[way])

    files = (folder / "gateway.csv", folder / "acquirer.csv")
    result = Reconciled(
        rows=rows,
        octets=sum(file.stat().st_size for file in files),
        seconds=median("reconcile", "seconds"),
        bare_seconds=median("bare", "seconds"),
        processor=median("reconcile", "processor"),
        bare_processor=median("bare", "processor"),
        resident=int(median("reconcile", "resident")),
        bare_resident=int(median("bare", "resident")),
        differences=expected,
    )
    for file in files:
        file.unlink()
    return result


def words(found: Reconciled) -> str:
    """It in a sentence."""
    return (
        f"Reconciliation of {found.rows:,} sales on each side "
        f"({found.octets / 1e9:.2f} GB of CSV): "
        f"{found.seconds:.1f} s, {found.ratio:.2f} times the bare full outer join "
        f"({found.bare_seconds:.1f} s; processor time {found.processor:.1f} s and "
        f"{found.bare_processor:.1f} s); at most {found.resident / 1e6:.0f} MB resident "
        f"({found.bare_resident / 1e6:.0f} MB); all {found.differences} differences found"
    )
