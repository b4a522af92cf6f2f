"""Units of work: the journal's writing port, in SQL over one connection of a driver.

What differs between databases (locks, error classes) is the committer's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from tillwire.clock import Instant
from tillwire.core.estate_model import PairingCode
from tillwire.core.letters import Letter
from tillwire.core.model import (
    Event,
    Exchange,
    Finding,
    Session,
    State,
    Transaction,
)
from tillwire.core.ports import EstateThing, Hold, LanePort, StaleError
from tillwire.core.totals import Closing
from tillwire.journal import rows
from tillwire.journal.reader import Cursor, RawConnection, SqlReader
from tillwire.journal.statements import Statements

MOST_DISPUTES: Final = 20
"""Open discrepancies of one transaction. A terminal that tells ever new tales fills no disk."""
_APART: Final = frozenset(
    {
        "answer_exchange", "estate_version", "exchange", "hold", "idempotent", "insert_exchange",
        "pass_on", "post", "queue", "remember_key", "seize", "settle_letter",
    }
)  # fmt: skip
"""Statements that see nothing of what gathers: they are about other tables, or look among the
transactions for those alone that wait in a queue."""


class Gathered:
    """What the units of a group have left to be written at once: transactions that do not wait in
    a queue, new ones and new states of known ones, and all events. It is written at the group's
    end, or before anything is read that it might change."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements
        self.new: list[Transaction] = []
        self.moved: dict[str, tuple[Transaction, Transaction]] = {}
        """By id, what a transaction was in the journal, and what it is now."""
        self.events: list[Event] = []
        self.estate_version: int | None = None
        """As it was read; nobody else changes it while the group is written."""

    def forget(self) -> None:
        """What was gathered for a group that did not become durable."""
        self._clear()
        self.estate_version = None

    def _clear(self) -> None:
        self.new.clear()
        self.moved.clear()
        self.events.clear()

    def __bool__(self) -> bool:
        return bool(self.events)

    def write(self, connection: RawConnection) -> None:
        """Write it, in its order. Raises `StaleError` when the journal has moved on from one of
        them, so that the group fails: each unit alone learns then whether it was that one's."""
        if not self.events:  # each of the others brings some
            return
        if self.new:
            self._write(connection, "insert_transaction", map(rows.insert_values, self.new))
        if self.moved:
            values = [_move_values(before, after) for before, after in self.moved.values()]
            if self._write(connection, "update_transaction", values) != len(values):
                raise StaleError(f"Not at their versions any more: {', '.join(self.moved)}.")
        self._write(connection, "insert_event", map(rows.event_values, self.events))
        self._clear()

    def _write(
        self, connection: RawConnection, name: str, values: Iterable[Mapping[str, object]]
    ) -> int:
        cursor: Cursor = connection.executemany(self._statements[name].sql, values)
        return cursor.rowcount


def _move_values(before: Transaction, after: Transaction) -> dict[str, object]:
    return {**rows.moving_values(after), "is_id": before.id, "was_version": before.version}


