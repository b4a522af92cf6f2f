"""The last transaction that a phone itself remembers: asked for by a link that somebody opens
there, and answered by where the app leads back to (App2App, source 001).

Its slip does not name the payment that it is of. It is taken for the one of ours that has its TID,
its kind, its amount and its time, if there is exactly one. And as any other app can write it, the
entry tells beside it what the backend says of that one.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from tillwire.clock import Instant, instant, local
from tillwire.core.entries import Entry
from tillwire.core.errands import ErrandFailed, Trouble
from tillwire.core.model import Evidence, Outcome, Transaction, TransactionType, Verdict
from tillwire.core.ports import Inbox, Vault
from tillwire.dialects.softpos.driver.outcome import Asked
from tillwire.dialects.softpos.wire import links
from tillwire.dialects.softpos.wire.links import Operation, Returned
from tillwire.errors import LocalProtocolError, PeerError, RemoteProtocolError
from tillwire.net.secret_paths import SecretPaths

PURPOSE: Final = "softpos inquiries"
"""Of the vault's key for addresses of inquiries, which move no money."""
LOOK_BACK: Final = 50
"""Transactions among which that of the slip is looked for."""
NEAR: Final = timedelta(minutes=10)
"""Before and behind a transaction, in which its slip may have been written: clocks differ."""
SCAN: Final = "Open this link on the phone: "

_KINDS: Final = {
    "0100": TransactionType.PURCHASE,
    "0200": TransactionType.REVERSAL,
    "0300": TransactionType.REFUND,
    "0400": TransactionType.REVERSAL,
}
_APPROVED: Final = frozenset({"00", "000"})
_STAMP: Final = re.compile(r"[0-9]{10}")
_LONGEST: Final = 64
_UNTOLD: Final = "The phone's slip can be forged."


class Inquiries:
    """Inquiries whose answers somebody in this process waits for."""

    def __init__(self, vault: Vault) -> None:
        self.paths = SecretPaths(vault, PURPOSE)
        """Where phones come back with answers."""
        self._waiting: dict[str, asyncio.Future[Returned]] = {}

    @contextmanager
    def expected(self, name: str) -> Iterator[asyncio.Future[Returned]]:
        """The answer to the inquiry of this name, as soon as it is there."""
        answer = asyncio.get_running_loop().create_future()
        self._waiting[name] = answer
        try:
            yield answer
        finally:
            del self._waiting[name]
            if not answer.cancel() and not answer.cancelled():
                answer.exception()  # which is nobody's any more, if he has just gone

    def heard(self, name: str, returned: Returned) -> None:
        """A phone came back. The first answer counts; one that nobody waits for does not."""
        answer = self._waiting.get(name)
        if answer is not None and not answer.done():
            answer.set_result(returned)

    def failed(self, name: str, error: RemoteProtocolError) -> None:
        """A phone came back with what nobody can read."""
        answer = self._waiting.get(name)
        if answer is not None and not answer.done():
            answer.set_exception(error)


async def last_on_phone(
    inquiries: Inquiries,
    name: str,
    link: str,
    tell: Callable[[str], None],
    *,
    inbox: Inbox,
    terminal_id: str,
    tids: Collection[str],
    check: Callable[[str], Awaitable[Asked | None]],
) -> Entry | None:
    """What the phone says that it did last; None if it remembers nothing. Waits until somebody has
    opened the link, which `tell` hears. `tids` are those of the phone. Raises `ErrandFailed` when
    it does not tell, `RemoteProtocolError` when nobody can read what it tells."""
    with inquiries.expected(name) as answer:
        tell(SCAN + link)
        returned = await answer
    if returned.operation is not Operation.LAST_TRANSACTION:
        raise RemoteProtocolError(f"The phone answered with {returned.operation}.")
    if returned.result == links.EMPTY:
        return None
    if returned.result != links.AUTHORISED:
        raise ErrandFailed(Trouble.REFUSED, f"The phone does not tell: {returned.words}.")
    candidates = await inbox.newest_at(terminal_id, LOOK_BACK)
    here = returned.terminal_id in tids
    ours = [each for each in candidates if here and is_of(returned, each)]
    if len(ours) != 1:
        return entry_of(returned, None, _UNTOLD)
    return entry_of(returned, ours[0], await _confirmed(check, ours[0]))


