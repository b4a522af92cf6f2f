"""Errands that go on after their message was answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from tillwire.core.errands import Errand, Result
from tillwire.dialects.nexo.face.context import Visit
from tillwire.errors import TillwireError

CALLED_OFF_WITHIN: Final = 10.0
"""Seconds in which an errand that was called off must have ended."""


async def begin(visit: Visit, errand: Errand, then: Callable[[Result], None]) -> asyncio.Task[None]:
    """Have the visit's terminal run an errand, and call `then` with what comes of it. The task
    goes on when this returns; cancelling it calls the errand off.

    Raises what keeps it from beginning, such as `TerminalBusy` and `Unsupported`. What goes wrong
    later is logged: nobody waits for it. Who is cancelled in here has begun nothing.
    """
    early: list[TillwireError] = []
    returned = False

    async def run() -> None:
        try:
            result = await visit.context.engine.perform(visit.terminal.id, errand)
        except TillwireError as error:
            if not returned:
                early.append(error)
                return
            structlog.get_logger().info(
                "an errand failed that was answered before",
                terminal=visit.terminal.name,
                errand=type(errand).__name__,
                error=str(error),
            )
        else:
            then(result)

    task = visit.context.tasks.spawn(run())
    try:
        await asyncio.sleep(0)  # the task runs up to its first wait
    except asyncio.CancelledError:
        await call_off(task)
        raise
    returned = True
    if early:
        raise early[0]
    return task


async def call_off(task: asyncio.Task[None]) -> None:
    """Call the errand off, and wait until it has ended."""
    if not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=CALLED_OFF_WITHIN)
