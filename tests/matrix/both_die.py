"""Both gateways die together, at any moment of what a till has asked for, and live again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from tests.matrix.two_gateways import Scenario, TwoGateways
from tillwire.core.model import State, Transaction

P = TypeVar("P", bound=TwoGateways)


def finding_out(
    settled: Callable[[P, str], Awaitable[Transaction]], check: Callable[[P], Awaitable[None]]
) -> Scenario[P, list[State]]:
    """How all ended, once each is settled and everybody agrees on it."""

    async def find_out(pair: P) -> list[State]:
        ends = [(await settled(pair, each.id)).state for each in pair.near.transactions()]
        await check(pair)
        return ends

    return find_out


def deaths(
    pair: type[P],
    disk: Path,
    *,
    before: Scenario[P, None],
    of: Scenario[P, Any],
    find_out: Scenario[P, list[State]],
    stride: int = 1,
    **options: Any,
) -> set[State]:
    """How what a till asked for ended, whenever both died `of` it: at every moment, or as many
    apart as `stride` says. `before` is done first, and survives; its transactions are not among
    those that are told. `options` are the pair's."""

    async def open_day(open_pair: P) -> int:
        await before(open_pair)
        return len(open_pair.near.transactions())

    both = pair.machine(disk, **options)
    known = both.live(open_day).result
    moments = both.moments(of, lambda: None)
    assert len(moments) >= 10
    ends: set[State] = set()
    for moment in moments[::stride]:
        again = pair.machine_after(moment, disk / f"after-{moment.step}", **options)
        ends |= set(again.live(find_out).result[known:])
    return ends
