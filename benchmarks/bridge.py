"""Thousands of payments by cloud message that are in flight at the same time: what memory they
take, and that each of them ends, with its callbacks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks.bridge_till import STARTED, Access, BridgeLane, Callbacks, Told
from benchmarks.processes import Server, running

_LANES = 32
SLOW = 1049
"""Cents of a sale whose cardholder takes 40 s at the gateway's pace."""
_ENDS_WITHIN = 120.0


@dataclass(frozen=True)
class InFlight:
    """What was measured."""

    sent: int
    started: int
    """Of which STARTED was told before the first one ended."""
    before: int
    """Resident bytes of the gateway with a terminal for each payment, and no payment."""
    resident: int
    """The same with all of them in flight."""
    approved: int
    """How many ended, each with its last callback."""
    seconds: float
    """From the first end to the last one's callback."""

    @property
    def bytes_each(self) -> float:
        """What a payment costs as long as it is in flight."""
        return (self.resident - self.before) / self.sent


def measure(directory: Path, *, payments: int, say: Callable[[str], None]) -> InFlight:
    """Send so many payments, each to a terminal of its own, and wait until all have ended."""
    with running("benchmarks.gateway_process", directory / "bridge", payments) as server:
        return uvloop.run(_pay(server, payments, say))


async def _pay(server: Server, payments: int, say: Callable[[str], None]) -> InFlight:
    access = Access.to(server.said)
    before = server.resident()
    callbacks = Callbacks()
    await callbacks.open()
    names = list(server.shop.terminals)
    sent: list[Told] = []

    async def send_some() -> None:
        lane = BridgeLane(access, names[0], callbacks)
        await lane.connect()
        while names:
            sent.append(await lane.send(SLOW, names.pop()))
        lane.close()

    await asyncio.gather(*(send_some() for _ in range(_LANES)))
    resident = server.resident()
    assert not any(each.last.done() for each in sent), "the first one ended before the last began"
    say(f"{len(sent)} payments are in flight")
    await asyncio.wait([each.last for each in sent], return_when=asyncio.FIRST_COMPLETED)
    begun = time.perf_counter()
    started = sum(STARTED in each.at for each in sent)
    async with asyncio.timeout(_ENDS_WITHIN):
        ends = await asyncio.gather(*(each.last for each in sent))
    seconds = time.perf_counter() - begun
    say(f"{len(ends)} payments have ended")
    callbacks.close()
    approved = sum(b'"status":"CAPTURED"' in each for each in ends)
    return InFlight(len(sent), started, before, resident, approved, seconds)
