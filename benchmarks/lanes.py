"""How much memory the gateway keeps for lanes that are connected over TCP and say nothing.

Each lane has a terminal and a connection of its own. The lanes' sockets are in this process, the
gateway's in another one, whose resident memory is what counts.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks.nexo_till import TcpLane
from benchmarks.processes import Server, running

_AT_ONCE = 64
_OTHER_FILES = 256
"""Open files that are no lane."""


@dataclass(frozen=True)
class Lanes:
    """What was measured."""

    connected: int
    before: int
    """Resident bytes of the gateway with a terminal for each lane, and no lane."""
    silent: int
    """The same with all lanes connected."""
    logged_in: int
    """The same after each of them has logged in."""

    @property
    def bytes_per_lane(self) -> float:
        """What a connection costs, without what its login does."""
        return (self.silent - self.before) / self.connected


def measure(directory: Path, *, lanes: int, say: Callable[[str], None]) -> Lanes:
    """Connect so many lanes, or as many as the system lets a process open."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files < lanes + _OTHER_FILES:
        say(
            f"ONLY {files} FILES may be open in a process (ulimit -Hn), too few for {lanes} lanes; "
            f"measuring {files - _OTHER_FILES} instead, which does not show the goal"
        )
        lanes = files - _OTHER_FILES
    with running("benchmarks.gateway_process", directory / "lanes", lanes) as server:
        return uvloop.run(_connect(server, say))


async def _connect(server: Server, say: Callable[[str], None]) -> Lanes:
    before = server.resident()
    port = int(server.said["lanes_port"])
    lanes = [TcpLane(port, terminal) for terminal in server.shop.terminals]
    room = asyncio.Semaphore(_AT_ONCE)

    async def connect(lane: TcpLane) -> None:
        async with room:
            await lane.connect()

    async def log_in(lane: TcpLane) -> None:
        async with room:
            await lane.log_in()

    await asyncio.gather(*(connect(lane) for lane in lanes))
    # An answer to the last one says that the gateway has accepted them all.
    await lanes[-1].log_in()
    silent = server.resident()
    say(f"{len(lanes)} lanes are connected")
    await asyncio.gather(*(log_in(lane) for lane in lanes))
    say(f"{len(lanes)} lanes have logged in")
    logged_in = server.resident()
    for lane in lanes:
        lane.close()
    return Lanes(len(lanes), before, silent, logged_in)
