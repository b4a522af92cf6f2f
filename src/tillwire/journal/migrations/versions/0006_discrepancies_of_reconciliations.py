"""Discrepancies of reconciliations

Revision 0006, after 0005.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_discrepancies_open", "discrepancies")
    with op.batch_alter_table("discrepancies") as table:
        table.alter_column("transaction_id", existing_type=sa.Text(), nullable=True)
        # Those that are there were opened by facts that contradicted an outcome.
        table.add_column(
            sa.Column("kind", sa.Text(), nullable=False, server_default="contradiction")
        )
        table.add_column(sa.Column("key", sa.Text(), nullable=True))
        table.add_column(sa.Column("source", sa.Text(), nullable=False, server_default=""))
        table.create_unique_constraint(op.f("uq_discrepancies_key"), ["key"])
    with op.batch_alter_table("discrepancies") as table:
        table.alter_column("kind", existing_type=sa.Text(), server_default=None)
        table.alter_column("source", existing_type=sa.Text(), server_default=None)
    op.create_index(
        "ix_discrepancies_open",
        "discrepancies",
        ["transaction_id"],
        sqlite_where=sa.text("closed_at IS NULL"),
        postgresql_where=sa.text("closed_at IS NULL"),
    )
