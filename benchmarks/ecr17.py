"""Exchanges of ECR17 per second, on one lane and on many at once, and what one takes.

An exchange is a request, its ACK, its result and the till's ACK: `s`, which moves nothing, and `X`,
a sale with its two commits. The floor takes its turn in every round, so that both see the same
noise of the machine. Only a terminal whose cardholder takes his time shows a text, so that is
measured with sales that are still going on when the measuring ends.
`python -m benchmarks.ecr17` measures this alone, and prints the rows of docs/performance.md; with
`--json`, for programs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvloop

from benchmarks import ecr17_messages
from benchmarks.ecr17_messages import Timing
from benchmarks.ecr17_process import lane_name
from benchmarks.ecr17_till import Exchanges, Till, percentile
from benchmarks.processes import Server, fsyncs_per_second, running
from benchmarks.till import Lane, Load, sell_for

LANES: Final = 200
_WARM_UP: Final = 1.0
STATUS: Final = "s"
SALE: Final = "X"


@dataclass(frozen=True)
class Exchange:
    """What was measured of one kind of exchange: medians of the rounds, times in milliseconds."""

    lane_rate: float
    """Exchanges per second, one after the other on one lane."""
    alone_p50: float
    alone_p99: float
    ack_p50: float
    """From the request to its ACK, one after the other."""
    ack_p99: float
    lanes_rate: float
    """Exchanges per second on all lanes together."""
    lanes_p50: float
    lanes_p99: float
    cpu: float
    """Microseconds of the server's processor time for each, with all lanes at work."""


@dataclass(frozen=True)
class Ecr17:
    """What was measured."""

    lanes: int
    status: Exchange
    sale: Exchange
    prompt_p50: float
    """Milliseconds from a sale's request to the first text that the terminal shows, one at a
    time."""
    prompt_p99: float
    floor_p50: float
    """Milliseconds of the floor's sale, one at a time, in the same rounds."""
    floor_p99: float
    messages: list[Timing]

    @property
    def overhead_p50(self) -> float:
        """Milliseconds of a sale beyond the floor, one at a time."""
        return self.sale.alone_p50 - self.floor_p50

    @property
    def overhead_p99(self) -> float:
        """The same of the slowest in a hundred."""
        return self.sale.alone_p99 - self.floor_p99


@dataclass(frozen=True)
class _Round:
    alone: Exchanges
    together: Exchanges
    cpu: float


def measure(directory: Path, *, rounds: int, seconds: float, say: Callable[[str], None]) -> Ecr17:
    """Take `rounds` turns of `seconds` each; in many short ones, all see the same noise. `say` is
    told what is being done."""
    with (
        running("benchmarks.floor_process", directory / "ecr17-floor", 1) as floor,
        running("benchmarks.ecr17_process", directory / "ecr17", LANES) as gateway,
    ):
        measured: dict[str, list[_Round]] = {STATUS: [], SALE: []}
        floors: list[Load] = []
        say(f"ECR17: warming up {LANES} lanes")
        _run(gateway, LANES, SALE, _WARM_UP)
        for number in range(1, rounds + 1):
            floors.append(_floor(floor, seconds / 2))
            for kind, found in measured.items():
                alone, _ = _run(gateway, 1, kind, seconds / 2)
                together, cpu = _run(gateway, LANES, kind, seconds)
                found.append(_Round(alone, together, cpu))
                say(
                    f"ECR17: round {number} of {rounds}, {kind}: {alone.rate:.0f}/s on one lane, "
                    f"{together.rate:.0f}/s on {LANES}"
                )
        prompts = _prompts(gateway)
        say(f"ECR17: {len(prompts)} terminals have asked for a card")
    say("reading and writing the messages of ECR17")
    return Ecr17(
        LANES,
        _summary(measured[STATUS]),
        _summary(measured[SALE]),
        prompt_p50=percentile(prompts, 0.5),
        prompt_p99=percentile(prompts, 0.99),
        floor_p50=statistics.median(each.percentile(0.5) for each in floors),
        floor_p99=statistics.median(each.percentile(0.99) for each in floors),
        messages=ecr17_messages.measure(),
    )


def _floor(floor: Server, seconds: float) -> Load:
    async def run() -> Load:
        return await sell_for([Lane(floor.shop, floor.shop.terminals[0])], seconds, 0.0)

    return uvloop.run(run())


def _run(gateway: Server, lanes: int, kind: str, seconds: float) -> tuple[Exchanges, float]:
    ports = gateway.said["ports"]
    tills = [Till(ports[lane_name(number)]) for number in range(1, lanes + 1)]
    before = gateway.cpu()
    found = uvloop.run(_exchange(tills, kind, seconds))
    return found, (gateway.cpu() - before) / len(found.latencies) * 1e6


async def _exchange(tills: list[Till], kind: str, seconds: float) -> Exchanges:
    """All tills at once, each one exchange after the other."""
    found = Exchanges()
    for till in tills:
        await till.connect()
    begun = time.perf_counter()

    async def go_on(do: Callable[[Exchanges], Awaitable[None]]) -> None:
        while time.perf_counter() < begun + seconds:
            await do(found)

    await asyncio.gather(*(go_on(till.pay if kind == SALE else till.ask) for till in tills))
    found.seconds = time.perf_counter() - begun
    for till in tills:
        till.close()
    return found


