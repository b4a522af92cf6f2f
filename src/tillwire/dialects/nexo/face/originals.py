"""The transactions that a till refers to: what a refund, a reversal or a reservation's change
follows.

A transaction of another organisation does not exist here. How much of an original is left is
checked by the engine in the accepting commit; what this module says in words beforehand is for
people.
"""

from __future__ import annotations

from typing import Final

import msgspec

from tillwire.core.follow_ups import FOLLOWS, reserved_in
from tillwire.core.model import State, Transaction, TransactionType
from tillwire.dialects.nexo.face.context import Context, Refused, Visit
from tillwire.dialects.nexo.wire.values import ErrorCondition

_MOST_NAMED: Final = 5
"""Transactions that a refusal names."""


class Reservation(msgspec.Struct, frozen=True):
    """A pre-authorisation and what followed it."""

    preauth: Transaction
    follow_ups: tuple[Transaction, ...]
    """Those of its changes, too."""

    @property
    def reserved(self) -> int:
        """Minor units that are reserved, before any Completion."""
        return reserved_in(self.preauth, self.follow_ups)

    @property
    def releasable(self) -> int:
        """Minor units that are reserved still, with what has raised it, and without what was given
        back or completed."""
        return self.reserved - sum(
            each.approved_amount for each in self.follow_ups if each.type is TransactionType.CAPTURE
        )

    @property
    def completed(self) -> bool:
        """Whether it was completed, or may be right now."""
        return any(
            each.type is TransactionType.CAPTURE
            and (not each.is_final or each.state is State.APPROVED)
            for each in self.follow_ups
        )


async def original(visit: Visit, transaction_id: str, kind: TransactionType) -> Transaction:
    """The approved transaction that one of this kind may follow. Raises `Refused`."""
    found = await visit.context.engine.find(transaction_id)
    if found is None or found.organisation_id != visit.terminal.organisation_id:
        raise Refused(
            ErrorCondition.NOT_FOUND,
            f"There is no transaction {transaction_id}. The POITransactionID of the original's "
            "response is needed.",
        )
    if kind is TransactionType.INCREMENT or kind is TransactionType.CAPTURE:
        found = await _reservation_of(visit.context, found)
    _check_ended(found)
    if found.type not in FOLLOWS[kind]:
        raise Refused(
            ErrorCondition.NOT_ALLOWED,
            f"Transaction {found.id} is a {found.type}, which cannot have a {kind}.",
        )
    if found.state is not State.APPROVED:
        raise Refused(
            ErrorCondition.NOT_ALLOWED,
            f"Transaction {found.id} was not approved, it is {found.state}: there is nothing to "
            "give back or to change.",
        )
    if found.reversed_at is not None:
        raise Refused(
            ErrorCondition.NOT_ALLOWED, f"Transaction {found.id} has been reversed already."
        )
    return found


def _check_ended(found: Transaction) -> None:
    if not found.is_final:
        raise Refused(
            ErrorCondition.IN_PROGRESS,
            f"Transaction {found.id} has not ended yet, it is {found.state}. Ask "
            "TransactionStatus until it has.",
        )


async def _reservation_of(context: Context, found: Transaction) -> Transaction:
    """The pre-authorisation, where a till names what has changed it."""
    if found.type is TransactionType.INCREMENT and found.original_id is not None:
        return await context.engine.find(found.original_id) or found
    return found


async def reservation(
    visit: Visit, transaction_id: str, chain: str, kind: TransactionType
) -> Reservation:
    """The reservation of this id, else the only one of this chain that can still be changed.
    Raises `Refused`."""
    if not transaction_id:
        return _settled(await _of_chain(visit, chain))
    return await reservation_of(visit, await original(visit, transaction_id, kind))


async def reservation_of(visit: Visit, preauth: Transaction) -> Reservation:
    """The reservation that this pre-authorisation has made. Raises `Refused` while it is just
    being changed."""
    return _settled(await _with_follow_ups(visit, preauth))


def _settled(found: Reservation) -> Reservation:
    for each in found.follow_ups:
        _check_ended(each)
    return found


async def _of_chain(visit: Visit, chain: str) -> Reservation:
    preauths = await _approved(visit, chain, frozenset({TransactionType.PREAUTH}))
    known = [await _with_follow_ups(visit, each) for each in preauths]
    candidates = [each for each in known if not each.completed]
    preauth = _only(
        chain,
        "reservation",
        "neither completed nor released",
        [each.preauth for each in candidates],
    )
    return next(each for each in candidates if each.preauth is preauth)


async def _with_follow_ups(visit: Visit, preauth: Transaction) -> Reservation:
    engine = visit.context.engine
    changes = await engine.follow_ups(preauth.id)
    undoing = [
        undone
        for each in changes
        if each.type is TransactionType.INCREMENT
        for undone in await engine.follow_ups(each.id)
    ]
    return Reservation(preauth, (*changes, *undoing))


async def refundable(visit: Visit, chain: str) -> Transaction:
    """The only payment of this chain that can be refunded. Raises `Refused`."""
    found = await _approved(visit, chain, FOLLOWS[TransactionType.REFUND])
    return _only(chain, "payment", "approved and not reversed", found)


async def _approved(
    visit: Visit, chain: str, kinds: frozenset[TransactionType]
) -> list[Transaction]:
    """Transactions of the chain that were approved and not reversed, the newest first."""
    engine, organisation = visit.context.engine, visit.terminal.organisation_id
    found: list[Transaction] = []
    for exchange in await engine.exchange_by_chain(organisation, chain):
        each = exchange.transaction_id and await engine.find(exchange.transaction_id)
        if not each or each.type not in kinds:
            continue
        _check_ended(each)
        if each.state is State.APPROVED and each.reversed_at is None:
            found.append(each)
    return found


def _only(chain: str, what: str, how: str, found: list[Transaction]) -> Transaction:
    if not found:
        raise Refused(
            ErrorCondition.NOT_FOUND,
            f"There is no {what} of SaleReferenceID {chain} that is {how}.",
        )
    if len(found) > 1:
        names = ", ".join(each.id for each in found[:_MOST_NAMED])
        raise Refused(
            ErrorCondition.NOT_ALLOWED,
            f"SaleReferenceID {chain} has several {what}s that are {how}: name one of {names} as "
            "OriginalPOITransaction.POITransactionID.",
        )
    return found[0]
