"""Receipts on the till, between the driver of ECR17 and its face: whatever happens to `E`, to the
parts of a receipt and to their ACKs, the payment stands, and no receipt is of another sale."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.matrix.ecr17_agreement import carried_for, check_pair
from tests.matrix.ecr17_pair import Pair, Till, live
from tests.matrix.ecr17_wire import (
    Rule,
    ack,
    answer,
    double,
    garble,
    hang_up,
    late,
    lose,
    pass_and_end,
    pass_and_hang_up,
    replace,
    request,
    split,
    ticket,
    tills_ack,
)
from tillwire.core.model import State, Transaction
from tillwire.dialects.ecr17.wire import NAK
from tillwire.errors import Proof

TILL: Final = Till(wired=True, settings={"receipts": "till"})
WISHES: Final[dict[str, tuple[State, tuple[Rule, ...]]]] = {
    "ACK late": (State.APPROVED, (Rule(ack, late(2)),)),
    "ACK octet by octet": (State.APPROVED, (Rule(ack, split(0.4)),)),
    "ACK twice": (State.APPROVED, (Rule(ack, double),)),
    "closed behind the ACK": (State.APPROVED, (Rule(ack, pass_and_hang_up),)),
    "half closed behind the ACK": (State.APPROVED, (Rule(ack, pass_and_end),)),
    "garbled once": (State.APPROVED, (Rule(request, garble, 1),)),
    "NAK": (State.APPROVED, (Rule(request, answer(NAK)),)),
    "ACK lost": (State.FAILED, (Rule(ack, lose),)),
    "lost": (State.FAILED, (Rule(request, lose),)),
    "closed in place of the ACK": (State.FAILED, (Rule(ack, hang_up),)),
}
"""What happens to `E`; when a sale that nobody has sent yet is given up."""
PARTS: Final[dict[str, tuple[bool, tuple[Rule, ...]]]] = {
    "lost once": (True, (Rule(ticket, lose, 1),)),
    "twice": (True, (Rule(ticket, double),)),
    "octet by octet": (True, (Rule(ticket, split(0.005)),)),
    "garbled once": (True, (Rule(ticket, garble, 1),)),
    "late": (True, (Rule(ticket, late(2)),)),
    "ACK lost": (True, (Rule(tills_ack, lose, 1, behind=1),)),
    "ACK a NAK": (True, (Rule(tills_ack, replace(NAK), 1, behind=1),)),
    "all ACKs twice": (True, (Rule(tills_ack, double),)),
    "lost": (False, (Rule(ticket, lose),)),
    "garbled": (False, (Rule(ticket, garble),)),
    "closed in place of the first": (False, (Rule(ticket, hang_up),)),
}
"""What happens to the parts of a receipt, and whether it is whole all the same."""


async def stan_there(pair: Pair, sale: Transaction) -> str:
    """The STAN that the far gateway has of it, which is on its receipt."""
    there = await carried_for(pair, sale)
    assert there is not None
    assert there.outcome is not None
    return there.outcome.stan


def receipt_of(sale: Transaction) -> str:
    """All copies; empty when there is none."""
    receipts = sale.outcome.receipts if sale.outcome else None
    return receipts.merchant + receipts.cardholder if receipts else ""


@pytest.mark.parametrize("connection", ["same", "own"])
@pytest.mark.parametrize("name", WISHES)
def test_a_wish_for_receipts_that_meets_a_fault(disk: Path, name: str, connection: str) -> None:
    state, rules = WISHES[name]
    till = Till(wired=True, settings={"receipts": "till", "receipt_connection": connection})

    async def day(pair: Pair) -> None:
        await pair.open(till)
        pair.wire.meddle("E", *rules)
        sale = await pair.pay(till, 1000)
        assert sale.state is state
        if state is State.FAILED:
            assert sale.proof is Proof.NEVER_SENT
        for _ in range(2):
            sale = await pair.pay(till, 1000)
            assert await stan_there(pair, sale) in receipt_of(sale)
        await check_pair(pair)

    live(disk, day, tills=[till])


@pytest.mark.parametrize("copies", ["cardholder", "both"])
@pytest.mark.parametrize("name", PARTS)
def test_a_receipt_that_meets_a_fault(disk: Path, name: str, copies: str) -> None:
    is_whole, rules = PARTS[name]

    async def day(pair: Pair) -> None:
        await pair.open(TILL)
        clean = await pair.pay(TILL, 1000)
        pair.wire.meddle("X", *rules)
        sales = [await pair.pay(TILL, 1000) for _ in range(2)]
        whole = len(receipt_of(clean).splitlines())
        for sale, has_receipt in zip(sales, (is_whole, True), strict=True):
            assert sale.state is State.APPROVED
            lines = receipt_of(sale).splitlines()
            assert len(lines) == (whole if has_receipt else 0)
            if has_receipt:
                assert await stan_there(pair, sale) in receipt_of(sale)
        await check_pair(pair)

    live(disk, day, tills=[TILL], told={"receipt_copies": copies})
