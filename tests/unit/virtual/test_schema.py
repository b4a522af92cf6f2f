"""A world of an older version is taken along, with all that was in it."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from tests.kit.runner import virtual
from tests.unit.virtual.shop import shop_in
from tillwire.clock import SystemClock
from tillwire.core.errands import Count, Counted
from tillwire.core.totals import TotalsKind, TotalsRow
from tillwire.errors import ConfigurationError
from tillwire.virtual.schema import SCHEMA, prepare
from tillwire.virtual.world import FILE, World

FIRST = """
CREATE TABLE terminals (id TEXT PRIMARY KEY, boot INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE deeds (
    transaction_id TEXT PRIMARY KEY, terminal_id TEXT NOT NULL, boot INTEGER NOT NULL,
    number INTEGER NOT NULL, waiting INTEGER NOT NULL, acts_at INTEGER NOT NULL,
    restart INTEGER NOT NULL, outcome TEXT NOT NULL, entry TEXT
) WITHOUT ROWID;
CREATE UNIQUE INDEX deeds_of_terminal ON deeds (terminal_id, number);
CREATE INDEX deeds_waiting ON deeds (acts_at) WHERE waiting = 1;
CREATE TABLE ledger (
    number INTEGER PRIMARY KEY, transaction_id TEXT NOT NULL UNIQUE, terminal TEXT NOT NULL,
    type TEXT NOT NULL, amount INTEGER NOT NULL, currency TEXT NOT NULL, reference TEXT NOT NULL,
    approved INTEGER NOT NULL, at INTEGER NOT NULL
);
CREATE INDEX ledger_of_terminal ON ledger (terminal, number);
CREATE TABLE scripts (
    terminal_id TEXT PRIMARY KEY, script TEXT NOT NULL, times INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO terminals VALUES ('t1', 3);
INSERT INTO deeds VALUES ('1', 't1', 3, 1, 0, 1773480000000, 0,
    '{"verdict":"APPROVED","approved_amount":1000,"at":1773480000000,"stan":"000001",'
    || '"brand":"VISA","card_last4":"0119"}',
    '{"terminal":"TILLWIRE-V1-t1","type":"PURCHASE","amount":1000,"currency":"EUR",'
    || '"reference":"r","approved":true,"at":1773480000000}');
INSERT INTO ledger VALUES
    (1, '1', 'TILLWIRE-V1-t1', 'PURCHASE', 1000, 'EUR', 'r', 1, 1773480000000);
INSERT INTO deeds VALUES ('2', 't1', 3, 2, 1, 1773480009000, 0,
    '{"verdict":"APPROVED","approved_amount":2000,"at":1773480009000,"stan":"000002",'
    || '"brand":"AMEX","card_last4":"1006"}',
    '{"terminal":"TILLWIRE-V1-t1","type":"PURCHASE","amount":2000,"currency":"EUR",'
    || '"reference":"s","approved":true,"at":1773480009000}');
INSERT INTO scripts VALUES ('t1', '{"verdict":"DECLINED","response_code":"41"}', 7);
PRAGMA user_version = 1;
"""
"""A world as version 1 wrote it: one sale, a cardholder about to act, and a script."""


def written(path: Path, script: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)


def layout(path: Path) -> list[tuple[str, str]]:
    """Every table's columns, and every index."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        tables = connection.execute(
            "SELECT m.name, group_concat(c.name || ' ' || c.type || c.\"notnull\" || c.pk) "
            "FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' "
            "GROUP BY m.name"
        )
        indexes = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index'")
        return sorted([*tables, *((name, sql or "") for name, sql in indexes)])


@virtual()
async def test_a_world_of_version_1_goes_on(tmp_path: Path) -> None:
    written(tmp_path / FILE, FIRST)
    async with shop_in(tmp_path) as shop:
        chosen = shop.world.script_of("t1")
        assert chosen is not None
        assert (chosen.script.response_code, chosen.times) == ("41", 7)
        assert await shop.world.boot("t1") == 3
        assert await shop.ledger() == [("PURCHASE", 1000, True)]
        assert await shop.display() == "Present card"
        counted, _ = await shop.perform(Count(close=True))
        assert counted == Counted(
            (TotalsRow(TotalsKind.DEBIT, "EUR", "VISA", count=1, amount=1000),), "1"
        )
        await shop.world.set_script("t1", None)
        paid = await shop.paid(1047)
        assert paid.outcome is None
    async with shop_in(tmp_path) as shop:
        assert await shop.world.boot("t1") == 4
        assert (await shop.world.glance("t1")).period == 2


def test_it_becomes_what_a_new_one_is(tmp_path: Path) -> None:
    written(tmp_path / "old.db", FIRST)
    for name in ("old.db", "new.db"):
        prepare(tmp_path / name)
    assert layout(tmp_path / "old.db") == layout(tmp_path / "new.db")
    before = (tmp_path / "old.db").read_bytes()
    prepare(tmp_path / "old.db")
    assert (tmp_path / "old.db").read_bytes() == before, "once is enough"


def test_a_step_that_fails_leaves_the_old_world(tmp_path: Path) -> None:
    written(tmp_path / FILE, FIRST)
    written(tmp_path / FILE, "CREATE TABLE printouts (id INTEGER)")
    before = layout(tmp_path / FILE)
    with pytest.raises(Exception, match="printouts already exists"):
        World(tmp_path, SystemClock())
    assert layout(tmp_path / FILE) == before


def test_a_world_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    for version in (SCHEMA + 1, -1):
        written(tmp_path / FILE, f"PRAGMA user_version = {version}")
        with pytest.raises(ConfigurationError, match="another version"):
            World(tmp_path, SystemClock())
