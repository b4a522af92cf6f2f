"""What must be true of both gateways of a pair, whatever went wrong: they, the acquirer's ledger
behind the far one, and so the till before the near one, say the same of every cent.

The protocol has no numbers, so what belongs together is told by the clock, which both share: a
terminal carries one transaction at a time, so what its lane began meanwhile is that one's.
"""

from __future__ import annotations

from tests.matrix.alone import check_each
from tests.matrix.ecr17_pair import FOUND_OUT_AFTER, Pair
from tests.matrix.two_gateways import decide, the_one
from tests.simulation.agreement import check_charged
from tillwire.core.model import Evidence, State, Transaction

DIALECT = "ecr17"


async def check_pair(pair: Pair) -> None:
    """Raise `AssertionError` unless everybody agrees. Recovery must have had its time, and a person
    must have decided what no terminal can tell (`settled`)."""
    charges = await check_each(pair)
    near = pair.near.transactions()
    carried = carried_out(pair)
    for here in near:
        there = carried.get(here.id)
        check_charged(here, charges.get(there.id) if there else None)
        if here.state is State.FAILED:
            assert there is None, f"a proof that was none: {here}, {there}"
        elif not here.is_final:
            assert there is not None, f"nobody has it: {here}"
            assert not there.is_final, f"not found out: {here}, {there}"
        if here.original_id is not None and there is not None:
            assert there.original_id == carried[here.original_id].id


def carried_out(pair: Pair) -> dict[str, Transaction]:
    """By the near gateway's id, the far gateway's transaction for it: one at most, and each one is
    for one."""
    near, far = pair.near.transactions(), pair.far.transactions()
    registers = {each.register for each in pair.tills.values()}
    found: dict[str, Transaction] = {}
    for each in far:
        if each.dialect != DIALECT or each.register not in registers:
            continue
        owners = [here for here in near if _is_of(pair, each, here)]
        assert len(owners) == 1, f"of {owners}: {each}"
        (owner,) = owners
        assert owner.id not in found, f"two for one: {found[owner.id]}, {each}"
        assert (each.type, each.amount) == (owner.type, owner.amount), f"{each} is not {owner}"
        found[owner.id] = each
    return found


async def carried_for(pair: Pair, here: Transaction) -> Transaction | None:
    """The far gateway's transaction for one of the near gateway's newest."""
    newest = await pair.far.engine.newest_at(pair.tills[here.terminal_id].there, 20)
    found = [each for each in newest if each.dialect == DIALECT and _is_of(pair, each, here)]
    return the_one(found)


def _is_of(pair: Pair, there: Transaction, here: Transaction) -> bool:
    till = pair.tills[here.terminal_id]
    if (till.there, till.register) != (there.terminal_id, there.register):
        return False
    ended = here.ended_at
    return here.created_at < there.created_at and (ended is None or there.created_at <= ended)


async def settled(pair: Pair, order: Transaction | str) -> Transaction:
    """The near gateway's transaction once all that can be found out was. Where no terminal could
    tell, a person has looked at the acquirer's statement, and the answer is told as it was then:
    UNKNOWN."""
    ended = await pair.ended(order, FOUND_OUT_AFTER)
    there = await carried_for(pair, ended)
    if ended.state is State.UNKNOWN and (there is None or there.is_final):
        charged = None if there is None else (await pair.far.charges()).get(there.id)
        await decide(pair.near, ended, charged)
    return ended


def evidence_of(transaction: Transaction) -> Evidence | None:
    """How its outcome is known."""
    return transaction.outcome.evidence if transaction.outcome else None
