"""Moves: what one event makes of a transaction, and all that must happen in the same commit.

Pure where it can be: `moved` applies the transition table, `Move.write` puts the result into a
unit of work together with what follows from it (the terminal passed on to the next in its queue,
the original marked as reversed).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tillwire.clock import Instant
from tillwire.core import states
from tillwire.core.follow_ups import undone_with
from tillwire.core.model import Event, Outcome, State, Transaction, TransactionType, Verdict
from tillwire.core.ports import Capabilities, Sign, Unit
from tillwire.errors import Proof, RemoteProtocolError
from tillwire.money import Money

TURN = "turn"
"""The name of an event beside the state: it has its terminal now, and is dispatched later."""
_CLEARED_AT_ONCE = frozenset(
    {
        TransactionType.PURCHASE,
        TransactionType.REFUND,
        TransactionType.CAPTURE,
        TransactionType.CASH_ADVANCE,
    }
)

_ANSWERED = {
    Verdict.APPROVED: states.Event.APPROVE,
    Verdict.DECLINED: states.Event.DECLINE,
    Verdict.CANCELLED: states.Event.CANCEL,
}
_FOUND = {
    Verdict.APPROVED: states.Event.FIND_APPROVED,
    Verdict.DECLINED: states.Event.FIND_DECLINED,
    Verdict.CANCELLED: states.Event.FIND_CANCELLED,
}
_DECIDED = {
    Verdict.APPROVED: states.Event.DECIDE_APPROVED,
    Verdict.DECLINED: states.Event.DECIDE_DECLINED,
    Verdict.CANCELLED: states.Event.DECIDE_CANCELLED,
}


class Contradiction(msgspec.Struct, frozen=True):
    """A fact that does not fit a final outcome, in one sentence each."""

    known: str
    heard: str


class Move(msgspec.Struct, frozen=True):
    """One transaction's step, committed or about to be."""

    before: Transaction | None
    after: Transaction
    event: Event
    contradiction: Contradiction | None = None
    """A discrepancy to open with it. When the same is open already, nothing is written."""

    def write(self, unit: Unit, keeper: Keeper) -> list[Move]:
        """Put the step, and all that follows from it, into the unit; every move that is in it."""
        assert self.before is not None, "what is new is written by its admission"
        if self.contradiction is not None and not unit.open_discrepancy(
            self.before.id, self.event.at, self.contradiction.known, self.contradiction.heard
        ):
            return []
        unit.update(self.before, self.after, [self.event])
        moves = [self]
        if self.before.is_final or not self.after.is_final:
            return moves
        if self.after.token:
            moves += keeper.pass_on(unit, self.after, self.event.at)
        for original in undone_with(unit, self.after):
            mark = noted(
                original, "reverse", self.event.at, {"by": self.after.id}, reversed_at=self.event.at
            )
            moves += mark.write(unit, keeper)
        return moves


class Keeper(msgspec.Struct, frozen=True):
    """How the terminals of one journal are handed on: by whom, and to what kind of driver."""

    owner: str
    capabilities: Capabilities
    """Of the driver of the terminal in question."""
    is_asked: bool = False
    """Whether the terminal is asked something just now, beside an UNKNOWN transaction."""

    def pass_on(self, unit: Unit, held: Transaction, now: Instant) -> list[Move]:
        """Give the terminal that `held` holds to the next in its queue, which is dispatched in
        the same commit unless its terminal fetches, or has to answer a question first."""
        hold = unit.pass_on(held, self.owner)
        if hold is None:
            return []
        successor = unit.transaction(hold.transaction_id)
        assert successor is not None, "a hold names a transaction of the journal"
        holder = msgspec.structs.replace(successor, token=hold.token)
        if has_expired(holder, now):
            return expired(holder, now).write(unit, self)
        waits = self.capabilities.pull or self.is_asked
        move = noted(holder, TURN, now) if waits else dispatched(holder, self, now)
        return move.write(unit, self)


def moved(
    transaction: Transaction,
    event: states.Event,
    now: Instant,
    detail: Mapping[str, Any] | None = None,
    **changes: Any,  # Any: fields of Transaction, each checked by its own type at the call
) -> Move:
    """Apply `event` by the transition table. Raises `states.NotAllowed`."""
    state = states.after(transaction.state, event)
    if state not in (State.SENT, State.STARTED, State.UNKNOWN):
        changes["ended_at"] = now
    return _step(transaction, event.value, state, now, detail or {}, changes)


def has_expired(transaction: Transaction, now: Instant) -> bool:
    """Whether it waited longer than its till wants: it must not be sent any more."""
    return transaction.expires_at is not None and transaction.expires_at <= now


def expired(transaction: Transaction, now: Instant) -> Move:
    """It is given up before it was sent."""
    detail = {"proof": Proof.NEVER_SENT, "reason": "Its time to wait has passed."}
    return moved(transaction, states.Event.EXPIRE, now, detail, proof=Proof.NEVER_SENT)


def noted(
    transaction: Transaction,
    name: str,
    now: Instant,
    detail: Mapping[str, Any] | None = None,
    **changes: Any,  # Any: as above
) -> Move:
    """A fact beside the state."""
    return _step(transaction, name, transaction.state, now, detail or {}, changes)


