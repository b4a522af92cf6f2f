"""Units of work that share a commit do not make each other wait longer than they must."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.journal.test_journal import accepted, sale
from tillwire.core.estate_model import Organisation
from tillwire.core.model import Event, State, Transaction
from tillwire.core.ports import StaleError, Unit
from tillwire.errors import JournalBusy
from tillwire.journal.sqlite import SqliteJournal
from tillwire.journal.unit import _APART
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


def sent(number: int) -> Transaction:
    """One that holds its terminal and was sent."""
    named = {"id": f"{number:031d}", "terminal_id": f"t{number}", "reference": f"r{number}"}
    return msgspec.structs.replace(sale(), **named, version=2, state=State.SENT, token=1)


def told(known: Transaction) -> list[Event]:
    """The events of one that was sent."""
    states = (("accept", State.ACCEPTED), ("dispatch", State.SENT))
    return [
        Event(known.id, sequence, name, state, known.created_at)
        for sequence, (name, state) in enumerate(states, 1)
    ]


def started(unit: Unit, known: Transaction) -> Transaction:
    """It moves on by one version."""
    after = msgspec.structs.replace(known, version=known.version + 1, state=State.STARTED)
    event = Event(known.id, after.version, "start", State.STARTED, known.created_at)
    unit.update(known, after, [event])
    return after


async def test_an_outdated_move_fails_alone_and_its_neighbours_are_durable(
    journal: SqliteJournal,
) -> None:
    known = [sent(number) for number in range(6)]
    run_group(
        journal._writer._committer,
        [job(lambda unit, each=each: unit.insert(each, told(each))) for each in known],
    )
    outdated = msgspec.structs.replace(known[3], version=7)
    jobs = [
        job(lambda unit, each=each: started(unit, each))
        for each in (*known[:3], outdated, *known[4:])
    ]
    run_group(journal._writer._committer, jobs)
    assert [type(each.error) for each in jobs] == [type(None)] * 3 + [StaleError] + [type(None)] * 2
    for number, each in enumerate(known):
        found = await journal.read(lambda reader, each=each: reader.transaction(each.id))
        events = await journal.read(lambda reader, each=each: reader.events(each.id))
        assert found is not None
        assert found.version == len(events) == (2 if number == 3 else 3)
    positions = await journal.read(lambda reader: reader.events_after(0, 100))
    assert len(positions) == 6 * 2 + 5


async def test_a_unit_sees_what_its_group_wrote_before_it(journal: SqliteJournal) -> None:
    known = sent(1)
    jobs = [
        job(lambda unit: unit.insert(known, told(known))),
        job(lambda unit: unit.transaction(known.id)),
        job(lambda unit: (started(unit, known), unit.transaction(known.id))),
        job(lambda unit: (unit.by_reference("o1", "r1"), unit.events(known.id))),
    ]
    run_group(journal._writer._committer, jobs)
    assert [each.error for each in jobs] == [None] * 4
    assert jobs[1].result == known
    after, seen = jobs[2].result
    assert after == seen
    assert len(jobs[3].result[1]) == 3


async def test_who_looks_is_not_blamed_for_an_outdated_move(journal: SqliteJournal) -> None:
    known = sent(1)
    await journal.commit(lambda unit: unit.insert(known, told(known)))
    outdated = msgspec.structs.replace(known, version=7)
    ran: list[int] = []
    jobs = [
        job(lambda unit: started(unit, outdated)),
        job(lambda unit: unit.transaction(known.id)),
        job(lambda unit: ran.append(1)),
    ]
    run_group(journal._writer._committer, jobs)
    assert isinstance(jobs[0].error, StaleError)
    assert [each.error for each in jobs[1:]] == [None, None]
    assert jobs[1].result == known
    assert len(ran) == 1  # the group was given up at once


async def test_of_two_moves_at_once_the_second_is_outdated(
    journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = sent(1)
    await journal.commit(lambda unit: unit.insert(known, told(known)))
    jobs = [job(lambda unit: started(unit, known)), job(lambda unit: started(unit, known))]
    commits = counted(monkeypatch, journal._writer._committer, "commit")
    run_group(journal._writer._committer, jobs)
    assert jobs[0].error is None
    assert isinstance(jobs[1].error, StaleError)
    assert len(commits) == 1


async def test_an_estate_that_changes_within_a_group_is_noticed_in_it(
    journal: SqliteJournal,
) -> None:
    jobs = [
        job(lambda unit: unit.estate_version()),
        job(found(1)),
        job(lambda unit: unit.estate_version()),
    ]
    run_group(journal._writer._committer, jobs)
    assert jobs[2].result == jobs[0].result + 1


def test_what_runs_beside_that_which_gathers_does_not_see_it(journal: SqliteJournal) -> None:
    in_queues = {"queue", "pass_on"}  # what waits does not gather
    for name in _APART:
        words = set(re.findall(r"\w+", journal._statements[name].sql))
        assert "events" not in words
        assert "transactions" not in words or name in in_queues
