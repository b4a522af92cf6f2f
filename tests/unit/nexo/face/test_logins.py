"""Login and Logout: sessions that last, versions, and a Login as the till's last resort."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

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
from tillwire.core.errands import Errand
from tillwire.core.model import State, Transaction, TransactionType
from tillwire.core.ports import AbortResult, Capabilities, TerminalStatus
from tillwire.dialects.nexo.face.context import DIALECT
from tillwire.dialects.nexo.face.logins import login_of
from tillwire.errors import AnswerLost
from tillwire.version import __version__


def login(**special: Any) -> Json:
    """The body of a LoginRequest."""
    return {
        "DateTime": "2026-11-20T08:30:00+01:00",
        "SaleSoftware": {
            "ProviderIdentification": "Hollow Creek",
            "ApplicationName": "TillKit",
            "SoftwareVersion": "0.4.1",
        },
        "OperatorLanguage": "EN",
        **special,
    }


async def log_in(lane: Lane, **special: Any) -> Json:
    header = special.pop("header", {})
    return response_in(await lane.send("Login", login(**special), **header), "Login")


async def log_out(lane: Lane) -> Json:
    return response_in(await lane.send("Logout", {}), "Logout")


TERMINAL_DATA = {
    "TerminalEnvironment": "SemiAttended",
    "SaleCapabilities": ["CashierStatus", "PrinterReceipt", "FaxMachine"],
    "TotalsGroupID": "GRP-A",
}


# --- login ------------------------------------------------------------------------------------


@virtual()
async def test_a_login_tells_what_the_terminal_is(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        answer = await log_in(sandbox.lane(), SaleTerminalData=TERMINAL_DATA)
        assert answer["Response"] == {"Result": "Success"}
        system = answer["POISystemData"]
        assert system["DateTime"].endswith("Z")
        assert system["POISoftware"] == {
            "ProviderIdentification": "tillwire",
            "ApplicationName": "tillwire",
            "SoftwareVersion": __version__,
            "CertificationCode": "none",
        }
        assert system["POITerminalData"] == {
            "TerminalEnvironment": "SemiAttended",
            "POICapabilities": [
                "CustomerDisplay",
                "CustomerInput",
                "PrinterReceipt",
                "PrinterDocument",
                "PrinterVoucher",
                "MagStripe",
                "ICC",
                "EMVContactless",
            ],
            "POIProfile": {
                "GenericProfile": "Standard",
                "ServiceProfiles": ["OneTimeRes", "Reservation"],
            },
            "POISerialNumber": "t1",
        }
        assert system["POIStatus"]["GlobalStatus"] == "OK"
        assert "TokenRequestStatus" not in system


@virtual()
async def test_a_terminal_that_can_do_little_says_so(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        desk.driver.capabilities = Capabilities(types=frozenset({TransactionType.PURCHASE}))
        data = (await log_in(desk.lane()))["POISystemData"]["POITerminalData"]
        assert data["POICapabilities"] == ["MagStripe", "ICC", "EMVContactless"]
        assert data["POIProfile"] == {"GenericProfile": "Basic"}
        assert data["TerminalEnvironment"] == "Attended", "where the till does not say"


@virtual()
async def test_a_session_keeps_what_the_till_said_across_a_restart(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        said = {"OperatorID": "op-19", "ShiftNumber": "2", "SaleTerminalData": TERMINAL_DATA}
        await log_in(desk.lane(), **said)
    async with desk_in(tmp_path) as desk:
        session = desk.engine.session("t1", DIALECT, "LANE-07")
        kept = login_of(session)
        assert (kept.operator, kept.shift, kept.totals_group) == ("op-19", "2", "GRP-A")
        assert kept.language == "en"
        assert kept.capabilities == ("CashierStatus", "PrinterReceipt"), "of those that there are"
        assert not kept.training
        assert kept.version == "3.1"


@virtual()
async def test_the_next_login_of_a_till_replaces_its_session_alone(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        await log_in(desk.lane("LANE-01"), OperatorID="ann")
        await log_in(desk.lane("LANE-02"), OperatorID="bob")
        lane = desk.lane("LANE-01")
        lane.number = 5
        await log_in(lane, OperatorID="cleo", TrainingModeFlag=True)
        sessions = desk.engine.sessions_at("t1", DIALECT)
        operators = {each.register: login_of(each).operator for each in sessions}
        assert operators == {"LANE-01": "cleo", "LANE-02": "bob"}
        assert login_of(desk.engine.session("t1", DIALECT, "LANE-01")).training


@virtual()
async def test_a_till_that_asks_for_tokens_hears_that_there_are_none(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        answer = await log_in(desk.lane(), TokenRequestedType="Customer")
        assert answer["POISystemData"]["TokenRequestStatus"] is False


@virtual()
async def test_an_exchanged_terminal_is_noticed_and_no_error(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        same = await log_in(desk.lane(), POISerialNumber="t1")
        assert "AdditionalResponse" not in same["Response"]
        other = await log_in(desk.lane("LANE-02"), POISerialNumber="SN77120031")
        assert ended(other) == ("Success", None)
        assert words(other) == (
            "The terminal was exchanged: its serial number is t1 now, not SN77120031."
        )


@virtual()
async def test_a_text_that_cannot_be_kept_is_refused_by_its_name(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        for text in ("o" * 101, "4111 1111 1111 1111", "a\nb"):
            answer = await log_in(desk.lane("LANE-" + str(len(text))), OperatorID=text)
            assert ended(answer) == ("Failure", "MessageFormat")
            assert "LoginRequest, field OperatorID" in words(answer)
            assert "4111 1111" not in words(answer)
        assert desk.engine.sessions_at("t1", DIALECT) == []


# --- versions ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offered", "agreed"),
    [
        ("3.0", "3.0"),
        ("3.1", "3.1"),
        ("3.1-dmg", "3.1"),
        ("3.2", "3.1"),
        ("5.1-WL1.0.0", "3.1"),
        (None, "3.1"),
    ],
)
def test_the_newest_version_that_both_know_is_agreed_on(
    tmp_path: Path, offered: str | None, agreed: str
) -> None:
    @virtual()
    async def play() -> None:
        async with desk_in(tmp_path) as desk:
            answer = await desk.lane().send("Login", login(), ProtocolVersion=offered)
            assert ended(response_in(answer)) == ("Success", None)
            assert answer["SaleToPOIResponse"]["MessageHeader"]["ProtocolVersion"] == agreed

    play()


@pytest.mark.parametrize(
    ("offered", "condition"),
    [("2.9", "UnavailableService"), ("0.9", "UnavailableService"), ("nexo", "MessageFormat")],
)
def test_a_version_that_is_not_spoken_opens_no_session(
    tmp_path: Path, offered: str, condition: str
) -> None:
    @virtual()
    async def play() -> None:
        async with desk_in(tmp_path) as desk:
            answer = await log_in(desk.lane(), header={"ProtocolVersion": offered})
            assert ended(answer) == ("Failure", condition)
            assert "ProtocolVersion" in words(answer)
            assert desk.engine.sessions_at("t1", DIALECT) == []

    play()


# --- what is under way ------------------------------------------------------------------------


@virtual()
async def test_a_login_calls_off_what_its_till_has_under_way(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        paying = lane.begin("Payment", payment())
        await desk.sent()
        desk.driver.abort_result = AbortResult.ABORTED
        assert ended(await log_in(lane)) == ("Success", None)
        paid = response_in(await asyncio.wait_for(paying, PATIENCE), "Payment")
        assert ended(paid)[0] == "Failure"
        assert desk.engine.session("t1", DIALECT, "LANE-07") is not None


@virtual()
async def test_a_login_waits_for_a_payment_that_is_beyond_being_aborted(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        paying = lane.begin("Payment", payment())
        transaction = await desk.sent()
        busy = await log_in(lane)
        assert ended(busy) == ("Failure", "Busy")
        assert "T-0042" in words(busy)
        assert desk.engine.session("t1", DIALECT, "LANE-07") is None
        desk.driver.answer(transaction, approved())
        await asyncio.wait_for(paying, PATIENCE)
        assert ended(await log_in(lane)) == ("Success", None)


@virtual()
async def test_a_payment_of_unknown_outcome_does_not_keep_its_till_out(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        paying = lane.begin("Payment", payment())
        transaction = await desk.sent()
        desk.driver.answer(transaction, AnswerLost("gone"))
        await desk.engine.wait(transaction.id, lambda each: each.state is State.UNKNOWN, PATIENCE)
        answer = await log_in(lane)
        assert ended(answer) == ("Success", None)
        assert "not known yet" in words(answer)
        assert desk.driver.aborted == [], "what is unknown is asked for, never aborted"
        assert ended(await log_out(lane)) == ("Success", None)
        paying.cancel()


@virtual()
async def test_a_login_leaves_the_payment_of_another_till_alone(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        paying = desk.lane("LANE-01").begin("Payment", payment())
        transaction = await desk.sent()
        desk.driver.abort_result = AbortResult.ABORTED
        assert ended(await log_in(desk.lane("LANE-02"))) == ("Success", None)
        assert desk.driver.aborted == []
        desk.driver.answer(transaction, approved())
        paid = response_in(await asyncio.wait_for(paying, PATIENCE))
        assert ended(paid) == ("Success", None)


@virtual()
async def test_a_login_calls_off_a_payment_that_is_only_being_accepted(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        accept, go_on = desk.engine.accept, asyncio.Event()

        async def slowly(*request: Any) -> Any:
            await go_on.wait()
            return await accept(*request)

        desk.engine.accept = slowly  # type: ignore[method-assign]
        desk.driver.abort_result = AbortResult.ABORTED
        paying = lane.begin("Payment", payment())
        await asyncio.sleep(1)
        assert ended(await log_in(lane)) == ("Success", None)
        go_on.set()
        paid = response_in(await asyncio.wait_for(paying, PATIENCE), "Payment")
        assert ended(paid)[0] == "Failure"
        assert desk.engine.open_transaction("t1") is None


@virtual()
async def test_a_payment_that_ends_while_it_is_called_off_does_not_keep_its_till_out(
    tmp_path: Path,
) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        paying = lane.begin("Payment", payment())
        await desk.sent()

        async def too_late(transaction: Transaction) -> AbortResult:
            desk.driver.answer(transaction, approved())
            await desk.engine.wait(transaction.id, lambda each: each.is_final, PATIENCE)
            return AbortResult.TOO_LATE

        desk.driver.abort = too_late  # type: ignore[method-assign]
        assert ended(await log_in(lane)) == ("Success", None)
        paid = response_in(await asyncio.wait_for(paying, PATIENCE), "Payment")
        assert ended(paid) == ("Success", None)


@virtual()
async def test_a_login_waits_until_the_terminal_is_free(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        begun = asyncio.Event()

        async def stubborn(errand: Errand, tell: Callable[[str], None]) -> None:
            begun.set()
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                await asyncio.sleep(3)

        desk.driver.perform = stubborn  # type: ignore[method-assign]
        updating = lane.begin("Admin", {})
        await asyncio.wait_for(begun.wait(), PATIENCE)
        assert ended(await log_in(lane)) == ("Success", None)
        assert not desk.engine.errand_at("t1")
        await asyncio.wait_for(updating, PATIENCE)


@virtual()
async def test_a_login_calls_off_an_update(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        desk.driver.errand_end = asyncio.get_running_loop().create_future()
        updating = lane.begin("Admin", {"ServiceIdentification": "Update"})
        await asyncio.wait_for(desk.driver.errand_begun.wait(), PATIENCE)
        assert ended(await log_in(lane)) == ("Success", None)
        called_off = response_in(await asyncio.wait_for(updating, PATIENCE), "Admin")
        assert ended(called_off) == ("Failure", "Aborted")
        assert desk.driver.errand_end.cancelled()


# --- logout -----------------------------------------------------------------------------------


@virtual()
async def test_a_logout_ends_the_session_and_may_be_repeated(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        await log_in(lane)
        await log_in(desk.lane("LANE-02"))
        assert ended(await log_out(lane)) == ("Success", None)
        assert ended(await log_out(lane)) == ("Success", None)
        assert [each.register for each in desk.engine.sessions_at("t1", DIALECT)] == ["LANE-02"]


@virtual()
async def test_a_logout_is_busy_while_a_service_of_the_till_runs(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        lane = desk.lane()
        await log_in(lane)
        paying = lane.begin("Payment", payment())
        transaction = await desk.sent()
        assert ended(await log_out(lane)) == ("Failure", "Busy")
        assert ended(await log_out(desk.lane("LANE-02"))) == ("Success", None)
        desk.driver.answer(transaction, approved())
        await asyncio.wait_for(paying, PATIENCE)

        desk.driver.errand_end = end = asyncio.get_running_loop().create_future()
        updating = lane.begin("Admin", {})
        await asyncio.wait_for(desk.driver.errand_begun.wait(), PATIENCE)
        assert ended(await log_out(lane)) == ("Failure", "Busy")
        end.set_result(None)
        await asyncio.wait_for(updating, PATIENCE)
        assert ended(await log_out(lane)) == ("Success", None)


@virtual()
async def test_where_logins_are_required_services_fail_before_and_after(tmp_path: Path) -> None:
    required = msgspec.structs.replace(SETTINGS, login_required=True)
    async with desk_in(tmp_path, required) as desk:
        lane = desk.lane()
        desk.driver.at_once = approved()
        assert ended(await lane.pay()) == ("Failure", "LoggedOut")
        await log_in(lane)
        assert ended(await lane.pay()) == ("Success", None)
        await log_out(lane)
        assert ended(await lane.pay()) == ("Failure", "LoggedOut")
        assert len(desk.driver.ran) == 1


# --- diagnosis of what was not reached ----------------------------------------------------------


@virtual()
async def test_a_till_may_log_in_at_a_terminal_that_is_not_there(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:

        async def gone() -> TerminalStatus:
            return TerminalStatus(False, "No route to it.")

        desk.driver.status = gone  # type: ignore[method-assign]
        answer = await log_in(desk.lane())
        assert ended(answer) == ("Success", None)
        assert answer["POISystemData"]["POIStatus"] == {
            "GlobalStatus": "Unreachable",
            "CommunicationOKFlag": False,
        }
