"""Gateways on either side of the MerchantAPI that die, alone or together, and live again; and the
connection of a payment, cut at any octet."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.faults import Faults, Flow, Noticed
from tests.matrix.both_die import deaths, finding_out
from tests.matrix.merchantapi_agreement import check_pair
from tests.matrix.merchantapi_pair import (
    FACE,
    FAR_PORTS,
    LANE,
    Pair,
    live,
    settled,
)
from tests.matrix.two_gateways import Scenario, break_next
from tillwire.core.model import Evidence, State, Transaction, TransactionType

_T = TransactionType


async def known(pair: Pair, order: Transaction) -> None:
    """Wait until the system's id is in the journal."""
    await pair.near.engine.wait(order.id, lambda each: "id" in each.peer, 10)


@pytest.mark.parametrize("minor", [1000, 1040, 1043, 1049])
@pytest.mark.parametrize("seconds", [1, 86_400])
def test_a_gateway_that_is_down_finds_the_end(disk: Path, minor: int, seconds: int) -> None:
    async def day(pair: Pair) -> None:
        order = await pair.order(LANE, minor)
        await known(pair, order)
        await pair.is_away("near", seconds)
        ended = await pair.ended(order, 30)
        there = pair.there(ended)
        assert there is not None
        assert (ended.state, ended.approved_amount) == (there.state, there.approved_amount)
        assert ended.outcome is not None
        assert ended.outcome.evidence is Evidence.RECOVERED
        await check_pair(pair)

    live(disk, day)


@pytest.mark.parametrize("seconds", [1, 600])
def test_a_system_that_was_down_still_tells(disk: Path, seconds: int) -> None:
    async def day(pair: Pair) -> None:
        order = await pair.order(LANE, 1049)
        await known(pair, order)
        await pair.is_away("far", seconds)
        ended = await settled(pair, order)
        there = pair.there(ended)
        assert there is not None
        assert (ended.state, there.state) == (State.APPROVED, State.APPROVED)
        await check_pair(pair)

    live(disk, day)


# --- at any octet, and at any moment ------------------------------------------------------------


@pytest.mark.parametrize("to_server", [True, False])
@pytest.mark.parametrize("noticed", [Noticed.BOTH, Noticed.BY_SERVER])
def test_the_request_s_connection_is_cut_at_any_octet(
    disk: Path, *, to_server: bool, noticed: Noticed
) -> None:
    """The end is found out by itself: by the id, by the name, or by the list without it."""
    octets = range(0, 500, 50) if to_server else range(0, 700, 70)
    ends = set()
    for octet in octets:

        async def day(pair: Pair, octet: int = octet) -> State:
            flow = Flow(cut_after=octet, noticed=noticed)
            broken = Faults(to_server=flow) if to_server else Faults(to_client=flow)
            break_next(FAR_PORTS[FACE], broken)
            ended = await settled(pair, await pair.order(LANE, 1000))
            assert len(pair.far.transactions()) <= 1
            await check_pair(pair)
            return ended.state

        ends.add(live(disk / str(octet), day))
    assert State.APPROVED in ends
    assert ends <= {State.APPROVED, State.FAILED}


async def open_day(pair: Pair) -> None:
    """A sale to give back."""
    assert (await pair.pay(LANE, 1000)).state is State.APPROVED
    await check_pair(pair)


def one(minor: int, kind: TransactionType = _T.PURCHASE) -> Scenario[Pair, None]:
    """One transaction, to its end; a REFUND is of the first sale."""

    async def scenario(pair: Pair) -> None:
        original = pair.near.transactions()[0].id if kind is _T.REFUND else None
        assert (await pair.pay(LANE, minor, kind, original=original)).is_final

    return scenario


@pytest.mark.parametrize("stride", [3, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize(
    ("scenario", "end"),
    [
        (one(1200), State.APPROVED),
        (one(1240), State.DECLINED),
        (one(500, _T.REFUND), State.APPROVED),
    ],
)
def test_both_die_at_any_moment(
    disk: Path, scenario: Scenario[Pair, None], end: State, stride: int
) -> None:
    find_out = finding_out(settled, check_pair)
    ends = deaths(Pair, disk, before=open_day, of=scenario, find_out=find_out, stride=stride)
    assert end in ends
    # What never left, or never arrived, is FAILED with a proof, and what the far one had taken and
    # not begun is called off there; nothing is left to a person.
    assert ends <= {end, State.FAILED, State.CANCELLED}
