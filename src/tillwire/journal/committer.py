"""SQLite files as the journal wants them: how they are opened, how their errors read, and the one
connection that writes. The virtual world keeps its file in the same way.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

from tillwire.errors import JournalBusy, JournalError, JournalFull, JournalReadOnly

BUSY_TIMEOUT: Final = 5.0
"""Seconds to wait for another program's write lock."""
CHECKPOINT_PAGES: Final = 8000
"""Pages of 4 KiB in the write-ahead log before it is folded into the file. A page that many sales
change is folded once; the log stays small enough to be read through at a start."""
CACHE_KIB: Final = 32_768
"""Memory of the writing connection for pages: the indexes' hot ones."""


class Tracked(Protocol):
    """A unit of work that knows whether it changed anything."""

    @property
    def wrote(self) -> bool: ...


class Gathering(Protocol):
    """What the units of a group leave to be written at its end, all at once."""

    def forget(self) -> None: ...
    def write(self, connection: sqlite3.Connection) -> None: ...


U = TypeVar("U", bound=Tracked)


def connect(
    path: Path, *, read_only: bool = False, synchronous: str = "FULL"
) -> sqlite3.Connection:
    """A connection as the journal wants it; a file that it makes can be read by its owner alone.
    Raises `JournalError` in words for a person."""
    mode = "ro" if read_only else "rwc"
    if not read_only:
        _make(path)
    try:
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode={mode}",
            uri=True,
            timeout=BUSY_TIMEOUT,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        if not read_only:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA foreign_keys = ON")
    except sqlite3.Error as error:
        raise translated(error, path) from error
    return connection


def _make(path: Path) -> None:
    # Only ever a file that was not there: to close one that SQLite has open in this process would
    # release its locks. What else is the matter with the path, SQLite tells. The files that it puts
    # beside this one have the same mode.
    with suppress(OSError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def translated(error: Exception, path: Path) -> Exception:
    """SQLite's errors in our own words; anything else as it is."""
    if not isinstance(error, sqlite3.Error):
        return error
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return JournalBusy(
            f"{path}: another program has been writing for more than {BUSY_TIMEOUT:g} seconds; "
            "stop it, then try again."
        )
    if code == sqlite3.SQLITE_FULL:
        return JournalFull(f"{path}: free some space; the gateway goes on by itself.")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return JournalReadOnly(f"{path}: make the file and its folder writable for this user.")
    if code == sqlite3.SQLITE_CANTOPEN:
        return JournalError(f"{path} cannot be opened: check that the folder exists.")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return JournalError(f"{path} is damaged or not a journal: restore it from a backup.")
    return JournalError(f"{path}: {error}.")


class SqliteCommitter(Generic[U]):
    """The writing connection, one database transaction at a time; for `writer.py`."""

    def __init__(
        self,
        path: Path,
        unit_on: Callable[[sqlite3.Connection], U],
        *,
        synchronous: str = "FULL",
        gathering: Gathering | None = None,
    ) -> None:
        """`unit_on` makes a unit of work on the connection; `gathering` is what a group's units
        leave to be written at its end. Raises `JournalError`."""
        self._path = path
        self._unit_on = unit_on
        self._gathering = gathering
        self._connection = connect(path, synchronous=synchronous)

    def begin(self) -> None:
        """Take the write lock, so that what a unit of work has read stays true until it ends."""
        if self._gathering is not None:
            self._gathering.forget()
        self._connection.execute("BEGIN IMMEDIATE")

    def unit(self) -> U:
        """A new unit of work."""
        return self._unit_on(self._connection)

    def wrote(self, unit: U) -> bool:
        """Whether the unit changed anything."""
        return unit.wrote

    def commit(self) -> None:
        """Make the units durable."""
        if self._gathering is not None:
            self._gathering.write(self._connection)
        self._connection.execute("COMMIT")

    def rollback(self) -> None:
        """Forget the units."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def translated(self, error: Exception) -> Exception:
        """SQLite's errors in our own words."""
        return translated(error, self._path)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()
