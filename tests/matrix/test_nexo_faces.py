"""Other faces before the driver of nexo, and other drivers behind its face: any till pays on any
terminal."""

from __future__ import annotations

import asyncio
import json
import random
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from tests.kit import shop
from tests.kit.gateway import GatewayUnderTest
from tests.kit.machine import Machine
from tests.matrix.nexo_agreement import check_pair
from tests.matrix.nexo_pair import BINDINGS, DEVICE_PORTS, FETCHING_POI, Lane, Pair, live
from tests.matrix.test_nexo_races import ASKS, told
from tests.simulation.agreement import check_agreement
from tests.simulation.polling import PollingTerminal
from tests.simulation.test_endings import ENDINGS
from tests.simulation.till import FACE, Book, Heard, Till
from tests.unit.nexo.bindings import lane as raw
from tests.unit.nexo.bindings.lane import (
    PORTS,
    Json,
    Socket,
    abort,
    opened,
    payment,
    result_of,
    status,
)
from tillwire.core.estate_model import Terminal
from tillwire.core.model import State

QUICK, SLOW, FORGOTTEN = 1000, 1049, 1047

every_binding = pytest.mark.parametrize("way", BINDINGS)


# --- a till of the MerchantAPI on a nexo terminal -----------------------------------------------


def till_at(pair: Pair, lane: Lane, book: Book, *, repeats: bool = False) -> Till:
    """A till of the MerchantAPI at a terminal of the near gateway."""
    return Till(
        pair.near.client(), pair.near.url(FACE), book, terminal_of(pair, lane), repeats=repeats
    )


def terminal_of(pair: Pair, lane: Lane) -> Terminal:
    """The lane's terminal in the near gateway's estate."""
    return pair.near.engine.estate.terminals[lane.id]


async def check_books(pair: Pair, book: Book) -> None:
    """Raise `AssertionError` unless the till's book agrees, too."""
    await check_pair(pair)
    charges = await pair.far.charges()
    theirs = {each.reference: each.id for each in pair.far.transactions()}
    charged = {here: charges[there] for here, there in theirs.items() if there in charges}
    await check_agreement(pair.near, book, charged)


HEARD: Final = {
    **{ending: (*heard, minor) for ending, (heard, minor, _) in ENDINGS.items()},
    45: ("CLEARED", "APPROVED", 522),  # nexo cannot be asked for all or nothing
}
"""Last two digits of the amount -> status, result, and minor units that a till reads."""


@pytest.mark.parametrize(
    ("way", "ending"),
    [
        *(("tcp", ending) for ending in HEARD),
        *((way, ending) for way in ("http", "held") for ending in (0, 45, 46, 47, 52)),
    ],
)
def test_a_merchantapi_till_reads_how_its_sale_on_a_nexo_terminal_ended(
    disk: Path, way: str, ending: int
) -> None:
    async def sale(pair: Pair) -> Heard:
        book = Book()
        till = till_at(pair, Lane(way), book)
        paid = await till.pay("bill 7", 1000 + ending)
        await till.follow(paid, 200 if ending == 47 else 60)
        await check_books(pair, book)
        return paid.heard[-1]

    assert live(disk, sale, lanes=[Lane(way)]) == Heard(*HEARD[ending])


@every_binding
def test_a_merchantapi_till_refunds_cancels_and_repeats_there(disk: Path, way: str) -> None:
    async def day(pair: Pair) -> None:
        book = Book()
        till = till_at(pair, Lane(way), book, repeats=True)
        paid = await till.pay("paid", 5000)
        await till.follow(paid, 5)
        for reference, minor, result in (("some", 2000, "APPROVED"), ("rest", 3000, "APPROVED")):
            back = await till.pay(reference, minor, type="REFUND", original=paid.id)
            await till.follow(back, 5)
            assert back.heard[-1].result == result
        too_much = await till.pay("too-much", 100, type="REFUND", original=paid.id)
        assert too_much.refused == 409
        slow = await till.pay("called-off", SLOW)
        await till.follow(slow, 3)
        await till.cancel(slow)
        await till.follow(slow, 5)
        assert (slow.deleted, slow.heard[-1].status) == ([204], "CANCELLED")
        late = await till.pay("too-late", SLOW)
        await till.follow(late, 60)
        await till.cancel(late)
        assert (late.deleted, late.heard[-1].result) == ([409], "APPROVED")
        await check_books(pair, book)

    live(disk, day, lanes=[Lane(way)])


