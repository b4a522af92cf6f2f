"""tillwire's own till at tillwire's own lane: two gateways, two journals, one line in between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.kit import shop
from tests.kit.faults import Faults, Flow, scripted
from tests.kit.gateway import GatewayUnderTest
from tests.kit.virtual_loop import VirtualLoop, virtual_loop
from tests.unit.core.scripted import is_final
from tests.unit.ecr17.driver.till import terminal
from tests.unit.ecr17.face.till import CONVERTED, DECLINED, LOST, PORT, SLOW, live, machine
from tests.unit.estate_fixture import purchase
from tillwire.core.engine import Engine
from tillwire.core.model import Evidence, State, Transaction, TransactionType
from tillwire.core.occupancy import WhenBusy
from tillwire.dialects.ecr17.driver.driver import Ecr17Driver
from tillwire.journal.sqlite import SqliteJournal


@asynccontextmanager
async def till_on(folder: Path, **settings: Any) -> AsyncIterator[Engine]:
    """The engine of a gateway whose terminal is the lane."""
    journal = SqliteJournal(folder / "till.db", inline=True)
    clock = virtual_loop().clock
    told = terminal({"host": "127.0.0.1", "port": PORT, **settings})

    def found(unit: Any) -> None:
        shop.found(unit)
        unit.put(told)

    engine = Engine(journal, lambda each: Ecr17Driver(each, engine, clock), clock)
    await engine.start()
    await engine.change_estate(found)
    try:
        yield engine
    finally:
        await engine.stop()
        journal.close()


async def paid(engine: Engine, minor: int, **special: Any) -> Transaction:
    accepted = await engine.accept(purchase(minor, terminal="t1", **special), WhenBusy.REJECT)
    return await engine.wait(accepted.id, is_final, 900)


@pytest.mark.parametrize(
    ("amount", "state"),
    [
        (1000, State.APPROVED),
        (DECLINED, State.DECLINED),
        (SLOW, State.APPROVED),
        (LOST, State.APPROVED),
        (CONVERTED, State.APPROVED),
    ],
)
def test_both_sides_agree_on_every_end(disk: Path, amount: int, state: State) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with till_on(disk, receipts="till", tid="30350001") as engine:
            ours = await paid(engine, amount)
            (theirs,) = gateway.transactions()
            assert ours.state is theirs.state is state
            assert ours.approved_amount == theirs.approved_amount
            assert ours.outcome is not None
            assert theirs.outcome is not None
            assert ours.outcome.stan == theirs.outcome.stan
            if state is State.APPROVED:
                assert ours.outcome.receipts is not None

    live(disk, scenario)


def test_equal_sales_one_after_the_other_are_as_many(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with till_on(disk) as engine:
            for _ in range(5):
                assert (await paid(engine, 1000)).state is State.APPROVED
            assert list((await gateway.charges()).values()) == [1000] * 5

    live(disk, scenario)


def test_a_sale_is_undone_and_a_reservation_captured(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with till_on(disk) as engine:
            sale = await paid(engine, 1000)
            undo = await paid(engine, 1000, type=TransactionType.REVERSAL, original=sale.id)
            held = await paid(engine, 9000, type=TransactionType.PREAUTH)
            more = await paid(engine, 500, type=TransactionType.INCREMENT, original=held.id)
            took = await paid(engine, 9500, type=TransactionType.CAPTURE, original=held.id)
            assert {each.state for each in (sale, undo, held, more, took)} == {State.APPROVED}
            assert [each.type for each in gateway.transactions()] == [
                TransactionType.PURCHASE,
                TransactionType.REVERSAL,
                TransactionType.PREAUTH,
                TransactionType.INCREMENT,
                TransactionType.CAPTURE,
            ]

    live(disk, scenario)


@pytest.mark.parametrize("cut", [0, 2, 3, 4, 40, 97])
def test_an_answer_that_is_cut_is_found_by_g(disk: Path, cut: int) -> None:
    def prepare(loop: VirtualLoop) -> None:
        # Each sale has a connection that asks for the last result, and one that pays.
        lost = Faults(to_client=Flow(cut_after=cut))
        loop.network.faults = scripted({PORT: [Faults(), Faults(), Faults(), lost]})

    async def scenario(gateway: GatewayUnderTest) -> None:
        async with till_on(disk) as engine:
            await paid(engine, 1000)
            ours = await paid(engine, 1000)
            *_, theirs = gateway.transactions()
            assert ours.state is theirs.state is State.APPROVED
            assert ours.outcome is not None
            assert ours.outcome.evidence is Evidence.RECOVERED
            assert len(await gateway.charges()) == 2

    machine(disk).live(scenario, prepare=prepare)
