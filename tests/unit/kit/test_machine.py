"""A gateway that is killed at any step goes on from what was durable, and from nothing else."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit import shop
from tests.kit.gateway import GatewayUnderTest
from tests.kit.machine import Machine, memory_disk
from tillwire.core.model import Request, State, Transaction, TransactionType
from tillwire.core.occupancy import WhenBusy
from tillwire.money import Money


@pytest.fixture
def disk() -> Iterator[Path]:
    with memory_disk() as folder:
        yield Path(folder) / "machine"


async def _sale(gateway: GatewayUnderTest) -> Transaction:
    request = Request(
        organisation_id=shop.SHOP,
        terminal_id=shop.VIRTUAL[0].id,
        dialect="merchantapi",
        type=TransactionType.PURCHASE,
        amount=Money(1200, "EUR"),
        reference="sale-1",
    )
    accepted = await gateway.engine.accept(request, WhenBusy.REJECT)
    return await gateway.engine.wait(accepted.id, lambda now: now.is_final, 60)


async def _look(gateway: GatewayUnderTest) -> tuple[list[State], int]:
    for transaction in gateway.transactions():
        await gateway.engine.wait(transaction.id, lambda now: now.is_final, 60)
    return [each.state for each in gateway.transactions()], len(await gateway.charges())


def test_a_life_that_is_not_cut_short_returns_what_its_scenario_does(disk: Path) -> None:
    machine = Machine(disk, faces={})
    life = machine.live(_sale)
    assert not life.killed
    assert life.result is not None
    assert life.result.state is State.APPROVED
    assert machine.live(_look).result == ([State.APPROVED], 1)


def test_the_same_seed_makes_the_same_sale(tmp_path: Path) -> None:
    one, two = (Machine(tmp_path / name, seed=5, faces={}).live(_sale) for name in "12")
    assert one == two


def test_every_step_of_a_sale_can_be_the_last(disk: Path) -> None:
    whole = Machine(disk / "whole", faces={}).live(_sale)
    seen = []
    for step in range(whole.first_step + 1, whole.last_step + 1):
        machine = Machine(disk / f"{step}", faces={})
        assert machine.live(_sale, kill_at=step).killed
        machine.wait(5)
        states, charges = machine.live(_look).result or ([], 0)
        seen.append((states, charges))
    # First nothing is durable, then the intent without a charge, at last the charge.
    assert seen[0] == ([], 0)
    assert ([State.FAILED], 0) in seen
    assert seen[-1] == ([State.APPROVED], 1)
    assert all(charges == (states == [State.APPROVED]) for states, charges in seen)


def test_a_moment_is_what_a_kill_at_that_step_leaves(disk: Path) -> None:
    moments = Machine(disk / "watched", faces={}).moments(_sale, lambda: None)
    assert len(moments) > 3
    for before, after in itertools.pairwise(moments):
        for step in {before.step + 1, after.step}:
            killed = Machine(disk / f"killed-{step}", faces={})
            assert killed.live(_sale, kill_at=step).killed
            watched = Machine.after(before, disk / f"moment-{step}", faces={})
            assert killed.live(_look).result == watched.live(_look).result


def test_time_goes_on_between_lives(disk: Path) -> None:
    async def now(gateway: GatewayUnderTest) -> int:
        return gateway.clock.now()

    machine = Machine(disk, faces={})
    before = machine.live(now).result or 0
    machine.wait(3600)
    assert machine.live(now).result == before + 3_600_000


def test_what_a_dead_process_still_writes_is_not_on_the_disk(disk: Path) -> None:
    machine = Machine(disk, faces={})
    grave = machine.here

    async def write_at_the_end(gateway: GatewayUnderTest) -> None:
        try:
            await _sale(gateway)
        finally:
            (grave / "last-words").write_text("the dead process went on")

    assert machine.live(write_at_the_end, kill_at=8).killed
    assert [each.name for each in machine.here.iterdir() if each.name == "last-words"] == []
    assert not grave.exists()
