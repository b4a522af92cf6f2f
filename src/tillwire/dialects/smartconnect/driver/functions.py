"""Functions of a terminal that move no money: its status, a logon, its journal.

They go the same way as payments, and the terminal does one thing at a time. Nothing of them has to
survive: who wants to know asks again.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from tillwire.core.entries import Entry
from tillwire.core.errands import (
    Ability,
    Errand,
    ErrandFailed,
    Reprint,
    Trouble,
    Update,
)
from tillwire.core.model import Outcome, Verdict
from tillwire.core.ports import TerminalStatus
from tillwire.dialects.smartconnect.driver import orders
from tillwire.dialects.smartconnect.driver.cloud import Cloud, Later, Refused, usable
from tillwire.dialects.smartconnect.driver.outcome import receipts_of
from tillwire.dialects.smartconnect.driver.settings import CLOSEST_POLLS, DriverSettings
from tillwire.dialects.smartconnect.wire import outcomes
from tillwire.dialects.smartconnect.wire.envelope import COMPLETED, Envelope
from tillwire.dialects.smartconnect.wire.envelope import Result as Told
from tillwire.dialects.smartconnect.wire.outcomes import Ending
from tillwire.dialects.smartconnect.wire.transactions import Function, TransactionRequest
from tillwire.errors import AnswerLost, PeerError
from tillwire.pan import last_four

ABILITIES: Final = frozenset({Ability.LAST, Ability.REPRINT, Ability.UPDATE})
ERRAND_SECONDS: Final = 60.0
STATUS_SECONDS: Final = 9.0
"""Less than the engine waits for a status."""
EVIDENCE_SECONDS: Final = 12.0
"""Together with a poll, less than the engine waits for an answer of the ladder."""
LONGEST: Final = 40
"""Characters that are shown of a member of the terminal's journal."""
_LONGEST_AMOUNT: Final = 15
"""Digits of an amount, in minor units."""

_BUSY: Final = 429
_VERDICTS: Final = {
    Ending.ACCEPTED: Verdict.APPROVED,
    Ending.DECLINED: Verdict.DECLINED,
    Ending.CANCELLED: Verdict.CANCELLED,
}


