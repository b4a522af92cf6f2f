"""`make bench`: measures what the budget names, says what it does while it does it, and ends with
the share of the floor.

Numbers of different runs, or of different machines, are not comparable; ratios within one run are.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import open_sales, restart, sales
from benchmarks.processes import fsyncs_per_second
from tillwire.version import __version__

console = Console()
_begun = time.perf_counter()


def say(text: str) -> None:
    """One line of progress, with the time since the start."""
    console.print(f"[dim]{time.perf_counter() - _begun:6.1f} s[/dim]  {text}", highlight=False)


def main() -> None:
    """Run everything; `--full` for long rounds, `--data DIR` for a disk of one's choice."""
    parser = argparse.ArgumentParser(prog="benchmarks")
    parser.add_argument("--full", action="store_true", help="longer rounds, a larger journal")
    parser.add_argument("--data", type=Path, default=Path("build"), help="where to put the files")
    options = parser.parse_args()
    options.data.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="bench-", dir=options.data))
    try:
        _run(directory, options.data, full=options.full)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _run(directory: Path, out: Path, *, full: bool) -> None:
    rate = fsyncs_per_second(directory)
    say(f"{os.cpu_count()} cores, Python {platform.python_version()}, {rate:.0f} fsyncs/s")
    floor, gateway = sales.measure(
        directory, rounds=9 if full else 5, seconds=20 if full else 8, say=say
    )
    opened, resident, before = open_sales.measure(directory, sales=10_000, say=say)
    events = 3_000_000 if full else 1_000_000
    ready, found_open = restart.measure(directory, events=events, open_sales=1000, say=say)
    share = gateway.rate / floor.rate
    _show(floor, gateway)
    console.print(
        f"Own overhead of a sale, alone: p50 {gateway.alone_p50 - floor.alone_p50:.2f} ms"
    )
    console.print(
        f"{opened} open sales: {resident / 1e6:.0f} MB resident ({before / 1e6:.0f} MB before), "
        f"{(resident - before) / opened / 1000:.1f} kB a sale"
    )
    console.print(
        f"Restart with {events} events and {found_open} open sales: ready in {ready:.2f} s"
    )
    found = {
        "version": __version__,
        "fsyncs_per_second": rate,
        "floor": vars(floor),
        "gateway": vars(gateway),
        "open_sales": opened,
        "resident_bytes": resident,
        "restart_seconds": ready,
        "share_of_floor": share,
    }
    (out / "bench.json").write_text(json.dumps(found, indent=2) + "\n")
    print(f"The gateway sells at {share:.0%} of the floor.")


def _show(floor: sales.Sales, gateway: sales.Sales) -> None:
    table = Table(title="Sales through the MerchantAPI face to virtual terminals (medians)")
    for heading in ("", "floor", "gateway", "ratio"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, field in (
        (f"sales/s, {sales.LANES} lanes", "rate"),
        ("  requests per sale", "requests_per_sale"),
        ("  server CPU per sale, µs", "cpu_per_sale"),
        ("  p50, ms", "busy_p50"),
        ("  p99, ms", "busy_p99"),
        ("sales/s, one at a time", "alone_rate"),
        ("  p50, ms", "alone_p50"),
        ("  p99, ms", "alone_p99"),
    ):
        low, high = getattr(floor, field), getattr(gateway, field)
        digits = 0 if low > 50 else 2
        table.add_row(name, f"{low:.{digits}f}", f"{high:.{digits}f}", f"{high / low:.2f}")
    console.print(table)


if __name__ == "__main__":
    main()
