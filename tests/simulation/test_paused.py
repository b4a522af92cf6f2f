"""A process that is stopped for a while (SIGSTOP, a sleeping laptop) must not charge late.

Law 5: nothing is written after `send_by`, so what recovery has called absent cannot happen any
more. The pause is put before every step of a sale in turn.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.kit import shop
from tests.kit.gateway import GatewayUnderTest
from tests.kit.machine import Machine, Scenario
from tests.kit.virtual_loop import VirtualLoop
from tests.simulation.agreement import check_agreement
from tests.simulation.till import FACE, Book, Till
from tillwire.core.model import State, Transaction

QUICK, SLOW, LOST = 0, 49, 46
"""Endings: approved at once; after 20 seconds; at once, but the answer is lost."""


def _sale(ending: int) -> Scenario[list[Transaction]]:
    async def scenario(gateway: GatewayUnderTest) -> list[Transaction]:
        book = Book()
        till = Till(gateway.client(), gateway.url(FACE), book, shop.VIRTUAL[0])
        await till.follow(await till.pay("sale-1", 1000 + ending), 65)
        await check_agreement(gateway, book)
        return gateway.transactions()

    return scenario


def _pause(step: int, seconds: float, loop: VirtualLoop) -> None:
    loop.at_step(step, lambda: loop.jump(seconds))


@pytest.mark.parametrize(
    ("ending", "seconds"), [(QUICK, 6.0), (QUICK, 3600.0), (LOST, 6.0), (SLOW, 30.0)]
)
def test_a_pause_before_any_step_of_a_sale_charges_nothing_late(
    disk: Path, ending: int, seconds: float
) -> None:
    whole = Machine(disk).live(_sale(ending))
    ends = set()
    for step in range(whole.first_step + 1, whole.last_step + 1):
        machine = Machine(disk / f"paused-{step}")
        life = machine.live(_sale(ending), prepare=partial(_pause, step, seconds))
        for transaction in life.result or []:
            ends.add(transaction.state)
            if transaction.outcome and ending is not SLOW:
                assert transaction.outcome.at is not None
                assert transaction.send_by is not None
                assert transaction.outcome.at <= transaction.send_by
    # Paused between the commit and the first byte, it was not written any more.
    assert ends == {State.APPROVED, State.FAILED}
