"""The file of the virtual world: its tables, and how an older one becomes one of today.

`user_version` says how many of the steps below were taken. Each is taken in one transaction, so a
gateway that dies meanwhile leaves a file that the next one takes further.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from tillwire.errors import ConfigurationError
from tillwire.journal.committer import connect, translated

_FIRST: Final = """
CREATE TABLE terminals (id TEXT PRIMARY KEY, boot INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE deeds (
    transaction_id TEXT PRIMARY KEY, terminal_id TEXT NOT NULL, boot INTEGER NOT NULL,
    number INTEGER NOT NULL, waiting INTEGER NOT NULL, acts_at INTEGER NOT NULL,
    restart INTEGER NOT NULL, outcome TEXT NOT NULL, entry TEXT
) WITHOUT ROWID;
CREATE UNIQUE INDEX deeds_of_terminal ON deeds (terminal_id, number);
CREATE INDEX deeds_waiting ON deeds (acts_at) WHERE waiting = 1;
CREATE TABLE ledger (
    number INTEGER PRIMARY KEY, transaction_id TEXT NOT NULL UNIQUE, terminal TEXT NOT NULL,
    type TEXT NOT NULL, amount INTEGER NOT NULL, currency TEXT NOT NULL, reference TEXT NOT NULL,
    approved INTEGER NOT NULL, at INTEGER NOT NULL
);
CREATE INDEX ledger_of_terminal ON ledger (terminal, number);
CREATE TABLE scripts (
    terminal_id TEXT PRIMARY KEY, script TEXT NOT NULL, times INTEGER NOT NULL
) WITHOUT ROWID;
"""

_ERRANDS: Final = """
ALTER TABLE terminals ADD COLUMN period INTEGER NOT NULL DEFAULT 1;
ALTER TABLE terminals ADD COLUMN closed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ledger ADD COLUMN asked INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ledger ADD COLUMN original TEXT;
ALTER TABLE ledger ADD COLUMN brand TEXT NOT NULL DEFAULT '';
UPDATE ledger SET asked = amount, brand = coalesce(
    (SELECT json_extract(outcome, '$.brand') FROM deeds
     WHERE deeds.transaction_id = ledger.transaction_id), '');
CREATE TABLE readings (
    card TEXT PRIMARY KEY, terminal_id TEXT NOT NULL, number INTEGER NOT NULL,
    boot INTEGER NOT NULL, last4 TEXT NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX readings_of_terminal ON readings (terminal_id, number);
CREATE TABLE screens (
    terminal_id TEXT PRIMARY KEY, text TEXT NOT NULL, at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE printouts (
    terminal_id TEXT NOT NULL, number INTEGER NOT NULL, text TEXT NOT NULL,
    signature INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (terminal_id, number)
) WITHOUT ROWID;
"""

_STEPS: Final = (_FIRST, _ERRANDS)
SCHEMA: Final = len(_STEPS)
"""The `user_version` of a file of today."""


def prepare(path: Path) -> None:
    """Create the file if it is not there, and bring an older one to today's schema. Raises
    `JournalError`, or `ConfigurationError` when it is of a newer version than this program."""
    connection = connect(path, synchronous="NORMAL")
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if not 0 <= version <= SCHEMA:
            raise ConfigurationError(f"{path} belongs to another version of tillwire.")
        for number, step in enumerate(_STEPS[version:], version + 1):
            connection.executescript(
                f"BEGIN IMMEDIATE; {step} PRAGMA user_version = {number}; COMMIT;"
            )
    except sqlite3.Error as error:
        raise translated(error, path) from error
    finally:
        connection.close()
