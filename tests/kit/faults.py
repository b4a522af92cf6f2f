"""What can go wrong on a connection, as values: said by a script or drawn from a seed.

A stream never doubles or reorders its own octets; that is TCP's promise, and it is kept here, too.
What a stream can do is break at any octet, go silent, be slow, and come in pieces. Doubling and
reordering happen to whole messages, over several connections: see `messages.py`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Noticed(StrEnum):
    """Who learns that a connection broke. Whoever doesn't waits in silence."""

    BOTH = "both"
    BY_CLIENT = "client"
    BY_SERVER = "server"
    BY_NOBODY = "nobody"


@dataclass(frozen=True)
class Flow:
    """One direction of a connection."""

    cut_after: int | None = None
    """The connection breaks once this many octets of this direction have arrived: with 0, when the
    first one would have. Whatever else is under way in either direction is lost."""
    noticed: Noticed = Noticed.BOTH
    """Who sees that cut as a reset; `BY_NOBODY` is a pulled cable."""
    delay: tuple[float, float] = (0.0, 0.0)
    """Seconds that a piece is under way, drawn from this range; order is kept."""
    pieces: int | None = None
    """Octets arrive in pieces of a size drawn from 1 to this; 1: one by one. None: as written."""


class Connect(StrEnum):
    """What becomes of the try to connect."""

    ACCEPT = "accept"
    REFUSE = "refuse"
    SILENCE = "silence"
    """No answer at all, until the caller or the operating system gives up."""


@dataclass(frozen=True)
class Faults:
    """One connection."""

    connect: Connect = Connect.ACCEPT
    connect_delay: float = 0.0
    to_server: Flow = Flow()
    to_client: Flow = Flow()


CLEAN: Final = Faults()

Policy = Callable[[int, int], Faults]
"""(port, number of the connection to that port, from 0) -> what happens to it."""


def clean(port: int, number: int) -> Faults:
    """Nothing ever goes wrong."""
    return CLEAN


def scripted(script: Mapping[int, Sequence[Faults]]) -> Policy:
    """By port, the faults of its first connections; later ones are clean."""

    def policy(port: int, number: int) -> Faults:
        faults = script.get(port, ())
        return faults[number] if number < len(faults) else CLEAN

    return policy


def seeded(source: random.Random, *, risk: float, octets: int = 2000) -> Policy:
    """Faults drawn from `source`: a connection is faulty with the probability `risk`, and a cut
    falls within its first `octets`. Delays and pieces come on top, on every connection."""

    def flow() -> Flow:
        cut = source.randrange(octets) if source.random() < risk / 2 else None
        slow = source.choice((0.0, 0.0, 0.01, 0.5))
        pieces = source.choice((None, None, 1, 7, 300))
        return Flow(cut, source.choice(list(Noticed)), (0.0, slow), pieces)

    def policy(port: int, number: int) -> Faults:
        if source.random() < risk / 4:
            connect = source.choice((Connect.REFUSE, Connect.SILENCE))
        else:
            connect = Connect.ACCEPT
        return Faults(connect, source.choice((0.0, 0.0, 0.02)), flow(), flow())

    return policy
