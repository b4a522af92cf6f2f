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
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks import (
    bridge,
    bridge_messages,
    ecr17,
    lanes,
    messages,
    open_sales,
    reconciliation,
    restart,
    sales,
)
from benchmarks.bridge_till import RECEIVED, STARTED
from benchmarks.processes import fsyncs_per_second
from tillwire.server.process import raise_open_files
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
    raise_open_files()
    rate = fsyncs_per_second(directory)
    say(f"{os.cpu_count()} cores, Python {platform.python_version()}, {rate:.0f} fsyncs/s")
    sold = sales.measure(directory, rounds=5 if full else 3, seconds=12 if full else 5, say=say)
    opened, resident, before = open_sales.measure(directory, sales=10_000, say=say)
    flying = bridge.measure(directory, payments=5000, say=say)
    italian = ecr17.measure(directory, rounds=20 if full else 8, seconds=1, say=say)
    idle = lanes.measure(directory, lanes=10_000, say=say)
    say("reading and writing the messages of nexo and Payment Bridge")
    timings = messages.measure()
    bridge_timings = bridge_messages.measure()
    events = 3_000_000 if full else 1_000_000
    ready, found_open = restart.measure(directory, events=events, open_sales=1000, say=say)
    compared = reconciliation.measure(
        directory, rows=10_000_000 if full else 1_000_000, rounds=3, say=say
    )
    floor, gateway = sold[sales.FLOOR], sold[sales.MERCHANTAPI]
    share = gateway.rate / floor.rate
    console.print(_sales_table(sold))
    console.print(_callbacks_table(sold[sales.BRIDGE]))
    console.print(_messages_table(timings))
    console.print(
        "Payment Bridge, µs each: "
        + ", ".join(f"{what} {time:.1f}" for what, time in bridge_timings.items())
    )
    for table in _ecr17_tables(italian):
        console.print(table)
    console.print(ecr17.words(italian))
    console.print(
        f"Own overhead of a sale, alone: p50 {gateway.alone_p50 - floor.alone_p50:.2f} ms"
    )
    console.print(
        f"{opened} open sales: {resident / 1e6:.0f} MB resident ({before / 1e6:.0f} MB before), "
        f"{(resident - before) / opened / 1000:.1f} kB a sale"
    )
    console.print(
        f"{flying.sent} payments in flight by cloud message: "
        f"{flying.resident / 1e6:.0f} MB resident ({flying.before / 1e6:.0f} MB before), "
        f"{flying.bytes_each / 1000:.1f} kB each; "
        f"{flying.approved} ended approved, all told within {flying.seconds:.1f} s of the first"
    )
    console.print(
        f"{idle.connected} idle lanes over TCP: {idle.silent / 1e6:.0f} MB resident "
        f"({idle.before / 1e6:.0f} MB before), {idle.bytes_per_lane / 1000:.1f} kB a lane; "
        f"{idle.logged_in / 1e6:.0f} MB when each has logged in"
    )
    console.print(
        f"Restart with {events} events and {found_open} open sales: ready in {ready:.2f} s"
    )
    console.print(reconciliation.words(compared), highlight=False)
    found = {
        "version": __version__,
        "fsyncs_per_second": rate,
        "floor": vars(floor),
        "gateway": vars(gateway),
        "nexo": {name: vars(each) for name, each in sold.items() if name in sales.NEXO},
        "messages": [vars(each) for each in timings],
        "paymentbridge": vars(sold[sales.BRIDGE]),
        "paymentbridge_messages": bridge_timings,
        "paymentbridge_in_flight": vars(flying),
        "ecr17": ecr17.told(italian),
        "open_sales": opened,
        "resident_bytes": resident,
        "idle_lanes": vars(idle),
        "restart_seconds": ready,
        "reconciliation": {**compared._asdict(), "ratio": compared.ratio},
        "share_of_floor": share,
    }
    (out / "bench.json").write_text(json.dumps(found, indent=2) + "\n")
    shares = ", ".join(
        f"{name.removeprefix('nexo ')} {sold[name].rate / gateway.rate:.0%}" for name in sales.NEXO
    )
    print(f"nexo, beside the MerchantAPI: {shares} of its sales.")
    print(f"The gateway sells at {share:.0%} of the floor.")


