"""What a till hands to the host behind the terminal (`U`): announced with a request, sent behind
its ACK, and answered behind its result."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from tests.kit.gateway import GatewayUnderTest
from tests.unit.ecr17.face.till import (
    APPROVED,
    DECLINED,
    SLOW,
    TID,
    Till,
    capture,
    close,
    increase,
    last,
    live,
    machine,
    pay,
    reserve,
    reverse,
    short_pay,
    status,
    totals,
    until,
)
from tillwire.core.model import ForHost, HostTag, State, Transaction
from tillwire.dialects.ecr17 import wire
from tillwire.dialects.ecr17.face.host_data import MOST_AT_ONCE
from tillwire.dialects.ecr17.wire import (
    AdditionalData,
    CardVerificationRequest,
    HostData,
    ReceiptRoutingRequest,
    RefundRequest,
    Routing,
    Tag,
)
from tillwire.errors import Proof

CONTENT = "0COF0TRK1666354841608|0FNZ03"


def tags(content: str = CONTENT, *, wants: bool = True, **special: Any) -> AdditionalData:
    return AdditionalData(
        tid=TID, back_from="62" if wants else "00", tags=(Tag(content, 5),), **special
    )


async def handed_over(till: Till, request: Any, data: AdditionalData) -> wire.Result:
    """Ask with the flag, hand over, and hear the result, which is acknowledged."""
    till.say(request)
    assert await till.is_acked()
    till.say(data)
    assert await till.is_acked()
    found = wire.decode_result(await till.payload(), request)
    till.acknowledge()
    return found


async def told(till: Till) -> str:
    """What the host has answered."""
    found = wire.decode_result(await till.payload())
    assert isinstance(found, HostData)
    till.acknowledge()
    return found.content


def only(gateway: GatewayUnderTest) -> Transaction:
    (found,) = gateway.transactions()
    return found


@pytest.mark.parametrize("asked", [pay, short_pay, reserve])
def test_what_a_till_hands_over_goes_with_its_sale_and_is_answered(disk: Path, asked: Any) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            result = await handed_over(till, asked(additional_data=True), tags())
            assert result.result == "00"
            assert (await told(till)).startswith("TOKEN ")
            assert only(gateway).terms.for_host == ForHost(
                tags=(HostTag(CONTENT, 5),),
                purpose="000000",
                wanted_field="62",
                wanted_tag="DF8D01",
            )
            assert await till.is_silent(60)

    live(disk, scenario)


def test_nothing_comes_back_that_nobody_wants(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            await handed_over(till, pay(additional_data=True), tags(wants=False))
            assert await till.is_silent(60)
            assert only(gateway).terms.for_host is not None

    live(disk, scenario)


def test_a_refusal_has_no_answer_of_the_host(disk: Path) -> None:
    async def scenario(_: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            result = await handed_over(till, pay(DECLINED, additional_data=True), tags())
            assert result.result == "01"
            assert await till.is_silent(60)

    live(disk, scenario)


def test_it_goes_with_every_request_that_moves_money(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        flag = {"additional_data": True}
        async with await Till.open() as till:
            held = await handed_over(till, reserve(10_000, **flag), tags(wants=False))
            assert isinstance(held, wire.PreauthorisationResult)
            code = held.preauthorisation_code
            refund = RefundRequest(tid=TID, cash_register="00000001", amount=100, **flag)
            for request in (
                increase(code, 500, **flag),
                capture(code, 10_500, **flag),
                reverse(**flag),
                refund,
            ):
                assert (await handed_over(till, request, tags(wants=False))).result == "00"
            assert all(each.terms.for_host for each in gateway.transactions())
            assert len(gateway.transactions()) == 5

    live(disk, scenario)


def test_nothing_is_sent_before_the_data_are_there(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till, await Till.open() as other:
            till.say(pay(additional_data=True))
            assert await till.is_acked()
            await asyncio.sleep(10)
            assert only(gateway).state is State.ACCEPTED
            assert await other.asks(pay(cash_register="00000002")) is None, "it is occupied"
            till.say(status())
            assert not await till.is_acked()
            till.say(tags())
            assert await till.is_acked()
            assert (await till.payload())[10:12] == b"00"

    live(disk, scenario)


def test_without_the_data_nothing_is_charged(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            till.say(pay(additional_data=True))
            assert await till.is_acked()
            result: Any = wire.decode_result(await till.payload(within=30), pay())
            till.acknowledge()
            assert (result.result, result.error_text) == ("01", "DATI AGGIUNTIVI MANCANTI")
            late = only(gateway)
            assert (late.state, late.proof) == (State.CANCELLED, Proof.NEVER_SENT)
            till.say(tags())
            assert not await till.is_acked()
            assert await gateway.charges() == {}
            assert (await till.asks(pay())).approved

    live(disk, scenario)


@pytest.mark.parametrize(
    "data",
    [
        tags("BTD4111111111111111"),
        AdditionalData(tid=TID, tags=(Tag("A", 1), Tag("B" * 40, 5))),
    ],
)
def test_what_cannot_be_handed_on_is_refused_and_may_be_said_again(
    disk: Path, data: AdditionalData
) -> None:
    bad = wire.encode(data, wire.Spelling())
    if len(data.tags) == 2:
        bad = bad.replace(b"1500", b"1100")

    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            till.say(pay(additional_data=True))
            assert await till.is_acked()
            till.write(wire.application(bad))
            assert not await till.is_acked()
            assert only(gateway).state is State.ACCEPTED
            till.say(tags())
            assert await till.is_acked()
            assert (await till.payload())[10:12] == b"00"
            assert only(gateway).terms.for_host is not None

    live(disk, scenario)


def test_data_of_another_terminal_are_refused(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            till.say(pay(additional_data=True))
            assert await till.is_acked()
            till.say(AdditionalData(tid="87654321", tags=(Tag("A", 5),)))
            assert not await till.is_acked()
            assert only(gateway).state is State.ACCEPTED

    live(disk, scenario)


# --- once -------------------------------------------------------------------------------------


def test_data_that_are_repeated_are_acknowledged_again_and_others_are_not(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            till.say(pay(SLOW, additional_data=True))
            assert await till.is_acked()
            till.say(tags(), tags())
            assert await till.is_acked()
            assert await till.is_acked()
            await until(gateway, State.STARTED)
            till.say(tags())
            assert await till.is_acked()
            till.say(tags("0REC0TRK1|0FNZ03"))
            assert not await till.is_acked()
            assert (await till.payload())[10:12] == b"00"
            terms = only(gateway).terms.for_host
            assert terms is not None
            assert terms.tags == (HostTag(CONTENT, 5),)

    live(disk, scenario)


def test_a_flood_of_data_is_one_sale(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            till.say(pay(additional_data=True), *[tags()] * 200)
            answers = [await till.is_acked() for _ in range(201)]
            taken = 1 + MOST_AT_ONCE
            assert answers == [False] * (201 - taken) + [True] * taken, "no task for each of them"
            assert list((await gateway.charges()).values()) == [APPROVED]

    live(disk, scenario)


def test_a_request_and_its_data_in_one_piece(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            till.say(pay(additional_data=True), tags())
            assert await till.is_acked()
            assert await till.is_acked()
            assert (await till.payload())[10:12] == b"00"
            assert len(await gateway.charges()) == 1

    live(disk, scenario)


def test_data_in_one_piece_with_a_request_that_is_refused_are_of_nothing(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till, await Till.open() as other:
            other.say(pay(SLOW, cash_register="00000002"))
            assert await other.is_acked()
            till.say(pay(additional_data=True), tags())
            assert not await till.is_acked()
            assert await till.is_silent(60)
            till.say(tags())
            assert not await till.is_acked()
            assert len(await gateway.charges()) == 1
            result = await handed_over(till, pay(additional_data=True), tags())
            assert result.result == "00"

    live(disk, scenario)


@pytest.mark.parametrize("after", [0.0, 5.0])
def test_a_till_that_lost_the_ack_says_both_again(disk: Path, after: float) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            till.say(pay(additional_data=True))
            assert await till.is_acked()
            await asyncio.sleep(after)
        async with await Till.open() as till:
            for _ in range(2):
                till.say(pay(additional_data=True))
                assert await till.is_acked()
            result = await handed_over(till, pay(additional_data=True), tags())
            assert result.result == "00"
            await told(till)
            assert len(await gateway.charges()) == 1

    live(disk, scenario)


def test_a_till_whose_result_was_lost_says_both_again_and_hears_it(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            till.say(pay(additional_data=True))
            assert await till.is_acked()
            till.say(tags())
            assert await till.is_acked()
            first = wire.decode_result(await till.payload(), pay())
        async with await Till.open() as till:
            assert await handed_over(till, pay(additional_data=True), tags()) == first
            assert (await told(till)).startswith("TOKEN ")
            second = await handed_over(till, pay(additional_data=True), tags())
            assert second != first, "the first result was acknowledged"
            assert len(await gateway.charges()) == 2

    live(disk, scenario)


def test_a_till_that_says_both_again_before_it_has_the_result_hears_it_behind_its_data(
    disk: Path,
) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            till.say(pay(additional_data=True))
            assert await till.is_acked()
            till.say(tags())
            assert await till.is_acked()
            first = await till.payload()
            till.say(pay(additional_data=True), tags())
            assert await till.is_acked()
            assert await till.is_acked(), "of the data, for which a till looks first"
            assert await till.payload(within=0.5) == first
            assert len(await gateway.charges()) == 1

    live(disk, scenario)


def test_a_till_that_acknowledged_nothing_hears_it_on_the_next_behind_its_data(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            till.say(pay(additional_data=True))
            assert await till.is_acked()
            till.say(tags())
            assert await till.is_acked()
            copies = {await till.payload() for _ in range(3)}
            assert await till.next() is None
        async with await Till.open() as till:
            till.say(pay(additional_data=True))
            assert await till.is_acked()
            assert await till.is_silent(1), "a till looks for the ACK of its data first"
            till.say(tags())
            assert await till.is_acked()
            assert {await till.payload()} == copies
            till.acknowledge()
            assert len(await gateway.charges()) == 1

    live(disk, scenario)


def test_a_till_that_says_nothing_more_hears_the_result_all_the_same(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            till.say(pay(SLOW, additional_data=True))
            assert await till.is_acked()
            till.say(tags())
            assert await till.is_acked()
        async with await Till.open() as till:
            till.say(pay(SLOW, additional_data=True))
            assert await till.is_acked()
            assert (await till.payload())[10:12] == b"00"
            assert len(await gateway.charges()) == 1

    live(disk, scenario)


def test_a_gateway_killed_between_request_and_data_has_charged_nothing(disk: Path) -> None:
    on = machine(disk)

    async def before(_: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            till.say(pay(additional_data=True))
            assert await till.is_acked()

    on.live(before)

    async def after(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            till.say(pay(additional_data=True))
            assert await till.is_acked()
            till.say(tags())
            assert not await till.is_acked(), "what it was for is given up"
            result: Any = wire.decode_result(await till.payload(within=1), pay())
            till.acknowledge()
            assert (result.result, result.error_text) == ("01", "DATI AGGIUNTIVI MANCANTI")
            assert await gateway.charges() == {}
            again = await handed_over(till, pay(additional_data=True), tags())
            assert again.result == "00"

    on.live(after)


def test_a_gateway_killed_at_any_step_charges_once_and_never_without_the_data(disk: Path) -> None:
    async def before(_: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            till.say(pay(additional_data=True))
            assert await till.is_acked()
            till.say(tags())
            assert await till.is_acked()
            await till.payload()

    async def after(gateway: GatewayUnderTest) -> bool:
        async with await Till.open() as till:
            till.say(pay(additional_data=True))
            while not await till.is_acked():
                await asyncio.sleep(1)
                till.say(pay(additional_data=True))
            till.say(tags())
            await till.is_acked()  # not, if what it was for is given up
            result: Any = wire.decode_result(await till.payload(), pay())
            charges = list((await gateway.charges()).values())
            assert charges == ([APPROVED] if result.approved else [])
            sent = [each for each in gateway.transactions() if each.sent_at is not None]
            assert all(each.terms.for_host for each in sent)
            return bool(result.approved)

    whole = machine(disk / "whole").live(before)
    steps = list(range(whole.first_step, whole.last_step))
    found = set()
    for step in random.Random(4).sample(steps, min(20, len(steps))):
        on = machine(disk / f"step-{step}")
        on.live(before, kill_at=step)
        on.wait(5)
        found.add(on.live(after).result)
    assert found == {True, False}


# --- beside it ----------------------------------------------------------------------------------


def test_the_answer_comes_before_the_receipt_and_again_with_g(disk: Path) -> None:
    async def scenario(_: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            till.say(ReceiptRoutingRequest(tid=TID, routing=Routing.ECR))
            assert await till.is_acked()
            paid = await handed_over(till, pay(additional_data=True), tags())
            answer = await told(till)
            assert len(await till.tickets()) == 1
            assert await till.asks(last(additional_data=True)) == paid
            assert await told(till) == answer
            assert await till.asks(last()) == paid
            assert await till.is_silent(30)

    live(disk, scenario)


def test_a_reversal_that_cannot_be_is_answered_with_a_ko_behind_its_data(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            refused: Any = await handed_over(till, reverse("000009", additional_data=True), tags())
            assert (refused.result, refused.error_text) == ("01", "NESSUNA OPERAZIONE")
            assert gateway.transactions() == []

    live(disk, scenario)


@pytest.mark.parametrize(
    "request_",
    [
        totals(additional_data=True),
        close(additional_data=True),
        CardVerificationRequest(tid=TID, cash_register="00000001", additional_data=True),
    ],
)
def test_what_has_no_transaction_has_no_data(disk: Path, request_: wire.Request) -> None:
    async def scenario(_: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            assert await till.asks(request_) is None

    live(disk, scenario)


@pytest.mark.parametrize(
    "settings", [{"additional_data": "refuse"}, {"terminal": "TILLWIRE-P1-0001"}]
)
def test_a_request_whose_data_cannot_be_handed_on_is_refused(
    disk: Path, settings: dict[str, Any]
) -> None:
    tid = "" if "terminal" not in settings else TID

    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            assert await till.asks(pay(additional_data=True)) is None
            till.say(tags())
            assert not await till.is_acked()
            assert gateway.transactions() == []

    live(disk, scenario, **settings, tid=tid)


def test_the_data_are_dropped_where_the_shop_wants_that(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            till.say(pay(SLOW, additional_data=True))
            assert await till.is_acked()
            till.say(tags())
            assert await till.is_acked()
            assert (await till.payload())[10:12] == b"00"
            assert only(gateway).state is State.APPROVED
            assert only(gateway).terms.for_host is None

    live(disk, scenario, additional_data="ignore")


def test_the_last_result_of_who_wanted_nothing_is_alone(disk: Path) -> None:
    async def scenario(_: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            paid = await till.asks(pay())
            assert await till.asks(last(additional_data=True)) == paid
            assert await till.is_silent(30)

    live(disk, scenario)


def test_the_text_for_the_receipt_is_handed_on(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            await till.asks(pay(receipt_text="Contratto 7"))
            assert only(gateway).terms.receipt_text == "Contratto 7"

    live(disk, scenario)
