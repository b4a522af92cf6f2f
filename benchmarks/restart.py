"""How long a gateway takes to be ready again on a journal that is large."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.gateway_process import STORE, terminal
from benchmarks.processes import running
from tillwire.clock import Instant
from tillwire.core.estate_model import Merchant, Organisation
from tillwire.core.model import (
    Event,
    Heading,
    Outcome,
    State,
    Transaction,
    TransactionType,
    Verdict,
)
from tillwire.journal import rows
from tillwire.journal.sqlite import SqliteJournal
from tillwire.money import Money

_EVENTS = 3
_BEGAN = 1_767_225_600_000
_TERMINALS = 1000


def measure(
    directory: Path, *, events: int, open_sales: int, say: Callable[[str], None]
) -> tuple[float, int]:
    """(seconds until it accepts requests, transactions open then)."""
    folder = directory / "restart"
    folder.mkdir(parents=True, exist_ok=True)
    _fill(folder / "journal.db", events // _EVENTS, open_sales, say)
    say("starting the gateway on it")
    with running("benchmarks.gateway_process", folder, _TERMINALS) as server:
        return float(server.said["ready_seconds"]), int(server.said["open"])


def _fill(path: Path, count: int, open_sales: int, say: Callable[[str], None]) -> None:
    SqliteJournal(path).close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("BEGIN")
    for thing in (
        Organisation("bench", "Bench"),
        Merchant("bench", "bench", "Bench"),
        STORE,
        *(terminal(number) for number in range(1, _TERMINALS + 1)),
    ):
        _insert(connection, rows.ESTATE_TABLES[type(thing)].name, [rows.estate_values(thing)])
    for begin in range(0, count, 10_000):
        if begin % 100_000 == 0:
            say(f"writing a journal: {begin * _EVENTS} of {count * _EVENTS} events")
        batch = range(begin, min(begin + 10_000, count))
        made = [_sale(number, is_open=number >= count - open_sales) for number in batch]
        _insert(connection, "transactions", [rows.insert_values(each) for each in made])
        _insert(
            connection, "events", [rows.event_values(e) for each in made for e in _events(each)]
        )
        holds = [
            {"terminal_id": each.terminal_id, "transaction_id": each.id, "owner": "", "token": 1}
            for each in made
            if not each.is_final
        ]
        _insert(connection, "occupancy", holds)
    connection.execute("COMMIT")
    connection.close()


def _insert(connection: sqlite3.Connection, table: str, values: list[dict[str, object]]) -> None:
    if values:
        names = list(values[0])
        holes = ", ".join(":" + name for name in names)
        sql = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({holes})"
        connection.executemany(sql, values)


def _sale(number: int, *, is_open: bool) -> Transaction:
    at = Instant(_BEGAN + number * 1000)
    device = terminal(number % _TERMINALS + 1)
    return Transaction(
        id=f"{at:013d}{number:018d}",
        version=_EVENTS,
        organisation_id="bench",
        terminal_id=device.id,
        dialect="merchantapi",
        type=TransactionType.PURCHASE,
        state=State.STARTED if is_open else State.APPROVED,
        amount=Money(1250, "EUR"),
        reference=f"bench-{number}",
        heading=Heading(
            STORE.id, STORE.name, STORE.address, STORE.zip_code, STORE.city, STORE.country,
            STORE.time_zone, device.name, device.tid,
        ),
        created_at=at,
        token=1,
        sent_at=at,
        send_by=Instant(at + 5000),
        deadline=Instant(at + 180_000),
        outcome=None
        if is_open
        else Outcome(
            Verdict.APPROVED, approved_amount=1250, stan=f"{number % 10**6:06d}", brand="VISA"
        ),
        ended_at=None if is_open else at,
        cleared_at=None if is_open else at,
    )  # fmt: skip


def _events(sale: Transaction) -> Iterator[Event]:
    for sequence, name in enumerate(("accept", "dispatch", "approve"), start=1):
        yield Event(sale.id, sequence, name, sale.state, sale.created_at)