def _prompts(gateway: Server) -> list[float]:
    """Seconds until the first text, on each lane once; the sales go on."""

    async def run() -> list[float]:
        found = []
        for number in range(1, LANES + 1):
            till = Till(gateway.said["ports"][lane_name(number)])
            await till.connect()
            found.append(await till.prompted())
            till.close()
        return found

    return uvloop.run(run())


def _summary(rounds: list[_Round]) -> Exchange:
    def median(of: Callable[[_Round], float]) -> float:
        return statistics.median(map(of, rounds))

    return Exchange(
        lane_rate=median(lambda each: each.alone.rate),
        alone_p50=median(lambda each: percentile(each.alone.latencies, 0.5)),
        alone_p99=median(lambda each: percentile(each.alone.latencies, 0.99)),
        ack_p50=median(lambda each: percentile(each.alone.acks, 0.5)),
        ack_p99=median(lambda each: percentile(each.alone.acks, 0.99)),
        lanes_rate=median(lambda each: each.together.rate),
        lanes_p50=median(lambda each: percentile(each.together.latencies, 0.5)),
        lanes_p99=median(lambda each: percentile(each.together.latencies, 0.99)),
        cpu=median(lambda each: each.cpu),
    )


# --- what is told of it ---------------------------------------------------------------------------

_ROWS: Final = (
    ("exchanges per second on one lane", "lane_rate", 0),
    ("p50 of an exchange, ms", "alone_p50", 2),
    ("p99, ms", "alone_p99", 2),
    ("until its ACK: p50, ms", "ack_p50", 2),
    ("p99, ms", "ack_p99", 2),
    (f"exchanges per second on {LANES} lanes at once", "lanes_rate", 0),
    (f"p50 of an exchange, {LANES} at once, ms", "lanes_p50", 1),
    ("p99, ms", "lanes_p99", 1),
    ("server's processor time per exchange, µs", "cpu", 0),
)
_MAIN: Final = (
    "status_request",
    "payment_extended_request",
    "payment_extended_result_approved",
    "preauthorisation_result_approved",
    "reversal_request",
    "receipt_part_1",
)


def rows(found: Ecr17) -> list[tuple[str, ...]]:
    """What is measured, of `s` and of `X`, as text."""
    both = found.status, found.sale
    return [
        (words, *(f"{getattr(each, name):,.{digits}f}" for each in both))
        for words, name, digits in _ROWS
    ]


def message_rows(found: Ecr17) -> list[tuple[str, ...]]:
    """Messages, their octets, and the microseconds in which they are decoded and encoded."""
    named = {each.name: each for each in found.messages}
    main: list[tuple[str, ...]] = [
        (each.name.replace("_", " "), str(each.octets), f"{each.decode:.1f}", f"{each.encode:.1f}")
        for each in map(named.__getitem__, _MAIN)
    ]
    decode = [each.decode for each in found.messages]
    encode = [each.encode for each in found.messages]
    middle = (f"{statistics.median(times):.1f}" for times in (decode, encode))
    slowest = (f"{max(times):.1f}" for times in (decode, encode))
    return [
        *main,
        (f"median of the {len(found.messages)} frames", "", *middle),
        ("slowest of them", "", *slowest),
    ]


def words(found: Ecr17) -> str:
    """What is in no row: a sale beside the floor's, and the terminal's text."""
    return (
        f"A sale on one lane beyond the floor of the same run: p50 {found.overhead_p50:.2f} ms, "
        f"p99 {found.overhead_p99:.2f} ms (the floor: {found.floor_p50:.2f} and "
        f"{found.floor_p99:.2f} ms). Until the terminal's first text: p50 "
        f"{found.prompt_p50:.2f} ms, p99 {found.prompt_p99:.2f} ms."
    )


def told(found: Ecr17) -> dict[str, Any]:
    """For programs."""
    return {
        "lanes": found.lanes,
        STATUS: vars(found.status),
        SALE: vars(found.sale),
        "prompt_p50": found.prompt_p50,
        "prompt_p99": found.prompt_p99,
        "floor_p50": found.floor_p50,
        "floor_p99": found.floor_p99,
        "overhead_p50": found.overhead_p50,
        "overhead_p99": found.overhead_p99,
        "messages": [vars(each) for each in found.messages],
    }


def _markdown(headings: tuple[str, ...], body: list[tuple[str, ...]]) -> str:
    lines = [headings, ("---", *["---:"] * (len(headings) - 1)), *body]
    return "\n".join(f"| {' | '.join(each)} |" for each in lines)


def main() -> None:
    """Measure ECR17 alone."""
    parser = argparse.ArgumentParser(prog="benchmarks.ecr17")
    parser.add_argument("--data", type=Path, default=Path("build"), help="where to put the files")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a turn")
    options = parser.parse_args()
    options.data.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="bench-", dir=options.data))

    def say(text: str) -> None:
        print(text, file=sys.stderr)

    try:
        say(f"{fsyncs_per_second(directory):.0f} fsyncs/s")
        found = measure(directory, rounds=options.rounds, seconds=options.seconds, say=say)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    if options.json:
        print(json.dumps(told(found), indent=2))
        return
    print(_markdown(("", "`s`", "`X`"), rows(found)))
    print(f"\n{words(found)}\n")
    print(_markdown(("message", "octets", "decode, µs", "encode, µs"), message_rows(found)))


if __name__ == "__main__":
    main()
