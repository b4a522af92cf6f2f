"""Client applications, sealed keys and seen tokens

Revision 0007, after 0006.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # With the id in it, the newest under a reference is found without a sort.
    op.drop_index("ix_transactions_organisation_id_reference", "transactions")
    op.create_index(
        "ix_transactions_organisation_id_reference_id",
        "transactions",
        ["organisation_id", "reference", "id"],
    )
    op.create_table(
        "client_apps",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("secret_digest", sa.LargeBinary(), nullable=False),
        sa.Column("certificate", sa.Text(), nullable=False),
        sa.Column("certificate_digest", sa.LargeBinary(), nullable=False),
        sa.Column("point_of_sale", sa.Text(), nullable=False),
        sa.Column("redirect_uris", sa.Text(), nullable=False),
        sa.Column("tids", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_client_apps_organisation_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_client_apps")),
    )
    op.create_table(
        "sealed_keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("retired_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sealed_keys")),
    )
    op.create_table(
        "seen_tokens",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_seen_tokens")),
    )
    op.create_index("ix_seen_tokens_until", "seen_tokens", ["until"])
