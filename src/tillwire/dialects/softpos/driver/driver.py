"""The driver of a phone with SoftPOS, or with a mobile POS: any till pays there by a deep link, and
Check Transaction says what came of it (source 001).

Here is the order of things: the backend must know us, or nothing that is paid could be confirmed;
the link goes into the journal, and only then can it be seen; then the backend is asked until it
knows. What the phone brings back (`returns.py`) makes the question come sooner, and decides
nothing. README.md tells it in prose, with what is assumed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

from tillwire.clock import Instant
from tillwire.core.entries import Entry, Lists
from tillwire.core.errands import Ability, AskLast, Errand, ErrandFailed, Result, Trouble
from tillwire.core.estate_model import Terminal
from tillwire.core.model import Outcome, Transaction, TransactionType
from tillwire.core.moves import check_outcome
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
from tillwire.dialects.softpos.driver import books, outcome, phone
from tillwire.dialects.softpos.driver.backend import Backends, NoSuchTransaction
from tillwire.dialects.softpos.driver.inquiries import last_on_phone
from tillwire.dialects.softpos.driver.outcome import Asked
from tillwire.dialects.softpos.driver.settings import DriverSettings
from tillwire.dialects.softpos.wire.links import Operation
from tillwire.errors import (
    ConfigurationError,
    JournalError,
    LocalProtocolError,
    NotDelivered,
    PeerError,
    Proof,
    RemoteProtocolError,
    Unsupported,
)
from tillwire.estate.driver_settings import settings_of

LOOK_EVERY: Final = 1.0
"""Seconds between looks whether the backend may be asked; there is no network in them."""
PERSON_AFTER: Final = 86_400.0
"""Seconds after the dispatch, from when on waiting alone is of no use if there is no horizon."""
LOOKED_BACK: Final = 100
"""Transactions of the phone among which the app's last payment is looked for."""
LONGEST_ANSWER: Final = 4_096
"""Characters of an answer that are kept."""
SCAN: Final = "Open the payment link on the phone."


class KnownTwice(RemoteProtocolError):
    """Both TIDs of a phone know one id."""


