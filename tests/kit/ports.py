"""Ports on loopback that a test may have, and that nobody else takes before it does.

A port that the system gives out is anybody's again as soon as it is let go. These are below those
that it gives out, and of several test processes that run side by side each has its own.
"""

from __future__ import annotations

import itertools
import os
import random
import socket
from collections.abc import Iterator, Sequence
from typing import Final

LOOPBACK: Final = "127.0.0.1"
SINGLE: Final = range(10_000, 20_000)
"""Single ones are of these."""
PROCESSES: Final = 16
"""Test processes side by side of which each has its own."""


def own(places: Sequence[int]) -> Sequence[int]:
    """The part of them that is this test process's."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    return places[int(worker) % PROCESSES :: PROCESSES]


def in_turn(places: Sequence[int]) -> Iterator[int]:
    """This process's part of them, without end, from one on that no seed decides: somebody else on
    the machine may run the same tests."""
    mine = own(places)
    begin = random.SystemRandom().randrange(len(mine))
    return itertools.cycle([*mine[begin:], *mine[:begin]])


_SINGLE: Final = in_turn(SINGLE)


def free_port() -> int:
    """A port at which nobody listens now."""
    return next(port for port in _SINGLE if is_free(port))


def is_free(port: int) -> bool:
    """Whether somebody may listen there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True
