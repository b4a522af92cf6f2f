"""The folder of a comparison: whose it is, and what becomes of one that was killed."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import TextIO

import duckdb
import pytest

from tests.unit.reconcile.books import WINDOW, row, sides, small, with_file
from tillwire.errors import InvalidRequest, TillwireError
from tillwire.reconcile import sources, workspace
from tillwire.reconcile.run import reconcile
from tillwire.reconcile.sources import File, Row, write_rows
from tillwire.reconcile.workspace import Workspace

KILLED = """
import os, sys
from pathlib import Path
from tillwire.reconcile.workspace import Workspace
Workspace(Path(sys.argv[1])).file("half.csv").write_text("of a table")
os._exit(9)
"""


def folders(home: Path) -> list[Path]:
    """Those that are there."""
    return sorted(home.glob("tillwire-reconcile-*"))


def test_what_was_killed_leaves_its_folder_to_the_next_one(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, tmp_path], timeout=60, check=False)
    (left,) = folders(tmp_path)
    assert (left / "half.csv").exists()
    with Workspace(tmp_path) as one:
        assert folders(tmp_path) == [one.file("").resolve()]
    assert folders(tmp_path) == []


def test_what_was_killed_as_it_removed_its_folder_leaves_the_rest_to_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Workspace(tmp_path)
    for name in ("a.csv", "half.csv", "mine.csv", "z.csv"):
        one.file(name).write_text("of a table")
    (link := one.file("till.csv")).symlink_to(tmp_path / "till.csv")
    (tmp_path / "till.csv").write_text("theirs")
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", lambda *_, **__: None)
        one.close()
    assert [each.name for each in link.parent.iterdir()] == ["lock"]
    Workspace(tmp_path).close()
    assert folders(tmp_path) == []
    assert (tmp_path / "till.csv").read_text() == "theirs"


def test_who_still_works_is_not_disturbed_nor_is_anything_else(tmp_path: Path) -> None:
    (tmp_path / "tillwire-reconcile-report").mkdir()
    with Workspace(tmp_path) as one, Workspace(tmp_path) as other:
        assert len(folders(tmp_path)) == 3
        assert (one.run("SELECT 1"), other.run("SELECT 2")) == ([(1,)], [(2,)])
    assert len(folders(tmp_path)) == 1


def test_a_folder_that_another_run_sweeps_up_as_it_is_made_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, sweeps = fcntl.flock, [workspace._sweep]

    def late(descriptor: int, how: int) -> None:
        if how == fcntl.LOCK_EX and sweeps:
            sweeps.pop()(tmp_path)
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with Workspace(tmp_path) as one:
        assert not sweeps
        assert folders(tmp_path) == [one.file("").resolve()]
        assert one.run("SELECT 1") == [(1,)]


def test_its_folder_is_its_users_alone(tmp_path: Path) -> None:
    with Workspace(tmp_path) as one:
        assert one.file("").stat().st_mode & 0o777 == 0o700


def test_an_interrupted_statement_is_an_interrupt_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped() -> None:
        raise RuntimeError("Query interrupted")

    one = Workspace(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(one, "_database", SimpleNamespace(cursor=stopped))
        with pytest.raises(KeyboardInterrupt):
            one.run("SELECT 1")
    one.close()
    assert folders(tmp_path) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_a_folder_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def full(out: TextIO, rows: Iterable[Row]) -> int:
        write_rows(out, rows)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(sources, "write_rows", full)
    with pytest.raises(TillwireError) as error:
        reconcile(sides([row(1)], [row(1)]), WINDOW, folder=tmp_path)
    told = f"{tmp_path}, the folder for temporary files (TMPDIR), cannot be used: "
    assert error.value.detail == f"{told}{os.strerror(number)}. Nothing was imported."
    assert folders(tmp_path) == []


def test_that_there_is_no_folder_for_temporary_files_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "gettempdir", none)
    with pytest.raises(TillwireError) as error:
        reconcile(sides([row(1)], [row(1)]), WINDOW)
    told = "The folder for temporary files (TMPDIR) cannot be used: No usable temporary directory"
    assert error.value.detail.startswith(told)


def test_what_duckdb_cannot_write_is_no_fault_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise duckdb.IOException("IO Error: Could not write file: No space left on device")

    cursor = SimpleNamespace(execute=full)
    with Workspace(tmp_path) as one, monkeypatch.context() as patched:
        database = SimpleNamespace(cursor=lambda: nullcontext(cursor))
        patched.setattr(one, "_database", database)
        with pytest.raises(TillwireError) as error:
            one.run("SELECT 1", reading="till.csv")
        patched.undo()
    assert "No space left on device" in error.value.detail
    assert "till.csv" not in error.value.detail


def test_names_that_are_no_text_are_refused(tmp_path: Path) -> None:
    odd = os.fsdecode(b"\xff")
    file = small(tmp_path, b"Ref,Amount,Date\nsale-1,12.50,2026-03-14T10:00:01Z\n")
    (tmp_path / odd).mkdir()
    there = File(file.path.rename(tmp_path / odd / "till.csv"), file.profile)
    with pytest.raises(InvalidRequest, match="is not UTF-8 text"):
        with_file([row(1)], there)
    with pytest.raises(TillwireError) as error:
        reconcile(sides([row(1)], [row(1)]), WINDOW, folder=tmp_path / odd)
    assert error.value.detail.endswith("its name is not UTF-8 text. Nothing was imported.")
    assert folders(tmp_path / odd) == []
