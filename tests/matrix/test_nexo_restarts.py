"""What outlives a gateway: the far one, the near one, or both die in the middle of nexo payments.

Tills, and the driver is one of them, find out by TransactionStatus. What it repeats is the answer
that they would have heard, octet by octet.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from tests.kit.gateway import GatewayUnderTest
from tests.matrix.nexo_agreement import check_pair
from tests.matrix.nexo_pair import BINDINGS, Lane, Pair, live, machine
from tests.matrix.test_nexo_races import ASKS, told
from tests.matrix.two_gateways import Who, decide
from tests.unit.nexo.bindings import lane as raw
from tests.unit.nexo.bindings.lane import (
    FLAT,
    HELD,
    HttpLane,
    Json,
    Socket,
    enveloped,
    opened,
    payment,
    request,
    result_of,
    status,
)
from tillwire.core.model import State, TransactionType

QUICK, SLOW = 1000, 1049
FOUND_OUT_AFTER: Final = 200.0
"""Seconds after which all that can be found out has been."""
HOUR: Final = 3600.0

every_binding = pytest.mark.parametrize("way", BINDINGS)
away = pytest.mark.parametrize("seconds", [0.0, pytest.param(2.0, marks=pytest.mark.long), 90.0])


# --- one of both dies alone ---------------------------------------------------------------------


async def settled(pair: Pair, number: str) -> State:
    """How the near gateway's payment ended, once everybody agrees on it. Where nobody could tell, a
    person has looked at the terminal, where it never was."""
    ended = await pair.ended(number, FOUND_OUT_AFTER)
    if ended.state is State.UNKNOWN:
        assert pair.there(ended) is None, "it could be asked"
        await decide(pair.near, ended, None)
    await check_pair(pair)
    return ended.state


async def go_on(steps: int) -> None:
    """Let so many rounds of the loop pass."""
    for _ in range(steps):
        await asyncio.sleep(0)


def ends_of(
    disk: Path,
    way: str,
    who: Who,
    seconds: float,
    minor: int,
    waits: Sequence[Coroutine[Any, Any, None]],
) -> set[State]:
    """How payments end, after the beginning of each of which one waits, and one of both is away for
    so many seconds."""

    async def day(pair: Pair) -> set[State]:
        ends = set()
        for wait in waits:
            order = await pair.order(Lane(way), minor)
            await wait
            await pair.is_away(who, seconds)
            ends.add(await settled(pair, order.id))
        return ends

    return live(disk, day, lanes=[Lane(way)])


@every_binding
@away
def test_the_far_gateway_dies_at_any_step_of_a_payment(
    disk: Path, way: str, seconds: float
) -> None:
    ends = ends_of(disk, way, "far", seconds, QUICK, [go_on(steps) for steps in range(0, 100, 9)])
    assert State.APPROVED in ends
    assert ends <= {State.APPROVED, State.FAILED, State.UNKNOWN}


@every_binding
@away
def test_the_far_gateway_dies_while_the_cardholder_takes_his_time(
    disk: Path, way: str, seconds: float
) -> None:
    waits = [asyncio.sleep(wait) for wait in (1, 10, 19.9, 20.3, 20.5)]
    assert ends_of(disk, way, "far", seconds, SLOW, waits) == {State.APPROVED}


@every_binding
def test_the_far_gateway_stops_in_good_order_under_a_payment(disk: Path, way: str) -> None:
    async def day(pair: Pair) -> set[State]:
        ends = set()
        for wait in (0.0, 1, 10, 19.9, 20.3):
            order = await pair.order(Lane(way), SLOW)
            await asyncio.sleep(wait)
            await pair.far.stop()
            await asyncio.sleep(5)
            await pair.revive_far()
            ends.add(await settled(pair, order.id))
        return ends

    ends = live(disk, day, lanes=[Lane(way)])
    assert State.APPROVED in ends
    assert ends <= {State.APPROVED, State.FAILED}


@every_binding
@away
def test_the_near_gateway_dies_at_any_step_of_a_payment(
    disk: Path, way: str, seconds: float
) -> None:
    ends = ends_of(disk, way, "near", seconds, QUICK, [go_on(steps) for steps in range(0, 100, 9)])
    assert State.APPROVED in ends
    assert ends <= {State.APPROVED, State.FAILED, State.UNKNOWN}


@every_binding
@away
def test_the_near_gateway_dies_while_the_cardholder_takes_his_time(
    disk: Path, way: str, seconds: float
) -> None:
    waits = [asyncio.sleep(wait) for wait in (1, 10, 19.9, 20.3, 20.5)]
    assert ends_of(disk, way, "near", seconds, SLOW, waits) == {State.APPROVED}


@every_binding
def test_the_numbers_of_a_near_gateway_that_lives_again_are_new(disk: Path, way: str) -> None:
    """Were one used again, the far gateway would take the payment for a repeated one."""

    async def sale(pair: Pair) -> None:
        assert (await pair.pay(Lane(way), QUICK)).state is State.APPROVED
        await check_pair(pair)

    both = machine(disk, lanes=[Lane(way)])
    for _ in range(3):
        both.live(sale)


@every_binding
def test_who_must_log_in_does_so_and_stays_so_over_restarts(disk: Path, way: str) -> None:
    async def sales(pair: Pair) -> None:
        for _ in range(2):
            assert (await pair.pay(Lane(way), QUICK)).state is State.APPROVED
            lost = await pair.order(Lane(way), SLOW)
            await asyncio.sleep(3)
            pair.kill_far()
            await pair.revive_far()
            assert await settled(pair, lost.id) is State.APPROVED
        exchanges = pair.far.engine.sessions_at("v1-0001", "nexo")
        assert [each.register for each in exchanges] == [Lane(way).sale_id]

    live(disk, sales, lanes=[Lane(way)], told={"login_required": True})


# --- what a till finds after a restart ----------------------------------------------------------


async def octets_over(way: str, gateway: GatewayUnderTest, message: Json, path: str) -> bytes:
    """The answer to a message as it stands on the wire; `path` is that of its flat resource."""
    if way == "held":
        whole = json.dumps(enveloped(message)).encode()
        return (await HttpLane(gateway, HELD).ask("POST", "/", whole)).body
    if way == "http":
        till = HttpLane(gateway, FLAT)
        answer = await till.ask("POST", path, json.dumps(message).encode())
        while answer.status != 200:
            assert answer.status in (201, 202, 204, 206)
            await asyncio.sleep(0.25)
            answer = await till.ask("GET", path)
        return answer.body
    async with await Socket.open() as socket:
        socket.write(json.dumps(enveloped(message)).encode())
        while True:
            size = int.from_bytes(await socket.reader.readexactly(4), "big")
            octets = await socket.reader.readexactly(size)
            if b"DisplayRequest" not in octets:
                return octets


def body_of(octets: bytes, kind: str) -> bytes:
    """The octets of a response's body in the octets of its message."""
    begin = octets.index(f'"{kind}"'.encode())
    return octets[begin:].rstrip(b"}")


