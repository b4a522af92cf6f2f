"""Aborts at every stage of a payment, in every binding: by the driver, and as tills send them.

An abort is a wish. Whoever wins, everybody agrees on it: what is said to be called off was not
charged, and what was charged is never said to be.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from tests.kit.faults import Faults, Flow, Noticed
from tests.kit.gateway import GatewayUnderTest
from tests.kit.virtual_loop import virtual_loop
from tests.matrix.nexo_agreement import check_pair
from tests.matrix.nexo_pair import BINDINGS, FAR_PORTS, WAYS, Lane, Pair, live
from tests.matrix.test_nexo_races import ASKS, told
from tests.unit.nexo.bindings import lane as raw
from tests.unit.nexo.bindings.lane import (
    FLAT,
    HELD,
    HttpLane,
    Json,
    Socket,
    abort,
    enveloped,
    event_of,
    payment,
)
from tillwire.core.model import Cause, State, Transaction
from tillwire.core.ports import AbortResult

QUICK, SLOW = 1000, 10_049
"""Minor units: a cardholder who has paid at once, and one who takes 20 seconds, with a PIN."""
STAGES: Final = {
    "just accepted": 0.0,
    "before the card": 3.0,
    "while the PIN is entered": 16.0,
    "the card is there": 20.0,
    "authorising": 20.3,
    "approved, and the response is on its way": 20.5,
    "answered": 21.5,
}
"""Seconds after the order."""
STOPPABLE: Final = {"before the card", "while the PIN is entered"}
OVER: Final = {"authorising", "answered"}

every_way = pytest.mark.parametrize("way", WAYS)
every_binding = pytest.mark.parametrize("way", BINDINGS)


# --- by the driver ------------------------------------------------------------------------------


async def aborted_after(
    pair: Pair, way: str, seconds: float, steps: int
) -> tuple[AbortResult, Transaction]:
    """A slow payment that is called off so late."""
    order = await pair.order(Lane(way), SLOW)
    await asyncio.sleep(seconds)
    for _ in range(steps):
        await asyncio.sleep(0)
    result = await pair.near.engine.abort(order.id)
    return result, await pair.ended(order)


def check_result(result: AbortResult, ended: Transaction) -> None:
    """Raise `AssertionError` unless the result of the abort is that of the payment."""
    if ended.state is State.CANCELLED:
        assert ended.outcome is None or ended.outcome.cause is Cause.TILL
        assert result is AbortResult.ABORTED
    else:
        assert ended.state is State.APPROVED
        assert result is not AbortResult.ABORTED


@every_way
@pytest.mark.parametrize("stage", STAGES)
def test_an_abort_at_every_stage(disk: Path, way: str, stage: str) -> None:
    async def stages(pair: Pair) -> set[State]:
        ends = set()
        for steps in range(0, 60, 6):
            result, ended = await aborted_after(pair, way, STAGES[stage], steps)
            check_result(result, ended)
            ends.add(ended.state)
        await check_pair(pair)
        return ends

    ends = live(disk, stages, lanes=[Lane(way)])
    if stage in STOPPABLE:
        assert ends == {State.CANCELLED}
    if stage in OVER:
        assert ends == {State.APPROVED}


@every_binding
@pytest.mark.parametrize("ending", [0, 40, 43, 44, 45, 46, 50, 52, 53, 54])
def test_an_abort_of_any_ending_is_agreed_on(disk: Path, way: str, ending: int) -> None:
    async def sales(pair: Pair) -> None:
        for steps in range(0, 80, 8):
            order = await pair.order(Lane(way), 1000 + ending)
            for _ in range(steps):
                await asyncio.sleep(0)
            result = await pair.near.engine.abort(order.id)
            ended = await pair.ended(order)
            assert ended.is_final
            assert result is not AbortResult.ABORTED or ended.state is State.CANCELLED
        await check_pair(pair)

    live(disk, sales, lanes=[Lane(way)])


@every_binding
def test_of_ten_aborts_one_wins(disk: Path, way: str) -> None:
    async def sale(pair: Pair) -> Counter[AbortResult]:
        order = await pair.order(Lane(way), SLOW)
        await asyncio.sleep(3)
        results = await asyncio.gather(*(pair.near.engine.abort(order.id) for _ in range(10)))
        assert (await pair.ended(order)).state is State.CANCELLED
        await check_pair(pair)
        return Counter(results)

    results = live(disk, sale, lanes=[Lane(way)])
    assert results == {AbortResult.ABORTED: 1, AbortResult.TOO_LATE: 9}


@every_binding
def test_an_abort_of_what_nobody_knows_invents_nothing(disk: Path, way: str) -> None:
    async def sale(pair: Pair) -> None:
        order = await pair.order(Lane(way), 1047)
        await asyncio.sleep(5)
        assert await pair.near.engine.abort(order.id) is not AbortResult.ABORTED
        assert not (await pair.ended(order, 300)).is_final
        assert await pair.near.engine.abort(order.id) is AbortResult.UNKNOWN
        await check_pair(pair)

    live(disk, sale, lanes=[Lane(way)])


@every_binding
@pytest.mark.parametrize("noticed", Noticed)
def test_an_abort_whose_connection_breaks_says_nothing_of_the_payment(
    disk: Path, way: str, noticed: Noticed
) -> None:
    """Whatever became of the abort, the payment's own end is found out."""

    async def sale(pair: Pair) -> State:
        order = await pair.order(Lane(way), SLOW)
        await asyncio.sleep(3)
        port = FAR_PORTS[WAYS[way][0]]
        network = virtual_loop().network
        broken = Faults(to_server=Flow(cut_after=300, noticed=noticed))
        network.faults = lambda at, _: broken if at == port else Faults()
        for link in network.links:
            if link.port == port and not link.broken:
                link.cut(noticed)
        result = await pair.near.engine.abort(order.id)
        network.faults = lambda *_: Faults()
        assert result is not AbortResult.ABORTED
        ended = await pair.ended(order, 300)
        await check_pair(pair)
        return ended.state

    assert live(disk, sale, lanes=[Lane(way)]) is State.APPROVED


