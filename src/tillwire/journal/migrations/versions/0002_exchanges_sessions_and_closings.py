"""Exchanges, sessions and closings

Revision 0002, after 0001.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("transactions", sa.Column("terms", sa.Text(), nullable=True))
    _exchanges()
    op.create_table(
        "sessions",
        sa.Column("terminal_id", sa.Text(), nullable=False),
        sa.Column("dialect", sa.Text(), nullable=False),
        sa.Column("register", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("terminal_id", "dialect", "register", name=op.f("pk_sessions")),
    )
    op.create_table(
        "closings",
        sa.Column("terminal_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger(), nullable=False),
        sa.Column("totals", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("terminal_id", "number", name=op.f("pk_closings")),
    )
    op.create_table(
        "counters",
        sa.Column("series", sa.Text(), nullable=False),
        sa.Column("upcoming", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("series", name=op.f("pk_counters")),
    )


def _exchanges() -> None:
    op.create_table(
        "exchanges",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("terminal_id", sa.Text(), nullable=False),
        sa.Column("dialect", sa.Text(), nullable=False),
        sa.Column("register", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("transaction_id", sa.Text(), nullable=True),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("answered_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exchanges")),
    )
    of_a_register = ["terminal_id", "dialect", "register"]
    op.create_index("ix_exchanges_number", "exchanges", [*of_a_register, "number", "id"])
    op.create_index("ix_exchanges_newest", "exchanges", [*of_a_register, "id"])
    _partial_index("transaction_id", ["transaction_id"], "transaction_id IS NOT NULL")
    _partial_index("chain", ["organisation_id", "chain", "id"], "chain <> ''")
    _partial_index("at", ["at"], "transaction_id IS NULL")


def _partial_index(name: str, columns: list[str], where: str) -> None:
    op.create_index(
        f"ix_exchanges_{name}",
        "exchanges",
        columns,
        sqlite_where=sa.text(where),
        postgresql_where=sa.text(where),
    )
