"""Tasks and their owner: each runs until it is done or the owner stops, and none fails unheard."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from tillwire.errors import TillwireError

T = TypeVar("T")


class Tasks:
    """What runs on its own."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()  # Any: tasks of every kind of result

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

    async def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """What it comes to. It goes on to its end also when the caller is cancelled meanwhile; a
        refusal concerns nobody then, and a defect is told to the event loop."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_without_caller)
            raise

    async def stop(self) -> None:
        """Cancel all, and wait until they have ended."""
        tasks = list(self._running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _without_caller(task: asyncio.Task[Any]) -> None:
    if task.cancelled():
        return
    error = task.exception()
    if error is not None and not isinstance(error, TillwireError):
        context = {"message": "Work without a caller failed", "exception": error, "task": task}
        task.get_loop().call_exception_handler(context)
