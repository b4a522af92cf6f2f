"""A terminal that fetches its transactions, on a gateway that dies and a network that cuts."""

from __future__ import annotations

import asyncio
import random
from functools import partial
from pathlib import Path

import pytest

from tests.kit import shop
from tests.kit.faults import Faults, Flow, scripted
from tests.kit.gateway import PORTS, GatewayUnderTest
from tests.kit.machine import Machine, Scenario
from tests.kit.virtual_loop import VirtualLoop
from tests.simulation.agreement import check_agreement
from tests.simulation.polling import PollingTerminal
from tests.simulation.till import FACE, Book, Till
from tillwire.core.model import State

APPROVES, CANCELS = 1, 0
"""Seeds of a terminal whose first cardholder pays, and of one whose first cardholder doesn't."""


def _sale(book: Book, terminal: PollingTerminal) -> Scenario[list[State]]:
    """The till asks for one payment, or comes back for it, and follows it to its end."""

    async def scenario(gateway: GatewayUnderTest) -> list[State]:
        working = asyncio.create_task(terminal.work(gateway.client(), gateway.url("device")))
        till = Till(gateway.client(), gateway.url(FACE), book, shop.POLLING, repeats=True)
        sale = book.sales.get("sale-1")
        if sale is None or sale.id is None:
            sale = await till.pay("sale-1", 1000)
        await till.follow(sale, 120)
        working.cancel()
        await check_agreement(gateway, book, terminal.charged)
        return [each.state for each in gateway.transactions()]

    return scenario


@pytest.mark.parametrize(("seed", "end"), [(APPROVES, State.APPROVED), (CANCELS, State.CANCELLED)])
def test_a_kill_at_any_step_charges_once_or_not_at_all(disk: Path, seed: int, end: State) -> None:
    whole = Machine(disk).live(_sale(Book(), PollingTerminal(random.Random(seed))))
    assert whole.result == [end]
    ends = set()
    for step in range(whole.first_step + 1, whole.last_step + 1):
        book, terminal = Book(), PollingTerminal(random.Random(seed))
        machine = Machine(disk / f"killed-{step}")
        assert machine.live(_sale(book, terminal), kill_at=step).killed
        machine.wait(3)
        [state] = machine.live(_sale(book, terminal)).result or []
        assert (state is State.APPROVED) == bool(terminal.charged)
        ends.add(state)
    # A terminal that was asked to resume, and had not charged, reports that it has not.
    assert ends == {end, State.CANCELLED}


def _cut(octets: int, to_client: bool, loop: VirtualLoop) -> None:
    flow = Flow(cut_after=octets)
    faults = Faults(to_client=flow) if to_client else Faults(to_server=flow)
    loop.network.faults = scripted({PORTS["device"]: [faults]})


@pytest.mark.parametrize("to_client", [False, True], ids=["request", "answer"])
def test_a_poll_or_report_cut_at_any_octet_charges_once(disk: Path, to_client: bool) -> None:
    for octets in range(0, 1200, 13):
        terminal = PollingTerminal(random.Random(APPROVES))
        life = Machine(disk / f"{octets}").live(
            _sale(Book(), terminal), prepare=partial(_cut, octets, to_client)
        )
        # Cut between the report that the card is there and its answer, it is not charged.
        assert life.result in ([State.APPROVED], [State.CANCELLED])
        assert (life.result == [State.APPROVED]) == bool(terminal.charged)


def test_a_terminal_that_loses_its_memory_does_not_get_the_transaction_again(disk: Path) -> None:
    book, terminal = Book(), PollingTerminal(random.Random(APPROVES))

    async def fetched(gateway: GatewayUnderTest) -> None:
        working = asyncio.create_task(terminal.work(gateway.client(), gateway.url("device")))
        till = Till(gateway.client(), gateway.url(FACE), book, shop.POLLING)
        sale = await till.pay("sale-1", 1000)
        await gateway.engine.wait(sale.id or "", lambda now: now.state is State.STARTED, 10)
        working.cancel()

    machine = Machine(disk)
    machine.live(fetched)
    terminal.forget()
    assert machine.live(_sale(book, terminal)).result == [State.UNKNOWN]
    assert terminal.charged == {}
    assert book.sales["sale-1"].heard[-1].status == "CREATED"
