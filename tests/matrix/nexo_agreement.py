"""What must be true of both gateways of a pair, whatever went wrong: they, the acquirer's ledger
behind the far one, and so the till before the near one, say the same of every cent."""

from __future__ import annotations

from collections.abc import Mapping

from tests.kit.gateway import GatewayUnderTest
from tests.matrix.alone import check_each
from tests.matrix.nexo_pair import Pair
from tillwire.core.estate_model import Terminal
from tillwire.core.model import State, Transaction

DIALECT = "nexo"


async def check_pair(pair: Pair, beside: Mapping[str, int] | None = None) -> None:
    """Raise `AssertionError` unless everybody agrees. Recovery must have had its time: what the
    near gateway does not know then, nobody who is asked can tell. `beside` is what terminals that
    fetch have charged: the far gateway's transaction id -> minor units."""
    charges = await check_each(pair, beside)
    near = {each.id: each for each in pair.near.transactions()}
    carried = carried_out(pair)
    for transaction in near.values():
        there = carried.get(transaction.id)
        _check_near(transaction, there, charges.get(there.id) if there else None)
        if there is not None:
            _check_original(transaction, there, carried)
    assert carried.keys() <= near.keys(), "the far gateway carries what the near one has sent"


def carried_out(pair: Pair) -> dict[str, Transaction]:
    """By the near gateway's id, the far gateway's transaction for it: one at most."""
    sale_ids = {terminal.settings["sale_id"] for terminal in _nexo_terminals(pair.near)}
    found: dict[str, Transaction] = {}
    for each in pair.far.transactions():
        if each.dialect == DIALECT and each.register in sale_ids:
            assert each.reference not in found, f"two for one: {each}, {found[each.reference]}"
            found[each.reference] = each
    return found


def _nexo_terminals(gateway: GatewayUnderTest) -> list[Terminal]:
    return [each for each in gateway.engine.estate.terminals.values() if each.driver == DIALECT]


def _check_near(here: Transaction, there: Transaction | None, charged: int | None) -> None:
    """What the near gateway says is what the far one's acquirer has in its ledger."""
    if here.state is State.APPROVED:
        assert charged == here.approved_amount, f"charged {charged}: {here}, {there}"
    elif here.is_final:
        assert charged is None, f"charged {charged}: {here}, {there}"
    else:
        assert here.state is State.UNKNOWN, f"left on its way: {here}"
        assert there is None or there.state is State.UNKNOWN, f"not found out: {here}, {there}"
    if there is not None:
        assert (there.type, there.amount) == (here.type, here.amount), f"{there} is not {here}"


def _check_original(here: Transaction, there: Transaction, carried: dict[str, Transaction]) -> None:
    """A follow-up follows the same one in both journals."""
    if here.original_id is None:
        assert there.original_id is None
    else:
        assert there.original_id == carried[here.original_id].id
