"""Units of work that share a commit do not make each other wait longer than they must."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.journal.test_journal import accepted, sale
from tillwire.core.model import Event, Organisation, State
from tillwire.core.ports import StaleError, Unit
from tillwire.errors import JournalBusy
from tillwire.journal.sqlite import SqliteJournal
from tillwire.journal.writer import GROUP_LIMIT, _Job, run_group


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    journal = SqliteJournal(tmp_path / "journal.db")
    yield journal
    journal.close()


def job(work: Callable[[Unit], Any]) -> _Job[Any]:
    return _Job(work, asyncio.get_running_loop().create_future())


def found(number: int) -> Callable[[Unit], None]:
    return lambda unit: unit.put(Organisation(f"o{number}", "O"))


def counted(monkeypatch: pytest.MonkeyPatch, committer: object, name: str) -> list[str]:
    """Each call of the committer's method `name`, as it happens."""
    calls: list[str] = []
    real = getattr(committer, name)

    def call() -> None:
        calls.append(name)
        real()

    monkeypatch.setattr(committer, name, call)
    return calls


async def test_behind_another_writer_a_group_waits_once_and_not_each_of_it(
    journal: SqliteJournal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committer = journal._writer._committer
    committer._connection.execute("PRAGMA busy_timeout = 10")
    begun = counted(monkeypatch, committer, "begin")
    other = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    jobs = [job(found(number)) for number in range(20)]
    run_group(committer, jobs)
    assert len(begun) == 1
    assert all(isinstance(each.error, JournalBusy) for each in jobs)
    other.execute("ROLLBACK")
    other.close()
    run_group(committer, jobs)
    assert all(each.error is None for each in jobs)


async def test_an_outdated_update_does_not_make_its_group_run_again(
    journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    await journal.commit(lambda unit: unit.insert(sale(), accepted(sale())))
    before = msgspec.structs.replace(sale(), version=2)
    after = msgspec.structs.replace(sale(), version=3, state=State.SENT)
    event = Event(after.id, 3, "dispatch", State.SENT, after.created_at)
    bad = job(lambda unit: unit.update(before, after, [event]))
    good = [job(found(number)) for number in range(20)]
    commits = counted(monkeypatch, journal._writer._committer, "commit")
    run_group(journal._writer._committer, [*good[:10], bad, *good[10:]])
    assert len(commits) == 1
    assert isinstance(bad.error, StaleError)
    assert all(each.error is None for each in good)
    assert len(await journal.read(lambda reader: reader.events(sale().id))) == 1


async def test_what_one_turn_of_the_loop_asks_for_shares_a_commit(
    journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = counted(monkeypatch, journal._writer._committer, "commit")
    await asyncio.gather(*(journal.commit(found(number)) for number in range(GROUP_LIMIT)))
    assert len(commits) == 1
    await asyncio.gather(*(journal.commit(found(number)) for number in range(GROUP_LIMIT + 1)))
    assert len(commits) == 3


def test_a_loop_that_ended_in_the_turn_keeps_nobody_waiting(tmp_path: Path) -> None:
    def ask_in_the_last_turn(number: int) -> None:
        loop = asyncio.new_event_loop()
        loop.call_soon(lambda: journal.commit(found(number)))
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()

    journal = SqliteJournal(tmp_path / "journal.db")
    ask_in_the_last_turn(1)
    journal.commit_now(found(2))
    ask_in_the_last_turn(3)
    journal.close()
    again = SqliteJournal(tmp_path / "journal.db")
    assert again.read_now(lambda reader: reader.estate()).organisations.keys() == {"o1", "o2", "o3"}
    again.close()
