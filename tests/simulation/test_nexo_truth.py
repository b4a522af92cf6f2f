"""The simulation tells the truth of nexo, too: the same payments from gateway to gateway, over real
sockets, TLS and threads and with the machine's own clock, end the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from tests.kit.machine import found_journal
from tests.kit.stage import Stage, in_memory, on_sockets
from tests.matrix.nexo_agreement import check_pair
from tests.matrix.nexo_pair import FAR_PORTS, Lane, Pair
from tillwire.core.model import State, Transaction, TransactionType
from tillwire.core.ports import AbortResult

Observed = list[tuple[str, int, State, int, list[str]]]
Scenario = Callable[[Stage], Coroutine[Any, Any, Observed]]

LANES: Final = (
    Lane("http", poi="V1-0001"),
    Lane("sealed", poi="V1-0002"),
    Lane("tcp", poi="V1-0003"),
)
MINORS: Final = (1000, 1040, 1043, 1045, 1046, 1052, 1054)
SLOW: Final = 1049


def _sales(folder: Path) -> Scenario:
    """A few payments in every binding, and what the near gateway's journal has of them."""
    folder.mkdir(parents=True)
    found_journal(folder)  # before a loop runs: those of the pair are copies

    async def scenario(_: Stage) -> Observed:
        pair = Pair(folder, LANES, {}, ports=dict.fromkeys(FAR_PORTS, 0))
        await pair.start()
        await asyncio.gather(*(_sell(pair, lane) for lane in LANES))
        await check_pair(pair)
        seen = [_observed(pair, each) for each in pair.near.transactions()]
        seen.sort(key=lambda each: each[0])  # those of one lane stay in their order
        await pair.stop()
        return seen

    return scenario


def _observed(pair: Pair, each: Transaction) -> tuple[str, int, State, int, list[str]]:
    names = [event.name for event in pair.near.events(each.id)]
    return each.terminal_id, each.amount.minor, each.state, each.approved_amount, names


async def _sell(pair: Pair, lane: Lane) -> None:
    for minor in MINORS:
        paid = await pair.pay(lane, minor)
        if minor == 1000:
            await pair.pay(lane, 400, TransactionType.REFUND, original=paid.id)
            await pair.pay(lane, 600, TransactionType.REVERSAL, original=paid.id)
    slow = await pair.order(lane, SLOW)
    await asyncio.sleep(0.5)
    assert await pair.near.engine.abort(slow.id) is AbortResult.ABORTED
    await pair.ended(slow)


def test_payments_from_gateway_to_gateway_end_the_same_in_memory_and_over_sockets(
    disk: Path,
) -> None:
    simulated = in_memory(_sales(disk / "memory"))
    assert [state for _, _, state, _, _ in simulated[:9]] == [
        State.APPROVED, State.APPROVED, State.APPROVED, State.DECLINED, State.CANCELLED,
        State.APPROVED, State.APPROVED, State.FAILED, State.APPROVED,
    ]  # fmt: skip
    assert on_sockets(_sales(disk / "sockets")) == simulated
