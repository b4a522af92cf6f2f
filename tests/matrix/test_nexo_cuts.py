"""The driver of nexo against the face of nexo, over connections that break at any octet of what is
said, in every binding: nothing is charged twice, and nothing that was charged is called failed.

Each test is a day in the shop: payment after payment, and the connection of each is cut a little
later than that of the one before.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import pytest

from tests.kit.faults import Connect, Faults, Flow, Noticed
from tests.kit.virtual_loop import virtual_loop
from tests.matrix.nexo_agreement import check_pair
from tests.matrix.nexo_pair import BINDINGS, FAR_PORTS, WAYS, Lane, Pair, live
from tests.matrix.two_gateways import break_next, decide
from tillwire.core.model import State, Transaction, TransactionType
from tillwire.errors import Proof

FOUND_OUT_AFTER: Final = 200.0
"""Seconds after which all that can be found out has been."""
CONNECTS_WITHIN: Final = 5.0
"""Seconds after which the driver gives up."""
QUICK, SLOW = 1000, 1049
"""Minor units: a cardholder who has paid at once, and one who takes his time."""
WHOLE: Final = 1500
"""Octets that are more than any request: what comes behind are polls."""
STRIDE: Final = {"tcp": 53, "http": 71, "held": 53, "sealed": 229}
"""Octets between two cuts, where not every one is tried."""

every_binding = pytest.mark.parametrize("way", BINDINGS)
thorough = pytest.mark.parametrize(
    ("way", "stride"),
    [
        *((way, STRIDE[way]) for way in WAYS),
        *(pytest.param(way, 1, marks=pytest.mark.long) for way in WAYS),
    ],
)


def to_server(octets: int, noticed: Noticed) -> Faults:
    """The request breaks after so many octets."""
    return Faults(to_server=Flow(cut_after=octets, noticed=noticed))


def to_client(octets: int, noticed: Noticed) -> Faults:
    """What is answered breaks after so many octets."""
    return Faults(to_client=Flow(cut_after=octets, noticed=noticed))


def break_next_of(way: str, faults: Faults) -> None:
    """Let the next connection that is opened this way have these faults."""
    break_next(FAR_PORTS[WAYS[way][0]], faults)


async def paid_through(pair: Pair, lane: Lane, minor: int, faults: Faults) -> Transaction:
    """A payment over such a connection, as it stands when all was found out. Where nobody could
    tell, a person has looked at the terminal, where it never was."""
    break_next_of(lane.way, faults)
    order = await pair.order(lane, minor)
    ended = await pair.ended(order, FOUND_OUT_AFTER)
    there = pair.there(order)
    if ended.state is State.UNKNOWN:
        assert there is None, f"it could be asked: {there}"
        await decide(pair.near, order, None)
    elif ended.state is State.FAILED:
        assert there is None, f"a proof that was none: {there}"
        assert ended.proof in (Proof.NEVER_SENT, Proof.CONNECT_REFUSED), ended
    else:
        assert ended.state is State.APPROVED, ended
    return ended


async def sizes(pair: Pair, lane: Lane, minor: int) -> tuple[int, int]:
    """How many octets a payment's connection carries to the terminal, and back."""
    network = virtual_loop().network
    before = len(network.links)
    assert (await pair.pay(lane, minor)).state is State.APPROVED
    return network.links[before].octets


async def day(
    pair: Pair, way: str, minor: int, cuts: Callable[[int, int], Iterable[Faults]]
) -> Counter[State]:
    """Payments over all connections that `cuts` makes of those sizes; how they ended."""
    lane, ends = Lane(way), Counter[State]()
    sent, received = await sizes(pair, lane, minor)
    for faults in cuts(sent, received):
        try:
            ends[(await paid_through(pair, lane, minor, faults)).state] += 1
        except BaseException as error:
            error.add_note(f"With {faults}")
            raise
    await check_pair(pair)
    return ends


