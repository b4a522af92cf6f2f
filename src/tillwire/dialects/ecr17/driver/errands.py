"""Errands on an ECR17 terminal: its totals (`T`), closing them (`C`), its last result (`G`) and
its last receipt (`R`)."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final, TypeVar

import msgspec

from tillwire.core.entries import Entry
from tillwire.core.errands import (
    Ability,
    AskLast,
    Count,
    Counted,
    Errand,
    ErrandFailed,
    Reprint,
    Result,
    Trouble,
)
from tillwire.core.model import Outcome, Transaction, TransactionType, Verdict
from tillwire.core.ports import Inbox
from tillwire.core.totals import TotalsKind, TotalsRow
from tillwire.dialects.ecr17.driver.conversation import Refused
from tillwire.dialects.ecr17.driver.link import Link
from tillwire.dialects.ecr17.driver.orders import CURRENCY
from tillwire.dialects.ecr17.driver.reading import (
    MoneyResult,
    amount_told,
    described,
    is_within,
    kind_of,
    receipts_of,
    refused,
)
from tillwire.dialects.ecr17.driver.settings import DriverSettings, ReceiptPlace
from tillwire.dialects.ecr17.wire import (
    CloseSessionRequest,
    CloseSessionResult,
    HostTime,
    TotalsRequest,
    TotalsResult,
    UnassignedResult,
)
from tillwire.errors import AnswerLost
from tillwire.money import Money

T = TypeVar("T")

LOOK_BACK: Final = 50
"""Transactions among which the last result's own is looked for."""


def abilities(settings: DriverSettings) -> frozenset[Ability]:
    """What the protocol has a way for. A terminal whose receipts go to the till prints none."""
    printing = {Ability.REPRINT} if settings.receipts is ReceiptPlace.TERMINAL else frozenset()
    return frozenset({Ability.COUNT, Ability.LAST}) | printing


class Errands:
    """Runs errands on one terminal."""

    def __init__(self, link: Link, inbox: Inbox, terminal_id: str) -> None:
        self._link = link
        self._inbox = inbox
        self._terminal_id = terminal_id

    async def perform(self, errand: Errand) -> Result:
        """Run it. Raises `ErrandFailed`, `PeerError`."""
        match errand:
            case Count():
                return await self._count(close=errand.close)
            case AskLast():
                return await self._last()
            case Reprint():
                await _tried(self._link.reprint())
                return None
        raise ErrandFailed(Trouble.REFUSED, "The protocol has no way for this.")

    async def _count(self, *, close: bool) -> Counted:
        settings = self._link.settings
        tid, register = settings.tid, settings.cash_register
        request, answer = (
            (CloseSessionRequest(tid=tid, cash_register=register), CloseSessionResult)
            if close
            else (TotalsRequest(tid=tid, cash_register=register), TotalsResult)
        )
        result = await _tried(self._link.ask(request, answer, settings.result_seconds))
        assert isinstance(result, CloseSessionResult | TotalsResult)
        if not result.approved:
            raise ErrandFailed(Trouble.REFUSED, getattr(result, "error_text", "") or result.result)
        if result.terminal_total is None:
            raise AnswerLost("It tells no total.")
        return Counted((TotalsRow(TotalsKind.DEBIT, CURRENCY, amount=result.terminal_total),))

    async def _last(self) -> Entry | None:
        result = await _tried(self._link.last_result())
        if not isinstance(result, MoneyResult | UnassignedResult):
            return None
        stan, kind = getattr(result, "stan", ""), kind_of(result)
        if not stan and not result.approved and kind is not TransactionType.REFUND:
            return None  # it has none saved: a refund has no STAN
        ours = await self._transaction(stan, kind, result.host_time)
        outcome, words = _evidence(result, ours)
        if outcome is not None:
            receipts = None
            if self._link.settings.receipts is ReceiptPlace.TILL:
                receipts = receipts_of(await self._link.reprinted())
            outcome = msgspec.structs.replace(outcome, reason=words, receipts=receipts)
        return Entry(
            name=f"{result.tid}/{stan}" if ours is None else ours.id,
            outcome=outcome,
            type=kind if ours is None else ours.type,
            amount=amount_told(result) if result.approved else None,
            currency=CURRENCY,
            at=None if outcome is None else outcome.at,
            tid=result.tid,
            words=words,
        )

    async def _transaction(
        self, stan: str, kind: TransactionType | None, at: HostTime | None
    ) -> Transaction | None:
        """Ours that has this STAN and is of this kind, if the time that is told with it is that of
        ours: a terminal may begin again with its numbers, and others may pay on it."""
        for each in await self._inbox.newest_at(self._terminal_id, LOOK_BACK):
            if each.outcome is None or not stan or each.outcome.stan != stan:
                continue
            if kind in (None, each.type):
                end = each.ended_at or each.created_at
                minutes = self._link.settings.clock_minutes
                return each if at is None or is_within(at, each, end, minutes) else None
        return None


async def _tried(asking: Awaitable[T]) -> T:
    try:
        return await asking
    except Refused as refusal:
        raise ErrandFailed(Trouble.BUSY, refusal.detail) from refusal


def _evidence(
    result: MoneyResult | UnassignedResult, ours: Transaction | None
) -> tuple[Outcome | None, str]:
    """What the result says, and in words; no outcome where nobody knows."""
    if isinstance(result, UnassignedResult):
        outcome = Outcome(Verdict.APPROVED, stan=result.stan, card_last4=result.last_four)
        words = "Nobody can tell of which command it is."
    else:
        outcome, words = described(result, ours), "It tells no amount."
    if not result.approved:
        try:
            outcome = refused(outcome, result)
        except AnswerLost as doubt:
            return None, f"{doubt.detail} {result.error_text}".rstrip()
        return outcome, outcome.reason
    if (amount := amount_told(result)) is not None:
        words = f"It is of {Money(amount, CURRENCY)}."
        outcome = msgspec.structs.replace(outcome, approved_amount=amount)
    return outcome, words
