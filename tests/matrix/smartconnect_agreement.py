"""What must be true of both gateways of a pair, whatever went wrong: they, the acquirer's ledger
behind the far one, and so the till before the near one, say the same of every cent."""

from __future__ import annotations

from tests.matrix.smartconnect_pair import CLOUD_ID, Pair
from tests.simulation.agreement import check_charged, check_gateway
from tillwire import uuids
from tillwire.core.model import State, Transaction

DIALECT = "smartconnect"


async def check_pair(pair: Pair) -> None:
    """Raise `AssertionError` unless everybody agrees. Recovery must have had its time, and a person
    must have decided what no cloud can tell (`settled`)."""
    charges = await pair.far.charges()
    near, far = pair.near.transactions(), pair.far.transactions()
    check_gateway(pair.near, near)
    check_gateway(pair.far, far)
    assert charges.keys() <= {each.id for each in far}, "what is charged was journaled before"
    for each in far:
        check_charged(each, charges.get(each.id))
    carried = _carried(near, [each for each in far if each.dialect == DIALECT])
    for here in near:
        there = carried.get(here.id)
        check_charged(here, charges.get(there.id) if there else None)
        if here.state is State.UNKNOWN:
            assert there is None or not there.is_final, f"not found out: {here}, {there}"


def _carried(near: list[Transaction], far: list[Transaction]) -> dict[str, Transaction]:
    """By the near gateway's id, the far gateway's transaction for it: one at most, and each one is
    for one. Where the answer to the request was lost, the near one does not know its name; it is
    the one of its type and amount, that nobody else has, then."""
    names = {each.peer[CLOUD_ID]: each.id for each in near if each.peer.get(CLOUD_ID)}
    found: dict[str, Transaction] = {}
    for each in far:
        here = names.pop(uuids.transaction_uuid(each.id), "")
        if here:
            found[here] = each
    assert not names, f"nobody has them: {names}"
    carried = {each.id for each in found.values()}
    for each in far:
        if each.id in carried:
            continue
        owners = [
            one
            for one in near
            if one.id not in found
            and not one.peer.get(CLOUD_ID)
            and (one.type, one.amount) == (each.type, each.amount)
        ]
        assert owners, f"sent by nobody: {each}"
        found[owners[0].id] = each
    return found
