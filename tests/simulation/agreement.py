"""What must be true after all that went wrong: journal, ledger and till agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tests.kit.gateway import GatewayUnderTest
from tests.simulation.till import OVER, Book, Heard, Sale
from tillwire.core import states
from tillwire.core.model import State, Transaction, TransactionType

_MOVES = frozenset(each.value for each in states.Event)
NOT_PAID = frozenset({State.DECLINED, State.CANCELLED, State.FAILED})


async def check_agreement(
    gateway: GatewayUnderTest, book: Book, polling: Mapping[str, int] | None = None
) -> None:
    """Raise `AssertionError` unless everybody agrees. What is still open may be. `polling` is
    what terminals that fetch have charged: transaction id -> minor units."""
    charges = {**await gateway.charges(), **(polling or {})}
    transactions = {each.id: each for each in gateway.transactions()}
    assert charges.keys() <= transactions.keys(), "nothing is charged that was not journaled first"
    for transaction in transactions.values():
        check_events(gateway, transaction)
        _check_money(transaction, charges.get(transaction.id))
    _check_refunds(transactions)
    _check_references(transactions, book)
    for sale in book.sales.values():
        _check_till(sale, transactions)
    assert gateway.journal.read_now(lambda reader: reader.discrepancies()) == []
    assert not [each for each in gateway.holders() if transactions[each].is_final]


def _check_money(transaction: Transaction, charged: int | None) -> None:
    if transaction.state is State.APPROVED:
        assert charged == transaction.approved_amount, f"approved, charged {charged}: {transaction}"
    elif transaction.state in NOT_PAID:
        assert charged is None, f"{transaction.state}, but charged {charged}: {transaction}"
        assert transaction.state is not State.FAILED or transaction.proof, "FAILED needs a proof"
    elif transaction.state is State.ACCEPTED:
        assert charged is None, "what was not dispatched is not charged"


def check_events(gateway: GatewayUnderTest, transaction: Transaction) -> None:
    """Raise `AssertionError` unless its events follow from the table, one by one."""
    events = gateway.events(transaction.id)
    assert [each.sequence for each in events] == list(range(1, transaction.version + 1))
    state: State | None = None
    for event in events:
        if event.name in _MOVES:
            state = states.after(state, states.Event(event.name))
        assert event.state is state, f"{event} does not follow from the table"
    assert state is transaction.state


def check_gateway(gateway: GatewayUnderTest, transactions: Iterable[Transaction]) -> None:
    """Raise `AssertionError` unless its journal is sound: `transactions` are all that it has."""
    final = set()
    for each in transactions:
        check_events(gateway, each)
        assert each.state is not State.FAILED or each.proof, f"FAILED needs a proof: {each}"
        if each.is_final:
            final.add(each.id)
    assert gateway.journal.read_now(lambda reader: reader.discrepancies()) == []
    assert not final & set(gateway.holders()), "what has ended holds no terminal"


def check_charged(transaction: Transaction, charged: int | None) -> None:
    """Raise `AssertionError` unless a gateway says of it what its acquirer has in its ledger. All
    that can be found out must have been."""
    if transaction.state is State.APPROVED:
        assert charged == transaction.approved_amount, f"charged {charged}: {transaction}"
    elif transaction.is_final:
        assert charged is None, f"charged {charged}: {transaction}"
    else:
        assert transaction.state is State.UNKNOWN, f"left on its way: {transaction}"


def _check_refunds(transactions: dict[str, Transaction]) -> None:
    for refund in transactions.values():
        if refund.type is not TransactionType.REFUND or refund.original_id is None:
            continue
        original = transactions[refund.original_id]
        siblings = [t for t in transactions.values() if t.original_id == original.id]
        given_back = sum(each.approved_amount for each in siblings)
        assert given_back <= original.approved_amount, f"more given back than paid: {original}"


def _check_references(transactions: dict[str, Transaction], book: Book) -> None:
    asked = {sale.reference: sale for sale in book.sales.values()}
    for transaction in transactions.values():
        sale = asked[transaction.reference]
        assert (transaction.amount.minor, transaction.type) == (sale.minor, sale.type)


def _check_till(sale: Sale, transactions: dict[str, Transaction]) -> None:
    final = [heard for heard in sale.heard if heard.status in OVER]
    assert all(heard == final[0] for heard in final), f"a till heard two outcomes: {sale}"
    first_final = next((i for i, h in enumerate(sale.heard) if h.status in OVER), None)
    if first_final is not None:
        assert all(heard.status in OVER for heard in sale.heard[first_final:]), (
            f"taken back: {sale}"
        )
    assert sale.deleted.count(204) <= 1, "a cancellation has one winner"
    if sale.id is None:
        return
    transaction = transactions[sale.id]
    if sale.heard:
        assert not final or final[-1] == as_read(transaction), f"{sale} is not {transaction}"
    if 204 in sale.deleted:
        assert transaction.state is State.CANCELLED, "cancelled is cancelled"


def as_read(transaction: Transaction) -> Heard:
    """What a till should read of a transaction."""
    asked = transaction.amount.minor
    match transaction.state:
        case State.APPROVED:
            return Heard("CLEARED", "APPROVED", transaction.approved_amount)
        case State.DECLINED:
            return Heard("CANCELLED", "DECLINED", asked)
        case State.CANCELLED | State.FAILED:
            return Heard("CANCELLED", None, asked)
        case _:
            return Heard("CREATED", None, asked)
