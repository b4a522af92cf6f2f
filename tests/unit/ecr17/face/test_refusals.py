"""What a NAK leaves behind: nothing for the till, a line in the log for the operator."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import structlog

from tests.kit.gateway import GatewayUnderTest
from tests.unit.ecr17.face.till import REGISTER, TID, Till, last, live, status
from tillwire.dialects.ecr17 import wire
from tillwire.dialects.ecr17.face.lane import Lane
from tillwire.dialects.ecr17.face.session import LaneFace, Session
from tillwire.dialects.ecr17.face.settings import Settings
from tillwire.dialects.ecr17.wire import ACK, NAK, ReprintRequest, Request, VasRequest
from tillwire.net.per_minute import LOGGED_A_MINUTE

TERMINAL = "TILLWIRE-V1-0001"


class QuickTill:
    """A connection to a till whose next request is there before the event loop's next turn, as it
    may be on a loop that reads from sockets before it calls what is due."""

    peer = "127.0.0.1:1470"

    def __init__(self, *requests: Request) -> None:
        self.heard: list[bytes] = []
        self.session: Session | None = None
        self._requests = [wire.application(wire.encode(each)) for each in requests]

    def ask(self) -> None:
        assert self.session is not None
        if self._requests:
            self.session.received(self._requests.pop(0))

    def send(self, message: bytes, *, optional: bool = False) -> bool:
        del optional
        self.heard.append(message[:3])
        if message == NAK:
            self.ask()
        return True

    def close(self) -> None:
        self.heard.append(b"closed")


def test_after_a_nak_the_next_request_is_served_however_quick_it_comes(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        face = LaneFace(
            Lane(gateway.engine, gateway.clock, Settings(organisation="shop", terminal=TERMINAL))
        )
        till = QuickTill(last(), ReprintRequest(tid=TID, on_ecr=True), status())
        till.session = face.connected(till)
        till.ask()
        await asyncio.sleep(1)
        assert till.heard[:3] == [NAK, NAK, ACK]
        await face.stop()

    live(disk, scenario)


def test_a_till_that_writes_no_more_hears_its_nak_before_the_end(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        face = LaneFace(
            Lane(gateway.engine, gateway.clock, Settings(organisation="shop", terminal=TERMINAL))
        )
        till = QuickTill(last())
        till.session = face.connected(till)
        till.ask()
        till.session.finish()
        await asyncio.sleep(1)
        assert till.heard == [NAK, b"closed"]
        await face.stop()

    live(disk, scenario)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (last(), "G"),
        (VasRequest(tid=TID, cash_register=REGISTER, xml="<ecrreq/>"), "K"),
        (status("99999999"), "s"),
    ],
)
def test_the_log_names_the_lanes_terminal_and_the_message_by_its_code(
    disk: Path, request_: Request, code: str
) -> None:
    async def scenario(_: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            till.say(request_)
            assert not await till.is_acked()

    with structlog.testing.capture_logs() as lines:
        live(disk, scenario)
    (line,) = [each for each in lines if each["event"] == "an ECR17 request was refused"]
    assert (line["terminal"], line["code"]) == (TERMINAL, code)
    assert "Request" not in line["reason"]


@pytest.mark.parametrize("odd", [b"\x06\x03\x00", b"\x15\x03\x00"])
def test_an_odd_check_character_of_an_answer_is_logged_once_for_a_connection(
    disk: Path, odd: bytes
) -> None:
    async def scenario(_: GatewayUnderTest) -> None:
        for _ in range(2):
            async with await Till.open() as till:
                for _ in range(3):
                    await till.asks(status(), acknowledges=False)
                    till.write(odd)
                    if odd.startswith(b"\x15"):
                        await till.payload(within=0.5)
                        till.acknowledge()

    with structlog.testing.capture_logs() as lines:
        live(disk, scenario)
    odds = [each for each in lines if each["event"] == "an ECR17 till's answer is odd"]
    assert [(each["terminal"], each["expected"]) for each in odds] == [
        (TERMINAL, "7A" if odd.startswith(b"\x06") else "69")
    ] * 2
    assert {each["check_character"] for each in odds} == {"00"}


def test_who_is_odd_without_end_does_not_fill_the_log(disk: Path) -> None:
    async def scenario(_: GatewayUnderTest) -> None:
        for _ in range(LOGGED_A_MINUTE + 2):
            async with await Till.open() as till:
                till.write(b"\x06\x03\x00")
                await till.asks(status())

    with structlog.testing.capture_logs() as lines:
        live(disk, scenario)
    events = [each["event"] for each in lines if each.get("terminal") == TERMINAL]
    assert events == ["an ECR17 till's answer is odd"] * LOGGED_A_MINUTE


def test_an_empty_g_is_refused_in_one_sentence(disk: Path) -> None:
    async def scenario(_: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            assert await till.asks(last()) is None

    with structlog.testing.capture_logs() as lines:
        live(disk, scenario)
    (line,) = [each for each in lines if each["event"] == "an ECR17 request was refused"]
    assert line["reason"] == "There is no result."


def test_who_is_refused_without_end_does_not_fill_the_log(disk: Path) -> None:
    async def scenario(_: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            for each in (LOGGED_A_MINUTE + 40, 1, LOGGED_A_MINUTE - 1):
                till.say(*[status("99999999")] * each)
                for _ in range(each):
                    assert not await till.is_acked()
                await asyncio.sleep(61 if each > 1 else 0)

    with structlog.testing.capture_logs() as lines:
        live(disk, scenario)
    events = [each["event"] for each in lines if each.get("terminal") == TERMINAL]
    one, more = "an ECR17 request was refused", "more ECR17 requests were refused"
    assert events == [one] * LOGGED_A_MINUTE + [more] + [one] * LOGGED_A_MINUTE
    assert [each["count"] for each in lines if each["event"] == more] == [40]
