"""The workspace of one reconciliation: DuckDB in memory, with a limit, and a folder of its own to
spill into, which is gone when it closes, or, if that never came, when the next one is made.

DuckDB reads what is in that folder and nothing else, and never fetches an extension: the files that
are compared are linked into it. Nothing of it lasts; what does is the journal's.
"""

from __future__ import annotations

import csv
import errno
import fcntl
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from tillwire.errors import InvalidRequest, TillwireError

MEMORY: Final = 1000
"""Megabytes that DuckDB may use, of the two thousand that all of it may take."""
THREADS: Final = min(os.cpu_count() or 1, 4)
_PREFIX: Final = "tillwire-reconcile-"
_LOCK: Final = "lock"
"""A file in the folder that is locked as long as somebody works there."""
_LINE: Final = re.compile(r"CSV Error on Line: (\d+)")
_ORIGINAL: Final = re.compile(r"Original Line:.*")
"""What stands in the file."""


class Workspace:
    """DuckDB, and a folder."""

    def __init__(self, folder: Path | None = None, *, memory: int = MEMORY) -> None:
        """`folder` is where its own one is made; else where the system keeps temporary files."""
        import duckdb  # takes a sixth of a second, which no other command should wait for

        self._duckdb = duckdb
        # Whatever else comes of a statement that reads a file is the file's.
        self._ours = (
            duckdb.BinderException,
            duckdb.CatalogException,
            duckdb.InternalException,
            duckdb.ParserException,
        )
        self._linked: list[Path] = []
        self._in_order = 0
        self._ordering = threading.Lock()
        _sweep(Path(tempfile.gettempdir()) if folder is None else folder)
        self._folder, self._lock = _made(folder)
        try:
            if shown(str(self._folder)) != str(self._folder):
                raise OSError(errno.EILSEQ, "its name is not UTF-8 text")
            self._database = duckdb.connect(
                config={
                    "autoinstall_known_extensions": "false",
                    "autoload_known_extensions": "false",
                    "memory_limit": f"{memory}MB",
                    "threads": str(THREADS),
                    "temp_directory": str(self._folder / "spill"),
                }
            )
            self._database.execute("SET GLOBAL TimeZone = 'UTC'")
            # A list of texts made into a join would lose the order of a file's rows.
            self._database.execute("SET GLOBAL disabled_optimizers = 'in_clause'")
        except BaseException:
            self._leave()
            raise

    def __enter__(self) -> Workspace:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Forget everything."""
        self._database.close()
        self._leave()

    def _leave(self) -> None:
        _remove(self._folder)
        os.close(self._lock)

    def file(self, name: str) -> Path:
        """The path of a file in its folder."""
        return self._folder / name

    def link(self, path: Path, name: str) -> Path:
        """A link to a file, under a name that has no meaning to DuckDB. Raises `InvalidRequest`
        when DuckDB has no name for what it leads to."""
        link, target = self.file(name), path.resolve()
        if shown(str(target)) != str(target):
            problem = "its name, or that of a folder above it, is not UTF-8 text"
            raise InvalidRequest(shown(path.name), problem, "names that are")
        link.symlink_to(target)
        self._linked.append(target)
        return link

    def seal(self) -> None:
        """From now on DuckDB reads what is linked and what is in its folder, and nothing else."""
        linked = ", ".join(quoted(str(path)) for path in self._linked)
        for setting in (
            f"allowed_directories = [{quoted(str(self._folder.resolve()))}]",
            f"allowed_paths = [{linked}]",
            "enable_external_access = false",
        ):
            self._database.execute(f"SET {setting}")

    def run(self, sql: str, *, reading: str = "") -> list[tuple[Any, ...]]:
        """What a statement gives. `reading` names the file that it reads, for `InvalidRequest`.
        May be called by several threads."""
        try:
            with self._database.cursor() as cursor:
                return cursor.execute(sql).fetchall()
        except RuntimeError as error:
            if "interrupted" in str(error):  # Ctrl-C, as DuckDB tells it
                raise KeyboardInterrupt from None
            raise
        except self._duckdb.OutOfMemoryException:
            raise TillwireError(
                "The reconciliation needs more memory than it may use, and more room than there is "
                f"in {self._folder.parent}. Nothing was imported."
            ) from None
        except self._duckdb.Error as error:
            if os.strerror(errno.ENOSPC) in str(error):
                raise _unusable(self._folder.parent, os.strerror(errno.ENOSPC)) from None
            if not reading or isinstance(error, self._ours):
                raise
            raise InvalidRequest(reading, *_explained(str(error))) from None

    @contextmanager
    def in_order(self) -> Iterator[None]:
        """Within it each statement is run by its caller's thread alone: several of DuckDB's would
        not number a file's rows as they come. Several callers may be within it at once."""
        self._order(1)
        try:
            yield
        finally:
            self._order(-1)

    def _order(self, more: int) -> None:
        with self._ordering:
            self._in_order += more
            self._database.execute(f"SET threads = {1 if self._in_order else THREADS}")

    def insert(self, table: str, names: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Make a table of texts."""
        path = self.file(f"{table}.csv")
        with path.open("w", encoding="utf-8", newline="") as out:
            csv.writer(out, lineterminator="\n").writerows(rows)
        columns = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
        self.run(
            f"CREATE TABLE {table} AS SELECT * FROM read_csv({quoted(str(path))}, "
            f"auto_detect=false, header=false, columns={{{columns}}})"
        )
        path.unlink()

    def columns_of(self, relation: str, reading: str) -> list[tuple[str, str]]:
        """The names and types of a relation's columns."""
        rows = self.run(f"DESCRIBE SELECT * FROM {relation}", reading=reading)
        return [(row[0], row[1]) for row in rows]


@contextmanager
def opened(folder: Path | None = None) -> Iterator[Workspace]:
    """A workspace, closed in the end. Raises `TillwireError` when its folder cannot be written."""
    try:
        with Workspace(folder) as workspace:
            yield workspace
    except OSError as error:
        raise _unusable(folder or tempfile.tempdir, error.strerror or str(error)) from None


def _unusable(folder: Path | str | None, problem: str) -> TillwireError:
    which = "folder for temporary files (TMPDIR)"
    which = f"{shown(str(folder))}, the {which}," if folder else f"The {which}"
    return TillwireError(f"{which} cannot be used: {problem}. Nothing was imported.")


def _made(home: Path | None) -> tuple[Path, int]:
    """A new folder, and its lock, which is held."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=home))
        lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / _LOCK).exists():
            return folder, lock
        os.close(lock)  # another run took it for one that was left behind, before it was locked


def _sweep(home: Path) -> None:
    """Remove what a run left behind that was killed."""
    for folder in home.glob(f"{_PREFIX}*"):
        try:
            if folder.lstat().st_uid != os.getuid():
                continue
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
        except OSError:
            continue  # it is just being made, or removed
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(folder)
        except BlockingIOError:
            pass  # somebody works there
        finally:
            os.close(lock)


def _remove(folder: Path) -> None:
    """Remove the folder, its lock last: without it nobody would remove what is left of it when this
    run is killed meanwhile."""
    with suppress(OSError):
        for each in folder.iterdir():
            if each.name == _LOCK:
                continue
            if each.is_dir() and not each.is_symlink():
                shutil.rmtree(each, ignore_errors=True)
            else:
                each.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def shown(name: str) -> str:
    """A file's name as text, which it need not be."""
    return os.fsencode(name).decode(errors="replace")


def quoted(text: str) -> str:
    """A text in SQL."""
    return "'" + text.replace("'", "''") + "'"


def _explained(message: str) -> tuple[str, str]:
    """What is wrong with a file, and what would be right, without what stands in it."""
    line = _LINE.search(message)
    where = f"line {line[1]}: " if line else ""
    said = _ORIGINAL.sub("", message)
    if "Maximum line size" in said:
        return where + "it is too long", "lines of up to 2 MB"
    if "unicode" in said:
        return where + "it is not UTF-8 text", "the encoding that the profile names under [file]"
    if columns := re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", said):
        return f"{where}it has {columns[2]} columns", f"{columns[1]} of them, as the headings"
    if "unterminated quote" in said:
        return where + "a quotation mark is not closed, or closed too early", "CSV as RFC 4180"
    if "Parallel CSV Reader" in said:
        problem = "a line is too long, or lines within quotation marks look like rows"
        return problem, "lines of up to 2 MB; a smaller file"
    if "invalid state" in said:
        return (
            where + "its lines end in several ways, or a quotation mark is misplaced",
            "CSV as RFC 4180, each line with the same end",
        )
    return where + "it cannot be read", "a file as its profile says"
