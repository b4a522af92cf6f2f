"""The driver of SmartConnect against its face: every ending, every function, pairing, and a
terminal that is busy, away or slow."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import msgspec
import pytest

from tests.kit import shop
from tests.kit.virtual_loop import virtual_loop
from tests.matrix.smartconnect_agreement import check_pair
from tests.matrix.smartconnect_pair import LANE, Lane, Pair, live, settled
from tillwire.core.entries import Entry
from tillwire.core.errands import AskLast
from tillwire.core.estate_model import Lifecycle
from tillwire.core.model import Evidence, State, Terms, TransactionType, Verdict
from tillwire.core.ports import AbortResult
from tillwire.dialects.smartconnect.driver.cloud import Refused
from tillwire.errors import Conflict, Proof

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
    52: State.FAILED,
    53: State.DECLINED,
    54: State.APPROVED,
}
"""Last two digits of the amount -> the end. The protocol knows no approval in part."""


@pytest.mark.parametrize("ending", ENDS)
def test_every_ending_of_an_amount(disk: Path, ending: int) -> None:
    async def day(pair: Pair) -> None:
        here = await pair.ended(await pair.order(LANE, 1000 + ending), 1000)
        there = pair.there(here)
        assert there is not None
        assert here.state is ENDS[ending], here
        assert there.state is here.state
        assert here.approved_amount == there.approved_amount
        if here.state is State.FAILED:
            assert here.proof is Proof.REFUSED_BY_PEER
        if here.outcome is not None:
            assert here.outcome.evidence is Evidence.ANSWER
            assert here.outcome.receipts is not None or here.state is State.CANCELLED
        if here.state is State.UNKNOWN:
            await pair.far.engine.decide(
                there.id, Verdict.APPROVED, person="Ada", reason="Seen.", approved_amount=1047
            )
            assert (await settled(pair, here.id)).is_settled
        await check_pair(pair)

    live(disk, day)


@pytest.mark.parametrize(
    ("kind", "terms"),
    [
        (_T.PURCHASE, Terms()),
        (_T.PURCHASE, Terms(cash_back=400)),
        (_T.PURCHASE, Terms(cash_back=1000)),
        (_T.CASH_ADVANCE, Terms()),
        (_T.REFUND, Terms()),
        (_T.PREAUTH, Terms()),
    ],
)
def test_every_function(disk: Path, kind: TransactionType, terms: Terms) -> None:
    async def day(pair: Pair) -> None:
        here = await pair.pay(LANE, 1000, kind, terms=terms)
        there = pair.there(here)
        assert there is not None
        assert (here.state, here.approved_amount) == (State.APPROVED, 1000)
        assert (there.type, there.amount, there.terms.cash_back) == (
            kind,
            here.amount,
            terms.cash_back,
        )
        await check_pair(pair)

    live(disk, day)


@pytest.mark.parametrize("method", ["qr_merchant", "qr_consumer"])
def test_qr_codes(disk: Path, method: str) -> None:
    lane = Lane(settings={"method": method})

    async def day(pair: Pair) -> None:
        paid = await pair.pay(lane, 1000)
        back = await pair.pay(lane, 300, _T.REFUND, original=paid.id)
        assert (paid.state, back.state) == (State.APPROVED, State.APPROVED)
        await check_pair(pair)

    live(disk, day, lanes=[lane])


def test_a_reservation_is_finalised_by_its_reference(disk: Path) -> None:
    async def day(pair: Pair) -> None:
        first = await pair.pay(LANE, 5000, _T.PREAUTH)
        second = await pair.pay(LANE, 6000, _T.PREAUTH)
        taken = await pair.pay(LANE, 4500, _T.CAPTURE, original=first.id)
        assert (taken.state, taken.approved_amount) == (State.APPROVED, 4500)
        there, original = pair.there(taken), pair.there(first)
        assert there is not None
        assert original is not None
        assert there.original_id == original.id
        assert pair.there(second) is not None
        await check_pair(pair)

    live(disk, day)


def test_refunds_never_exceed_the_sale_though_the_wire_knows_no_link(disk: Path) -> None:
    async def day(pair: Pair) -> None:
        paid = await pair.pay(LANE, 1000)
        back = await pair.pay(LANE, 700, _T.REFUND, original=paid.id)
        assert back.state is State.APPROVED
        with pytest.raises(Conflict):
            await pair.pay(LANE, 400, _T.REFUND, original=paid.id)
        await check_pair(pair)

    live(disk, day)


# --- pairing ------------------------------------------------------------------------------------


def test_without_a_pairing_nothing_is_paid(disk: Path) -> None:
    async def day(pair: Pair) -> None:
        await pair.unpair()
        failed = await pair.pay(LANE, 1000)
        assert (failed.state, failed.proof) == (State.FAILED, Proof.REFUSED_BY_PEER)
        assert "not paired" in str(pair.near.events(failed.id)[-1].detail)
        await pair.pair()
        assert (await pair.pay(LANE, 1000)).state is State.APPROVED
        await check_pair(pair)

    live(disk, day)


@pytest.mark.parametrize("how", ["wrong", "used", "expired"])
def test_a_code_works_once_and_for_a_while(disk: Path, how: str) -> None:
    async def day(pair: Pair) -> None:
        code = "00000000" if how == "wrong" else await pair.code()
        if how == "used":
            await pair.pair(code=code)
        if how == "expired":
            await asyncio.sleep(121)
        with pytest.raises(Refused):
            await pair.pair(code=code)
        assert (await pair.pay(LANE, 1000)).state is State.APPROVED, "paired as before"

    live(disk, day)


def test_pairing_again_moves_the_register(disk: Path) -> None:
    async def day(pair: Pair) -> None:
        assert pair.paired_with() == shop.VIRTUAL[0].id
        await pair.pair(at=2)
        assert pair.paired_with() == shop.VIRTUAL[1].id
        here = await pair.pay(LANE, 1000)
        there = pair.there(here)
        assert there is not None
        assert there.terminal_id == shop.VIRTUAL[1].id
        await check_pair(pair)

    live(disk, day)


@pytest.mark.parametrize(
    "changes", [{"business_name": "harbour books"}, {"vendor_name": "Tillco"}, {"register_id": "x"}]
)
def test_a_register_is_known_by_all_three_of_its_names(disk: Path, changes: dict[str, str]) -> None:
    stranger = Lane(register="stranger", settings=changes)

    async def day(pair: Pair) -> None:
        terminal = msgspec.structs.replace(
            stranger.terminal(),
            settings={**LANE.terminal().settings, **changes},
        )
        await pair.near.engine.change_estate(lambda unit: unit.put(terminal))
        failed = await pair.pay(stranger, 1000)
        assert (failed.state, failed.proof) == (State.FAILED, Proof.REFUSED_BY_PEER)
        await check_pair(pair)

    live(disk, day)


def test_two_registers_share_a_terminal_and_the_second_is_told_that_it_is_busy(
    disk: Path,
) -> None:
    lanes = [LANE, Lane(register="second")]

    async def day(pair: Pair) -> None:
        first = await pair.order(lanes[0], 1049)
        await asyncio.sleep(3)
        busy = await pair.pay(lanes[1], 2000)
        assert (busy.state, busy.proof) == (State.FAILED, Proof.REFUSED_BY_PEER)
        assert "429" in str(pair.near.events(busy.id)[-1].detail)
        assert (await pair.ended(first)).state is State.APPROVED
        assert (await pair.pay(lanes[1], 2000)).state is State.APPROVED
        await check_pair(pair)

    live(disk, day, lanes=lanes)


# --- slow, away, and what there is no word for --------------------------------------------------


def test_a_terminal_that_was_retired_takes_nothing(disk: Path) -> None:
    async def day(pair: Pair) -> None:
        gone = msgspec.structs.replace(shop.VIRTUAL[0], lifecycle=Lifecycle.REMOVED)
        await pair.far.engine.change_estate(lambda unit: unit.put(gone))
        failed = await pair.pay(LANE, 1000)
        assert (failed.state, failed.proof) == (State.FAILED, Proof.REFUSED_BY_PEER)
        await check_pair(pair)

    live(disk, day)


def test_a_slow_terminal_is_told_as_delayed_until_its_result_comes(disk: Path) -> None:
    async def day(pair: Pair) -> None:
        order = await pair.order(LANE, 1049)
        shown: list[str] = []
        stop = pair.near.engine.listen(order.id, shown.append)
        paid = await pair.ended(order)
        stop()
        assert paid.state is State.APPROVED
        assert shown == ["The terminal is slow, or out of reach: its result will come."]
        await check_pair(pair)

    live(disk, day, told={"delayed_after": 5.0})


def test_what_nobody_knows_there_is_delayed_here_until_a_person_knows(disk: Path) -> None:
    async def day(pair: Pair) -> None:
        order = await pair.order(LANE, 1047)
        await asyncio.sleep(500)
        here = await pair.near.engine.find(order.id)
        assert here is not None
        assert here.state is State.UNKNOWN
        there = pair.there(here)
        assert there is not None
        await pair.far.engine.decide(
            there.id, Verdict.APPROVED, person="Ada", reason="Seen.", approved_amount=1047
        )
        paid = await pair.ended(order)
        assert (paid.state, paid.approved_amount) == (State.APPROVED, 1047)
        await check_pair(pair)

    live(disk, day)


def test_nothing_can_be_called_off(disk: Path) -> None:
    async def day(pair: Pair) -> None:
        order = await pair.order(LANE, 1049)
        await asyncio.sleep(2)
        assert await pair.near.engine.abort(order.id) is AbortResult.TOO_LATE
        assert (await pair.ended(order)).state is State.APPROVED
        await check_pair(pair)

    live(disk, day)


def test_polls_keep_the_pace_that_the_face_wants(disk: Path) -> None:
    """A face that wants five seconds is polled by a driver that would like three."""

    async def day(pair: Pair) -> None:
        before = virtual_loop().clock.monotonic()
        paid = await pair.pay(LANE, 1049)
        assert paid.state is State.APPROVED
        assert virtual_loop().clock.monotonic() - before < 40
        await check_pair(pair)

    live(disk, day, told={"poll_seconds": 5.0})


def test_the_terminal_s_status_and_journal(disk: Path) -> None:
    async def day(pair: Pair) -> None:
        status = await pair.near.engine.status(LANE.id)
        assert status.reachable
        assert "READY" in status.detail
        paid = await pair.pay(LANE, 1234)
        seen = await pair.near.engine.perform(LANE.id, AskLast())
        assert isinstance(seen, Entry)
        assert seen.name == paid.peer["transaction_id"]
        assert (seen.outcome.verdict, seen.outcome.approved_amount) == (Verdict.APPROVED, 1234)
        order = await pair.order(LANE, 1049)
        await asyncio.sleep(3)
        other = Lane(register="second")
        await pair.pair(other)
        await pair.near.engine.change_estate(lambda unit: unit.put(other.terminal()))
        status = await pair.near.engine.status(other.id)
        assert (status.reachable, status.detail) == (True, "It is busy.")
        await pair.ended(order)

    live(disk, day)
