"""The driver of a terminal that fetches its payments from a MerchantAPI system (source 004): any
till pays there.

Here is the order of things: the name into the journal, the request out while it may go, the id that
the system gives it into the journal, and the questions until it has ended. README.md tells it in
prose, with what is assumed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final

import msgspec

from tillwire.clock import Instant
from tillwire.core.entries import Entry, Lists
from tillwire.core.errands import Ability, AskLast, Errand, Result
from tillwire.core.estate_model import Terminal
from tillwire.core.model import Outcome, State, Transaction, Verdict
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
from tillwire.dialects.merchantapi import wire
from tillwire.dialects.merchantapi.driver import orders, outcome
from tillwire.dialects.merchantapi.driver.cloud import (
    NO_PROOF,
    Later,
    NoSuch,
    Refused,
    System,
    Systems,
)
from tillwire.dialects.merchantapi.driver.ladder import Ladder
from tillwire.dialects.merchantapi.driver.orders import LIST, PEER_ID, REFERENCE, TAKEN
from tillwire.dialects.merchantapi.driver.outcome import Unclear
from tillwire.dialects.merchantapi.driver.settings import DriverSettings
from tillwire.dialects.merchantapi.wire.told import Told
from tillwire.errors import (
    AnswerLost,
    JournalError,
    NotDelivered,
    PeerError,
    Proof,
    RemoteProtocolError,
    Unsupported,
)
from tillwire.estate.driver_settings import settings_of

JOURNAL_PAUSES: Final = (0.1, 0.5, 2.0, 5.0)
"""Seconds between two tries to journal what the system has said."""
SLOWER: Final = 1.25
"""By which the pause between two questions grows."""
TROUBLED: Final = 2.0
"""By which it grows after a question that told nothing."""
LONGEST_TROUBLE: Final = 10.0
"""Seconds between two questions at most that tell nothing."""
CONFLICT: Final = 409
UNDER_WAY: Final = 3_600_000
"""Milliseconds from the creation of a transaction to its end there, at most."""


class MerchantApiDriver:
    """Reaches one terminal through its system."""

    def __init__(self, terminal: Terminal, inbox: Inbox, clock: Clock, systems: Systems) -> None:
        """`systems` are shared by all such drivers. Raises `ConfigurationError` when the terminal's
        settings do not fit."""
        self.settings = settings_of(terminal, DriverSettings)
        self._terminal = terminal
        self._inbox = inbox
        self._clock = clock
        self._system = systems.at(terminal, self.settings)
        self._ladder = Ladder(self._system, self.settings, clock, terminal.name)

    @property
    def capabilities(self) -> Capabilities:
        """What source 004 has: payments, refunds, and calling them off before a card is there."""
        return Capabilities(
            types=orders.TYPES,
            abort=True,
            outcome_within=self.settings.final_within,
            send_within=self.settings.send_seconds,
            errands=frozenset({Ability.LAST}),
            lists=Lists.WHOLE,
        )

    # --- a transaction --------------------------------------------------------------------------

    async def run(self, transaction: Transaction, progress: Progress) -> Outcome:
        """Carry it to its end. Raises `NotDelivered` with a proof, or `AnswerLost`."""
        original = None
        if transaction.original_id is not None:
            original = await self._inbox.find(transaction.original_id)
        request = orders.request_of(transaction, original)
        named = {REFERENCE: request.merchant_order_reference, LIST: self._system.list}
        await progress(Sign(peer=named))
        known = msgspec.structs.replace(transaction, peer={**transaction.peer, **named})
        answer = await self._created(known, request)
        reading = outcome.read(answer, known, request.merchant_order_reference)
        if isinstance(reading, Unclear):
            await _kept(progress, {TAKEN: answer.id})
            raise AnswerLost(reading.detail)
        await _kept(progress, {PEER_ID: answer.id})
        return await self._followed(known, answer.id)

    async def _created(self, transaction: Transaction, request: wire.TransactionRequest) -> Told:
        """What the system says of having taken it."""

        def check_in_time() -> None:
            if transaction.send_by is not None and self._clock.now() > transaction.send_by:
                raise NotDelivered("Its time to be sent had passed before it could be.")

        try:
            return await self._system.create(request, check_in_time)
        except Refused as refusal:
            if refusal.status == CONFLICT:
                await self._check_not_listed(transaction, refusal)
            elif refusal.status in NO_PROOF:
                raise AnswerLost(str(refusal)) from refusal
            raise NotDelivered(str(refusal), Proof.REFUSED_BY_PEER) from refusal

    async def _check_not_listed(self, transaction: Transaction, refusal: Refused) -> None:
        """Raise `AnswerLost` for a conflict that may be one with this very request, which the
        network has doubled."""
        try:
            trace = await self._ladder.trace(transaction)
        except PeerError as error:
            trace = f"Its list does not tell: {error.detail}"
        if trace:
            raise AnswerLost(f"{refusal} {trace}") from refusal

    async def _followed(self, transaction: Transaction, called: str) -> Outcome:
        """What becomes of the transaction that the system calls so."""
        pause, called_off = self.settings.poll_seconds, set[str]()
        while True:
            await asyncio.sleep(pause)
            try:
                reading = await self._ladder.by_id(transaction, called)
            except PeerError as error:
                longest = max(LONGEST_TROUBLE, self.settings.longest_poll_seconds)
                pause = min(pause * TROUBLED, longest)
                if isinstance(error, Later):
                    pause = max(pause, error.seconds)
                continue
            if isinstance(reading, Outcome):
                return reading
            if isinstance(reading, Unclear):
                raise AnswerLost(reading.detail)
            pause = min(pause * SLOWER, self.settings.longest_poll_seconds)
            for each in sorted(self._ladder.overdue(transaction, reading) - called_off):
                if await self._is_called_off(each):
                    called_off.add(each)

    async def _is_called_off(self, called: str) -> bool:
        """Ask for it; whether there was an answer. What came of it, the next question tells."""
        with contextlib.suppress(PeerError):
            await self._system.cancel(called)
            return True
        return False

    # --- what became of it ----------------------------------------------------------------------

    async def recover(self, transaction: Transaction) -> Found | Absent | CannotTell:
        """Ask what became of it."""
        if REFERENCE not in transaction.peer:
            return Absent(
                "Its name there is not in the journal, and nothing is sent before it is.",
                Proof.NEVER_SENT,
            )
        return await self._ladder.where_sent(transaction).look(transaction)

    async def abort(self, transaction: Transaction) -> AbortResult:
        """Call it off, as long as no card was presented (source 004, "Cancel a transaction")."""
        ladder = self._ladder.where_sent(transaction)
        if transaction.state is State.UNKNOWN:
            return await _call_off(ladder, transaction)
        called = transaction.peer.get(PEER_ID, "")
        if not called:
            return AbortResult.TOO_LATE  # it is on its way, and nobody knows yet what it is called
        try:
            granted = await ladder.cancel(called)
        except PeerError:
            return await _aborted_by_now(ladder, transaction, called)
        return AbortResult.ABORTED if granted else AbortResult.TOO_LATE

    # --- beside transactions --------------------------------------------------------------------

    async def status(self) -> TerminalStatus:
        """Whether the system knows us and the terminal. It does not say whether that polls."""
        try:
            await self._system.check_known()
        except NoSuch as unknown:
            return TerminalStatus(False, f"It is not known there: {unknown.detail}.")
        except PeerError as error:
            return TerminalStatus(False, error.detail)
        return TerminalStatus(True, "The system knows it, and does not tell whether it polls.")

    async def perform(self, errand: Errand, tell: Callable[[str], None]) -> Result:
        """Its last transaction, by the system's list of the device that stands here."""
        if not isinstance(errand, AskLast):
            raise Unsupported(f"Terminal {self._terminal.name} knows payments alone.")
        async for each in self._system.newest():
            if await self._may_be_here(entry := outcome.entry_of(each)):
                return entry
        return None

    async def transactions(self, begin: Instant, end: Instant) -> AsyncIterator[Entry]:
        """What the system lists of the terminal as created or done in [begin, end): the journal
        has it by the one, and it may have waited for its terminal until the other.

        The system lists by device. What it lists of the one that stands here and is another
        terminal's of ours was done there; of those that stood here, what is ours.
        """
        since = Instant(begin - UNDER_WAY)
        former: dict[str, set[str]] = {}
        async for each in self._inbox.accepted_between(self._terminal.id, since, end):
            if (address := each.peer.get(LIST, self._system.list)) != self._system.list:
                former.setdefault(address, set()).add(each.id)
        async for entry in self._listed(self._system, since, begin, end):
            if await self._may_be_here(entry):
                yield entry
        for address, ours in former.items():
            system = self._system.listing(address)
            if system.list != address:
                raise PeerError(f"Some were sent to another system, to {address}.")
            try:
                async for entry in self._listed(system, since, begin, end):
                    if entry.transaction_id in ours:
                        yield entry
            except PeerError as error:
                raise PeerError(f"Some were sent to {address}. {error.detail}") from error

    async def _listed(
        self, system: System, since: Instant, begin: Instant, end: Instant
    ) -> AsyncIterator[Entry]:
        unreadable = 0
        async for page in system.listed(since):
            unreadable += page.unreadable
            for each in page.entries:
                moments = outcome.moments_of(each)
                if not moments or any(begin <= moment < end for moment in moments):
                    yield outcome.entry_of(each)
        if unreadable:
            raise RemoteProtocolError(f"{unreadable} of its list cannot be read.")

    async def _may_be_here(self, entry: Entry) -> bool:
        known = await self._inbox.find(entry.transaction_id) if entry.transaction_id else None
        return known is None or known.terminal_id == self._terminal.id


