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
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Final, TypeVar

from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from tillwire.core.ports import Snapshot, Unit
from tillwire.journal import schema
from tillwire.journal.committer import SqliteCommitter, connect, translated
from tillwire.journal.ownership import take
from tillwire.journal.reader import SqlSnapshot
from tillwire.journal.statements import Statements
from tillwire.journal.unit import Gathered, SqlUnit
from tillwire.journal.writer import InlineWriter, Writer

T = TypeVar("T")

READERS: Final = 4
"""Threads that read beside the writer."""

# A compiled dialect without an engine: statements are run on sqlite3 itself.
_DIALECT: Final = SQLiteDialect_pysqlite(paramstyle="named")


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
        gathered = Gathered(self._statements)
        committer = SqliteCommitter(
            path, lambda each: SqlUnit(each, self._statements, gathered), gathering=gathered
        )
        self._writer: Writer[SqlUnit] | InlineWriter[SqlUnit] = (
            InlineWriter(committer) if inline else Writer(committer, observe=observe)
        )
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="tillwire-reader")

    def own(self) -> None:
        """Become the one gateway that runs this journal's transactions, until `close`.

        Raises `ConfigurationError` when another process is.
        """
        self._ownership = take(self.path)

    def commit(self, work: Callable[[Unit], T]) -> Awaitable[T]:
        """Run `work(unit)` and commit it; its result, once it is durable."""
        return self._writer.commit(work)

    def commit_now(self, work: Callable[[Unit], T]) -> T:
        """The same, blocking: for programs without an event loop."""

        async def commit() -> T:
            return await self.commit(work)

        return asyncio.run(commit())

    async def read(self, work: Callable[[Snapshot], T]) -> T:
        """Run `work(reader)` on a consistent snapshot."""
        if self._inline:
            return self.read_now(work)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, self.read_now, work)

    def read_now(self, work: Callable[[Snapshot], T]) -> T:
        """The same, blocking: for programs without an event loop."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        try:
            if connection is None:
                connection = self._local.connection = connect(self.path, read_only=True)
                self._connections.append(connection)
            connection.execute("BEGIN")
            try:
                return work(SqlSnapshot(connection, self._statements))
            finally:
                if connection.in_transaction:
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
