"""The side of terminals and their clouds: the entries of their books as rows.

What an entry does not tell (a type, an amount) is taken from the transaction of the journal that it
names: it is of that one, whatever else it says. An approval without an amount says less than that
so much was paid, and is UNKNOWN here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from tillwire.clock import Instant, utc
from tillwire.core.entries import Entry
from tillwire.core.estate import Estate
from tillwire.core.model import Terminal, Transaction, TransactionType, Verdict
from tillwire.money import Money
from tillwire.reconcile.profiles import Status
from tillwire.reconcile.sources import Row


def rows_told(
    told: Iterable[tuple[Terminal, Entry]],
    estate: Estate,
    known: Callable[[str], Transaction | None],
    begin: Instant,
) -> Iterator[Row]:
    """The entries as rows. `known` looks up a transaction; `begin` is the moment of an entry of
    which nobody tells one."""
    for terminal, entry in told:
        ours = known(entry.transaction_id) if entry.transaction_id else None
        yield _row(entry, ours, terminal, estate, begin)


def _row(
    entry: Entry, ours: Transaction | None, terminal: Terminal, estate: Estate, begin: Instant
) -> Row:
    store = estate.stores[terminal.store_id]
    money = _money(entry, ours, store.currency)
    outcome = entry.outcome
    moment = entry.at if entry.at is not None else ours.created_at if ours else begin
    kind = entry.type or (ours.type if ours else TransactionType.PURCHASE)
    return Row(
        transaction_id=entry.transaction_id,
        reference=entry.reference,
        acquirer_reference=outcome.acquirer_reference if outcome else "",
        terminal=terminal.name,
        tid=terminal.tid,
        store=store.name,
        type=kind.value,
        status=_status(entry).value,
        amount=money.decimal(),
        currency=money.currency,
        at=utc(moment).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        authorisation_code=outcome.authorisation_code if outcome else "",
        stan=outcome.stan if outcome else "",
        card_last4=outcome.card_last4 if outcome else "",
    )


def _money(entry: Entry, ours: Transaction | None, currency: str) -> Money:
    if entry.amount is not None:
        return Money(entry.amount, entry.currency or (ours.amount.currency if ours else currency))
    return ours.amount if ours else Money(0, entry.currency or currency)


def _status(entry: Entry) -> Status:
    outcome = entry.outcome
    if outcome is None:
        return Status.UNKNOWN
    if outcome.verdict is not Verdict.APPROVED:
        return Status(outcome.verdict.value)
    if entry.amount is None:
        return Status.UNKNOWN
    return Status.REVERSED if entry.reversed else Status.APPROVED
