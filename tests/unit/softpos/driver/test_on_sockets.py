"""A payment on a phone over real sockets, whose link the command line shows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.kit.gateway import JOURNAL
from tests.kit.machine import found_journal
from tests.unit.softpos.driver.backend import CHECK, TID, answers
from tests.unit.softpos.driver.counter import Counter
from tillwire.cli import application
from tillwire.core.model import State, TransactionType
from tillwire.dialects.softpos.driver import backend, pace, phone
from tillwire.dialects.softpos.driver.driver import SoftPosDriver
from tillwire.errors import Conflict


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the shop's journal."""
    found_journal(tmp_path)
    return tmp_path


@pytest.fixture
async def counter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Counter]:
    """A counter on real sockets, at free ports, whose backend takes questions at any pace, and is
    asked by itself only when there is news, however long a test takes."""
    monkeypatch.setattr(pace, "MOMENTS", (3600.0,))
    monkeypatch.setattr(backend, "APART", 0.0)
    monkeypatch.setattr(backend, "PAUSES", (0.0, 0.0))
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


async def test_a_link_that_is_not_there_yet_is_told_apart_from_one_that_is_over(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def asks_the_backend(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(SoftPosDriver, "run", asks_the_backend)
    order = await counter.order(1250)
    early = await run(counter, "softpos", "link", order.id)
    assert "no link yet" in str(early.exception)


async def test_a_person_is_shown_what_the_phone_brought_back(counter: Counter) -> None:
    order = await counter.order(1250)
    link = await counter.shown(order)
    told = {
        "callerTrxId": order.id,
        "operationType": "PAYMENT",
        "result": "-16",
        "amount": "1250",
        "resultDescription": "NFC spento, gi\u00e0 detto",
    }
    counter.backend.pay(link, status="SOSPESA")
    assert (await counter.come_back(link, told)).status == 200
    await counter.gateway.engine.wait(order.id, lambda each: phone.ANSWER in each.peer, 60)
    counter.backend.checks.extend([answers(500)] * 9)
    checked = await run(counter, "softpos", "check", order.id)
    assert checked.exit_code, "the backend does not answer"
    assert "The phone came back with: NFC is off (-16), 1250 minor units\n" in checked.stdout
    assert "  resultDescription = NFC spento, gi\u00e0 detto\n" in checked.stdout
    assert "What it said last:\n{" in checked.stdout
    assert '"status":"SOSPESA"' in checked.stdout
    counter.backend.checks.clear()
    counter.backend.known.clear()
    checked = await run(counter, "softpos", "check", order.id)
    assert "no proof that it was not paid" in checked.stdout
    shown = json.loads((await run(counter, "softpos", "check", order.id, "--json")).stdout)
    assert shown["answers"] == {"30001234": None}
    assert shown["returned"]["fields"]["resultDescription"] == told["resultDescription"]


async def test_of_a_reversal_its_original_is_asked_for_too(counter: Counter) -> None:
    paid = await counter.order(1250)
    first = await counter.shown(paid)
    await counter.come_back(first, counter.backend.pay(first, transactionTimestamp=None))
    await counter.ended(paid, 20)
    order = await counter.order(1250, TransactionType.REVERSAL, original=paid)
    link = await counter.shown(order)
    checked = await run(counter, "softpos", "check", order.id)
    assert "no proof that it was not given back" in checked.stdout
    assert f"Its original {paid.id}, which decides:\n" in checked.stdout
    assert "On 30001234: APPROVED (APPROVED), 1250 minor units" in checked.stdout
    counter.backend.pay(link)
    counter.backend.known[TID, paid.id]["status"] = "REVERSED"
    checked = await run(counter, "softpos", "check", order.id)
    assert "On 30001234: REVERSED (REVERSED), 1250 minor units" in checked.stdout