def _step(
    transaction: Transaction,
    name: str,
    state: State,
    now: Instant,
    detail: Mapping[str, Any],
    changes: Mapping[str, Any],
) -> Move:
    version = transaction.version + 1
    after = msgspec.structs.replace(transaction, state=state, version=version, **changes)
    return Move(transaction, after, Event(transaction.id, version, name, state, now, detail))


def dispatched(
    transaction: Transaction,
    keeper: Keeper,
    now: Instant,
    peer: Mapping[str, str] | None = None,
    **changes: Any,  # Any: as in `moved`
) -> Move:
    """The intent to send, with the instant after which nothing is written any more (law 5), and
    what must be remembered of the peer with it."""
    capabilities = keeper.capabilities
    return moved(
        transaction,
        states.Event.DISPATCH,
        now,
        **changes,
        sent_at=now,
        send_by=Instant(now + round(capabilities.send_within * 1000)),
        deadline=Instant(now + round(capabilities.outcome_within * 1000)),
        peer={**transaction.peer, **(peer or {})},
    )


def refused(transaction: Transaction, proof: Proof, reason: str, now: Instant) -> Move:
    """Provably nothing happened (law 4)."""
    event = states.Event.PROVE_ABSENT if transaction.state is State.UNKNOWN else states.Event.REFUSE
    return moved(transaction, event, now, {"proof": proof, "reason": reason}, proof=proof)


def signed(transaction: Transaction, sign: Sign, now: Instant) -> Move | None:
    """A sign of life, or what the driver must remember; None when it says nothing new. That the
    terminal has got it is only kept where somebody is told of it: elsewhere it would cost each
    sale a commit that nobody reads."""
    news: dict[str, Any] = {}
    detail: dict[str, Any] = {}
    name = "sign"
    if any(transaction.peer.get(key) != value for key, value in sign.peer.items()):
        news["peer"] = {**transaction.peer, **sign.peer}
        detail["peer"] = sorted(sign.peer)
    if not transaction.is_final and transaction.started_at is None:
        arrived = sign.received or sign.started
        if arrived and transaction.received_at is None and transaction.callback is not None:
            news["received_at"] = now
            name = "received"
        if sign.started:
            news["started_at"] = now
            name = "sign"
            if transaction.state is State.SENT:
                if sign.display:
                    detail["display"] = sign.display
                return moved(transaction, states.Event.START, now, detail, **news)
    return noted(transaction, name, now, detail, **news) if news else None


def ended(transaction: Transaction, outcome: Outcome, now: Instant, *, source: str = "") -> Move:
    """The outcome, by answer or found again; `source` says where, if not at the terminal."""
    table = _FOUND if transaction.state is State.UNKNOWN else _ANSWERED
    detail = {"source": source} if source else {}
    return _with_outcome(transaction, table[outcome.verdict], outcome, now, detail)


def decided(
    transaction: Transaction, outcome: Outcome, person: str, reason: str, now: Instant
) -> Move:
    """The outcome as a named person decided it."""
    detail = {"person": person, "reason": reason}
    return _with_outcome(transaction, _DECIDED[outcome.verdict], outcome, now, detail)


def _with_outcome(
    transaction: Transaction,
    event: states.Event,
    outcome: Outcome,
    now: Instant,
    detail: dict[str, Any],
) -> Move:
    check_outcome(transaction, outcome)
    approved = outcome.verdict is Verdict.APPROVED
    cleared = approved and transaction.type in _CLEARED_AT_ONCE
    detail["evidence"] = outcome.evidence
    if outcome.reason:
        detail.setdefault("reason", outcome.reason)
    if approved:
        detail["approved_amount"] = outcome.approved_amount
    return moved(
        transaction,
        event,
        now,
        detail,
        outcome=outcome,
        cleared_at=now if cleared else None,
    )


def contradicted(transaction: Transaction, outcome: Outcome, now: Instant) -> Move | None:
    """What to do about an outcome that comes when the transaction is final, or was never sent:
    nothing when it says the same of the money, else a discrepancy."""
    if transaction.outcome is not None:
        same = transaction.outcome.same_money(outcome)
    else:
        same = outcome.verdict is not Verdict.APPROVED
    if same:
        return None
    known = f"The transaction is {transaction.state}"
    if transaction.approved_amount:
        known += f" for {Money(transaction.approved_amount, transaction.amount.currency)}"
    heard = f"It is {outcome.verdict}"
    if outcome.approved_amount:
        heard += f" for {Money(outcome.approved_amount, transaction.amount.currency)}"
    heard += f" ({outcome.evidence})."
    move = noted(transaction, "contradict", now, {"heard": heard})
    return msgspec.structs.replace(move, contradiction=Contradiction(known + ".", heard))


def check_outcome(transaction: Transaction, outcome: Outcome) -> None:
    """Raise `RemoteProtocolError` for an outcome that cannot be of this transaction."""
    asked = transaction.amount.minor
    if outcome.verdict is not Verdict.APPROVED:
        if outcome.approved_amount or outcome.tip:
            raise RemoteProtocolError(f"A {outcome.verdict} outcome cannot have moved money.")
        return
    if transaction.type is TransactionType.INCREMENT:
        fits = outcome.approved_amount == asked
    else:
        fits = 0 <= outcome.tip < outcome.approved_amount <= asked + outcome.tip
    if not fits:
        raise RemoteProtocolError(
            f"{outcome.approved_amount} minor units with a tip of {outcome.tip} cannot be the "
            f"approved amount when {asked} were asked for."
        )
