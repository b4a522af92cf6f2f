"""Gateways on either side of SmartConnect that die, alone or together, and live again: within the
life of a polling URL, and too late for it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.kit.faults import Faults, Flow, Noticed
from tests.matrix.both_die import deaths, finding_out
from tests.matrix.smartconnect_agreement import check_pair
from tests.matrix.smartconnect_pair import (
    FAR_PORTS,
    LANE,
    Pair,
    live,
    settled,
)
from tests.matrix.two_gateways import Scenario, break_next
from tillwire.core.doubts import NEEDS_PERSON
from tillwire.core.model import Evidence, State, Transaction, TransactionType

_T = TransactionType


async def polling(pair: Pair, order: Transaction) -> None:
    """Wait until the polling URL is in the journal."""
    await pair.near.engine.wait(order.id, lambda each: "polling_url" in each.peer, 10)


def words(pair: Pair, order: Transaction) -> str:
    """What a person was told of it."""
    told = [each for each in pair.near.events(order.id) if each.name == NEEDS_PERSON]
    return str(told[-1].detail["detail"]) if told else ""


@pytest.mark.parametrize("minor", [1000, 1040, 1043, 1049])
def test_a_gateway_that_is_down_for_14_minutes_finds_the_end(disk: Path, minor: int) -> None:
    async def day(pair: Pair) -> None:
        order = await pair.order(LANE, minor)
        await polling(pair, order)
        await pair.is_away("near", 14 * 60)
        ended = await pair.ended(order, 30)
        there = pair.there(ended)
        assert there is not None
        assert (ended.state, ended.approved_amount) == (there.state, there.approved_amount)
        assert ended.is_final
        assert ended.outcome is not None
        assert ended.outcome.evidence is Evidence.RECOVERED
        await check_pair(pair)

    live(disk, day)


def test_a_gateway_that_is_down_for_16_minutes_says_why_only_a_person_can_tell(
    disk: Path,
) -> None:
    async def day(pair: Pair) -> None:
        order = await pair.order(LANE, 1049)
        await polling(pair, order)
        await pair.is_away("near", 16 * 60)
        await asyncio.sleep(60)
        here = await pair.near.engine.find(order.id)
        assert here is not None
        assert here.state is State.UNKNOWN
        told = words(pair, order)
        assert "401" in told
        assert "15 minutes" in told
        assert "Journal.GetTransResult" in told
        assert "which is this one by the cloud's id: OK-ACCEPTED" in told
        assert "amount 1049" in told
        await settled(pair, order)
        await check_pair(pair)

    live(disk, day)


@pytest.mark.parametrize("seconds", [1, 60, 600])
def test_a_cloud_that_was_down_still_tells(disk: Path, seconds: int) -> None:
    async def day(pair: Pair) -> None:
        order = await pair.order(LANE, 1049)
        await polling(pair, order)
        await pair.is_away("far", seconds)
        ended = await pair.ended(order)
        assert (ended.state, ended.approved_amount) == (State.APPROVED, 1049)
        await check_pair(pair)

    live(disk, day)


def test_a_token_of_an_earlier_life_is_good_for_its_time_and_no_longer(disk: Path) -> None:
    async def day(pair: Pair) -> None:
        order = await pair.order(LANE, 1047)
        await polling(pair, order)
        pair.kill_far()
        await pair.revive_far()
        await asyncio.sleep(880)
        assert words(pair, order) == "", "it is still polled for"
        await asyncio.sleep(60)
        assert "401" in words(pair, order)

    live(disk, day)


# --- at any octet, and at any moment ------------------------------------------------------------


@pytest.mark.parametrize("to_server", [True, False])
@pytest.mark.parametrize("noticed", [Noticed.BOTH, Noticed.BY_SERVER])
def test_the_request_s_connection_is_cut_at_any_octet(
    disk: Path, *, to_server: bool, noticed: Noticed
) -> None:
    octets = range(0, 420, 30) if to_server else range(0, 900, 60)

    for octet in octets:

        async def day(pair: Pair, octet: int = octet) -> State:
            flow = Flow(cut_after=octet, noticed=noticed)
            broken = Faults(to_server=flow) if to_server else Faults(to_client=flow)
            break_next(FAR_PORTS["smartconnect"], broken)
            ended = await settled(pair, await pair.order(LANE, 1000))
            assert len([e for e in pair.far.transactions() if e.dialect == "smartconnect"]) <= 1
            await check_pair(pair)
            return ended.state

        state = live(disk / str(octet), day)
        assert state in (State.APPROVED, State.UNKNOWN), "a doubt is no failure"


async def open_day(pair: Pair) -> None:
    """A sale to give back, and a reservation to take."""
    assert (await pair.pay(LANE, 1000)).state is State.APPROVED
    assert (await pair.pay(LANE, 5000, _T.PREAUTH)).state is State.APPROVED
    await check_pair(pair)


def one(minor: int, kind: TransactionType, follows: int | None = None) -> Scenario[Pair, None]:
    """One transaction, to its end, after one of the first ones."""

    async def scenario(pair: Pair) -> None:
        original = None if follows is None else pair.near.transactions()[follows].id
        assert (await pair.pay(LANE, minor, kind, original=original)).is_final

    return scenario


@pytest.mark.parametrize("stride", [3, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize(
    ("scenario", "end"),
    [
        (one(1200, _T.PURCHASE), State.APPROVED),
        (one(1240, _T.PURCHASE), State.DECLINED),
        (one(1243, _T.PURCHASE), State.CANCELLED),
        (one(500, _T.REFUND, 0), State.APPROVED),
        (one(4000, _T.CAPTURE, 1), State.APPROVED),
    ],
)
def test_both_die_at_any_moment(
    disk: Path, scenario: Scenario[Pair, None], end: State, stride: int
) -> None:
    find_out = finding_out(settled, check_pair)
    ends = deaths(Pair, disk, before=open_day, of=scenario, find_out=find_out, stride=stride)
    assert end in ends
    # What both died with before the request had left is FAILED or called off, with a proof; the
    # far one calls off what it had not begun.
    assert ends <= {end, State.FAILED, State.CANCELLED, State.UNKNOWN}
