"""A request that comes again, because its till did not hear the answer, never charges twice; and a
till that has its result may want the same once more."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
import structlog

from tests.kit.gateway import GatewayUnderTest
from tests.unit.ecr17.face.till import (
    APPROVED,
    SLOW,
    Till,
    close,
    framed,
    last,
    live,
    machine,
    pay,
    status,
    until,
)
from tillwire.core.model import State
from tillwire.dialects.ecr17 import wire
from tillwire.dialects.ecr17.face.lane import Lane
from tillwire.dialects.ecr17.face.session import LaneFace
from tillwire.dialects.ecr17.face.settings import Settings
from tillwire.dialects.ecr17.wire import CloseSessionResult, PaymentResult


class PunctualTill:
    """A connection to a till that acknowledges each message in the very moment that is set."""

    peer = "127.0.0.1:1470"

    def __init__(self, face: LaneFace, answers_after: float) -> None:
        self.results: list[bytes] = []
        self.closed = False
        self.session = face.connected(self)
        self._answers_after = answers_after

    def send(self, message: bytes, *, optional: bool = False) -> bool:
        del optional
        if message.startswith(b"\x02"):
            self.results.append(message)
            loop = asyncio.get_running_loop()
            loop.call_later(self._answers_after, self.session.received, wire.ACK)
        return True

    def close(self) -> None:
        self.closed = True


def test_a_request_repeated_while_the_terminal_works_is_acknowledged_again(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            for _ in range(3):
                till.say(pay(SLOW))
                assert await till.is_acked()
            result = wire.decode_result(await till.payload(), pay(SLOW))
            assert isinstance(result, PaymentResult)
            till.acknowledge()
            assert await till.is_silent(60)
            assert list((await gateway.charges()).values()) == [SLOW]

    live(disk, scenario)


def test_copies_that_come_in_one_piece_are_one_sale(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            till.say(*[pay(SLOW)] * 10)
            assert await till.is_acked()
            assert (await till.payload())[10:12] == b"00"
            assert len(await gateway.charges()) == 1

    live(disk, scenario)


def test_ten_connections_with_one_request_are_one_sale(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        tills = [await Till.open() for _ in range(10)]
        payloads = set()
        for till in tills:
            till.say(pay(SLOW))
        for till in tills:
            assert await till.is_acked()
            payloads.add(await till.payload())
            till.acknowledge()
        assert len(payloads) == 1
        assert len(await gateway.charges()) == 1

    live(disk, scenario)


def test_a_till_that_lost_its_connection_gets_the_result_on_the_next(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            till.say(pay(SLOW))
            assert await till.is_acked()
        async with await Till.open() as till:
            assert (await till.asks(pay(SLOW))).approved
            assert len(await gateway.charges()) == 1

    live(disk, scenario)


def test_a_result_that_nobody_acknowledged_is_the_result_of_the_same_request(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            first = await till.asks(pay(), acknowledges=False)
        async with await Till.open() as till:
            assert await till.asks(pay()) == first
            assert await till.asks(pay()) != first, "it was acknowledged meanwhile"
            assert len(await gateway.charges()) == 2

    live(disk, scenario)


def test_a_result_is_taken_for_a_new_request_no_longer_than_it_was_told(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            first = await till.asks(pay(), acknowledges=False)
        await asyncio.sleep(100)
        async with await Till.open() as till:
            assert await till.asks(pay(), acknowledges=False) == first
        await asyncio.sleep(21)
        async with await Till.open() as till:
            assert await till.asks(pay()) != first
        assert len(await gateway.charges()) == 2

    live(disk, scenario, repeat_within=120)


def test_another_request_is_another_sale(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            await till.asks(pay(), acknowledges=False)
            assert (await till.asks(pay(1100))).amount == 1100
            assert sorted((await gateway.charges()).values()) == [APPROVED, 1100]

    live(disk, scenario)


def test_an_equal_sale_of_another_cash_register_is_another_sale(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as one, await Till.open() as other:
            first = await one.asks(pay(), acknowledges=False)
            second = await other.asks(pay(cash_register="00000002"))
            assert first.stan != second.stan
            assert await one.asks(pay()) == first, "another's sale does not hide its own"
            assert len(await gateway.charges()) == 2

    live(disk, scenario)


def test_a_terminal_at_work_refuses_whatever_else_comes(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till, await Till.open() as other:
            till.say(pay(SLOW))
            assert await till.is_acked()
            for each in (
                pay(),
                pay(SLOW, cash_register="00000002"),
                last(),
                status(),
                close(),
            ):
                till.say(each)
                assert not await till.is_acked()
                assert await other.asks(each) is None
            assert (await till.payload())[10:12] == b"00"
            assert len(gateway.transactions()) == 1

    live(disk, scenario)


def test_a_result_is_sent_three_times_in_all_then_the_connection_is_closed(disk: Path) -> None:
    async def scenario(_: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            till.say(pay())
            assert await till.is_acked()
            payloads = [await till.payload() for _ in range(3)]
            assert len(set(payloads)) == 1
            assert await till.next(within=3.5) is None
        async with await Till.open() as till:
            assert await till.asks(last()) == wire.decode_result(payloads[0], pay())

    with structlog.testing.capture_logs() as lines:
        live(disk, scenario)
    (line,) = [each for each in lines if each["event"] == "an ECR17 till acknowledges nothing"]
    assert (line["terminal"], line["code"], line["sent"]) == ("TILLWIRE-V1-0001", "E", 3)


def test_a_result_that_is_refused_three_times_ends_the_connection(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            till.say(pay())
            assert await till.is_acked()
            for _ in range(3):
                first = await till.payload(within=0.5)
                till.write(wire.NAK)
            assert await till.next(within=0.5) is None
        async with await Till.open() as till:
            assert await till.asks(pay()) == wire.decode_result(first, pay())
            assert len(await gateway.charges()) == 1

    live(disk, scenario)


def test_after_a_result_that_nobody_acknowledged_the_next_one_is_told_as_ever(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            await till.asks(pay(1100), acknowledges=False)
            for _ in range(2):
                await till.payload()
            assert await till.next() is None
        async with await Till.open() as till:
            first = await till.asks(pay(), acknowledges=False)
            till.write(wire.NAK)
            assert wire.decode_result(await till.payload(within=0.5), pay()) == first
            till.acknowledge()
            assert await till.asks(pay()) != first, "it was acknowledged at once"
            assert sorted((await gateway.charges()).values()) == [APPROVED, APPROVED, 1100]

    live(disk, scenario)


def test_an_answer_that_comes_in_the_moment_in_which_it_is_too_late_counts(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        told = Settings(organisation="shop", terminal="TILLWIRE-V1-0001")
        face = LaneFace(Lane(gateway.engine, gateway.clock, told))
        till = PunctualTill(face, answers_after=told.ack_within)
        till.session.received(framed(pay()))
        await asyncio.sleep(60)
        assert len(till.results) == 1
        assert not till.closed
        await face.stop()

    live(disk, scenario)


def test_a_late_acknowledgement_is_not_taken_for_that_of_the_next_result(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            first = await till.asks(pay(), acknowledges=False)
            assert wire.decode_result(await till.payload(), pay()) == first, "it comes again"
            till.acknowledge()
            second = await till.asks(pay(), acknowledges=False)
            till.acknowledge()  # of the first one, which came twice
            assert await till.asks(pay(), acknowledges=False) == second
            assert len(await gateway.charges()) == 2

    live(disk, scenario)


def test_a_till_that_answers_once_what_came_twice_is_understood(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            first = await till.asks(pay(), acknowledges=False)
            await till.payload()
            till.acknowledge()
            second = await till.asks(pay())
            assert second != first
            copies = [await till.payload() for _ in range(2)]
            assert wire.decode_result(copies[0], pay()) == second
            await asyncio.sleep(4)
            assert await till.asks(pay()) != second, "its one answer was for that"
            assert await till.is_silent(60), "and this one is not sent again"
            assert len(await gateway.charges()) == 3

    live(disk, scenario)


def test_what_a_till_writes_after_the_last_try_is_not_read(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            first = await till.asks(pay(), acknowledges=False)
            for _ in range(2):
                await till.payload()
            await asyncio.sleep(4)
            async with await Till.open() as other:
                assert await other.asks(last()) == first
            till.say(pay())  # a copy, though G has told its result
            assert await till.next() is None
            assert len(await gateway.charges()) == 1
        async with await Till.open() as till:
            assert await till.asks(pay()) != first, "it was acknowledged by G"

    live(disk, scenario)


def test_a_refused_result_is_sent_again_at_once(disk: Path) -> None:
    async def scenario(_: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            till.say(pay())
            assert await till.is_acked()
            first = await till.payload()
            till.write(wire.NAK)
            assert await till.payload(within=0.5) == first
            till.acknowledge()
            assert await till.is_silent(60)

    live(disk, scenario)


@pytest.mark.parametrize("acknowledged", [True, False])
def test_what_was_acknowledged_is_known_after_a_restart(disk: Path, acknowledged: bool) -> None:
    on = machine(disk)

    async def before(_: GatewayUnderTest) -> PaymentResult:
        async with await Till.open() as till:
            result: PaymentResult = await till.asks(pay(), acknowledges=acknowledged)
            return result

    async def after(gateway: GatewayUnderTest) -> tuple[PaymentResult, PaymentResult, int]:
        async with await Till.open() as till:
            saved = await till.asks(last(cash_register="00000009"))
            again = await till.asks(pay())
            return saved, again, len(await gateway.charges())

    first = on.live(before).result
    saved, again, charged = on.live(after).result  # type: ignore[misc]
    assert saved == first
    assert (again == first, charged) == ((False, 2) if acknowledged else (True, 1))


def test_a_gateway_killed_at_any_step_charges_a_repeated_request_once(disk: Path) -> None:
    async def before(_: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            till.say(pay())
            assert await till.is_acked()
            await till.payload()

    async def after(gateway: GatewayUnderTest) -> bool:
        async with await Till.open() as till:
            while (result := await till.asks(pay())) is None:  # noqa: ASYNC110 - as tills ask
                await asyncio.sleep(1)
            charges = list((await gateway.charges()).values())
            # What provably never reached the terminal is a KO, and may be tried again.
            assert charges == ([APPROVED] if result.approved else [])
            return bool(result.approved)

    whole = machine(disk / "whole").live(before)
    steps = list(range(whole.first_step, whole.last_step))
    found = set()
    for step in random.Random(17).sample(steps, min(25, len(steps))):
        on = machine(disk / f"step-{step}")
        on.live(before, kill_at=step)
        on.wait(5)
        found.add(on.live(after).result)
    assert found == {True, False}


def test_a_close_that_is_repeated_closes_once(disk: Path) -> None:
    async def scenario(_: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            await till.asks(pay())
            first = await till.asks(close(), acknowledges=False)
            assert isinstance(first, CloseSessionResult)
            assert (first.result, first.terminal_total) == ("00", APPROVED)
        async with await Till.open() as till:
            assert await till.asks(close()) == first
            assert (await till.asks(close())).terminal_total == 0

    live(disk, scenario)


def test_a_till_that_hangs_up_leaves_its_payment_running(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            till.write(framed(pay(SLOW)))
            await asyncio.sleep(0.1)
        await until(gateway, State.APPROVED)
        async with await Till.open() as till:
            assert (await till.asks(last())).amount == SLOW
            assert (await till.asks(pay(SLOW))).amount == SLOW
            assert len(await gateway.charges()) == 2, "its result was acknowledged by G"

    live(disk, scenario)
