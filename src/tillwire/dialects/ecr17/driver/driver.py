"""The driver of an ECR17 terminal: the till's side of the protocol, so that any till can pay there.

What is asked and what an answer says is made and read elsewhere (`orders.py`, `reading.py`), one
exchange is the business of `conversation.py`. Here is the order of things: what recovery needs into
the journal, the command out once while it may go, the one result that counts into the journal, then
its ACK. README.md tells it in prose, with what is assumed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final, NamedTuple

import msgspec

from tillwire.clock import Instant
from tillwire.core.entries import Entry
from tillwire.core.errands import Errand, ErrandFailed, Result, Trouble
from tillwire.core.estate_model import Terminal
from tillwire.core.model import (
    Outcome,
    State,
    Transaction,
    TransactionType,
    Verdict,
)
from tillwire.core.ports import (
    AbortResult,
    Absent,
    CannotTell,
    Capabilities,
    Clock,
    Dialer,
    Found,
    Inbox,
    Progress,
    Sign,
    TerminalStatus,
)
from tillwire.dialects.ecr17.driver import orders
from tillwire.dialects.ecr17.driver.conversation import Conversation, Refused
from tillwire.dialects.ecr17.driver.errands import LOOK_BACK, Errands, abilities
from tillwire.dialects.ecr17.driver.ladder import Ladder
from tillwire.dialects.ecr17.driver.line import Line
from tillwire.dialects.ecr17.driver.link import Link
from tillwire.dialects.ecr17.driver.orders import (
    CURRENCY,
    HANDLE_TAGS,
    NOT_TAKEN,
    NOTHING_SAVED,
    Asked,
    Order,
)
from tillwire.dialects.ecr17.driver.reading import (
    TELL_AMOUNT,
    money_result,
    outcome_of,
    receipts_of,
)
from tillwire.dialects.ecr17.driver.settings import DriverSettings, LastStan, ReceiptPlace
from tillwire.dialects.ecr17.wire import AdditionalData, ReversalRequest, TerminalState
from tillwire.dialects.ecr17.wire import Result as Answer
from tillwire.errors import (
    AnswerLost,
    InvalidRequest,
    JournalError,
    NotDelivered,
    PeerError,
    Unsupported,
)
from tillwire.estate.driver_settings import settings_of
from tillwire.money import Money
from tillwire.net.dialer import AsyncioDialer

_TYPES: Final = frozenset(
    {
        TransactionType.PURCHASE,
        TransactionType.REVERSAL,
        TransactionType.PREAUTH,
        TransactionType.INCREMENT,
        TransactionType.CAPTURE,
    }
)
_STATES: Final = {
    TerminalState.NOT_CONFIGURED: "it is not configured",
    TerminalState.NO_PARAMETERS: "it has no parameters",
    TerminalState.OPERATIVE: "",
    TerminalState.NOT_ALIGNED: "it has to load its parameters first",
    TerminalState.KEY_CORRUPTED: "its key is corrupted",
    TerminalState.DOWNLOAD_PENDING: "its host wants it to load parameters",
    TerminalState.UPDATE_PENDING: "an update of its software is due",
}


class Ecr17Driver:
    """Reaches one ECR17 terminal."""

    def __init__(
        self, terminal: Terminal, inbox: Inbox, clock: Clock, dialer: Dialer | None = None
    ) -> None:
        """Raises `ConfigurationError` when the terminal's settings do not fit."""
        self.settings = settings_of(terminal, DriverSettings)
        self._terminal_id = terminal.id
        self._inbox = inbox
        self._clock = clock
        self._link = Link(self.settings, dialer or AsyncioDialer())
        self._ladder = Ladder(self._link, clock, terminal.name)
        self._errands = Errands(self._link, inbox, terminal.id)
        self._works = ""
        """What occupies the terminal just now, for people; empty for a short question."""
        self._turn = asyncio.Lock()
        """A terminal takes one connection at a time."""

    @property
    def capabilities(self) -> Capabilities:
        """What the protocol has a way for. There is none to call anything off."""
        refund = {TransactionType.REFUND} if self.settings.refund else frozenset()
        return Capabilities(
            types=_TYPES | refund,
            outcome_within=self.settings.outcome_seconds,
            send_within=self.settings.send_seconds,
            errands=abilities(self.settings),
            for_host=True,
        )

    # --- a transaction --------------------------------------------------------------------------

    async def run(self, transaction: Transaction, progress: Progress) -> Outcome:
        """Carry it to its end. Raises `NotDelivered` with a proof, or `AnswerLost`."""
        original = None
        if transaction.original_id is not None:
            original = await self._inbox.find(transaction.original_id)
        asked = orders.asked(transaction, original, self.settings)
        async with self._at_work("a transaction"):
            order = await self._order(transaction, original, asked)
            await progress(Sign(peer=order.peer))
            line = await self._line()
            try:
                talk = await self._link.conversation(line)
                return await _Carried(self, transaction, progress, asked, order, talk).to_its_end()
            finally:
                await line.close()

    async def _order(
        self, transaction: Transaction, original: Transaction | None, asked: Asked
    ) -> Order:
        """Raises `NotDelivered`."""
        before = await self._inbox.newest_at(self._terminal_id, LOOK_BACK)
        before = [each for each in before if each.id != transaction.id]
        last = await self._last_known(before)
        if isinstance(asked.command, ReversalRequest):
            assert original is not None, "its STAN is that of the original"
            orders.check_untouched(transaction, await self._inbox.follow_ups(original.id))
            _check_is_last(asked.command, original, before, last)
        return Order(
            command=orders.CODES[type(asked.command)],
            last_stan=last.stan,
            last_approved=last.approved,
        )

    async def _last_known(self, before: list[Transaction]) -> _Last:
        if self.settings.last_stan is LastStan.TERMINAL:
            with contextlib.suppress(Refused):
                result = await self._last_saved()
                approved = bool(getattr(result, "approved", False))
                stan = getattr(result, "stan", "")
                if stan:
                    amount = result.amount if isinstance(result, TELL_AMOUNT) else None
                    return _Last(stan, approved, amount)
                if not approved:
                    return _Last(NOTHING_SAVED)
        for each in before:
            if each.outcome is not None and each.outcome.stan:
                return _Last(each.outcome.stan, each.outcome.verdict is Verdict.APPROVED)
        return _Last("")

    async def _last_saved(self) -> object:
        try:
            return await self._link.last_result()
        except AnswerLost as error:
            raise NotDelivered(
                "Asked for its last result before the command, the terminal did not answer as it "
                f'should. {error.detail} If it never does, set last_stan = "journal".'
            ) from error

    async def _line(self) -> Line:
        """Where the command goes. Raises `NotDelivered`."""
        line = None
        if self.settings.receipts is ReceiptPlace.TILL:
            line = await self._link.route_receipts()
        return line or await self._link.quiet_line()

    async def recover(self, transaction: Transaction) -> Found | Absent | CannotTell:
        """Ask what became of it."""
        async with self._at_work():
            return await self._ladder.look(transaction)

    # --- beside transactions ------------------------------------------------------------------

    async def abort(self, transaction: Transaction) -> AbortResult:
        """The protocol has no way: only the customer or the terminal's keys can stop it."""
        return AbortResult.UNKNOWN

    async def status(self) -> TerminalStatus:
        """Ask the terminal how it is, unless it is at work for us: then it is not disturbed."""
        if self._works:
            return TerminalStatus(True, f"It is busy with {self._works}.")
        try:
            async with self._at_work():
                found = await self._link.state()
        except Refused as refusal:
            return TerminalStatus(True, refusal.detail)
        except PeerError as error:
            return TerminalStatus(False, error.detail)
        state = {each.value: words for each, words in _STATES.items()}.get(found.state)
        return TerminalStatus(
            True, f"its state is {found.state or '?'}" if state is None else state
        )

    def transactions(self, begin: Instant, end: Instant) -> AsyncIterator[Entry]:
        """None: a terminal saves its last result alone."""
        raise Unsupported("It can be asked for its last transaction alone.")

    async def perform(self, errand: Errand, tell: Callable[[str], None]) -> Result:
        """Run an errand. Raises `ErrandFailed`, `PeerError`."""
        if self._works:
            raise ErrandFailed(Trouble.BUSY, f"It is busy with {self._works}.")
        async with self._at_work("an errand"):
            return await self._errands.perform(errand)

    @contextlib.asynccontextmanager
    async def _at_work(self, what: str = "") -> AsyncIterator[None]:
        async with self._turn:
            self._works = what
            try:
                yield
            except Refused:
                self._link.doubt_reading()
                raise
            finally:
                self._works = ""


