"""One lane, one transaction: two tills at one lane, told apart by their cash registers; two lanes
beside each other; a lane whose terminal nobody knows anything of."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import pytest

from tests.kit.faults import Faults, Flow
from tests.matrix.ecr17_agreement import carried_for, check_pair, evidence_of, settled
from tests.matrix.ecr17_pair import PORTS, Pair, Till, live
from tests.matrix.two_gateways import break_next
from tests.unit.ecr17.face import till as raw
from tillwire.core.model import Evidence, State, Transaction, TransactionType, Verdict
from tillwire.dialects.ecr17.face.session import UNRESOLVED
from tillwire.errors import Proof, TerminalBusy

_T = TransactionType

QUICK, LOST, FORGETS, SLOW = 1000, 1046, 1047, 1049
ONE, OTHER, BESIDE = Till(), Till(register="00000002"), Till(lane=2, register="00000003")
BOTH: Final = (ONE, OTHER)
PAID, REFUSED = (State.APPROVED, None), (State.FAILED, Proof.REFUSED_BY_PEER)


def end_of(transaction: Transaction) -> tuple[State, Proof | None]:
    """Its state, and why we may say so."""
    return transaction.state, transaction.proof


def test_of_two_tills_at_the_same_moment_one_gets_the_terminal(disk: Path) -> None:
    async def race(pair: Pair) -> list[Transaction]:
        both = await asyncio.gather(*(pair.pay(till, SLOW) for till in BOTH))
        await check_pair(pair)
        return both

    assert sorted(map(end_of, live(disk, race, tills=BOTH))) == [PAID, REFUSED]


def test_a_second_till_gets_the_terminal_when_the_first_has_done_and_not_before(
    disk: Path,
) -> None:
    """It comes a second later each time, and asks three times within some seconds."""

    async def races(pair: Pair) -> list[State]:
        ends = []
        for later in range(26):
            first = asyncio.create_task(pair.pay(ONE, SLOW))
            await asyncio.sleep(later)
            ends.append((await pair.pay(OTHER, QUICK)).state)
            assert (await first).state is State.APPROVED
        await check_pair(pair)
        return ends[1:]

    ends = live(disk, races, tills=BOTH)
    turn = ends.index(State.APPROVED)
    assert ends == [State.FAILED] * turn + [State.APPROVED] * (25 - turn)
    assert 15 < turn < 21


def test_equal_sales_of_two_tills_are_two_and_each_hears_of_its_own(disk: Path) -> None:
    async def sales(pair: Pair) -> None:
        stans = []
        for till in (ONE, OTHER, OTHER, ONE):
            paid = await pair.pay(till, QUICK)
            assert paid.state is State.APPROVED
            assert paid.outcome is not None
            stans.append(paid.outcome.stan)
        assert len(set(stans)) == 4
        await check_pair(pair)

    live(disk, sales, tills=BOTH)


def test_ten_tills_at_one_lane_are_served_one_at_a_time(disk: Path) -> None:
    tills = [Till(register=f"{number:08}") for number in range(1, 11)]

    async def crowd(pair: Pair) -> list[Transaction]:
        ended = await asyncio.gather(*(pair.pay(till, SLOW) for till in tills))
        await check_pair(pair)
        return ended

    ends = sorted(map(end_of, live(disk, crowd, tills=tills)))
    assert ends == [PAID] + [REFUSED] * 9


def test_lanes_do_not_hinder_each_other(disk: Path) -> None:
    async def both(pair: Pair) -> list[Transaction]:
        ended = await asyncio.gather(*(pair.pay(till, SLOW) for till in (ONE, BESIDE)))
        await check_pair(pair)
        return ended

    assert [each.state for each in live(disk, both, tills=(ONE, BESIDE))] == [State.APPROVED] * 2


def test_a_last_result_of_another_till_is_not_taken_for_the_lost_one(disk: Path) -> None:
    """It has sold the same just behind a payment that never arrived; where a lane is shared, what
    `G` repeats proves nothing."""
    one, other = (Till(register=each.register, settings={"shared": True}) for each in BOTH)

    async def day(pair: Pair) -> Transaction:
        await pair.open(one)
        break_next(PORTS[1], Faults(), Faults(to_server=Flow(cut_after=100)))
        lost = await pair.order(one, QUICK)
        await asyncio.sleep(0.5)
        assert (await pair.pay(other, QUICK)).state is State.APPROVED
        found = await settled(pair, lost)
        await check_pair(pair)
        return found

    assert live(disk, day, tills=(one, other)).state is State.UNKNOWN


# --- a lane that says nothing ---------------------------------------------------------------------


def test_a_lane_that_an_unknown_blocks_refuses_everybody_and_tells_it_later(disk: Path) -> None:
    async def day(pair: Pair) -> None:
        await pair.open(ONE)
        order = await pair.order(ONE, FORGETS)
        await asyncio.sleep(100)
        here = await pair.ended(order, 0)
        there = await carried_for(pair, order)
        assert there is not None
        assert (here.state, there.state) == (State.UNKNOWN, State.UNKNOWN)
        with pytest.raises(TerminalBusy):
            await pair.order(ONE, QUICK)
        assert end_of(await pair.pay(OTHER, QUICK)) == REFUSED
        async with await raw.Till.open(PORTS[1]) as till:
            for each in (raw.last(), raw.status(), raw.totals(), raw.pay(), raw.reverse()):
                assert await till.asks(each) is None
        await pair.far.engine.decide(there.id, Verdict.APPROVED, person="Ada", reason="Seen.")
        async with await raw.Till.open(PORTS[1]) as till:
            assert (await till.asks(raw.last(cash_register="00000009"))).amount == FORGETS
        found = await pair.ended(order, 60)
        assert (found.state, evidence_of(found)) == (State.APPROVED, Evidence.RECOVERED)
        assert end_of(await pair.pay(OTHER, QUICK)) == PAID
        await check_pair(pair)

    live(disk, day, tills=BOTH)


def test_what_is_being_found_out_is_shown_at_the_near_till_meanwhile(disk: Path) -> None:
    async def day(pair: Pair) -> list[str]:
        await pair.open(ONE)
        shown: list[str] = []
        order = await pair.order(ONE, FORGETS)
        hush = pair.near.engine.listen(order.id, shown.append)
        await pair.ended(order, 100)
        hush()
        return shown

    assert UNRESOLVED in live(disk, day)


def test_a_payment_whose_answer_the_far_terminal_lost_is_heard_late_and_once(disk: Path) -> None:
    async def day(pair: Pair) -> None:
        for _ in range(3):
            paid = await pair.pay(ONE, LOST)
            assert (paid.state, evidence_of(paid)) == (State.APPROVED, Evidence.ANSWER)
        await check_pair(pair)

    live(disk, day)


# --- reversals of what is not the last any more ---------------------------------------------------


@pytest.mark.parametrize("last_stan", ["terminal", "journal"])
def test_a_till_does_not_reverse_what_another_has_sold(disk: Path, last_stan: str) -> None:
    tills = [Till(register=each.register, settings={"last_stan": last_stan}) for each in BOTH]

    async def day(pair: Pair) -> None:
        mine = await pair.pay(tills[0], QUICK)
        theirs = await pair.pay(tills[1], QUICK)
        refused = await pair.follow(tills[0], _T.REVERSAL, QUICK, mine)
        assert refused.state in (State.FAILED, State.DECLINED), "its STAN is not the last one"
        undone = await pair.follow(tills[1], _T.REVERSAL, QUICK, theirs)
        assert undone.state is State.APPROVED
        assert sum((await pair.far.charges()).values()) == QUICK * 3
        await check_pair(pair)

    live(disk, day, tills=tills)
