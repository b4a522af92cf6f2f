"""Who comes at the same time: two lanes for one terminal, and one payment over two connections.

However close together, and over whatever bindings: one charge, and everybody is told rightly.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import pytest

from tests.kit.faults import Faults, Flow, scripted
from tests.kit.gateway import GatewayUnderTest
from tests.kit.messages import Fate
from tests.kit.virtual_loop import virtual_loop
from tests.matrix.nexo_agreement import carried_out, check_pair
from tests.matrix.nexo_doubles import Doubling
from tests.matrix.nexo_pair import BINDINGS, FAR_PORTS, WAYS, Lane, Pair, live
from tests.unit.nexo.bindings import lane as raw
from tests.unit.nexo.bindings.lane import (
    FLAT,
    HELD,
    HttpLane,
    Json,
    Socket,
    enveloped,
    payment,
    result_of,
)
from tillwire.core.model import State, Transaction
from tillwire.errors import Proof

QUICK, SLOW = 1000, 1049
"""Minor units: a cardholder who has paid at once, and one who takes 20 seconds."""

every_binding = pytest.mark.parametrize("way", BINDINGS)
TWO_WAYS: Final = list(itertools.product(BINDINGS, repeat=2))


# --- two lanes for one terminal, with the driver ------------------------------------------------


async def step() -> None:
    """Let the loop go on by one step of whoever is next."""
    await asyncio.sleep(0)


@pytest.mark.parametrize(("one", "other"), TWO_WAYS)
@pytest.mark.parametrize("minor", [QUICK, SLOW])
def test_of_two_lanes_at_the_same_moment_one_gets_the_terminal(
    disk: Path, one: str, other: str, minor: int
) -> None:
    lanes = Lane(one, 1), Lane(other, 2)

    async def race(pair: Pair) -> list[Transaction]:
        both = await asyncio.gather(*(pair.pay(lane, minor) for lane in lanes))
        await check_pair(pair)
        return both

    both = live(disk, race, lanes=lanes)
    assert sorted(each.state for each in both) == [State.APPROVED, State.FAILED]
    (refused,) = (each for each in both if each.state is State.FAILED)
    assert refused.proof is Proof.REFUSED_BY_PEER


@every_binding
def test_a_second_lane_gets_the_terminal_before_or_after_and_never_with_the_first(
    disk: Path, way: str
) -> None:
    """The second lane comes one step of the program later each time."""
    lanes = Lane(way, 1), Lane(way, 2)

    async def races(pair: Pair) -> set[tuple[State, State]]:
        ends = set()
        for steps in range(0, 120, 5):
            first = asyncio.create_task(pair.pay(lanes[0], QUICK))
            for _ in range(steps):
                await step()
            second = await pair.pay(lanes[1], QUICK)
            ends.add(((await first).state, second.state))
        await check_pair(pair)
        return ends

    paid, refused = State.APPROVED, State.FAILED
    assert live(disk, races, lanes=lanes) == {(paid, paid), (paid, refused), (refused, paid)}


@pytest.mark.parametrize("way", WAYS)
def test_ten_lanes_at_one_terminal_are_served_one_at_a_time(disk: Path, way: str) -> None:
    lanes = [Lane(way, number) for number in range(10)]

    async def crowd(pair: Pair) -> list[Transaction]:
        ended = await asyncio.gather(*(pair.pay(lane, SLOW) for lane in lanes))
        await check_pair(pair)
        return ended

    ended = live(disk, crowd, lanes=lanes)
    assert sorted(each.state for each in ended) == [State.APPROVED] + [State.FAILED] * 9


# --- two lanes for one terminal, as tills see it ------------------------------------------------

Ask = Callable[[GatewayUnderTest, Json], Coroutine[Any, Any, Json]]
"""Sends a payment in one of the bindings; its answer: a response, or an HTTP status."""


async def over_tcp(gateway: GatewayUnderTest, message: Json) -> Json:
    async with await Socket.open() as socket:
        socket.say(message)
        return await socket.hear_answer()


async def over_held(gateway: GatewayUnderTest, message: Json) -> Json:
    code, answer = await HttpLane(gateway, HELD).post("/", enveloped(message))
    assert code == 200
    return answer


async def over_flat(gateway: GatewayUnderTest, message: Json) -> Json:
    till = HttpLane(gateway, FLAT)
    code, _ = await till.post("/payment", message)
    if code != 202:
        return code
    code, answer = (await till.polled("/payment"))[-1]
    return answer if code == 200 else code


ASKS: Final[dict[str, Ask]] = {"tcp": over_tcp, "held": over_held, "http": over_flat}


def told(answer: Json) -> str:
    """What a till is told, in a word."""
    if isinstance(answer, int):
        return str(answer)
    result, condition = result_of(answer)
    return condition or result


@every_binding
@pytest.mark.parametrize(("sale", "condition"), [("LANE-2", "Busy"), ("LANE-1", "NotAllowed")])
def test_who_comes_second_is_told_who_has_the_terminal(
    disk: Path, way: str, sale: str, condition: str
) -> None:
    async def race(gateway: GatewayUnderTest) -> tuple[str, str, int]:
        first = asyncio.create_task(ASKS[way](gateway, payment(SLOW, "s1")))
        await asyncio.sleep(5)
        second = await ASKS[way](gateway, payment(QUICK, "s2", sale=sale))
        return told(second), told(await first), len(await gateway.charges())

    expected = "403" if way == "http" else condition
    assert raw.live(disk, race) == (expected, "Success", 1)


# --- one payment, twice -------------------------------------------------------------------------

DUPLICATE: Final = frozenset({"InProgress", "NotAllowed"})


async def charged_once(gateway: GatewayUnderTest) -> None:
    """Raise `AssertionError` unless there is one payment, and one charge."""
    [transaction] = gateway.transactions()
    charges = await gateway.charges()
    assert charges == {transaction.id: transaction.approved_amount}


@pytest.mark.parametrize(("one", "other"), TWO_WAYS)
@pytest.mark.parametrize("minor", [QUICK, SLOW])
def test_the_same_payment_twice_at_once_is_charged_once(
    disk: Path, one: str, other: str, minor: int
) -> None:
    async def race(gateway: GatewayUnderTest) -> list[str]:
        same = payment(minor)
        answers = await asyncio.gather(ASKS[one](gateway, same), ASKS[other](gateway, same))
        await charged_once(gateway)
        return sorted(map(told, answers))

    answers = raw.live(disk, race)
    if one == other == "http":
        # Both posts are of one exchange, whose messages are polled for by both: each once.
        assert answers in (["403", "Success"], ["423", "Success"])
    else:
        refusal, success = sorted(answers, key=lambda each: each == "Success")
        assert success == "Success"
        assert refusal in DUPLICATE | {"403"}


@pytest.mark.parametrize(("one", "other"), TWO_WAYS)
def test_the_same_payment_a_step_later_each_time_is_charged_once(
    disk: Path, one: str, other: str
) -> None:
    async def races(gateway: GatewayUnderTest) -> set[str]:
        seen = set()
        for number, steps in enumerate(range(0, 90, 6)):
            same = payment(QUICK, f"s{number}")
            first = asyncio.create_task(ASKS[one](gateway, same))
            for _ in range(steps):
                await step()
            seen |= {told(await ASKS[other](gateway, same)), told(await first)}
            assert len(await gateway.charges()) == number + 1
        return seen

    seen = raw.live(disk, races)
    assert "Success" in seen
    assert seen <= {"Success", "403", "423"} | DUPLICATE


@pytest.mark.parametrize(("one", "other"), TWO_WAYS)
@pytest.mark.parametrize("minor", [QUICK, SLOW])
def test_the_same_payment_before_and_after_a_restart_is_charged_once(
    disk: Path, one: str, other: str, minor: int
) -> None:
    same = payment(minor)

    async def before(gateway: GatewayUnderTest) -> None:
        asking = asyncio.create_task(ASKS[one](gateway, same))
        await asyncio.sleep(3)
        asking.cancel()

    async def after(gateway: GatewayUnderTest) -> tuple[str, str]:
        again = told(await ASKS[other](gateway, same))
        await asyncio.sleep(60)
        once_more = told(await ASKS[one](gateway, same))
        await charged_once(gateway)
        return again, once_more

    machine = raw.machine(disk)
    machine.live(before)
    machine.wait(2)
    again, once_more = machine.live(after).result or ("", "")
    # As long as the cardholder takes his time, the terminal is in use.
    assert again in ({"NotAllowed"} if minor == QUICK else {"InProgress", "403"})
    assert once_more == "NotAllowed"


def test_fifty_copies_of_one_payment_over_all_bindings_are_charged_once(disk: Path) -> None:
    async def crowd(gateway: GatewayUnderTest) -> list[str]:
        same = payment(SLOW)
        asks = [ASKS[way](gateway, same) for way, _ in zip(itertools.cycle(ASKS), range(50))]
        answers = await asyncio.gather(*asks)
        await charged_once(gateway)
        return [told(each) for each in answers]

    answers = raw.live(disk, crowd)
    assert answers.count("Success") == 1
    assert set(answers) <= {"Success", "403", "423"} | DUPLICATE


# --- what a network doubles, with the driver ----------------------------------------------------


@every_binding
@pytest.mark.parametrize("minor", [QUICK, SLOW])
@pytest.mark.parametrize("later", [0.0, 0.05, 3.0, 25.0])
@pytest.mark.parametrize("lost", [False, True], ids=["heard", "lost"])
def test_a_request_that_arrives_twice_is_charged_once(
    disk: Path, way: str, minor: int, later: float, lost: bool
) -> None:
    fate = Fate(doubled_after=later, answer_lost=lost)

    async def sale(pair: Pair) -> Transaction:
        pair.plug.network = doubling = Doubling(fate)
        paid = await pair.pay(Lane(way), minor)
        await doubling.settle()
        await check_pair(pair)
        assert len(carried_out(pair)) == 1
        return paid

    paid = live(disk, sale, lanes=[Lane(way)])
    assert (paid.state, paid.approved_amount) == (State.APPROVED, minor)


@every_binding
def test_a_refused_request_that_comes_again_when_the_terminal_is_free_is_not_done(
    disk: Path, way: str
) -> None:
    lanes = Lane(way), Lane("tcp", 2)

    async def sales(pair: Pair) -> Transaction:
        first = await pair.order(lanes[1], SLOW)
        await asyncio.sleep(18.5)
        pair.plug.network = doubling = Doubling(Fate(doubled_after=3.0))
        refused = await pair.pay(lanes[0], QUICK)
        assert not (await pair.ended(first, 0)).is_final, "it was refused at once"
        await doubling.settle()
        await asyncio.sleep(5)
        await check_pair(pair)
        return refused

    refused = live(disk, sales, lanes=lanes)
    assert (refused.state, refused.proof) == (State.FAILED, Proof.REFUSED_BY_PEER)


@pytest.mark.parametrize("way", ["http", "held"])
@pytest.mark.parametrize("minor", [QUICK, SLOW])
def test_a_double_that_comes_before_its_original_is_charged_once(
    disk: Path, way: str, minor: int
) -> None:
    """The driver hears how the second of both is refused, and does not believe that nothing was
    paid."""

    async def sale(pair: Pair) -> tuple[Transaction, list[str]]:
        pair.plug.network = doubling = Doubling(Fate(doubled_after=0.0))
        slow = [Faults(to_server=Flow(delay=(1.0, 1.0)))]
        virtual_loop().network.faults = scripted({FAR_PORTS[WAYS[way][0]]: slow})
        paid = await pair.pay(Lane(way), minor)
        await doubling.settle()
        await check_pair(pair)
        return paid, [each.name for each in pair.near.events(paid.id)]

    paid, events = live(disk, sale, lanes=[Lane(way)])
    assert (paid.state, paid.approved_amount) == (State.APPROVED, minor)
    # Posted again to its resource, a quick one is simply accepted as the same.
    heard_a_refusal = events.count("sign") == 2
    assert heard_a_refusal == ((way, minor) != ("http", QUICK))