class _Last(NamedTuple):
    """The last result that the terminal has saved, or else the last one in the journal."""

    stan: str
    approved: bool = False
    amount: int | None = None
    """Cents; None where it tells none."""


def _check_is_last(
    command: ReversalRequest, original: Transaction, before: list[Transaction], told: _Last
) -> None:
    """Raise `NotDelivered` unless the original is the last that the terminal approved, by our
    journal, and by its own word, where it says so; and of the amount that it was to us."""
    last = next((each for each in before if each.state is State.APPROVED), None)
    if last is None or last.id != original.id:
        raise NotDelivered(
            "The terminal reverses its last transaction alone, and did others since."
        )
    if not told.approved:
        return
    if told.stan not in ("", command.stan):
        raise NotDelivered(
            f"The terminal reverses its last transaction alone, whose STAN is {told.stan}, and not "
            f"{command.stan}."
        )
    if told.amount not in (None, original.approved_amount):
        approved = Money(original.approved_amount, CURRENCY)
        raise NotDelivered(
            f"The terminal would reverse {Money(told.amount, CURRENCY)}, and {approved} were "
            "approved."
        )


class _Carried:
    """A transaction on its way, from its command to its outcome."""

    def __init__(
        self,
        driver: Ecr17Driver,
        transaction: Transaction,
        progress: Progress,
        asked: Asked,
        order: Order,
        talk: Conversation,
    ) -> None:
        self._settings = driver.settings
        self._now = driver._clock.now
        self._transaction = transaction
        self._progress = progress
        self._command, self._data = asked
        self._order = order
        self._talk = talk
        self._tags_taken = True

    async def to_its_end(self) -> Outcome:
        settings = self._settings
        try:
            await self._talk.send(self._command, self._in_time, settings.late_ack_seconds)
        except InvalidRequest as error:
            raise NotDelivered(str(error)) from error
        await self._shown("")
        if self._data is not None:
            await self._hand_over(self._data)
        heard = await self._talk.result(
            self._command, self._shown, settings.result_seconds, settings.capped_seconds
        )
        outcome = await self._journaled(heard)
        await self._talk.acknowledge()
        receipts = settings.receipts is ReceiptPlace.TILL
        host_data = self._data is not None and self._data.wants_back
        if receipts or host_data:
            await self._talk.drain(settings.receipt_seconds, receipts=receipts, host_data=host_data)
        return self._with_what_came(outcome)

    def _in_time(self) -> None:
        send_by = self._transaction.send_by
        if send_by is not None and self._now() > send_by:
            raise NotDelivered("Its time to be sent had passed before it could be.")

    async def _shown(self, text: str) -> None:
        # What is displayed is no evidence: a journal that fails now must not cost the answer.
        with contextlib.suppress(JournalError):
            await self._progress(Sign(started=True, display=text))

    async def _hand_over(self, data: AdditionalData) -> None:
        """The payment runs, with the data or without: its result tells. That the terminal did not
        take them is kept with the outcome."""
        try:
            await self._talk.send(data, lambda: None, self._settings.ack_seconds)
        except PeerError:
            self._tags_taken = False

    async def _journaled(self, heard: Answer) -> Outcome:
        """The outcome that was heard, in the journal before it is acknowledged: the terminal does
        not tell it a second time. Raises `AnswerLost` for what says nothing definite."""
        order = self._order
        try:
            result = money_result(heard, order.command, self._settings.tid)
            outcome = outcome_of(result, self._transaction)
            self._check_is_new(outcome)
        except AnswerLost:
            await self._talk.acknowledge()
            raise
        text = msgspec.json.encode(outcome).decode()
        with contextlib.suppress(JournalError):
            await self._progress(Sign(peer=msgspec.structs.replace(order, outcome=text).peer))
        return outcome

    def _check_is_new(self, outcome: Outcome) -> None:
        """Raise `AnswerLost` for what may be the last result once more, whose ACK the terminal has
        missed. A terminal may give a STAN that was refused to the next one, so that a refusal
        behind an ACK is believed."""
        order = self._order
        approved = outcome.verdict is Verdict.APPROVED
        is_doubtful = order.last_approved if approved else not self._talk.acknowledged
        if is_doubtful and outcome.stan and outcome.stan == order.last_stan:
            raise AnswerLost(f"It may have told its last result again (STAN {outcome.stan}).")

    def _with_what_came(self, outcome: Outcome) -> Outcome:
        handle = dict(outcome.handle)
        if not self._tags_taken:
            handle[HANDLE_TAGS] = NOT_TAKEN
        return msgspec.structs.replace(
            outcome,
            handle=handle,
            from_host=self._talk.host_data,
            receipts=receipts_of(self._talk.receipts),
        )
