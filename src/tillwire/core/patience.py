"""How long a driver is waited for, and what its silence means.

A driver's work runs inside a task of the engine's. That task may be cancelled only by the engine:
a driver whose own parts were cancelled (a connection pool that closes, say) has merely failed, and
must not take along the task that watches over the transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from tillwire.errors import AnswerLost

T = TypeVar("T")


async def within(seconds: float, work: Awaitable[T]) -> T:
    """What a driver's work comes to. Raises `TimeoutError` after so many seconds, `AnswerLost`
    when the driver cancelled itself, and whatever the driver raises."""
    try:
        async with asyncio.timeout(seconds):
            return await work
    except asyncio.CancelledError:
        task = asyncio.current_task()
        assert task is not None, "a coroutine runs in a task"
        if task.cancelling():
            raise
        raise AnswerLost("The driver's own work was cancelled.") from None
