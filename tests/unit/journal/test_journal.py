"""The journal's promises: all or nothing, durable when it returns, in commit order, and clear words
when the disk does not play along."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from pathlib import Path

import pytest

from tests.unit.estate_fixture import found_shop
from tillwire.clock import Instant
from tillwire.core.estate_model import Organisation
from tillwire.core.model import (
    Event,
    Heading,
    State,
    Transaction,
    TransactionType,
)
from tillwire.core.ports import LanePort, StaleError, Unit
from tillwire.errors import (
    ConfigurationError,
    JournalBusy,
    JournalError,
    JournalFull,
    JournalReadOnly,
    JournalTooNew,
)
from tillwire.journal import committer, ownership
from tillwire.journal.sqlite import SqliteJournal
from tillwire.money import Money

HEADING = Heading("s", "Shop", "Street 1", "1012", "Amsterdam", "NL", "Europe/Amsterdam", "T", "")


def sale(number: int = 1, state: State = State.ACCEPTED) -> Transaction:
    return Transaction(
        id=f"{number:031d}",
        version=1,
        organisation_id="shop",
        terminal_id="t1",
        dialect="merchantapi",
        type=TransactionType.PURCHASE,
        state=state,
        amount=Money(1250, "EUR"),
        reference="r",
        heading=HEADING,
        created_at=Instant(1_700_000_000_000 + number),
    )


def accepted(transaction: Transaction) -> list[Event]:
    return [
        Event(transaction.id, 1, "accept", transaction.state, transaction.created_at, {"a": "b"})
    ]


@pytest.fixture
def journal(tmp_path: Path):
    journal = SqliteJournal(tmp_path / "journal.db")
    yield journal
    journal.close()


async def test_what_was_committed_is_there_after_opening_again(tmp_path: Path) -> None:
    first = SqliteJournal(tmp_path / "journal.db")
    await first.commit(lambda unit: unit.insert(sale(), accepted(sale())))
    first.close()
    second = SqliteJournal(tmp_path / "journal.db")
    found = await second.read(lambda reader: reader.transaction(sale().id))
    events = await second.read(lambda reader: reader.events(sale().id))
    second.close()
    assert found == sale()
    assert [(event.sequence, event.name, event.detail) for event in events] == [
        (1, "accept", {"a": "b"})
    ]


def test_nobody_else_reads_a_new_journal_or_holds_its_lock(tmp_path: Path) -> None:
    earlier = os.umask(0o022)
    try:
        SqliteJournal(tmp_path / "journal.db", own=True).close()
    finally:
        os.umask(earlier)
    made = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert made == {"journal.db": 0o600, "journal.db.owner": 0o600}


async def test_a_unit_that_fails_leaves_nothing_behind(journal: SqliteJournal) -> None:
    def fails_halfway(unit: Unit) -> None:
        unit.insert(sale(), accepted(sale()))
        raise ValueError("halfway")

    with pytest.raises(ValueError, match="halfway"):
        await journal.commit(fails_halfway)
    assert await journal.read(lambda reader: reader.transaction(sale().id)) is None
    assert await journal.read(lambda reader: reader.events_after(0, 10)) == []


async def test_a_failing_unit_does_not_take_its_group_along(journal: SqliteJournal) -> None:
    def work(number: int):
        def insert(unit: Unit) -> int:
            unit.insert(sale(number), accepted(sale(number)))
            if number % 3 == 0:
                raise ValueError(str(number))
            return number

        return insert

    results = await asyncio.gather(
        *(journal.commit(work(number)) for number in range(60)), return_exceptions=True
    )
    for number, result in enumerate(results):
        stored = await journal.read(
            lambda reader, number=number: reader.transaction(sale(number).id)
        )
        if number % 3 == 0:
            assert isinstance(result, ValueError)
            assert stored is None
        else:
            assert result == number
            assert stored is not None


async def test_positions_follow_the_order_of_commits(journal: SqliteJournal) -> None:
    finished: list[str] = []

    async def write(number: int) -> None:
        await journal.commit(lambda unit: unit.insert(sale(number), accepted(sale(number))))
        finished.append(sale(number).id)

    await asyncio.gather(*(write(number) for number in range(100)))
    followed: list[str] = []
    position = 0
    while events := await journal.read(lambda reader: reader.events_after(position, 7)):  # noqa: B023
        followed += [event.transaction_id for event in events]
        assert [event.position for event in events] == list(
            range(position + 1, position + len(events) + 1)
        )
        position = events[-1].position
    assert followed == finished


async def test_a_terminals_transactions_are_found_by_when_they_were_accepted(
    journal: SqliteJournal,
) -> None:
    sales = [sale(number) for number in range(1, 7)]
    for each in sales[:5]:
        await journal.commit(lambda unit, it=each: unit.insert(it, accepted(it)))
    ids = [each.id for each in sales]

    async def between(first: str, behind: str, limit: int, terminal: str = "t1") -> list[str]:
        found = await journal.read(
            lambda reader: reader.transactions_between(terminal, first, behind, limit)
        )
        return [each.id for each in found]

    assert await between(ids[0], ids[5], 10) == ids[4::-1]
    assert await between(ids[1], ids[4], 10) == [ids[3], ids[2], ids[1]]
    assert await between(ids[0], ids[5], 2) == [ids[4], ids[3]]
    assert await between(ids[0], ids[5], 10, terminal="t2") == []


async def test_an_outdated_update_is_refused(journal: SqliteJournal) -> None:
    await journal.commit(lambda unit: unit.insert(sale(), accepted(sale())))
    import msgspec

    after = msgspec.structs.replace(sale(), version=2, state=State.SENT)
    event = Event(after.id, 2, "dispatch", State.SENT, after.created_at)
    await journal.commit(lambda unit: unit.update(sale(), after, [event]))
    with pytest.raises(StaleError):
        await journal.commit(lambda unit: unit.update(sale(), after, [event]))
    assert len(await journal.read(lambda reader: reader.events(after.id))) == 2


async def test_fencing_tokens_only_grow(journal: SqliteJournal) -> None:
    import msgspec

    tokens = []
    for number in range(1, 4):
        token = await journal.commit(
            lambda unit, number=number: unit.seize("t1", sale(number).id, "me", None)
        )
        tokens.append(token)
        assert (await journal.commit(lambda unit: unit.seize("t1", "another", "me", None))) is None
        held = msgspec.structs.replace(sale(number), token=token)
        stale = msgspec.structs.replace(held, token=token - 1)
        with pytest.raises(StaleError):
            await journal.commit(lambda unit, stale=stale: unit.pass_on(stale, "me"))
        await journal.commit(lambda unit, held=held: unit.pass_on(held, "me"))
    assert tokens == sorted(set(tokens))


async def test_every_field_of_a_transaction_survives(journal: SqliteJournal) -> None:
    from tests.unit.journal.samples import full_transaction

    whole = full_transaction()
    event = Event(whole.id, 1, "accept", whole.state, whole.created_at)
    await journal.commit(lambda unit: unit.insert(whole, [event]))
    assert await journal.read(lambda reader: reader.transaction(whole.id)) == whole


async def test_the_estate_survives_and_its_version_grows(journal: SqliteJournal) -> None:
    before = await journal.read(lambda reader: reader.estate_version())
    await journal.commit(found_shop)
    estate = await journal.read(lambda reader: reader.estate())
    assert estate.version > before
    assert [terminal.id for terminal in estate.terminals_of("shop")] == ["t1", "t2", "t3"]
    assert estate.terminal_named("shop", "tillwire-v1-T2") == estate.terminals["t2"]
    assert estate.terminal_named("other", "TILLWIRE-V1-t2") is None


async def test_the_ports_of_lanes_survive_and_go_again(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")
    first = LanePort("till 2", 9002, Instant(1), "ada")
    other = LanePort("till 1", 9001, Instant(2), "bob")
    again = LanePort("till 2", 9003, Instant(3), "bob")
    for each in (first, other, again):
        await journal.commit(lambda unit, each=each: unit.put_lane_port(each))
    journal.close()
    journal = SqliteJournal(tmp_path / "journal.db")
    assert await journal.read(lambda reader: reader.lane_ports()) == [other, again]
    assert await journal.commit(lambda unit: unit.drop_lane_port("till 2"))
    assert not await journal.commit(lambda unit: unit.drop_lane_port("till 2"))
    assert await journal.read(lambda reader: reader.lane_ports()) == [other]
    journal.close()


async def test_another_writer_gives_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committer, "BUSY_TIMEOUT", 0.05)
    journal = SqliteJournal(tmp_path / "journal.db")
    other = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalBusy, match="another program"):
        await journal.commit(lambda unit: unit.put(Organisation("o", "O")))
    other.execute("ROLLBACK")
    await journal.commit(lambda unit: unit.put(Organisation("o", "O")))
    other.close()
    journal.close()


async def test_a_full_disk_gives_a_clear_error_and_heals(journal: SqliteJournal) -> None:
    connection = journal._writer._committer._connection  # the limit is SQLite's own, per connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    long_name = "x" * 100_000
    with pytest.raises(JournalFull, match="free some space"):
        await journal.commit(lambda unit: unit.put(Organisation("o", long_name)))
    connection.execute("PRAGMA max_page_count = 1000000")
    await journal.commit(lambda unit: unit.put(Organisation("o", long_name)))
    estate = await journal.read(lambda reader: reader.estate())
    assert estate.organisations["o"].name == long_name


async def test_a_read_only_journal_gives_a_clear_error(journal: SqliteJournal) -> None:
    journal._writer._committer._connection.execute("PRAGMA query_only = ON")
    with pytest.raises(JournalReadOnly, match="writable"):
        await journal.commit(lambda unit: unit.put(Organisation("o", "O")))


def test_a_newer_journal_is_refused_with_the_way_out(tmp_path: Path) -> None:
    SqliteJournal(tmp_path / "journal.db").close()
    with sqlite3.connect(tmp_path / "journal.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(JournalTooNew, match=r"Install the version that wrote it, or restore"):
        SqliteJournal(tmp_path / "journal.db")


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_text("This is my shopping list, and not a database. " * 50)
    with pytest.raises(JournalError, match="damaged or not a journal"):
        SqliteJournal(tmp_path / "journal.db")


def test_a_missing_folder_gives_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="check that the folder exists"):
        SqliteJournal(tmp_path / "nowhere" / "journal.db")


def test_one_gateway_owns_a_journal(tmp_path: Path) -> None:
    first, second = (SqliteJournal(tmp_path / "journal.db") for _ in range(2))
    first.own()
    with pytest.raises(ConfigurationError, match="already run by the gateway with process id"):
        second.own()
    first.close()
    second.own()
    second.close()


def test_who_owns_a_journal_for_a_moment_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (SqliteJournal(tmp_path / "journal.db") for _ in range(2))
    first.own()
    monkeypatch.setattr(ownership, "sleep", lambda _: first.close())
    assert ownership.is_owned(tmp_path / "journal.db")
    second.own()
    second.close()
    assert not ownership.is_owned(tmp_path / "journal.db")
    assert not ownership.is_owned(tmp_path / "other.db")


def test_a_schema_is_not_changed_under_a_running_gateway(tmp_path: Path) -> None:
    gateway = SqliteJournal(tmp_path / "journal.db", own=True)
    with sqlite3.connect(tmp_path / "journal.db") as connection:
        connection.execute("DELETE FROM alembic_version")
    connection.close()
    with pytest.raises(ConfigurationError, match=r"earlier version.*Restart it with this version"):
        SqliteJournal(tmp_path / "journal.db")
    gateway.close()


async def test_a_watcher_that_fails_does_not_stop_the_commits(tmp_path: Path) -> None:
    def fail(units: int, seconds: float) -> None:
        raise ZeroDivisionError(units)

    journal = SqliteJournal(tmp_path / "journal.db", observe=fail)
    for name in ("one", "two"):
        await journal.commit(lambda unit, name=name: unit.put(Organisation(name, name)))
    estate = await journal.read(lambda reader: reader.estate())
    assert set(estate.organisations) == {"one", "two"}
    journal.close()


async def test_nothing_is_taken_after_closing(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")
    journal.close()
    with pytest.raises(JournalError, match="being closed"):
        await journal.commit(lambda unit: unit.put(Organisation("o", "O")))
