"""What outlives a gateway: the far one, the near one, or both die in the middle of ECR17 payments,
and live again. Nothing is charged twice, and nothing that was charged is called failed."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from tests.kit.virtual_loop import virtual_loop
from tests.matrix.both_die import deaths
from tests.matrix.ecr17_agreement import check_pair, evidence_of, settled
from tests.matrix.ecr17_pair import HURRY, Pair, Till, live, machine, machine_after
from tests.matrix.two_gateways import Scenario, Who
from tillwire.core.model import Evidence, State, Transaction, TransactionType

_T = TransactionType

QUICK, DECLINED, LOST, SLOW = 1000, 1040, 1046, 1049
TILL: Final = Till(settings={**HURRY, "refund": True})
TICKETED: Final = Till(settings={**HURRY, "receipts": "till"})
WAITS: Final = (1, 10, 19.9, 20.3, 20.5)
"""Seconds after which a slow cardholder's payment is where something may be different."""
KINDS: Final = (_T.PURCHASE, _T.REVERSAL, _T.PREAUTH, _T.INCREMENT, _T.CAPTURE, _T.REFUND)

TELL_AMOUNT: Final = {_T.PURCHASE, _T.PREAUTH}
"""Whose repeated results can be proven to be theirs."""

away = pytest.mark.parametrize(
    "seconds", [0.0, *(pytest.param(each, marks=pytest.mark.long) for each in (2.0, 90.0))]
)
every_till = pytest.mark.parametrize("till", [TILL, TICKETED], ids=["X", "E and X"])
thorough = pytest.mark.parametrize("stride", [13, pytest.param(1, marks=pytest.mark.long)])


async def end_of(pair: Pair, order: Transaction) -> State:
    """How it ended, once everybody agrees on it."""
    here = await settled(pair, order.id)
    if here.state is State.APPROVED:
        assert evidence_of(here) in (Evidence.ANSWER, Evidence.RECOVERED)
    await check_pair(pair)
    return here.state


async def dies_at(pair: Pair, who: Who, step: int) -> None:
    """One of both dies when the loop has made so many steps more."""
    loop, dead = virtual_loop(), asyncio.Event()

    def end() -> None:
        pair.kill(who)
        dead.set()

    loop.at_step(loop.steps + step, end)
    await dead.wait()


async def steps_of(pair: Pair, till: Till, kind: TransactionType) -> int:
    """How many steps it takes from its acceptance to its end."""
    original = await pair.before(till, kind)
    number = None if original is None else original.id
    order = await pair.order(till, QUICK, kind, original=number)
    before = virtual_loop().steps
    assert (await pair.ended(order)).state is State.APPROVED
    return virtual_loop().steps - before


async def killed_at_every(
    pair: Pair, till: Till, kind: TransactionType, who: Who, seconds: float, stride: int
) -> Counter[State]:
    """Commands of this kind, during each of which one of both dies a little later; their ends."""
    await pair.open(till)
    ends = Counter[State]()
    for step in range(1, await steps_of(pair, till, kind) + 2, stride):
        original = await pair.before(till, kind)
        number = None if original is None else original.id
        order = await pair.order(till, QUICK, kind, original=number)
        await dies_at(pair, who, step)
        await asyncio.sleep(seconds)
        await pair.revive(who)
        ends[await end_of(pair, order)] += 1
    return ends


@every_till
@away
@thorough
@pytest.mark.parametrize("who", ["near", "far"])
def test_one_gateway_dies_at_any_step_of_a_payment(
    disk: Path, till: Till, who: Who, seconds: float, stride: int
) -> None:
    async def day(pair: Pair) -> Counter[State]:
        return await killed_at_every(pair, till, _T.PURCHASE, who, seconds, stride)

    ends = live(disk, day, tills=[till])
    assert ends.keys() == {State.APPROVED, State.UNKNOWN, State.FAILED}