_ROWS: Final = (
    (f"sales/s, {sales.LANES} lanes", "rate", 0),
    ("  of the floor", "", 2),
    ("  messages per sale", "requests_per_sale", 2),
    ("  server CPU per sale, µs", "cpu_per_sale", 0),
    ("  p50, ms", "busy_p50", 1),
    ("  p99, ms", "busy_p99", 1),
    ("sales/s, one at a time", "alone_rate", 0),
    ("  p50, ms", "alone_p50", 2),
    ("  p99, ms", "alone_p99", 2),
)


def _sales_table(sold: Mapping[str, sales.Sales]) -> Table:
    table = Table(title="Sales to virtual terminals, by the face that they come through (medians)")
    table.add_column("")
    for name in sold:
        table.add_column(name, justify="right")
    for words, field, digits in _ROWS:
        values = [
            getattr(each, field) if field else each.rate / sold[sales.FLOOR].rate
            for each in sold.values()
        ]
        table.add_row(words, *(f"{value:.{digits}f}" for value in values))
    return table


def _callbacks_table(sold: sales.Sales) -> Table:
    """When an application hears of its payment, counted from its cloud message."""
    table = Table(title="Callbacks of Payment Bridge, ms after the cloud message")
    for heading in ("", "alone, p50", "p99", f"{sales.LANES} at once, p50", "p99"):
        table.add_column(heading, justify="left" if not heading else "right")
    for status in (RECEIVED, STARTED):
        times = (*sold.alone_steps[status], *sold.busy_steps[status])
        table.add_row(status, *(f"{time:.1f}" for time in times))
    last = (sold.alone_p50, sold.alone_p99, sold.busy_p50, sold.busy_p99)
    table.add_row("the last one", *(f"{time:.1f}" for time in last))
    return table


_MAIN: Final = ("login_req", "payment_req", "payment_resp", "reversal_req", "status_req")


def _messages_table(timings: list[messages.Timing]) -> Table:
    table = Table(title=f"Messages of nexo: {len(timings)} examples, µs each")
    for heading in ("", "octets", "decode", "encode", "plain JSON parse"):
        table.add_column(heading, justify="left" if not heading else "right")
    for each in timings:
        if each.name in _MAIN:
            table.add_row(
                each.name.replace("_", " "),
                str(each.octets),
                *(f"{value:.1f}" for value in (each.decode, each.encode, each.parse)),
            )
    times: tuple[Callable[[messages.Timing], float], ...] = (
        lambda each: each.decode,
        lambda each: each.encode,
        lambda each: each.parse,
    )
    medians = (f"{messages.median(timings, time):.1f}" for time in times)
    table.add_row("median of all", "", *medians)
    slowest = (messages.worst(timings, time) for time in times)
    worst = (
        f"{time(each):.1f} ({each.name.replace('_', ' ')})"
        for time, each in zip(times, slowest, strict=True)
    )
    table.add_row("slowest of all", "", *worst)
    return table


def _ecr17_tables(found: ecr17.Ecr17) -> tuple[Table, Table]:
    rates = Table(title="Exchanges of ECR17 with virtual terminals (medians)")
    codec = Table(title="Frames of ECR17, µs each")
    for table, headings, body in (
        (rates, ("", "s", "X"), ecr17.rows(found)),
        (codec, ("", "octets", "decode", "encode"), ecr17.message_rows(found)),
    ):
        for heading in headings:
            table.add_column(heading, justify="right" if heading else "left")
        for row in body:
            table.add_row(*row)
    return rates, codec


if __name__ == "__main__":
    main()
