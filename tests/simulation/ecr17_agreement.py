"""What must be true of a street of lanes after all that went wrong: journals and ledger say the
same of every cent, and what a till believes is the truth, or that it does not know.

The protocol has no numbers, so what belongs together is told by the clock: a till asks for one
thing after the other, and a terminal does one thing after the other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from tests.kit.virtual_loop import EPOCH
from tests.simulation.agreement import check_charged, check_gateway
from tests.simulation.ecr17_line import Result
from tests.simulation.ecr17_street import SHOPS, VIRTUAL, Either, LongStreet
from tests.simulation.ecr17_till import NO_ID, TYPES, Sale, Till
from tillwire.core.model import State, Transaction

AT_HOME = "127.0.0.1"
"""By what a lane knows a till that has no id."""


async def check_street(street: Either, tills: Sequence[Till]) -> None:
    """Raise `AssertionError` unless everybody agrees. Recovery must have had its time, and the
    tills must have asked for all that they do not know."""
    charges = await street.far.charges()
    far, near = street.far.transactions(), street.near.transactions()
    check_gateway(street.far, far)
    assert charges.keys() <= {each.id for each in far}, "nothing is charged that was not journaled"
    for each in far:
        check_charged(each, charges.get(each.id))
    if isinstance(street, LongStreet):
        check_gateway(street.near, near)
        carried = carried_out(near, far)
        charges = {key: charges[each.id] for key, each in carried.items() if each.id in charges}
        for here in near:
            _check_near(here, carried.get(here.id), charges.get(here.id))
    for till in tills:
        _check_till(street, till, charges)


def carried_out(near: Iterable[Transaction], far: Iterable[Transaction]) -> dict[str, Transaction]:
    """By the near gateway's id, the far gateway's transaction for it: one at most."""
    asked: defaultdict[str, list[Transaction]] = defaultdict(list)
    for each in near:
        asked[each.terminal_id].append(each)
    found: dict[str, Transaction] = {}
    for shop in SHOPS:
        here = asked[f"remote-{shop}"]
        there = [each for each in far if each.terminal_id == VIRTUAL[shop].id]
        for number, each in _one_for_each([one.created_at for one in here], there).items():
            found[here[number].id] = each
    return found


def _one_for_each(begun: Sequence[float], made: Iterable[Transaction]) -> dict[int, Transaction]:
    """By its number, what came of each that was begun then: one at most, before the next."""
    found: dict[int, Transaction] = {}
    for each in made:
        number = sum(begin <= each.created_at for begin in begun) - 1
        assert number >= 0, f"nobody has asked for it: {each}"
        assert number not in found, f"twice: {found[number]}, {each}"
        found[number] = each
    return found


def _check_near(here: Transaction, there: Transaction | None, charged: int | None) -> None:
    if here.state is State.UNKNOWN:
        return  # nobody has guessed
    check_charged(here, charged)
    if there is not None:
        assert (there.type, there.amount) == (here.type, here.amount), f"{there} is not {here}"
        assert here.state is not State.FAILED, f"a proof that was none: {here}, {there}"


# --- tills ----------------------------------------------------------------------------------------


def asked(street: Either, till: Till) -> list[tuple[Sale, Transaction | None]]:
    """Everything that it has asked for, with what the lane has made of it: one transaction at
    most."""
    here = street.terminals()[till.shop].id
    register = AT_HOME if till.register == NO_ID else till.register
    mine = [
        each
        for each in street.near.transactions()
        if (each.terminal_id, each.register) == (here, register)
    ]
    made = _one_for_each([EPOCH + round(sale.begun * 1000) for sale in till.sales], mine)
    return [(sale, made.get(number)) for number, sale in enumerate(till.sales)]


def tell(street: Either, tills: Sequence[Till]) -> None:
    """A person looks at the lanes for tills that have asked for that, and tells what is known."""
    for till in tills:
        if not till.sales or not till.sales[-1].is_open or not till.sales[-1].asks_person:
            continue
        sale, transaction = asked(street, till)[-1]
        if transaction is None:
            till.hear_of(sale, None)
        elif transaction.is_final:
            approved = transaction.state is State.APPROVED
            amount = transaction.approved_amount if approved else None
            till.hear_of(sale, Result(sale.kind, approved, _stan(transaction), amount))


def _stan(transaction: Transaction) -> str:
    """The terminal's; the lane's own, where that tells none."""
    number = int(transaction.reference.rpartition("-")[2])
    told = transaction.outcome.stan if transaction.outcome else ""
    return told or f"{(number - 1) % 999_999 + 1:06d}"


def _check_till(street: Either, till: Till, charges: Mapping[str, int]) -> None:
    """Raise `AssertionError` unless it believes the truth. `charges` are by the id of the near
    gateway's transactions."""
    for sale, transaction in asked(street, till):
        charged = None if transaction is None else charges.get(transaction.id)
        what = f"charged {charged} for {till.name}: {sale}, {transaction}"
        if transaction is not None:
            assert transaction.type is TYPES[sale.kind], what
            assert sale.kind == "S" or transaction.amount.minor == sale.minor, what
        if sale.never:
            assert transaction is None, f"it was begun. {what}"
        elif sale.result is not None:
            assert sale.result.approved == (charged is not None), what
            assert sale.result.amount is None or charged in (None, sale.result.amount), what
        else:
            holds = transaction is not None and not transaction.is_final
            assert holds, f"nobody tells it. {what}"