ENDINGS: Final = (0, 40, 43, 45, 46, 50, 51, 52, 54)


@every_binding
@pytest.mark.parametrize("other", BINDINGS)
def test_a_status_repeats_the_answer_octet_by_octet_before_and_after_restarts(
    disk: Path, way: str, other: str
) -> None:
    numbers = {f"s{ending}": 1000 + ending for ending in ENDINGS}

    async def pay(gateway: GatewayUnderTest) -> dict[str, bytes]:
        answers = {}
        for number, minor in numbers.items():
            octets = await octets_over(way, gateway, payment(minor, number), "/payment")
            answers[number] = body_of(octets, "PaymentResponse")
        return answers

    async def ask(gateway: GatewayUnderTest) -> dict[str, bytes]:
        return {
            number: await octets_over(other, gateway, status(number, f"q{number}"), "/status")
            for number in numbers
        }

    there = raw.machine(disk)
    answers = there.live(pay).result or {}
    for _ in range(2):
        for number, octets in (there.live(ask).result or {}).items():
            assert answers[number] in octets, number
        there.wait(47 * HOUR)


@every_binding
def test_a_status_repeats_the_answer_to_a_reversal_octet_by_octet(disk: Path, way: str) -> None:
    async def reverse(gateway: GatewayUnderTest) -> bytes:
        paid = await octets_over(way, gateway, payment(QUICK), "/payment")
        named = opened(json.loads(paid))["PaymentResponse"]["POIData"]["POITransactionID"]
        body = {
            "OriginalPOITransaction": {"POITransactionID": named},
            "ReversalReason": "MerchantCancel",
        }
        reversal = request("Reversal", body, "s2")
        return body_of(await octets_over(way, gateway, reversal, "/reversal"), "ReversalResponse")

    async def ask(gateway: GatewayUnderTest) -> bytes:
        reference = {"MessageCategory": "Reversal", "ServiceID": "s2"}
        question = request("TransactionStatus", {"MessageReference": reference}, "q1")
        return await octets_over(way, gateway, question, "/status")

    there = raw.machine(disk)
    answer = there.live(reverse).result
    assert answer
    assert answer in (there.live(ask).result or b"")


