"""How long the codec of nexo takes for one message, beside a JSON parser that knows nothing of it.

The messages are those that the codec's own tests begin with: one of each kind, in its envelope.
"""

from __future__ import annotations

import statistics
import timeit
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tillwire.dialects.nexo import wire
from tillwire.dialects.nexo.wire.framing import LARGEST

EXAMPLES = Path(__file__).parents[1] / "tests" / "unit" / "nexo" / "examples"
_TRIES = 3
_AT_LEAST = 0.005
"""Seconds that one try takes."""


@dataclass(frozen=True)
class Timing:
    """One message, and the microseconds that it takes."""

    name: str
    octets: int
    decode: float
    encode: float
    parse: float
    """The same octets read into dictionaries, and nothing checked."""


def measure() -> list[Timing]:
    """Each message's times, the best of a few tries, by name."""
    return [_timing(path) for path in sorted(EXAMPLES.glob("*.json"))]


def _timing(path: Path) -> Timing:
    octets = msgspec.json.encode(msgspec.json.decode(path.read_bytes()))
    message = wire.decode(octets, limit=LARGEST)
    return Timing(
        path.stem,
        len(octets),
        decode=microseconds(lambda: wire.decode(octets, limit=LARGEST)),
        encode=microseconds(lambda: wire.encode(message, flat=False)),
        parse=microseconds(lambda: msgspec.json.decode(octets)),
    )


def microseconds(work: Callable[[], object]) -> float:
    """How long it takes, the best of a few tries."""
    timer = timeit.Timer(work)
    number = 1
    while timer.timeit(number) < _AT_LEAST:
        number *= 2
    return min(timer.repeat(_TRIES, number)) / number * 1e6


def median(timings: list[Timing], of: Callable[[Timing], float]) -> float:
    """The median of one of the times."""
    return statistics.median(of(each) for each in timings)


def worst(timings: list[Timing], of: Callable[[Timing], float]) -> Timing:
    """The message for which one of the times is longest."""
    return max(timings, key=of)
