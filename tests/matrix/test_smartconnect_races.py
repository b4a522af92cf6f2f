"""Days on which much goes wrong at once between two gateways: requests that come twice, late, or
lose their answers, cut connections, either gateway dead, and registers that race for a terminal."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Final

import pytest

from tests.kit.messages import Fate
from tests.kit.runner import again, seeds
from tests.matrix.nexo_doubles import Doubling
from tests.matrix.smartconnect_agreement import check_pair
from tests.matrix.smartconnect_pair import LANE, Lane, Pair, live, settled
from tests.matrix.trouble import MINORS, end_through, trouble
from tillwire.core.model import State, Transaction, TransactionType
from tillwire.errors import Conflict, Proof

_T = TransactionType
KINDS: Final = pytest.mark.parametrize("kind", [_T.PURCHASE, _T.REFUND, _T.CAPTURE])


@pytest.mark.parametrize("after", [0.0, 3.0, 60.0])
@KINDS
def test_what_comes_twice_is_done_once(disk: Path, after: float, kind: TransactionType) -> None:
    async def day(pair: Pair) -> None:
        way = Doubling(Fate(doubled_after=after))
        end = await end_through(way, pair, LANE, 1000, kind, settled)
        assert end is State.APPROVED
        await asyncio.sleep(60)
        await check_pair(pair)

    live(disk, day)


@KINDS
def test_what_loses_its_answer_is_for_a_person(disk: Path, kind: TransactionType) -> None:
    async def day(pair: Pair) -> None:
        way = Doubling(Fate(answer_lost=True))
        end = await end_through(way, pair, LANE, 900, kind, settled)
        assert end is State.UNKNOWN
        await check_pair(pair)

    live(disk, day)


def test_of_registers_that_race_for_a_terminal_each_is_paid_or_refused(disk: Path) -> None:
    lanes = [Lane(register=f"register-{number}") for number in range(6)]

    async def day(pair: Pair) -> None:
        orders = [await pair.order(each, 1000 + 100 * n) for n, each in enumerate(lanes)]
        ends = [await pair.ended(each) for each in orders]
        assert {each.state for each in ends} <= {State.APPROVED, State.FAILED}
        assert any(each.state is State.APPROVED for each in ends)
        assert all(
            each.proof is Proof.REFUSED_BY_PEER for each in ends if each.state is State.FAILED
        )
        await check_pair(pair)

    live(disk, day, lanes=lanes)


@pytest.mark.parametrize("seed", seeds(range(10)))
def test_a_day_on_which_much_goes_wrong(disk: Path, seed: int) -> None:
    source = random.Random(seed)
    told = {"attach_identical": source.random() < 0.5, "delayed_after": source.choice([5, 60])}

    async def day(pair: Pair) -> None:
        sales: list[Transaction] = []
        for _ in range(8):
            if source.random() < 0.7:
                pair.plug.network = Doubling.seeded(source, risk=0.3)
            order = await _ordered(pair, sales, source)
            await _trouble(pair, source)
            here = await settled(pair, order)
            if here.state is State.APPROVED and here.original_id is None:
                sales.append(here)
            await check_pair(pair)

    try:
        live(disk, day, told=told)
    except AssertionError:
        print(again(seed))
        raise


async def _ordered(pair: Pair, sales: list[Transaction], source: random.Random) -> Transaction:
    if sales and source.random() < 0.4:
        of = source.choice(sales)
        kind = _T.CAPTURE if of.type is _T.PREAUTH else _T.REFUND
        try:
            return await pair.order(LANE, source.choice([100, 300]), kind, original=of.id)
        except Conflict:  # nothing is left of it
            sales.remove(of)
    kind = source.choice([_T.PURCHASE, _T.PURCHASE, _T.PREAUTH, _T.CASH_ADVANCE])
    return await pair.order(LANE, source.choice(MINORS), kind)


async def _trouble(pair: Pair, source: random.Random) -> None:
    """Something happens meanwhile, or nothing."""
    await asyncio.sleep(source.choice([0.0, 0.1, 2.0, 4.0]))
    await trouble(pair, source, 5, far=[0.0, 20.0, 200.0], near=[0.0, 20.0, 800.0, 1000.0])
