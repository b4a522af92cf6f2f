"""Everything on a lane that is not a plain sale."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.kit.gateway import GatewayUnderTest
from tests.unit.ecr17.face.till import (
    DECLINED,
    REGISTER,
    TID,
    Till,
    capture,
    close,
    framed,
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
)
from tests.unit.estate_fixture import purchase
from tillwire.core.errands import Show
from tillwire.core.model import Transaction, TransactionType
from tillwire.core.occupancy import WhenBusy
from tillwire.dialects.ecr17 import wire
from tillwire.dialects.ecr17.wire import (
    AdditionalData,
    CardVerificationRequest,
    DownloadRequest,
    ReceiptRoutingRequest,
    RefundRequest,
    ReprintRequest,
    RetroactiveReversalRequest,
    Routing,
    Tag,
    VasRequest,
)
from tillwire.virtual.memory import SetScript
from tillwire.virtual.script import Script


def test_the_status_tells_terminal_time_and_release(disk: Path) -> None:
    async def scenario(_: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            found = await till.asks(status())
            assert (found.tid, found.state, found.release) == (TID, "2", "SYSEMV  204")
            assert isinstance(found.terminal_time, datetime)

    live(disk, scenario, release="SYSEMV  204")


# --- reversals --------------------------------------------------------------------------------


@pytest.mark.parametrize("checked", [True, False])
def test_the_last_payment_is_reversed_once(disk: Path, checked: bool) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            paid = await till.asks(pay())
            undone = await till.asks(reverse(paid.stan if checked else wire.NO_STAN))
            assert (undone.result, undone.authorisation_code) == ("00", "")
            kinds = [each.type for each in gateway.transactions()]
            assert kinds == [TransactionType.PURCHASE, TransactionType.REVERSAL]
            again = await till.asks(reverse(paid.stan if checked else wire.NO_STAN))
            assert again.result == "01"
            assert len(gateway.transactions()) == 2

    live(disk, scenario)


def test_a_reversal_that_is_repeated_gets_its_own_result(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            paid = await till.asks(pay())
            undone = await till.asks(reverse(paid.stan), acknowledges=False)
        async with await Till.open() as till:
            assert await till.asks(reverse(paid.stan)) == undone
            assert len(gateway.transactions()) == 2

    live(disk, scenario)


def test_a_reversal_at_a_terminal_that_is_just_in_use_is_not_said_to_be_impossible(
    disk: Path,
) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        engine = gateway.engine
        accept = engine.accept

        async def meanwhile(request: Any, when_busy: WhenBusy) -> Transaction:
            engine.accept = accept  # type: ignore[method-assign]  # once
            with engine._claims.errand(request.terminal_id, Show("Welcome")):
                return await accept(request, when_busy)

        async with await Till.open() as till:
            await till.asks(pay())
            engine.accept = meanwhile  # type: ignore[method-assign]
            assert await till.asks(reverse()) is None, "a NAK: it may be asked again"
            assert (await till.asks(reverse())).approved

    live(disk, scenario)


def test_another_stan_is_not_reversed(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            assert (await till.asks(reverse("000001"))).error_text == "NESSUNA OPERAZIONE"
            older = await till.asks(pay())
            await till.asks(pay(1100))
            for stan in (older.stan, "999999"):
                refused = await till.asks(reverse(stan))
                assert (refused.result, refused.error_text) == ("01", "STAN NON VALIDO")
            assert len(gateway.transactions()) == 2

    live(disk, scenario)


def test_without_a_stan_nothing_older_than_a_declined_payment_is_reversed(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            paid = await till.asks(pay())
            await till.asks(pay(DECLINED))
            assert (await till.asks(reverse())).result == "01"
            assert len(gateway.transactions()) == 2
            assert (await till.asks(reverse(paid.stan))).result == "00"

    live(disk, scenario)


def test_nothing_is_reversed_after_the_session_was_closed(disk: Path) -> None:
    async def scenario(_: GatewayUnderTest) -> str:
        async with await Till.open() as till:
            paid = await till.asks(pay())
            await till.asks(close())
            text: str = (await till.asks(reverse(paid.stan))).error_text
            return text

    assert live(disk, scenario) == "STORNO NON POSSIBILE"


def test_a_refund_gives_money_back(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            refunded = await till.asks(RefundRequest(tid=TID, cash_register=REGISTER, amount=500))
            assert refunded.result == "00"
            (transaction,) = gateway.transactions()
            assert (transaction.type, transaction.approved_amount) == (TransactionType.REFUND, 500)

    live(disk, scenario)


# --- reservations -----------------------------------------------------------------------------


def test_what_another_lane_has_raised_is_not_reversed_here(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            reserved = await till.asks(reserve(10_000))
            held = gateway.transactions()[0]
            more = purchase(
                500, type=TransactionType.INCREMENT, terminal="v1-0002", original=held.id
            )
            await gateway.engine.accept(more, WhenBusy.REJECT)
            await asyncio.sleep(1)
            refused = await till.asks(reverse(reserved.stan))
            assert (refused.result, refused.error_text) == ("01", "STORNO NON POSSIBILE")
            assert len(gateway.transactions()) == 2

    live(disk, scenario)


def test_a_reservation_that_is_reversed_lowers_no_total(disk: Path) -> None:
    async def scenario(_: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            await till.asks(pay(1000))
            reserved = await till.asks(reserve(7000))
            assert (await till.asks(reverse(reserved.stan))).result == "00"
            assert (await till.asks(totals())).terminal_total == 1000
            assert (await till.asks(close())).terminal_total == 1000

    live(disk, scenario)


def test_a_reservation_is_increased_and_captured_by_its_code(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            reserved = await till.asks(reserve(10_000))
            assert (reserved.result, reserved.amount) == ("00", 10_000)
            code = reserved.preauthorisation_code
            assert len(code) == 9
            assert (await till.asks(increase(code, 5000))).result == "00"
            assert (await till.asks(capture(code, 12_500))).result == "00"
            found = gateway.transactions()
            assert [each.type.value for each in found] == ["PREAUTH", "INCREMENT", "CAPTURE"]
            assert {each.original_id for each in found[1:]} == {found[0].id}
            assert (await till.asks(reverse())).result == "00", "a capture can be undone"

    live(disk, scenario)


def test_a_code_is_known_after_a_restart(disk: Path) -> None:
    on = machine(disk)

    async def before(_: GatewayUnderTest) -> str:
        async with await Till.open() as till:
            code: str = (await till.asks(reserve(10_000))).preauthorisation_code
            return code

    code = on.live(before).result
    assert code is not None

    async def after(_: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            assert (await till.asks(capture(code, 9000))).result == "00"

    on.live(after)


def test_a_wrong_code_and_too_much_are_refused_with_a_ko(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            code = (await till.asks(reserve(10_000))).preauthorisation_code
            other = f"{(int(code) + 1) % 10**9:09d}"
            assert (await till.asks(increase(other, 100))).result == "01"
            assert (await till.asks(capture(other, 100))).error_text == "CODICE NON VALIDO"
            assert (await till.asks(capture(code, 10_100))).result == "01"
            assert len(gateway.transactions()) == 1

    live(disk, scenario)


def test_a_declined_reservation_has_no_code(disk: Path) -> None:
    async def scenario(_: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            declined = await till.asks(reserve(DECLINED))
            assert (declined.result, declined.action_code) == ("01", "100")
            assert declined.preauthorisation_code == ""

    live(disk, scenario)


# --- the last result --------------------------------------------------------------------------


def test_g_repeats_the_last_result_to_the_octet_for_every_till(disk: Path) -> None:
    async def scenario(_: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            assert await till.asks(last()) is None, "there is none yet"
            for request in (short_pay(), pay(), reserve(), pay(DECLINED)):
                till.say(request)
                assert await till.is_acked()
                payload = await till.payload()
                till.acknowledge()
                await till.asks(totals())
                till.say(last(cash_register="00000077"))
                assert await till.is_acked()
                assert await till.payload() == payload
                till.acknowledge()

    live(disk, scenario)


def test_g_survives_a_restart_and_another_configuration(disk: Path) -> None:
    on = machine(disk)

    async def paid(_: GatewayUnderTest) -> Any:
        async with await Till.open() as till:
            return await till.asks(pay())

    async def replayed(_: GatewayUnderTest) -> Any:
        async with await Till.open() as till:
            return await till.asks(last())

    assert on.live(paid).result == on.live(replayed).result


def test_another_tills_g_leaves_the_payers_request_unanswered(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            first = await till.asks(pay(), acknowledges=False)
        async with await Till.open() as till:
            await till.asks(last(cash_register="00000002"))
            assert await till.asks(pay()) == first
            assert len(await gateway.charges()) == 1

    live(disk, scenario)


# --- receipts ---------------------------------------------------------------------------------


def routed(routing: Routing = Routing.ECR) -> ReceiptRoutingRequest:
    return ReceiptRoutingRequest(tid=TID, routing=routing)


@pytest.mark.parametrize("connections", [1, 2])
def test_the_till_prints_the_receipt_that_it_asked_for_once(disk: Path, connections: int) -> None:
    async def scenario(_: GatewayUnderTest) -> None:
        till = await Till.open()
        till.say(routed())
        assert await till.is_acked()
        if connections == 2:
            till.hang_up()
            till = await Till.open()
        assert (await till.asks(pay())).approved
        (ticket,) = await till.tickets()
        assert "CARDHOLDER COPY" in ticket
        assert "10.00" in ticket
        assert max(map(len, ticket.split("\n"))) <= 24
        assert (await till.asks(pay())).approved
        assert await till.is_silent(30), "the wish was for one procedure"

    live(disk, scenario)


def test_a_wish_for_a_receipt_right_before_the_payment_is_heard(disk: Path) -> None:
    async def scenario(_: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            till.write(framed(routed()), framed(pay()))
            assert await till.is_acked()
            assert await till.is_acked()
            await till.payload()
            till.acknowledge()
            assert len(await till.tickets()) == 1

    live(disk, scenario)


def test_a_wish_for_a_receipt_does_not_wait_for_long(disk: Path) -> None:
    async def scenario(_: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            till.say(routed())
            assert await till.is_acked()
            await asyncio.sleep(61)
            await till.asks(pay())
            assert await till.is_silent(30)

    live(disk, scenario)


def test_a_till_that_turns_to_the_next_sale_gets_no_more_of_the_ticket(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            till.say(routed())
            assert await till.is_acked()
            await till.asks(pay())
            await till.payload()
            till.say(pay())
            assert await till.is_acked()
            assert wire.decode_result(await till.payload(), pay()).tid == TID
            assert len(await gateway.charges()) == 2

    live(disk, scenario)


def test_both_copies_and_the_merchants_alone(disk: Path) -> None:
    async def scenario(_: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            for routing, copies in (
                (Routing.ECR, ["MERCHANT COPY", "CARDHOLDER COPY"]),
                (Routing.MERCHANT_COPY_TO_ECR, ["MERCHANT COPY"]),
            ):
                till.say(routed(routing))
                assert await till.is_acked()
                await till.asks(pay())
                (ticket,) = await till.tickets()
                assert [line.strip() for line in ticket.split("\n") if "COPY" in line] == copies

    live(disk, scenario, receipt_copies="both")


def test_a_receipt_is_printed_again_where_the_till_wants(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            again = ReprintRequest(tid=TID, on_ecr=True)
            assert await till.asks(again) is None, "there is none yet"
            await till.asks(pay())
            till.say(again)
            assert await till.is_acked()
            assert len(await till.tickets()) == 1
            till.say(ReprintRequest(tid=TID))
            assert await till.is_acked()
            assert await till.is_silent(5)
            (printed,) = await gateway.world.printouts("v1-0001")
            assert "*** COPY ***" in printed.text, "the terminal's own, once more"
            assert "10.00" in printed.text
            assert await till.asks(ReprintRequest(tid=TID, on_ecr=True, service=True)) is None

    live(disk, scenario)


# --- totals -----------------------------------------------------------------------------------


def test_totals_add_up_and_begin_anew_with_a_close(disk: Path) -> None:
    async def scenario(_: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            await till.asks(pay(1000))
            await till.asks(pay(2000))
            await till.asks(reverse())
            await till.asks(pay(DECLINED))
            await till.asks(reserve(7000))
            assert (await till.asks(totals())).terminal_total == 1000
            closed = await till.asks(close())
            assert (closed.terminal_total, closed.host_total) == (1000, 1000)
            assert (await till.asks(totals())).terminal_total == 0

    live(disk, scenario)


def test_less_than_nothing_is_not_told(disk: Path) -> None:
    async def scenario(_: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            await till.asks(RefundRequest(tid=TID, cash_register=REGISTER, amount=500))
            assert (await till.asks(totals())).result == "01"
            closed = await till.asks(close())
            assert (closed.result, closed.terminal_total) == ("00", 0)

    live(disk, scenario)


# --- everything else --------------------------------------------------------------------------


def verification() -> CardVerificationRequest:
    return CardVerificationRequest(tid=TID, cash_register=REGISTER)


def test_a_card_is_verified_without_money(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            found = await till.asks(verification())
            assert (found.result, len(found.last_four)) == ("00", 4)
            assert gateway.transactions() == []
            nobody = SetScript(Script(seconds=300, answer=""), 1)
            await gateway.world.set_script("v1-0001", nobody)
            assert (await till.asks(verification())).result == "01"

    live(disk, scenario)


def test_what_is_not_there_is_refused(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            for each in (
                VasRequest(tid=TID, cash_register=REGISTER, xml="<ecrreq></ecrreq>"),
                DownloadRequest(tid=TID),
                RetroactiveReversalRequest(
                    tid=TID,
                    cash_register=REGISTER,
                    stan="000001",
                    card="C1234",
                    acquirer="00000000034",
                    amount=100,
                ),
                AdditionalData(tid=TID, tags=(Tag("0COF", 5),)),
            ):
                assert await till.asks(each) is None
            for code in (b"J", b"?"):
                till.write(wire.application(b"%s0%s%s" % (TID.encode(), code, b"0" * 157)))
                assert not await till.is_acked()
            assert gateway.transactions() == []
            assert (await till.asks(pay())).approved

    live(disk, scenario)


def test_tills_that_name_no_register_are_told_apart_by_where_they_are(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        async with await Till.open() as till:
            first = await till.asks(pay(cash_register="00000000"), acknowledges=False)
        async with await Till.open() as till:
            assert await till.asks(pay(cash_register="00000000")) == first
            (transaction,) = gateway.transactions()
            assert transaction.register == "127.0.0.1"

    live(disk, scenario)
