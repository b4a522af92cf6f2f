"""An ECR17 terminal behind a whole gateway: what blocks it, who is told why, and what a gateway
that died at any moment makes of a payment afterwards."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from tests.kit.gateway import GatewayUnderTest
from tests.kit.machine import Machine, Moment, memory_disk
from tests.kit.shop import SHOP
from tests.unit.ecr17.driver import pos
from tests.unit.ecr17.driver.pos import PORT, Pos, ack, both, listen, silent, wait
from tests.unit.ecr17.driver.till import terminal
from tillwire.core.estate_model import Terminal
from tillwire.core.model import (
    Evidence,
    Request,
    State,
    Transaction,
    TransactionType,
    Verdict,
)
from tillwire.core.occupancy import WhenBusy
from tillwire.dialects.ecr17 import wire
from tillwire.errors import TerminalBusy
from tillwire.money import Money

LONG_ENOUGH = 600.0
"""Seconds after which whatever can be found out has been."""

Scenario = Callable[[GatewayUnderTest], Coroutine[Any, Any, None]]


@pytest.fixture
def disk() -> Iterator[Path]:
    with memory_disk() as folder:
        yield Path(folder)


def live(disk: Path, scenario: Scenario) -> None:
    Machine(disk / "machine", faces={}).live(scenario)


def reached(**settings: Any) -> Terminal:
    return terminal({"host": "127.0.0.1", "port": PORT, **settings})


async def order(gateway: GatewayUnderTest, minor: int = 4250, **changes: Any) -> Transaction:
    request = Request(
        organisation_id=SHOP,
        terminal_id="t1",
        dialect="test",
        type=TransactionType.PURCHASE,
        amount=Money(minor, "EUR"),
        reference="bill 7",
    )
    asked = msgspec.structs.replace(request, **changes)
    return await gateway.engine.accept(asked, WhenBusy.REJECT)


async def ended(gateway: GatewayUnderTest, sale: Transaction) -> Transaction:
    return await gateway.engine.wait(sale.id, lambda each: each.is_final, LONG_ENOUGH)


async def history(gateway: GatewayUnderTest, sale: Transaction) -> dict[str, str]:
    events = await gateway.journal.read(lambda reader: reader.events(sale.id))
    return {each.name: str(each.detail.get("detail", "")) for each in events}


def test_a_day_at_a_terminal(disk: Path) -> None:
    async def day(gateway: GatewayUnderTest) -> None:
        place = Pos()
        await listen(place)
        await gateway.engine.change_estate(lambda unit: unit.put(reached(receipts="till")))
        sale = await ended(gateway, await order(gateway))
        assert (sale.state, sale.approved_amount) == (State.APPROVED, 4250)
        assert sale.outcome is not None
        assert sale.outcome.receipts is not None
        void = await ended(
            gateway, await order(gateway, type=TransactionType.REVERSAL, original_id=sale.id)
        )
        assert void.state is State.APPROVED
        undone = await gateway.engine.find(sale.id)
        assert undone is not None
        assert undone.reversed_at is not None
        place.will("X", both(ack, pos.refuse("01", "FONDI INSUFFICIENTI")))
        assert (await ended(gateway, await order(gateway))).state is State.DECLINED
        hold = await ended(gateway, await order(gateway, 9000, type=TransactionType.PREAUTH))
        for kind, minor in ((TransactionType.INCREMENT, 1000), (TransactionType.CAPTURE, 9500)):
            follow = await order(gateway, minor, type=kind, original_id=hold.id)
            assert (await ended(gateway, follow)).state is State.APPROVED
        assert (await gateway.engine.status("t1")).reachable
        assert place.codes.replace("G", "").replace("E", "") == "XSXpics"

    live(disk, day)


def test_a_lost_answer_is_found_and_the_terminal_is_free_again(disk: Path) -> None:
    async def day(gateway: GatewayUnderTest) -> None:
        place = Pos()
        await listen(place)
        await gateway.engine.change_estate(lambda unit: unit.put(reached()))
        place.will("X", both(ack, pos.charge_alone, pos.hang_up))
        sale = await ended(gateway, await order(gateway))
        assert sale.state is State.APPROVED
        assert sale.outcome is not None
        assert sale.outcome.evidence is Evidence.RECOVERED
        assert (await ended(gateway, await order(gateway))).state is State.APPROVED
        assert place.charged == ["000124", "000125"]

    live(disk, day)


def test_a_terminal_is_blocked_until_a_person_decides_and_all_are_told_why(disk: Path) -> None:
    async def day(gateway: GatewayUnderTest) -> None:
        place = Pos()
        await listen(place)
        await gateway.engine.change_estate(lambda unit: unit.put(reached()))
        await ended(gateway, await order(gateway))
        place.will("X", silent)
        sale = await ended(gateway, await order(gateway))
        assert sale.state is State.UNKNOWN
        with pytest.raises(TerminalBusy) as busy:
            await order(gateway)
        assert (busy.value.holder, busy.value.unresolved) == (sale.id, True)
        told = await history(gateway, sale)
        assert "recorded nothing new" in told["cannot_tell"]
        assert "Look at NEXI-P61B-7 for 42.50 EUR" in told["needs_person"]
        assert gateway.engine.open_count()[State.UNKNOWN] == 1
        await gateway.engine.decide(
            sale.id, Verdict.CANCELLED, person="Ada", reason="No receipt at the terminal."
        )
        assert (await ended(gateway, await order(gateway))).state is State.APPROVED
        assert len(place.of("X")) == 3
        assert place.charged == ["000124", "000125"]

    live(disk, day)


# --- died at any moment ---------------------------------------------------------------------------


class Known(NamedTuple):
    """The terminal, as it was when the gateway died."""

    stan: int
    charged: tuple[str, ...]
    saved: wire.Result | None
    asked: tuple[wire.Request, ...]

    @classmethod
    def of(cls, place: Pos) -> Known:
        return cls(place.stan, tuple(place.charged), place.saved, tuple(place.of("X")))


@pytest.mark.parametrize("receipts", ["terminal", "till"])
@pytest.mark.parametrize("customer", ["pays", "goes"])
def test_whenever_the_gateway_dies_nobody_is_charged_twice(
    disk: Path, receipts: str, customer: str
) -> None:
    place = Pos()
    place.will("X", both(ack, pos.display("PIN"), wait(3), pos.result(), pos.receipts))

    async def sale(gateway: GatewayUnderTest) -> None:
        await listen(place)
        await gateway.engine.change_estate(lambda unit: unit.put(reached(receipts=receipts)))
        assert (await ended(gateway, await order(gateway))).state is State.APPROVED

    machine = Machine(disk / "machine", faces={})
    moments = machine.moments(sale, lambda: Known.of(place))
    ends = {_after(disk / f"after-{each.step}", each, pays=customer == "pays") for each in moments}
    assert ends >= {None, State.APPROVED, State.UNKNOWN}
    assert ends <= {None, State.APPROVED, State.FAILED, State.UNKNOWN}


def _after(disk: Path, moment: Moment[Known], *, pays: bool) -> State | None:
    """How the payment ends in the next life; None when there is none in the journal."""
    place = Pos()
    known = moment.known
    place.stan, place.charged, place.saved = known.stan, list(known.charged), known.saved
    found: list[State] = []

    async def look(gateway: GatewayUnderTest) -> None:
        if pays and known.asked and not known.charged:
            place.charge(known.asked[0])
        await listen(place)
        transactions = await gateway.journal.read(lambda reader: reader.newest_transactions(1))
        for each in transactions:
            end = await ended(gateway, each)
            found.append(end.state)
            if end.state is State.APPROVED:
                assert place.charged == ["000124"]
            elif end.state is State.UNKNOWN:
                assert not place.charged
                assert "needs_person" in await history(gateway, end)
            else:
                assert not place.charged
        assert place.of("X") == []

    Machine.after(moment, disk, faces={}).live(look)
    assert found or not known.asked, "it was sent and is not in the journal"
    return found[0] if found else None
