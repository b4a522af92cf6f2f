"""Both gateways die together, at any moment of a payment by Payment Bridge, and live again: here
with an order that may be on its way, there with a terminal that may pay it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.matrix.both_die import deaths, finding_out
from tests.matrix.paymentbridge_agreement import check_pair
from tests.matrix.paymentbridge_pair import LANE, Lane, Pair, settled
from tests.matrix.two_gateways import Scenario
from tillwire.core.model import State, TransactionType

_T = TransactionType


async def open_day(pair: Pair) -> None:
    """The first sale, and a sale to give back."""
    await pair.open()
    await check_pair(pair)


def one(minor: int, kind: TransactionType = _T.PURCHASE) -> Scenario[Pair, None]:
    """One transaction, to its end; of a REVERSAL, of the first sale."""

    async def scenario(pair: Pair) -> None:
        first, *_ = pair.near.transactions()
        original = first.id if kind is _T.REVERSAL else None
        assert (await pair.pay(LANE, minor, kind, original=original)).is_final

    return scenario


def ends_of(disk: Path, scenario: Scenario[Pair, None], stride: int, **options: Any) -> set[State]:
    """How it ended, whenever both died."""
    find_out = finding_out(settled, check_pair)
    return deaths(
        Pair, disk, before=open_day, of=scenario, find_out=find_out, stride=stride, **options
    )


strides = pytest.mark.parametrize("stride", [3, pytest.param(1, marks=pytest.mark.long)])


@strides
@pytest.mark.parametrize(("minor", "end"), [(1000, State.APPROVED), (1040, State.DECLINED)])
def test_both_die_at_any_moment_of_a_sale(disk: Path, minor: int, end: State, stride: int) -> None:
    ends = ends_of(disk, one(minor), stride)
    assert end in ends
    assert ends <= {end, State.FAILED, State.UNKNOWN}


@strides
def test_both_die_at_any_moment_of_a_sale_whose_end_is_asked_for(disk: Path, stride: int) -> None:
    ends = ends_of(disk, one(1000), stride, lanes=[Lane(polls=True)])
    assert State.APPROVED in ends
    assert ends <= {State.APPROVED, State.FAILED, State.UNKNOWN}


@strides
def test_both_die_at_any_moment_of_a_reversal(disk: Path, stride: int) -> None:
    """The cloud does it by itself, so it is known for certain in the end."""
    ends = ends_of(disk, one(100, _T.REVERSAL), stride)
    assert State.APPROVED in ends
    assert ends <= {State.APPROVED, State.FAILED}
