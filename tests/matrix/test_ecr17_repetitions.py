"""A till that repeats a request because its ACK was lost, at the face: on the same connection, on
another one, at the next life of the gateway. Whatever it asks for is done once."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from tests.kit.gateway import GatewayUnderTest
from tests.kit.machine import Life
from tests.unit.ecr17.face.till import (
    Till,
    capture,
    close,
    increase,
    machine,
    pay,
    reserve,
    reverse,
    short_pay,
    totals,
)
from tillwire.core.model import State
from tillwire.dialects.ecr17.wire import Application, Nak, RefundRequest, Request

QUICK, DECLINED, LOST, SLOW = 1000, 1040, 1046, 1049
KINDS: Final = ("X", "P", "p", "i", "c", "S", "A", "C")
COPIES: Final = 3


async def request_of(kind: str, minor: int) -> Request:
    """A request of this kind, when what must have been done before has been."""
    async with await Till.open() as till:
        if kind == "S":
            stan = (await till.asks(pay(minor - minor % 100))).stan
            return reverse(stan)
        if kind in ("i", "c"):
            code = (await till.asks(reserve(5000))).preauthorisation_code
            return (increase if kind == "i" else capture)(code, minor)
    if kind == "C":
        return close()
    if kind == "A":
        return RefundRequest(tid="30350001", cash_register="00000001", amount=minor)
    if kind == "p":
        return reserve(minor)
    return pay(minor) if kind == "X" else short_pay(minor)


async def check_done_once(gateway: GatewayUnderTest, before: int, kind: str) -> None:
    """Raise `AssertionError` unless there is one transaction more, which ledger and journal agree
    on; a closing is none."""
    found = gateway.transactions()
    assert len(found) == before + (kind != "C"), found
    charges = await gateway.charges()
    for each in found:
        assert each.is_final, each
        moved = each.approved_amount if each.state is State.APPROVED else None
        assert charges.get(each.id) == moved, each
    if kind == "C":
        async with await Till.open() as till:
            assert (await till.asks(totals())).terminal_total == 0


def is_quick(kind: str, minor: int) -> bool:
    """Whether the short run has this one, too."""
    return kind == "X" or minor == SLOW


CASES: Final = [
    pytest.param(kind, minor, marks=() if is_quick(kind, minor) else pytest.mark.long)
    for kind, minor in itertools.product(KINDS, (QUICK, DECLINED, LOST, SLOW))
    if kind != "C" or minor == SLOW
]
every_request = pytest.mark.parametrize(("kind", "minor"), CASES)


async def heard(till: Till, request: Request) -> bytes | None:
    """The result of a request, which is acknowledged; None after a NAK."""
    till.say(request)
    if not await till.is_acked():
        return None
    payload = await till.payload()
    till.acknowledge()
    return payload


async def ask_until_heard(request: Request) -> None:
    """Repeat a request until it is not refused any more."""
    async with await Till.open() as till:
        while await heard(till, request) is None:  # noqa: ASYNC110 - as tills ask
            await asyncio.sleep(1)


@every_request
@pytest.mark.parametrize("pause", [0.0, 3.0])
def test_repeated_on_the_same_connection_it_is_done_once(
    disk: Path, kind: str, minor: int, pause: float
) -> None:
    """The till hears no ACK, and writes the same again after some seconds, three times in all."""

    async def scenario(gateway: GatewayUnderTest) -> None:
        request = await request_of(kind, minor)
        before = len(gateway.transactions())
        payloads = set()
        async with await Till.open() as till:
            for _ in range(COPIES):
                till.say(request)
                await asyncio.sleep(pause)
            with suppress(TimeoutError):
                while frame := await till.hear(60):
                    assert not isinstance(frame, Nak)
                    if isinstance(frame, Application):
                        payloads.add(frame.payload)
                        till.acknowledge()
        assert len(payloads) == 1
        await check_done_once(gateway, before, kind)

    machine(disk).live(scenario)


@every_request
@pytest.mark.parametrize("seconds", [0.0, pytest.param(1.0, marks=pytest.mark.long), 21.0])
def test_repeated_on_another_connection_it_is_done_once(
    disk: Path, kind: str, minor: int, seconds: float
) -> None:
    """The first connection is still there; only its ACK was lost."""

    async def scenario(gateway: GatewayUnderTest) -> None:
        request = await request_of(kind, minor)
        before = len(gateway.transactions())
        async with await Till.open() as lost, await Till.open() as till:
            lost.say(request)
            await asyncio.sleep(seconds)
            assert await heard(till, request) is not None
        await check_done_once(gateway, before, kind)

    machine(disk).live(scenario)


@every_request
@pytest.mark.parametrize("seconds", [0.0, pytest.param(1.0, marks=pytest.mark.long), 21.0])
def test_repeated_at_the_next_life_it_is_done_once(
    disk: Path, kind: str, minor: int, seconds: float
) -> None:
    requests: list[Request] = []

    async def before(gateway: GatewayUnderTest) -> int:
        requests.append(await request_of(kind, minor))
        count = len(gateway.transactions())
        async with await Till.open() as till:
            till.say(requests[0])
            await asyncio.sleep(seconds + 0.1)
        return count

    async def after(gateway: GatewayUnderTest) -> None:
        await ask_until_heard(requests[0])
        await check_done_once(gateway, count, kind)

    on = machine(disk)
    count = on.live(before).result or 0
    on.wait(2)
    on.live(after)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stride", [11, pytest.param(3, marks=pytest.mark.long)])
def test_repeated_after_a_kill_at_any_step_it_is_done_once(
    disk: Path, kind: str, stride: int
) -> None:
    """Whatever was durable when the gateway died."""
    requests: list[Request] = []
    counts: list[int] = []

    async def prepare(gateway: GatewayUnderTest) -> int:
        requests.append(await request_of(kind, QUICK))
        return len(gateway.transactions())

    async def ask(_: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            till.say(requests[0])
            await till.is_acked()
            await till.payload()

    async def again(gateway: GatewayUnderTest) -> None:
        await ask_until_heard(requests[0])
        await check_done_once(gateway, counts[0], kind)

    def lives(name: str, kill_at: int | None = None) -> Life[None]:
        on = machine(disk / name)
        requests.clear()
        counts[:] = [on.live(prepare).result or 0]
        life = on.live(ask, kill_at=kill_at)
        on.wait(5)
        on.live(again)
        return life

    whole = lives("whole")
    for step in range(whole.first_step + 1, whole.last_step, stride):
        assert lives(f"killed-{step}", step).killed


def test_what_was_repeated_and_acknowledged_is_new_when_it_is_asked_for_again(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            till.say(pay(SLOW), pay(SLOW))
            assert await till.is_acked()
            first = await till.payload()
            till.acknowledge()
            assert await till.is_silent(30)
            second = await heard(till, pay(SLOW))
            assert second not in (None, first)
        assert list((await gateway.charges()).values()) == [SLOW] * 2

    machine(disk).live(scenario)
