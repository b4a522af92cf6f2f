"""Readers: the journal's reading port, in SQL over one connection of a driver.

Both databases are the same here: statements come compiled (`statements.py`), values come and go
through `rows.py`. What is written is `unit.py`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Protocol

from tillwire.clock import Instant, first_id
from tillwire.core.estate import Estate
from tillwire.core.estate_model import (
    ApiKey,
    Application,
    ClientApp,
    Device,
    Hook,
    Merchant,
    Organisation,
    PairingCode,
    Register,
    SealedKey,
    Store,
    Terminal,
)
from tillwire.core.letters import Letter, LetterState
from tillwire.core.model import (
    Discrepancy,
    Event,
    Exchange,
    Session,
    Transaction,
    TransactionType,
)
from tillwire.core.ports import Hold, LanePort
from tillwire.core.totals import Closing, Ending
from tillwire.journal import rows
from tillwire.journal.statements import KIND_PARAMETERS, TYPE_PARAMETERS, Statements


class Cursor(Protocol):
    """What is used of a DB-API cursor."""

    @property
    def rowcount(self) -> int: ...
    def fetchone(self) -> Any: ...  # Any: a row is whatever the driver makes of it
    def fetchall(self) -> list[Any]: ...
    def __iter__(self) -> Iterator[Any]: ...


class RawConnection(Protocol):
    """What is used of a database driver's connection; both sqlite3 and psycopg have it."""

    def execute(self, sql: Any, parameters: Any = ..., /) -> Any: ...
    def executemany(self, sql: Any, parameters: Any, /) -> Any: ...


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

    def newest_at(self, terminal_id: str, limit: int) -> list[Transaction]:
        """The newest of the terminal, newest first."""
        return self._transactions(
            "terminal_transactions",
            terminal_id=terminal_id,
            **{name: kind.value for name, kind in TYPE_PARAMETERS.items()},
            offset=0,
            limit=limit,
        )

    def transactions_between(
        self, terminal_id: str, first: str, behind: str, limit: int
    ) -> list[Transaction]:
        """The newest of the terminal whose ids are in [first, behind), newest first."""
        return self._transactions(
            "transactions_between",
            terminal_id=terminal_id,
            first=first,
            behind=behind,
            limit=limit,
        )

    def transactions_in(self, begin: Instant, end: Instant) -> Iterator[Transaction]:
        """All that were accepted in [begin, end), oldest first; to be read before the snapshot
        ends."""
        values = {"first": first_id(begin), "behind": first_id(end)}
        return map(rows.transaction, self._run("transactions_in", values))

    def newest_transactions(self, limit: int) -> list[Transaction]:
        """The newest of all terminals, newest first."""
        return self._transactions("newest_transactions", limit=limit)

    def by_reference(self, organisation_id: str, reference: str) -> list[Transaction]:
        """The organisation's transactions under the till's reference, oldest first."""
        return self._transactions(
            "by_reference", organisation_id=organisation_id, reference=reference
        )

    def referenced_before(
        self, organisation_id: str, reference: str, behind: str, limit: int
    ) -> list[Transaction]:
        """The organisation's newest under the till's reference whose ids are before `behind`,
        newest first."""
        return self._transactions(
            "referenced_before",
            organisation_id=organisation_id,
            reference=reference,
            behind=behind,
            limit=limit,
        )

    def newest_by_reference(
        self, organisation_id: str, reference: str, tid: str, terminal_id: str, limit: int
    ) -> list[Transaction]:
        """The newest under the till's reference and a TID, newest first; and of the terminal those
        from before it had any."""
        return self._transactions(
            "newest_by_reference",
            organisation_id=organisation_id,
            reference=reference,
            named=f'"tid":{rows.json_text(tid)}',
            terminal_id=terminal_id,
            limit=limit,
        )

    def ended_between(self, terminal_id: str, begin: Instant, end: Instant) -> list[Transaction]:
        """Transactions of the terminal that ended in [begin, end), oldest first."""
        return self._transactions("ended_between", terminal_id=terminal_id, begin=begin, end=end)

    def follow_ups(self, original_id: str) -> list[Transaction]:
        """Transactions that name the original, oldest first."""
        return self._transactions("follow_ups", original_id=original_id)

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
            applications=everything(Application),
            hooks=everything(Hook),
            registers=everything(Register),
            client_apps=everything(ClientApp),
            sealed_keys=everything(SealedKey),
        )

    def estate_version(self) -> int:
        """A number that grows with every change of the estate."""
        row = self._run("estate_version").fetchone()
        return row[0] if row else 0

    def pairing_code(self, digest: bytes) -> PairingCode | None:
        """The code of this digest that was not used."""
        row = self._run("pairing_code", {"is_digest": digest}).fetchone()
        return rows.pairing_code(row) if row else None

    def lane_ports(self) -> list[LanePort]:
        """The ports that were set, by the lanes' names."""
        return [LanePort(*row) for row in self._run("all_lane_ports").fetchall()]

    # --- tills' messages, sessions and periods ----------------------------------------------

    def _exchange(self, name: str, **values: object) -> Exchange | None:
        row = self._run(name, values).fetchone()
        return rows.exchange(row) if row else None

    def exchange(
        self, terminal_id: str, dialect: str, register: str, number: str
    ) -> Exchange | None:
        """The register's newest one of this number."""
        return self._exchange(
            "exchange", terminal_id=terminal_id, dialect=dialect, register=register, number=number
        )

    def last_exchange(
        self, terminal_id: str, dialect: str, register: str, kinds: Collection[str]
    ) -> Exchange | None:
        """The register's newest one of these kinds."""
        assert len(kinds) <= len(KIND_PARAMETERS), "a dialect asks for a few kinds"
        which: dict[str, object] = dict.fromkeys(KIND_PARAMETERS)
        which.update(zip(KIND_PARAMETERS, kinds, strict=False))
        return self._exchange(
            "last_exchange", terminal_id=terminal_id, dialect=dialect, register=register, **which
        )

    def exchange_of(self, transaction_id: str) -> Exchange | None:
        """The one that asked for the transaction."""
        return self._exchange("exchange_of", transaction_id=transaction_id)

    def exchanges_by_chain(self, organisation_id: str, chain: str, limit: int) -> list[Exchange]:
        """Those of a chain, newest first."""
        values = {"organisation_id": organisation_id, "chain": chain, "limit": limit}
        return [rows.exchange(row) for row in self._run("exchanges_by_chain", values).fetchall()]

    def has_old_exchanges(self, before: Instant) -> bool:
        """Whether any that moved no money is older."""
        return self._run("old_exchange", {"before": before}).fetchone() is not None

    # --- what we must tell others -----------------------------------------------------------

    def _letters(self, name: str, **values: object) -> list[Letter]:
        return [rows.letter(row) for row in self._run(name, values).fetchall()]

    def waiting_letters(self, after: int, limit: int) -> list[Letter]:
        """Letters behind this id that wait, in the order in which they were committed."""
        return self._letters("waiting_letters", after=after, limit=limit)

    def letter(self, letter_id: int) -> Letter | None:
        """The letter of this id."""
        row = self._run("letter", {"number": letter_id}).fetchone()
        return rows.letter(row) if row else None

    def letters_of(self, transaction_id: str) -> list[Letter]:
        """What is told of a transaction, in the order in which it was committed."""
        return self._letters("letters_of", transaction_id=transaction_id)

    def letters_on(self, channel: str, limit: int) -> list[Letter]:
        """The channel's newest letters, newest first."""
        return self._letters("letters_on", channel=channel, limit=limit)

    def letters_in(self, state: LetterState, limit: int) -> list[Letter]:
        """The newest letters in this state, newest first."""
        return self._letters("letters_in", state=state.value, limit=limit)

    def count_letters(self, state: LetterState) -> int:
        """How many are in this state."""
        count: int = self._run("count_letters", {"state": state.value}).fetchone()[0]
        return count

    def has_old_letters(self, before: Instant) -> bool:
        """Whether any that waits no more is older."""
        return self._run("old_letter", {"before": before}).fetchone() is not None

    # --- sessions and periods ---------------------------------------------------------------

    def sessions(self) -> list[Session]:
        """All that are open, in no order."""
        return [rows.session(row) for row in self._run("all_sessions").fetchall()]

    def closing(self, terminal_id: str, number: int) -> Closing | None:
        """The end of a terminal's period of this number."""
        row = self._run("closing", {"terminal_id": terminal_id, "number": number}).fetchone()
        return rows.closing(row) if row else None

    def last_closing(self, terminal_id: str) -> Closing | None:
        """The end of a terminal's newest period that has one."""
        row = self._run("last_closing", {"terminal_id": terminal_id}).fetchone()
        return rows.closing(row) if row else None

    def period_at(self, terminal_id: str, position: int) -> int:
        """The number of the terminal's period that takes in the event at this position."""
        values = {"terminal_id": terminal_id, "position": position}
        row = self._run("closings_before", values).fetchone()
        return (row[0] if row else 0) + 1

    def newest_position(self) -> int:
        """The position of the newest event; 0 when there is none."""
        return self._run("newest_position").fetchone()[0] or 0

    def ended_where(self, transaction_id: str) -> int | None:
        """The position of the event that made a transaction final."""
        row = self._run("ended_where", {"transaction_id": transaction_id}).fetchone()
        return row[0] if row else None

    def ended_count(self, terminal_id: str) -> int:
        """How many transactions of the terminal have ended."""
        count: int = self._run("ended_count", {"terminal_id": terminal_id}).fetchone()[0]
        return count

    def first_accepted_at(self, terminal_id: str) -> Instant | None:
        """When the terminal's first transaction was accepted."""
        row = self._run("first_of_terminal", {"terminal_id": terminal_id}).fetchone()
        return Instant(row[0]) if row else None

    def endings(self, terminal_id: str, since: Instant, position: int) -> Iterator[Ending]:
        """The terminal's transactions that ended, by their own clock, at `since` or later, and
        whose final event stands behind `position`; to be read before the snapshot ends."""
        values = {"terminal_id": terminal_id, "since": since, "position": position}
        return map(rows.ending, self._run("endings", values))


class SqlSnapshot(SqlReader):
    """Reads on a snapshot of its own."""

    def release(self) -> None:
        """Let go of it: nothing more is read of it."""
        self._connection.execute("COMMIT")
