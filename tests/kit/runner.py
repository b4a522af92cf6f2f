"""Runs a test on a virtual loop, from a seed, and says how to run it again when it fails."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, ParamSpec, TypeVar

from tests.kit.virtual_loop import VirtualLoop, silence

P = ParamSpec("P")
T = TypeVar("T")
Scenario = Callable[P, Coroutine[Any, Any, T]]


def virtual(seed: int = 0) -> Callable[[Scenario[P, T]], Callable[P, T]]:
    """Make an `async def` test run on a virtual loop: `@virtual(seed=7)`."""

    def decorate(scenario: Scenario[P, T]) -> Callable[P, T]:
        @functools.wraps(scenario)
        def test(*args: P.args, **kwargs: P.kwargs) -> T:
            return run(scenario(*args, **kwargs), VirtualLoop(seed))

        return test

    return decorate


def run(scenario: Coroutine[Any, Any, T], loop: VirtualLoop) -> T:
    """Run a scenario to its end on `loop`, end what it left behind, and close the loop.

    Raises what the scenario raises, and `AssertionError` when something failed that nobody
    awaited; what was going on is thrown away then. `Killed` comes out as it is, and leaves the
    loop as it was at that step, for the caller to `abandon`.
    """
    try:
        result = loop.run_until_complete(scenario)
        with silence():
            loop.run_until_complete(_wind_up(loop))
    except Exception:
        loop.abandon()
        raise
    loop.close()
    # asyncio's stream servers complain of their own handlers' cancellation, which was ours.
    cancelled = asyncio.CancelledError
    unnoticed = [c for c in loop.unnoticed if not isinstance(c.get("exception"), cancelled)]
    assert not unnoticed, f"errors that nobody awaited: {unnoticed}"
    return result


async def _wind_up(loop: VirtualLoop) -> None:
    tasks = _in_order(asyncio.all_tasks(loop) - {asyncio.current_task()})
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await loop.shutdown_asyncgens()


def _in_order(tasks: Iterable[asyncio.Task[T]]) -> list[asyncio.Task[T]]:
    # A set of tasks is in the order of their addresses, which no seed decides.
    return sorted(tasks, key=lambda task: (len(task.get_name()), task.get_name()))


def seeds(default: range) -> list[int]:
    """The seeds to run: `default`, or what the environment variable TILLWIRE_SEEDS says, as
    `17` or `1000-2000`."""
    wanted = os.environ.get("TILLWIRE_SEEDS", "")
    if not wanted:
        return list(default)
    first, _, last = wanted.partition("-")
    return list(range(int(first), int(last or first) + 1))


def again(seed: int) -> str:
    """The one command that runs the present test again with this seed."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "").split(" ")[0].split("[")[0]
    return f"Again: TILLWIRE_SEEDS={seed} .venv/bin/pytest '{test}'"
