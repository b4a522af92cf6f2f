"""Virtual time: it passes only when nobody has anything to do, and the same way every time."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from tests.kit.runner import again, run, seeds, virtual
from tests.kit.virtual_loop import (
    EPOCH,
    TIME_LIMIT,
    DeadlockError,
    Killed,
    RunawayError,
    VirtualLoop,
    virtual_loop,
)


@virtual()
async def test_hours_pass_in_milliseconds() -> None:
    loop, begun = virtual_loop(), time.process_time()
    await asyncio.sleep(7 * 3600)
    assert loop.clock.monotonic() == 7 * 3600
    assert loop.clock.now() == EPOCH + 7 * 3_600_000
    assert time.process_time() - begun < 1
    assert loop.steps < 5


@virtual()
async def test_timers_fire_in_the_order_of_their_times() -> None:
    heard: list[float] = []

    async def after(seconds: float) -> None:
        await asyncio.sleep(seconds)
        heard.append(seconds)

    await asyncio.gather(*(after(seconds) for seconds in (3.0, 0.5, 60.0, 1.0)))
    assert heard == [0.5, 1.0, 3.0, 60.0]


@virtual()
async def test_a_cancelled_timer_does_not_hold_time_back() -> None:
    async with asyncio.timeout(3600):
        await asyncio.sleep(1)
    assert virtual_loop().time() == 1
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await asyncio.sleep(3600)
    assert virtual_loop().time() == 6


@virtual()
async def test_an_executor_runs_on_the_loop_in_a_later_step() -> None:
    loop = virtual_loop()
    done: list[int] = []
    waiting = loop.run_in_executor(None, done.append, 1)
    assert done == []
    await waiting
    assert done == [1]
    with pytest.raises(ZeroDivisionError):
        await loop.run_in_executor(None, divmod, 1, 0)


def test_everybody_waiting_for_ever_is_an_error_that_says_where() -> None:
    async def wait_for_nobody() -> None:
        await asyncio.Event().wait()

    loop = VirtualLoop()
    with pytest.raises(DeadlockError, match=r"waits at .* in wait_for_nobody"):
        run(wait_for_nobody(), loop)


def test_time_has_a_limit() -> None:
    async def never_end() -> None:
        for _ in range(10_000):
            await asyncio.sleep(3600)

    loop = VirtualLoop()
    with pytest.raises(RunawayError):
        run(never_end(), loop)
    assert TIME_LIMIT < loop.time() < TIME_LIMIT + 7200


def test_an_error_that_nobody_awaited_fails_the_run() -> None:
    async def fail() -> None:
        raise ValueError("unheard")

    async def scenario() -> None:
        task = asyncio.create_task(fail())
        await asyncio.sleep(1)
        del task

    with pytest.raises(AssertionError, match="unheard"):
        run(scenario(), VirtualLoop())


def _trace(seed: int) -> tuple[list[tuple[float, str]], int]:
    heard: list[tuple[float, str]] = []

    async def walker(name: str) -> None:
        loop = virtual_loop()
        for _ in range(20):
            await asyncio.sleep(loop.random.choice((0, 0, 0.1, 2)))
            heard.append((loop.time(), name + loop.clock.random_digits(3)))

    async def scenario() -> None:
        await asyncio.gather(*(walker(name) for name in "abc"))

    loop = VirtualLoop(seed)
    run(scenario(), loop)
    return heard, loop.steps


def test_the_same_seed_takes_the_same_steps() -> None:
    assert _trace(3) == _trace(3)
    assert _trace(3) != _trace(4)


def test_a_process_can_be_killed_before_any_step() -> None:
    async def count(done: list[int]) -> None:
        try:
            for number in range(5):
                done.append(number)
                await asyncio.sleep(0)
        finally:
            done.append(-1)

    reached = set()
    for step in range(2, 7):
        done: list[int] = []
        loop = VirtualLoop()
        loop.kill_at(step)
        with pytest.raises(Killed):
            run(count(done), loop)
        reached.add(len(done))
        assert -1 not in done, "nothing ran on after the kill"
        loop.abandon()
    assert reached == {1, 2, 3, 4, 5}


def test_what_is_abandoned_makes_no_noise(caplog: pytest.LogCaptureFixture) -> None:
    async def fail_when_closed() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            raise ValueError("a finally block of a dead process")

    async def scenario() -> None:
        tasks = [asyncio.create_task(fail_when_closed()) for _ in range(3)]
        await asyncio.gather(*tasks)

    loop = VirtualLoop()
    loop.kill_at(6)
    with pytest.raises(Killed):
        run(scenario(), loop)
    loop.abandon()
    del loop
    assert caplog.records == []


def test_a_stopped_process_misses_time() -> None:
    seen: list[float] = []

    async def scenario() -> None:
        loop = virtual_loop()
        for _ in range(3):
            seen.append(loop.time())
            await asyncio.sleep(1)

    loop = VirtualLoop()
    loop.at_step(2, lambda: loop.jump(60))
    run(scenario(), loop)
    assert seen == [0, 61, 62]


def test_seeds_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TILLWIRE_SEEDS", raising=False)
    assert seeds(range(3)) == [0, 1, 2]
    monkeypatch.setenv("TILLWIRE_SEEDS", "17")
    assert seeds(range(3)) == [17]
    monkeypatch.setenv("TILLWIRE_SEEDS", "5-7")
    assert seeds(range(3)) == [5, 6, 7]


def test_a_failing_seed_names_the_command_that_repeats_it() -> None:
    assert again(17) == (
        "Again: TILLWIRE_SEEDS=17 .venv/bin/pytest 'tests/unit/kit/test_virtual_loop.py::"
        "test_a_failing_seed_names_the_command_that_repeats_it'"
    )


def test_a_thread_that_calls_the_loop_fails_the_test() -> None:
    """However fast it is: this one is always faster than the loop's next timer."""

    async def calls() -> None:
        loop = asyncio.get_running_loop()
        refusals: list[RuntimeError] = []

        def call() -> None:
            try:
                loop.call_soon_threadsafe(print, "heard")
            except RuntimeError as error:
                refusals.append(error)

        thread = threading.Thread(target=call, name="caller")
        thread.start()
        thread.join()
        assert len(refusals) == 1

    with pytest.raises(AssertionError, match="thread caller called a virtual loop"):
        run(calls(), VirtualLoop())
