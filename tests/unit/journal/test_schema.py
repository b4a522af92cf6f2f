"""Migrations make exactly the tables that the code means, and every statement has its index."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import msgspec
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from tests.kit.migrated import migrate
from tillwire.core.model import Transaction
from tillwire.journal import rows, schema, tables
from tillwire.journal.statements import Statements

STATEMENTS = Statements(SQLiteDialect_pysqlite(paramstyle="named"))
READ_WHOLE = {
    name
    for name in STATEMENTS.names()
    if name.startswith("all_") or name in ("newest_transactions", "open_discrepancies")
}
"""Statements that are meant to walk a table, or the end of one."""

PAGED = {
    "terminal_transactions", "events", "events_after", "queue", "exchange", "last_exchange",
    "exchange_of", "exchanges_by_chain", "drop_exchanges", "last_closing", "closings_before",
    "ended_where", "first_of_terminal", "waiting_letters", "letters_of", "letters_on",
    "letters_in", "drop_letters", "transactions_between", "newest_by_reference",
    "referenced_before",
}  # fmt: skip
"""Statements that must not sort, either, since what they page through grows."""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal as the migrations make it; nobody here writes to it."""
    found = tmp_path_factory.mktemp("schema") / "journal.db"
    migrate(f"sqlite:///{found}")
    return found


def test_migrations_make_the_tables_of_the_code(path: Path) -> None:
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []
    engine.dispose()


def test_head_is_the_newest_migration(path: Path) -> None:
    newest = max(schema._known())
    assert newest == schema.HEAD
    with sqlite3.connect(path) as connection:
        found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    connection.close()
    assert found == (schema.HEAD,)


@pytest.mark.parametrize("name", sorted(set(STATEMENTS.names()) - READ_WHOLE))
def test_each_statement_is_served_by_an_index(path: Path, name: str) -> None:
    statement = STATEMENTS[name]
    parameters = dict.fromkeys(_placeholders(statement.sql), 1) | statement.constants
    with sqlite3.connect(path) as connection:
        plan = connection.execute("EXPLAIN QUERY PLAN " + statement.sql, parameters).fetchall()
    connection.close()
    steps = [step[-1] for step in plan]
    if name == "open_transactions":
        assert steps == ["SCAN transactions USING INDEX ix_transactions_open"]  # only open ones
        return
    unwelcome = ("SCAN", "USE TEMP B-TREE") if name in PAGED else ("SCAN",)
    assert not [step for step in steps if step.startswith(unwelcome)], steps


def _placeholders(sql: str) -> set[str]:
    return set(re.findall(r":(\w+)", sql))


def test_the_statements_compile_for_postgresql_too() -> None:
    compiled = Statements(PGDialect_psycopg())
    for name in compiled.names():
        if not name.startswith(("all_", "open_", "estate_changed", "newest_position")):
            assert "%(" in compiled[name].sql, name
    assert compiled["lock_transaction"].sql.rstrip().endswith("FOR UPDATE")


def test_rows_know_every_column_of_a_transaction() -> None:
    columns = {column.name for column in tables.transactions.c}
    fields = set(Transaction.__struct_fields__) - {"amount"} | {"amount", "currency"}
    assert columns == fields
    assert set(rows.MOVING_COLUMNS) < columns


def test_the_estate_tables_are_named_as_the_fields_are() -> None:
    for kind, table in rows.ESTATE_TABLES.items():
        assert [column.name for column in table.c] == [
            field.encode_name for field in msgspec.structs.fields(kind)
        ]
