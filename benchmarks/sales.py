"""Sales per second and the latency of a sale, beside the floor.

Each way to sell (the floor, the MerchantAPI, nexo in its bindings) takes its turn in every round
of one run, so that all see the same noise of the machine; what is compared is the median of the
rounds.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks.bridge_till import Access, BridgeLane
from benchmarks.nexo_till import FlatLane, HeldLane, TcpLane
from benchmarks.processes import Server, running
from benchmarks.till import Lane, Load, Till, percentile, sell_for

LANES = 32
PATIENCE = 0.8
"""The share of a sale's usual time that a busy till waits before it asks what became of it, so that
all that are asked are asked about equally often for each sale."""
_WARM_UP = 1.5

FLOOR = "floor"
MERCHANTAPI = "MerchantAPI"
NEXO_TCP = "nexo TCP"
NEXO_HELD = "nexo held"
NEXO_FLAT = "nexo flat"
BRIDGE = "Payment Bridge"
NEXO = (NEXO_TCP, NEXO_HELD, NEXO_FLAT)
"""nexo, in each of its bindings."""


@dataclass(frozen=True)
class Sales:
    """What was measured of one way to sell."""

    rate: float
    """Sales per second in 32 lanes, median of the rounds."""
    requests_per_sale: float
    """Messages that the till exchanged for one; over HTTP, its requests."""
    cpu_per_sale: float
    """Microseconds of the server's processor time."""
    busy_p50: float
    busy_p99: float
    alone_rate: float
    alone_p50: float
    """Milliseconds, one sale at a time."""
    alone_p99: float
    busy_steps: dict[str, tuple[float, float]]
    """What the till is told before the outcome -> p50 and p99, in milliseconds, of all rounds."""
    alone_steps: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Way:
    """One way to sell."""

    server: Server
    till: Callable[[str], Till]
    """The till at the terminal of this name."""


def _ways(floor: Server, gateway: Server) -> dict[str, Way]:
    lanes, port = int(gateway.said["lanes_port"]), gateway.shop.port
    access = Access.to(gateway.said)
    return {
        FLOOR: Way(floor, lambda terminal: Lane(floor.shop, terminal)),
        MERCHANTAPI: Way(gateway, lambda terminal: Lane(gateway.shop, terminal)),
        NEXO_TCP: Way(gateway, lambda terminal: TcpLane(lanes, terminal)),
        NEXO_HELD: Way(gateway, lambda terminal: HeldLane(port, terminal)),
        NEXO_FLAT: Way(gateway, lambda terminal: FlatLane(port, terminal)),
        BRIDGE: Way(gateway, lambda terminal: BridgeLane(access, terminal)),
    }


def _sell(way: Way, lanes: int, seconds: float, patience: float) -> tuple[Load, float]:
    terminals = way.server.shop.terminals[:lanes]
    assert len(terminals) == lanes, "a terminal for each lane"

    async def run() -> Load:
        return await sell_for([way.till(each) for each in terminals], seconds, patience)

    before = way.server.cpu()
    load = uvloop.run(run())
    return load, (way.server.cpu() - before) / load.sales * 1e6


def measure(
    directory: Path, *, rounds: int, seconds: float, say: Callable[[str], None]
) -> dict[str, Sales]:
    """What each way comes to, by its name. `say` is told what is being done."""
    with (
        running("benchmarks.floor_process", directory / "floor", LANES) as floor,
        running("benchmarks.gateway_process", directory / "gateway", LANES) as gateway,
    ):
        ways = _ways(floor, gateway)
        busy: dict[str, list[tuple[Load, float]]] = {name: [] for name in ways}
        alone: dict[str, list[Load]] = {name: [] for name in ways}
        for name, way in ways.items():
            say(f"{name}: warming up")
            _sell(way, LANES, _WARM_UP, PATIENCE)
        for number in range(1, rounds + 1):
            for name, way in ways.items():
                load, cpu = _sell(way, LANES, seconds, PATIENCE)
                busy[name].append((load, cpu))
                say(f"{name}: round {number} of {rounds}, {LANES} lanes: {load.rate:.0f} sales/s")
            for name, way in ways.items():
                load, _ = _sell(way, 1, seconds / 2, 0.0)
                alone[name].append(load)
                say(f"{name}: round {number} of {rounds}, alone: {load.percentile(0.5):.2f} ms")
    return {name: _summary(busy[name], alone[name]) for name in ways}


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
        busy_steps=_steps([load for load, _ in busy]),
        alone_steps=_steps(alone),
    )


def _steps(loads: list[Load]) -> dict[str, tuple[float, float]]:
    found: dict[str, list[float]] = {}
    for load in loads:
        for step, seconds in load.steps.items():
            found.setdefault(step, []).extend(seconds)
    return {step: (percentile(each, 0.5), percentile(each, 0.99)) for step, each in found.items()}
