"""Tasks and their owner: each runs until it is done or the owner stops, and none fails unheard."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

from tillwire.errors import TillwireError

T = TypeVar("T")


class Tasks:
    """What runs on its own."""

    def __init__(self) -> None:
        self._running: set[asyncio.Future[Any]] = set()  # Any: results of every kind

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Let it run. An error that it ends with is told to the event loop."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._reap)
        return task

    def _reap(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            context = {"message": "A transaction's task failed", "exception": error, "task": task}
            task.get_loop().call_exception_handler(context)

    async def finish(self, work: Awaitable[T]) -> T:
        """What it comes to. It goes on to its end also when the caller is cancelled meanwhile; a
        refusal concerns nobody then, and a defect is told to the event loop. A future is waited
        for as it is, anything else runs as a task."""
        future = asyncio.ensure_future(work)
        self._running.add(future)
        waiter: asyncio.Future[T] = future.get_loop().create_future()

        def hand_over(done: asyncio.Future[T]) -> None:
            self._running.discard(done)
            if waiter.done():  # the caller was cancelled
                _without_caller(done)
            elif done.cancelled():
                waiter.cancel()
            elif (error := done.exception()) is not None:
                waiter.set_exception(error)
            else:
                waiter.set_result(done.result())

        future.add_done_callback(hand_over)
        return await waiter

    async def stop(self) -> None:
        """Cancel all, and wait until they have ended."""
        tasks = list(self._running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _without_caller(future: asyncio.Future[Any]) -> None:
    if future.cancelled():
        return
    error = future.exception()
    if error is not None and not isinstance(error, TillwireError):
        context = {"message": "Work without a caller failed", "exception": error, "future": future}
        future.get_loop().call_exception_handler(context)
