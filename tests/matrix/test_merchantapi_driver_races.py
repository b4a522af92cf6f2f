"""Days on which much goes wrong at once between two gateways: requests that come twice, late, or
lose their answers, cut connections, either gateway dead, and other tills at the same terminal."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from tests.kit.messages import Fate
from tests.kit.runner import again, seeds
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
from tests.matrix.nexo_doubles import Doubling
from tests.matrix.trouble import MINORS, end_through, trouble
from tests.simulation.polling import PollingTerminal
from tillwire.core.model import State, Transaction, TransactionType
from tillwire.errors import Conflict, PeerError
from tillwire.net.http_client import AiohttpClient

_T = TransactionType
KINDS: Final = pytest.mark.parametrize("kind", [_T.PURCHASE, _T.REFUND])


@pytest.mark.parametrize("after", [0.0, 3.0, 60.0])
@KINDS
def test_what_comes_twice_is_done_once(disk: Path, after: float, kind: TransactionType) -> None:
    async def day(pair: Pair) -> None:
        way = Doubling(Fate(doubled_after=after))
        end = await end_through(way, pair, LANE, 1000, kind, settled, first=3000)
        assert end is State.APPROVED
        await asyncio.sleep(60)
        assert len(pair.far.transactions()) == 2
        await check_pair(pair)

    live(disk, day)


@KINDS
def test_what_loses_its_answer_is_found(disk: Path, kind: TransactionType) -> None:
    async def day(pair: Pair) -> None:
        way = Doubling(Fate(answer_lost=True), Fate(), Fate(answer_lost=True))
        end = await end_through(way, pair, LANE, 900, kind, settled, first=3000)
        assert end is State.APPROVED
        await check_pair(pair)

    live(disk, day)


def test_a_payment_and_its_answer_may_be_late_and_lost(disk: Path) -> None:
    async def day(pair: Pair) -> None:
        pair.plug.network = Doubling(Fate(late=9.0, answer_lost=True))
        here = await settled(pair, await pair.order(LANE, 1000))
        assert here.state is State.APPROVED
        await check_pair(pair)

    live(disk, day)


def test_what_is_too_late_never_leaves(disk: Path) -> None:
    async def day(pair: Pair) -> None:
        pair.plug.network = Doubling(Fate(late=12.0))
        here = await settled(pair, await pair.order(LANE, 1000))
        assert here.state is State.FAILED
        assert pair.far.transactions() == []

    live(disk, day)


@pytest.mark.parametrize("seed", seeds(range(10)))
def test_a_day_on_which_much_goes_wrong(disk: Path, seed: int) -> None:
    """At a terminal that is pushed to, or at one that fetches, and is off now and then."""
    source = random.Random(seed)
    lane = source.choice([LANE, FETCHING])
    terminal = PollingTerminal(random.Random(seed + 1))

    async def day(pair: Pair) -> None:
        client = AiohttpClient()
        url = f"http://127.0.0.1:{FAR_PORTS[DEVICE]}"
        sales: list[Transaction] = []
        for _ in range(8):
            if source.random() < 0.7:
                pair.plug.network = Doubling.seeded(source, risk=0.3)
            order = await _ordered(pair, lane, sales, source)
            working = asyncio.create_task(_work_after(terminal, client, url, source))
            await _trouble(pair, lane, source, order)
            here = await settled(pair, order)
            for each in pair.far.transactions():  # another till's may still wait
                await pair.far.engine.wait(each.id, lambda now: now.is_settled, 400)
            working.cancel()
            if here.state is State.APPROVED and here.type is _T.PURCHASE:
                sales.append(here)
            await check_pair(pair, terminal.charged)
        await client.close()

    try:
        live(disk, day)
    except AssertionError:
        print(again(seed))
        raise


async def _work_after(
    terminal: PollingTerminal, client: AiohttpClient, url: str, source: random.Random
) -> None:
    """The terminal that fetches is switched on."""
    await asyncio.sleep(source.choice([0.0, 0.0, 10.0, 100.0, 250.0]))
    await terminal.work(client, url)


async def _ordered(
    pair: Pair, lane: Lane, sales: list[Transaction], source: random.Random
) -> Transaction:
    if sales and source.random() < 0.4:
        of = source.choice(sales)
        try:
            minor = source.choice([100, 300])
            return await pair.order(lane, minor, _T.REFUND, original=of.id)
        except Conflict:  # nothing is left of it
            sales.remove(of)
    kind = source.choice([_T.PURCHASE, _T.PURCHASE, _T.REFUND])
    return await pair.order(lane, source.choice(MINORS), kind)


async def _trouble(pair: Pair, lane: Lane, source: random.Random, order: Transaction) -> None:
    """Something happens meanwhile, or nothing."""
    for _ in range(source.randrange(300)):
        await asyncio.sleep(0)
    await asyncio.sleep(source.choice([0.0, 0.0, 2.0, 15.0]))
    match await trouble(pair, source, 6, far=[0.0, 20.0, 200.0], near=[0.0, 20.0, 800.0]):
        case 3:
            await pair.near.engine.abort(order.id)
        case 4:
            with suppress(PeerError, AssertionError):  # its terminal may be blocked
                other = await pair.other_till(source.choice([2000, 2049]), lane)
                await pair.far.engine.wait(other, lambda each: each.is_final, 100)
