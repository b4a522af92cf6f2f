"""The links that a phone is led by: what is written into them, and what is remembered of them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Final

from tillwire.clock import local
from tillwire.core.model import State, Transaction, TransactionType
from tillwire.core.ports import Clock
from tillwire.dialects.softpos.driver.outcome import TERMINAL_ID
from tillwire.dialects.softpos.driver.settings import DriverSettings
from tillwire.dialects.softpos.wire import links
from tillwire.dialects.softpos.wire.links import Caller, Operation
from tillwire.errors import InvalidRequest, NotDelivered
from tillwire.net.secret_paths import SecretPaths

CALLER: Final = "caller_trx_id"
"""In `Transaction.peer`, from before the link can be seen: under which id it is checked."""
LINK: Final = "link"
"""In `Transaction.peer`: sealed, since it holds the address to which the phone comes back."""
ANSWER: Final = "answer"
"""In `Transaction.peer`: what Check Transaction said last, without card numbers."""
RETURNED: Final = "returned"
"""In `Transaction.peer`: what the phone brought back last, which may be forged."""
CLAIMED: Final = "claimed"
"""In `Transaction.peer`: whether anything that was brought back told of a payment."""
UNREAD: Final = "unread"
"""In `Transaction.peer`: whether anything was brought back that nobody can read."""
ELSEWHERE: Final = "elsewhere"
"""In `Transaction.peer`: a TID that something brought back named, and that is not asked about."""
CURRENCY: Final = "EUR"
TYPES: Final = frozenset({TransactionType.PURCHASE, TransactionType.REVERSAL})
OPERATIONS: Final = {
    TransactionType.PURCHASE: Operation.PAYMENT,
    TransactionType.REVERSAL: Operation.REVERSAL,
}


def link_of(
    transaction: Transaction,
    original: Transaction | None,
    settings: DriverSettings,
    paths: SecretPaths,
) -> str:
    """The link for a payment or a reversal. Raises `NotDelivered` for what the app does not have,
    `JournalError` without a key for its way back."""
    check_possible(transaction, original)
    caller = Caller(
        name=settings.caller_name,
        trx_id=transaction.id,
        uri=f"{settings.return_url}/{paths.token(transaction.id)}",
    )
    minor = transaction.amount.minor
    try:
        if original is None:
            return links.payment(caller, minor, auto_close=settings.auto_close)
        return links.reversal(
            caller,
            minor,
            terminal_id=paid_on(original),
            stamp=_stamp(original),
        )
    except InvalidRequest as error:
        raise NotDelivered(f"No link can be made of it. {error}") from None


def check_possible(transaction: Transaction, original: Transaction | None) -> None:
    """Raise `NotDelivered` for what the app does not have."""
    if transaction.type not in TYPES:
        raise NotDelivered(f"SoftPOS has no {transaction.type}.")
    if transaction.amount.currency != CURRENCY:
        raise NotDelivered(f"SoftPOS takes {CURRENCY} alone.")
    if transaction.terms.cash_back:
        raise NotDelivered("SoftPOS pays out no cash.")
    if transaction.type is not TransactionType.REVERSAL:
        return
    paid = original.outcome if original is not None else None
    if original is None or paid is None or CALLER not in original.peer:
        raise NotDelivered("Its original was not paid through SoftPOS.")
    if not paid_on(original):
        raise NotDelivered(
            "The backend did not say that its original was paid, so its TID is not known: reverse "
            "it on the phone itself."
        )
    if original.type is not TransactionType.PURCHASE:
        raise NotDelivered("SoftPOS reverses payments alone.")
    if paid.approved_amount != transaction.amount.minor:
        raise NotDelivered("SoftPOS reverses a payment as a whole.")


def paid_on(transaction: Transaction) -> str:
    """The TID that a payment was taken on; empty where the backend did not say it: a person did."""
    return "" if transaction.outcome is None else transaction.outcome.handle.get(TERMINAL_ID, "")


def is_reversible(transaction: Transaction) -> bool:
    """Whether it is a payment that the app may still reverse."""
    paid = transaction.type is TransactionType.PURCHASE and transaction.state is State.APPROVED
    return paid and transaction.reversed_at is None


def is_of_this_month(original: Transaction, clock: Clock) -> bool:
    """Whether it was paid in the month that it is in the shop: the app of SoftPOS reverses none of
    another one."""
    paid, now = _paid_at(original), local(clock.now(), original.heading.time_zone)
    return (paid.year, paid.month) == (now.year, now.month)


def _stamp(original: Transaction) -> str:
    return _paid_at(original).strftime("%d%m%y%H%M")


def _paid_at(original: Transaction) -> datetime:
    """By the shop's clock."""
    at = original.outcome.at if original.outcome is not None else None
    moment = at or original.ended_at or original.created_at
    return local(moment, original.heading.time_zone)


def is_shown(transaction: Transaction, settings: DriverSettings, clock: Clock) -> bool:
    """Whether its link may be shown to somebody now: nobody is to pay what is over or lost, or from
    what a phone has come back already."""
    came_back = RETURNED in transaction.peer or UNREAD in transaction.peer
    if transaction.is_settled or transaction.sent_at is None or came_back:
        return False
    return clock.now() <= transaction.sent_at + round(settings.link_seconds * 1000)


def last_words(transaction: Transaction) -> str:
    """What the phone said last, for people, with a space behind it; empty if nothing."""
    returned = transaction.peer.get(RETURNED)
    if returned is None:
        return ""
    return f'The phone came back with "{json.loads(returned)["words"]}". '


def inquiry(
    operation: Operation,
    terminal_id: str,
    settings: DriverSettings,
    inquiries: SecretPaths,
    name: str,
) -> str:
    """The link for a last transaction or an accounting closure; `name` is the inquiry's own, 31
    digits that no transaction has. Raises `InvalidRequest`, `JournalError`."""
    uri = f"{settings.return_url}/inquiries/{inquiries.token(name)}"
    caller = Caller(name=settings.caller_name, trx_id=name, uri=uri)
    if operation is Operation.LAST_TRANSACTION:
        return links.last_transaction(caller, terminal_id)
    return links.accounting_closure(caller)


def tids(tid: str, settings: DriverSettings) -> tuple[str, ...]:
    """The TIDs that a phone may pay on: one or two."""
    return (tid, settings.other_tid) if settings.other_tid else (tid,)
