"""Diagnosis: how a terminal is, asked at any time and without a session."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from tests.kit.runner import virtual
from tests.unit.core.scripted import approved
from tests.unit.nexo.face.lanes import (
    PATIENCE,
    SETTINGS,
    Json,
    Lane,
    desk_in,
    ended,
    payment,
    response_in,
    sandbox_in,
    words,
)
from tests.unit.nexo.face.test_logins import log_in
from tillwire.core.estate_model import Lifecycle
from tillwire.core.model import State
from tillwire.core.ports import Capabilities, TerminalStatus
from tillwire.errors import AnswerLost


async def diagnose(lane: Lane, **body: Any) -> Json:
    return response_in(await lane.send("Diagnosis", body), "Diagnosis")


def how(diagnosis: Json) -> str:
    status: str = diagnosis["POIStatus"]["GlobalStatus"]
    return status


@virtual()
async def test_an_idle_terminal_is_ok(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        found = await diagnose(sandbox.lane())
        assert found == {
            "Response": {"Result": "Success"},
            "POIStatus": {
                "GlobalStatus": "OK",
                "PEDOKFlag": True,
                "CardReaderOKFlag": True,
                "PrinterStatus": "OK",
                "CommunicationOKFlag": True,
            },
        }, "nothing of what no driver tells: no session, no hosts, no tampering"


@virtual()
async def test_a_terminal_without_a_printer_has_no_printer_status(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        desk.driver.capabilities = Capabilities(types=frozenset())
        assert "PrinterStatus" not in (await diagnose(desk.lane()))["POIStatus"]


@virtual()
async def test_all_tills_that_are_logged_in_are_named(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        for sale_id in ("LANE-02", "LANE-01"):
            await log_in(desk.lane(sale_id))
        await log_in(desk.lane("LANE-03", "V1-t2"))
        assert (await diagnose(desk.lane()))["LoggedSaleID"] == ["LANE-02", "LANE-01"]


@virtual()
async def test_hosts_are_told_only_when_they_are_asked_for(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        assert "HostStatus" not in await diagnose(lane, AcquirerID=["601234"])
        named = await diagnose(lane, HostDiagnosisFlag=True, AcquirerID=["601234", "7"])
        assert named["HostStatus"] == [
            {"AcquirerID": "601234", "IsReachableFlag": True},
            {"AcquirerID": "7", "IsReachableFlag": True},
        ]
        (host,) = (await diagnose(lane, HostDiagnosisFlag=True))["HostStatus"]
        assert host["AcquirerID"]


@virtual()
async def test_a_terminal_that_does_not_answer_is_unreachable(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:

        async def silent() -> TerminalStatus:
            raise AnswerLost("The line is dead.")

        desk.driver.status = silent  # type: ignore[method-assign]
        found = await diagnose(desk.lane(), HostDiagnosisFlag=True)
        assert ended(found) == ("Success", None), "the question was answered"
        assert found["POIStatus"] == {"GlobalStatus": "Unreachable", "CommunicationOKFlag": False}
        assert found["HostStatus"][0]["IsReachableFlag"] is False
        assert "The line is dead." in words(found)


@virtual()
async def test_a_payment_and_an_errand_make_it_busy(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane, other = desk.lane(), desk.lane("LANE-02")
        paying = lane.begin("Payment", payment())
        transaction = await desk.sent()
        busy = await diagnose(other)
        assert how(busy) == "Busy"
        assert transaction.id in words(busy)
        assert how(await diagnose(lane)) == "Busy", "asked by the till that pays, too"
        desk.driver.answer(transaction, approved())
        await asyncio.wait_for(paying, PATIENCE)
        assert how(await diagnose(other)) == "OK"

        desk.driver.errand_end = end = asyncio.get_running_loop().create_future()
        updating = lane.begin("Admin", {})
        await asyncio.wait_for(desk.driver.errand_begun.wait(), PATIENCE)
        assert how(await diagnose(other)) == "Busy"
        end.set_result(None)
        await asyncio.wait_for(updating, PATIENCE)


@virtual()
async def test_an_unknown_outcome_is_told_with_what_to_do(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        paying = lane.begin("Payment", payment())
        transaction = await desk.sent()
        desk.driver.answer(transaction, AnswerLost("gone"))
        await desk.engine.wait(transaction.id, lambda each: each.state is State.UNKNOWN, PATIENCE)
        found = await diagnose(desk.lane("LANE-02"))
        assert how(found) == "Busy"
        assert "is not known yet" in words(found)
        paying.cancel()


@virtual()
async def test_a_terminal_out_of_service_is_in_maintenance(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        terminal = desk.engine.estate.terminals["t1"]
        await desk.put(msgspec.structs.replace(terminal, lifecycle=Lifecycle.CREATED))
        found = await diagnose(desk.lane())
        assert how(found) == "Maintenance"
        assert "CREATED" in words(found)


@virtual()
async def test_another_terminal_of_the_face_may_be_asked_about(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        paying = desk.lane("LANE-02", "V1-t2").begin("Payment", payment())
        transaction = await desk.sent()
        lane = desk.lane()
        assert how(await diagnose(lane, POIID="V1-t2")) == "Busy"
        assert how(await diagnose(lane, POIID="V1-t1")) == "OK"
        foreign = await diagnose(lane, POIID="V1-x1")
        assert ended(foreign) == ("Failure", "NotFound"), "of another organisation"
        desk.driver.answer(transaction, approved())
        await asyncio.wait_for(paying, PATIENCE)


@virtual()
async def test_it_needs_no_session(tmp_path: Path) -> None:
    required = msgspec.structs.replace(SETTINGS, login_required=True)
    async with desk_in(tmp_path, required) as desk:
        assert how(await diagnose(desk.lane())) == "OK"
