"""Both gateways of a nexo payment die at any moment that left something on a disk, live again, and
nobody has lost anything."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.matrix.nexo_agreement import check_pair
from tests.matrix.nexo_pair import BINDINGS, Lane, Pair, machine, machine_after
from tests.matrix.two_gateways import Scenario
from tillwire.core.model import State, Verdict

FOUND_OUT_AFTER: Final = 200.0
"""Seconds after which all that can be found out has been."""
FORGETS: Final = 47
ENDS: Final = {
    40: State.DECLINED,
    43: State.CANCELLED,
    44: State.CANCELLED,
    FORGETS: State.UNKNOWN,
    52: State.FAILED,
    53: State.DECLINED,
}
"""Last two digits of the amount -> how it ends; all others are approved."""
QUICKLY: Final = {("tcp", ending) for ending in (0, 40, 46, 47, 49, 52)} | {
    (way, ending) for way in BINDINGS for ending in (0, 49)
}
CASES: Final = [
    pytest.param(way, ending, marks=() if (way, ending) in QUICKLY else pytest.mark.long)
    for way in BINDINGS
    for ending in (0, 40, 43, 44, 45, 46, 47, 48, 49, 50, 52, 53, 54)
]


def one_sale(way: str, ending: int) -> Scenario[Pair, None]:
    """A payment, and the wait for its end."""

    async def scenario(pair: Pair) -> None:
        await pair.ended(await pair.order(Lane(way), 1000 + ending), 65)

    return scenario


async def find_out(pair: Pair) -> list[State]:
    """How everything ended, once all that can be known is. Where the far gateway never had it, a
    person decides; and the lane is free again."""
    ends = []
    for each in pair.near.transactions():
        ended = await pair.ended(each.id, FOUND_OUT_AFTER)
        ends.append(ended.state)
        there = pair.there(ended)
        if ended.state is State.UNKNOWN and there is None:
            await pair.near.engine.decide(
                each.id, Verdict.CANCELLED, person="Ada", reason="The terminal does not have it."
            )
    await check_pair(pair)
    return ends


@pytest.mark.parametrize(("way", "ending"), CASES)
def test_a_kill_of_both_at_any_moment_of_a_sale_loses_nothing(
    disk: Path, way: str, ending: int
) -> None:
    lanes = [Lane(way)]
    moments = machine(disk, lanes=lanes).moments(one_sale(way, ending), lambda: None)
    assert len(moments) > 10
    ends = set()
    for moment in moments:
        again = machine_after(moment, disk / f"after-{moment.step}", lanes=lanes)
        ends |= set(again.live(find_out).result or [])
    # Killed before the request was at the far gateway, that one does not know it; before it had an
    # id, it is proven that it never left.
    assert ends >= {State.UNKNOWN, State.FAILED}
    assert ends == {State.UNKNOWN, State.FAILED, ENDS.get(ending, State.APPROVED)}


@pytest.mark.parametrize("way", BINDINGS)
def test_a_second_kill_while_it_is_found_out_loses_nothing_either(disk: Path, way: str) -> None:
    lanes = [Lane(way)]
    lives = 0
    moments = machine(disk, lanes=lanes).moments(one_sale(way, 49), lambda: None)
    for moment in moments[::3]:
        again = machine_after(moment, disk / f"after-{moment.step}", lanes=lanes)
        again.wait(2)
        seconds = again.moments(find_out, lambda: None)
        for second in seconds[::2]:
            twice = machine_after(second, again.here.with_name(f"twice-{second.step}"), lanes=lanes)
            twice.live(find_out)
            lives += 1
    assert lives > 10
