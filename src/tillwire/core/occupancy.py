"""Who holds a terminal, and what becomes of the one that comes second (law 6).

The hold is a row in the journal, taken and passed on in the same commit as the move that causes
it. A waiting ACCEPTED transaction holds its terminal, too; later ones stand in the queue behind it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from tillwire.clock import utc
from tillwire.core.model import State, Transaction
from tillwire.core.ports import Unit
from tillwire.errors import TerminalBusy

RESOLVE: Final = (
    "If asking the terminal does not settle it, a person does: `tillwire transactions decide`; "
    "docs/how-to/resolve-an-unknown-payment.md tells how."
)
"""What to do about an UNKNOWN transaction, in the same words wherever somebody is stopped by it."""


class WhenBusy(StrEnum):
    """What a face wants when the terminal is held."""

    REJECT = "reject"
    """Refuse the new one."""
    QUEUE = "queue"
    """Let it wait its turn, in the place of one under its `Terms.collapse_key` if there is one."""
    WAIT = "wait"
    """The same, also behind one whose outcome is not known yet: for what has a time to live, and a
    till that can be told nothing."""
    REPLACE = "replace"
    """Put it in the place of the one that waits, if that was not sent yet."""


class Place(msgspec.Struct, frozen=True):
    """Where a new transaction stands."""

    token: int
    """The fencing token with which it holds the terminal; 0 in the queue."""
    replaced: Transaction | None = None
    """The one whose place it takes, to be cancelled in the same commit."""


def place_for(unit: Unit, newcomer: Transaction, when_busy: WhenBusy, owner: str) -> Place:
    """Find the newcomer's place at its terminal. Raises `TerminalBusy`.

    Whoever waits may be replaced only by a transaction that came through the same face: the till
    of another face counts on its place in the queue. With QUEUE and WAIT, only one under the same
    collapse key is.
    """
    token = unit.seize(newcomer.terminal_id, newcomer.id, owner, newcomer.expires_at)
    if token is not None:
        return Place(token)
    hold = unit.hold(newcomer.terminal_id)
    assert hold is not None, "a terminal that cannot be seized is held"
    holder = unit.transaction(hold.transaction_id)
    assert holder is not None, "a hold names a transaction of the journal"
    blocked = holder.state is State.UNKNOWN and when_busy is not WhenBusy.WAIT
    if blocked or when_busy is WhenBusy.REJECT:
        raise busy(holder)
    key = newcomer.terms.collapse_key
    if when_busy is not WhenBusy.REPLACE and not key:
        return Place(0)

    def replaceable(waiting: Transaction) -> bool:
        return (
            waiting.state is State.ACCEPTED
            and waiting.dialect == newcomer.dialect
            and (when_busy is WhenBusy.REPLACE or waiting.terms.collapse_key == key)
        )

    if replaceable(holder):
        return Place(0, holder)
    waiting = [each for each in unit.queue(newcomer.terminal_id) if replaceable(each)]
    return Place(0, waiting[-1] if waiting else None)


def busy(holder: Transaction) -> TerminalBusy:
    """The refusal that says who holds the terminal, since when, and why."""
    since = utc(holder.created_at).isoformat(timespec="seconds")
    if holder.state is State.UNKNOWN:
        return TerminalBusy(
            f"The outcome of transaction {holder.id}, accepted at {since}, is not known yet; the "
            f"terminal takes no other one before it is resolved. {RESOLVE}",
            holder=holder.id,
            since=holder.created_at,
            unresolved=True,
        )
    return TerminalBusy(
        f"Transaction {holder.id}, accepted at {since}, is {holder.state}.",
        holder=holder.id,
        since=holder.created_at,
    )
