"""What must be true of each gateway of a pair alone, and of the acquirer's ledger behind the far
one. What must be true between them is each protocol's to say."""

from __future__ import annotations

from collections.abc import Mapping

from tests.matrix.two_gateways import TwoGateways
from tests.simulation.agreement import check_charged, check_gateway


async def check_each(pair: TwoGateways, beside: Mapping[str, int] | None = None) -> dict[str, int]:
    """What was charged, by the far gateway's transaction id, in minor units; `beside` is what
    terminals that fetch have charged. Raises `AssertionError` unless both gateways are in order,
    and the far one says the same as the ledger."""
    charges = {**await pair.far.charges(), **(beside or {})}
    far = pair.far.transactions()
    check_gateway(pair.near, pair.near.transactions())
    check_gateway(pair.far, far)
    assert charges.keys() <= {each.id for each in far}, "what is charged was journaled before"
    for each in far:
        check_charged(each, charges.get(each.id))
    return charges