@pytest.mark.parametrize("kind", [each for each in KINDS if each is not _T.PURCHASE])
@pytest.mark.parametrize("stride", [19, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("who", ["near", "far"])
def test_one_gateway_dies_at_any_step_of_any_other_command(
    disk: Path, kind: TransactionType, who: Who, stride: int
) -> None:
    async def day(pair: Pair) -> Counter[State]:
        return await killed_at_every(pair, TILL, kind, who, 1.0, stride)

    # What tells no amount is found again only if its result was heard before the near one died.
    ends = live(disk, day, tills=[TILL])
    assert ends.keys() >= {State.FAILED, State.APPROVED if kind in TELL_AMOUNT else State.UNKNOWN}


@pytest.mark.parametrize("minor", [SLOW, LOST])
@away
@pytest.mark.parametrize("who", ["near", "far"])
def test_one_gateway_dies_while_the_cardholder_takes_his_time(
    disk: Path, who: Who, seconds: float, minor: int
) -> None:
    async def day(pair: Pair) -> set[State]:
        await pair.open(TILL)
        ends = set()
        for wait in WAITS:
            order = await pair.order(TILL, minor)
            await asyncio.sleep(wait)
            await pair.is_away(who, seconds)
            ends.add(await end_of(pair, order))
        return ends

    assert live(disk, day, tills=[TILL]) == {State.APPROVED}


@pytest.mark.parametrize("who", ["near", "far"])
def test_one_gateway_stops_in_good_order_under_a_payment(disk: Path, who: Who) -> None:
    async def day(pair: Pair) -> set[State]:
        await pair.open(TILL)
        ends = set()
        for wait in WAITS:
            order = await pair.order(TILL, SLOW)
            await asyncio.sleep(wait)
            await (pair.far if who == "far" else pair.near).stop()
            await asyncio.sleep(5)
            await pair.revive(who)
            ends.add(await end_of(pair, order))
        return ends

    assert live(disk, day, tills=[TILL]) == {State.APPROVED}


# --- both die together ----------------------------------------------------------------------------

ENDS: Final = {0: State.APPROVED, 40: State.UNKNOWN, 46: State.APPROVED, 49: State.APPROVED}
"""Last two digits of the amount -> how a payment ends whose answer was lost. A refusal that is
repeated proves nothing."""
CASES: Final = [
    pytest.param(ending, receipts, marks=() if ending in (0, 49) else pytest.mark.long)
    for ending, receipts in itertools.product(ENDS, ("terminal", "till"))
]


def one_sale(ending: int) -> Scenario[Pair, None]:
    """A payment, and the wait for its end."""

    async def scenario(pair: Pair) -> None:
        (till,) = pair.tills.values()
        await pair.ended(await pair.order(till, 1000 + ending), 65)

    return scenario


async def find_out(pair: Pair) -> list[State]:
    """How everything ended, once all that can be known is and a person has decided the rest; and
    the lane is free again."""
    ends = [(await settled(pair, each.id)).state for each in pair.near.transactions()]
    await check_pair(pair)
    (till,) = pair.tills.values()
    assert (await pair.pay(till, QUICK)).state is State.APPROVED
    await check_pair(pair)
    return ends


async def open_day(pair: Pair) -> None:
    """The first sale of all."""
    (till,) = pair.tills.values()
    await pair.open(till)


@pytest.mark.parametrize(("ending", "receipts"), CASES)
def test_a_kill_of_both_at_any_moment_of_a_sale_loses_nothing(
    disk: Path, ending: int, receipts: str
) -> None:
    tills = [Till(settings={**HURRY, "receipts": receipts})]
    sale = one_sale(ending)
    ends = deaths(Pair, disk, before=open_day, of=sale, find_out=find_out, tills=tills)
    assert ends >= {State.FAILED, ENDS[ending]}
    assert ends <= {State.FAILED, State.UNKNOWN, State.DECLINED, ENDS[ending]}


@pytest.mark.parametrize("stride", [4, pytest.param(1, marks=pytest.mark.long)])
def test_a_second_kill_while_it_is_found_out_loses_nothing_either(disk: Path, stride: int) -> None:
    tills = [TILL]
    both = machine(disk, tills=tills)
    both.live(open_day)
    lives = 0
    for moment in both.moments(one_sale(49), lambda: None)[::stride]:
        again = machine_after(moment, disk / f"after-{moment.step}", tills=tills)
        again.wait(2)
        for second in again.moments(find_out, lambda: None)[:: stride * 2]:
            twice = machine_after(second, again.here.with_name(f"twice-{second.step}"), tills=tills)
            twice.live(find_out)
            lives += 1
    assert lives > 5
