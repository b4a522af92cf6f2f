"""Admission: how a till's request becomes a transaction, in one unit of work.

Everything that is checked against the journal is checked here and committed with the transaction
itself: the idempotency key, the number of the till's message, the cap of a follow-up, the place at
the terminal. What may be sent at
once is dispatched in the same commit, so a sale to a free terminal costs one commit before its
first byte.
"""

from __future__ import annotations

import hashlib

import msgspec

from tillwire.core import states
from tillwire.core.exchanges import check_new
from tillwire.core.follow_ups import check_follow_up
from tillwire.core.model import FOLLOW_UPS, Event, Request, Transaction, TransactionType
from tillwire.core.moves import Keeper, Move, dispatched, moved
from tillwire.core.occupancy import WhenBusy, place_for
from tillwire.core.ports import StaleError, Unit
from tillwire.errors import Conflict, InvalidRequest, Proof
from tillwire.money import positive


class Admission(msgspec.Struct, frozen=True):
    """A request that was let in."""

    transaction: Transaction
    moves: list[Move]
    """All that was committed for it; empty when the request had been let in before."""


def admit(
    unit: Unit,
    *,
    draft: Transaction,
    request: Request,
    when_busy: WhenBusy,
    keeper: Keeper,
    estate_version: int,
) -> Admission:
    """Let the request in, or raise `InvalidRequest`, `Conflict`, `Repeated` or `TerminalBusy`;
    `StaleError` when the estate is not the one any more from which the draft was made."""
    earlier = earlier_of(unit, request)
    if earlier is not None:
        return Admission(earlier, [])
    if unit.estate_version() != estate_version:
        raise StaleError("The estate has changed meanwhile.")
    if draft.type in FOLLOW_UPS or draft.original_id is not None:
        check_follow_up(unit, draft, reserved=request.reserved)
    place = place_for(unit, draft, when_busy, keeper.owner)
    token, moves = place.token, []
    if place.replaced is not None:
        moves = _replace(unit, place.replaced, draft, keeper)
        if place.replaced.token:
            token = unit.seize(draft.terminal_id, draft.id, keeper.owner, draft.expires_at) or 0
    newcomer = msgspec.structs.replace(draft, token=token)
    accepted = Event(draft.id, 1, states.Event.ACCEPT.value, draft.state, draft.created_at)
    events, move = [accepted], Move(None, newcomer, accepted)
    if token and not keeper.capabilities.pull and not request.held:
        sent = dispatched(newcomer, keeper, draft.created_at)
        events.append(sent.event)
        move = Move(None, sent.after, sent.event)
    unit.insert(move.after, events)
    if request.idempotency_key:
        unit.remember_key(
            request.organisation_id,
            request.idempotency_key,
            _fingerprint(request),
            draft.id,
            draft.created_at,
        )
    if request.exchange is not None:
        unit.insert_exchange(msgspec.structs.replace(request.exchange, transaction_id=draft.id))
    return Admission(move.after, [*moves, move])


def check_amounts(request: Request) -> None:
    """Raise `InvalidRequest` (field `amount` or `terms`) unless something is asked for, and what is
    paid out or tipped is a part of it."""
    if request.type is not TransactionType.INCREMENT:
        positive(request.amount)
    parts = (request.terms.cash_back, request.terms.tip)
    if any(parts) and not (min(parts) >= 0 and sum(parts) <= request.amount.minor):
        raise InvalidRequest(
            "terms", "cash-back and tip are not parts of the amount", f"up to {request.amount}"
        )


def _replace(unit: Unit, waiting: Transaction, by: Transaction, keeper: Keeper) -> list[Move]:
    detail = {"by": by.id, "proof": Proof.NEVER_SENT}
    now = by.created_at
    move = moved(waiting, states.Event.REPLACE, now, detail, proof=Proof.NEVER_SENT)
    return move.write(unit, keeper)


def earlier_of(unit: Unit, request: Request) -> Transaction | None:
    """What was let in before under the request's idempotency key, if it has one. Raises
    `Conflict` when that was another request, and `Repeated` when the till's message has a number
    that was used before."""
    if request.exchange is not None:
        check_new(unit, request.exchange)
    if not request.idempotency_key:
        return None
    known = unit.idempotent(request.organisation_id, request.idempotency_key)
    if known is None:
        return None
    transaction_id, fingerprint = known
    if fingerprint != _fingerprint(request):
        raise Conflict("The same idempotency key came with another request before.")
    return unit.transaction(transaction_id)


def _fingerprint(request: Request) -> str:
    """What makes two requests under one key the same."""
    parts = (
        request.terminal_id,
        request.type,
        str(request.amount),
        request.reference,
        request.original_id or "",
    )
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()
