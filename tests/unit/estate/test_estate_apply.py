"""Applying an estate file to a journal: as a whole, as agreed, and not under a payment's feet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.estate.test_estate_plan import TILL, declared, store, till
from tillwire.clock import Instant
from tillwire.core.estate_model import Lifecycle
from tillwire.errors import Conflict
from tillwire.estate.apply import apply
from tillwire.estate.plan import plan
from tillwire.journal.sqlite import SqliteJournal

NOW = Instant(1000)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    journal = SqliteJournal(tmp_path / "journal.db", inline=True)
    yield journal
    journal.close()


async def test_a_second_apply_finds_nothing_to_do(journal: SqliteJournal) -> None:
    file = declared(store(till(settings={"a": 1})))
    first = await journal.commit(lambda unit: apply(unit, file, now=NOW))
    version = journal.read_now(lambda reader: reader.estate_version())
    second = await journal.commit(lambda unit: apply(unit, file, now=NOW))
    assert len(first.changes) == 4
    assert second.changes == ()
    assert journal.read_now(lambda reader: reader.estate_version()) == version


async def test_what_was_agreed_to_is_what_is_written(journal: SqliteJournal) -> None:
    file = declared(store(till()))
    estate = journal.read_now(lambda reader: reader.estate())
    shown = plan(file, estate, now=NOW)
    assert await journal.commit(lambda unit: apply(unit, file, now=NOW, shown=shown)) == shown


async def test_a_plan_that_is_outdated_writes_nothing(journal: SqliteJournal) -> None:
    file = declared(store(till()))
    shown = plan(file, journal.read_now(lambda reader: reader.estate()), now=NOW)
    await journal.commit(lambda unit: apply(unit, declared(store()), now=NOW))
    with pytest.raises(Conflict, match="changed since this plan was shown"):
        await journal.commit(lambda unit: apply(unit, file, now=NOW, shown=shown))
    assert not journal.read_now(lambda reader: reader.estate()).terminals


async def test_an_occupied_terminal_keeps_its_device(journal: SqliteJournal) -> None:
    await journal.commit(lambda unit: apply(unit, declared(store(till())), now=NOW))
    await journal.commit(lambda unit: unit.seize(TILL, "4711", "gateway", None))
    swap = declared(store(till(serial="NEW2"), city="York"))
    with pytest.raises(Conflict, match="occupied by transaction 4711"):
        await journal.commit(lambda unit: apply(unit, swap, now=NOW))
    estate = journal.read_now(lambda reader: reader.estate())
    assert estate.terminals[TILL].serial == "TILL1"
    assert [each.city for each in estate.stores.values()] == ["Leeds"]


async def test_an_occupied_terminal_may_be_told_its_store_has_moved(journal: SqliteJournal) -> None:
    await journal.commit(lambda unit: apply(unit, declared(store(till())), now=NOW))
    await journal.commit(lambda unit: unit.seize(TILL, "4711", "gateway", None))
    moved = declared(store(till(), city="York"))
    await journal.commit(lambda unit: apply(unit, moved, now=NOW))
    estate = journal.read_now(lambda reader: reader.estate())
    assert estate.heading(estate.terminals[TILL]).city == "York"
    assert estate.terminals[TILL].lifecycle is Lifecycle.ACTIVATED
