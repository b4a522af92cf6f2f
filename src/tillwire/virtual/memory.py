"""What lasts in the virtual world: one SQLite file of its own, beside the journal.

It holds what every terminal did with every transaction (`Deed`), the acquirer's ledger, the scripts
that were set; and of each terminal its boot number, its period, the cards that it has read, what it
shows and what it has printed. A commit needs to outlive the gateway's death, not the machine's, so
there is no fsync in it (`synchronous=NORMAL` in WAL mode). A deed is never deleted; a terminal that
lost its memory merely has a newer boot number than its deeds, so that no id is ever charged twice.

The tables themselves are in `schema.py`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from tillwire.clock import Instant
from tillwire.core.model import Outcome, State, Terms, TransactionType
from tillwire.core.totals import Ending
from tillwire.journal.committer import SqliteCommitter, connect, translated
from tillwire.virtual.acquirer import Entry
from tillwire.virtual.schema import prepare
from tillwire.virtual.script import Script

MOST_READINGS: Final = 100
"""Cards that a terminal remembers to have read."""
MOST_PRINTOUTS: Final = 20
"""Printouts that are kept of a terminal: the last ones."""

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


class Screen(msgspec.Struct, frozen=True):
    """What a till had shown on a terminal last."""

    text: str
    at: Instant


class Printout(msgspec.Struct, frozen=True):
    """What came out of a terminal's printer."""

    text: str
    signature: bool
    """Whether the customer had to sign it."""
    at: Instant


