"""Gateways with ECR17 lanes die at any moment that left something on a disk, live again, and nobody
has lost anything: neither the till at its lane, nor the lane that is its terminal."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest

from tests.kit.machine import Machine
from tests.simulation.ecr17_agreement import check_street
from tests.simulation.ecr17_street import Either, LongStreet, Street
from tests.simulation.ecr17_till import REMEMBERED, Sale, Till

FOUND_OUT_AFTER: Final = 400.0
"""Seconds after which all that can be found out has been."""
LOST: Final = 46
"""The ending of which the terminal's answer is lost."""
QUICKLY: Final = {(Street, 0), (Street, LOST), (LongStreet, 0)}
CASES: Final = [
    pytest.param(street, ending, marks=() if (street, ending) in QUICKLY else pytest.mark.long)
    for street in (Street, LongStreet)
    for ending in (0, 40, LOST, 49, 52)
]

Memory: TypeAlias = tuple[tuple[Sale, ...], tuple[str, ...]]
"""What a till has written down: its sales, and the STANs that it has heard."""


def till_with(memory: Memory, seed: int) -> Till:
    """A till that remembers this."""
    sales, heard = memory
    return Till(
        1,
        "00000001",
        random.Random(seed),
        sales=list(sales),
        heard=deque(heard, maxlen=REMEMBERED),
    )


def memory_of(till: Till) -> Memory:
    """As it stands now."""
    return tuple(dataclasses.replace(each) for each in till.sales), tuple(till.heard)


@pytest.mark.parametrize(("street", "ending"), CASES)
def test_a_kill_at_any_moment_of_a_sale_loses_nothing(
    disk: Path, street: type[Either], ending: int
) -> None:
    till = till_with(((), ()), 0)

    async def sell(_: Either) -> None:
        await till.sell("X", 1000)
        await asyncio.sleep(1)
        await till.sell("X", 1000 + ending)

    machine: Any = Machine(disk, build=street)
    moments = machine.moments(sell, lambda: memory_of(till))
    assert len(moments) > 15
    ways = set()
    for moment in moments:
        again = till_with(moment.known, moment.step)

        async def find_out(gateways: Either, again: Till = again) -> None:
            with suppress(TimeoutError):  # it is blocked, and the till goes on asking
                async with asyncio.timeout(FOUND_OUT_AFTER):
                    await again.find_out()
            await asyncio.sleep(FOUND_OUT_AFTER)
            await check_street(gateways, [again])

        after: Any = Machine.after(moment, disk / f"after-{moment.step}", build=street)
        after.live(find_out)
        ways |= {"never" if each.never else each.found_by for each in again.sales}
    assert ways >= {"answer", "never", "repetition", "G"}
