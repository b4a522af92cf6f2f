"""What must be true after a crash: the acquirer's ledger, the journal and the till agree."""

from __future__ import annotations

from pathlib import Path

from tests.crash.people import Sale
from tests.crash.scenarios import NOTHING, PAID, REFUSED, UNSURE, Ending
from tests.kit.shop_front import OPEN
from tillwire.core import states
from tillwire.core.model import Event, State, Transaction
from tillwire.journal.sqlite import SqliteJournal
from tillwire.sandbox.virtual_estate import SHOP

READS_AS: dict[State, Ending] = {
    State.ACCEPTED: UNSURE,
    State.SENT: UNSURE,
    State.STARTED: UNSURE,
    State.UNKNOWN: UNSURE,
    State.APPROVED: PAID,
    State.DECLINED: REFUSED,
    State.CANCELLED: NOTHING,
    State.FAILED: NOTHING,
}
"""What the API says of each state."""
_MOVES = frozenset(each.value for each in states.Event)


def check_sale(sale: Sale, charged: list[int]) -> None:
    """Raise `AssertionError` unless what the till heard and what was charged are one."""
    assert len(charged) <= 1, f"charged {len(charged)} times: {sale}"
    overs = [each for each in sale.heard if each[0] != OPEN]
    assert len(set(overs)) <= 1, f"the till heard two ends: {sale}"
    if overs:
        first = sale.heard.index(overs[0])
        assert all(each[0] != OPEN for each in sale.heard[first:]), f"taken back: {sale}"
        assert charged == ([sale.minor] if overs[0] == PAID else []), f"charged {charged}: {sale}"
    assert sale.cancelled.count(204) <= 1
    if 204 in sale.cancelled:
        assert sale.heard[-1] == NOTHING


def check_journal(directory: Path, sales: list[Sale], charged: dict[str, list[int]]) -> None:
    """The same of the journal of a gateway that has stopped: each sale is in it once, its events
    follow from the table, and its state is what the till read last."""
    journal = SqliteJournal(directory / "journal.db")
    try:
        for sale in sales:
            found, events = _history(journal, sale)
            _check_transaction(found, events, charged.get(sale.reference, []))
            assert READS_AS[found.state] == sale.heard[-1], f"{found} is not {sale}"
        assert journal.read_now(lambda reader: reader.discrepancies()) == []
    finally:
        journal.close()


def _history(journal: SqliteJournal, sale: Sale) -> tuple[Transaction, list[Event]]:
    number = sale.id
    if sale.register:  # an ECR17 till never hears of its id
        newest = journal.read_now(lambda reader: reader.newest_transactions(100))
        [found] = [each for each in newest if each.register == sale.register]
    elif number is None:  # a nexo till hears of its id when it is over
        [found] = journal.read_now(lambda reader: reader.by_reference(SHOP.id, sale.reference))
    else:
        known = journal.read_now(lambda reader: reader.transaction(number))
        assert known is not None, f"what the till was told is durable: {sale}"
        found = known
    return found, journal.read_now(lambda reader: reader.events(found.id))


def _check_transaction(found: Transaction, events: list[Event], charged: list[int]) -> None:
    state: State | None = None
    for number, event in enumerate(events, 1):
        assert event.sequence == number
        if event.name in _MOVES:
            state = states.after(state, states.Event(event.name))
        assert event.state is state, f"{event} does not follow from the table"
    assert state is found.state
    if found.state is State.APPROVED:
        assert charged == [found.approved_amount]
    elif found.is_final:
        assert charged == [], f"{found.state}, but charged {charged}"
    assert found.state is not State.FAILED or found.proof, "FAILED needs a proof"