class SoftPosDriver:
    """Reaches one phone."""

    def __init__(self, terminal: Terminal, inbox: Inbox, clock: Clock, backends: Backends) -> None:
        """`backends` are shared by all such drivers. Raises `ConfigurationError` when the
        terminal's settings do not fit."""
        self.settings = settings_of(terminal, DriverSettings)
        tid = terminal.tid
        if not (len(tid) == 8 and tid.isascii() and tid.isdecimal()):
            raise ConfigurationError(f"{terminal.name} needs a tid of 8 digits: it is asked by it.")
        if tid == self.settings.other_tid:
            raise ConfigurationError(f"{terminal.name}: other_tid is its own tid.")
        self._terminal = terminal
        self._inbox = inbox
        self._clock = clock
        self._backends = backends
        self._backend = backends.of(self.settings)
        self.tids = phone.tids(tid, self.settings)
        """The TIDs that are asked about."""

    @property
    def capabilities(self) -> Capabilities:
        """Payments, and reversals of them. A link that was seen cannot be called back."""
        return Capabilities(
            types=phone.TYPES,
            outcome_within=self.settings.final_within,
            send_within=self.settings.send_seconds,
            errands=frozenset({Ability.LAST}),
            lists=Lists.NAMED,
        )

    # --- a transaction --------------------------------------------------------------------------

    async def run(self, transaction: Transaction, progress: Progress) -> Outcome:
        """Carry it to its end. Raises `NotDelivered` with a proof, or `AnswerLost`."""
        original = await self._original(transaction)
        phone.check_possible(transaction, original)
        if original is not None:
            await self._see_that_it_is_the_last(original)
        await self._see_to_it_that_it_can_be_confirmed(transaction, original)
        try:
            link = phone.link_of(transaction, original, self.settings, self._backends.paths)
            sealed = self._backends.vault.seal(link)
        except JournalError as error:
            raise NotDelivered(f"Its link could not be sealed. {error}") from error
        if transaction.send_by is not None and self._clock.now() > transaction.send_by:
            raise NotDelivered("Its time to be sent had passed before it could be.")
        await progress(Sign(peer={phone.CALLER: transaction.id, phone.LINK: sealed}))
        await progress(Sign(display=SCAN))
        self._backends.paces.begin(transaction.id)
        return await self._confirmed(transaction)

    async def _original(self, transaction: Transaction) -> Transaction | None:
        if transaction.original_id is None:
            return None
        return await self._inbox.find(transaction.original_id)

    async def _see_that_it_is_the_last(self, original: Transaction) -> None:
        """Raise `NotDelivered` if the app would reverse another payment: SoftPOS takes its last
        one, whatever it is told (source 001)."""
        tid = phone.paid_on(original)
        if not self.settings.reverses_last or tid == self.settings.other_tid:
            return
        if not phone.is_of_this_month(original, self._clock):
            raise NotDelivered(
                "The app reverses payments of this month alone: refund it otherwise."
            )
        for each in await self._inbox.newest_at(self._terminal.id, LOOKED_BACK):
            if each.id == original.id:
                return
            if phone.is_reversible(each) and phone.paid_on(each) in ("", tid):
                raise NotDelivered(
                    f"The app would reverse its last payment, which is {each.id}, and not this one."
                )
        raise NotDelivered(f"Its original is not among the last {LOOKED_BACK} transactions.")

    async def _see_to_it_that_it_can_be_confirmed(
        self, transaction: Transaction, original: Transaction | None
    ) -> None:
        """Raise `NotDelivered` unless the backend answers us, and knows the original as paid, or
        nothing of a payment that nobody has seen yet."""
        try:
            if original is None and await self._backend.answers(self.tids, self.settings):
                return
            found = await self._ask(transaction.id if original is None else original.id)
        except (PeerError, LocalProtocolError) as error:
            raise NotDelivered(f"The backend could not confirm it. {error}") from error
        if original is None and found is not None:
            told = found.answer.status
            raise NotDelivered(f"The backend knows its id already, and calls it {told}.")
        if original is not None and (problem := outcome.why_not_standing(found, transaction)):
            raise NotDelivered(f"Its original does not stand at the backend. {problem}")

    async def _confirmed(self, transaction: Transaction) -> Outcome:
        """What the backend says, as soon as it says something definite."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            if not self._backends.paces.is_due(transaction.id):
                continue
            latest = await self._inbox.find(transaction.id) or transaction
            found = await self.look(latest)
            if isinstance(found, Found):
                return found.outcome
            if isinstance(found, Absent):
                raise NotDelivered(found.detail, found.proof)

    async def recover(self, transaction: Transaction) -> Found | Absent | CannotTell:
        """Ask what became of it, when that is due."""
        if phone.CALLER not in transaction.peer:
            return Absent(
                "No link of it is in the journal, and none is seen before it is there.",
                Proof.NEVER_SENT,
            )
        if not self._backends.paces.is_due(transaction.id):
            return CannotTell(self._backends.paces.words(transaction.id))
        return await self.look(transaction)

    async def look(self, transaction: Transaction) -> Found | Absent | CannotTell:
        """Ask the backend what became of it, now."""
        paces = self._backends.paces
        former = paces.words(transaction.id)
        found: Found | Absent | CannotTell | None = None
        paces.asking(transaction.id)
        try:
            found = await self._looked(transaction)
        except (PeerError, LocalProtocolError, JournalError) as error:
            told = f"The backend does not tell. {error}"
            found = CannotTell(told, needs_person=isinstance(error, KnownTwice))
        finally:
            if found is None:
                paces.hurry(transaction.id)
        if not isinstance(found, CannotTell):
            paces.forget(transaction.id)
            return found
        paces.asked(transaction, found.detail)
        # The backend may be about to get it done: a person is called when it stays so.
        stays = found.detail == former and paces.age(transaction) >= self.settings.settle_seconds
        return CannotTell(found.detail, found.needs_person and stays)

    async def _looked(self, transaction: Transaction) -> Found | Absent | CannotTell:
        own = await self._ask(transaction.id)
        if transaction.type is TransactionType.REVERSAL:
            assert transaction.original_id is not None, "a reversal has an original"
            original = await self._ask(transaction.original_id)
            await self._keep(transaction, own or original)
            read = outcome.of_reversal(own, original, transaction)
        else:
            await self._keep(transaction, own)
            read = outcome.of_payment(own, transaction)
        if isinstance(read, Outcome):
            try:
                check_outcome(transaction, read)
            except RemoteProtocolError as error:
                return CannotTell(error.detail, needs_person=True)
            return Found(read)
        if read.is_absent:
            # A phone may have come back since it was asked for.
            latest = await self._inbox.find(transaction.id) or transaction
            return self._absent(latest, read.detail)
        return CannotTell(read.detail, read.needs_person or self._is_over(transaction))

    def _absent(self, transaction: Transaction, detail: str) -> Absent | CannotTell:
        """What it means that the backend does not know it: never by itself that nothing was paid
        (source 001). A link may be opened late, on another TID, or on a phone without network."""
        if self._backends.paces.age(transaction) < self.settings.settle_seconds:
            return CannotTell(f"{detail} It may not know it yet.")
        over, peer = self._is_over(transaction), transaction.peer
        if peer.get(phone.CLAIMED):
            told = "What the phone brought back tells of a payment."
        elif peer.get(phone.UNREAD):
            told = "What the phone brought back cannot be read, and may tell of a payment."
        elif elsewhere := peer.get(phone.ELSEWHERE):
            told = f"What the phone brought back names the TID {elsewhere}, which is not asked."
        elif over and (horizon := self.settings.horizon_seconds):
            return Absent(f"{detail} It was asked until {horizon:g} seconds after it was sent.")
        else:
            told = f"{phone.last_words(transaction)}The link may still be opened."
        return CannotTell(f"{detail} {told}", needs_person=over)

    def _is_over(self, transaction: Transaction) -> bool:
        """Whether waiting alone is of no use any more."""
        limit = self.settings.horizon_seconds or PERSON_AFTER
        return self._backends.paces.age(transaction) > limit

    async def _keep(self, transaction: Transaction, asked: Asked | None) -> None:
        """The answer as it came, into the journal."""
        if asked is None:
            return
        raw = asked.answer.raw.decode("utf-8", "replace")[:LONGEST_ANSWER]
        await self._inbox.heard_sign(transaction.id, Sign(peer={phone.ANSWER: raw}))

    # --- Check Transaction ----------------------------------------------------------------------

    async def check(self, caller_trx_id: str) -> Asked | None:
        """What the backend says of an id of ours; None if it knows none such. Raises `PeerError`,
        `LocalProtocolError`."""
        return await self._ask(caller_trx_id)

    async def _ask(self, caller_trx_id: str) -> Asked | None:
        """On each TID of the phone, one right behind the other: whoever had to queue anew for the
        second would give up behind many phones that do so, too. What both know is unclear."""
        answers = await asyncio.gather(
            *(self._asked(tid, caller_trx_id) for tid in self.tids), return_exceptions=True
        )
        found: list[Asked] = []
        for each in answers:
            if isinstance(each, BaseException):
                raise each
            if each is not None:
                found.append(each)
        if len(found) > 1:
            told = ", ".join(f"{each.answer.status} on {each.terminal_id}" for each in found)
            raise KnownTwice(f"Both TIDs of the phone know it: {told}. It may be paid twice.")
        return found[0] if found else None

    async def _asked(self, tid: str, caller_trx_id: str) -> Asked | None:
        try:
            answer = await self._backend.check(tid, caller_trx_id, self.tids, self.settings)
        except NoSuchTransaction:
            return None
        return Asked(terminal_id=tid, caller_trx_id=caller_trx_id, answer=answer)

    # --- beside transactions ------------------------------------------------------------------

    async def abort(self, transaction: Transaction) -> AbortResult:
        """A link that may have been seen cannot be called back."""
        return AbortResult.TOO_LATE

    async def status(self) -> TerminalStatus:
        """Whether the backend knows us. It does not say how the phone is."""
        try:
            await self._backend.ready(self.settings)
        except PeerError as error:
            return TerminalStatus(False, str(error))
        return TerminalStatus(True, "The backend knows us; nobody can see the phone from here.")

    def transactions(self, begin: Instant, end: Instant) -> AsyncIterator[Entry]:
        """What the backend has of ours that were accepted in that time."""
        return books.listed(self.check, self._inbox, self._terminal.id, begin, end)

    async def perform(self, errand: Errand, tell: Callable[[str], None]) -> Result:
        """The last transaction that the backend knows, or the phone itself, if somebody is there
        to open a link: it is reached by links alone."""
        if not isinstance(errand, AskLast):
            raise Unsupported(f"Terminal {self._terminal.name} knows payments alone.")
        if errand.at_terminal:
            return await self._last_on_phone(tell)
        return await books.last(self.check, self._inbox, self._terminal.id)

    async def _last_on_phone(self, tell: Callable[[str], None]) -> Entry | None:
        inquiries, name = self._backends.inquiries, self._clock.transaction_id()
        try:
            link = phone.inquiry(
                Operation.LAST_TRANSACTION,
                self._terminal.tid,
                self.settings,
                inquiries.paths,
                name,
            )
        except JournalError as error:
            raise ErrandFailed(Trouble.BROKEN, f"No link can be made. {error}") from error
        return await last_on_phone(
            inquiries,
            name,
            link,
            tell,
            inbox=self._inbox,
            terminal_id=self._terminal.id,
            tids=self.tids,
            check=self.check,
        )