class SqlUnit(SqlReader):
    """One unit of work inside a database transaction that somebody else begins and commits."""

    def __init__(
        self, connection: RawConnection, statements: Statements, gathered: Gathered
    ) -> None:
        """`gathered` is the group's; whoever commits writes it before it does."""
        super().__init__(connection, statements)
        self._gathered = gathered
        self.wrote = False
        """Whether anything was written: if not, a failed unit leaves nothing to roll back."""

    def _run(self, name: str, values: Mapping[str, object] | None = None) -> Cursor:
        if name not in _APART and self._gathered:
            # Whatever is wrong with it concerns the whole group, whoever has looked.
            wrote, self.wrote = self.wrote, True
            self._gathered.write(self._connection)
            self.wrote = wrote
        return super()._run(name, values)

    def _write(self, name: str, values: Mapping[str, object] | None = None) -> Cursor:
        self.wrote = True
        return self._run(name, values)

    def estate_version(self) -> int:
        """A number that grows with every change of the estate."""
        if self._gathered.estate_version is None:
            self._gathered.estate_version = super().estate_version()
        return self._gathered.estate_version

    def _changed_estate(self) -> None:
        self._write("estate_changed")
        self._gathered.estate_version = None

    def insert(self, transaction: Transaction, events: Sequence[Event]) -> None:
        """A new transaction with its first events."""
        assert events[-1].sequence == transaction.version == len(events)
        # Moved before it was there: whoever did so has to hear of it.
        if transaction.token and transaction.id not in self._gathered.moved:
            self.wrote = True
            self._gathered.new.append(transaction)
        else:
            self._write("insert_transaction", rows.insert_values(transaction))
        self._gathered.events += events

    def update(self, before: Transaction, after: Transaction, events: Sequence[Event]) -> None:
        """Write `after` over `before`. Raises `StaleError` when the journal has moved on."""
        assert before.id == after.id
        assert after.version == before.version + len(events) == events[-1].sequence
        # What is ACCEPTED may wait in a queue, and whoever passes a terminal on looks there.
        if before.state is not State.ACCEPTED and before.id not in self._gathered.moved:
            self.wrote = True
            self._gathered.moved[before.id] = before, after
        else:
            wrote = self.wrote
            if self._write("update_transaction", _move_values(before, after)).rowcount != 1:
                self.wrote = wrote  # so its group need not be run again without it
                raise StaleError(
                    f"Transaction {before.id} is not at version {before.version} any more."
                )
        self._gathered.events += events

    def seize(
        self, terminal_id: str, transaction_id: str, owner: str, deadline: Instant | None
    ) -> int | None:
        """Hold a free terminal; the fencing token, or None when somebody holds it."""
        wrote = self.wrote
        row = self._write(
            "seize",
            {
                "terminal_id": terminal_id,
                "transaction_id": transaction_id,
                "owner": owner,
                "deadline": deadline,
            },
        ).fetchone()
        if row is None:
            self.wrote = wrote
            return None
        token: int = row[0]
        return token

    def pass_on(self, held: Transaction, owner: str) -> Hold | None:
        """Let go of the terminal, to the oldest waiting transaction in its queue."""
        row = self._write(
            "pass_on",
            {
                "terminal_id": held.terminal_id,
                "transaction_id": held.id,
                "token": held.token,
                "owner": owner,
            },
        ).fetchone()
        if row is None:
            raise StaleError(f"Transaction {held.id} does not hold its terminal with {held.token}.")
        successor, token = row
        return Hold(held.terminal_id, successor, owner, token, None) if successor else None

    def follow_ups(self, original_id: str) -> list[Transaction]:
        """Transactions that name the original, under a lock on the original's row."""
        self._run("lock_transaction", {"id": original_id})
        return super().follow_ups(original_id)

    def idempotent(self, organisation_id: str, key: str) -> tuple[str, str] | None:
        """(transaction id, fingerprint) accepted earlier under this key."""
        row = self._run("idempotent", {"organisation_id": organisation_id, "key": key}).fetchone()
        return (row[0], row[1]) if row else None

    def remember_key(
        self, organisation_id: str, key: str, fingerprint: str, transaction_id: str, at: Instant
    ) -> None:
        """Accepted under this key."""
        self._write(
            "remember_key",
            {
                "organisation_id": organisation_id,
                "key": key,
                "fingerprint": fingerprint,
                "transaction_id": transaction_id,
                "at": at,
            },
        )

    def open_discrepancy(self, transaction_id: str, at: Instant, known: str, heard: str) -> bool:
        """Open one; False, and nothing written, when the same, or too many, are open already."""
        same = self._run("same_discrepancy", {"transaction_id": transaction_id, "heard": heard})
        if same.fetchone() is not None or self._disputes(transaction_id) >= MOST_DISPUTES:
            return False
        self._write(
            "insert_discrepancy",
            {
                "transaction_id": transaction_id,
                "at": at,
                "known": known,
                "heard": heard,
                "closed_by": "",
                "reason": "",
                "kind": "contradiction",
                "source": "",
            },
        )
        return True

    def report(self, finding: Finding, at: Instant) -> bool:
        """Open a discrepancy of a reconciliation; False when it was opened before, be it closed
        since or not."""
        values = {**msgspec.structs.asdict(finding), "at": at}
        return self._write("report_finding", values).rowcount == 1

    def is_disputed(self, transaction_id: str) -> bool:
        """Whether the transaction has an open discrepancy."""
        return self._disputes(transaction_id) > 0

    def _disputes(self, transaction_id: str) -> int:
        count: int = self._run("disputes", {"transaction_id": transaction_id}).fetchone()[0]
        return count

    def close_discrepancy(self, number: int, at: Instant, person: str, reason: str) -> bool:
        """Close an open one; False when there is none of this number."""
        values = {"number": number, "at": at, "person": person, "because": reason}
        return self._write("close_discrepancy", values).rowcount == 1

    def used_key(self, number: int, at: Instant) -> None:
        """An API key was used; no change of the estate that anybody must hear of."""
        self._write("used_key", {"number": number, "at": at})

    def put(self, thing: EstateThing) -> None:
        """Create or overwrite a thing of the estate."""
        table = rows.ESTATE_TABLES[type(thing)]
        self._write(f"put_{table.name}", rows.estate_values(thing))
        self._changed_estate()

    def drop_hook(self, hook_id: str) -> None:
        """Forget a hook. What waits for it is given up."""
        self._write("drop_hook", {"which": hook_id})
        self._changed_estate()

    def saw_register(self, register_id: str, at: Instant, place: str) -> None:
        """A register was used; no change of the estate that anybody must hear of."""
        self._write("saw_register", {"which": register_id, "at": at, "place": place})

    def register_clashed(self, register_id: str, at: Instant, place: str) -> None:
        """It was used from this place, too: counted once more."""
        self._write("register_clashed", {"which": register_id, "at": at, "place": place})

    def put_pairing_code(self, code: PairingCode) -> None:
        """A new code."""
        self._write("put_pairing_code", msgspec.structs.asdict(code))

    def drop_pairing_code(self, digest: bytes) -> bool:
        """Forget a code; False when there is none of this digest."""
        return self._write("drop_pairing_code", {"is_digest": digest}).rowcount == 1

    def drop_pairing_codes(self, terminal_id: str, expired: Instant) -> None:
        """Forget the terminal's codes that expire, and all that had expired by then."""
        self._write("drop_pairing_codes", {"of_terminal": terminal_id, "expired": expired})

    def see_token(self, digest: bytes, until: Instant, now: Instant) -> bool:
        """Remember it until then; False when it was used before."""
        self._write("forget_tokens", {"now": now})
        values = {"digest": digest, "until": until}
        return self._write("see_token", values).fetchone() is not None

    def put_lane_port(self, lane_port: LanePort) -> None:
        """A lane's port from now on, in place of the one set before."""
        self._write("put_lane_port", msgspec.structs.asdict(lane_port))

    def drop_lane_port(self, lane: str) -> bool:
        """The configuration's port is the lane's again; False when none was set."""
        return self._write("drop_lane_port", {"lane": lane}).rowcount == 1

    # --- tills' messages, sessions and periods ----------------------------------------------

    def insert_exchange(self, exchange: Exchange) -> int:
        """Remember one; its id."""
        number: int = self._write("insert_exchange", rows.exchange_values(exchange)).fetchone()[0]
        return number

    def answer_exchange(self, exchange_id: int, answer: str, at: Instant) -> bool:
        """Remember its answer; False when there is none of this id."""
        values = {"number": exchange_id, "text": answer, "now": at}
        return self._write("answer_exchange", values).rowcount == 1

    def drop_exchanges(self, before: Instant, limit: int) -> int:
        """Forget so many of those that moved no money and are older; how many there were."""
        return self._write("drop_exchanges", {"before": before, "limit": limit}).rowcount

    # --- what we must tell others -----------------------------------------------------------

    def post(self, letter: Letter) -> int:
        """Put a new letter into the outbox; its id."""
        number: int = self._write("post", rows.letter_values(letter)).fetchone()[0]
        return number

    def settle_letter(self, letter: Letter) -> bool:
        """Write what became of a letter's last try; False when it is not waiting any more."""
        values = rows.letter_values(letter)
        changes = {f"new_{name}": values[name] for name in rows.SETTLED_COLUMNS}
        return self._write("settle_letter", {"number": letter.id, **changes}).rowcount == 1

    def drop_letter(self, letter_id: int) -> bool:
        """Forget one; False when there is none of this id."""
        return self._write("drop_letter", {"number": letter_id}).rowcount == 1

    def drop_letters(self, before: Instant, limit: int) -> int:
        """Forget so many of those that wait no more and are older; how many there were."""
        return self._write("drop_letters", {"before": before, "limit": limit}).rowcount

    def put_session(self, session: Session) -> None:
        """Open a session, in place of the register's earlier one."""
        self._write("put_session", rows.session_values(session))

    def drop_session(self, terminal_id: str, dialect: str, register: str) -> bool:
        """Close a session; False when there is none."""
        values = {"terminal_id": terminal_id, "dialect": dialect, "register": register}
        return self._write("drop_session", values).rowcount == 1

    def insert_closing(self, closing: Closing) -> None:
        """End a terminal's period. Raises `StaleError` when it is not the one that is open, or
        when it does not take in all that has ended at the terminal."""
        last = self.last_closing(closing.terminal_id)
        if closing.number != (last.number if last else 0) + 1:
            raise StaleError(f"Period {closing.number} has been closed meanwhile.")
        values = {"terminal_id": closing.terminal_id, "position": closing.position}
        if self._run("ended_since", values).fetchone() is not None:
            raise StaleError("A transaction has ended meanwhile.")
        self._write("insert_closing", rows.closing_values(closing))

    def reserve_numbers(self, series: str, first: int, count: int) -> int:
        """Reserve `count` numbers of a series, from `first` on if it is new; the first of them."""
        values = {"series": series, "first": first, "count": count}
        reserved: int = self._write("reserve_numbers", values).fetchone()[0]
        return reserved
