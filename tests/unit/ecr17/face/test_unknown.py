"""While nobody knows what became of a payment, its till is told nothing that could be taken for an
answer: no KO, no earlier result, no terminal that is ready."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.kit.gateway import GatewayUnderTest
from tests.unit.ecr17.face.till import (
    APPROVED,
    LOST,
    RESTART,
    Till,
    last,
    live,
    machine,
    pay,
    status,
    totals,
    until,
)
from tillwire.core.model import State, Verdict
from tillwire.dialects.ecr17.face.session import NEEDS_PERSON, UNRESOLVED


def test_an_outcome_that_is_found_again_is_told_late(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            result = await till.asks(pay(LOST))
            assert (result.result, result.amount) == ("00", LOST)
            assert UNRESOLVED in till.shown
            assert list((await gateway.charges()).values()) == [LOST]

    live(disk, scenario)


def test_a_till_is_let_go_of_without_a_result(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            till.say(pay(RESTART))
            assert await till.is_acked()
            assert await till.hear() is None, "the connection ends, and nothing was said"
            assert till.shown[0] == UNRESOLVED
            assert till.shown.count(NEEDS_PERSON) > 3, "asking does not help any more"
            assert len(till.shown) < 20
            (transaction,) = gateway.transactions()
            assert transaction.state is State.UNKNOWN

    live(disk, scenario)


def test_no_earlier_result_is_replayed_for_it(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            assert (await till.asks(pay())).approved
            till.say(pay(RESTART))
            assert await till.is_acked()
            unknown = await until(gateway, State.UNKNOWN)
        async with await Till.open() as till:
            for each in (last(), status(), totals(), pay()):
                assert await till.asks(each) is None
            await gateway.engine.decide(
                unknown.id, Verdict.APPROVED, person="Ann", reason="seen at the terminal"
            )
            result = await till.asks(last())
            assert (result.result, result.amount) == ("00", RESTART)
            assert (await till.asks(status())).state == "2"

    live(disk, scenario)


def test_the_same_request_waits_for_the_same_outcome(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            till.say(pay(RESTART))
            assert await till.is_acked()
            assert await till.hear() is None
        unknown = await until(gateway, State.UNKNOWN)
        async with await Till.open() as till:
            till.say(pay(RESTART))
            assert await till.is_acked()
            await gateway.engine.decide(
                unknown.id, Verdict.DECLINED, person="Ann", reason="seen at the terminal"
            )
            assert (await till.payload())[10:12] == b"01"
            assert len(gateway.transactions()) == 1

    live(disk, scenario)


def test_after_a_restart_g_waits_for_what_was_on_its_way(disk: Path) -> None:
    on = machine(disk)

    async def before(_: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            assert (await till.asks(pay())).approved
            till.say(pay(RESTART))
            assert await till.is_acked()

    async def after(gateway: GatewayUnderTest) -> None:
        await until(gateway, State.UNKNOWN)
        async with await Till.open() as till:
            assert await till.asks(last()) is None
            await asyncio.sleep(3600)
            assert await till.asks(last()) is None
            assert sum((await gateway.charges()).values()) == APPROVED + RESTART

    on.live(before)
    on.live(after)


def test_a_till_that_waits_too_long_is_let_go_of(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            till.say(pay(1049))
            assert await till.is_acked()
            assert await till.hear() is None
        await until(gateway, State.APPROVED)
        async with await Till.open() as till:
            assert (await till.asks(last())).amount == 1049

    live(disk, scenario, answer_within=5.0, progress_every=1.0)
