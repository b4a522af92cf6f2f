"""What must be true of both gateways of a pair, whatever went wrong: they, the acquirer's ledger
behind the far one, and so the till before the near one, say the same of every cent."""

from __future__ import annotations

from tests.matrix.alone import check_each
from tests.matrix.paymentbridge_pair import Pair
from tests.simulation.agreement import check_charged
from tillwire.core.model import State, Transaction, TransactionType
from tillwire.dialects.paymentbridge.driver.orders import HANDLE
from tillwire.dialects.paymentbridge.wire import ids

DIALECT = "paymentbridge"


async def check_pair(pair: Pair) -> None:
    """Raise `AssertionError` unless everybody agrees. Recovery must have had its time, and a person
    must have decided what no cloud can tell (`settled`)."""
    charges = await check_each(pair)
    near, far = pair.near.transactions(), pair.far.transactions()
    carried = _carried(pair, near, far)
    for here in near:
        there = carried.get(here.id)
        check_charged(here, charges.get(there.id) if there else None)
        if not here.is_final:
            assert there is not None, f"nobody has it: {here}"
            assert not there.is_final, f"not found out: {here}, {there}"
        if there is not None:
            assert (there.type, there.amount) == (here.type, here.amount), f"{there} is not {here}"
            original = here.original_id
            assert there.original_id == (carried[original].id if original else None)


def _carried(pair: Pair, near: list[Transaction], far: list[Transaction]) -> dict[str, Transaction]:
    """By the near gateway's id, the far gateway's transaction for it: one at most, and each one is
    for one. Reversals and captures over REST tell no reference: they are their original's."""
    names = {pair.reference_of(each): each.id for each in near}
    found: dict[str, Transaction] = {}
    nameless: list[Transaction] = []
    for each in far:
        if each.dialect != DIALECT:
            continue
        if not each.reference:
            nameless.append(each)
            continue
        here = names[each.reference]
        assert here not in found, f"two for one: {found[here]}, {each}"
        found[here] = each
    for each in nameless:
        owners = [one for one in near if one.id not in found and _may_be(one, each, found)]
        if not owners and each.is_final and each.state is not State.APPROVED:
            continue  # its near one is FAILED, and rightly so
        assert len(owners) == 1, f"of {owners}: {each}"
        found[owners[0].id] = each
    return found


def _may_be(here: Transaction, there: Transaction, found: dict[str, Transaction]) -> bool:
    if here.original_id is None or here.state is State.FAILED:
        return False
    if here.type is TransactionType.CAPTURE and here.outcome is not None and here.outcome.handle:
        return ids.transaction_of(here.outcome.handle[HANDLE]) == there.id
    same = (here.type, here.amount) == (there.type, there.amount)
    return same and found[here.original_id].id == there.original_id
