"""Registers and pairing codes

Revision 0005, after 0004.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "registers",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("dialect", sa.Text(), nullable=False),
        sa.Column("register_id", sa.Text(), nullable=False),
        sa.Column("business_name", sa.Text(), nullable=False),
        sa.Column("vendor_name", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("terminal_id", sa.Text(), nullable=True),
        sa.Column("paired_at", sa.BigInteger(), nullable=False),
        sa.Column("unpaired_at", sa.BigInteger(), nullable=True),
        sa.Column("last_seen_at", sa.BigInteger(), nullable=True),
        sa.Column("last_seen_from", sa.Text(), nullable=False),
        sa.Column("clashed_at", sa.BigInteger(), nullable=True),
        sa.Column("clashed_with", sa.Text(), nullable=False),
        sa.Column("clashes", sa.Integer(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_registers_organisation_id")
        ),
        sa.ForeignKeyConstraint(
            ["terminal_id"], ["terminals.id"], name=op.f("fk_registers_terminal_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registers")),
        sa.UniqueConstraint(
            "organisation_id",
            "dialect",
            "vendor_name",
            "register_id",
            name=op.f("uq_registers_organisation_id_dialect_vendor_name_register_id"),
        ),
    )
    op.create_table(
        "pairing_codes",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("terminal_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["terminal_id"], ["terminals.id"], name=op.f("fk_pairing_codes_terminal_id")
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_pairing_codes")),
    )
    op.create_index("ix_pairing_codes_terminal_id", "pairing_codes", ["terminal_id"])
    op.create_index("ix_pairing_codes_expires_at", "pairing_codes", ["expires_at"])
