"""How much memory the gateway keeps while many sales wait for their cards at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import uvloop

from benchmarks.processes import running
from benchmarks.till import Lane

_LANES = 32
WAITS_FOR_A_CARD = "10.44"
"""An amount whose cardholder never comes: open until the terminal gives up after a minute."""


def measure(directory: Path, *, sales: int, say: Callable[[str], None]) -> tuple[int, int, int]:
    """(open sales, resident bytes with them, resident bytes before)."""
    with running("benchmarks.gateway_process", directory / "open", sales) as server:
        before = server.resident()
        shop = server.shop

        async def open_all() -> int:
            names = list(shop.terminals)
            opened: list[tuple[Lane, str]] = []

            async def open_some() -> None:
                while names:
                    lane = Lane(shop, names.pop())
                    await lane.connect()
                    opened.append((lane, await lane.create("open", WAITS_FOR_A_CARD)))
                    if len(opened) % 2000 == 0:
                        say(f"{len(opened)} of {sales} sales are open")

            await asyncio.gather(*(open_some() for _ in range(_LANES)))
            # Every till keeps its connection, and the first ones are still waiting at the end.
            statuses = [await lane.status(sale) for lane, sale in opened[:100]]
            assert set(statuses) == {"CREATED"}, statuses
            return len(opened)

        opened = uvloop.run(open_all())
        return opened, server.resident(), before
