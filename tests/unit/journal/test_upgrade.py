"""A journal of an earlier version becomes one of this version, wholly or not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Engine as Database

from tests.unit.core.scripted import ScriptedDriver, approved, engine_on, is_final
from tests.unit.estate_fixture import purchase
from tillwire.core.model import State, Terms
from tillwire.core.occupancy import WhenBusy
from tillwire.core.totals import TotalsKind
from tillwire.journal import schema, tables
from tillwire.journal.sqlite import SqliteJournal

OF_0001 = Path(__file__).parent / "journal_0001.sql"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal that the first schema's version wrote."""
    path = tmp_path / "journal.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(OF_0001.read_text(encoding="utf-8"))
    return path


@contextmanager
def power_cut() -> Iterator[None]:
    """Whoever upgrades meanwhile ends in the middle of it."""

    def cut(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "CREATE TABLE closings" in statement:
            raise KeyboardInterrupt

    event.listen(Database, "before_cursor_execute", cut)
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        event.remove(Database, "before_cursor_execute", cut)


def written_out(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def test_an_upgraded_journal_has_the_tables_of_the_code(path: Path) -> None:
    SqliteJournal(path).close()
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []
    engine.dispose()


async def test_its_transactions_go_on_where_they_were(path: Path) -> None:
    driver = ScriptedDriver()
    async with engine_on(path.parent, driver) as engine:
        count, found = await engine.journal.read(
            lambda reader: reader.terminal_transactions("t1", offset=0, limit=10)
        )
        assert count == len(found) == 5
        assert {each.terms for each in found} == {Terms()}
        # What had been sent is UNKNOWN now and holds the terminal; what was queued still is.
        assert [each.state for each in found] == [
            State.ACCEPTED, State.UNKNOWN, State.DECLINED, State.APPROVED, State.APPROVED,
        ]  # fmt: skip
        repeated = await engine.accept(purchase(idempotency_key="k-1"), WhenBusy.REJECT)
        assert repeated == found[-1]


async def test_its_first_period_takes_in_all_that_has_ended(path: Path) -> None:
    driver = ScriptedDriver()
    async with engine_on(path.parent, driver) as engine:
        closed = await engine.close_period("t1")
        assert {(row.kind, row.count, row.amount) for row in closed.rows} == {
            (TotalsKind.DEBIT, 1, 1250),
            (TotalsKind.CREDIT, 1, 500),
            (TotalsKind.DECLINED, 1, 900),
        }
        sale = await engine.accept(purchase(terminal="t3"), WhenBusy.REJECT)
        await driver.begun(sale)
        driver.answer(sale, approved())
        assert (await engine.wait(sale.id, is_final, 30)).state is State.APPROVED


def test_an_upgrade_that_is_cut_short_leaves_the_journal_as_it_was(path: Path) -> None:
    before = written_out(path)
    with power_cut():
        SqliteJournal(path)
    assert written_out(path) == before
    SqliteJournal(path).close()
    assert f"'{schema.HEAD}'" in "".join(written_out(path))


def test_a_new_journal_whose_making_is_cut_short_is_made_again(tmp_path: Path) -> None:
    with power_cut():
        SqliteJournal(tmp_path / "journal.db")
    SqliteJournal(tmp_path / "journal.db").close()
    assert f"'{schema.HEAD}'" in "".join(written_out(tmp_path / "journal.db"))
