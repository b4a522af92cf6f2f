"""The simulation tells the truth: the same sales, over real sockets and threads and with the
machine's own clock, are observed the same."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from tests.kit import shop
from tests.kit.faults import Faults, Flow
from tests.kit.gateway import PORTS, GatewayUnderTest
from tests.kit.machine import found_journal
from tests.kit.messages import Fate, FaultyHttpClient, fates
from tests.kit.stage import Stage, in_memory, on_sockets
from tests.simulation.agreement import check_agreement
from tests.simulation.till import FACE, Book, Heard, Till

Observed = list[tuple[str, Heard, list[str]]]
Scenario = Callable[[Stage], Coroutine[Any, Any, Observed]]


def _sales(folder: Path) -> Scenario:
    """Sales, refunds and cancellations over connections that break; what the till read at the end
    (when it first reads it depends on the machine), and the journal's events."""

    folder.mkdir(parents=True)
    found_journal(folder)

    async def scenario(stage: Stage) -> Observed:
        gateway = GatewayUnderTest(folder, dict.fromkeys(PORTS, 0))
        await gateway.start()
        host, _, port = gateway.url(FACE).removeprefix("http://").partition(":")
        cut_answer = Faults(to_client=Flow(cut_after=100))
        address = await stage.before(host, int(port), cut_answer, Faults(to_server=Flow(pieces=1)))
        book = Book()
        inner = gateway.client()
        http = FaultyHttpClient(inner, fates(*[Fate()] * 6, Fate(doubled_after=0.0)))
        till = Till(http, f"http://{address[0]}:{address[1]}", book, shop.VIRTUAL[0], repeats=True)
        await _sell(till)
        await http.settle()
        await check_agreement(gateway, book)
        seen = [
            (sale.reference, sale.heard[-1], [event.name for event in gateway.events(sale.id)])
            for sale in book.sales.values()
            if sale.id is not None
        ]
        await gateway.stop()
        return seen

    return scenario


async def _sell(till: Till) -> None:
    paid = await till.pay("paid", 1000)
    await till.follow(paid, 5)
    for reference, minor in (("declined", 1040), ("unreachable", 1052), ("twice", 1048)):
        await till.follow(await till.pay(reference, minor), 5)
    back = await till.pay("back", 400, type="REFUND", original=paid.id)
    await till.follow(back, 5)
    too_much = await till.pay("too-much", 700, type="REFUND", original=paid.id)
    assert too_much.refused == 409
    slow = await till.pay("slow", 1049)
    await till.follow(slow, 1)  # by then the terminal waits for the card, whatever the machine
    await till.cancel(slow)
    await till.follow(slow, 5)
    await till.follow(await till.pay("lost", 1046), 5)


def test_a_day_of_sales_is_observed_the_same_in_memory_and_over_sockets(disk: Path) -> None:
    simulated = in_memory(_sales(disk / "memory"))
    assert [reference for reference, _, _ in simulated] == [
        "paid", "declined", "unreachable", "twice", "back", "slow", "lost",
    ]  # fmt: skip
    assert on_sockets(_sales(disk / "sockets")) == simulated
