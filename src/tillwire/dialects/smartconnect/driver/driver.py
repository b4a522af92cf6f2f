"""The driver of a terminal behind a SmartConnect cloud: any till pays there (source 002).

Here is the order of things: the attempt into the journal, the request out while it may go, its
polling URL sealed into the journal, and the polls. README.md tells it in prose, with what is
assumed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

import msgspec

from tillwire import uuids
from tillwire.clock import Instant
from tillwire.core.entries import Entry
from tillwire.core.errands import AskLast, Errand, Result
from tillwire.core.estate_model import Terminal
from tillwire.core.model import Outcome, Transaction
from tillwire.core.ports import (
    AbortResult,
    Absent,
    CannotTell,
    Capabilities,
    Clock,
    Found,
    Inbox,
    Progress,
    Sign,
    TerminalStatus,
)
from tillwire.dialects.smartconnect.driver import orders, outcome
from tillwire.dialects.smartconnect.driver.cloud import Cloud, Later, Refused, Shut, usable
from tillwire.dialects.smartconnect.driver.functions import ABILITIES, Functions
from tillwire.dialects.smartconnect.driver.outcome import Pending, Unclear
from tillwire.dialects.smartconnect.driver.settings import DriverSettings
from tillwire.dialects.smartconnect.wire import stamps
from tillwire.dialects.smartconnect.wire.envelope import COMPLETED, Envelope
from tillwire.dialects.smartconnect.wire.transactions import Function
from tillwire.errors import (
    AnswerLost,
    JournalError,
    NotDelivered,
    Proof,
    Unsupported,
)
from tillwire.estate.driver_settings import settings_of

FUNCTION: Final = "function"
"""In `Transaction.peer`, from before the request leaves: what was asked for."""
POLLING_URL: Final = "polling_url"
"""In `Transaction.peer`: sealed, since it holds a token."""
CLOUD_ID: Final = "transaction_id"
"""In `Transaction.peer`: what the cloud calls it."""
PATIENCE: Final = 5.0
"""Seconds for which a question of the ladder waits for its turn to poll."""
LOOK_BACK: Final = 50
"""Transactions among which the terminal's last one is looked for."""
JOURNAL_PAUSES: Final = (0.1, 0.5, 2.0, 5.0)
"""Seconds between two tries to journal what the cloud has said."""
DELAYED: Final = "The terminal is slow, or out of reach: its result will come."


