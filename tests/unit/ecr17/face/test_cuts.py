"""Connections that end, or carry nonsense, at any octet: one charge, and a lane that goes on."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from tests.kit.gateway import GatewayUnderTest
from tests.kit.shop import POLLING
from tests.unit.ecr17.face.till import SLOW, TID, Till, framed, last, live, machine, pay, until
from tillwire.core.model import State
from tillwire.dialects.ecr17 import wire
from tillwire.dialects.ecr17.face.lane import Busy, Lane
from tillwire.dialects.ecr17.face.settings import Settings

SALE = 1000


def test_a_request_that_is_cut_at_any_octet_is_none(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        octets = framed(pay())
        for cut in range(len(octets)):
            async with await Till.open() as till:
                till.write(octets[:cut])
                await asyncio.sleep(0.01)
        assert gateway.transactions() == []
        async with await Till.open() as till:
            assert (await till.asks(pay())).approved

    live(disk, scenario)


def test_a_till_that_goes_at_any_octet_of_the_answer_is_charged_once(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            till.say(pay())
            assert await till.is_acked()
            length = len(wire.ACK) + len(await till.payload()) + 3
            till.acknowledge()
        for cut in range(length + 1):
            sale = pay(SALE + 100 * (cut + 1))
            async with await Till.open() as till:
                till.say(sale)
                await till.reader.readexactly(cut)
            async with await Till.open() as till:
                assert (await till.asks(sale)).amount == sale.amount
        assert len(await gateway.charges()) == length + 2

    live(disk, scenario)


def test_nonsense_neither_pays_nor_stops_the_lane(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        chance = random.Random(5)
        valid = framed(pay(SLOW))
        for _ in range(200):
            octets = bytearray(valid)
            for _ in range(chance.randint(1, 9)):
                octets[chance.randrange(len(octets))] = chance.randrange(256)
            async with await Till.open() as till:
                till.write(chance.randbytes(chance.randint(0, 300)), b"\x03", bytes(octets))
                await asyncio.sleep(0.01)
        assert gateway.transactions() == []
        async with await Till.open() as till:
            assert (await till.asks(pay())).approved

    live(disk, scenario)


def test_the_last_result_is_not_told_while_a_payment_is_just_taken(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        settings = Settings(organisation="shop", terminal="TILLWIRE-V1-0001")
        for steps in range(2, 20):
            lane = Lane(gateway.engine, gateway.clock, settings)
            first = await lane.take(pay(SALE + 100 * steps), TID, "till")
            await until(gateway, State.APPROVED, 2 * steps - 3)
            lane.acknowledged(first, b"acknowledged")
            taking = asyncio.get_running_loop().create_task(lane.take(pay(SLOW), TID, "till"))
            for _ in range(steps):
                await asyncio.sleep(0)
            with pytest.raises(Busy):
                await lane.last_result()
            lane.acknowledged(await taking, b"acknowledged")
            await until(gateway, State.APPROVED, 2 * steps - 2)
            await lane.stop()

    live(disk, scenario)


def test_a_refused_payment_does_not_use_up_the_wish_for_a_receipt(disk: Path) -> None:
    async def scenario(_: GatewayUnderTest) -> None:
        async with await Till.open() as till, await Till.open() as other:
            other.say(pay(SLOW, cash_register="00000002"))
            assert await other.is_acked()
            routing = wire.ReceiptRoutingRequest(tid="00000000", routing=wire.Routing.ECR)
            till.say(routing)
            assert await till.is_acked()
            assert await till.asks(pay()) is None
            await other.payload()
            other.acknowledge()
            assert (await till.asks(pay())).approved
            assert len(await till.tickets()) == 1

    live(disk, scenario)


def test_what_no_terminal_fetches_is_given_up_with_a_ko(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            result = await till.asks(pay(tid=POLLING.tid))
            assert (result.result, result.error_text) == ("01", "OPERAZIONE ANNULLATA")
            assert await gateway.charges() == {}

    live(disk, scenario, terminal="TILLWIRE-P1-0001")


def test_a_lane_without_a_terminal_refuses_everything(disk: Path) -> None:
    async def scenario(_: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            assert await till.asks(pay()) is None
            assert await till.asks(last()) is None

    live(disk, scenario, terminal="NO-SUCH-ONE")


def test_stopping_ends_with_what_a_till_has_acknowledged_written_down(disk: Path) -> None:
    on = machine(disk)

    async def before(_: GatewayUnderTest) -> str:
        async with await Till.open() as till:
            stan: str = (await till.asks(pay())).stan
            await till.writer.drain()
            return stan

    async def after(_: GatewayUnderTest) -> str:
        async with await Till.open() as till:
            stan: str = (await till.asks(pay())).stan
            return stan

    assert on.live(before).result != on.live(after).result
