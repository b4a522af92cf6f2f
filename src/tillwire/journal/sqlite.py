"""The journal on SQLite: one file, WAL, `synchronous=FULL`, one writer, readers beside it.

A gateway that runs transactions owns the file (`ownership.py`), so two
gateways never drive the same terminals; other programs (the command line) may read it, and write
the estate, at the same time.
"""

from __future__ import annotations

import asyncio
import functools
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Final, TypeVar

from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from tillwire.core.ports import Reader, Unit
from tillwire.errors import (
    JournalBusy,
    JournalError,
    JournalFull,
    JournalReadOnly,
)
from tillwire.journal import schema
from tillwire.journal.ownership import take
from tillwire.journal.statements import Statements
from tillwire.journal.unit import SqlReader, SqlUnit
from tillwire.journal.writer import InlineWriter, Writer

T = TypeVar("T")

BUSY_TIMEOUT: Final = 5.0
"""Seconds to wait for another program's write lock."""
READERS: Final = 4
"""Threads that read beside the writer."""

# A compiled dialect without an engine: statements are run on sqlite3 itself.
_DIALECT: Final = SQLiteDialect_pysqlite(paramstyle="named")


def connect(
    path: Path, *, read_only: bool = False, synchronous: str = "FULL"
) -> sqlite3.Connection:
    """A connection as the journal wants it. Raises `JournalError` in words for a person."""
    mode = "ro" if read_only else "rwc"
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
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA foreign_keys = ON")
    except sqlite3.Error as error:
        raise translated(error, path) from error
    return connection


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


class _Committer:
    """The writing connection, one database transaction at a time."""

    def __init__(self, path: Path, statements: Statements) -> None:
        self._path = path
        self._statements = statements
        self._connection = connect(path)

    def begin(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def unit(self) -> SqlUnit:
        return SqlUnit(self._connection, self._statements)

    def wrote(self, unit: SqlUnit) -> bool:
        return unit.wrote

    def commit(self) -> None:
        self._connection.execute("COMMIT")

    def rollback(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def translated(self, error: Exception) -> Exception:
        return translated(error, self._path)

    def close(self) -> None:
        self._connection.close()


@functools.cache
def _statements() -> Statements:
    # Compiled once for all journals of a process: it takes longer than to open one.
    return Statements(_DIALECT)


class SqliteJournal:
    """The journal in one SQLite file."""

    def __init__(
        self,
        path: Path,
        *,
        own: bool = False,
        inline: bool = False,
        observe: Callable[[int, float], None] | None = None,
    ) -> None:
        """Open or create the journal at `path` and bring it to this version's schema.

        `own` does what the method does, before anything is touched. `inline` runs everything on
        the event loop (for virtual clocks). `observe(units, seconds)` is told of every commit.

        Raises `JournalError`: `JournalTooNew` when a newer version of tillwire wrote it; and
        `ConfigurationError` when it is to be owned, or its schema to be changed, while another
        process runs its transactions.
        """
        self.path = path
        self._inline = inline
        self._statements = _statements()
        self._ownership: IO[str] | None = take(path) if own else None
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        schema.prepare(path, owned=own)
        committer = _Committer(path, self._statements)
        self._writer: Writer[SqlUnit] | InlineWriter[SqlUnit] = (
            InlineWriter(committer) if inline else Writer(committer, observe=observe)
        )
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="tillwire-reader")

    def own(self) -> None:
        """Become the one gateway that runs this journal's transactions, until `close`.

        Raises `ConfigurationError` when another process is.
        """
        self._ownership = take(self.path)

    async def commit(self, work: Callable[[Unit], T]) -> T:
        """Run `work(unit)` and commit it; its result, once it is durable."""
        result: T = await self._writer.commit(work)
        return result

    async def read(self, work: Callable[[Reader], T]) -> T:
        """Run `work(reader)` on a consistent snapshot."""
        if self._inline:
            return self.read_now(work)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, self.read_now, work)

    def read_now(self, work: Callable[[Reader], T]) -> T:
        """The same, blocking: for programs without an event loop."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        try:
            if connection is None:
                connection = self._local.connection = connect(self.path, read_only=True)
                self._connections.append(connection)
            connection.execute("BEGIN")
            try:
                return work(SqlReader(connection, self._statements))
            finally:
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise translated(error, self.path) from error

    def close(self) -> None:
        """Commit what waits, then let go of the file."""
        self._readers.shutdown()
        for connection in self._connections:
            connection.close()
        self._writer.close()  # the last connection of all folds the WAL into the file
        if self._ownership is not None:
            self._ownership.close()
