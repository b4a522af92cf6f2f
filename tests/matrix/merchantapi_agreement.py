"""What must be true of both gateways of a pair, whatever went wrong: they, the acquirer's ledger
behind the far one, and so the till before the near one, say the same of every cent."""

from __future__ import annotations

from collections.abc import Mapping

from tests.matrix.alone import check_each
from tests.matrix.merchantapi_pair import Pair
from tests.simulation.agreement import check_charged
from tillwire.core.model import State
from tillwire.dialects.merchantapi.driver.orders import PEER_ID, transaction_of


async def check_pair(pair: Pair, fetched: Mapping[str, int] | None = None) -> None:
    """Raise `AssertionError` unless everybody agrees. Recovery must have had its time, and a person
    must have decided what no terminal can tell (`settled`). `fetched` is what terminals that fetch
    have charged: transaction id there -> minor units."""
    charges = await check_each(pair, fetched)
    near, far = pair.near.transactions(), pair.far.transactions()
    carried = set()
    for here in near:
        there = pair.there(here)
        check_charged(here, charges.get(there.id) if there else None)
        called = here.peer.get(PEER_ID)
        if there is None:
            assert not called, f"nobody has it: {here}"
            assert here.state is not State.UNKNOWN, f"its absence is not found out: {here}"
            continue
        assert called in (None, there.id), f"{there} is not {here}"
        assert (there.type, there.amount) == (here.type, here.amount), f"{there} is not {here}"
        assert here.state is not State.UNKNOWN or not there.is_final, f"not found out: {here}"
        carried.add(there.id)
    ours = {each.id for each in far if transaction_of(each.reference)}
    assert ours == carried, "sent by nobody"
