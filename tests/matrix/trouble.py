"""What goes wrong between two gateways while something is paid: one way for all protocols."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from tests.kit.virtual_loop import virtual_loop
from tests.matrix.nexo_doubles import Doubling
from tests.matrix.two_gateways import Place, TwoGateways
from tillwire.core.model import State, Transaction, TransactionType

P = TypeVar("P", bound=TwoGateways)

MINORS: Final = (1000, 1040, 1043, 1046, 1048, 1049, 1052, 1053, 1054)
"""Amounts that end in different ways."""


async def end_through(
    way: Doubling,
    pair: P,
    place: Place,
    minor: int,
    kind: TransactionType,
    settled: Callable[[P, Transaction], Awaitable[Transaction]],
    *,
    first: int = 1000,
) -> State:
    """How one ended that went such a way to the far gateway, as it was settled, when all that is on
    the way has arrived. What it may follow was paid before, with the amount of the `first`."""
    capture = kind is TransactionType.CAPTURE
    before = TransactionType.PREAUTH if capture else TransactionType.PURCHASE
    followed = await pair.pay(place, first, before)
    pair.plug.network = way
    original = None if kind is TransactionType.PURCHASE else followed.id
    here = await settled(pair, await pair.order(place, minor, kind, original=original))
    await way.settle()
    return here.state


async def trouble(
    pair: TwoGateways,
    source: random.Random,
    kinds: int,
    *,
    far: Sequence[float],
    near: Sequence[float],
) -> int:
    """One of so many kinds of trouble, and which: 0, all connections are cut; 1 and 2, the far or
    the near gateway is away for one of these times, in seconds. More are the caller's to make."""
    kind = source.randrange(kinds)
    match kind:
        case 0:
            virtual_loop().network.cut(*pair.far_ports.values())
        case 1:
            await pair.is_away("far", source.choice(far))
        case 2:
            await pair.is_away("near", source.choice(near))
    return kind
