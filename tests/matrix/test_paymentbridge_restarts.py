"""Both gateways die together, at any moment of a payment by Payment Bridge, and live again: here
with an order that may be on its way, there with a terminal that may pay it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.matrix.paymentbridge_agreement import check_pair
from tests.matrix.paymentbridge_pair import LANE, Lane, Pair, machine, machine_after, settled
from tillwire.core.model import State, TransactionType

_T = TransactionType
Scenario = Callable[[Pair], Coroutine[Any, Any, Any]]


async def open_day(pair: Pair) -> None:
    """The first sale, and a sale to give back."""
    await pair.open()
    await check_pair(pair)


def one(minor: int, kind: TransactionType = _T.PURCHASE) -> Scenario:
    """One transaction, to its end; of a REVERSAL, of the first sale."""

    async def scenario(pair: Pair) -> None:
        first, *_ = pair.near.transactions()
        original = first.id if kind is _T.REVERSAL else None
        assert (await pair.pay(LANE, minor, kind, original=original)).is_final

    return scenario


async def find_out(pair: Pair) -> list[State]:
    """How all ended, once everybody agrees on it."""
    ends = [(await settled(pair, each.id)).state for each in pair.near.transactions()]
    await check_pair(pair)
    return ends


def deaths(disk: Path, scenario: Scenario, stride: int, **options: Any) -> set[State]:
    """How the one that was under way ended, whenever both died."""
    both = machine(disk, **options)
    both.live(open_day)
    moments = both.moments(scenario, lambda: None)
    assert len(moments) >= 10
    ends: set[State] = set()
    for moment in moments[::stride]:
        again = machine_after(moment, disk / f"after-{moment.step}", **options)
        ends |= set(again.live(find_out).result[1:])
    return ends


strides = pytest.mark.parametrize("stride", [3, pytest.param(1, marks=pytest.mark.long)])


@strides
@pytest.mark.parametrize(("minor", "end"), [(1000, State.APPROVED), (1040, State.DECLINED)])
def test_both_die_at_any_moment_of_a_sale(disk: Path, minor: int, end: State, stride: int) -> None:
    ends = deaths(disk, one(minor), stride)
    assert end in ends
    assert ends <= {end, State.FAILED, State.UNKNOWN}


@strides
def test_both_die_at_any_moment_of_a_sale_whose_end_is_asked_for(disk: Path, stride: int) -> None:
    ends = deaths(disk, one(1000), stride, lanes=[Lane(polls=True)])
    assert State.APPROVED in ends
    assert ends <= {State.APPROVED, State.FAILED, State.UNKNOWN}


@strides
def test_both_die_at_any_moment_of_a_reversal(disk: Path, stride: int) -> None:
    """The cloud does it by itself, so it is known for certain in the end."""
    ends = deaths(disk, one(100, _T.REVERSAL), stride)
    assert State.APPROVED in ends
    assert ends <= {State.APPROVED, State.FAILED}
