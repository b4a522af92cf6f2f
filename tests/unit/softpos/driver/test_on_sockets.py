"""A payment on a phone over real sockets, whose link the command line shows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.kit.gateway import JOURNAL
from tests.kit.machine import found_journal
from tests.unit.softpos.driver.backend import CHECK
from tests.unit.softpos.driver.counter import Counter
from tillwire.cli import application
from tillwire.core.model import State
from tillwire.errors import Conflict


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the shop's journal."""
    found_journal(tmp_path)
    return tmp_path


@pytest.fixture
async def counter(folder: Path) -> AsyncIterator[Counter]:
    """A counter on real sockets, at free ports."""
    made = Counter(folder, {}, free_ports=True)
    await made.start()
    yield made
    await made.stop()


async def run(counter: Counter, *arguments: str) -> Any:
    """`tillwire ...`, beside the gateway."""
    told = [*arguments, "--journal", str(counter.folder / JOURNAL)]
    return await asyncio.to_thread(CliRunner().invoke, application(), told)


async def test_the_link_is_shown_while_the_phone_is_waited_for(counter: Counter) -> None:
    order = await counter.order(1250)
    link = await counter.shown(order)
    shown = await run(counter, "softpos", "link", order.id)
    assert shown.exit_code == 0, shown.exception
    assert shown.stdout.strip() == link
    assert (await counter.come_back(link, counter.backend.pay(link))).status == 200
    assert (await counter.ended(order, 20)).state is State.APPROVED
    assert len(counter.backend.of(CHECK)) == 2, "whether it would answer, and what became of it"
    checked = await run(counter, "softpos", "check", order.id)
    assert "On 30001234: APPROVED (APPROVED), 1250 minor units" in checked.stdout
    refused = await run(counter, "softpos", "link", order.id)
    assert isinstance(refused.exception, Conflict)
    assert "neximpos" not in refused.output