async def _confirmed(
    check: Callable[[str], Awaitable[Asked | None]], transaction: Transaction
) -> str:
    try:
        asked = await check(transaction.id)
    except (PeerError, LocalProtocolError) as error:
        return f"{_UNTOLD} The backend does not tell. {error}"
    if asked is None:
        return f"{_UNTOLD} The backend does not know it."
    return f"{_UNTOLD} The backend says {asked.answer.status}."


def is_of(returned: Returned, transaction: Transaction) -> bool:
    """Whether the slip can be of this transaction, which was sent to the phone."""
    if transaction.sent_at is None or returned.amount != transaction.amount.minor:
        return False
    kind = _kind(returned)
    if kind is not None and kind is not transaction.type:
        return False
    moment = _moment(returned, transaction.heading.time_zone, transaction.sent_at)
    if moment is None:
        return False
    around = round(NEAR.total_seconds() * 1000)
    end = transaction.ended_at or transaction.deadline or transaction.sent_at
    return transaction.sent_at - around <= moment <= end + around


def entry_of(returned: Returned, ours: Transaction | None, words: str) -> Entry:
    """The slip as an entry; `ours` is the one that it is taken for."""
    fields = returned.fields
    code = fields.get("f39", "")
    approved = code in _APPROVED
    stan = fields.get("f11", "")
    moment = (
        None
        if ours is None or ours.sent_at is None
        else _moment(returned, ours.heading.time_zone, ours.sent_at)
    )
    outcome = Outcome(
        Verdict.APPROVED if approved else Verdict.DECLINED,
        evidence=Evidence.REPORTED,
        approved_amount=(returned.amount or 0) if approved else 0,
        at=moment,
        response_code=code[-2:],
        authorisation_code=fields.get("f38", "")[:_LONGEST],
        stan=stan if stan.isdecimal() else "",
        brand=fields.get("CT108", "")[:_LONGEST],
        card_last4=_last4(fields.get("CT100", "")),
        acquirer_reference=fields.get("f37", "")[:_LONGEST],
    )
    name = fields.get("f37") or f"{returned.terminal_id}/{stan}"
    return Entry(
        name=name[:_LONGEST] if ours is None else ours.id,
        outcome=outcome if code else None,
        type=_kind(returned),
        amount=returned.amount,
        currency="EUR",
        at=moment,
        tid=returned.terminal_id,
        words=words,
    )


def _kind(returned: Returned) -> TransactionType | None:
    return _KINDS.get(returned.fields.get("CT105", ""))


def _moment(returned: Returned, time_zone: str, near: Instant) -> Instant | None:
    """When the slip was written, by the shop's clock. It has no year (`f13` MMdd, `f12` HHmmss):
    it is of the one that is nearest."""
    day, time = returned.fields.get("f13", ""), returned.fields.get("f12", "")
    if not _STAMP.fullmatch(day + time):
        return None
    year = local(near, time_zone).year
    found = []
    for each in (year - 1, year, year + 1):
        try:
            read = datetime.strptime(f"{each:04d}{day}{time}", "%Y%m%d%H%M%S")  # noqa: DTZ007
        except ValueError:
            continue
        found.append(instant(read.replace(tzinfo=ZoneInfo(time_zone))))
    return min(found, key=lambda one: abs(one - near), default=None)


def _last4(text: str) -> str:
    digits = text[-4:]
    return digits if len(digits) == 4 and digits.isascii() and digits.isdecimal() else ""
