"""The side of terminals and their clouds: the entries of their books as rows.

What an entry does not tell (a type, an amount) is taken from the transaction of the journal that it
names: it is of that one, whatever else it says. So is where it was, whatever stands there now. An
approval without an amount says less than that so much was paid, and is UNKNOWN here.

Whoever carried a payment of ours knows it by our id. So a till's reference says nothing here: what
another till has paid under the same one is another payment, and ends no UNKNOWN.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from tillwire.clock import Instant, utc
from tillwire.core.entries import Entry
from tillwire.core.estate import Estate
from tillwire.core.estate_model import Store, Terminal
from tillwire.core.model import State, Transaction, TransactionType, Verdict
from tillwire.core.ports import Reader
from tillwire.errors import InvalidRequest
from tillwire.money import Money
from tillwire.reconcile import profiles
from tillwire.reconcile.facts import Window, names_of
from tillwire.reconcile.profiles import Key, Status
from tillwire.reconcile.sources import Row, Rows, Source

_KEYS: Final = tuple(key for key in Key if key is not Key.REFERENCE)

AROUND: Final = 3600 * 1000
"""Milliseconds before and behind what was asked for in which the other side may have a sale."""


class TheirSide(NamedTuple):
    """What terminals, or the clouds behind them, told."""

    told: list[tuple[Terminal, Entry]]
    asked: list[Terminal]
    begun: Instant
    """When the first of them was asked."""
    resolved: frozenset[str] = frozenset()
    """The transactions that ended by what they told."""

    @property
    def name(self) -> str:
        """For people."""
        count = len(self.asked)
        return f"the books of {self.asked[0].name if count == 1 else f'{count} terminals'}"

    def narrowed(self, window: Window, estate: Estate) -> Window:
        """The window, of these terminals alone."""
        return msgspec.structs.replace(window, terminals=names_of(estate, self.asked))

    def source(self, estate: Estate, reader: Reader, window: Window) -> Source:
        """It as a side; `reader` reads the journal."""
        rows = rows_told(self.told, estate, reader.transaction, window.begin)
        return Rows(self.name, rows, msgspec.structs.replace(profiles.load("tillwire"), keys=_KEYS))

    def moment_of(self, transaction: Transaction) -> Instant:
        """The moment of a transaction. What went on while they were asked is of no earlier one:
        what they told of it may be outdated when the journal is read."""
        ended = transaction.ended_at is not None and transaction.ended_at < self.begun
        if ended or transaction.state is State.UNKNOWN or transaction.id in self.resolved:
            return transaction.created_at
        return self.begun


def passed(window: Window, now: Instant, field: str) -> Window:
    """As much of the window as has passed: what happens while terminals are asked, they may have
    told or not. Raises `InvalidRequest`, naming `field`."""
    if window.begin >= now:
        raise InvalidRequest(field, "it has not come yet", "a time that has passed")
    return msgspec.structs.replace(window, end=min(window.end, now))


def rows_told(
    told: Sequence[tuple[Terminal, Entry]],
    estate: Estate,
    known: Callable[[str], Transaction | None],
    begin: Instant,
) -> Iterator[Row]:
    """The entries as rows. `known` looks up a transaction; `begin` is the moment of an entry of
    which nobody tells one."""
    ids = _Names(told)
    for terminal, entry in told:
        ours = known(entry.transaction_id) if entry.transaction_id else None
        row = _row(entry, ours, terminal, estate.stores[terminal.store_id], begin)
        yield msgspec.structs.replace(row, original_id=_original(entry, ours, terminal, ids))


class _Names:
    """Which transactions of ours the names are that the other side gives. Each cloud has names of
    its own, so the same one may come at another terminal again."""

    def __init__(self, told: Sequence[tuple[Terminal, Entry]]) -> None:
        self._here = {(at.id, each.name): each.transaction_id for at, each in told}
        self._anywhere: dict[str, set[str]] = defaultdict(set)
        for _, each in told:
            self._anywhere[each.name].add(each.transaction_id)

    def ours(self, name: str, terminal: Terminal) -> str:
        """Our id of what is called so at the terminal, or, if it was at another one, there."""
        if (here := self._here.get((terminal.id, name))) is not None:
            return here
        found = self._anywhere.get(name, set())
        return next(iter(found)) if len(found) == 1 else ""


def _original(entry: Entry, ours: Transaction | None, terminal: Terminal, ids: _Names) -> str:
    """Our id of what it follows."""
    if ours is not None:
        return ours.original_id or ""
    return ids.ours(entry.original, terminal) if entry.original else ""


def _row(
    entry: Entry, ours: Transaction | None, terminal: Terminal, store: Store, begin: Instant
) -> Row:
    money = _money(entry, ours, store.currency)
    outcome = entry.outcome
    moment = entry.at if entry.at is not None else ours.created_at if ours else begin
    kind = entry.type or (ours.type if ours else TransactionType.PURCHASE)
    return Row(
        transaction_id=entry.transaction_id,
        reference=entry.reference,
        acquirer_reference=outcome.acquirer_reference if outcome else "",
        terminal=ours.heading.terminal if ours else terminal.name,
        tid=ours.heading.tid if ours else terminal.tid,
        store=ours.heading.store if ours else store.name,
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
