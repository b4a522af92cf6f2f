"""Whatever fails around a payment, its till is never told a failure that is none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.kit.runner import virtual
from tests.unit.nexo.face.lanes import (
    SETTINGS,
    TERMINAL,
    VISA,
    Desk,
    desk_in,
    ended,
    event_in,
    log_in,
    payment,
    response_in,
    sandbox_in,
    words,
)
from tillwire.core.engine import Engine
from tillwire.core.errands import CardRead
from tillwire.core.ports import Reader, Unit
from tillwire.dialects.nexo.face.context import DIALECT
from tillwire.dialects.nexo.face.logins import Login
from tillwire.errors import ConfigurationError, JournalFull

FIRST = {"ServiceID": "1"}
ACQUISITION = {"SaleData": payment()["SaleData"], "CardAcquisitionTransaction": {}}


class Disk:
    """The journal's disk, which a test can fill."""

    def __init__(self, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        self.unreadable = False
        journal = engine.journal
        commit, read = journal.commit, journal.read

        async def failing_commit(work: Callable[[Unit], Any]) -> Any:  # Any: as the port's
            if self.full:
                raise JournalFull("the disk is full")
            return await commit(work)

        async def failing_read(work: Callable[[Reader], Any]) -> Any:  # Any: as the port's
            if self.unreadable:
                raise JournalFull("the disk is gone")
            return await read(work)

        monkeypatch.setattr(journal, "commit", failing_commit)
        monkeypatch.setattr(journal, "read", failing_read)


@contextmanager
def disk_of(desk: Desk) -> Iterator[Disk]:
    with pytest.MonkeyPatch.context() as patch:
        yield Disk(desk.engine, patch)


# --- the journal -------------------------------------------------------------------------------


@virtual()
async def test_what_cannot_be_journaled_is_not_sent_and_may_be_tried_again(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        with disk_of(desk) as disk:
            lane = desk.lane()
            disk.full = True
            refused = await lane.pay()
            assert ended(refused) == ("Failure", "Busy")
            assert "Nothing was done." in words(refused)
            await asyncio.sleep(60)
            assert desk.driver.ran == []
            disk.full = False
            desk.driver.at_once = VISA
            assert ended(await lane.pay(header=FIRST)) == ("Success", None)


@virtual()
async def test_a_repeated_payment_is_known_though_nothing_can_be_written(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        with disk_of(desk) as disk:
            lane = desk.lane()
            desk.driver.at_once = VISA
            await lane.pay()
            disk.full = True
            assert ended(await lane.pay(header=FIRST)) == ("Failure", "NotAllowed")
            disk.unreadable = True
            again = await lane.pay(header=FIRST)
            assert ended(again) == ("Failure", "InProgress"), "nobody can tell: no new try"


@virtual()
async def test_an_outcome_is_journaled_before_it_is_told(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        with disk_of(desk) as disk:
            paying = desk.lane().begin("Payment", payment())
            transaction = await desk.sent()
            disk.full = True
            desk.driver.answer(transaction, VISA)
            await asyncio.sleep(60)
            assert not paying.done(), "the outcome is not durable"
            disk.full = False
            assert ended(response_in(await paying)) == ("Success", None)


@virtual()
async def test_an_approval_whose_period_cannot_be_read_is_no_failure(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        with disk_of(desk) as disk:
            paying = desk.lane().begin("Payment", payment())
            transaction = await desk.sent()
            disk.unreadable = True
            desk.driver.answer(transaction, VISA)
            await asyncio.sleep(60)
            assert not paying.done()
            disk.unreadable = False
            assert ended(response_in(await paying)) == ("Success", None)


@virtual()
async def test_a_status_that_cannot_be_read_says_nothing_of_the_payment(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        with disk_of(desk) as disk:
            lane = desk.lane()
            desk.driver.at_once = VISA
            await lane.pay()
            disk.unreadable = True
            assert ended(await lane.status("1")) == ("Failure", "Busy"), "ask again"
            event = event_in(await lane.abort("1"))
            assert event["EventToNotify"] == "Reject"
            assert "was not aborted" in event["EventDetails"]
            again = await lane.pay(header=FIRST)
            assert ended(again) == ("Failure", "InProgress"), "Busy would invite to pay again"
            disk.unreadable = False
            assert ended(await lane.pay(header=FIRST)) == ("Failure", "NotAllowed")


# --- the till goes away ------------------------------------------------------------------------


@pytest.mark.parametrize("steps", range(0, 30, 2))
def test_a_till_that_goes_away_at_any_moment_pays_once(tmp_path: Path, steps: int) -> None:
    """It sends the same message again, and asks until it knows."""

    @virtual(seed=steps)
    async def scenario() -> None:
        async with sandbox_in(tmp_path) as sandbox:
            paying = sandbox.lane().begin("Payment", payment("10.49"))
            for _ in range(steps):
                await asyncio.sleep(0)
            paying.cancel()
            await asyncio.wait({paying})
            await asyncio.sleep(1)
            lane = sandbox.lane()
            again = await lane.pay("10.49")
            assert ended(again) in (("Success", None), ("Failure", "InProgress"))
            await asyncio.sleep(60)
            told = await lane.status("1")
            body = told["RepeatedMessageResponse"]["RepeatedResponseMessageBody"]
            assert ended(body["PaymentResponse"]) == ("Success", None)
            assert await sandbox.charged() == [("PURCHASE", 1049, True)]

    scenario()


@pytest.mark.parametrize("steps", range(0, 30, 5))
def test_nothing_is_left_of_a_till_that_went_away(tmp_path: Path, steps: int) -> None:
    @virtual(seed=steps)
    async def scenario() -> None:
        async with desk_in(tmp_path) as desk:
            desk.driver.at_once = VISA
            before = asyncio.all_tasks()
            for category, body in (("Payment", payment()), ("GetTotals", {}), ("Admin", {})):
                asking = desk.lane(f"LANE-{category}").begin(category, body)
                for _ in range(steps):
                    await asyncio.sleep(0)
                asking.cancel()
            await asyncio.sleep(60)
            assert desk.dialogues.at("t1") == []
            assert asyncio.all_tasks() == before

    scenario()


# --- defects -----------------------------------------------------------------------------------


@virtual()
async def test_a_defect_is_not_told_as_a_failure_of_the_payment(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        with pytest.MonkeyPatch.context() as patch:

            def broken(*_: object) -> None:
                raise RuntimeError("a defect")

            patch.setattr(desk.engine, "listen", broken)
            with pytest.raises(RuntimeError):
                await desk.lane().pay()
        assert desk.dialogues.at("t1") == []
        lane = desk.lane()
        lane.number = 1
        assert ended(await lane.status("1")) == ("Failure", "InProgress"), "it goes on"


@virtual()
async def test_a_terminal_whose_settings_are_wrong_is_not_available(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:

        def driver_of(_: object) -> None:
            raise ConfigurationError("there is no host")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(desk.engine, "_driver_of", driver_of)
            refused = await desk.lane().pay()
        assert ended(refused) == ("Failure", "UnavailableDevice")
        assert "there is no host" in words(refused)


# --- refusals, statuses and Aborts while the journal fails ---------------------------------------


@virtual()
async def test_a_repeated_payment_is_not_told_to_log_in_and_try_again(tmp_path: Path) -> None:
    """The till has lost its session and the answer; what it repeats was paid."""
    settings = msgspec.structs.replace(SETTINGS, login_required=True)
    async with desk_in(tmp_path, settings) as desk:
        lane = desk.lane()
        await log_in(desk.engine, lane, Login())
        desk.driver.at_once = VISA
        assert ended(await lane.pay())[0] == "Success"
        await desk.engine.close_session(TERMINAL, DIALECT, lane.sale_id)
        with disk_of(desk) as disk:
            disk.full = True
            assert ended(await lane.pay(header=FIRST)) == ("Failure", "NotAllowed")
            disk.unreadable = True
            assert ended(await lane.pay(header=FIRST)) == ("Failure", "InProgress")
            disk.unreadable = False
            assert ended(await lane.pay(header={"ServiceID": "9"})) == ("Failure", "LoggedOut")


@virtual()
async def test_an_abort_that_could_not_be_journaled_may_be_sent_again(tmp_path: Path) -> None:
    async with desk_in(tmp_path, pull=True) as desk:
        lane = desk.lane()
        paying = lane.begin("Payment", payment())
        await asyncio.sleep(1)
        with disk_of(desk) as disk:
            disk.full = True
            assert "was not aborted" in event_in(await lane.abort("1"))["EventDetails"]
        async with asyncio.timeout(1):
            assert await lane.abort("1") is None
            assert ended(response_in(await paying)) == ("Failure", "Aborted")


@virtual()
async def test_an_answer_is_not_taken_for_one_that_a_restart_cut_off(tmp_path: Path) -> None:
    """It is written just while a TransactionStatus reads that there is none yet."""
    async with desk_in(tmp_path) as desk:
        lane, asking = desk.lane(), desk.lane()
        asking.number = 10
        desk.driver.errand_end = asyncio.get_running_loop().create_future()
        reading = lane.begin("CardAcquisition", ACQUISITION)
        await desk.driver.errand_begun.wait()
        read = desk.engine.journal.read
        with pytest.MonkeyPatch.context() as patch:

            async def slow(work: Callable[[Reader], Any]) -> Any:  # Any: as the port's
                found = await read(work)
                patch.undo()
                desk.driver.errand_end.set_result(CardRead("C-1", brand="VISA"))
                await reading
                return found

            patch.setattr(desk.engine.journal, "read", slow)
            status = await asking.status(
                MessageReference={"MessageCategory": "CardAcquisition", "ServiceID": "1"}
            )
        assert ended(status) == ("Success", None)
        answer = status["RepeatedMessageResponse"]["RepeatedResponseMessageBody"]
        assert answer["CardAcquisitionResponse"] == response_in(await reading)
