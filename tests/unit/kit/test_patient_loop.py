"""The patient loop: a process that was stopped has lost no time, and one that runs keeps it."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from tests.kit.patient_loop import PIECE, PatientClock, PatientLoop

T = TypeVar("T")


class Machine:
    """Its clock, which goes on while it runs nothing."""

    def __init__(self) -> None:
        self.lost = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.lost


def on(machine: Machine, scenario: Callable[[], Coroutine[Any, Any, T]]) -> T:
    with asyncio.Runner(loop_factory=lambda: PatientLoop(machine.monotonic)) as runner:
        return runner.run(scenario())


def test_a_clock_counts_pieces() -> None:
    shown = [100.0]
    clock = PatientClock(lambda: shown[0])
    shown[0] += PIECE / 2
    assert clock.now() == pytest.approx(PIECE / 2)
    shown[0] += 3600
    assert clock.now() == pytest.approx(PIECE)
    clock.next_piece()
    shown[0] += PIECE / 4
    assert clock.now() == pytest.approx(PIECE * 5 / 4)


def test_what_came_while_the_machine_stood_still_is_in_time() -> None:
    machine = Machine()

    async def scenario() -> bytes:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with ours, theirs:
            async with asyncio.timeout(0.3):
                reading = asyncio.ensure_future(loop.sock_recv(ours, 10))
                await asyncio.sleep(0)
                machine.lost += 3600
                await asyncio.sleep(0.01)
                theirs.send(b"in time")
                machine.lost += 3600
                return await reading

    assert on(machine, scenario) == b"in time"


def test_silence_takes_as_long_as_it_says() -> None:
    async def scenario() -> None:
        async with asyncio.timeout(0.05):
            await asyncio.get_running_loop().create_future()

    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        on(Machine(), scenario)
    assert time.monotonic() - begun >= 0.05


def test_whoever_only_looks_at_the_time_sees_it_pass() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + 0.02
        while loop.time() < end:  # noqa: ASYNC110 - that is the point
            await asyncio.sleep(0)

    on(Machine(), scenario)


async def test_tests_run_on_it() -> None:
    assert isinstance(asyncio.get_running_loop(), PatientLoop)


def test_so_do_those_that_run_a_loop_of_their_own() -> None:
    async def scenario() -> None:
        assert isinstance(asyncio.get_running_loop(), PatientLoop)

    asyncio.run(scenario())
