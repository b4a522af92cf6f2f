"""The gateway dies at any moment of a payment on a phone, and lives again: the phone and the
backend do not. Whoever has seen the link may have opened it before, or opens it after."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.kit.machine import Machine, Moment
from tests.matrix.softpos_street import HOUR, STATES, Street, World, check
from tests.simulation.agreement import check_gateway
from tests.unit.softpos.driver.backend import TID
from tillwire.core.model import State, Transaction, TransactionType
from tillwire.dialects.softpos.driver import phone

_T = TransactionType


def machine(disk: Path, world: World) -> Machine:
    """On which such a counter lives."""
    return Machine(disk, build=lambda folder: Street(folder, world))


Scenario = Callable[[Any], Coroutine[Any, Any, Any]]  # Any: a `Street`, which lives as gateways do


def one(kind: TransactionType, status: str) -> Scenario:
    """One transaction to its end; a reversal, of the one before."""

    async def scenario(street: Street) -> None:
        before = street.gateway.transactions()
        original = before[0] if kind is _T.REVERSAL else None
        order = await street.order(1250, kind, original=original)
        link = await street.see(order)
        await asyncio.sleep(1)
        assert (await street.come_back(link, street.use(link, status))).status == 200
        assert (await street.ended(order, 20)).state is STATES[status]

    return scenario


async def open_day(street: Any) -> None:
    """A payment that may be given back."""
    await street.paid(1250)


def afterwards(status: str | None) -> Scenario:
    """Whoever has seen a link opens it (None: does not); then everybody is asked."""

    async def scenario(street: Street) -> list[Transaction]:
        for link in street.world.seen:
            name = street.name_in(link)
            journaled = await street.gateway.engine.find(name)
            assert journaled is not None, "what was seen was journaled before"
            assert phone.LINK in journaled.peer
            if status is not None and (TID, name) not in street.world.known:
                street.use(link, status)
        for each in street.gateway.transactions():
            await street.ended(each, 2 * HOUR)
        ended = street.gateway.transactions()
        check_gateway(street.gateway, ended)
        for each in ended:
            check(each, street.world)
        assert not street.discrepancies()
        return ended

    return scenario


@pytest.mark.parametrize("later", [None, "APPROVED"], ids=["never opened", "opened later"])
@pytest.mark.parametrize(
    ("kind", "status"),
    [(_T.PURCHASE, "APPROVED"), (_T.PURCHASE, "DECLINED"), (_T.REVERSAL, "APPROVED")],
)
def test_it_dies_at_any_moment(
    disk: Path, kind: TransactionType, status: str, later: str | None
) -> None:
    world = World()
    life = machine(disk, world)
    if kind is _T.REVERSAL:
        life.live(open_day)
    moments: list[Moment[World]] = life.moments(one(kind, status), lambda: copy.deepcopy(world))
    assert len(moments) >= 8
    ends: set[State] = set()
    for moment in moments:
        known = copy.deepcopy(moment.known)
        again = Machine.after(
            moment,
            disk / f"after-{moment.step}",
            build=lambda folder, known=known: Street(folder, known),
        )
        found = again.live(afterwards(later)).result
        assert found is not None
        ends |= {each.state for each in found if each.type is kind}
    assert STATES[status] in ends
