"""A journal that is made once and copied for each test, since making its tables takes a while."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tillwire.journal.sqlite import SqliteJournal


@pytest.fixture(scope="session")
def empty_journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "journal.db"
    SqliteJournal(path).close()
    return path


@pytest.fixture
def tmp_path(tmp_path: Path, empty_journal: Path) -> Path:
    """The test's folder, with an empty journal in it."""
    shutil.copy(empty_journal, tmp_path / "journal.db")
    return tmp_path
