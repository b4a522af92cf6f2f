"""Days on which much goes wrong at once between two gateways: requests that come twice, late, or
lose their answers, callbacks that misbehave, cut connections, and either gateway dead."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any, Final

import pytest

from tests.kit.messages import Fate
from tests.kit.runner import again, seeds
from tests.matrix.nexo_doubles import Doubling
from tests.matrix.paymentbridge_agreement import check_pair
from tests.matrix.paymentbridge_pair import LANE, Lane, Pair, live, settled
from tests.matrix.trouble import MINORS, end_through, trouble
from tillwire.core.model import State, Transaction, TransactionType
from tillwire.errors import Conflict

_T = TransactionType
MISCHIEF: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"drop": ["received"]},
    {"drop": ["started"]},
    {"drop": ["final"]},
    {"final_twice": True},
    {"reversed_order": True},
    {"delay": 20.0},
)


@pytest.mark.parametrize("fate", [Fate(doubled_after=0.0), Fate(doubled_after=3.0)])
@pytest.mark.parametrize("kind", [_T.PURCHASE, _T.REVERSAL, _T.REFUND, _T.CAPTURE])
def test_what_comes_twice_is_done_once(disk: Path, fate: Fate, kind: TransactionType) -> None:
    async def day(pair: Pair) -> None:
        way = Doubling(fate, fate)
        end = await end_through(way, pair, LANE, 1000, kind, settled)
        assert end is State.APPROVED
        await asyncio.sleep(60)
        await check_pair(pair)

    live(disk, day)


@pytest.mark.parametrize("kind", [_T.PURCHASE, _T.REVERSAL, _T.REFUND, _T.CAPTURE])
def test_what_loses_its_answer_is_found(disk: Path, kind: TransactionType) -> None:
    async def day(pair: Pair) -> None:
        way = Doubling(Fate(answer_lost=True))
        end = await end_through(way, pair, LANE, 1000, kind, settled)
        assert end is State.APPROVED
        await check_pair(pair)

    live(disk, day)


@pytest.mark.parametrize("seed", seeds(range(8)))
def test_a_day_on_which_much_goes_wrong(disk: Path, seed: int) -> None:
    source = random.Random(seed)
    lane = Lane(
        polls=source.random() < 0.3,
        settings={"follow_ups": source.choice(["rest", "bridge"])},
    )
    told = {"mischief": source.choice(MISCHIEF), "gzip": source.random() < 0.5}

    async def day(pair: Pair) -> None:
        await pair.open(lane)
        sales: list[Transaction] = []
        for _ in range(8):
            if source.random() < 0.7:
                pair.plug.network = Doubling.seeded(source, risk=0.3)
            order = await _ordered(pair, lane, sales, source)
            await _trouble(pair, source)
            here = await settled(pair, order)
            if here.state is State.APPROVED and here.original_id is None:
                sales.append(here)
            await check_pair(pair)

    try:
        live(disk, day, lanes=[lane], told=told)
    except AssertionError:
        print(again(seed))
        raise


async def _ordered(
    pair: Pair, lane: Lane, sales: list[Transaction], source: random.Random
) -> Transaction:
    if sales and source.random() < 0.4:
        of = source.choice(sales)
        kind = _T.REVERSAL
        if source.random() < 0.5:
            kind = _T.CAPTURE if of.type is _T.PREAUTH else _T.REFUND
        minor = of.approved_amount if kind is _T.REVERSAL else source.choice([100, 300])
        try:
            return await pair.order(lane, minor, kind, original=of.id)
        except Conflict:  # nothing is left of it
            sales.remove(of)
    kind = source.choice([_T.PURCHASE, _T.PURCHASE, _T.PREAUTH])
    return await pair.order(lane, source.choice(MINORS), kind)


async def _trouble(pair: Pair, source: random.Random) -> None:
    """Something happens meanwhile, or nothing."""
    for _ in range(source.randrange(300)):
        await asyncio.sleep(0)
    await asyncio.sleep(source.choice([0.0, 0.0, 2.0, 15.0]))
    if await trouble(pair, source, 6, far=[0.0, 20.0, 90.0], near=[0.0, 20.0, 90.0]) == 3:
        pair.deafen()
        await asyncio.sleep(source.choice([3.0, 30.0]))
        await pair.hear_again()