@every_binding
def test_a_merchantapi_till_gets_the_terminals_own_receipts(disk: Path, way: str) -> None:
    async def sale(pair: Pair) -> Any:
        till = till_at(pair, Lane(way), Book())
        paid = await till.pay("bill 7", 1050)
        await till.follow(paid, 5)
        name = terminal_of(pair, Lane(way)).name
        response = await pair.near.client().request(
            "GET",
            f"{pair.near.url(FACE)}/terminals/{name}/transactions/{paid.id}",
            headers={"API-Key": shop.API_KEY},
            body=b"",
            timeout=10,
        )
        return json.loads(response.body, parse_float=Decimal)

    read = live(disk, sale, lanes=[Lane(way)])
    for name, copy in (("receipt", "CARDHOLDER COPY"), ("merchant_receipt", "MERCHANT COPY")):
        text = read[name]
        assert max(map(len, text.splitlines())) <= 24
        for words in (copy, "TOTAL", "APPROVED", "Auth. code"):
            assert words in text
    assert "Signature" in read["merchant_receipt"]


@every_binding
def test_a_merchantapi_till_is_told_what_blocks_its_nexo_terminal(disk: Path, way: str) -> None:
    async def sale(pair: Pair) -> None:
        book = Book()
        till = till_at(pair, Lane(way), book)
        lost = await till.pay("lost", FORGOTTEN)
        await till.follow(lost, 300)
        await till.cancel(lost)
        assert (lost.deleted, lost.heard[-1].status) == ([409], "CREATED")
        assert (await till.pay("next", QUICK)).refused == 409
        await check_books(pair, book)

    live(disk, sale, lanes=[Lane(way)])


# --- a nexo till on a terminal that fetches -----------------------------------------------------

FETCHING: Final = {**PORTS, **DEVICE_PORTS}
APPROVES, CANCELS, DECLINES = 1, 0, 4
"""Seeds of a terminal whose first cardholder pays, whose first one doesn't, and who is declined."""


def fetching_machine(disk: Path, **settings: Any) -> Machine:
    """A gateway with the nexo faces and the device link."""
    told_of = {"organisation": "shop", "poi_id": FETCHING_POI, **settings}
    return Machine(disk, faces=FETCHING, settings=dict.fromkeys(PORTS, told_of))


@every_binding
@pytest.mark.parametrize(
    ("seed", "condition"), [(APPROVES, "Success"), (CANCELS, "Cancel"), (DECLINES, "Refusal")]
)
def test_a_nexo_till_pays_on_a_terminal_that_fetches(
    disk: Path, way: str, seed: int, condition: str
) -> None:
    terminal = PollingTerminal(random.Random(seed))

    async def sale(gateway: GatewayUnderTest) -> tuple[str, list[State]]:
        working = asyncio.create_task(terminal.work(gateway.client(), gateway.url("device")))
        answer = await ASKS[way](gateway, payment(QUICK, poi=FETCHING_POI))
        working.cancel()
        return told(answer), [each.state for each in gateway.transactions()]

    answer, [state] = fetching_machine(disk).live(sale).result or ("", [])
    assert answer == condition
    assert (state is State.APPROVED) == (list(terminal.charged.values()) == [QUICK])


@every_binding
def test_what_no_terminal_fetches_is_given_up_or_called_off(disk: Path, way: str) -> None:
    async def sales(gateway: GatewayUnderTest) -> tuple[str, str, float]:
        loop = asyncio.get_running_loop()
        waiting = asyncio.create_task(ASKS[way](gateway, payment(QUICK, "s1", poi=FETCHING_POI)))
        await asyncio.sleep(5)
        async with await Socket.open() as socket:
            socket.say(abort("s1", poi=FETCHING_POI))
            called_off = told(await waiting)
        begun = loop.time()
        given_up = told(await ASKS[way](gateway, payment(QUICK, "s2", poi=FETCHING_POI)))
        return called_off, given_up, loop.time() - begun

    called_off, given_up, took = fetching_machine(disk).live(sales).result or ("", "", 0)
    assert (called_off, given_up) == ("Aborted", "Aborted")
    assert 119 < took < 122


