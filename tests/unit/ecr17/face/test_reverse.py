"""A till that listens, and a lane that dials it: the same lane, over connections that it opens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.kit import shop
from tests.kit.gateway import GatewayUnderTest
from tests.kit.machine import Machine
from tests.kit.virtual_loop import virtual_loop
from tests.unit.ecr17.face.till import DECLINED, SLOW, Till, last, pay, status, until
from tillwire.config import ListenerSettings
from tillwire.core.model import State
from tillwire.dialects.ecr17.face.lane import Lane
from tillwire.dialects.ecr17.face.session import LaneFace
from tillwire.dialects.ecr17.face.settings import Settings
from tillwire.server.dialled import DialledLane

PORT = 1470

Calls = asyncio.Queue[Till]
"""The connections that the till has taken, in their order."""
Scenario = Callable[[GatewayUnderTest, Calls], Coroutine[Any, Any, None]]


def live(disk: Path, scenario: Scenario) -> None:
    """Play the scenario with a till that listens."""

    async def day(gateway: GatewayUnderTest) -> None:
        calls: Calls = asyncio.Queue()
        server = await asyncio.start_server(
            lambda reader, writer: calls.put_nowait(Till(reader, writer)), "127.0.0.1", PORT
        )
        told = Settings(organisation=shop.SHOP, terminal=shop.VIRTUAL[0].name)
        face = LaneFace(Lane(gateway.engine, gateway.clock, told))
        lane = DialledLane(
            ListenerSettings(name="lane", port=PORT, reverse=True),
            face,
            stop_seconds=1,
            count=lambda *_: None,
            clock=gateway.clock,
        )
        await lane.start()
        await scenario(gateway, calls)
        await lane.stop()
        await face.stop()
        server.close()

    Machine(disk, faces={}).live(day)


def test_a_day_over_one_connection(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest, calls: Calls) -> None:
        till = await calls.get()
        assert (await till.asks(status())).state == "2"
        assert (await till.asks(pay())).approved
        await asyncio.sleep(3600)
        assert not (await till.asks(pay(DECLINED))).approved
        assert (await till.asks(pay())).approved
        assert (await till.asks(last())).approved
        assert calls.empty()
        assert len(await gateway.charges()) == 2

    live(disk, scenario)


@pytest.mark.parametrize("asks_again", [False, True])
def test_a_payment_whose_connection_breaks_is_found_over_the_next_one(
    disk: Path, asks_again: bool
) -> None:
    async def scenario(gateway: GatewayUnderTest, calls: Calls) -> None:
        till = await calls.get()
        till.say(pay(SLOW))
        assert await till.is_acked()
        virtual_loop().network.cut(PORT)
        till = await calls.get()
        if asks_again:  # the same request is the same payment, and waits for its result
            assert (await till.asks(pay(SLOW))).approved
        else:
            assert await till.asks(last()) is None, "while it runs, nothing is told"
            await until(gateway, State.APPROVED)
            assert (await till.asks(last())).approved
        assert list((await gateway.charges()).values()) == [SLOW]

    live(disk, scenario)


@pytest.mark.parametrize("half", [False, True])
def test_a_till_that_hangs_up_in_mid_payment_is_dialled_at_once(disk: Path, half: bool) -> None:
    async def scenario(gateway: GatewayUnderTest, calls: Calls) -> None:
        first = await calls.get()
        first.say(pay(SLOW))
        assert await first.is_acked()
        if half:
            first.writer.write_eof()
        else:
            first.hang_up()
        async with asyncio.timeout(0.5):
            till = await calls.get()
        assert (await till.asks(pay(SLOW))).approved
        assert list((await gateway.charges()).values()) == [SLOW]
        assert calls.empty()
        first.hang_up()

    live(disk, scenario)


def test_a_till_that_hangs_up_after_each_exchange_is_dialled_for_the_next(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest, calls: Calls) -> None:
        begun = virtual_loop().time()
        for _ in range(10):
            till = await calls.get()
            assert (await till.asks(pay())).approved
            till.hang_up()
        assert virtual_loop().time() - begun < 10
        assert len(await gateway.charges()) == 10

    live(disk, scenario)
