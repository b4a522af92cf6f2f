"""The driver of ECR17 against its face, over a line that works: every ending of an amount, every
command that the driver can send, each reading of the check character."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.matrix.ecr17_agreement import carried_for, check_pair, evidence_of, settled
from tests.matrix.ecr17_pair import FOUND_OUT_AFTER, TILL, Pair, Till, live
from tillwire.core.entries import Entry
from tillwire.core.errands import AskLast, Count, Counted, Reprint
from tillwire.core.model import Evidence, State, Transaction, TransactionType, Verdict
from tillwire.dialects.ecr17.wire import Lrc
from tillwire.errors import Proof

_T = TransactionType


@dataclass(frozen=True)
class End:
    """How a sale ends at the near gateway, and at the far one."""

    here: State
    there: State


PAID: Final = End(State.APPROVED, State.APPROVED)
REFUSED: Final = End(State.DECLINED, State.DECLINED)
ENDS: Final = {
    0: PAID,
    39: PAID,
    40: REFUSED,
    41: REFUSED,
    42: REFUSED,
    43: End(State.DECLINED, State.CANCELLED),
    44: End(State.DECLINED, State.CANCELLED),
    45: REFUSED,
    46: PAID,
    47: End(State.UNKNOWN, State.UNKNOWN),
    48: PAID,
    49: PAID,
    50: PAID,
    51: PAID,
    52: End(State.DECLINED, State.FAILED),
    53: REFUSED,
}
"""Last two digits of the amount -> the end. A result does not tell who called a payment off."""


@pytest.mark.parametrize("ending", ENDS)
def test_every_ending_of_an_amount(disk: Path, ending: int) -> None:
    async def day(pair: Pair) -> None:
        order = await pair.order(TILL, 1000 + ending)
        here = await settled(pair, order)
        there = await carried_for(pair, here)
        assert there is not None
        assert End(here.state, there.state) == ENDS[ending], (here, there)
        if here.is_final:
            assert evidence_of(here) is Evidence.ANSWER
        await check_pair(pair)

    live(disk, day)


def test_a_tip_that_a_result_cannot_tell_from_another_sale_is_for_a_person(disk: Path) -> None:
    async def day(pair: Pair) -> None:
        await pair.open()
        order = await pair.order(TILL, 1054)
        here = await pair.ended(order, FOUND_OUT_AFTER)
        there = await carried_for(pair, here)
        assert there is not None
        assert (here.state, there.approved_amount) == (State.UNKNOWN, 1159)
        why = str(pair.near.events(here.id)[-1].detail)
        assert "is of 11.59 EUR, not of 10.54 EUR" in why
        assert pair.near.holders() == [here.id], "nothing else is charged meanwhile"

    live(disk, day)


@pytest.mark.parametrize("verdict", [Verdict.APPROVED, Verdict.DECLINED])
def test_what_the_far_gateway_learns_late_the_near_one_learns_from_it(
    disk: Path, verdict: Verdict
) -> None:
    """The far terminal has forgotten; until a person decides, its lane says nothing to anybody.
    Only of an approval does a repeated result tell enough to be believed."""

    async def day(pair: Pair) -> None:
        await pair.open()
        order = await pair.order(TILL, 1047)
        assert (await settled(pair, order)).state is State.UNKNOWN
        there = await carried_for(pair, order)
        assert there is not None
        await pair.far.engine.decide(there.id, verdict, person="Ada", reason="So it says.")
        here = await settled(pair, order)
        if verdict is Verdict.APPROVED:
            assert (here.state, evidence_of(here)) == (State.APPROVED, Evidence.RECOVERED)
            await check_pair(pair)
        else:
            assert here.state is State.UNKNOWN

    live(disk, day)


# --- every command --------------------------------------------------------------------------------

OPERATIONS: Final = [_T.PURCHASE, _T.REVERSAL, _T.PREAUTH, _T.INCREMENT, _T.CAPTURE, _T.REFUND]
"""X S p i c A"""


async def operate(pair: Pair, till: Till, kind: TransactionType, minor: int = 1000) -> Transaction:
    """Do this after what must have been done before."""
    return await pair.follow(till, kind, minor, await pair.before(till, kind))


async def whole_day(pair: Pair, till: Till) -> None:
    """Everything that a till can ask of a lane."""
    for kind in OPERATIONS:
        done = await operate(pair, till, kind)
        assert (done.state, evidence_of(done)) == (State.APPROVED, Evidence.ANSWER), done
        there = await carried_for(pair, done)
        assert there is not None
        assert there.outcome is not None
        assert done.outcome is not None
        if kind is not _T.REFUND:  # whose result tells no STAN
            assert done.outcome.stan == there.outcome.stan
        if till.settings.get("receipts") == "till":
            assert done.outcome.receipts is not None
            assert there.outcome.stan in done.outcome.receipts.cardholder
    assert (await pair.near.engine.status(till.id)).reachable
    await _errands(pair, till)
    await check_pair(pair)


async def _errands(pair: Pair, till: Till) -> None:
    """`G`, `R`, `T`, `C`, and the totals that come of it."""
    if till.settings.get("receipts") != "till":
        await pair.errand(till, Reprint())
    last = await pair.errand(till, AskLast())
    assert isinstance(last, Entry)
    period = sum(
        each.approved_amount * (-1 if each.type in (_T.REFUND, _T.REVERSAL) else 1)
        for each in pair.far.transactions()
        if each.type not in (_T.PREAUTH, _T.INCREMENT)
    )
    for close, expected in ((False, period), (True, period), (False, 0)):
        counted = await pair.errand(till, Count(close=close))
        assert isinstance(counted, Counted)
        assert [row.amount for row in counted.rows] == [expected]


@pytest.mark.parametrize("receipts", ["terminal", "till"])
@pytest.mark.parametrize("reading", list(Lrc))
def test_every_command_in_every_reading(disk: Path, reading: Lrc, receipts: str) -> None:
    till = Till(settings={"lrc": reading.value, "receipts": receipts, "refund": True})
    live(disk, lambda pair: whole_day(pair, till), tills=[till], told={"lrc": reading.value})


@pytest.mark.parametrize(
    "settings",
    [
        {"receipts": "till", "receipt_connection": "own"},
        {"last_stan": "journal"},
        {"tid": "30350001"},
        {"capture_zeros": 12},
        {"print_reference": True},
        {"shared": True},
    ],
    ids=str,
)
def test_every_command_with_other_settings(disk: Path, settings: dict[str, Any]) -> None:
    till = Till(settings={"refund": True, **settings})
    live(disk, lambda pair: whole_day(pair, till), tills=[till])


@pytest.mark.parametrize("reading", list(Lrc))
def test_the_reading_is_found_out_by_a_question_alone(disk: Path, reading: Lrc) -> None:
    till = Till(wired=True, settings={"lrc": "discover"})

    async def day(pair: Pair) -> None:
        await pair.open(till)
        asked = pair.wire.requests("s")
        assert asked % (list(Lrc).index(reading) + 1) == 0
        assert (await pair.pay(till, 1000)).state is State.APPROVED
        assert pair.wire.requests("s") == asked, "it is known by now"
        assert pair.wire.requests("X") == 2, "what moves money is no question"
        await check_pair(pair)

    live(disk, day, tills=[till], told={"lrc": reading.value})


def test_a_reading_that_has_changed_is_found_out_anew(disk: Path) -> None:
    till = Till(settings={"lrc": "discover"})
    readings = {"lrc": "stx"}

    async def day(pair: Pair) -> None:
        assert (await pair.pay(till, 1000)).state is State.APPROVED
        pair.kill_far()
        readings["lrc"] = "payload"
        await pair.revive_far()
        ends = [(await pair.pay(till, 1000)).state for _ in range(2)]
        assert ends[-1] is State.APPROVED
        assert ends[0] in (State.APPROVED, State.FAILED)
        await check_pair(pair)

    live(disk, day, tills=[till], told=readings)


@pytest.mark.parametrize("kind", [_T.PURCHASE, _T.PREAUTH, _T.REFUND])
@pytest.mark.parametrize("last_stan", ["terminal", "journal"])
@pytest.mark.parametrize(
    ("ours", "theirs"), [(a, b) for a in Lrc for b in Lrc if a is not b], ids=str
)
def test_a_reading_that_differs_moves_nothing(
    disk: Path, ours: Lrc, theirs: Lrc, last_stan: str, kind: TransactionType
) -> None:
    till = Till(wired=True, settings={"lrc": ours.value, "last_stan": last_stan, "refund": True})

    async def day(pair: Pair) -> None:
        failed = await pair.follow(till, kind, 1000)
        assert (failed.state, failed.proof) == (State.FAILED, Proof.REFUSED_BY_PEER)
        assert pair.far.transactions() == []
        await check_pair(pair)

    live(disk, day, tills=[till], told={"lrc": theirs.value})


def test_a_terminal_id_that_is_checked_and_wrong_moves_nothing(disk: Path) -> None:
    till = Till(settings={"tid": "99999999"})

    async def day(pair: Pair) -> None:
        failed = await pair.ended(await pair.order(till, 1000), FOUND_OUT_AFTER)
        assert (failed.state, failed.proof) == (State.FAILED, Proof.REFUSED_BY_PEER)
        await check_pair(pair)

    live(disk, day, tills=[till])
