"""Every statement that the journal runs, written once and compiled once per database.

SQLAlchemy writes the SQL; the database's own driver runs it with named parameters, since a
sale's handful of statements must not each pay for an ORM's machinery. Each statement is served by
an index (`tests/unit/journal/test_schema.py` asks the planner).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Executable,
    Table,
    Text,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.engine import Dialect

from tillwire.core.letters import LetterState
from tillwire.core.model import FINAL_STATES, TransactionType
from tillwire.journal.rows import ESTATE_TABLES, MOVING_COLUMNS, SETTLED_COLUMNS
from tillwire.journal.tables import (
    api_keys,
    closings,
    discrepancies,
    estate_versions,
    events,
    exchanges,
    hooks,
    idempotency,
    lane_ports,
    letters,
    occupancy,
    pairing_codes,
    registers,
    seen_tokens,
    sessions,
    transactions,
)

_id = transactions.c.id
# Spelled as the partial index is, or the planner would not see that it serves.
_is_open = text("state IN ('ACCEPTED', 'SENT', 'STARTED', 'UNKNOWN')")

TYPE_PARAMETERS: Final = {f"type_{kind.lower()}": kind for kind in TransactionType}
"""Parameters that choose types of transactions: each is its type, or NULL where it is not meant."""
_is_of_types = transactions.c.type.in_([bindparam(name, type_=Text) for name in TYPE_PARAMETERS])

KIND_PARAMETERS: Final = tuple(f"kind_{number}" for number in range(8))
"""Parameters that choose kinds of exchanges; NULL where there are fewer."""
_FINAL: Final = ", ".join(sorted(f"'{state.value}'" for state in FINAL_STATES))
# Those that name a transaction which is not the journal's, too. Its ids begin with a digit, so
# only what begins with a letter needs a look.
_OLD_EXCHANGES: Final = (
    "SELECT id FROM exchanges WHERE at < :before AND (transaction_id IS NULL OR "
    "(transaction_id >= 'A' AND NOT EXISTS "
    "(SELECT 1 FROM transactions t WHERE t.id = exchanges.transaction_id)))"
)


def _of_register(table: Table) -> list[ColumnElement[bool]]:
    names = ("terminal_id", "dialect", "register")
    return [table.c[name] == bindparam(name) for name in names]


def _upsert(table: Table) -> Executable:
    names = [column.name for column in table.columns]
    keys = [column.name for column in table.primary_key.columns]
    changes = ", ".join(f"{name} = excluded.{name}" for name in names if name not in keys)
    return text(
        f"INSERT INTO {table.name} ({', '.join(names)}) "  # noqa: S608 - names of our own tables
        f"VALUES ({', '.join(':' + name for name in names)}) "
        f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {changes}"
    )


_STATEMENTS: Final[dict[str, Executable]] = {
    "transaction": select(transactions).where(_id == bindparam("id")),
    "lock_transaction": select(transactions).where(_id == bindparam("id")).with_for_update(),
    "insert_transaction": insert(transactions),
    "update_transaction": update(transactions)
    .where(_id == bindparam("is_id"), transactions.c.version == bindparam("was_version"))
    .values({name: bindparam(name) for name in MOVING_COLUMNS}),
    "open_transactions": select(transactions).where(_is_open),
    "terminal_transactions": select(transactions)
    .where(transactions.c.terminal_id == bindparam("terminal_id"), _is_of_types)
    .order_by(_id.desc())
    .limit(bindparam("limit"))
    .offset(bindparam("offset")),
    "count_transactions": select(func.count())
    .select_from(transactions)
    .where(transactions.c.terminal_id == bindparam("terminal_id"), _is_of_types),
    "transactions_between": select(transactions)
    .where(
        transactions.c.terminal_id == bindparam("terminal_id"),
        _id >= bindparam("first"),
        _id < bindparam("behind"),
    )
    .order_by(_id.desc())
    .limit(bindparam("limit")),
    "by_reference": select(transactions)
    .where(
        transactions.c.organisation_id == bindparam("organisation_id"),
        transactions.c.reference == bindparam("reference"),
    )
    .order_by(_id),
    "referenced_before": select(transactions)
    .where(
        transactions.c.organisation_id == bindparam("organisation_id"),
        transactions.c.reference == bindparam("reference"),
        _id < bindparam("behind"),
    )
    .order_by(_id.desc())
    .limit(bindparam("limit")),
    "newest_by_reference": select(transactions)
    .where(
        transactions.c.organisation_id == bindparam("organisation_id"),
        transactions.c.reference == bindparam("reference"),
        # Headings are JSON, whose texts have no bare quotes in them.
        or_(
            transactions.c.heading.contains(bindparam("named")),
            and_(
                transactions.c.terminal_id == bindparam("terminal_id"),
                transactions.c.heading.contains('"tid":""'),
            ),
        ),
    )
    .order_by(_id.desc())
    .limit(bindparam("limit")),
    "transactions_in": select(transactions)
    .where(_id >= bindparam("first"), _id < bindparam("behind"))
    .order_by(_id),
    "newest_transactions": select(transactions).order_by(_id.desc()).limit(bindparam("limit")),
    "ended_between": select(transactions)
    .where(
        transactions.c.terminal_id == bindparam("terminal_id"),
        transactions.c.ended_at >= bindparam("begin"),
        transactions.c.ended_at < bindparam("end"),
    )
    .order_by(transactions.c.ended_at, _id),
    "follow_ups": select(transactions)
    .where(transactions.c.original_id == bindparam("original_id"))
    .order_by(_id),
    "queue": select(transactions)
    .where(
        transactions.c.terminal_id == bindparam("terminal_id"),
        transactions.c.state == "ACCEPTED",
        transactions.c.token == 0,
        _is_open,
    )
    .order_by(_id),
    "insert_event": insert(events).values(
        {each.name: bindparam(each.name) for each in events.c if each.name != "position"}
    ),
    "events": select(events)
    .where(events.c.transaction_id == bindparam("transaction_id"))
    .order_by(events.c.sequence),
    "events_after": select(events)
    .where(events.c.position > bindparam("position"))
    .order_by(events.c.position)
    .limit(bindparam("limit")),
    "hold": select(occupancy).where(occupancy.c.terminal_id == bindparam("terminal_id")),
    "seize": text(
        "INSERT INTO occupancy (terminal_id, transaction_id, owner, token, deadline) "
        "VALUES (:terminal_id, :transaction_id, :owner, 1, :deadline) "
        "ON CONFLICT (terminal_id) DO UPDATE SET transaction_id = excluded.transaction_id, "
        "owner = excluded.owner, token = occupancy.token + 1, deadline = excluded.deadline "
        "WHERE occupancy.transaction_id IS NULL RETURNING token"
    ),
    "pass_on": text(
        "UPDATE occupancy SET token = token + 1, owner = :owner, deadline = NULL, "
        "transaction_id = (SELECT id FROM transactions WHERE terminal_id = :terminal_id "
        "AND state = 'ACCEPTED' AND token = 0 "
        "AND state IN ('ACCEPTED', 'SENT', 'STARTED', 'UNKNOWN') ORDER BY id LIMIT 1) "
        "WHERE terminal_id = :terminal_id AND transaction_id = :transaction_id "
        "AND token = :token RETURNING transaction_id, token"
    ),
    "idempotent": select(idempotency.c.transaction_id, idempotency.c.fingerprint).where(
        and_(
            idempotency.c.organisation_id == bindparam("organisation_id"),
            idempotency.c.key == bindparam("key"),
        )
    ),
    "remember_key": insert(idempotency),
    "open_discrepancies": select(discrepancies)
    .where(discrepancies.c.closed_at.is_(None))
    .order_by(discrepancies.c.id),
    "all_discrepancies": select(discrepancies).order_by(discrepancies.c.id),
    "same_discrepancy": select(discrepancies.c.id).where(
        discrepancies.c.closed_at.is_(None),
        discrepancies.c.transaction_id == bindparam("transaction_id"),
        discrepancies.c.heard == bindparam("heard"),
    ),
    "disputes": select(func.count())
    .select_from(discrepancies)
    .where(
        discrepancies.c.closed_at.is_(None),
        discrepancies.c.transaction_id == bindparam("transaction_id"),
    ),
    "insert_discrepancy": insert(discrepancies).values(
        {
            column.name: bindparam(column.name)
            for column in discrepancies.c
            if column.name not in ("id", "closed_at", "key")
        }
    ),
    "report_finding": text(
        "INSERT INTO discrepancies "
        "(transaction_id, at, known, heard, closed_by, reason, kind, key, source) "
        "VALUES (:transaction_id, :at, :known, :heard, '', '', :kind, :key, :source) "
        "ON CONFLICT (key) DO NOTHING"
    ),
    "close_discrepancy": update(discrepancies)
    .where(discrepancies.c.id == bindparam("number"), discrepancies.c.closed_at.is_(None))
    .values(closed_at=bindparam("at"), closed_by=bindparam("person"), reason=bindparam("because")),
    "exchange": select(exchanges)
    .where(*_of_register(exchanges), exchanges.c.number == bindparam("number"))
    .order_by(exchanges.c.id.desc())
    .limit(1),
    "last_exchange": select(exchanges)
    .where(
        *_of_register(exchanges),
        exchanges.c.kind.in_([bindparam(name, type_=Text) for name in KIND_PARAMETERS]),
    )
    .order_by(exchanges.c.id.desc())
    .limit(1),
    "exchange_of": select(exchanges)
    .where(exchanges.c.transaction_id == bindparam("transaction_id"))
    .order_by(exchanges.c.id.desc())
    .limit(1),
    "exchanges_by_chain": select(exchanges)
    .where(
        exchanges.c.organisation_id == bindparam("organisation_id"),
        exchanges.c.chain == bindparam("chain"),
        text("chain <> ''"),
    )
    .order_by(exchanges.c.id.desc())
    .limit(bindparam("limit")),
    "insert_exchange": insert(exchanges)
    .values({each.name: bindparam(each.name) for each in exchanges.c if each.name != "id"})
    .returning(exchanges.c.id),
    "answer_exchange": update(exchanges)
    .where(exchanges.c.id == bindparam("number"))
    .values(answer=bindparam("text"), answered_at=bindparam("now")),
    "old_exchange": text(f"{_OLD_EXCHANGES} LIMIT 1"),
    "drop_exchanges": text(
        f"DELETE FROM exchanges WHERE id IN ({_OLD_EXCHANGES} LIMIT :limit)"  # noqa: S608 - ours
    ),
    "post": insert(letters)
    .values({each.name: bindparam(each.name) for each in letters.c if each.name != "id"})
    .returning(letters.c.id),
    "letter": select(letters).where(letters.c.id == bindparam("number")),
    "waiting_letters": select(letters)
    .where(letters.c.state == LetterState.WAITING.value, letters.c.id > bindparam("after"))
    .order_by(letters.c.id)
    .limit(bindparam("limit")),
    "letters_of": select(letters)
    .where(letters.c.transaction_id == bindparam("transaction_id"))
    .order_by(letters.c.id),
    "letters_on": select(letters)
    .where(letters.c.channel == bindparam("channel"))
    .order_by(letters.c.id.desc())
    .limit(bindparam("limit")),
    "letters_in": select(letters)
    .where(letters.c.state == bindparam("state"))
    .order_by(letters.c.id.desc())
    .limit(bindparam("limit")),
    "count_letters": select(func.count())
    .select_from(letters)
    .where(letters.c.state == bindparam("state")),
    "settle_letter": update(letters)
    .where(letters.c.id == bindparam("number"), letters.c.state == LetterState.WAITING.value)
    .values({name: bindparam(f"new_{name}") for name in SETTLED_COLUMNS}),
    "drop_letter": delete(letters).where(letters.c.id == bindparam("number")),
    # What waits is not forgotten by a clock that is wrong: it has its tries first.
    "old_letter": text(
        "SELECT 1 FROM letters WHERE created_at < :before AND state <> 'WAITING' LIMIT 1"
    ),
    "drop_letters": text(
        "DELETE FROM letters WHERE id IN "
        "(SELECT id FROM letters WHERE created_at < :before AND state <> 'WAITING' LIMIT :limit)"
    ),
    "drop_hook": delete(hooks).where(hooks.c.id == bindparam("which")),
    "put_session": _upsert(sessions),
    "drop_session": delete(sessions).where(*_of_register(sessions)),
    "all_sessions": select(sessions),
    "last_closing": select(closings)
    .where(closings.c.terminal_id == bindparam("terminal_id"))
    .order_by(closings.c.number.desc())
    .limit(1),
    "closing": select(closings).where(
        closings.c.terminal_id == bindparam("terminal_id"),
        closings.c.number == bindparam("number"),
    ),
    "closings_before": select(closings.c.number)
    .where(
        closings.c.terminal_id == bindparam("terminal_id"),
        closings.c.position < bindparam("position"),
    )
    .order_by(closings.c.number.desc())
    .limit(1),
    "insert_closing": insert(closings),
    "newest_position": select(func.max(events.c.position)),
    "ended_count": select(func.count())
    .select_from(transactions)
    .where(
        transactions.c.terminal_id == bindparam("terminal_id"),
        transactions.c.ended_at.is_not(None),
    ),
    "first_of_terminal": select(transactions.c.created_at)
    .where(transactions.c.terminal_id == bindparam("terminal_id"))
    .order_by(_id)
    .limit(1),
    # The first event in a final state is the one that ended it; others are facts beside it.
    "ended_where": text(
        f"SELECT position FROM events WHERE transaction_id = :transaction_id "  # noqa: S608 - states
        f"AND state IN ({_FINAL}) ORDER BY sequence LIMIT 1"
    ),
    "endings": text(
        "SELECT t.type, t.state, t.amount, t.currency, t.register, t.terms, t.outcome, o.type "  # noqa: S608
        "FROM transactions t LEFT JOIN transactions o ON o.id = t.original_id "
        "WHERE t.terminal_id = :terminal_id AND t.ended_at >= :since AND "
        "(SELECT e.position FROM events e WHERE e.transaction_id = t.id "
        f"AND e.state IN ({_FINAL}) ORDER BY e.sequence LIMIT 1) > :position"
    ),
    "ended_since": text(
        f"SELECT 1 FROM events e WHERE e.position > :position AND e.state IN ({_FINAL}) AND "  # noqa: S608
        "(SELECT t.terminal_id FROM transactions t WHERE t.id = e.transaction_id) = :terminal_id "
        "LIMIT 1"
    ),
    "reserve_numbers": text(
        "INSERT INTO counters (series, upcoming) VALUES (:series, :first + :count) "
        "ON CONFLICT (series) DO UPDATE SET upcoming = counters.upcoming + :count "
        "RETURNING upcoming - :count"
    ),
    "put_lane_port": _upsert(lane_ports),
    "drop_lane_port": delete(lane_ports).where(lane_ports.c.lane == bindparam("lane")),
    "all_lane_ports": select(lane_ports).order_by(lane_ports.c.lane),
    "estate_version": select(estate_versions.c.version).where(estate_versions.c.id == 1),
    "estate_changed": text(
        "INSERT INTO estate_versions (id, version) VALUES (1, 1) "
        "ON CONFLICT (id) DO UPDATE SET version = estate_versions.version + 1"
    ),
    "used_key": update(api_keys)
    .where(
        api_keys.c.id == bindparam("number"),
        or_(api_keys.c.last_used_at.is_(None), api_keys.c.last_used_at < bindparam("at")),
    )
    .values(last_used_at=bindparam("at")),
    "saw_register": update(registers)
    .where(registers.c.id == bindparam("which"))
    .values(last_seen_at=bindparam("at"), last_seen_from=bindparam("place")),
    "register_clashed": update(registers)
    .where(registers.c.id == bindparam("which"))
    .values(
        clashed_at=bindparam("at"),
        clashed_with=bindparam("place"),
        clashes=registers.c.clashes + 1,
    ),
    "pairing_code": select(pairing_codes).where(pairing_codes.c.digest == bindparam("is_digest")),
    "put_pairing_code": insert(pairing_codes),
    "drop_pairing_code": delete(pairing_codes).where(
        pairing_codes.c.digest == bindparam("is_digest")
    ),
    "drop_pairing_codes": delete(pairing_codes).where(
        or_(
            and_(
                pairing_codes.c.terminal_id == bindparam("of_terminal"),
                pairing_codes.c.expires_at.is_not(None),
            ),
            pairing_codes.c.expires_at <= bindparam("expired"),
        )
    ),
    "see_token": text(
        "INSERT INTO seen_tokens (digest, until) VALUES (:digest, :until) "
        "ON CONFLICT (digest) DO NOTHING RETURNING digest"
    ),
    "forget_tokens": delete(seen_tokens).where(seen_tokens.c.until < bindparam("now")),
    **{f"put_{table.name}": _upsert(table) for table in ESTATE_TABLES.values()},
    **{f"all_{table.name}": select(table) for table in ESTATE_TABLES.values()},
}


class Statement(NamedTuple):
    """SQL for one database's driver, and the constants that were bound into it."""

    sql: str
    constants: dict[str, object]


class Statements:
    """The statements, compiled for one database."""

    def __init__(self, dialect: Dialect) -> None:
        self._compiled: dict[str, Statement] = {}
        for name, statement in _STATEMENTS.items():
            compiled = statement.compile(dialect=dialect)  # type: ignore[attr-defined]
            constants = {key: value for key, value in compiled.params.items() if value is not None}
            self._compiled[name] = Statement(str(compiled), constants)

    def __getitem__(self, name: str) -> Statement:
        return self._compiled[name]

    def names(self) -> list[str]:
        """All of them, for tests that look at every plan."""
        return list(self._compiled)