def alternately(make: Callable[[int, Noticed], Faults], octets: Iterable[int]) -> list[Faults]:
    """A cut at each of these octets; who notices, takes turns."""
    return [make(*each) for each in zip(octets, itertools.cycle(Noticed))]


@thorough
def test_a_request_cut_at_any_octet_is_charged_once_or_not_at_all(
    disk: Path, way: str, stride: int
) -> None:
    def cuts(sent: int, received: int) -> list[Faults]:
        return alternately(to_server, range(0, sent + 1, stride))

    ends = live(disk, lambda pair: day(pair, way, QUICK, cuts), lanes=[Lane(way)])
    assert ends.keys() <= {State.APPROVED, State.FAILED, State.UNKNOWN}
    assert ends[State.FAILED] + ends[State.UNKNOWN] > 5, "what did not arrive whole was not paid"


@thorough
def test_an_answer_cut_at_any_octet_is_found_again(disk: Path, way: str, stride: int) -> None:
    def cuts(sent: int, received: int) -> list[Faults]:
        # TLS needs octets of the far side before any request leaves.
        return alternately(to_client, range(3000 if way == "sealed" else 0, received, stride))

    ends = live(disk, lambda pair: day(pair, way, QUICK, cuts), lanes=[Lane(way)])
    assert ends.keys() == {State.APPROVED}


@every_binding
@pytest.mark.parametrize("stride", [173, pytest.param(3, marks=pytest.mark.long)])
def test_a_slow_payment_cut_at_any_octet_of_all_that_is_said_meanwhile_is_found_again(
    disk: Path, way: str, stride: int
) -> None:
    def cuts(sent: int, received: int) -> list[Faults]:
        whole = to_server if way == "http" else to_client
        polls = range(WHOLE, sent, stride * 5) if way == "http" else ()
        return alternately(to_client, range(0, received, stride)) + alternately(whole, polls)

    ends = live(disk, lambda pair: day(pair, way, SLOW, cuts), lanes=[Lane(way)])
    assert ends.keys() == {State.APPROVED}


@every_binding
@pytest.mark.parametrize("connect", [Connect.REFUSE, Connect.SILENCE])
def test_a_terminal_that_cannot_be_reached_was_never_sent_anything(
    disk: Path, way: str, connect: Connect
) -> None:
    async def sale(pair: Pair) -> Transaction:
        break_next_of(way, Faults(connect))
        failed = await pair.pay(Lane(way), QUICK)
        assert virtual_loop().time() <= CONNECTS_WITHIN
        assert (await pair.pay(Lane(way), QUICK)).state is State.APPROVED
        await check_pair(pair)
        return failed

    failed = live(disk, sale, lanes=[Lane(way)])
    refused = connect is Connect.REFUSE
    assert failed.state is State.FAILED
    assert failed.proof is (Proof.CONNECT_REFUSED if refused else Proof.NEVER_SENT)


@every_binding
@pytest.mark.parametrize("kind", [TransactionType.REFUND, TransactionType.REVERSAL])
@pytest.mark.parametrize("stride", [241, pytest.param(7, marks=pytest.mark.long)])
def test_what_gives_money_back_is_cut_at_any_octet_and_given_back_once(
    disk: Path, way: str, kind: TransactionType, stride: int
) -> None:
    async def given_back(pair: Pair) -> None:
        lane = Lane(way)
        sent, received = await sizes(pair, lane, QUICK)
        cuts = [
            *alternately(to_server, range(0, sent, stride)),
            *alternately(to_client, range(0, received, stride)),
        ]
        for faults in cuts:
            original = await pair.pay(lane, QUICK)
            break_next_of(way, faults)
            order = await pair.order(lane, 100, kind, original=original.id)
            back = await pair.ended(order, FOUND_OUT_AFTER)
            there = pair.there(order)
            assert (there is not None) == (back.state is State.APPROVED), (faults, back)
            if back.state is State.UNKNOWN:
                await decide(pair.near, order, None)
        await check_pair(pair)

    live(disk, given_back, lanes=[Lane(way)])
