"""Sales on a lane: what the till reads, and what the acquirer charged."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.gateway import GatewayUnderTest
from tests.unit.ecr17.face.till import (
    APPROVED,
    CONVERTED,
    DECLINED,
    NO_CARD,
    SLOW,
    TID,
    UNREACHABLE,
    Till,
    framed,
    live,
    pay,
    reserve,
    short_pay,
    status,
)
from tillwire.core.model import State
from tillwire.dialects.ecr17 import wire
from tillwire.dialects.ecr17.wire import (
    ANY_TID,
    DccPaymentResult,
    Lrc,
    PaymentResult,
    ResultCode,
    application,
)


def test_a_payment_is_acknowledged_shown_and_approved(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            result = await till.asks(pay(SLOW))
            assert isinstance(result, PaymentResult)
            assert (result.tid, result.result, result.amount) == (TID, "00", SLOW)
            assert result.action_code == "000"
            assert len(result.stan) == 6
            assert len(result.last_four) == 4
            assert "Present card" in till.shown
            assert list((await gateway.charges()).values()) == [SLOW]

    live(disk, scenario)


def test_the_terminal_is_occupied_in_the_journal_when_the_till_hears_the_ack(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            till.say(pay(SLOW))
            assert await till.is_acked()
            (transaction,) = gateway.transactions()
            assert transaction.state in (State.SENT, State.STARTED)
            assert gateway.holders() == [transaction.id]

    live(disk, scenario)


def test_a_short_payment_gets_the_short_result(disk: Path) -> None:
    async def scenario(_: GatewayUnderTest) -> int:
        async with await Till.open() as till:
            till.say(short_pay())
            assert await till.is_acked()
            return len(await till.payload())

    assert live(disk, scenario) == 71


@pytest.mark.parametrize(
    ("amount", "state", "action"),
    [
        (DECLINED, State.DECLINED, "100"),
        (1041, State.DECLINED, "116"),
        (1043, State.CANCELLED, "100"),
        (NO_CARD, State.CANCELLED, "100"),
        (UNREACHABLE, State.FAILED, "100"),
    ],
)
def test_what_is_no_approval_is_a_ko_with_its_reason(
    disk: Path, amount: int, state: State, action: str
) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            result = await till.asks(pay(amount))
            assert (result.result, result.action_code, result.amount) == ("01", action, amount)
            assert result.error_text
            (transaction,) = gateway.transactions()
            assert transaction.state is state
            assert await gateway.charges() == {}

    live(disk, scenario)


def test_a_card_that_should_have_been_there_and_is_not_is_told_apart(disk: Path) -> None:
    async def scenario(_: GatewayUnderTest) -> str:
        async with await Till.open() as till:
            found: str = (await till.asks(pay(NO_CARD, card_present=True))).result
            return found

    assert live(disk, scenario) == ResultCode.NO_CARD


def test_a_conversion_is_told_to_p_and_not_to_x(disk: Path) -> None:
    async def scenario(_: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            converted = await till.asks(short_pay(CONVERTED))
            assert isinstance(converted, DccPaymentResult)
            assert (converted.amount, converted.converted, converted.currency) == (
                CONVERTED,
                True,
                "USD",
            )
            assert isinstance(await till.asks(pay(CONVERTED)), PaymentResult)

    live(disk, scenario)


def test_two_equal_sales_whose_results_were_acknowledged_are_two(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            stans = [(await till.asks(pay())).stan for _ in range(3)]
            assert len(set(stans)) == 3
            assert list((await gateway.charges()).values()) == [APPROVED] * 3

    live(disk, scenario)


def test_an_equal_sale_right_behind_the_ack_is_a_new_one(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            await till.asks(pay(), acknowledges=False)
            till.write(wire.ACK, framed(pay()))
            assert await till.is_acked()
            assert wire.decode_result(await till.payload(), pay()).tid == TID
            assert len(await gateway.charges()) == 2

    live(disk, scenario)


def test_a_connection_may_be_for_each_exchange(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        for _ in range(3):
            async with await Till.open() as till:
                assert (await till.asks(pay())).approved
        assert len(await gateway.charges()) == 3

    live(disk, scenario)


@pytest.mark.parametrize("request_", [pay(0), reserve(0)])
def test_nothing_to_pay_is_refused(disk: Path, request_: wire.Request) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            assert await till.asks(request_) is None
            assert gateway.transactions() == []

    live(disk, scenario)


def test_the_terminal_id_is_checked_and_zeros_are_everybodys(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            assert await till.asks(pay(tid="11111111")) is None
            assert gateway.transactions() == []
            assert (await till.asks(pay(tid=ANY_TID))).tid == TID
            assert (await till.asks(status(ANY_TID))).tid == TID

    live(disk, scenario)


def test_the_check_of_the_terminal_id_can_be_left_out(disk: Path) -> None:
    async def scenario(_: GatewayUnderTest) -> str:
        async with await Till.open() as till:
            tid: str = (await till.asks(pay(tid="11111111"))).tid
            return tid

    assert live(disk, scenario, check_tid=False) == TID


@pytest.mark.parametrize("reading", list(Lrc))
def test_each_reading_of_the_check_character_is_kept_to(disk: Path, reading: Lrc) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            for other in set(Lrc) - {reading}:
                till.write(application(wire.encode(pay()), other))
                assert not await till.is_acked()
            assert gateway.transactions() == []
            till.write(application(wire.encode(pay()), reading))
            assert await till.is_acked()
            frame = await till.hear()
            assert isinstance(frame, wire.Application)
            assert frame.lrc_ok(reading)

    live(disk, scenario, lrc=reading)


@pytest.mark.parametrize("pieces", [1, 7, 170])
def test_a_request_is_read_however_its_octets_are_split(disk: Path, pieces: int) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            octets = b"\x00garbage" + framed(pay())
            for at in range(0, len(octets), pieces):
                till.write(octets[at : at + pieces])
            assert await till.is_acked()
            assert wire.decode_result(await till.payload(), pay()).approved  # type: ignore[union-attr]
            assert len(await gateway.charges()) == 1

    live(disk, scenario)
