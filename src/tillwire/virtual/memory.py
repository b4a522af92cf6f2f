"""What lasts in the virtual world: one SQLite file of its own, beside the journal.

It holds each terminal's boot number, what every terminal did with every transaction (`Deed`), the
scripts that were set, and the acquirer's ledger. A commit needs to outlive the gateway's death,
not the machine's, so there is no fsync in it (`synchronous=NORMAL` in WAL mode). A deed is never
deleted; a terminal that lost its memory merely has a newer boot number than its deeds, so that no
id is ever charged twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from tillwire.clock import Instant
from tillwire.core.model import Outcome, TransactionType
from tillwire.errors import ConfigurationError
from tillwire.journal.committer import SqliteCommitter, connect, translated
from tillwire.virtual.acquirer import Entry
from tillwire.virtual.script import Script

SCHEMA: Final = 1
"""The file's `user_version`."""

_TABLES: Final = f"""
BEGIN;
CREATE TABLE IF NOT EXISTS terminals (id TEXT PRIMARY KEY, boot INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deeds (
    transaction_id TEXT PRIMARY KEY, terminal_id TEXT NOT NULL, boot INTEGER NOT NULL,
    number INTEGER NOT NULL, waiting INTEGER NOT NULL, acts_at INTEGER NOT NULL,
    restart INTEGER NOT NULL, outcome TEXT NOT NULL, entry TEXT
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS deeds_of_terminal ON deeds (terminal_id, number);
CREATE INDEX IF NOT EXISTS deeds_waiting ON deeds (acts_at) WHERE waiting = 1;
CREATE TABLE IF NOT EXISTS ledger (
    number INTEGER PRIMARY KEY, transaction_id TEXT NOT NULL UNIQUE, terminal TEXT NOT NULL,
    type TEXT NOT NULL, amount INTEGER NOT NULL, currency TEXT NOT NULL, reference TEXT NOT NULL,
    approved INTEGER NOT NULL, at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS ledger_of_terminal ON ledger (terminal, number);
CREATE TABLE IF NOT EXISTS scripts (
    terminal_id TEXT PRIMARY KEY, script TEXT NOT NULL, times INTEGER NOT NULL
) WITHOUT ROWID;
PRAGMA user_version = {SCHEMA};
COMMIT;
"""

_encode = msgspec.json.Encoder().encode
_outcome = msgspec.json.Decoder(Outcome)
_entry = msgspec.json.Decoder(Entry)
_script = msgspec.json.Decoder(Script)


class Deed(msgspec.Struct, frozen=True):
    """What a terminal did with a transaction, or is about to do when the cardholder acts."""

    transaction_id: str
    terminal_id: str
    boot: int
    """The terminal's boot number when the transaction arrived."""
    number: int
    """The terminal's own count of its transactions, from 1."""
    waiting: bool
    """Whether the cardholder has yet to act."""
    acts_at: Instant
    """When the cardholder acts, or acted."""
    restart: bool
    """Whether the terminal restarts without its memory when it is done."""
    outcome: Outcome
    entry: Entry | None
    """What the ledger gets when it is done."""


class SetScript(msgspec.Struct, frozen=True):
    """A script that was set for a terminal."""

    script: Script
    times: int
    """For how many transactions more."""


