"""What must be true of both gateways of a pair, whatever went wrong: they, the acquirer's ledger
behind the far one, and so the till before the near one, say the same of every cent."""

from __future__ import annotations

from tests.matrix.alone import check_each
from tests.matrix.smartconnect_pair import Pair
from tests.simulation.agreement import check_charged
from tillwire import uuids
from tillwire.core.model import State

DIALECT = "smartconnect"


async def check_pair(pair: Pair) -> None:
    """Raise `AssertionError` unless everybody agrees. Recovery must have had its time, and a person
    must have decided what no cloud can tell (`settled`)."""
    charges = await check_each(pair)
    near, far = pair.near.transactions(), pair.far.transactions()
    carried = set()
    for here in near:
        there = pair.there(here)
        check_charged(here, charges.get(there.id) if there else None)
        called = here.peer.get("transaction_id")
        if there is None:
            assert not called, f"nobody has it: {here}"
            continue
        assert called in (None, uuids.transaction_uuid(there.id)), f"{there} is not {here}"
        assert (there.type, there.amount) == (here.type, here.amount), f"{there} is not {here}"
        assert here.state is not State.UNKNOWN or not there.is_final, f"not found out: {here}"
        carried.add(there.id)
    assert {each.id for each in far if each.dialect == DIALECT} == carried, "sent by nobody"