class SmartConnectDriver:
    """Reaches one terminal through its cloud."""

    def __init__(self, terminal: Terminal, inbox: Inbox, clock: Clock, cloud: Cloud) -> None:
        """`cloud` is shared by all such drivers. Raises `ConfigurationError` when the terminal's
        settings do not fit."""
        self.settings = settings_of(terminal, DriverSettings)
        self._terminal = terminal
        self._inbox = inbox
        self._clock = clock
        self._cloud = cloud
        self._functions = Functions(cloud, self.settings)

    @property
    def capabilities(self) -> Capabilities:
        """What the cloud has a function for. Nothing can be called off."""
        return Capabilities(
            types=orders.types(self.settings),
            outcome_within=self.settings.final_within,
            send_within=self.settings.send_seconds,
            errands=ABILITIES,
        )

    # --- a transaction --------------------------------------------------------------------------

    async def run(self, transaction: Transaction, progress: Progress) -> Outcome:
        """Carry it to its end. Raises `NotDelivered` with a proof, or `AnswerLost`."""
        original = None
        if transaction.original_id is not None:
            original = await self._inbox.find(transaction.original_id)
        request = orders.request_of(transaction, original, self.settings)
        self._check_vault()
        peer = {FUNCTION: request.function.value, orders.REFERENCE: request.reference}
        await progress(Sign(peer={key: value for key, value in peer.items() if value}))
        try:
            answer = await self._cloud.ask(
                request,
                self.settings,
                key=uuids.transaction_uuid(transaction.id),
                ready=lambda: self._check_in_time(transaction),
            )
        except Refused as refusal:
            raise NotDelivered(str(refusal), Proof.REFUSED_BY_PEER) from refusal
        called = answer.transaction_id
        if answer.transaction_status == COMPLETED:
            await _kept(progress, {CLOUD_ID: called})
            return _ended(outcome.read(answer, transaction, request.function, request.reference))
        url = answer.data.polling_url if answer.data else ""
        if not usable(url, self.settings):
            await _kept(progress, {CLOUD_ID: called})
            raise AnswerLost("The cloud has taken it, and tells no polling URL that can be used.")
        await _kept(progress, {CLOUD_ID: called, POLLING_URL: self._cloud.vault.seal(url)})
        self._cloud.begin(transaction.id, self.settings)
        return await self._polled(
            transaction, url, called, request.function, request.reference, progress
        )

    def _check_vault(self) -> None:
        """A polling URL that could not be remembered is no way to find a payment again."""
        try:
            self._cloud.vault.seal("")
        except JournalError as error:
            raise NotDelivered(f"Its polling URL could not be sealed. {error}") from error

    def _check_in_time(self, transaction: Transaction) -> None:
        if transaction.send_by is not None and self._clock.now() > transaction.send_by:
            raise NotDelivered("Its time to be sent had passed before it could be.")

    async def _polled(
        self,
        transaction: Transaction,
        url: str,
        called: str,
        function: Function,
        reference: str,
        progress: Progress,
    ) -> Outcome:
        delayed = False
        while True:
            try:
                answer = await self._cloud.poll(transaction.id, url, self.settings)
            except Later:
                continue
            except Shut as shut:
                raise AnswerLost(f"The polling URL is of no use any more: {shut.detail}.") from None
            self._check_ours(answer, called)
            found = outcome.read(answer, transaction, function, reference)
            if isinstance(found, Pending):
                if found.delayed and not delayed:
                    await progress(Sign(display=DELAYED))
                delayed = found.delayed
                continue
            self._cloud.forget(transaction.id)
            return _ended(found)

    def _check_ours(self, answer: Envelope, called: str) -> None:
        """Raise `AnswerLost` for an answer about another transaction, or to another register."""
        told = answer.data
        names = {answer.transaction_id, told.request_id if told else "", called} - {""}
        if len({each.lower() for each in names}) > 1:
            raise AnswerLost("The cloud's answer is about another transaction.")
        if told and told.pos_register_id not in ("", self.settings.register_id):
            raise AnswerLost("The cloud's answer is to another register.")

    # --- what became of it ----------------------------------------------------------------------

    async def recover(self, transaction: Transaction) -> Found | Absent | CannotTell:
        """Ask what became of it."""
        peer = transaction.peer
        if FUNCTION not in peer:
            return Absent(
                "The attempt is not in the journal, and nothing is sent before it is there.",
                Proof.NEVER_SENT,
            )
        if POLLING_URL not in peer:
            return await self._for_a_person(
                transaction, "The cloud's answer with the polling URL was lost."
            )
        try:
            url = self._cloud.vault.open(peer[POLLING_URL])
        except JournalError as error:
            return CannotTell(f"The polling URL cannot be opened. {error}")
        try:
            answer = await self._cloud.poll(transaction.id, url, self.settings, patience=PATIENCE)
            self._check_ours(answer, peer.get(CLOUD_ID, ""))
        except Shut as shut:
            return await self._for_a_person(
                transaction,
                f"The cloud does not tell any more: {shut.detail}. Its polling URLs are good for "
                "15 minutes.",
            )
        except (Later, AnswerLost) as doubt:
            return CannotTell(doubt.detail)
        found = outcome.read(
            answer, transaction, Function(peer[FUNCTION]), peer.get(orders.REFERENCE, "")
        )
        if isinstance(found, Pending):
            return CannotTell(DELAYED if found.delayed else "The terminal is still at work on it.")
        if isinstance(found, Unclear):
            return await self._for_a_person(transaction, found.detail, over=True)
        self._cloud.forget(transaction.id)
        return found if isinstance(found, Absent) else Found(found)

    async def _for_a_person(
        self, transaction: Transaction, why: str, *, over: bool = False
    ) -> CannotTell:
        """What only a person can decide, with what the terminal's journal says; `over` when the
        terminal is known to be done. Before that, its journal has what came before."""
        assert transaction.sent_at is not None, "it was dispatched"
        done_at = transaction.sent_at + round(self.settings.person_after_seconds * 1000)
        if not over and self._clock.now() < done_at:
            return CannotTell(f"{why} The terminal may still be at work on it.")
        evidence = await self._functions.evidence(transaction.peer.get(CLOUD_ID, ""))
        return CannotTell(f"{why} {evidence}", needs_person=True)

    # --- beside transactions --------------------------------------------------------------------

    async def abort(self, transaction: Transaction) -> AbortResult:
        """SmartConnect has no word for it: it is cancelled on the terminal."""
        return AbortResult.TOO_LATE

    async def status(self) -> TerminalStatus:
        """Whether the terminal is there and idle."""
        return await self._functions.status()

    def transactions(self, begin: Instant, end: Instant) -> AsyncIterator[Entry]:
        """None: a terminal's journal tells the last one alone."""
        raise Unsupported("It can be asked for its last transaction alone.")

    async def perform(self, errand: Errand, tell: Callable[[str], None]) -> Result:
        """Its last transaction, its last receipt once more, a logon to the acquirer."""
        if not isinstance(errand, AskLast):
            await self._functions.perform(errand)
            return None
        found = await self._functions.last()
        return None if found is None else await self._identified(*found)

    async def _identified(self, entry: Entry, timestamp: str) -> Entry:
        """The entry, and which of ours it is, if the cloud's id of it is in the journal."""
        for each in await self._inbox.newest_at(self._terminal.id, LOOK_BACK):
            if entry.name and each.peer.get(CLOUD_ID, "").casefold() == entry.name.casefold():
                moment = stamps.read_short(timestamp, each.heading.time_zone)
                return msgspec.structs.replace(
                    entry,
                    at=None if moment is None else Instant(moment),
                    transaction_id=each.id,
                    type=each.type,
                    currency=each.amount.currency,
                    outcome=entry.outcome and msgspec.structs.replace(entry.outcome, reason=""),
                )
        return entry


async def _kept(progress: Progress, peer: dict[str, str]) -> None:
    """Journal what the cloud said of having taken it, until the journal takes that or the engine
    waits no longer: it is said once."""
    pauses = iter(JOURNAL_PAUSES)
    while True:
        try:
            await progress(Sign(peer=peer))
            return
        except JournalError:
            await asyncio.sleep(next(pauses, JOURNAL_PAUSES[-1]))


def _ended(found: Outcome | Absent | Pending | Unclear) -> Outcome:
    """The outcome. Raises `NotDelivered` for a proof, `AnswerLost` for what is not clear."""
    if isinstance(found, Absent):
        raise NotDelivered(found.detail, found.proof)
    if isinstance(found, Unclear):
        raise AnswerLost(found.detail)
    assert isinstance(found, Outcome), "what goes on has not ended"
    return found
