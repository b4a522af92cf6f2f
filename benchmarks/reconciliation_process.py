"""One way to compare two files, in a process of its own: says in JSON what it took.

python -m benchmarks.reconciliation_process bare|reconcile FOLDER
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Final

import duckdb

from tillwire.clock import Instant
from tillwire.reconcile import profiles
from tillwire.reconcile.facts import Window
from tillwire.reconcile.match import ACQUIRER, GATEWAY
from tillwire.reconcile.run import reconcile
from tillwire.reconcile.sources import ROW_COLUMNS, File
from tillwire.reconcile.workspace import MEMORY, THREADS

_COMPARED: Final = ("type", "status", "amount", "currency", "at", "terminal", "store")


def _bare(folder: Path) -> int:
    database = duckdb.connect(
        config={
            "memory_limit": f"{MEMORY}MB",
            "threads": str(THREADS),
            "temp_directory": str(folder / "spill"),
        }
    )
    types = ", ".join(f"'{name}': 'VARCHAR'" for name in ROW_COLUMNS)
    files = {
        name: f"read_csv('{folder / name}.csv', auto_detect=false, header=true, delim=',', "
        f"quote='\"', escape='\"', columns={{{types}}})"
        for name in (GATEWAY, ACQUIRER)
    }
    differ = ", ".join(f'g."{name}" IS DISTINCT FROM a."{name}"' for name in _COMPARED)
    found = database.execute(
        f"SELECT {differ}, count(*) FROM {files[GATEWAY]} g FULL JOIN {files[ACQUIRER]} a "
        "ON g.transaction_id = a.transaction_id GROUP BY ALL"
    ).fetchall()
    return len(found)


def _reconcile(folder: Path) -> int:
    own = profiles.load("tillwire")
    sides = {name: File(folder / f"{name}.csv", own) for name in (GATEWAY, ACQUIRER)}
    report = reconcile(sides, Window(Instant(0), Instant(1 << 42)), folder=folder)
    return len(report.differences)


def main() -> None:
    """Compare, and say what it took."""
    way, folder = sys.argv[1], Path(sys.argv[2])
    begun = time.perf_counter()
    differences = {"bare": _bare, "reconcile": _reconcile}[way](folder)
    seconds = time.perf_counter() - begun
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "seconds": seconds,
                "processor": used.ru_utime + used.ru_stime,
                "resident": used.ru_maxrss * 1024,
                "differences": differences,
            }
        )
    )


if __name__ == "__main__":
    main()
