"""The gateway's side: the journal's transactions as rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from tillwire.clock import Instant, utc
from tillwire.core.model import OPEN_STATES, State, Transaction
from tillwire.money import Money
from tillwire.reconcile.profiles import Status
from tillwire.reconcile.sources import Row

MomentOf = Callable[[Transaction], Instant]
"""The moment that a transaction is of."""


def accepted_at(transaction: Transaction) -> Instant:
    """When it was accepted."""
    return transaction.created_at


def rows_of(
    transactions: Iterable[Transaction],
    terminals: Collection[str] | None = None,
    moment_of: MomentOf = accepted_at,
) -> Iterator[Row]:
    """The transactions as rows; of these terminals' ids only, if any are given."""
    for transaction in transactions:
        if terminals is None or transaction.terminal_id in terminals:
            yield row_of(transaction, moment_of)


def row_of(transaction: Transaction, moment_of: MomentOf = accepted_at) -> Row:
    """A transaction as a row. Its amount is what moved, or, if nothing did, what was asked for."""
    approved = transaction.state is State.APPROVED
    amount = (
        Money(transaction.approved_amount, transaction.amount.currency)
        if approved
        else transaction.amount
    )
    outcome, heading = transaction.outcome, transaction.heading
    moment = utc(moment_of(transaction)).isoformat(timespec="milliseconds")
    return Row(
        transaction_id=transaction.id,
        original_id=transaction.original_id or "",
        reference=transaction.reference,
        acquirer_reference=outcome.acquirer_reference if outcome else "",
        terminal=heading.terminal,
        tid=heading.tid,
        store=heading.store,
        type=transaction.type.value,
        status=status_of(transaction).value,
        amount=amount.decimal(),
        currency=amount.currency,
        at=moment.replace("+00:00", "Z"),
        authorisation_code=outcome.authorisation_code if outcome else "",
        stan=outcome.stan if outcome else "",
        card_last4=outcome.card_last4 if outcome else "",
    )


def status_of(transaction: Transaction) -> Status:
    """What the gateway says has become of it."""
    if transaction.state in OPEN_STATES:
        return Status.UNKNOWN
    if transaction.state is State.APPROVED and transaction.reversed_at is not None:
        return Status.REVERSED
    return Status(transaction.state.value)