class Functions:
    """Has one terminal do what moves no money."""

    def __init__(self, cloud: Cloud, settings: DriverSettings) -> None:
        self._cloud = cloud
        # They are waited for a few seconds only: polls are as close as the cloud allows.
        self._settings = msgspec.structs.replace(settings, poll_seconds=CLOSEST_POLLS)

    async def run(self, function: Function, seconds: float) -> Envelope:
        """Its completed answer. Raises `Refused`, `NotDelivered`, `AnswerLost`."""
        try:
            async with asyncio.timeout(seconds):
                return await self._completed(function)
        except TimeoutError:
            raise AnswerLost(f"{function} was not done within {seconds:g} seconds.") from None

    async def _completed(self, function: Function) -> Envelope:
        settings = self._settings
        request = TransactionRequest(registration=settings.registration, function=function)
        answer = await self._cloud.ask(request, settings)
        if answer.transaction_status == COMPLETED:
            return answer
        url = answer.data.polling_url if answer.data else ""
        if not usable(url, settings):
            raise AnswerLost("The cloud's answer has no polling URL that can be used.")
        name = f"{function} {answer.transaction_id}"
        self._cloud.begin(name, settings)
        try:
            while True:
                try:
                    found = await self._cloud.poll(name, url, settings)
                except Later:
                    continue
                if found.transaction_status == COMPLETED:
                    return found
        finally:
            self._cloud.forget(name)

    async def status(self) -> TerminalStatus:
        """Whether the terminal is there, by its own word."""
        try:
            answer = await self.run(Function.GET_STATUS, STATUS_SECONDS)
        except Refused as refusal:
            if refusal.status == _BUSY:
                return TerminalStatus(True, "It is busy.")
            return TerminalStatus(False, str(refusal))
        except PeerError as error:
            return TerminalStatus(False, str(error))
        if outcomes.of_function(answer).ending is not Ending.ACCEPTED:
            return TerminalStatus(False, "It is away, or not on its idle screen.")
        told = _shown(answer.data.status if answer.data else "")
        return TerminalStatus(True, f"It says {told or 'nothing of itself'}.")

    async def last(self) -> tuple[Entry, str] | None:
        """The device's last transaction, and its moment as the terminal writes it. Raises
        `ErrandFailed`, `PeerError`."""
        answer = await self._done(Function.GET_TRANS_RESULT)
        entry = _seen(answer)
        return None if entry is None or answer.data is None else (entry, answer.data.timestamp)

    async def perform(self, errand: Errand) -> None:
        """Run another errand. Raises `ErrandFailed`, `PeerError`."""
        match errand:
            case Reprint():
                await self._done(Function.REPRINT_RECEIPT)
            case Update():
                await self._done(Function.LOGON)
            case _:
                raise ErrandFailed(Trouble.REFUSED, "The protocol has no way for this.")

    async def _done(self, function: Function) -> Envelope:
        try:
            answer = await self.run(function, ERRAND_SECONDS)
        except Refused as refusal:
            trouble = Trouble.BUSY if refusal.status == _BUSY else Trouble.REFUSED
            raise ErrandFailed(trouble, refusal.detail) from refusal
        ending = outcomes.of_function(answer).ending
        if ending is Ending.OFFLINE:
            raise ErrandFailed(Trouble.UNREACHABLE, "It is away, or not on its idle screen.")
        if function is not Function.GET_TRANS_RESULT and ending is not Ending.ACCEPTED:
            raise ErrandFailed(Trouble.REFUSED, f"{function} was not done.")
        return answer

    async def evidence(self, transaction_id: str) -> str:
        """What the terminal's journal says of its last transaction, for a person: it may be another
        register's, and nothing in it names a sale of ours, but the cloud's id if we know it."""
        try:
            answer = await self.run(Function.GET_TRANS_RESULT, EVIDENCE_SECONDS)
        except PeerError as error:
            return f"The terminal's journal could not be read. {error}"
        told = answer.data or Told()
        if outcomes.of_function(answer).ending is Ending.OFFLINE:
            return "The terminal's journal could not be read: it is away or busy."
        whose = "of whom it does not tell"
        if told.reference_id and transaction_id:
            same = told.reference_id.lower() == transaction_id.lower()
            whose = "which is this one by the cloud's id" if same else "which is another one"
        members = (
            told.transaction_result,
            told.function,
            f"amount {told.amount_total}" if told.amount_total else "",
            f"card {told.card_pan}" if told.card_pan else "",
            f"at {told.timestamp}" if told.timestamp else "",
        )
        shown = ", ".join(_shown(each) for each in members if each)
        return (
            f"Journal.GetTransResult has as the terminal's last transaction, {whose}: "
            f"{shown or 'nothing'}. That is evidence and no proof."
        )


def _seen(answer: Envelope) -> Entry | None:
    """The device's last transaction; None where nothing is told of one."""
    told = answer.data
    ending = outcomes.of_transaction(answer).ending
    if told is None or ending is Ending.UNAVAILABLE:
        return None
    entry = Entry(
        name=_shown(told.reference_id or told.acquirer_ref),
        type=orders.kind_of(told.function),
        words=_words(told, ending),
    )
    if ending not in _VERDICTS:
        return entry if entry.name or told.transaction_result else None
    accepted = ending is Ending.ACCEPTED
    digits = told.amount_total.strip()
    is_amount = digits.isascii() and digits.isdecimal() and len(digits) <= _LONGEST_AMOUNT
    amount = int(digits) if accepted and is_amount else None
    outcome = Outcome(
        _VERDICTS[ending],
        approved_amount=amount or 0,
        reason="Nobody can tell which register it is of.",
        authorisation_code=_shown(told.auth_id),
        acquirer_reference=_shown(told.acquirer_ref),
        brand=_shown(told.card_type),
        card_last4=last_four(told.card_pan),
        receipts=receipts_of(told.receipt),
    )
    return msgspec.structs.replace(entry, outcome=outcome, amount=amount)


def _words(told: Told, ending: Ending) -> str:
    words = _shown(told.transaction_result)
    if ending not in _VERDICTS:
        words = f"{words or 'no TransactionResult'} with {_shown(told.result) or 'no Result'}"
    moment = _shown(told.timestamp)
    return f"{words} at {moment} by its own clock" if moment else words


def _shown(text: str) -> str:
    return "".join(each for each in text if each.isprintable())[:LONGEST]