class Page:
    """One unit of work on the world, inside a database transaction that somebody else ends."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.wrote = False

    def _write(self, sql: str, values: Sequence[Any]) -> sqlite3.Cursor:
        self.wrote = True
        return self._connection.execute(sql, values)

    def boot_and_number(self, terminal_id: str) -> tuple[int, int]:
        """The terminal's boot number, and the number of its next transaction."""
        boot, last = self._connection.execute(
            "SELECT (SELECT boot FROM terminals WHERE id = ?1), "
            "(SELECT max(number) FROM deeds WHERE terminal_id = ?1)",
            (terminal_id,),
        ).fetchone()
        return boot or 1, (last or 0) + 1

    def deed(self, transaction_id: str) -> Deed | None:
        """What became of the transaction in this world."""
        row = self._connection.execute(
            "SELECT * FROM deeds WHERE transaction_id = ?", (transaction_id,)
        ).fetchone()
        return _deed(row) if row else None

    def add(self, deed: Deed) -> bool:
        """Write a new deed, and its entry unless it waits. False when there is one already."""
        added = self._write(
            "INSERT INTO deeds VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (
                deed.transaction_id,
                deed.terminal_id,
                deed.boot,
                deed.number,
                deed.waiting,
                deed.acts_at,
                deed.restart,
                _encode(deed.outcome).decode(),
                _encode(deed.entry).decode() if deed.entry else None,
            ),
        )
        if added.rowcount == 0:
            return False
        if not deed.waiting:
            self._take_effect(deed)
        return True

    def finish(self, deed: Deed) -> None:
        """The cardholder of a waiting deed acts, or it is given up: `deed` is how it ends."""
        assert not deed.waiting
        done = self._write(
            "UPDATE deeds SET waiting = 0, acts_at = ?, restart = ?, outcome = ?, entry = ? "
            "WHERE transaction_id = ? AND waiting = 1",
            (
                deed.acts_at,
                deed.restart,
                _encode(deed.outcome).decode(),
                _encode(deed.entry).decode() if deed.entry else None,
                deed.transaction_id,
            ),
        )
        assert done.rowcount == 1, "only a waiting deed is finished"
        self._take_effect(deed)

    def _take_effect(self, deed: Deed) -> None:
        if (entry := deed.entry) is not None:
            self._write(
                "INSERT INTO ledger (transaction_id, terminal, type, amount, currency, reference, "
                "approved, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    deed.transaction_id,
                    entry.terminal,
                    entry.type.value,
                    entry.amount,
                    entry.currency,
                    entry.reference,
                    entry.approved,
                    entry.at,
                ),
            )
        if deed.restart:
            self._write(
                "INSERT INTO terminals VALUES (?, 2) "
                "ON CONFLICT (id) DO UPDATE SET boot = boot + 1",
                (deed.terminal_id,),
            )

    def waiting(self, until: Instant | None = None) -> list[Deed]:
        """Deeds whose cardholder has yet to act; with `until`, those that are due by then."""
        rows = self._connection.execute(
            "SELECT * FROM deeds WHERE waiting = 1 AND acts_at <= ? ORDER BY acts_at",
            (2**62 if until is None else until,),
        )
        return [_deed(row) for row in rows]

    def set_script(self, terminal_id: str, chosen: SetScript | None) -> None:
        """Set, or with None remove, a terminal's script."""
        if chosen is None or chosen.times == 0:
            self._write("DELETE FROM scripts WHERE terminal_id = ?", (terminal_id,))
            return
        self._write(
            "INSERT INTO scripts VALUES (?, ?, ?) ON CONFLICT (terminal_id) "
            "DO UPDATE SET script = excluded.script, times = excluded.times",
            (terminal_id, _encode(chosen.script).decode(), chosen.times),
        )

    def scripts(self) -> dict[str, SetScript]:
        """All scripts that are set, by terminal id."""
        rows = self._connection.execute("SELECT terminal_id, script, times FROM scripts")
        return {row[0]: SetScript(_script.decode(row[1]), row[2]) for row in rows}

    def entries(self, terminal: str | None) -> list[Entry]:
        """The ledger, oldest first; of one terminal by its name, or of all."""
        columns = "SELECT terminal, type, amount, currency, reference, approved, at FROM ledger "
        rows = (
            self._connection.execute(columns + "ORDER BY number")
            if terminal is None
            else self._connection.execute(
                columns + "WHERE terminal = ? ORDER BY number", (terminal,)
            )
        )
        return [
            Entry(name, TransactionType(kind), amount, currency, reference, bool(approved), at)
            for name, kind, amount, currency, reference, approved, at in rows
        ]


def _deed(row: Sequence[Any]) -> Deed:
    transaction_id, terminal_id, boot, number, waiting, acts_at, restart, outcome, entry = row
    return Deed(
        transaction_id,
        terminal_id,
        boot,
        number,
        bool(waiting),
        acts_at,
        bool(restart),
        _outcome.decode(outcome),
        _entry.decode(entry) if entry else None,
    )


def committer_of(path: Path) -> SqliteCommitter[Page]:
    """The world's one writing connection; the file is created if it is not there. Raises
    `JournalError`, or `ConfigurationError` when it is not a world of this version."""
    _prepare(path)
    return SqliteCommitter(path, Page, synchronous="NORMAL")


def _prepare(path: Path) -> None:
    connection = connect(path, synchronous="NORMAL")
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, SCHEMA):
            raise ConfigurationError(f"{path} belongs to another version of tillwire.")
        if version == 0:
            connection.executescript(_TABLES)
    except sqlite3.Error as error:
        raise translated(error, path) from error
    finally:
        connection.close()


def read_ledger(path: Path, terminal: str | None) -> list[Entry]:
    """The ledger, on a connection of its own, so that a long one holds nobody up. Blocks."""
    connection = connect(path, read_only=True)
    try:
        return Page(connection).entries(terminal)
    except sqlite3.Error as error:
        raise translated(error, path) from error
    finally:
        connection.close()
