"""Units of work and readers: the journal's ports, in SQL over one connection of a driver.

Both databases are the same here: statements come compiled (`statements.py`), values come and go
through `rows.py`. What differs (locks, error classes) is the database's (`database.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, Protocol

from tillwire.clock import Instant
from tillwire.core.estate import Estate
from tillwire.core.model import (
    ApiKey,
    Device,
    Discrepancy,
    Event,
    Merchant,
    Organisation,
    Store,
    Terminal,
    Transaction,
    TransactionType,
)
from tillwire.core.ports import EstateThing, Hold, StaleError
from tillwire.journal import rows
from tillwire.journal.statements import TYPE_PARAMETERS, Statements

MOST_DISPUTES: Final = 20
"""Open discrepancies of one transaction. A terminal that tells ever new tales fills no disk."""


class Cursor(Protocol):
    """What is used of a DB-API cursor."""

    @property
    def rowcount(self) -> int: ...
    def fetchone(self) -> Any: ...  # Any: a row is whatever the driver makes of it
    def fetchall(self) -> list[Any]: ...


class RawConnection(Protocol):
    """What is used of a database driver's connection; both sqlite3 and psycopg have it."""

    def execute(self, sql: Any, parameters: Any = ..., /) -> Any: ...


class SqlReader:
    """Reads over one connection, on whatever snapshot that is in."""

    def __init__(self, connection: RawConnection, statements: Statements) -> None:
        self._connection = connection
        self._statements = statements

    def _run(self, name: str, values: Mapping[str, object] | None = None) -> Cursor:
        statement = self._statements[name]
        parameters = {**statement.constants, **values} if values else statement.constants
        cursor: Cursor = self._connection.execute(statement.sql, parameters)
        return cursor

    def _transactions(self, name: str, **values: object) -> list[Transaction]:
        return [rows.transaction(row) for row in self._run(name, values).fetchall()]

    def transaction(self, transaction_id: str) -> Transaction | None:
        """The transaction of this id."""
        row = self._run("transaction", {"id": transaction_id}).fetchone()
        return rows.transaction(row) if row else None

    def open_transactions(self) -> list[Transaction]:
        """All that are not final, in no order."""
        return self._transactions("open_transactions")

    def terminal_transactions(
        self,
        terminal_id: str,
        *,
        offset: int,
        limit: int,
        types: Collection[TransactionType] = tuple(TransactionType),
    ) -> tuple[int, list[Transaction]]:
        """How many of these types the terminal has, and one page of them, newest first."""
        which: dict[str, object] = {"terminal_id": terminal_id}
        which |= {name: kind if kind in types else None for name, kind in TYPE_PARAMETERS.items()}
        count = self._run("count_transactions", which).fetchone()[0]
        page = self._transactions("terminal_transactions", **which, offset=offset, limit=limit)
        return count, page

    def newest_transactions(self, limit: int) -> list[Transaction]:
        """The newest of all terminals, newest first."""
        return self._transactions("newest_transactions", limit=limit)

    def by_reference(self, organisation_id: str, reference: str) -> list[Transaction]:
        """The organisation's transactions under the till's reference, oldest first."""
        return self._transactions(
            "by_reference", organisation_id=organisation_id, reference=reference
        )

    def ended_between(self, terminal_id: str, begin: Instant, end: Instant) -> list[Transaction]:
        """Transactions of the terminal that ended in [begin, end), oldest first."""
        return self._transactions("ended_between", terminal_id=terminal_id, begin=begin, end=end)

    def queue(self, terminal_id: str) -> list[Transaction]:
        """ACCEPTED transactions that do not hold the terminal, oldest first."""
        return self._transactions("queue", terminal_id=terminal_id)

    def hold(self, terminal_id: str) -> Hold | None:
        """Who holds the terminal."""
        row = self._run("hold", {"terminal_id": terminal_id}).fetchone()
        return Hold(*row) if row and row[1] is not None else None

    def events(self, transaction_id: str) -> list[Event]:
        """The transaction's events in order."""
        cursor = self._run("events", {"transaction_id": transaction_id})
        return [rows.event(row) for row in cursor.fetchall()]

    def events_after(self, position: int, limit: int) -> list[Event]:
        """Events of all transactions behind `position`, in commit order."""
        cursor = self._run("events_after", {"position": position, "limit": limit})
        return [rows.event(row) for row in cursor.fetchall()]

    def discrepancies(self, *, open_only: bool = True) -> list[Discrepancy]:
        """Discrepancies, oldest first."""
        cursor = self._run("open_discrepancies" if open_only else "all_discrepancies")
        return [rows.discrepancy(row) for row in cursor.fetchall()]

    def estate(self) -> Estate:
        """The whole estate."""

        def everything(kind: type[rows.S]) -> list[rows.S]:
            cursor = self._run(f"all_{rows.ESTATE_TABLES[kind].name}")
            return [rows.estate_thing(kind, row) for row in cursor.fetchall()]

        return Estate(
            version=self.estate_version(),
            organisations=everything(Organisation),
            api_keys=everything(ApiKey),
            merchants=everything(Merchant),
            stores=everything(Store),
            terminals=everything(Terminal),
            devices=everything(Device),
        )

    def estate_version(self) -> int:
        """A number that grows with every change of the estate."""
        row = self._run("estate_version").fetchone()
        return row[0] if row else 0


