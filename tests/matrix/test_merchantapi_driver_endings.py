"""The driver of the MerchantAPI against its face: every ending, refunds, cancellation, terminals
that fetch, are off, blocked or taken by another till, and what is on the books."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Final

import msgspec
import pytest

from tests.kit import shop
from tests.kit.virtual_loop import virtual_loop
from tests.matrix.merchantapi_agreement import check_pair
from tests.matrix.merchantapi_pair import (
    DEVICE,
    FAR_PORTS,
    FETCHING,
    LANE,
    Lane,
    Pair,
    live,
    settled,
)
from tests.simulation.polling import PollingTerminal
from tillwire.core.estate_model import Lifecycle
from tillwire.core.model import Evidence, State, TransactionType, Verdict
from tillwire.core.ports import AbortResult
from tillwire.errors import Conflict, Proof
from tillwire.net.http_client import AiohttpClient

_T = TransactionType

ENDS: Final = {
    0: State.APPROVED,
    40: State.DECLINED,
    41: State.DECLINED,
    42: State.DECLINED,
    43: State.CANCELLED,
    44: State.CANCELLED,
    45: State.DECLINED,
    46: State.APPROVED,
    47: State.UNKNOWN,
    48: State.APPROVED,
    49: State.APPROVED,
    50: State.APPROVED,
    51: State.APPROVED,
    52: State.CANCELLED,
    53: State.DECLINED,
    54: State.APPROVED,
}
"""Last two digits of the amount -> the end. The protocol cannot ask for an approval in part, and
has no word for what failed with a proof: it is cancelled."""


@pytest.mark.parametrize("ending", ENDS)
def test_every_ending_of_an_amount(disk: Path, ending: int) -> None:
    async def day(pair: Pair) -> None:
        here = await pair.ended(await pair.order(LANE, 1000 + ending), 400)
        there = pair.there(here)
        assert there is not None
        assert here.state is ENDS[ending], here
        assert there.state is (State.FAILED if ending == 52 else here.state)
        assert here.approved_amount == there.approved_amount
        if here.outcome is not None and there.outcome is not None:
            assert here.outcome.evidence is Evidence.ANSWER
            assert (here.outcome.stan, here.outcome.brand, here.outcome.tip) == (
                there.outcome.stan, there.outcome.brand, there.outcome.tip,
            )  # fmt: skip
            assert here.outcome.receipts is not None
        if here.state is State.UNKNOWN:
            assert (await settled(pair, here.id)).state is State.APPROVED
        await check_pair(pair)

    live(disk, day)


@pytest.mark.parametrize("ending", [0, 40, 43, 46, 48])
def test_refunds_with_and_without_a_purchase(disk: Path, ending: int) -> None:
    async def day(pair: Pair) -> None:
        paid = await pair.pay(LANE, 5000)
        for original in (None, paid.id):
            back = await pair.pay(LANE, 1000 + ending, _T.REFUND, original=original)
            assert back.state is ENDS[ending]
            there, sale = pair.there(back), pair.there(paid)
            assert there is not None
            assert sale is not None
            assert there.original_id == (sale.id if original else None)
        await check_pair(pair)

    live(disk, day)


def test_refunds_never_exceed_the_sale_on_either_side(disk: Path) -> None:
    async def day(pair: Pair) -> None:
        paid = await pair.pay(LANE, 1000)
        sale = pair.there(paid)
        assert sale is not None
        assert (await pair.pay(LANE, 700, _T.REFUND, original=paid.id)).state is State.APPROVED
        with pytest.raises(Conflict):
            await pair.order(LANE, 400, _T.REFUND, original=paid.id)
        await check_pair(pair)

    live(disk, day)


def test_a_sale_of_another_system_is_not_refunded_here(disk: Path) -> None:
    async def day(pair: Pair) -> None:
        paid = await pair.pay(shop.VIRTUAL[1], 1000)
        failed = await pair.pay(LANE, 500, _T.REFUND, original=paid.id)
        assert (failed.state, failed.proof) == (State.FAILED, Proof.NEVER_SENT)
        assert pair.far.transactions() == []

    live(disk, day)


# --- refusals -------------------------------------------------------------------------------------


def test_a_wrong_key_is_a_refusal(disk: Path) -> None:
    async def day(pair: Pair) -> None:
        pair.key_file.write_text("tw_another")
        failed = await pair.pay(LANE, 1000)
        assert (failed.state, failed.proof) == (State.FAILED, Proof.REFUSED_BY_PEER)
        assert "403" in str(pair.near.events(failed.id)[-1].detail)
        pair.key_file.write_text(shop.API_KEY)
        assert (await pair.pay(LANE, 1000)).state is State.APPROVED
        await check_pair(pair)

    live(disk, day)


def test_a_terminal_that_the_system_does_not_have_takes_nothing(disk: Path) -> None:
    nowhere = Lane(msgspec.structs.replace(shop.VIRTUAL[0], serial="9999"), "nowhere")

    async def day(pair: Pair) -> None:
        failed = await pair.pay(nowhere, 1000)
        assert (failed.state, failed.proof) == (State.FAILED, Proof.REFUSED_BY_PEER)
        assert "404" in str(pair.near.events(failed.id)[-1].detail)
        status = await pair.near.engine.status(nowhere.id)
        assert not status.reachable
        await check_pair(pair)

    live(disk, day, lanes=[nowhere])


def test_a_terminal_out_of_service_takes_nothing(disk: Path) -> None:
    async def day(pair: Pair) -> None:
        idle = msgspec.structs.replace(shop.VIRTUAL[0], lifecycle=Lifecycle.CREATED)
        await pair.far.engine.change_estate(lambda unit: unit.put(idle))
        failed = await pair.ended(await pair.order(LANE, 1000), 90)
        assert (failed.state, failed.proof) == (State.FAILED, Proof.REFUSED_BY_PEER)
        assert "409" in str(pair.near.events(failed.id)[-1].detail)
        await check_pair(pair)

    live(disk, day)


def test_a_terminal_that_an_unknown_payment_blocks_takes_nothing(disk: Path) -> None:
    async def day(pair: Pair) -> None:
        blocking = await pair.other_till(1047)
        await pair.far.engine.wait(blocking, lambda each: each.is_settled, 300)
        failed = await pair.ended(await pair.order(LANE, 1000), 90)
        assert (failed.state, failed.proof) == (State.FAILED, Proof.REFUSED_BY_PEER)
        assert "409" in str(pair.near.events(failed.id)[-1].detail)
        await pair.far.engine.decide(
            blocking, Verdict.APPROVED, person="Ada", reason="Seen.", approved_amount=1047
        )
        assert (await pair.pay(LANE, 1000)).state is State.APPROVED
        await check_pair(pair)

    live(disk, day)


# --- other tills ----------------------------------------------------------------------------------


def test_a_payment_waits_for_that_of_another_till(disk: Path) -> None:
    async def day(pair: Pair) -> None:
        await pair.other_till(1049)
        paid = await pair.pay(LANE, 1000)
        assert paid.state is State.APPROVED
        await check_pair(pair)

    live(disk, day)


@pytest.mark.parametrize("lane", [LANE, FETCHING])
def test_another_till_takes_the_place_of_what_waits(disk: Path, lane: Lane) -> None:
    async def day(pair: Pair) -> None:
        if lane is LANE:
            await pair.other_till(1049)
        order = await pair.order(lane, 1000)
        await asyncio.sleep(5)
        await pair.other_till(2000, lane)
        here = await pair.ended(order, 30)
        assert here.state is State.CANCELLED
        assert here.outcome is not None
        assert "replaced by a newer one" in here.outcome.reason
        there = pair.there(here)
        assert there is not None
        assert there.proof is Proof.NEVER_SENT

    live(disk, day)


# --- terminals that fetch -------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_a_terminal_that_fetches_is_waited_for(disk: Path, seed: int) -> None:
    async def day(pair: Pair) -> None:
        terminal = PollingTerminal(random.Random(seed))
        client = AiohttpClient()
        url = f"http://127.0.0.1:{FAR_PORTS[DEVICE]}"
        order = await pair.order(FETCHING, 1000)
        await asyncio.sleep(20)
        work = asyncio.create_task(terminal.work(client, url))
        for number in range(3):
            here = await pair.ended(order, 120)
            there = pair.there(here)
            assert there is not None
            assert here.is_final
            assert here.state is there.state
            await check_pair(pair, terminal.charged)
            order = await pair.order(FETCHING, 1100 + number)
        await pair.ended(order, 120)
        work.cancel()
        await client.close()

    live(disk, day)


def test_a_terminal_that_is_off_comes_upon_no_old_payment(disk: Path) -> None:
    async def day(pair: Pair) -> None:
        before = virtual_loop().clock.monotonic()
        here = await pair.ended(await pair.order(FETCHING, 1000), 240)
        assert here.state is State.CANCELLED
        assert 180 < virtual_loop().clock.monotonic() - before < 200
        there = pair.there(here)
        assert there is not None
        assert there.proof is Proof.NEVER_SENT
        await check_pair(pair)

    live(disk, day)


def test_what_no_terminal_has_fetched_is_called_off(disk: Path) -> None:
    async def day(pair: Pair) -> None:
        order = await pair.order(FETCHING, 1000)
        await asyncio.sleep(3)
        assert await pair.near.engine.abort(order.id) is AbortResult.ABORTED
        here = await pair.ended(order, 10)
        there = pair.there(here)
        assert there is not None
        assert (here.state, there.state) == (State.CANCELLED, State.CANCELLED)
        await check_pair(pair)

    live(disk, day)


def test_what_has_ended_cannot_be_called_off(disk: Path) -> None:
    async def day(pair: Pair) -> None:
        order = await pair.order(LANE, 1000)
        await asyncio.sleep(1)
        result = await pair.near.engine.abort(order.id)
        here = await pair.ended(order)
        assert (result, here.state) == (AbortResult.TOO_LATE, State.APPROVED)
        await check_pair(pair)

    live(disk, day)


# --- the books ------------------------------------------------------------------------------------


def test_the_system_s_list_is_the_same_day_as_the_journal_s(disk: Path) -> None:
    async def day(pair: Pair) -> None:
        begin = virtual_loop().clock.now()
        for minor in (1000, 1040, 1043, 1054, 2000):
            await pair.pay(LANE, minor)
        end = type(begin)(virtual_loop().clock.now() + 1)
        await asyncio.sleep(1)
        await pair.other_till(3000)
        found = [each async for each in pair.near.engine.entries(LANE.id, begin, end)]
        mine = {each.id: each for each in pair.near.transactions()}
        assert {each.transaction_id for each in found} == mine.keys()
        for entry in found:
            assert entry.agrees_with(mine[entry.transaction_id])
        known = await pair.near.engine.last_transaction(LANE.id)
        assert known.entry is not None
        assert (known.entry.reference, known.entry.transaction_id) == ("other", "")
        assert (await pair.near.engine.status(LANE.id)).reachable

    live(disk, day)
