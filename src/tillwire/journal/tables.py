"""The tables, one definition for every database.

Times are integers (ms since 1970, UTC), money is minor units beside a currency code, and what is
never searched for is JSON text. So no column needs a conversion on its way, and the statements can
be run on the database's own driver.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_OPEN = "state IN ('ACCEPTED', 'SENT', 'STARTED', 'UNKNOWN')"


def _required(name: str, kind: type = Text) -> Column[object]:
    return Column(name, kind, nullable=False)


# --- the estate -----------------------------------------------------------------------------

estate_versions = Table(
    "estate_versions",
    metadata,
    Column("id", Integer, primary_key=True),
    _required("version", BigInteger),
)
"""One row; its number grows with every change, so that a running gateway notices."""

organisations = Table(
    "organisations", metadata, Column("id", Text, primary_key=True), _required("name")
)
api_keys = Table(
    "api_keys",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("organisation_id", ForeignKey("organisations.id"), nullable=False, index=True),
    _required("label"),
    Column("digest", LargeBinary, nullable=False, unique=True),
    _required("created_at", BigInteger),
    Column("valid_from", BigInteger),
    Column("valid_until", BigInteger),
    Column("revoked_at", BigInteger),
    Column("last_used_at", BigInteger),
)
merchants = Table(
    "merchants",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organisation_id", ForeignKey("organisations.id"), nullable=False),
    _required("name"),
)
stores = Table(
    "stores",
    metadata,
    Column("id", Text, primary_key=True),
    Column("merchant_id", ForeignKey("merchants.id"), nullable=False),
    _required("name"),
    _required("address"),
    _required("city"),
    _required("zip_code"),
    _required("country"),
    _required("time_zone"),
    _required("currency"),
)
terminals = Table(
    "terminals",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organisation_id", ForeignKey("organisations.id"), nullable=False),
    Column("store_id", ForeignKey("stores.id"), nullable=False),
    _required("manufacturer"),
    _required("model"),
    _required("serial"),
    _required("tid"),
    _required("driver"),
    _required("settings"),
    _required("lifecycle"),
    Column("device_digest", LargeBinary, unique=True),
)
devices = Table(
    "devices",
    metadata,
    Column("terminal_id", ForeignKey("terminals.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    _required("serial"),
    _required("created_at", BigInteger),
    _required("lifecycle"),
    Column("activated_at", BigInteger),
    Column("removed_at", BigInteger),
)

applications = Table(
    "applications",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organisation_id", ForeignKey("organisations.id"), nullable=False),
    _required("name"),
    _required("public_key"),
    _required("permissions"),
    _required("created_at", BigInteger),
    Column("revoked_at", BigInteger),
)
client_apps = Table(
    "client_apps",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organisation_id", ForeignKey("organisations.id"), nullable=False),
    _required("name"),
    _required("profile"),
    _required("secret_digest", LargeBinary),
    _required("certificate"),
    _required("certificate_digest", LargeBinary),
    _required("point_of_sale"),
    _required("redirect_uris"),
    _required("tids"),
    _required("created_at", BigInteger),
    Column("revoked_at", BigInteger),
    Column("former_secrets", Text),
)
sealed_keys = Table(
    "sealed_keys",
    metadata,
    Column("id", Text, primary_key=True),
    _required("purpose"),
    _required("sealed"),
    _required("created_at", BigInteger),
    Column("retired_at", BigInteger),
)
seen_tokens = Table(
    "seen_tokens",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("until", BigInteger, nullable=False, index=True),
)
hooks = Table(
    "hooks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organisation_id", ForeignKey("organisations.id"), nullable=False),
    _required("application_id"),
    _required("merchant_id"),
    _required("dialect"),
    _required("address"),
    _required("sealed_secret"),
    _required("events"),
    _required("active", Integer),
    _required("created_at", BigInteger),
    _required("updated_at", BigInteger),
    Column("removed_at", BigInteger),
)

registers = Table(
    "registers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organisation_id", ForeignKey("organisations.id"), nullable=False),
    _required("dialect"),
    _required("register_id"),
    _required("business_name"),
    _required("vendor_name"),
    _required("name"),
    Column("terminal_id", ForeignKey("terminals.id")),
    _required("paired_at", BigInteger),
    Column("unpaired_at", BigInteger),
    Column("last_seen_at", BigInteger),
    _required("last_seen_from"),
    Column("clashed_at", BigInteger),
    _required("clashed_with"),
    _required("clashes", Integer),
    _required("detail"),
    UniqueConstraint("organisation_id", "dialect", "vendor_name", "register_id"),
)
pairing_codes = Table(
    "pairing_codes",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("terminal_id", ForeignKey("terminals.id"), nullable=False, index=True),
    _required("created_at", BigInteger),
    Column("expires_at", BigInteger, index=True),
)

# --- transactions ---------------------------------------------------------------------------

transactions = Table(
    "transactions",
    metadata,
    Column("id", Text, primary_key=True),
    _required("version", Integer),
    _required("organisation_id"),
    _required("terminal_id"),
    _required("dialect"),
    _required("type"),
    _required("state"),
    _required("amount", BigInteger),
    _required("currency"),
    _required("reference"),
    _required("heading"),
    _required("created_at", BigInteger),
    Column("original_id", Text),
    _required("partial_allowed", Integer),
    _required("register"),
    _required("waits", Integer),
    Column("expires_at", BigInteger),
    _required("token", BigInteger),
    Column("sent_at", BigInteger),
    Column("send_by", BigInteger),
    Column("deadline", BigInteger),
    Column("started_at", BigInteger),
    Column("peer", Text),
    Column("outcome", Text),
    Column("proof", Text),
    Column("ended_at", BigInteger),
    Column("cleared_at", BigInteger),
    Column("reversed_at", BigInteger),
    Column("terms", Text),
    Column("callback", Text),
    Column("received_at", BigInteger),
    Index("ix_transactions_terminal_id_id_type", "terminal_id", "id", "type"),
    Index("ix_transactions_organisation_id_reference_id", "organisation_id", "reference", "id"),
    Index("ix_transactions_terminal_id_ended_at", "terminal_id", "ended_at"),
    Index(
        "ix_transactions_original_id",
        "original_id",
        sqlite_where=text("original_id IS NOT NULL"),
        postgresql_where=text("original_id IS NOT NULL"),
    ),
    Index(
        "ix_transactions_open",
        "terminal_id",
        "state",
        "id",
        sqlite_where=text(_OPEN),
        postgresql_where=text(_OPEN),
    ),
)
events = Table(
    "events",
    metadata,
    # Its order is the order of commits: SQLite has one writer; elsewhere writers take a lock first.
    Column("position", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    _required("transaction_id"),
    _required("sequence", Integer),
    _required("name"),
    _required("state"),
    _required("at", BigInteger),
    _required("detail"),
    UniqueConstraint("transaction_id", "sequence"),
)
occupancy = Table(
    "occupancy",
    metadata,
    Column("terminal_id", Text, primary_key=True),
    Column("transaction_id", Text),
    _required("owner"),
    _required("token", BigInteger),
    Column("deadline", BigInteger),
)
"""Who holds each terminal. The row stays when the terminal is free, for its token only grows."""

idempotency = Table(
    "idempotency",
    metadata,
    Column("organisation_id", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    _required("fingerprint"),
    _required("transaction_id"),
    _required("at", BigInteger),
)
discrepancies = Table(
    "discrepancies",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("transaction_id", Text),
    _required("at", BigInteger),
    _required("known"),
    _required("heard"),
    Column("closed_at", BigInteger),
    _required("closed_by"),
    _required("reason"),
    _required("kind"),
    Column("key", Text, unique=True),
    _required("source"),
    Index(
        "ix_discrepancies_open",
        "transaction_id",
        sqlite_where=text("closed_at IS NULL"),
        postgresql_where=text("closed_at IS NULL"),
    ),
)

# --- tills' messages, sessions and periods --------------------------------------------------

_OF_A_REGISTER = ("terminal_id", "dialect", "register")

exchanges = Table(
    "exchanges",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    _required("organisation_id"),
    _required("terminal_id"),
    _required("dialect"),
    _required("register"),
    _required("number"),
    _required("kind"),
    _required("digest"),
    _required("at", BigInteger),
    _required("chain"),
    Column("transaction_id", Text),
    _required("request"),
    _required("answer"),
    Column("answered_at", BigInteger),
    Index("ix_exchanges_number", *_OF_A_REGISTER, "number", "id"),
    Index("ix_exchanges_newest", *_OF_A_REGISTER, "id"),
    Index(
        "ix_exchanges_transaction_id",
        "transaction_id",
        sqlite_where=text("transaction_id IS NOT NULL"),
        postgresql_where=text("transaction_id IS NOT NULL"),
    ),
    Index(
        "ix_exchanges_chain",
        "organisation_id",
        "chain",
        "id",
        sqlite_where=text("chain <> ''"),
        postgresql_where=text("chain <> ''"),
    ),
    Index(
        "ix_exchanges_at",
        "at",
        sqlite_where=text("transaction_id IS NULL"),
        postgresql_where=text("transaction_id IS NULL"),
    ),
)
sessions = Table(
    "sessions",
    metadata,
    Column("terminal_id", Text, primary_key=True),
    Column("dialect", Text, primary_key=True),
    Column("register", Text, primary_key=True),
    _required("opened_at", BigInteger),
    _required("detail"),
)
closings = Table(
    "closings",
    metadata,
    Column("terminal_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    _required("opened_at", BigInteger),
    _required("closed_at", BigInteger),
    _required("position", BigInteger),
    _required("ended", BigInteger),
    _required("totals"),
)
counters = Table(
    "counters",
    metadata,
    Column("series", Text, primary_key=True),
    _required("upcoming", BigInteger),
)
"""The next number of each series that nobody has reserved."""

# --- what we must tell others ---------------------------------------------------------------

letters = Table(
    "letters",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("transaction_id", Text),
    _required("organisation_id"),
    _required("channel"),
    _required("kind"),
    _required("sealed"),
    _required("body", LargeBinary),
    _required("gzip", Integer),
    _required("created_at", BigInteger),
    _required("due_at", BigInteger),
    _required("pauses"),
    _required("patience"),
    _required("tries", Integer),
    _required("state"),
    Column("settled_at", BigInteger),
    _required("trouble"),
    Index("ix_letters_state_id", "state", "id"),
    Index("ix_letters_channel_id", "channel", "id"),
    Index("ix_letters_created_at", "created_at"),
    Index(
        "ix_letters_transaction_id",
        "transaction_id",
        "id",
        sqlite_where=text("transaction_id IS NOT NULL"),
        postgresql_where=text("transaction_id IS NOT NULL"),
    ),
    # No id comes twice, also when the newest letters were dropped: whoever follows them by their
    # ids misses none.
    sqlite_autoincrement=True,
)

# --- what operators set ---------------------------------------------------------------------

lane_ports = Table(
    "lane_ports",
    metadata,
    Column("lane", Text, primary_key=True),
    _required("port", Integer),
    _required("set_at", BigInteger),
    _required("set_by"),
)