@every_binding
def test_the_driver_pays_on_a_terminal_that_fetches_behind_the_far_gateway(
    disk: Path, way: str
) -> None:
    lane = Lane(way, poi=FETCHING_POI)
    terminal = PollingTerminal(random.Random(APPROVES))

    async def sale(pair: Pair) -> None:
        working = asyncio.create_task(terminal.work(pair.far.client(), pair.far.url("device")))
        paid = await pair.pay(lane, QUICK)
        working.cancel()
        assert (paid.state, paid.approved_amount) == (State.APPROVED, QUICK)
        there = pair.there(paid)
        assert there is not None
        assert terminal.charged == {there.id: QUICK}

    live(disk, sale, lanes=[lane], more_ports=DEVICE_PORTS)


# --- a nexo till on a nexo terminal -------------------------------------------------------------

BEFORE: Final = {"nexo-tcp": 8813}


@every_binding
@pytest.mark.parametrize(
    ("ending", "condition"),
    [(0, "Success"), (40, "Refusal"), (43, "Cancel"), (45, "Partial"), (46, "Success"),
     (49, "Success"), (52, "UnavailableDevice"), (53, "Refusal"), (54, "Success")],
)  # fmt: skip
def test_a_nexo_till_pays_on_a_nexo_terminal(
    disk: Path, way: str, ending: int, condition: str
) -> None:
    lane = Lane(way)
    poi = f"{way.upper()}1-V1-0001"

    async def sale(pair: Pair) -> tuple[Json, Json, list[str]]:
        shown = []
        async with await Socket.open(BEFORE["nexo-tcp"]) as socket:
            socket.say(payment(1000 + ending, poi=poi))
            while "DisplayRequest" in opened(answer := await socket.hear()):
                [output] = opened(answer)["DisplayRequest"]["DisplayOutput"]
                shown += [each["Text"] for each in output["OutputContent"]["OutputText"]]
            socket.say(status("s1", poi=poi))
            found = await socket.hear_answer()
        await check_pair(pair)
        return answer, found, shown

    near = {"nexo-tcp": {"organisation": shop.SHOP}}
    answer, found, shown = live(disk, sale, lanes=[lane], near_ports=BEFORE, near_settings=near)
    assert told(answer) == condition
    repeated = opened(found)["TransactionStatusResponse"]["RepeatedMessageResponse"]
    body = repeated["RepeatedResponseMessageBody"]["PaymentResponse"]
    assert body == opened(answer)["PaymentResponse"]
    if ending == 54:
        amounts = body["PaymentResult"]["AmountsResp"]
        assert (amounts["AuthorizedAmount"], amounts["TipAmount"]) == (11.59, 1.05)
    # What the far terminal shows is passed on, where the binding has a way.
    assert ending != 49 or way == "held" or "Present card" in shown


@every_binding
def test_an_abort_goes_through_both_gateways(disk: Path, way: str) -> None:
    poi = f"{way.upper()}1-V1-0001"

    async def sale(pair: Pair) -> tuple[str, str]:
        async with await Socket.open(BEFORE["nexo-tcp"]) as socket:
            socket.say(payment(SLOW, poi=poi))
            await asyncio.sleep(5)
            socket.say(abort("s1", poi=poi))
            ended = result_of(await socket.hear_answer())
        await check_pair(pair)
        assert await pair.far.charges() == {}
        return ended

    near = {"nexo-tcp": {"organisation": shop.SHOP}}
    ended = live(disk, sale, lanes=[Lane(way)], near_ports=BEFORE, near_settings=near)
    assert ended == ("Failure", "Aborted")


def test_all_three_gateways_of_a_chain_know_what_nobody_knows(disk: Path) -> None:
    """A till, a gateway, a gateway, and a terminal that has lost its memory."""
    poi = "TCP1-V1-0001"

    async def sale(pair: Pair) -> list[str]:
        async with await Socket.open(BEFORE["nexo-tcp"]) as socket:
            socket.say(payment(FORGOTTEN, poi=poi))
            heard = []
            for number in range(5):
                await asyncio.sleep(60)
                socket.say(status("s1", f"q{number}", poi=poi))
                heard.append(told(await socket.hear_answer()))
        await check_pair(pair)
        return heard

    near = {"nexo-tcp": {"organisation": shop.SHOP}}
    heard = live(disk, sale, lanes=[Lane("tcp")], near_ports=BEFORE, near_settings=near)
    assert heard == ["InProgress"] * 5


def test_the_lanes_of_the_other_tests_are_those_of_the_faces() -> None:
    """One set of ports, wherever tests of both kinds meet."""
    assert Lane("tcp").poi == raw.POI
