"""New journals for tests: migrated once, and copied ever after.

A test that opens a journal which is not there yet gets it in milliseconds, page by page as the
migrations leave it; a journal that has a schema is upgraded by them. The journal's own tests have
them always (`tests/unit/journal/conftest.py`), and so have all processes that tests start.
"""

from __future__ import annotations

import functools
import sqlite3
import tempfile
import threading
from contextlib import closing
from pathlib import Path
from typing import Final

from tillwire.journal import schema

migrate: Final = schema.upgrade
"""As the program does it."""
_PREFIX: Final = "sqlite:///"
_lock: Final = threading.Lock()


def copied(url: str) -> None:
    """What stands for `schema.upgrade`."""
    assert url.startswith(_PREFIX), url
    with closing(sqlite3.connect(url.removeprefix(_PREFIX))) as journal:
        is_new = not journal.execute("SELECT 1 FROM sqlite_master").fetchone()
        if is_new:
            with _lock:
                _template().backup(journal)
    if not is_new:
        migrate(url)


@functools.cache
def _template() -> sqlite3.Connection:
    kept = sqlite3.connect(":memory:", check_same_thread=False)
    with tempfile.TemporaryDirectory(prefix="tillwire-") as folder:
        path = Path(folder) / "journal.db"
        migrate(f"{_PREFIX}{path}")
        with closing(sqlite3.connect(path)) as made:
            made.backup(kept)
    return kept
