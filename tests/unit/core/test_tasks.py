"""Work that goes on when its caller is gone ends heard, or is nobody's concern any more."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from tillwire.core.tasks import Tasks
from tillwire.errors import Conflict


@pytest.mark.parametrize(
    ("error", "told"), [(Conflict("taken"), 0), (ZeroDivisionError(), 1)], ids=["refusal", "defect"]
)
async def test_what_fails_without_a_caller(error: Exception, told: int) -> None:
    heard: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: heard.append(context))
    go, tasks = asyncio.Event(), Tasks()

    async def work() -> None:
        await go.wait()
        raise error

    caller = loop.create_task(tasks.finish(work()))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    go.set()
    for _ in range(3):
        await asyncio.sleep(0)
    del caller
    gc.collect()
    assert [context["exception"] for context in heard] == [error] * told


async def test_a_caller_hears_what_went_wrong() -> None:
    async def work() -> None:
        raise Conflict("taken")

    with pytest.raises(Conflict):
        await Tasks().finish(work())