# --- as tills send them -------------------------------------------------------------------------


async def abort_over(way: str, gateway: GatewayUnderTest, message: Json) -> str | None:
    """Abort in one of the bindings; the event that comes back, if one does."""
    if way == "http":
        code, answer = await HttpLane(gateway, FLAT).post("/abort", message)
        assert code == 202
    elif way == "held":
        code, answer = await HttpLane(gateway, HELD).post("/", enveloped(message))
        assert code == 200
    else:
        async with await Socket.open() as socket:
            socket.say(message)
            answer = None
            try:
                async with asyncio.timeout(0.5):
                    answer = await socket.hear_answer()
            except TimeoutError:
                return None
    return event_of(answer) if answer else None


BOTH: Final = [(one, other) for one in BINDINGS for other in BINDINGS]


@pytest.mark.parametrize(("one", "other"), BOTH)
def test_an_abort_over_any_binding_stops_a_payment_over_any(
    disk: Path, one: str, other: str
) -> None:
    async def sale(gateway: GatewayUnderTest) -> tuple[str | None, str | None, str, int]:
        paying = asyncio.create_task(ASKS[one](gateway, payment(SLOW)))
        await asyncio.sleep(3)
        first = await abort_over(other, gateway, abort("s1", "a1"))
        again = await abort_over(other, gateway, abort("s1", "a2"))
        return first, again, told(await paying), len(await gateway.charges())

    first, again, told_of_it, charges = raw.live(disk, sale)
    assert (first, told_of_it, charges) == (None, "Aborted", 0)
    assert again in (None, "Completed"), "the second one has no effect"


@pytest.mark.parametrize(("one", "other"), BOTH)
def test_an_abort_that_comes_too_late_leaves_the_payment_as_it_is(
    disk: Path, one: str, other: str
) -> None:
    async def sale(gateway: GatewayUnderTest) -> tuple[str | None, str, str | None, int]:
        paying = asyncio.create_task(ASKS[one](gateway, payment(SLOW)))
        await asyncio.sleep(20.2)
        while_authorising = await abort_over(other, gateway, abort("s1", "a1"))
        answer = told(await paying)
        afterwards = await abort_over(other, gateway, abort("s1", "a2"))
        return while_authorising, answer, afterwards, len(await gateway.charges())

    assert raw.live(disk, sale) == (None, "Success", "Completed", 1)


@every_binding
def test_an_abort_of_what_is_not_there_is_rejected(disk: Path, way: str) -> None:
    async def sale(gateway: GatewayUnderTest) -> tuple[list[str | None], str, int]:
        events = [await abort_over(way, gateway, abort("s1", "a1"))]
        # It has overtaken its payment, which goes on as if it had not been.
        paying = asyncio.create_task(ASKS[way](gateway, payment(SLOW)))
        await asyncio.sleep(1)
        events.append(await abort_over(way, gateway, abort("s9", "a2")))
        events.append(await abort_over(way, gateway, abort("s1", "a3", sale="LANE-2")))
        events.append(await abort_over(way, gateway, abort("s1", "a4", poi=raw.OTHER_POI)))
        events.append(await abort_over(way, gateway, abort("s1", "a5")))
        return events, told(await paying), len(await gateway.charges())

    assert raw.live(disk, sale) == (["Reject"] * 4 + [None], "Aborted", 0)


@every_binding
def test_an_abort_finds_a_payment_that_a_gateway_before_the_restart_began(
    disk: Path, way: str
) -> None:
    async def before(gateway: GatewayUnderTest) -> None:
        paying = asyncio.create_task(ASKS[way](gateway, payment(SLOW)))
        await asyncio.sleep(3)
        paying.cancel()

    async def after(gateway: GatewayUnderTest) -> tuple[str | None, State, dict[str, int]]:
        event = await abort_over(way, gateway, abort("s1"))
        await asyncio.sleep(30)
        [transaction] = gateway.transactions()
        return event, transaction.state, await gateway.charges()

    machine = raw.machine(disk)
    machine.live(before)
    event, state, charges = machine.live(after).result or (None, State.UNKNOWN, {})
    # Its outcome is asked for already, so nobody claims to have stopped it.
    assert event is None
    assert (state is State.APPROVED) == bool(charges)
