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
    """The newest that the backend knows, of the terminal's last few. Raises `PeerError`."""
    for each in await inbox.newest_at(terminal_id, LOOKED_BACK):
        entry = await _entry(check, inbox, each)
        if entry is not None:
            return entry
    return None


async def _entry(check: Check, inbox: Inbox, transaction: Transaction) -> Entry | None:
    """What the backend has of it; None if it has nothing, or nobody could see its link."""
    if phone.CALLER not in transaction.peer:
        return None
    try:
        own = await check(transaction.id)
        if own is not None:
            return entry_of(own, transaction)
        if transaction.type is TransactionType.REVERSAL:
            return await _reversal(check, inbox, transaction)
        return None
    except RemoteProtocolError as error:
        # What it says of one must not hide what it says of the others.
        return msgspec.structs.replace(_named(transaction), words=error.detail[:LONGEST_WORDS])


async def _reversal(check: Check, inbox: Inbox, transaction: Transaction) -> Entry | None:
    """A reversal of which the backend knows nothing under its own id: that its original is
    reversed tells of it, if nothing else of ours can have done that."""
    assert transaction.original_id is not None, "a reversal has an original"
    others = await inbox.follow_ups(transaction.original_id)
    if [each.id for each in others if _may_have_reversed(each)] != [transaction.id]:
        return None
    original = await check(transaction.original_id)
    if original is None or original.answer.status is not Status.REVERSED:
        return None
    read = outcome.of_reversal(None, original, transaction)
    return msgspec.structs.replace(
        _named(transaction),
        outcome=read if isinstance(read, Outcome) else None,
        amount=original.answer.amount,
        currency=_currency(original.answer),
        tid=original.terminal_id,
        words=original.answer.status_word[:LONGEST_WORDS],
    )


def _may_have_reversed(follower: Transaction) -> bool:
    return (
        follower.type is TransactionType.REVERSAL
        and phone.CALLER in follower.peer
        and (not follower.is_final or follower.state is State.APPROVED)
    )


def entry_of(asked: Asked, transaction: Transaction) -> Entry:
    """What the backend says of a transaction of ours, under its own id."""
    answer = asked.answer
    read, words = _read(asked, transaction), answer.status_word
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
        reversed=isinstance(read, Outcome) and answer.status is Status.REVERSED,
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
    read = outcome.of_payment(
        msgspec.structs.replace(asked, answer=plain),
        msgspec.structs.replace(transaction, amount=Money(minor, transaction.amount.currency)),
    )
    if isinstance(read, Outcome):
        return msgspec.structs.replace(read, evidence=Evidence.RECOVERED)
    return read


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