async def _call_off(ladder: Ladder, transaction: Transaction) -> AbortResult:
    """Call off what is overdue of it, be it a double that the network has made."""
    granted: list[bool | None] = []
    with contextlib.suppress(PeerError):
        for each in sorted(await ladder.listed_overdue(transaction)):
            granted.append(None)
            with contextlib.suppress(PeerError):
                granted[-1] = await ladder.cancel(each)
    if not granted or None in granted:
        return AbortResult.UNKNOWN
    return AbortResult.ABORTED if all(granted) else AbortResult.TOO_LATE


async def _aborted_by_now(ladder: Ladder, transaction: Transaction, called: str) -> AbortResult:
    """What came of a cancellation whose answer was lost."""
    with contextlib.suppress(PeerError):
        reading = await ladder.by_id(transaction, called)
        if isinstance(reading, Outcome):
            cancelled = reading.verdict is Verdict.CANCELLED
            return AbortResult.ABORTED if cancelled else AbortResult.TOO_LATE
    return AbortResult.UNKNOWN


async def _kept(progress: Progress, peer: dict[str, str]) -> None:
    """Journal what the system said of having taken it, until the journal takes that or the engine
    waits no longer."""
    pauses = iter(JOURNAL_PAUSES)
    while True:
        try:
            await progress(Sign(peer=peer))
            return
        except JournalError:
            await asyncio.sleep(next(pauses, JOURNAL_PAUSES[-1]))
