"""Thousands of tills that stay connected and say nothing cost the gateway next to nothing."""

from __future__ import annotations

import asyncio
import json
import resource
from pathlib import Path
from typing import Final

import psutil
import pytest

from tests.kit.sandbox_process import running_sandbox
from tests.unit.nexo.bindings.lane import Socket, login, opened, result_of

LANES: Final = 2000
AT_ONCE: Final = 100
ALLOWED: Final = 500 * 2**20 // 10_000
"""Bytes for each lane: 10,000 of them fit into 500 MB."""


@pytest.fixture
def _many_files() -> None:
    """Let this process have as many connections as the system allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert most > LANES + 200, "this machine allows too few open files"
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def connected(port: int, number: int, room: asyncio.Semaphore) -> Socket:
    """A lane that is logged in."""
    async with room:
        lane = await Socket.open(port, limit=4096)
        lane.say(login(sale=f"LANE-{number}", poi="V1-0003"))
        told = await lane.hear()
    assert result_of(told) == ("Success", ""), json.dumps(opened(told))
    return lane


@pytest.mark.usefixtures("_many_files")
async def test_an_idle_lane_needs_little_memory(tmp_path: Path) -> None:
    with running_sandbox(tmp_path / "sandbox") as sandbox:
        process = psutil.Process(sandbox.process.pid)
        room = asyncio.Semaphore(AT_ONCE)
        port = sandbox.card["nexo"]["tcp"]["port"]
        first = await connected(port, 0, room)
        before = process.memory_info().rss
        lanes = await asyncio.gather(
            *(connected(port, number, room) for number in range(1, LANES + 1))
        )
        for_each = (process.memory_info().rss - before) / LANES
        for lane in (first, *lanes):
            lane.writer.close()
    assert for_each < ALLOWED
