"""A copied journal is the one that the migrations make."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.kit import migrated
from tillwire.journal import schema
from tillwire.journal.sqlite import SqliteJournal


def content(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [*connection.iterdump(), *map(str, connection.execute("PRAGMA journal_mode"))]


def test_a_copy_is_what_the_migrations_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, made = tmp_path / "copy.db", tmp_path / "made.db"
    assert schema.upgrade is migrated.copied
    SqliteJournal(copy).close()
    monkeypatch.setattr(schema, "upgrade", migrated.migrate)
    SqliteJournal(made).close()
    assert content(copy) == content(made)
    assert "wal" in content(copy)[-1]


def test_what_is_there_is_upgraded_by_the_migrations(tmp_path: Path) -> None:
    old = tmp_path / "journal.db"
    script = Path(__file__).parents[1] / "journal" / "journal_0001.sql"
    with closing(sqlite3.connect(old)) as connection:
        connection.executescript(script.read_text(encoding="utf-8"))
        before = connection.execute("SELECT count(*) FROM transactions").fetchone()
    SqliteJournal(old).close()
    with closing(sqlite3.connect(old)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (
            schema.HEAD,
        )
        assert connection.execute("SELECT count(*) FROM transactions").fetchone() == before
