"""The driver of ECR17 against its face, over connections that end at any octet of what is said:
nothing is charged twice, and nothing that was charged is called failed.

Each test is a day in the shop: payment after payment, and the connection of each is cut a little
later than that of the one before.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest

from tests.kit.faults import CLEAN, Connect, Faults, Flow, Noticed
from tests.kit.virtual_loop import virtual_loop
from tests.matrix.ecr17_agreement import carried_for, check_pair, settled
from tests.matrix.ecr17_pair import HURRY, PORTS, Pair, Till, live
from tests.matrix.ecr17_wire import Do, Rule, ack, end_within, request, result, tills_ack
from tests.matrix.two_gateways import break_next
from tillwire.core.model import State, Transaction, TransactionType
from tillwire.errors import Proof

_T = TransactionType

QUICK, SLOW = 1000, 1049
"""Cents: a cardholder who has paid at once, and one who takes 20 seconds."""
TILL: Final = Till(settings=HURRY)
TICKETED: Final = Till(settings={**HURRY, "receipts": "till"})
PORT: Final = PORTS[1]
KINDS: Final = {
    _T.PURCHASE: True,
    _T.PREAUTH: True,
    _T.REVERSAL: False,
    _T.INCREMENT: False,
    _T.CAPTURE: False,
    _T.REFUND: False,
}
"""Whether a repeated result proves that it is the command's own."""

Cut = tuple[Faults, ...]
"""Of the connection that asks for the last result, that of the command, those of recovery."""


def to_lane(octets: int, noticed: Noticed) -> Faults:
    """What the till says breaks after so many octets."""
    return Faults(to_server=Flow(cut_after=octets, noticed=noticed))


def to_till(octets: int, noticed: Noticed) -> Faults:
    """What the lane says breaks after so many octets."""
    return Faults(to_client=Flow(cut_after=octets, noticed=noticed))


async def sizes(pair: Pair, till: Till, minor: int, connection: int = 1) -> tuple[int, int]:
    """How many octets a connection of a payment carries to the lane, and back: 0 is that of the
    question, 1 that of the command."""
    network = virtual_loop().network
    before = len(network.links)
    assert (await pair.follow(till, _T.PURCHASE, minor)).state is State.APPROVED
    return network.links[before + connection].octets


async def paid_through(
    pair: Pair, till: Till, minor: int, cut: Cut, kind: TransactionType = _T.PURCHASE
) -> Transaction:
    """A command over such connections, as it stands when all that can be was found out."""
    original = await pair.before(till, kind)
    break_next(PORT, *cut)
    number = None if original is None else original.id
    order = await pair.order(till, minor, kind, original=number)
    here = await settled(pair, order)
    if here.state is State.FAILED:
        assert here.proof in (Proof.NEVER_SENT, Proof.CONNECT_REFUSED), here
    if here.state is State.UNKNOWN and KINDS[kind]:
        assert await carried_for(pair, here) is None, "it could be found out"
    return here


async def day(
    pair: Pair,
    till: Till,
    minor: int,
    cuts: Iterable[Cut],
    kind: TransactionType = _T.PURCHASE,
) -> Counter[State]:
    """Commands over all these connections; how they ended."""
    ends = Counter[State]()
    for cut in cuts:
        try:
            ends[(await paid_through(pair, till, minor, cut, kind)).state] += 1
        except BaseException as error:
            error.add_note(f"With {cut}")
            raise
    await check_pair(pair)
    return ends


def every(octets: int, stride: int) -> list[tuple[int, Noticed]]:
    """At each octet; who notices takes turns, and where each octet is tried, all do."""
    places = range(0, octets, stride)
    if stride == 1:
        return list(itertools.product(places, Noticed))
    return list(zip(places, itertools.cycle(Noticed)))


thorough = pytest.mark.parametrize("stride", [13, pytest.param(1, marks=pytest.mark.long)])


