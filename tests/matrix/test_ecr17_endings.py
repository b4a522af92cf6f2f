"""The ECR17 driver meets the ECR17 face: a terminal of the shop is reached by a lane of the same
gateway, whose place is a virtual terminal. Whatever happens on the way, both transactions agree."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import pytest

from tests.kit import shop
from tests.kit.faults import Faults, Flow, Noticed, Policy
from tests.kit.gateway import GatewayUnderTest
from tests.kit.machine import Machine
from tests.kit.virtual_loop import virtual_loop
from tillwire.core.model import (
    FINAL_STATES,
    Evidence,
    Lifecycle,
    Request,
    State,
    Terminal,
    Transaction,
    TransactionType,
)
from tillwire.core.occupancy import WhenBusy
from tillwire.money import Money

PORT: Final = 8081
PLACE: Final = shop.VIRTUAL[0]
LONG_ENOUGH: Final = 900.0
ENDED: Final = FINAL_STATES

Scenario = Callable[[GatewayUnderTest], Coroutine[Any, Any, None]]


def live(disk: Path, day: Scenario, *, lrc: str = "stx", **settings: Any) -> None:
    """A day with one lane, whose check character is made so, and a terminal that is reached over
    it."""
    lane = {"organisation": shop.SHOP, "terminal": PLACE.name, "lrc": lrc}

    async def with_terminal(gateway: GatewayUnderTest) -> None:
        told = {"host": "127.0.0.1", "port": PORT, "lrc": lrc, **settings}
        await gateway.engine.change_estate(lambda unit: unit.put(_terminal(told)))
        await day(gateway)

    Machine(disk / "machine", faces={"ecr17": PORT}, settings={"ecr17": lane}).live(with_terminal)


def _terminal(settings: dict[str, Any]) -> Terminal:
    return Terminal(
        id="lane-1",
        organisation_id=shop.SHOP,
        store_id=shop.STORE,
        manufacturer="NEXI",
        model="P61B",
        serial="1",
        tid="30350001",
        driver="ecr17",
        settings=settings,
        lifecycle=Lifecycle.ACTIVATED,
    )


async def order(gateway: GatewayUnderTest, minor: int, **changes: Any) -> Transaction:
    told: dict[str, Any] = {"type": TransactionType.PURCHASE, **changes}
    request = Request(
        organisation_id=shop.SHOP,
        terminal_id="lane-1",
        dialect="test",
        amount=Money(minor, "EUR"),
        reference="bill 7",
        **told,
    )
    return await gateway.engine.accept(request, WhenBusy.REJECT)


async def pay(gateway: GatewayUnderTest, minor: int, **changes: Any) -> Transaction:
    """How it ended, or UNKNOWN."""
    sale = await order(gateway, minor, **changes)
    return await gateway.engine.wait(sale.id, lambda each: each.state in ENDED, LONG_ENOUGH)


async def there(gateway: GatewayUnderTest) -> list[Transaction]:
    """The lane's own transactions, newest first."""
    return await gateway.engine.newest_at(PLACE.id, 100)


async def check(gateway: GatewayUnderTest, near: Transaction) -> None:
    """What was made of it on the other side of the lane, and that both say the same."""
    (far,) = await there(gateway) or [None]
    if near.state is State.UNKNOWN:
        return
    moved = 0 if far is None or not far.is_final else far.approved_amount
    assert near.approved_amount == moved, (near, far)
    if near.is_final:
        assert far is None or far.is_final, (near, far)


@pytest.mark.parametrize("ending", range(54))
def test_every_ending_of_an_amount(disk: Path, ending: int) -> None:
    async def day(gateway: GatewayUnderTest) -> None:
        near = await pay(gateway, 1000 + ending)
        await check(gateway, near)
        if ending < 40:
            assert near.state is State.APPROVED
            assert near.outcome is not None
            assert near.outcome.evidence is Evidence.ANSWER

    live(disk, day)


@pytest.mark.parametrize("lrc", ["stx", "etx", "payload"])
def test_every_operation_in_every_reading(disk: Path, lrc: str) -> None:
    async def day(gateway: GatewayUnderTest) -> None:
        sale = await pay(gateway, 1000)
        assert sale.state is State.APPROVED
        assert sale.outcome is not None
        assert sale.outcome.receipts is not None
        void = await pay(gateway, 1000, type=TransactionType.REVERSAL, original_id=sale.id)
        assert void.state is State.APPROVED
        hold = await pay(gateway, 5000, type=TransactionType.PREAUTH)
        for kind, minor in ((TransactionType.INCREMENT, 1000), (TransactionType.CAPTURE, 5500)):
            follow = await pay(gateway, minor, type=kind, original_id=hold.id)
            assert follow.state is State.APPROVED, follow
        far = await there(gateway)
        assert [each.type for each in far] == [
            TransactionType.CAPTURE,
            TransactionType.INCREMENT,
            TransactionType.PREAUTH,
            TransactionType.REVERSAL,
            TransactionType.PURCHASE,
        ]
        assert all(each.state is State.APPROVED for each in far)
        assert (await gateway.engine.status("lane-1")).reachable

    live(disk, day, lrc=lrc, receipts="till")


def _cut(faults: Faults, number: int) -> Policy:
    def policy(port: int, connection: int) -> Faults:
        return faults if (port, connection) == (PORT, number) else Faults()

    return policy


@pytest.mark.parametrize("noticed", list(Noticed))
@pytest.mark.parametrize("way", ["to_server", "to_client"])
def test_cut_after_every_few_octets(disk: Path, way: str, noticed: Noticed) -> None:
    """The connection of the command: the second one, behind that of the last result."""
    ends: set[State] = set()
    for at in range(0, 190, 5):

        async def day(gateway: GatewayUnderTest, at: int = at) -> None:
            flow = {way: Flow(cut_after=at, noticed=noticed)}
            virtual_loop().network.faults = _cut(Faults(**flow), 1)
            near = await pay(gateway, 1000)
            ends.add(near.state)
            await check(gateway, near)
            assert len(await there(gateway)) <= 1

        live(disk / str(at), day)
    assert State.APPROVED in ends
    assert ends <= {State.APPROVED, State.FAILED, State.UNKNOWN}
