"""Framed messages over TCP: several tills on one connection, several connections, and whatever
arrives on them."""

from __future__ import annotations

import asyncio
import base64
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.kit.faults import Faults, Flow, scripted
from tests.kit.gateway import GatewayUnderTest
from tests.kit.virtual_loop import VirtualLoop
from tests.unit.nexo.bindings.lane import (
    OTHER_POI,
    PORTS,
    STREAM,
    Json,
    Socket,
    abort,
    diagnosis,
    enveloped,
    event_of,
    framed,
    live,
    login,
    machine,
    opened,
    payment,
    result_of,
    service_of,
    status,
)

SLOW, LOST, APPROVED, DECLINED = 1049, 1047, 1000, 1040


def test_a_payment_is_answered_in_a_frame_after_what_the_terminal_shows(disk: Path) -> None:
    async def scenario(_: GatewayUnderTest) -> list[Json]:
        async with await Socket.open() as lane:
            lane.say(payment(SLOW))
            told = [await lane.hear()]
            while "SaleToPOIResponse" not in told[-1]:
                told.append(await lane.hear())
            return told

    *shown, last = live(disk, scenario)
    assert shown
    for each in shown:
        assert list(each) == ["SaleToPOIRequest"]
        assert "DisplayRequest" in opened(each)
        assert service_of(each) == "s1", "inside the service that runs"
    assert result_of(last) == ("Success", "")


def test_each_message_is_served_however_its_octets_are_split(disk: Path) -> None:
    async def scenario(_: GatewayUnderTest) -> None:
        chance = random.Random(1)
        for number, most in enumerate((1, 3, 1000, 9999)):
            said = (login(f"l{number}"), payment(APPROVED, f"p{number}"), diagnosis(f"d{number}"))
            rest = b"".join(framed(json.dumps(enveloped(each)).encode()) for each in said)
            async with await Socket.open() as lane:
                while rest:
                    size = chance.randint(1, most)
                    lane.writer.write(rest[:size])
                    rest = rest[size:]
                    await asyncio.sleep(0.001)
                answers = [await lane.hear_answer() for _ in range(3)]
            assert {service_of(each) for each in answers} == {f"{each}{number}" for each in "lpd"}
            assert {result_of(each) for each in answers} == {("Success", "")}

    live(disk, scenario)


def test_a_frame_that_comes_octet_by_octet_is_read(disk: Path) -> None:
    def prepare(loop: VirtualLoop) -> None:
        loop.network.faults = scripted(
            {PORTS[STREAM]: [Faults(to_server=Flow(pieces=1), to_client=Flow(pieces=1))]}
        )

    async def scenario(_: GatewayUnderTest) -> tuple[str, str]:
        async with await Socket.open() as lane:
            lane.say(payment(APPROVED))
            return result_of(await lane.hear_answer())

    assert machine(disk).live(scenario, prepare=prepare).result == ("Success", "")


