"""What a till hands to the host behind a far terminal (`U`), through the driver of ECR17 and its
face: it goes with its payment or not at all, and so does the host's answer."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.matrix.ecr17_agreement import carried_for, check_pair, settled
from tests.matrix.ecr17_pair import HURRY, Pair, Till, live
from tests.matrix.ecr17_wire import (
    Passing,
    Rule,
    Way,
    ack,
    answer,
    double,
    garble,
    hang_up,
    late,
    lose,
    pass_and_hang_up,
    split,
)
from tillwire.core.model import ForHost, HostTag, State, Terms, Transaction
from tillwire.dialects.ecr17.wire import NAK

TILL: Final = Till(wired=True, settings=HURRY)
WANTED: Final = ForHost(
    tags=(HostTag("0COF0TRK1666354841608", 5),),
    purpose="000000",
    wanted_field="62",
    wanted_tag="DF8D01",
)

QUICK, SLOW = 1000, 1049
"""Cents: a cardholder who has paid at once, and one who takes 20 seconds."""


def data(passing: Passing) -> bool:
    """The till's."""
    return passing.way is Way.TO_LANE and passing.code == "U"


def told(passing: Passing) -> bool:
    """The host's answer."""
    return passing.way is Way.TO_TILL and passing.code == "U"


FAULTS: Final[dict[str, tuple[State, State, tuple[Rule, ...]]]] = {
    "octet by octet": (State.APPROVED, State.APPROVED, (Rule(data, split(0.01)),)),
    "twice": (State.APPROVED, State.APPROVED, (Rule(data, double),)),
    "garbled once": (State.APPROVED, State.APPROVED, (Rule(data, garble, 1),)),
    "a NAK once": (State.APPROVED, State.APPROVED, (Rule(data, answer(NAK), 1),)),
    "late": (State.APPROVED, State.APPROVED, (Rule(data, late(2)),)),
    "later than its ACK is waited for": (State.APPROVED, State.APPROVED, (Rule(data, late(4)),)),
    "its ACK lost": (State.APPROVED, State.APPROVED, (Rule(ack, lose, 1, behind=1),)),
    "the ACK before it lost": (State.UNKNOWN, State.CANCELLED, (Rule(ack, lose, 1),)),
    "closed behind it": (State.APPROVED, State.APPROVED, (Rule(data, pass_and_hang_up),)),
    "lost": (State.DECLINED, State.CANCELLED, (Rule(data, lose),)),
    "garbled": (State.DECLINED, State.CANCELLED, (Rule(data, garble),)),
    "closed in place of it": (State.UNKNOWN, State.CANCELLED, (Rule(data, hang_up),)),
    "answer lost once": (State.APPROVED, State.APPROVED, (Rule(told, lose, 1),)),
    "answer lost": (State.APPROVED, State.APPROVED, (Rule(told, lose),)),
    "answer twice": (State.APPROVED, State.APPROVED, (Rule(told, double),)),
    "answer garbled once": (State.APPROVED, State.APPROVED, (Rule(told, garble, 1),)),
    "closed in place of the answer": (State.APPROVED, State.APPROVED, (Rule(told, hang_up),)),
}
"""What happens to `U`, and how the payment ends at the near gateway and at the far one."""


async def sold(pair: Pair, minor: int) -> tuple[Transaction, Transaction]:
    """A sale with data, as both gateways have it."""
    here = await settled(pair, await pair.order(TILL, minor, terms=Terms(for_host=WANTED)))
    there = await carried_for(pair, here)
    assert there is not None
    return here, there


def answer_of(transaction: Transaction) -> str:
    """The host's; empty when there is none."""
    return transaction.outcome.from_host if transaction.outcome else ""


@pytest.mark.parametrize("minor", [QUICK, SLOW])
@pytest.mark.parametrize("name", FAULTS)
def test_data_for_the_host_that_meet_a_fault(disk: Path, name: str, minor: int) -> None:
    near, far, rules = FAULTS[name]

    async def day(pair: Pair) -> None:
        await pair.open(TILL)
        pair.wire.meddle("X", *rules)
        here, there = await sold(pair, minor)
        assert (here.state, there.state) == (near, far)
        assert answer_of(here) in ("", answer_of(there))
        if far is State.APPROVED:
            assert there.terms.for_host == WANTED, "not without what it was asked with"
        here, there = await sold(pair, minor)
        assert here.state is there.state is State.APPROVED
        assert there.terms.for_host == WANTED
        assert answer_of(here) == answer_of(there) != ""
        await check_pair(pair)

    live(disk, day, tills=[TILL])