class SqlUnit(SqlReader):
    """One unit of work inside a database transaction that somebody else begins and commits."""

    def __init__(
        self, connection: RawConnection, statements: Statements, events: list[Event]
    ) -> None:
        """Events gather in `events`, which whoever commits writes before it does: those of a
        whole group at once, in the order of its units."""
        super().__init__(connection, statements)
        self._events = events
        self.wrote = False
        """Whether anything was written: if not, a failed unit leaves nothing to roll back."""

    def _write(self, name: str, values: Mapping[str, object] | None = None) -> Cursor:
        self.wrote = True
        return self._run(name, values)

    def insert(self, transaction: Transaction, events: Sequence[Event]) -> None:
        """A new transaction with its first events."""
        assert events[-1].sequence == transaction.version == len(events)
        self._write("insert_transaction", rows.insert_values(transaction))
        self._events += events

    def update(self, before: Transaction, after: Transaction, events: Sequence[Event]) -> None:
        """Write `after` over `before`. Raises `StaleError` when the journal has moved on."""
        assert before.id == after.id
        assert after.version == before.version + len(events) == events[-1].sequence
        values = rows.moving_values(after)
        values["is_id"] = before.id
        values["was_version"] = before.version
        wrote = self.wrote
        if self._write("update_transaction", values).rowcount != 1:
            self.wrote = wrote  # so its group need not be run again without it
            raise StaleError(
                f"Transaction {before.id} is not at version {before.version} any more."
            )
        self._events += events

    def seize(
        self, terminal_id: str, transaction_id: str, owner: str, deadline: Instant | None
    ) -> int | None:
        """Hold a free terminal; the fencing token, or None when somebody holds it."""
        wrote = self.wrote
        row = self._write(
            "seize",
            {
                "terminal_id": terminal_id,
                "transaction_id": transaction_id,
                "owner": owner,
                "deadline": deadline,
            },
        ).fetchone()
        if row is None:
            self.wrote = wrote
            return None
        token: int = row[0]
        return token

    def pass_on(self, held: Transaction, owner: str) -> Hold | None:
        """Let go of the terminal, to the oldest waiting transaction in its queue."""
        row = self._write(
            "pass_on",
            {
                "terminal_id": held.terminal_id,
                "transaction_id": held.id,
                "token": held.token,
                "owner": owner,
            },
        ).fetchone()
        if row is None:
            raise StaleError(f"Transaction {held.id} does not hold its terminal with {held.token}.")
        successor, token = row
        return Hold(held.terminal_id, successor, owner, token, None) if successor else None

    def follow_ups(self, original_id: str) -> list[Transaction]:
        """Transactions that name the original, under a lock on the original's row."""
        self._run("lock_transaction", {"id": original_id})
        return self._transactions("follow_ups", original_id=original_id)

    def idempotent(self, organisation_id: str, key: str) -> tuple[str, str] | None:
        """(transaction id, fingerprint) accepted earlier under this key."""
        row = self._run("idempotent", {"organisation_id": organisation_id, "key": key}).fetchone()
        return (row[0], row[1]) if row else None

    def remember_key(
        self, organisation_id: str, key: str, fingerprint: str, transaction_id: str, at: Instant
    ) -> None:
        """Accepted under this key."""
        self._write(
            "remember_key",
            {
                "organisation_id": organisation_id,
                "key": key,
                "fingerprint": fingerprint,
                "transaction_id": transaction_id,
                "at": at,
            },
        )

    def open_discrepancy(self, transaction_id: str, at: Instant, known: str, heard: str) -> bool:
        """Open one; False, and nothing written, when the same, or too many, are open already."""
        same = self._run("same_discrepancy", {"transaction_id": transaction_id, "heard": heard})
        if same.fetchone() is not None or self._disputes(transaction_id) >= MOST_DISPUTES:
            return False
        self._write(
            "insert_discrepancy",
            {
                "transaction_id": transaction_id,
                "at": at,
                "known": known,
                "heard": heard,
                "closed_by": "",
                "reason": "",
            },
        )
        return True

    def is_disputed(self, transaction_id: str) -> bool:
        """Whether the transaction has an open discrepancy."""
        return self._disputes(transaction_id) > 0

    def _disputes(self, transaction_id: str) -> int:
        count: int = self._run("disputes", {"transaction_id": transaction_id}).fetchone()[0]
        return count

    def close_discrepancy(self, number: int, at: Instant, person: str, reason: str) -> bool:
        """Close an open one; False when there is none of this number."""
        values = {"number": number, "at": at, "person": person, "because": reason}
        return self._write("close_discrepancy", values).rowcount == 1

    def used_key(self, number: int, at: Instant) -> None:
        """An API key was used; no change of the estate that anybody must hear of."""
        self._write("used_key", {"number": number, "at": at})

    def put(self, thing: EstateThing) -> None:
        """Create or overwrite a thing of the estate."""
        table = rows.ESTATE_TABLES[type(thing)]
        self._write(f"put_{table.name}", rows.estate_values(thing))
        self._write("estate_changed")
