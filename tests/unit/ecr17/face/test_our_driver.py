"""tillwire's own till at tillwire's own lane: two gateways, two journals, one line in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
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
from tillwire.core.errands import Reprint
from tillwire.core.model import (
    Evidence,
    ForHost,
    HostTag,
    State,
    Terms,
    Transaction,
    TransactionType,
)
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


def test_what_a_till_hands_to_the_host_goes_through_both_and_is_answered(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with till_on(disk, receipts="till") as engine:
            wanted = ForHost(
                tags=(HostTag("BTD1666354841608", 1), HostTag("0REC0FNZ03", 5)),
                purpose="000000",
                wanted_field="62",
                wanted_tag="DF8D01",
            )
            asked = msgspec.structs.replace(
                purchase(1000, terminal="t1"),
                terms=Terms(for_host=wanted, receipt_text="Contratto 7"),
            )
            accepted = await engine.accept(asked, WhenBusy.REJECT)
            ours = await engine.wait(accepted.id, is_final, 900)
            (theirs,) = gateway.transactions()
            assert theirs.terms.for_host == wanted
            assert theirs.terms.receipt_text == "Contratto 7"
            assert ours.outcome is not None
            assert theirs.outcome is not None
            assert ours.outcome.from_host == theirs.outcome.from_host != ""
            assert ours.outcome.receipts is not None
            assert "Contratto 7" in ours.outcome.receipts.cardholder

    live(disk, scenario)


def test_the_last_receipt_is_printed_again_at_the_far_end(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with till_on(disk) as engine:
            await paid(engine, 1000)
            assert await engine.perform("t1", Reprint()) is None
            await asyncio.sleep(1)  # it was acknowledged, and prints now
            (copy,) = await gateway.world.printouts("v1-0001")
            assert "*** COPY ***" in copy.text

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
