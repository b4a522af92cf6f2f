"""What may follow a transaction, and how much of it: refunds, reversals, increments, captures.

Checked inside the accepting unit of work, under a lock on the original's row, so that ten racing
refunds cannot together exceed what was paid. What counts against the original is what was approved
and what may still be (open and UNKNOWN ones count in full).

A reservation is a PREAUTH with its INCREMENTs: a REVERSAL or CAPTURE of the PREAUTH may be of up to
all that is reserved.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from tillwire.core.model import State, Transaction, TransactionType
from tillwire.core.ports import Unit
from tillwire.errors import Conflict, InvalidRequest
from tillwire.money import Money

_T = TransactionType

FOLLOWS: Final[dict[TransactionType, frozenset[TransactionType]]] = {
    _T.REFUND: frozenset({_T.PURCHASE, _T.CAPTURE, _T.CASH_ADVANCE}),
    _T.REVERSAL: frozenset(
        {_T.PURCHASE, _T.REFUND, _T.PREAUTH, _T.INCREMENT, _T.CAPTURE, _T.CASH_ADVANCE}
    ),
    _T.INCREMENT: frozenset({_T.PREAUTH}),
    _T.CAPTURE: frozenset({_T.PREAUTH}),
}
"""Which types a follow-up may have as its original."""


def check_follow_up(unit: Unit, follow_up: Transaction, *, reserved: int | None = None) -> None:
    """Raise `InvalidRequest` (field `original_id` or `amount`) or `Conflict` unless the follow-up
    fits its original. `reserved` is what it was made for (`Request.reserved`)."""
    allowed = FOLLOWS.get(follow_up.type)
    if allowed is None:
        raise InvalidRequest(
            "original_id", f"a {follow_up.type} does not refer to another transaction", "none"
        )
    if follow_up.original_id is None:
        if follow_up.type is _T.REFUND:
            return
        raise InvalidRequest(
            "original_id", f"a {follow_up.type} needs its original", "the id of a transaction"
        )
    first_id = _first_id(unit, follow_up.original_id)
    family = _family(unit, first_id)
    original = unit.transaction(follow_up.original_id)
    if original is None or original.organisation_id != follow_up.organisation_id:
        raise InvalidRequest(
            "original_id", "there is no such transaction", "the id of one of your transactions"
        )
    if original.type not in allowed:
        raise InvalidRequest(
            "original_id",
            f"a {original.type} cannot have a {follow_up.type}",
            "the id of a " + ", ".join(sorted(allowed)),
        )
    if original.amount.currency != follow_up.amount.currency:
        raise InvalidRequest(
            "amount.currency",
            f"the original is in {original.amount.currency}",
            original.amount.currency,
        )
    if original.state is not State.APPROVED:
        raise Conflict(f"The original transaction is {original.state}, not APPROVED.")
    if follow_up.type is _T.INCREMENT and original.reversed_at is not None:
        raise Conflict("The reservation has been reversed.")
    if reserved is not None:
        _check_reserved(original, family, reserved)
    first = original if original.id == first_id else unit.transaction(first_id)
    assert first is not None, "the original of a transaction is in the journal"
    _check_amount(original, _remaining(original, first, family), follow_up)


def _first_id(unit: Unit, original_id: str) -> str:
    """The PREAUTH that is locked before its INCREMENTs, where one of those is the original."""
    original = unit.transaction(original_id)
    if original is None or original.type is not _T.INCREMENT or original.original_id is None:
        return original_id
    return original.original_id


def _family(unit: Unit, original_id: str) -> list[Transaction]:
    """All that follow the original, as they count, and what undoes its INCREMENTs."""
    siblings = [_as_feared(unit, each) for each in unit.follow_ups(original_id)]
    undoing = [
        _as_feared(unit, each)
        for changed in siblings
        if changed.type is _T.INCREMENT and changed.approved_amount
        for each in unit.follow_ups(changed.id)
    ]
    return siblings + undoing


def _check_reserved(original: Transaction, family: list[Transaction], expected: int) -> None:
    """Raise `Conflict` unless so many minor units are reserved, and nothing is just changing it."""
    found = reserved_in(original, family)
    if found != expected or any(not each.is_final for each in family):
        currency = original.amount.currency
        raise Conflict(
            f"What is reserved has changed meanwhile: it is {Money(found, currency)} now."
        )


def reserved_in(preauth: Transaction, changes: Iterable[Transaction]) -> int:
    """Minor units that are reserved, before any CAPTURE. `changes` are what follows the PREAUTH,
    and what follows its INCREMENTs."""
    signs = {_T.INCREMENT: 1, _T.REVERSAL: -1}
    return preauth.approved_amount + sum(
        signs.get(each.type, 0) * each.approved_amount for each in changes
    )


def _as_feared(unit: Unit, sibling: Transaction) -> Transaction:
    """The sibling, as it counts: one that ended without money, and that somebody says moved some
    all the same, counts as open until a person has closed the discrepancy."""
    if sibling.is_final and sibling.state is not State.APPROVED and unit.is_disputed(sibling.id):
        return msgspec.structs.replace(sibling, state=State.UNKNOWN)
    return sibling


def _remaining(original: Transaction, first: Transaction, family: list[Transaction]) -> int:
    """Minor units that may still follow the original. `family` is of `first`, which is the
    original itself, or the PREAUTH that it has changed."""
    own = [each for each in family if each.original_id == original.id]
    remaining = original.approved_amount - _taken(own, _T.REFUND, _T.REVERSAL)
    if first.type is not _T.PREAUTH:
        return remaining
    reserved = _still_reserved(first, family)
    return reserved if original is first else min(remaining, reserved)


def _still_reserved(preauth: Transaction, family: list[Transaction]) -> int:
    """Minor units that are reserved for sure: what changes it raises it once approved, and lowers
    it as soon as asked for."""
    changes = [each for each in family if each.type is _T.INCREMENT]
    return (
        preauth.approved_amount
        + sum(each.approved_amount for each in changes)
        + sum(min(each.amount.minor, 0) for each in changes if not each.is_final)
        - _taken(family, _T.REVERSAL, _T.CAPTURE)
    )


def _check_amount(original: Transaction, remaining: int, follow_up: Transaction) -> None:
    wanted = follow_up.amount.minor
    if follow_up.type is _T.INCREMENT:
        if remaining + wanted < 0:
            raise Conflict(f"Only {Money(remaining, original.amount.currency)} is reserved.")
        return
    if wanted > remaining:
        left = Money(max(remaining, 0), original.amount.currency)
        raise Conflict(
            f"{follow_up.amount} is more than what is left of the original, which is {left}."
        )


def _taken(siblings: Iterable[Transaction], *types: TransactionType) -> int:
    return sum(_claim(each) for each in siblings if each.type in types)


def _claim(transaction: Transaction) -> int:
    """Minor units that it took or may still take."""
    return transaction.approved_amount if transaction.is_final else transaction.amount.minor


def undone_with(unit: Unit, change: Transaction) -> list[Transaction]:
    """What is wholly reversed now that `change` has ended, and was not before: its original, and
    the PREAUTH whose INCREMENT that is. Only a REVERSAL or an INCREMENT can be the last to end."""
    if change.type not in (_T.REVERSAL, _T.INCREMENT):
        return []
    assert change.original_id is not None, "it names its original"
    first_id = _first_id(unit, change.original_id)
    family = _family(unit, first_id)
    return [
        original
        for original_id in dict.fromkeys((change.original_id, first_id))
        if (original := unit.transaction(original_id)) is not None
        and original.reversed_at is None
        and _is_reversed(original, family)
    ]


def _is_reversed(original: Transaction, family: list[Transaction]) -> bool:
    """Whether approved reversals leave nothing of it, nor of what has raised it."""
    reversals = [each for each in family if each.type is _T.REVERSAL and each.approved_amount]
    if original.state is not State.APPROVED or not reversals:
        return False
    if original.type is _T.PREAUTH:
        changing = any(each.type is _T.INCREMENT and not each.is_final for each in family)
        return not changing and reserved_in(original, family) <= 0
    own = [each for each in reversals if each.original_id == original.id]
    return sum(each.approved_amount for each in own) >= original.approved_amount
