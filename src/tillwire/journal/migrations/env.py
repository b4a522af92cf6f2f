"""Alembic's environment: one connection, one transaction for all steps, so that whoever is killed
in the middle of an upgrade finds the journal as it was."""

from __future__ import annotations

from typing import Any

from alembic import context
from sqlalchemy import Connection, create_engine, event, pool

from tillwire.journal.tables import metadata

url = context.config.get_main_option("sqlalchemy.url")
assert url, "migrations run with a URL"
engine = create_engine(url, poolclass=pool.NullPool)

if engine.dialect.name == "sqlite":
    # Python's sqlite3 would begin no transaction before the statements that change a schema.
    @event.listens_for(engine, "connect")
    def leave_transactions_to_us(connection: Any, _: object) -> None:  # Any: a driver's own
        """Begin none by itself."""
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        """Take the write lock."""
        connection.exec_driver_sql("BEGIN IMMEDIATE")


with engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=True,
        compare_type=True,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()