@every_binding
def test_the_stored_answer_is_repeated_octet_by_octet_where_the_settings_say_so(
    disk: Path, way: str
) -> None:
    async def pay(gateway: GatewayUnderTest) -> bytes:
        return await octets_over(way, gateway, payment(QUICK), "/payment")

    there = raw.machine(disk, repeat_answers=True)
    answers = [there.live(pay).result for _ in range(3)]
    assert answers[0]
    assert len(set(answers)) == 1


@every_binding
@pytest.mark.parametrize(("hours", "state"), [(47, "NotAllowed"), (49, "Success")])
def test_a_payment_that_comes_again_days_later_is_known_for_48_hours(
    disk: Path, way: str, hours: int, state: str
) -> None:
    async def pay(gateway: GatewayUnderTest) -> tuple[str, int]:
        return told(await ASKS[way](gateway, payment(QUICK))), len(await gateway.charges())

    there = raw.machine(disk)
    assert there.live(pay).result == ("Success", 1)
    there.wait(hours * HOUR)
    assert there.live(pay).result == (state, 1 + (state == "Success"))


@every_binding
def test_a_till_that_lost_everything_asks_until_it_is_definite(disk: Path, way: str) -> None:
    """A slow payment, a gateway that dies under it, and a till that knows its ServiceID only."""

    async def pay(gateway: GatewayUnderTest) -> None:
        paying = asyncio.create_task(ASKS[way](gateway, payment(SLOW)))
        await asyncio.sleep(3)
        paying.cancel()

    async def ask(gateway: GatewayUnderTest) -> list[str]:
        heard = []
        for number in range(10):
            octets = await octets_over(way, gateway, status("s1", f"q{number}"), "/status")
            heard.append(told(json.loads(octets)))
            if heard[-1] == "Success":
                inner = opened(json.loads(octets))["TransactionStatusResponse"]
                repeated = inner["RepeatedMessageResponse"]["RepeatedResponseMessageBody"]
                heard.append(told({"PaymentResponse": repeated["PaymentResponse"]}))
                break
            await asyncio.sleep(5)
        [transaction] = gateway.transactions()
        assert await gateway.charges() == {transaction.id: SLOW}
        return heard

    there = raw.machine(disk)
    there.live(pay)
    there.wait(1)
    heard = there.live(ask).result or []
    assert heard[-2:] == ["Success", "Success"]
    assert set(heard[:-2]) == {"InProgress"}


@every_binding
def test_of_what_never_arrived_a_status_says_that_it_is_not_there(disk: Path, way: str) -> None:
    async def ask(gateway: GatewayUnderTest) -> tuple[str, str]:
        octets = await octets_over(way, gateway, status("s1"), "/status")
        return result_of(json.loads(octets))

    assert raw.machine(disk).live(ask).result == ("Failure", "NotFound")


# --- both die together ---------------------------------------------------------------------------


@every_binding
@pytest.mark.parametrize("kind", [TransactionType.PURCHASE, TransactionType.REFUND])
def test_both_die_at_any_step_of_a_payment(disk: Path, way: str, kind: TransactionType) -> None:
    lanes = [Lane(way)]

    async def pay(pair: Pair) -> None:
        await pair.pay(lanes[0], QUICK, kind)

    async def find_out(pair: Pair) -> list[State]:
        return [await settled(pair, each.id) for each in pair.near.transactions()]

    whole = machine(disk, lanes=lanes).live(pay)
    ends = set()
    for step in range(whole.first_step + 1, whole.last_step + 1, 13):
        both = machine(disk / f"killed-{step}", lanes=lanes)
        assert both.live(pay, kill_at=step).killed
        both.wait(1)
        ends |= set(both.live(find_out).result or [])
    assert State.APPROVED in ends
    assert ends <= {State.APPROVED, State.FAILED, State.UNKNOWN}
