"""Which terminal a lane serves: by its name or its TID, and no terminal has two lanes."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from tests.kit import shop
from tests.kit.gateway import GatewayUnderTest
from tests.kit.machine import Machine
from tests.unit.ecr17.face.till import PORT, Till, last, pay, status
from tillwire.config import (
    Configuration,
    FaceSettings,
    JournalSettings,
    ListenerSettings,
    checked,
)
from tillwire.errors import ConfigurationError
from tillwire.server.faces import FACES

ONE, OTHER = shop.VIRTUAL[1:]
Scenario = Callable[[GatewayUnderTest], Coroutine[Any, Any, None]]


def live(disk: Path, scenario: Scenario, *terminals: str) -> list[Any]:
    """Play the scenario with a lane for each; what was logged meanwhile."""
    lanes = [" ".join(["ecr17", "more"][: number + 1]) for number in range(len(terminals))]
    told = {
        lane: {"organisation": shop.SHOP, "terminal": terminal}
        for lane, terminal in zip(lanes, terminals, strict=True)
    }
    ports = {lane: PORT + number for number, lane in enumerate(lanes)}
    with structlog.testing.capture_logs() as lines:
        Machine(disk, faces=ports, settings=told).live(scenario)
    return [each for each in lines if each["event"] == "an ECR17 lane serves no terminal"]


async def swap(gateway: GatewayUnderTest, serial: str) -> None:
    """Have a device of this serial number stand at the terminal."""
    swapped = msgspec.structs.replace(ONE, serial=serial)
    await gateway.engine.change_estate(lambda unit: unit.put(swapped))


def test_a_lane_that_knows_its_terminal_by_tid_goes_on_after_a_swap(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            first = await till.asks(pay(tid=ONE.tid))
            await swap(gateway, "9999")
            assert await till.asks(last(tid=ONE.tid)) == first
            assert (await till.asks(pay(tid=ONE.tid))).approved

    assert live(disk, scenario, ONE.tid) == []


def test_a_lane_that_knows_its_terminal_by_name_says_nak_after_a_swap(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            assert (await till.asks(pay(tid=ONE.tid))).approved
            await swap(gateway, "9999")
            assert await till.asks(pay(tid=ONE.tid)) is None

    assert live(disk, scenario, ONE.name) == []


def test_of_two_lanes_of_one_terminal_the_first_one_serves_it(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till, await Till.open(PORT + 1) as other:
            assert await other.asks(pay(tid=ONE.tid)) is None
            assert await other.asks(status(ONE.tid)) is None
            assert (await till.asks(pay(tid=ONE.tid), acknowledges=False)).approved
        async with await Till.open(PORT + 1) as other:
            assert await other.asks(pay(tid=ONE.tid)) is None
        assert len(await gateway.charges()) == 1

    (line,) = live(disk, scenario, ONE.name, ONE.tid)
    assert line["terminal"] == ONE.tid
    assert line["reason"] == f"Terminal {ONE.name} has another lane, as {ONE.name}."


def test_two_lanes_that_a_swap_leads_to_one_terminal_are_noticed(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till, await Till.open(PORT + 1) as other:
            assert (await till.asks(pay(tid=ONE.tid))).approved
            assert (await other.asks(pay(tid=OTHER.tid))).approved
            removed = msgspec.structs.replace(OTHER, serial="0000")
            await gateway.engine.change_estate(lambda unit: unit.put(removed))
            await swap(gateway, OTHER.serial)
            assert await other.asks(pay(tid=ONE.tid)) is None
            assert (await till.asks(pay(tid=ONE.tid))).approved
        assert len(await gateway.charges()) == 3

    assert live(disk, scenario, ONE.tid, OTHER.name) == []


def test_a_lane_of_a_terminal_that_is_not_there_is_told_at_the_start(disk: Path) -> None:
    async def scenario(_: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            assert await till.asks(status()) is None

    (line,) = live(disk, scenario, "30359999")
    assert line["reason"] == "There is no terminal 30359999."


@pytest.mark.parametrize("reverse", [False, True])
def test_a_configuration_with_two_lanes_of_one_terminal_is_refused(
    tmp_path: Path, reverse: bool
) -> None:
    def lane(name: str, port: int, terminal: str) -> ListenerSettings:
        told = {"organisation": "shop", "terminal": terminal}
        face = FaceSettings(name="ecr17", settings=told)
        return ListenerSettings(name=name, port=port, reverse=reverse and port > 1, faces=(face,))

    found = Configuration(
        journal=JournalSettings(path="journal.db"),
        listeners=(lane("one", 1, ONE.name), lane("two", 2, OTHER.name)),
    )
    assert checked(found, FACES, source="here", folder=tmp_path)
    lanes = (*found.listeners, lane("three", 3, OTHER.name.lower()))
    with pytest.raises(ConfigurationError) as caught:
        checked(
            msgspec.structs.replace(found, listeners=lanes), FACES, source="here", folder=tmp_path
        )
    assert str(caught.value) == (
        "The configuration cannot be used. here: listener[2].face[0].settings: the terminal "
        "tillwire-v1-0003 of shop is served by listener[1].face[0], too. Allowed: one for each."
    )
