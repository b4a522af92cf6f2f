"""The driver of Payment Bridge against its face: every ending, every operation, and callbacks that
are dropped, doubled, late and in another order."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import pytest

from tests.kit.virtual_loop import virtual_loop
from tests.matrix.paymentbridge_agreement import check_pair
from tests.matrix.paymentbridge_pair import (
    FAR_PORTS,
    LANE,
    Lane,
    Pair,
    live,
    settled,
)
from tests.matrix.two_gateways import Who
from tillwire.core.estate_model import Lifecycle
from tillwire.core.model import (
    Evidence,
    State,
    Terms,
    Transaction,
    TransactionType,
)
from tillwire.dialects.paymentbridge.wire import ids
from tillwire.errors import Proof

_T = TransactionType
POLLING: Final = Lane(polls=True)

ENDS: Final = {
    0: State.APPROVED,
    40: State.DECLINED,
    41: State.DECLINED,
    43: State.CANCELLED,
    44: State.CANCELLED,
    45: State.APPROVED,
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
"""Last two digits of the amount -> the end."""


@pytest.mark.parametrize("ending", ENDS)
def test_every_ending_of_an_amount(disk: Path, ending: int) -> None:
    async def day(pair: Pair) -> None:
        await pair.open()
        here = await settled(pair, await pair.order(LANE, 1000 + ending))
        there = pair.there(here)
        assert there is not None
        assert here.state is there.state is ENDS[ending], (here, there)
        assert here.approved_amount == there.approved_amount
        if here.outcome is not None:
            assert here.outcome.evidence is Evidence.REPORTED
        await check_pair(pair)

    live(disk, day, told={"partial_approval": True})


UNLISTED: Final = {43, 44, 52}
"""Endings of which a cloud that is asked knows nothing."""


@pytest.mark.parametrize("ending", ENDS)
def test_every_ending_where_the_cloud_has_to_be_asked(disk: Path, ending: int) -> None:
    async def day(pair: Pair) -> None:
        here = await settled(pair, await pair.order(POLLING, 1000 + ending))
        there = pair.there(here)
        assert there is not None
        if ending in UNLISTED:
            assert (here.state, here.proof) == (State.FAILED, Proof.ABSENT_AT_PEER)
        else:
            assert here.state is there.state is ENDS[ending], (here, there)
        await check_pair(pair)

    polling = Lane(polls=True, settings={"over_after_seconds": 200.0})
    live(disk, day, lanes=[polling], told={"partial_approval": True})


MISCHIEF: Final[dict[str, dict[str, Any]]] = {
    "received dropped": {"drop": ["received"]},
    "started dropped": {"drop": ["started"]},
    "final dropped": {"drop": ["final"]},
    "only the final": {"drop": ["received", "started"]},
    "nothing": {"drop": ["received", "started", "final"]},
    "final twice": {"final_twice": True},
    "reversed": {"reversed_order": True},
    "reversed and twice": {"reversed_order": True, "final_twice": True},
    "late": {"delay": 12.0},
    "very late": {"delay": 300.0},
}


@pytest.mark.parametrize("mischief", MISCHIEF)
@pytest.mark.parametrize("minor", [1000, pytest.param(1040, marks=pytest.mark.long), 1049])
def test_callbacks_that_misbehave(disk: Path, mischief: str, minor: int) -> None:
    async def day(pair: Pair) -> None:
        here = await settled(pair, await pair.order(LANE, minor))
        assert here.state is (State.DECLINED if minor == 1040 else State.APPROVED)
        await asyncio.sleep(400)  # what is late comes, and changes nothing
        await check_pair(pair)

    live(disk, day, told={"mischief": MISCHIEF[mischief], "gzip": True})


@pytest.mark.parametrize("style", ["nexi", "poynt", pytest.param("both", marks=pytest.mark.long)])
@pytest.mark.parametrize("payload", ["flat", "wrapped"])
def test_every_spelling(disk: Path, style: str, payload: str) -> None:
    lane = Lane(settings={"payload": payload})

    async def day(pair: Pair) -> None:
        for kind in (_T.PURCHASE, _T.PREAUTH, _T.REFUND):
            here = await pair.pay(lane, 1000, kind)
            assert (here.state, here.approved_amount) == (State.APPROVED, 1000)
        tipped = await pair.pay(lane, 1100, terms=Terms(tip=100))
        assert (tipped.state, tipped.approved_amount) == (State.APPROVED, 1100)
        there = pair.there(tipped)
        assert there is not None
        assert there.terms.tip == 100
        await check_pair(pair)

    told = {"reference_key_style": style, "purchase_action": "AUTHORIZE"}
    live(disk, day, lanes=[lane], told=told)


@pytest.mark.parametrize("way", ["rest", "bridge"])
@pytest.mark.parametrize("polls", [False, True])
def test_all_that_follows(disk: Path, way: str, polls: bool) -> None:
    lane = Lane(polls=polls, settings={"follow_ups": way})

    async def follow(pair: Pair, kind: TransactionType, minor: int, of: Transaction) -> None:
        back = await pair.pay(lane, minor, kind, original=of.id)
        assert (back.state, back.approved_amount) == (State.APPROVED, minor), back

    async def day(pair: Pair) -> None:
        sale = await pair.pay(lane, 1000)
        await follow(pair, _T.REFUND, 300, sale)
        await follow(pair, _T.REFUND, 700, sale)
        await follow(pair, _T.REVERSAL, 2000, await pair.pay(lane, 2000))
        await follow(pair, _T.REVERSAL, 3000, await pair.pay(lane, 3000, _T.PREAUTH))
        reserved = await pair.pay(lane, 4000, _T.PREAUTH)
        await follow(pair, _T.CAPTURE, 1500, reserved)
        await follow(pair, _T.CAPTURE, 500, reserved)
        await check_pair(pair)

    live(disk, day, lanes=[lane])


def test_a_partial_approval_is_told_where_the_cloud_allows_it(disk: Path) -> None:
    async def day(pair: Pair) -> None:
        here = await pair.pay(LANE, 1045)
        assert here.state is State.APPROVED
        assert 0 < here.approved_amount < 1045
        await check_pair(pair)

    live(disk, day, told={"partial_approval": True})


# --- the way back -------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.5, 4.0, 12.0, 60.0, 400.0])
def test_the_receiver_is_down_for_a_while(disk: Path, seconds: float) -> None:
    async def day(pair: Pair) -> None:
        order = await pair.order(LANE, 1049)
        await asyncio.sleep(1)
        pair.deafen()
        await asyncio.sleep(seconds)
        await pair.hear_again()
        assert (await settled(pair, order)).state is State.APPROVED
        await check_pair(pair)

    live(disk, day)


# --- the way there ------------------------------------------------------------------------------


@pytest.mark.parametrize("first_look", [15.0, 3.0])
def test_an_order_whose_ttl_passes_was_never_there(disk: Path, first_look: float) -> None:
    """Somebody else pays at the terminal for long, so that ours waits in the cloud and expires;
    the list is looked at after that, or already while it waits."""
    lane = Lane(settings={"ttl_seconds": 10, "poll_after_seconds": first_look})

    async def day(pair: Pair) -> None:
        await pair.open(lane)
        others = Lane(name="other")
        busy = [await pair.order(others, 1049)]
        here = await settled(pair, await pair.order(lane, 500))
        assert (here.state, here.proof) == (State.FAILED, Proof.ABSENT_AT_PEER)
        for each in busy:
            assert (await settled(pair, each)).state is State.APPROVED
        await check_pair(pair)

    live(disk, day, lanes=[lane, Lane(name="other")])


@pytest.mark.parametrize("polls", [False, True])
def test_a_token_that_is_over_is_renewed(disk: Path, polls: bool) -> None:
    lane = Lane(polls=polls)

    async def day(pair: Pair) -> None:
        for _ in range(4):
            assert (await pair.pay(lane, 1000)).state is State.APPROVED
            await asyncio.sleep(50)
        await check_pair(pair)

    live(disk, day, lanes=[lane], told={"token_seconds": 60})


def test_a_token_of_a_cloud_that_knows_none_any_more_is_renewed(disk: Path) -> None:
    """The far gateway has lost its key, and signs tokens with another one."""

    async def day(pair: Pair) -> None:
        await pair.open()
        await pair.far.stop()
        for file in pair._home("far").glob("*.key"):
            file.unlink()
        await pair.revive_far()
        assert (await pair.pay(LANE, 1000)).state is State.APPROVED
        await check_pair(pair)

    live(disk, day)


# --- swaps ----------------------------------------------------------------------------------------


def test_a_terminal_is_swapped_and_the_old_one_retired_between_two_payments(disk: Path) -> None:
    async def day(pair: Pair) -> None:
        await pair.open()
        await pair.swap(Lifecycle.REMOVED)
        here = await pair.pay(LANE, 1000)
        assert here.state is State.APPROVED, "the message to the removed device was refused"
        assert here.peer["device"] == ids.device_id(LANE.there.id, 2)
        await check_pair(pair)

    live(disk, day)


def test_a_terminal_is_swapped_and_nobody_retired_the_old_one(disk: Path) -> None:
    async def day(pair: Pair) -> None:
        await pair.open()
        await pair.swap(Lifecycle.ACTIVATED)
        here = await settled(pair, await pair.order(LANE, 1000))
        assert (here.state, here.proof) == (State.FAILED, Proof.ABSENT_AT_PEER)
        assert here.peer["device"] == ids.device_id(LANE.there.id, 1), "it was remembered"
        here = await pair.pay(LANE, 1000)
        assert here.state is State.APPROVED
        assert here.peer["device"] == ids.device_id(LANE.there.id, 2)
        await check_pair(pair)

    live(disk, day)


@pytest.mark.parametrize("former", [Lifecycle.ACTIVATED, Lifecycle.REMOVED])
def test_a_terminal_is_swapped_in_mid_payment(disk: Path, former: Lifecycle) -> None:
    async def day(pair: Pair) -> None:
        order = await pair.order(LANE, 1049)
        await asyncio.sleep(3)
        await pair.swap(former, in_use=True)
        here = await settled(pair, order)
        assert here.state is State.APPROVED
        await check_pair(pair)

    live(disk, day)


def test_a_terminal_that_was_retired_gets_nothing(disk: Path) -> None:
    async def day(pair: Pair) -> None:
        await pair.open()
        await pair.retire()
        here = await pair.pay(LANE, 1000)
        assert here.state is State.FAILED
        assert pair.there(here) is None
        assert not (await pair.near.engine.status(LANE.id)).reachable
        await check_pair(pair)

    live(disk, day)


# --- one of both dies -----------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["far", "near"])
@pytest.mark.parametrize("seconds", [0.0, pytest.param(90.0, marks=pytest.mark.long)])
def test_a_gateway_dies_at_any_step_of_a_payment(disk: Path, who: Who, seconds: float) -> None:
    async def day(pair: Pair) -> set[State]:
        await pair.open()
        ends = set()
        for steps in range(0, 280, 28):
            order = await pair.order(LANE, 1000)
            for _ in range(steps):
                await asyncio.sleep(0)
            await pair.is_away(who, seconds)
            ends.add((await settled(pair, order)).state)
            await check_pair(pair)
        return ends

    ends = live(disk, day)
    assert State.APPROVED in ends
    assert ends <= {State.APPROVED, State.FAILED, State.UNKNOWN}


@pytest.mark.parametrize("who", ["far", "near"])
def test_a_gateway_dies_while_the_cardholder_takes_his_time(disk: Path, who: Who) -> None:
    async def day(pair: Pair) -> set[State]:
        ends = set()
        for wait in (1, 10, 19.9, 20.3, 20.5):
            order = await pair.order(LANE, 1049)
            await asyncio.sleep(wait)
            await pair.is_away(who, 5.0)
            ends.add((await settled(pair, order)).state)
            await check_pair(pair)
        return ends

    assert live(disk, day) == {State.APPROVED}


def test_where_the_way_to_the_cloud_is_cut_nothing_is_paid_twice(disk: Path) -> None:
    async def day(pair: Pair) -> None:
        await pair.open()
        for steps in range(0, 200, 11):
            order = await pair.order(LANE, 1000)
            for _ in range(steps):
                await asyncio.sleep(0)
            virtual_loop().network.cut(*FAR_PORTS.values())
            await settled(pair, order)
            await check_pair(pair)

    live(disk, day)
