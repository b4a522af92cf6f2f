"""Alembic's environment: one connection, one transaction for all steps."""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine, pool

from tillwire.journal.tables import metadata

url = context.config.get_main_option("sqlalchemy.url")
assert url, "migrations run with a URL"
engine = create_engine(url, poolclass=pool.NullPool)

with engine.connect() as connection:
    context.configure(
        connection=connection, target_metadata=metadata, render_as_batch=True, compare_type=True
    )
    with context.begin_transaction():
        context.run_migrations()
