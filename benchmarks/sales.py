"""Sales per second and the latency of a sale, beside the floor.

Rounds of floor and gateway take turns in one run, so that both see the same noise of the machine;
what is compared is the median of the rounds.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks.processes import Server, running
from benchmarks.till import Load, sell_for

LANES = 32
PATIENCE = 0.8
"""The share of a sale's usual time that a busy till waits before it reads the status, so that
floor and gateway are asked about equally often for each sale."""
_WARM_UP = 2.0


@dataclass(frozen=True)
class Sales:
    """What was measured of one server."""

    rate: float
    """Sales per second in 32 lanes, median of the rounds."""
    requests_per_sale: float
    cpu_per_sale: float
    """Microseconds of the server's processor time."""
    busy_p50: float
    busy_p99: float
    alone_rate: float
    alone_p50: float
    """Milliseconds, one sale at a time."""
    alone_p99: float


def _sell(server: Server, lanes: int, seconds: float, patience: float) -> tuple[Load, float]:
    async def run() -> Load:
        return await sell_for(server.shop, lanes, seconds, patience)

    before = server.cpu()
    load = uvloop.run(run())
    return load, (server.cpu() - before) / load.sales * 1e6


def measure(directory: Path, *, rounds: int, seconds: float, say) -> tuple[Sales, Sales]:  # type: ignore[no-untyped-def]
    """(floor, gateway). `say` is told what is being done."""
    with (
        running("benchmarks.floor_process", directory / "floor", LANES) as floor,
        running("benchmarks.gateway_process", directory / "gateway", LANES) as gateway,
    ):
        servers = {"floor": floor, "gateway": gateway}
        busy: dict[str, list[tuple[Load, float]]] = {name: [] for name in servers}
        alone: dict[str, list[Load]] = {name: [] for name in servers}
        for name, server in servers.items():
            say(f"{name}: warming up")
            _sell(server, LANES, _WARM_UP, PATIENCE)
        for number in range(1, rounds + 1):
            for name, server in servers.items():
                load, cpu = _sell(server, LANES, seconds, PATIENCE)
                busy[name].append((load, cpu))
                say(f"{name}: round {number} of {rounds}, {LANES} lanes: {load.rate:.0f} sales/s")
            for name, server in servers.items():
                load, _ = _sell(server, 1, seconds / 2, 0.0)
                alone[name].append(load)
                say(f"{name}: round {number} of {rounds}, alone: {load.percentile(0.5):.2f} ms")
    return tuple(_summary(busy[name], alone[name]) for name in servers)  # type: ignore[return-value]


def _summary(busy: list[tuple[Load, float]], alone: list[Load]) -> Sales:
    def median_of(values: list[float]) -> float:
        return statistics.median(values)

    return Sales(
        rate=median_of([load.rate for load, _ in busy]),
        requests_per_sale=median_of([load.requests / load.sales for load, _ in busy]),
        cpu_per_sale=median_of([cpu for _, cpu in busy]),
        busy_p50=median_of([load.percentile(0.5) for load, _ in busy]),
        busy_p99=median_of([load.percentile(0.99) for load, _ in busy]),
        alone_rate=median_of([load.rate for load in alone]),
        alone_p50=median_of([load.percentile(0.5) for load in alone]),
        alone_p99=median_of([load.percentile(0.99) for load in alone]),
    )
