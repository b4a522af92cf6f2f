"""The gateway dies at any moment of a sale, lives again, and nobody has lost anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit import shop
from tests.kit.gateway import GatewayUnderTest
from tests.kit.machine import Machine, Scenario
from tests.simulation.agreement import check_agreement
from tests.simulation.test_endings import ENDINGS
from tests.simulation.till import FACE, OVER, Book, Till
from tillwire.core.model import State

NEVER_RESOLVED = 47
"""The ending after which only a person can tell."""


def one_sale(book: Book, ending: int) -> Scenario[None]:
    """A till pays, and waits for the end."""

    async def scenario(gateway: GatewayUnderTest) -> None:
        till = Till(gateway.client(), gateway.url(FACE), book, shop.VIRTUAL[0])
        await till.follow(await till.pay("sale-1", 1000 + ending), 65)

    return scenario


def find_out(book: Book) -> Scenario[set[State]]:
    """The till comes back after a crash: looks for what it has asked for, and waits for its end.
    The states in which everything ended, once everybody agrees."""

    async def scenario(gateway: GatewayUnderTest) -> set[State]:
        till = Till(gateway.client(), gateway.url(FACE), book, shop.VIRTUAL[0])
        for sale in book.sales.values():
            if sale.id is None:
                await till.look(sale)
            await till.follow(sale, 65)
        await check_agreement(gateway, book)
        return {each.state for each in gateway.transactions()}

    return scenario


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_kill_at_any_moment_of_a_sale_loses_nothing(disk: Path, ending: int) -> None:
    book = Book()
    moments = Machine(disk).moments(one_sale(book, ending), book.written)
    assert len(moments) > 5
    ends = set()
    for moment in moments:
        known = Book(moment.known)
        states = Machine.after(moment, disk / f"after-{moment.step}").live(find_out(known)).result
        assert states is not None
        ends |= states
        assert len(states) <= 1
        if ending != NEVER_RESOLVED:
            assert states <= {State.APPROVED, State.DECLINED, State.CANCELLED, State.FAILED}
            assert all(each.heard[-1].status in OVER for each in known.sales.values() if each.id)
    # Killed between the commit and the first byte, it is proven absent; later it has its outcome.
    assert State.FAILED in ends
    assert len(ends) >= 2 or ending == 52


@pytest.mark.parametrize("ending", [0, 46, 47, 49, 53])
def test_a_second_kill_during_recovery_loses_nothing_either(disk: Path, ending: int) -> None:
    book = Book()
    lives = 0
    for moment in Machine(disk).moments(one_sale(book, ending), book.written):
        known = Book(moment.known)
        machine = Machine.after(moment, disk / f"after-{moment.step}")
        machine.wait(2)
        for second in machine.moments(find_out(known), known.written):
            twice = Machine.after(second, machine.here.with_name(f"twice-{second.step}"))
            twice.live(find_out(Book(second.known)))
            lives += 1
    assert lives > 20
