"""A till that goes away at the worst moment: what is being committed just then is not denied, and
an Abort that came before is not forgotten."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.kit.runner import virtual
from tests.unit.nexo.face.lanes import VISA, Desk, desk_in, ended, payment, response_in
from tillwire.core.ports import AbortResult, Unit
from tillwire.errors import ConfigurationError


class Commits:
    """The journal's commits, which a test can hold up."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()


@contextmanager
def held_up(desk: Desk) -> Iterator[Commits]:
    """Commits begin, and end when the test says so."""
    commits, commit = Commits(), desk.engine.journal.commit

    async def slow(work: Callable[[Unit], Any]) -> Any:  # Any: as the port's
        commits.begun.set()
        await commits.go_on.wait()
        return await commit(work)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(desk.engine.journal, "commit", slow)
        yield commits


async def gone(task: asyncio.Task[Any]) -> None:
    """The till hangs up."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@virtual()
async def test_what_is_being_committed_is_not_denied(tmp_path: Path) -> None:
    """NotFound would make the till pay again, and this payment comes all the same."""
    async with desk_in(tmp_path) as desk:
        with held_up(desk) as commits:
            paying = desk.lane().begin("Payment", payment())
            await commits.begun.wait()
            await gone(paying)
            back = desk.lane()
            back.number = 10
            assert ended(await back.status("1")) == ("Failure", "InProgress")
            commits.go_on.set()
            await desk.sent()
            assert ended(await back.status("1")) == ("Failure", "InProgress")
        assert desk.dialogues.at("t1") == [], "nobody waits for it any more"


@virtual()
async def test_an_abort_of_what_is_being_committed_counts_though_its_till_goes(
    tmp_path: Path,
) -> None:
    async with desk_in(tmp_path) as desk:
        with held_up(desk) as commits:
            lane = desk.lane()
            paying = lane.begin("Payment", payment())
            await commits.begun.wait()
            assert await lane.abort("1") is None
            await gone(paying)
            commits.go_on.set()
            transaction = await desk.sent()
            await asyncio.sleep(30)
        assert desk.driver.aborted == [transaction.id]


@virtual()
async def test_an_abort_that_fails_is_no_failure_of_what_was_committed(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        with held_up(desk) as commits, pytest.MonkeyPatch.context() as patch:

            async def unreached(transaction_id: str) -> AbortResult:
                raise ConfigurationError("The settings of the terminal are wrong.")

            patch.setattr(desk.engine, "abort", unreached)
            lane = desk.lane()
            paying = lane.begin("Payment", payment())
            await commits.begun.wait()
            assert await lane.abort("1") is None
            commits.go_on.set()
            desk.driver.answer(await desk.sent(), VISA)
            assert ended(response_in(await paying)) == ("Success", None)


@virtual()
async def test_the_last_one_is_the_one_that_is_being_committed(tmp_path: Path) -> None:
    """The answer of the one before would be taken for its own."""
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        desk.driver.at_once = VISA
        assert ended(await lane.pay())[0] == "Success"
        with held_up(desk) as commits:
            paying = lane.begin("Payment", payment())
            await commits.begun.wait()
            assert ended(await lane.status()) == ("Failure", "InProgress")
            commits.go_on.set()
            await paying
        last = await lane.status()
        assert last["MessageReference"]["ServiceID"] == "2"
