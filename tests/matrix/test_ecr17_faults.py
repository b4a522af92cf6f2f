"""The driver of ECR17 against its face, while something goes wrong with the frames between them.

Each fault meets one command; then the same is sold once more, over a wire that works again. Nothing
is charged twice, nothing that was charged is called failed, and what nobody can tell is UNKNOWN.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.matrix.ecr17_agreement import carried_for, check_pair, evidence_of, settled
from tests.matrix.ecr17_pair import Pair, Till, live
from tests.matrix.ecr17_wire import (
    Rule,
    ack,
    answer,
    around,
    double,
    end_within,
    fall_behind,
    garble,
    hang_up,
    hold,
    late,
    lose,
    pass_and_end,
    pass_and_hang_up,
    replace,
    request,
    result,
    shown,
    split,
    tills_ack,
)
from tillwire.core.model import Evidence, State, Transaction, TransactionType
from tillwire.dialects.ecr17.wire import ACK, LARGEST, NAK, progress
from tillwire.errors import Proof

_T = TransactionType

QUICK, SLOW = 1000, 1049
"""Cents: a cardholder who has paid at once, and one who takes 20 seconds."""
CODE: Final = {
    _T.PURCHASE: "X",
    _T.REVERSAL: "S",
    _T.PREAUTH: "p",
    _T.INCREMENT: "i",
    _T.CAPTURE: "c",
    _T.REFUND: "A",
}
ODD_ACK: Final = b"\x06\x03\x78"
"""As terminals send it that lay a STX under it."""
FLOOD: Final = progress("ATTENDERE PREGO") * 200


@dataclass(frozen=True)
class End:
    """What becomes of a command that met a fault."""

    state: State
    evidence: Evidence | None = None
    proof: Proof | None = None
    arrived: bool = True


HEARD: Final = End(State.APPROVED, Evidence.ANSWER)
FOUND: Final = End(State.APPROVED, Evidence.RECOVERED)
"""Its answer was lost, and `G` repeats it. Of what tells no amount, it proves nothing."""
REFUSED: Final = End(State.FAILED, proof=Proof.REFUSED_BY_PEER, arrived=False)
LOST: Final = End(State.UNKNOWN, arrived=False)
"""Nobody has it, of which there is no proof."""

Case = tuple[End, tuple[Rule, ...]]
ACKS: Final[dict[str, Case]] = {
    "ACK lost": (HEARD, (Rule(ack, lose),)),
    "ACK a second late": (HEARD, (Rule(ack, late(1)),)),
    "ACK as late as it may be": (HEARD, (Rule(ack, late(14)),)),
    "ACK too late": (FOUND, (Rule(ack, late(16)),)),
    "ACK octet by octet": (HEARD, (Rule(ack, split(0.4)),)),
    "ACK and result in one packet": (HEARD, (Rule(ack, hold),)),
    "ACK behind the result": (HEARD, (Rule(ack, fall_behind),)),
    "ACK twice": (HEARD, (Rule(ack, double),)),
    "ACK with an odd check character": (HEARD, (Rule(ack, replace(ODD_ACK)),)),
    "ACK behind noise": (HEARD, (Rule(ack, around(b"\x00\xff\x03\x04garbage")),)),
    "NAK and ACK at once": (HEARD, (Rule(ack, around(before=NAK)),)),
    "NAK behind the ACK": (HEARD, (Rule(ack, around(behind=NAK)),)),
    "till's ACK lost": (HEARD, (Rule(tills_ack, lose),)),
    "till's ACK twice": (HEARD, (Rule(tills_ack, double),)),
    "till's ACK a NAK": (HEARD, (Rule(tills_ack, replace(NAK)),)),
}
RESULTS: Final[dict[str, Case]] = {
    "result lost once": (HEARD, (Rule(result, lose, 1),)),
    "result lost": (FOUND, (Rule(result, lose),)),
    "result twice": (HEARD, (Rule(result, double),)),
    "result octet by octet": (HEARD, (Rule(result, split(0.02)),)),
    "result so slow that it is sent again": (HEARD, (Rule(result, split(0.1), 1),)),
    "result garbled once": (HEARD, (Rule(result, garble, 1),)),
    "result garbled twice": (HEARD, (Rule(result, garble, 2),)),
    "result garbled": (FOUND, (Rule(result, garble),)),
    "result garbled behind a lost ACK": (HEARD, (Rule(ack, lose), Rule(result, garble, 1))),
    "ACK and result as noise": (FOUND, (Rule(ack, replace(b"~")), Rule(result, replace(b"~")))),
    "progress first": (HEARD, (Rule(ack, around(before=progress("ATTENDERE PREGO"))),)),
    "progress in place of the ACK": (HEARD, (Rule(ack, replace(progress("ATTENDERE"))),)),
    "progress between": (HEARD, (Rule(ack, around(behind=progress("INSERIRE CARTA"))),)),
    "a flood of progress": (HEARD, (Rule(ack, around(behind=FLOOD)),)),
    "a frame without an end": (HEARD, (Rule(ack, around(behind=b"\x02" + b"0" * LARGEST)),)),
}
REQUESTS: Final[dict[str, Case]] = {
    "request lost": (LOST, (Rule(request, lose),)),
    "request octet by octet": (HEARD, (Rule(request, split(0.01)),)),
    "request garbled once": (HEARD, (Rule(request, garble, 1),)),
    "request garbled twice": (HEARD, (Rule(request, garble, 2),)),
    "request garbled": (REFUSED, (Rule(request, garble),)),
    "NAK once": (HEARD, (Rule(request, answer(NAK), 1),)),
    "NAK twice": (HEARD, (Rule(request, answer(NAK), 2),)),
    "NAK": (REFUSED, (Rule(request, answer(NAK)),)),
    "two NAKs at once": (REFUSED, (Rule(request, answer(NAK * 2)),)),
    "ACK, and nothing more": (LOST, (Rule(request, answer(ACK)),)),
    "NAK before the ACK": (HEARD, (Rule(request, answer(NAK, passes=True)),)),
    "request twice": (HEARD, (Rule(request, double),)),
}
CLOSES: Final[dict[str, Case]] = {
    "closed in place of the request": (LOST, (Rule(request, hang_up),)),
    "closed behind the request": (FOUND, (Rule(request, pass_and_hang_up),)),
    "closed in place of the ACK": (FOUND, (Rule(ack, hang_up),)),
    "closed behind the ACK": (FOUND, (Rule(ack, pass_and_hang_up),)),
    "closed in place of the result": (FOUND, (Rule(result, hang_up),)),
    "closed within the result": (FOUND, (Rule(result, end_within(60)),)),
    "closed behind the result": (HEARD, (Rule(result, pass_and_hang_up),)),
    "closed in place of the till's ACK": (HEARD, (Rule(tills_ack, hang_up),)),
    "closed behind the till's ACK": (HEARD, (Rule(tills_ack, pass_and_hang_up),)),
    "half closed behind the request": (HEARD, (Rule(request, pass_and_end),)),
    "half closed behind the ACK": (FOUND, (Rule(ack, pass_and_end),)),
    "half closed behind the result": (HEARD, (Rule(result, pass_and_end),)),
}
FAULTS: Final = {**ACKS, **RESULTS, **REQUESTS, **CLOSES}
AT_WORK: Final[dict[str, Case]] = {
    "progress lost": (HEARD, (Rule(shown, lose),)),
    "ACK and progress lost for a while": (HEARD, (Rule(ack, lose), Rule(shown, lose, 1))),
    "ACK and progress lost": (FOUND, (Rule(ack, lose), Rule(shown, lose))),
    "progress in pieces": (HEARD, (Rule(shown, split(0.05)),)),
    "closed behind progress": (FOUND, (Rule(shown, pass_and_hang_up),)),
    "half closed behind progress": (FOUND, (Rule(shown, pass_and_end),)),
    "result lost": (FOUND, (Rule(result, lose),)),
    "request twice": (HEARD, (Rule(request, double),)),
}
"""While the cardholder takes his time."""
TELL_AMOUNT: Final = {_T.PURCHASE, _T.PREAUTH}
"""Whose repeated results can be proven to be theirs."""
SAMPLE: Final = {"ACK lost", "result lost", "NAK", "request lost", "closed behind the ACK"}


def expected(kind: TransactionType, end: End) -> End:
    """The end of a command of this kind: what its repeated result does not prove is UNKNOWN."""
    return End(State.UNKNOWN) if end == FOUND and kind not in TELL_AMOUNT else end


async def check_end(pair: Pair, here: Transaction, end: End) -> None:
    """Raise `AssertionError` unless it has ended so."""
    there = await carried_for(pair, here)
    told = End(here.state, evidence_of(here), here.proof, arrived=there is not None)
    assert told == end, (told, end, pair.near.events(here.id)[-1].detail)


async def meets(
    pair: Pair, till: Till, kind: TransactionType, minor: int, end: End, *rules: Rule
) -> None:
    """A command of this kind meets a fault, and then the same is asked for once more."""
    for fault, wanted in ((rules, end), ((), HEARD)):
        original = await pair.before(till, kind)
        if fault:
            pair.wire.meddle(CODE[kind], *fault)
        number = None if original is None else original.id
        here = await settled(pair, await pair.order(till, minor, kind, original=number))
        await check_end(pair, here, expected(kind, wanted))


def is_quick(name: str, kind: TransactionType) -> bool:
    """Whether the short run has this one, too."""
    return kind is _T.PURCHASE or name in SAMPLE


KINDS: Final = [
    pytest.param(name, kind, marks=() if is_quick(name, kind) else pytest.mark.long)
    for name, kind in itertools.product(FAULTS, CODE)
]


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_a_fault_of_frames_charges_nothing_twice_and_nothing_is_guessed(
    disk: Path, name: str, kind: TransactionType
) -> None:
    end, rules = FAULTS[name]
    till = Till(wired=True, settings={"refund": True})

    async def day(pair: Pair) -> None:
        await pair.open(till)
        await meets(pair, till, kind, QUICK, end, *rules)
        await check_pair(pair)

    live(disk, day, tills=[till])


@pytest.mark.parametrize("name", AT_WORK)
def test_a_fault_while_the_cardholder_takes_his_time(disk: Path, name: str) -> None:
    end, rules = AT_WORK[name]
    till = Till(wired=True)

    async def day(pair: Pair) -> None:
        await pair.open(till)
        await meets(pair, till, _T.PURCHASE, SLOW, end, *rules)
        await check_pair(pair)

    live(disk, day, tills=[till])


@pytest.mark.parametrize("minor", [QUICK, SLOW])
def test_a_result_of_the_sale_before_is_not_taken_for_that_of_an_equal_one(
    disk: Path, minor: int
) -> None:
    """A driver that does not ask before it pays, and whose ACK was lost: the lane takes the next
    equal sale for the same one, and repeats its result. Nothing is charged, and it is known."""
    till = Till(wired=True, settings={"last_stan": "journal"})

    async def day(pair: Pair) -> None:
        await pair.open(till)
        pair.wire.meddle("X", Rule(tills_ack, lose))
        await check_end(pair, await settled(pair, await pair.order(till, minor)), HEARD)
        await check_end(pair, await settled(pair, await pair.order(till, minor)), LOST)
        await check_end(pair, await settled(pair, await pair.order(till, minor)), HEARD)
        await check_pair(pair)

    live(disk, day, tills=[till])