@thorough
def test_a_command_cut_at_any_octet_is_never_done(disk: Path, stride: int) -> None:
    async def scenario(pair: Pair) -> Counter[State]:
        await pair.open(TILL)
        sent, _ = await sizes(pair, TILL, QUICK)
        cuts = [(CLEAN, to_lane(*each)) for each in every(sent - 3, stride)]
        return await day(pair, TILL, QUICK, cuts)

    assert live(disk, scenario, tills=[TILL]).keys() == {State.UNKNOWN}


def test_a_command_cut_behind_its_last_octet_is_found_again(disk: Path) -> None:
    async def scenario(pair: Pair) -> Counter[State]:
        await pair.open(TILL)
        sent, _ = await sizes(pair, TILL, QUICK)
        places = itertools.product(range(sent - 3, sent + 1), Noticed)
        return await day(pair, TILL, QUICK, [(CLEAN, to_lane(*each)) for each in places])

    assert live(disk, scenario, tills=[TILL]).keys() == {State.APPROVED}


@thorough
def test_an_answer_cut_at_any_octet_is_found_again(disk: Path, stride: int) -> None:
    async def scenario(pair: Pair) -> Counter[State]:
        await pair.open(TILL)
        _, heard = await sizes(pair, TILL, QUICK)
        cuts = [(CLEAN, to_till(*each)) for each in every(heard + 1, stride)]
        return await day(pair, TILL, QUICK, cuts)

    assert live(disk, scenario, tills=[TILL]).keys() == {State.APPROVED}


@pytest.mark.parametrize("stride", [37, pytest.param(1, marks=pytest.mark.long)])
def test_a_command_with_receipts_cut_at_any_octet_is_charged_once_or_not_at_all(
    disk: Path, stride: int
) -> None:
    """`E`, its ACK, the command, its ACK and result, and the parts of the receipt."""

    async def scenario(pair: Pair) -> Counter[State]:
        await pair.open(TICKETED)
        sent, heard = await sizes(pair, TICKETED, QUICK)
        cuts = [
            *[(CLEAN, to_lane(*each)) for each in every(sent + 1, stride)],
            *[(CLEAN, to_till(*each)) for each in every(heard + 1, stride)],
        ]
        return await day(pair, TICKETED, QUICK, cuts)

    ends = live(disk, scenario, tills=[TICKETED])
    assert ends.keys() == {State.APPROVED, State.UNKNOWN, State.FAILED}


@pytest.mark.parametrize("stride", [29, pytest.param(1, marks=pytest.mark.long)])
def test_a_slow_payment_cut_at_any_octet_of_what_is_said_meanwhile_is_found_again(
    disk: Path, stride: int
) -> None:
    async def scenario(pair: Pair) -> Counter[State]:
        await pair.open(TILL)
        _, heard = await sizes(pair, TILL, SLOW)
        cuts = [(CLEAN, to_till(*each)) for each in every(heard + 1, stride)]
        return await day(pair, TILL, SLOW, cuts)

    assert live(disk, scenario, tills=[TILL]).keys() == {State.APPROVED}


@pytest.mark.parametrize("kind", [each for each in KINDS if each is not _T.PURCHASE])
@pytest.mark.parametrize("stride", [61, pytest.param(3, marks=pytest.mark.long)])
def test_any_other_command_cut_at_any_octet_is_done_once_or_not_at_all(
    disk: Path, kind: TransactionType, stride: int
) -> None:
    till = Till(settings={**HURRY, "refund": True})

    async def scenario(pair: Pair) -> Counter[State]:
        await pair.open(till)
        sent, heard = await sizes(pair, till, QUICK)
        cuts = [
            *[(CLEAN, to_lane(*each)) for each in every(sent + 12, stride)],
            *[(CLEAN, to_till(*each)) for each in every(heard + 12, stride)],
        ]
        return await day(pair, till, QUICK, cuts, kind)

    ends = live(disk, scenario, tills=[till])
    assert ends.keys() <= {State.APPROVED, State.UNKNOWN}
    assert ends[State.UNKNOWN] > 0