def test_an_abort_passes_the_payment_that_it_means(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Socket.open() as lane:
            lane.say(payment(SLOW))
            await lane.hear()
            lane.say(abort("s1"))
            told = await lane.hear_answer()
            assert (service_of(told), result_of(told)) == ("s1", ("Failure", "Aborted"))
            lane.say(abort("s1", "a2"))
            assert event_of(await lane.hear()) == "Completed"
            assert await gateway.charges() == {}

    live(disk, scenario)


def test_one_connection_aborts_what_another_began(disk: Path) -> None:
    async def scenario(_: GatewayUnderTest) -> None:
        async with await Socket.open() as paying, await Socket.open() as other:
            paying.say(payment(SLOW))
            await paying.hear()
            other.say(abort("s1", sale="LANE-2"))
            assert event_of(await other.hear()) == "Reject", "it is not this till's payment"
            other.say(abort("s1", "a2"))
            assert result_of(await paying.hear_answer()) == ("Failure", "Aborted")

    live(disk, scenario)


def test_tills_and_terminals_share_a_connection(disk: Path) -> None:
    async def scenario(_: GatewayUnderTest) -> None:
        async with await Socket.open() as lane:
            lane.say(payment(SLOW, "s1"))
            lane.say(payment(APPROVED, "s2", sale="LANE-2", poi=OTHER_POI))
            lane.say(diagnosis())
            quick = [await lane.hear_answer() for _ in range(2)]
            assert {service_of(each) for each in quick} == {"s2", "d1"}
            last = await lane.hear_answer()
            assert (service_of(last), result_of(last)) == ("s1", ("Success", ""))

    live(disk, scenario)


def test_two_lanes_race_for_one_terminal_and_one_pays(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Socket.open() as one, await Socket.open() as other:
            one.say(payment(SLOW, sale="LANE-1"))
            other.say(payment(SLOW, sale="LANE-2"))
            results = sorted([result_of(await each.hear_answer()) for each in (one, other)])
            assert results == [("Failure", "Busy"), ("Success", "")]
            assert len(await gateway.charges()) == 1

    live(disk, scenario)


def test_the_same_payment_on_two_connections_charges_once(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Socket.open() as one, await Socket.open() as other:
            for lane in (one, other):
                lane.say(payment(SLOW))
            results = sorted([result_of(await each.hear_answer()) for each in (one, other)])
            assert results == [("Failure", "InProgress"), ("Success", "")]
            assert len(await gateway.charges()) == 1

    live(disk, scenario)


@pytest.mark.parametrize(
    "octets", [b"no json", b"[]", b"\x00", b"\xff\xfe", b"{}", b'{"a":' * 9999]
)
def test_what_is_no_message_is_rejected_and_the_connection_lives(octets: bytes, disk: Path) -> None:
    async def scenario(_: GatewayUnderTest) -> None:
        async with await Socket.open() as lane:
            lane.write(octets)
            event = await lane.hear()
            assert event_of(event) == "Reject"
            given_back = opened(event)["EventNotification"]["RejectedMessage"]
            assert octets.startswith(base64.b64decode(given_back))
            lane.say(diagnosis())
            assert result_of(await lane.hear()) == ("Success", "")

    live(disk, scenario)


@pytest.mark.parametrize("length", [0, 4097, 2**31, 2**32 - 1])
def test_a_length_that_cannot_be_ends_the_connection(length: int, disk: Path) -> None:
    async def scenario(_: GatewayUnderTest) -> None:
        async with await Socket.open() as lane:
            lane.say(payment(SLOW))
            await lane.hear()
            lane.writer.write(length.to_bytes(4, "big"))
            assert event_of(await lane.hear_answer()) == "Reject"
            lane.say(diagnosis())
            last = await lane.hear_answer()
            assert (service_of(last), result_of(last)) == ("s1", ("Success", ""))
            assert await lane.is_over()
        async with await Socket.open() as idle:
            idle.writer.write(length.to_bytes(4, "big"))
            assert event_of(await idle.hear()) == "Reject"
            assert await idle.is_over()

    live(disk, scenario, largest_message=4096)


def test_a_length_may_count_itself(disk: Path) -> None:
    async def scenario(_: GatewayUnderTest) -> None:
        async with await Socket.open() as lane:
            octets = json.dumps(enveloped(diagnosis())).encode()
            lane.writer.write((len(octets) + 4).to_bytes(4, "big") + octets)
            length = int.from_bytes(await lane.reader.readexactly(4), "big")
            assert result_of(json.loads(await lane.reader.readexactly(length - 4))) == (
                "Success",
                "",
            )

    live(disk, scenario, length_counts_itself=True)


def test_a_frame_that_is_cut_off_is_nothing(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        octets = framed(json.dumps(enveloped(payment(APPROVED))).encode())
        for size in (1, 4, 5, len(octets) - 1):
            async with await Socket.open() as lane:
                lane.writer.write(octets[:size])
                lane.writer.write_eof()
                assert await lane.is_over()
        assert await gateway.charges() == {}

    live(disk, scenario)


def test_a_till_that_goes_away_leaves_its_payment_running(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Socket.open() as lane:
            lane.say(payment(SLOW))
            await lane.hear()
        await asyncio.sleep(60)
        async with await Socket.open() as lane:
            lane.say(status("s1"))
            assert result_of(await lane.hear()) == ("Success", "")
        assert len(await gateway.charges()) == 1

    live(disk, scenario)


def test_a_till_that_only_stops_writing_gets_its_answer(disk: Path) -> None:
    async def scenario(_: GatewayUnderTest) -> None:
        async with await Socket.open() as lane:
            lane.say(payment(SLOW))
            lane.writer.write_eof()
            assert result_of(await lane.hear_answer()) == ("Success", "")
            assert await lane.is_over()

    live(disk, scenario)


def test_an_unknown_outcome_is_never_told_as_one(disk: Path) -> None:
    async def scenario(_: GatewayUnderTest) -> None:
        async with await Socket.open() as lane:
            lane.say(payment(LOST))
            warning = await lane.hear()
            shown = opened(warning)["DisplayRequest"]["DisplayOutput"][0]
            assert (shown["Device"], shown["InfoQualify"]) == ("CashierDisplay", "Error")
            lane.say(status("s1"))
            assert result_of(await lane.hear_answer()) == ("Failure", "InProgress")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(7200):
                    await lane.hear_answer()

    live(disk, scenario)


def test_what_a_till_answers_to_a_display_is_taken_silently(disk: Path) -> None:
    async def scenario(_: GatewayUnderTest) -> None:
        async with await Socket.open() as lane:
            lane.say(payment(SLOW))
            asked = opened(await lane.hear())
            header = {**asked["MessageHeader"], "MessageType": "Response"}
            done = {"Device": "CashierDisplay", "InfoQualify": "Status"}
            result = {**done, "Response": {"Result": "Success"}}
            answer = {"MessageHeader": header, "DisplayResponse": {"OutputResult": [result]}}
            lane.write(json.dumps({"SaleToPOIResponse": answer}).encode())
            assert service_of(await lane.hear_answer()) == "s1"
            lane.say(diagnosis())
            assert service_of(await lane.hear()) == "d1"

    live(disk, scenario)


def test_no_more_messages_wait_than_are_allowed(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Socket.open() as lane:
            lane.say(payment(SLOW, "s1"))
            lane.say(payment(SLOW, "s2", poi=OTHER_POI))
            for each in (await lane.hear(), await lane.hear()):
                assert "DisplayRequest" in opened(each)
            lane.say(payment(APPROVED, "s3", poi="V1-0003"))
            event = await lane.hear()
            assert (event_of(event), service_of(event)) == ("Reject", "s3")
            lane.say(status("s1"))
            assert result_of(await lane.hear_answer()) == ("Failure", "InProgress")
            assert "PaymentResponse" in opened(await lane.hear_answer())
            lane.say(payment(APPROVED, "s4", poi="V1-0003"))
            told = {service_of(await lane.hear_answer()) for _ in range(2)}
            assert "s4" in told
        assert len(await gateway.charges()) == 3

    live(disk, scenario, messages_at_once=2)


@asynccontextmanager
async def stopping(gateway: GatewayUnderTest) -> AsyncIterator[None]:
    """The listener while it stops."""
    listener = gateway.stream(STREAM)
    task = asyncio.create_task(listener.stop())
    try:
        yield
    finally:
        await task


def test_a_stop_tells_every_till_by_name_and_waits_for_what_goes_on(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Socket.open() as idle, await Socket.open() as busy:
            for sale in ("LANE-1", "LANE-2"):
                idle.say(diagnosis(sale=sale))
                await idle.hear()
            busy.say(payment(SLOW, sale="LANE-3"))
            await busy.hear()
            async with stopping(gateway):
                told = [await idle.hear(), await idle.hear()]
                assert {event_of(each) for each in told} == {"Shutdown"}
                assert len({service_of(each) for each in told}) == 2, "each has its own number"
                names = [opened(each)["MessageHeader"]["SaleID"] for each in told]
                assert names == ["LANE-1", "LANE-2"]
                assert await idle.is_over()
                assert event_of(await busy.hear_answer()) == "Shutdown"
                busy.say(payment(APPROVED, "s2", sale="LANE-3", poi=OTHER_POI))
                event = await busy.hear_answer()
                assert (event_of(event), service_of(event)) == ("Reject", "s2")
                busy.say(status("s1", sale="LANE-3"))
                assert result_of(await busy.hear_answer()) == ("Failure", "InProgress")
                busy.say(abort("s1", sale="LANE-3"))
                assert result_of(await busy.hear_answer()) == ("Failure", "Aborted")
                assert await busy.is_over()

    live(disk, scenario)


def test_a_stop_cuts_off_a_payment_that_takes_too_long_and_loses_nothing(disk: Path) -> None:
    async def begin(gateway: GatewayUnderTest) -> None:
        async with await Socket.open() as lane:
            lane.say(payment(SLOW))
            await lane.hear()
            async with stopping(gateway):
                assert event_of(await lane.hear_answer()) == "Shutdown"
                assert await lane.is_over()

    async def find_out(gateway: GatewayUnderTest) -> None:
        async with await Socket.open() as lane:
            while True:
                lane.say(status("s1"))
                result = result_of(await lane.hear())
                if result != ("Failure", "InProgress"):
                    break
                await asyncio.sleep(1)
        assert result == ("Success", "")
        assert len(await gateway.charges()) == 1

    gateway = machine(disk)
    gateway.live(begin)
    gateway.live(find_out)


def test_a_defect_is_silence_and_no_outcome(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(_: GatewayUnderTest) -> None:
        async with await Socket.open() as lane:

            async def broken(*_: object, **__: object) -> None:
                raise RuntimeError("4111111111111111")

            with monkeypatch.context() as patch:
                patch.setattr("tillwire.dialects.nexo.face.poi.Poi.answer", broken)
                lane.say(payment(APPROVED))
                await asyncio.sleep(1)
            lane.say(diagnosis())
            assert service_of(await lane.hear()) == "d1"

    live(disk, scenario)


def test_who_never_reads_loses_the_connection_and_nobody_else_does(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        listener = gateway.stream(STREAM)
        async with await Socket.open(limit=1024) as deaf, await Socket.open() as other:
            deaf.say(payment(SLOW))
            while listener.connections == 2:
                for number in range(50):
                    deaf.say(diagnosis(f"d{number}"))
                await asyncio.sleep(0.1)
            await asyncio.sleep(60)
            other.say(status("s1"))
            assert result_of(await other.hear()) == ("Success", ""), "its payment went on"
        assert len(await gateway.charges()) == 1

    live(disk, scenario)
