"""Errands that go on after their message was answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from tillwire.core.errands import Errand, Result
from tillwire.dialects.nexo.face.context import Visit
from tillwire.errors import TillwireError


async def begin(visit: Visit, errand: Errand, then: Callable[[Result], None]) -> asyncio.Task[None]:
    """Have the visit's terminal run an errand, and call `then` with what comes of it. The task
    goes on when this returns; cancelling it calls the errand off.

    Raises what keeps it from beginning, such as `TerminalBusy` and `Unsupported`. What goes wrong
    later is logged: nobody waits for it.
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
    await asyncio.sleep(0)  # the task runs up to its first wait
    returned = True
    if early:
        raise early[0]
    return task