# --- what stands around the command -------------------------------------------------------------


@pytest.mark.parametrize("stride", [11, pytest.param(1, marks=pytest.mark.long)])
def test_a_question_cut_before_the_command_at_any_octet_keeps_it_from_being_sent(
    disk: Path, stride: int
) -> None:
    async def scenario(pair: Pair) -> tuple[Counter[State], Counter[State]]:
        await pair.open(TILL)
        sent, heard = await sizes(pair, TILL, QUICK, 0)
        asked = [(to_lane(*each),) for each in every(sent - 3, stride)]
        answered = [(to_till(*each),) for each in every(heard, stride)]
        return await day(pair, TILL, QUICK, asked), await day(pair, TILL, QUICK, answered)

    asked, answered = live(disk, scenario, tills=[TILL])
    assert asked.keys() == answered.keys() == {State.FAILED}


@pytest.mark.parametrize("stride", [11, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("question", [0, 1], ids=["s", "G"])
def test_a_question_cut_after_a_lost_answer_at_any_octet_is_asked_again(
    disk: Path, question: int, stride: int
) -> None:
    lost = to_till(3, Noticed.BOTH)

    async def scenario(pair: Pair) -> Counter[State]:
        await pair.open(TILL)
        await paid_through(pair, TILL, QUICK, (CLEAN, lost))
        sent, heard = virtual_loop().network.links[question - 2].octets
        before = (CLEAN, lost, *[CLEAN] * question)
        cuts = [
            *[(*before, to_lane(*each)) for each in every(sent + 1, stride)],
            *[(*before, to_till(*each)) for each in every(heard + 1, stride)],
        ]
        return await day(pair, TILL, QUICK, cuts)

    assert live(disk, scenario, tills=[TILL]).keys() == {State.APPROVED}


@pytest.mark.parametrize("connect", [Connect.REFUSE, Connect.SILENCE])
@pytest.mark.parametrize("number", [0, 1], ids=["question", "command"])
@pytest.mark.parametrize("till", [TILL, TICKETED], ids=["X", "E and X"])
def test_a_lane_that_cannot_be_reached_was_never_sent_anything(
    disk: Path, till: Till, number: int, connect: Connect
) -> None:
    async def scenario(pair: Pair) -> Transaction:
        await pair.open(till)
        cut = (*[CLEAN] * number, Faults(connect))
        failed = await paid_through(pair, till, QUICK, cut)
        assert (await pair.pay(till, QUICK)).state is State.APPROVED
        await check_pair(pair)
        return failed

    failed = live(disk, scenario, tills=[till])
    assert failed.state is State.FAILED
    if connect is Connect.SILENCE:
        assert failed.proof is Proof.NEVER_SENT


# --- half-closes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [17, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("minor", [QUICK, SLOW])
def test_a_side_that_writes_no_more_from_any_octet_on_breaks_nothing(
    disk: Path, minor: int, stride: int
) -> None:
    """The other side still can, until it has heard of it."""
    till = Till(wired=True, settings=HURRY)
    lengths = {request: 170, ack: 3, result: 95, tills_ack: 3}

    async def scenario(pair: Pair) -> Counter[tuple[str, State]]:
        await pair.open(till)
        ends = Counter[tuple[str, State]]()
        for which, length in lengths.items():
            for octets in {*range(0, length + 1, stride), length}:
                do: Do = end_within(octets)
                pair.wire.meddle("X", Rule(which, do, 1))
                here = await paid_through(pair, till, minor, ())
                ends[which.__name__, here.state] += 1
        await check_pair(pair)
        return ends

    ends = live(disk, scenario, tills=[till])
    assert {state for which, state in ends if which != "request"} == {State.APPROVED}
    assert {state for which, state in ends if which == "request"} == {
        State.UNKNOWN,
        State.APPROVED,
    }
