"""What the backend has on its books of a phone: source 001 has no list, so each transaction of ours
whose link could be seen is asked for by its id, as the pace of questions allows.

An entry says what the backend says, also where that ends nothing (`outcome.py`): another amount, a
payment that somebody else has reversed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import msgspec

from tillwire.clock import Instant
from tillwire.core.entries import Entry
from tillwire.core.errands import ErrandFailed, Trouble
from tillwire.core.model import Evidence, Outcome, State, Transaction, TransactionType
from tillwire.core.ports import Inbox
from tillwire.dialects.softpos.driver import outcome, phone
from tillwire.dialects.softpos.driver.outcome import Asked, Undecided
from tillwire.dialects.softpos.wire.aliases import UNMAPPED, CheckAnswer
from tillwire.dialects.softpos.wire.check import Status
from tillwire.errors import RemoteProtocolError
from tillwire.money import CURRENCIES, Money

LOOKED_BACK: Final = 10
"""Transactions that are asked for, newest first, until the backend knows one: the last."""
LONGEST_WORDS: Final = 300

_OPERATIONS: Final = {
    "PAYMENT": TransactionType.PURCHASE,
    "0100": TransactionType.PURCHASE,
    "REVERSAL": TransactionType.REVERSAL,
    "0200": TransactionType.REVERSAL,
    "0400": TransactionType.REVERSAL,
    "REFUND": TransactionType.REFUND,
    "0300": TransactionType.REFUND,
}

Check = Callable[[str], Awaitable[Asked | None]]
"""`SoftPosDriver.check`."""


async def listed(
    check: Check, inbox: Inbox, terminal_id: str, begin: Instant, end: Instant
) -> AsyncIterator[Entry]:
    """What the backend has of the terminal's transactions that were accepted in [begin, end),
    newest first. Raises `PeerError`."""
    async for each in inbox.accepted_between(terminal_id, begin, end):
        entry = await _entry(check, inbox, each)
        if entry is not None:
            yield entry


async def last(check: Check, inbox: Inbox, terminal_id: str) -> Entry | None:
    """The newest that the backend knows; None if it knows none. Raises `ErrandFailed` where it
    knows none of the last few, and may know one before them, and `PeerError`."""
    newest = await inbox.newest_at(terminal_id, LOOKED_BACK + 1)
    for each in newest[:LOOKED_BACK]:
        entry = await _entry(check, inbox, each)
        if entry is not None:
            return entry
    if len(newest) > LOOKED_BACK:
        words = f"The backend knows none of the last {LOOKED_BACK}: ask for its books."
        raise ErrandFailed(Trouble.REFUSED, words)
    return None


async def _entry(check: Check, inbox: Inbox, transaction: Transaction) -> Entry | None:
    """What the backend has of it; None if it has nothing, or nobody could see its link."""
    if phone.CALLER not in transaction.peer:
        return None
    try:
        own = await check(transaction.id)
        if transaction.type is TransactionType.REVERSAL:
            return await _reversal(check, inbox, transaction, own)
        return None if own is None else entry_of(own, transaction, _read(own, transaction))
    except RemoteProtocolError as error:
        # What it says of one must not hide what it says of the others.
        return msgspec.structs.replace(_named(transaction), words=error.detail[:LONGEST_WORDS])


async def _reversal(
    check: Check, inbox: Inbox, transaction: Transaction, own: Asked | None
) -> Entry | None:
    """A reversal, with what the backend knows under its own id: what became of it, its original
    decides (`outcome.of_reversal`). Where it knows nothing of it, that its original is reversed
    tells of it, if nothing else of ours can have done that."""
    assert transaction.original_id is not None, "a reversal has an original"
    followers = await inbox.follow_ups(transaction.original_id)
    others = [each for each in followers if _may_have_reversed(each) and each.id != transaction.id]
    if own is None and (others or not _may_have_reversed(transaction)):
        return None
    original = await check(transaction.original_id)
    if own is None:
        if original is None or original.answer.status is not Status.REVERSED:
            return None
        told = entry_of(original, transaction, outcome.of_reversal(None, original, transaction))
        # Its time and its kind are the payment's.
        return msgspec.structs.replace(told, type=None, at=None)
    if others and own.answer.status is not Status.APPROVED:
        # What reversed the original is known.
        return entry_of(own, transaction, _read(own, transaction))
    return entry_of(own, transaction, outcome.of_reversal(own, original, transaction))


def _may_have_reversed(follower: Transaction) -> bool:
    return (
        follower.type is TransactionType.REVERSAL
        and phone.CALLER in follower.peer
        and (not follower.is_final or follower.state is State.APPROVED)
    )


def entry_of(asked: Asked, transaction: Transaction, read: Outcome | Undecided) -> Entry:
    """What the backend says of a transaction of ours, and how that is read."""
    answer, words = asked.answer, asked.answer.status_word
    if isinstance(read, Outcome):
        read = msgspec.structs.replace(read, evidence=Evidence.RECOVERED)
    if isinstance(read, Undecided) and answer.status != UNMAPPED:
        words = f"{words}: {read.detail}" if words else read.detail
    return msgspec.structs.replace(
        _named(transaction),
        outcome=read if isinstance(read, Outcome) else None,
        type=_OPERATIONS.get(answer.operation_type.upper()),
        amount=answer.amount,
        currency=_currency(answer),
        at=None if answer.at is None else Instant(answer.at),
        tid=asked.terminal_id,
        reversed=(
            isinstance(read, Outcome)
            and transaction.type is TransactionType.PURCHASE
            and answer.status is Status.REVERSED
        ),
        words=words[:LONGEST_WORDS],
    )


def _read(asked: Asked, transaction: Transaction) -> Outcome | Undecided:
    """The answer, read as the driver reads one that ends a payment, but over whatever amount it
    tells, and as it was before somebody reversed it."""
    answer, kind = asked.answer, transaction.type
    told = answer.operation_type
    if told and _OPERATIONS.get(told.upper()) is not kind:
        return Undecided(f"The backend calls it {told}, and it was sent as a {kind}.")
    was_paid = kind is TransactionType.PURCHASE and answer.status is Status.REVERSED
    minor = transaction.amount.minor if answer.amount is None else answer.amount
    plain = msgspec.structs.replace(
        answer,
        status=Status.APPROVED if was_paid else answer.status,
        amount=minor,
        operation_type="",
    )
    return outcome.of_payment(
        msgspec.structs.replace(asked, answer=plain),
        msgspec.structs.replace(transaction, amount=Money(minor, transaction.amount.currency)),
    )


def _currency(answer: CheckAnswer) -> str:
    """Three letters of ISO 4217; empty if it tells none."""
    return answer.currency if answer.currency in CURRENCIES else ""


def _named(transaction: Transaction) -> Entry:
    return Entry(
        name=transaction.id,
        reference=transaction.reference,
        original=transaction.original_id or "",
        transaction_id=transaction.id,
    )
