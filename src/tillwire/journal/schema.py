"""Brings a journal to this version's schema, and refuses one that a newer version wrote.

Alembic does the work, and is only loaded when there is work: a start with a current schema reads
one row.
"""

from __future__ import annotations

import sqlite3
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Final

from tillwire.errors import ConfigurationError, JournalError, JournalTooNew
from tillwire.journal.committer import connect, translated
from tillwire.journal.ownership import take
from tillwire.version import __version__

HEAD: Final = "0008"
"""The newest revision in `migrations/versions`; a test compares."""

_MIGRATIONS: Final = Path(__file__).parent / "migrations"


def prepare(path: Path, *, owned: bool) -> None:
    """Create or upgrade the SQLite journal at `path`: never under a gateway that runs it, so
    whoever does not own it owns it for as long as that takes.

    Raises `JournalError`, `ConfigurationError`.
    """
    connection = connect(path)
    try:
        current = _revision(connection)
    except sqlite3.Error as error:
        raise translated(error, path) from error
    finally:
        connection.close()
    if current == HEAD:
        return
    if current is not None and current not in _known():
        raise JournalTooNew(
            f"{path} is at schema {current}, and tillwire {__version__} knows up to {HEAD}. "
            "Install the version that wrote it, or restore the backup from before the upgrade."
        )
    with nullcontext() if owned else _taken(path):
        upgrade(f"sqlite:///{path.resolve()}")


def _taken(path: Path) -> IO[str]:
    try:
        return take(path)
    except ConfigurationError as error:
        raise ConfigurationError(
            f"{path} is run by a gateway of an earlier version, whose schema is not {HEAD}. "
            "Restart it with this version, and try again."
        ) from error


def _revision(connection: sqlite3.Connection) -> str | None:
    tables = "SELECT name FROM sqlite_master WHERE name IN ('alembic_version', 'transactions')"
    found = {row[0] for row in connection.execute(tables)}
    if not found:
        return None
    if "alembic_version" not in found:
        raise JournalError("The file is a database of something else.")
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return row[0] if row else None


def _known() -> set[str]:
    return {path.name.split("_")[0] for path in (_MIGRATIONS / "versions").glob("[0-9]*.py")}


def upgrade(url: str) -> None:
    """Run the migrations on the database at the SQLAlchemy `url`."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    command.upgrade(config, "head")