class Page:
    """One unit of work on the world, inside a database transaction that somebody else ends."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.wrote = False

    def _write(self, sql: str, values: Sequence[Any]) -> sqlite3.Cursor:
        self.wrote = True
        return self._connection.execute(sql, values)

    # --- transactions -------------------------------------------------------------------------

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

    def last_deed(
        self, terminal_id: str, *, done: bool = False, printed: bool = False
    ) -> Deed | None:
        """The terminal's newest deed; `done`: of those that do not wait for a cardholder;
        `printed`: of those that the acquirer was asked about."""
        row = self._connection.execute(
            "SELECT * FROM deeds WHERE terminal_id = ? AND waiting <= ? "
            "AND (entry IS NOT NULL) >= ? ORDER BY number DESC LIMIT 1",
            (terminal_id, not done, printed),
        ).fetchone()
        return _deed(row) if row else None

    def booked(
        self, terminal_id: str, begin: Instant, end: Instant, after: int, limit: int
    ) -> list[Deed]:
        """The terminal's deeds behind this number that are done, in [begin, end), and that the
        acquirer was asked about, oldest first."""
        rows = self._connection.execute(
            "SELECT * FROM deeds WHERE terminal_id = ? AND number > ? AND waiting = 0 "
            "AND entry IS NOT NULL AND acts_at >= ? AND acts_at < ? ORDER BY number LIMIT ?",
            (terminal_id, after, begin, end, limit),
        )
        return [_deed(row) for row in rows]

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
                "approved, at, asked, original, brand) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    deed.transaction_id,
                    entry.terminal,
                    entry.type.value,
                    entry.amount,
                    entry.currency,
                    entry.reference,
                    entry.approved,
                    entry.at,
                    entry.asked,
                    entry.original,
                    deed.outcome.brand,
                ),
            )
        if deed.restart:
            self._write(
                "INSERT INTO terminals (id, boot) VALUES (?, 2) "
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

    # --- scripts ------------------------------------------------------------------------------

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

    # --- the ledger and its periods -----------------------------------------------------------

    def entries(self, terminal: str | None) -> list[Entry]:
        """The ledger, oldest first; of one terminal by its name, or of all."""
        columns = (
            "SELECT terminal, type, amount, currency, reference, approved, at, asked, original "
            "FROM ledger "
        )
        rows = (
            self._connection.execute(columns + "ORDER BY number")
            if terminal is None
            else self._connection.execute(
                columns + "WHERE terminal = ? ORDER BY number", (terminal,)
            )
        )
        return [
            Entry(name, TransactionType(kind), amount, currency, reference, bool(approved), *rest)
            for name, kind, amount, currency, reference, approved, *rest in rows
        ]

    def period(self, terminal_id: str) -> tuple[int, int]:
        """The number of the terminal's open period, from 1, and the last entry of the ledger
        before it."""
        row = self._connection.execute(
            "SELECT period, closed FROM terminals WHERE id = ?", (terminal_id,)
        ).fetchone()
        return row or (1, 0)

    def endings(self, terminal: str, after: int) -> list[Ending]:
        """What there is to be counted of the terminal of this name, after that entry. An acquirer
        knows neither registers nor operators."""
        rows = self._connection.execute(
            "SELECT entry.type, entry.approved, entry.asked, entry.amount, entry.currency, "
            "entry.brand, original.type FROM ledger AS entry "
            "LEFT JOIN ledger AS original ON original.transaction_id = entry.original "
            "WHERE entry.terminal = ? AND entry.number > ? ORDER BY entry.number",
            (terminal, after),
        )
        return [
            Ending(
                type=TransactionType(kind),
                state=State.APPROVED if approved else State.DECLINED,
                asked=asked,
                approved=amount,
                currency=currency,
                brand=brand,
                register="",
                terms=Terms(),
                original_type=TransactionType(original) if original else None,
            )
            for kind, approved, asked, amount, currency, brand, original in rows
        ]

    def close_period(self, terminal_id: str, terminal: str) -> None:
        """End the period of the terminal of this id and name with the ledger's last entry of it,
        and begin the next one."""
        (last,) = self._connection.execute(
            "SELECT max(number) FROM ledger WHERE terminal = ?", (terminal,)
        ).fetchone()
        self._write(
            "INSERT INTO terminals (id, boot, period, closed) VALUES (?1, 1, 2, ?2) "
            "ON CONFLICT (id) DO UPDATE SET period = period + 1, closed = max(closed, ?2)",
            (terminal_id, last or 0),
        )

    # --- errands ------------------------------------------------------------------------------

    def add_reading(self, terminal_id: str, card: str, last4: str) -> None:
        """The terminal has read a card, which is called `card` from now on; the oldest ones are
        forgotten."""
        boot, _ = self.boot_and_number(terminal_id)
        number = self._next("readings", terminal_id)
        self._write(
            "INSERT INTO readings (card, terminal_id, number, boot, last4) VALUES (?, ?, ?, ?, ?)",
            (card, terminal_id, number, boot, last4),
        )
        self._forget("readings", terminal_id, number - MOST_READINGS)

    def card_read(self, terminal_id: str, card: str) -> str | None:
        """The last four digits of a card that the terminal has read and not forgotten."""
        row = self._connection.execute(
            "SELECT last4 FROM readings WHERE card = ? AND terminal_id = ? AND boot = "
            "coalesce((SELECT boot FROM terminals WHERE id = readings.terminal_id), 1)",
            (card, terminal_id),
        ).fetchone()
        return row[0] if row else None

    def show(self, terminal_id: str, text: str, at: Instant) -> None:
        """The terminal shows a text."""
        self._write(
            "INSERT INTO screens (terminal_id, text, at) VALUES (?, ?, ?) "
            "ON CONFLICT (terminal_id) DO UPDATE SET text = excluded.text, at = excluded.at",
            (terminal_id, text, at),
        )

    def screen(self, terminal_id: str) -> Screen | None:
        """What the terminal was told to show last."""
        row = self._connection.execute(
            "SELECT text, at FROM screens WHERE terminal_id = ?", (terminal_id,)
        ).fetchone()
        return Screen(*row) if row else None

    def print(self, terminal_id: str, printout: Printout) -> None:
        """The terminal prints; what it printed long ago is gone."""
        number = self._next("printouts", terminal_id)
        self._write(
            "INSERT INTO printouts (terminal_id, number, text, signature, at) "
            "VALUES (?, ?, ?, ?, ?)",
            (terminal_id, number, printout.text, printout.signature, printout.at),
        )
        self._forget("printouts", terminal_id, number - MOST_PRINTOUTS)

    def printouts(self, terminal_id: str) -> list[Printout]:
        """The terminal's last printouts, oldest first."""
        rows = self._connection.execute(
            "SELECT text, signature, at FROM printouts WHERE terminal_id = ? ORDER BY number",
            (terminal_id,),
        )
        return [Printout(text, bool(signature), at) for text, signature, at in rows]

    def _next(self, table: Literal["readings", "printouts"], terminal_id: str) -> int:
        (last,) = self._connection.execute(
            f"SELECT max(number) FROM {table} WHERE terminal_id = ?",  # noqa: S608 - a table of ours
            (terminal_id,),
        ).fetchone()
        return (last or 0) + 1

    def _forget(
        self, table: Literal["readings", "printouts"], terminal_id: str, until: int
    ) -> None:
        self._write(
            f"DELETE FROM {table} WHERE terminal_id = ? AND number <= ?",  # noqa: S608 - likewise
            (terminal_id, until),
        )


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
    `JournalError`, or `ConfigurationError` when it is of a newer version than this program."""
    prepare(path)
    return SqliteCommitter(path, Page, synchronous="NORMAL")


def read_ledger(path: Path, terminal: str | None) -> list[Entry]:
    """The ledger, on a connection of its own, so that a long one holds nobody up. Blocks."""
    connection = connect(path, read_only=True)
    try:
        return Page(connection).entries(terminal)
    except sqlite3.Error as error:
        raise translated(error, path) from error
    finally:
        connection.close()
