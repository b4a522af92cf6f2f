"""The driver of a nexo terminal: the till's side of the protocol, so that any till can pay there.

What is sent and what comes back is made and read elsewhere (`pos.py`, `reading.py`), and how it
gets there is the business of `lines.py`. Here is the order of things: ids into the journal, the
request out while it may go, the one answer that counts, and the ladder (`ladder.py`) for all that
is no answer. README.md tells it in prose, with what terminals do differently.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final

import msgspec

from tillwire.clock import Instant
from tillwire.core.entries import Entry
from tillwire.core.errands import Errand, Result
from tillwire.core.estate_model import Terminal
from tillwire.core.model import Outcome, Transaction, TransactionType
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
from tillwire.dialects.nexo.driver import pos
from tillwire.dialects.nexo.driver.conversation import Conversation
from tillwire.dialects.nexo.driver.dialling import Network, RealNetwork
from tillwire.dialects.nexo.driver.errands import Errands, abilities
from tillwire.dialects.nexo.driver.ladder import Ladder
from tillwire.dialects.nexo.driver.lines import Refused
from tillwire.dialects.nexo.driver.link import Link
from tillwire.dialects.nexo.driver.pos import Chain, Order
from tillwire.dialects.nexo.driver.reading import (
    LOG_IN,
    LONGEST_REASON,
    Ended,
    Running,
    Stated,
    Unclear,
    money_reading,
)
from tillwire.dialects.nexo.driver.settings import AbortConnection, Binding, DriverSettings
from tillwire.dialects.nexo.wire import Message
from tillwire.dialects.nexo.wire.services import (
    DiagnosisResponse,
    EventNotification,
    PaymentRequest,
    PaymentResponse,
    ReversalRequest,
    ReversalResponse,
)
from tillwire.dialects.nexo.wire.values import ErrorCondition, GlobalStatus, PrinterStatus
from tillwire.errors import (
    AnswerLost,
    JournalError,
    NotDelivered,
    PeerError,
    Proof,
    Unsupported,
)
from tillwire.estate.driver_settings import settings_of

ASK_EVERY: Final = 2.0
"""Seconds between two questions about a payment that was refused."""
MOST_SILENT: Final = 3
"""Questions in a row without a definite answer, after which it counts as lost."""
WHOLE_WITHIN: Final = 4.0
"""Seconds in which an Abort waits for its payment to be sent."""
ABORT_HEARD_WITHIN: Final = 3.0
"""Seconds in which the terminal may say that an Abort came too late."""

_Request = PaymentRequest | ReversalRequest


class NexoDriver:
    """Reaches one nexo terminal."""

    def __init__(
        self, terminal: Terminal, inbox: Inbox, clock: Clock, network: Network | None = None
    ) -> None:
        """Raises `ConfigurationError` when the terminal's settings do not fit."""
        self.settings = settings_of(terminal, DriverSettings)
        self._inbox = inbox
        self._clock = clock
        self._link = Link(terminal, self.settings, inbox, clock, network or RealNetwork())
        self._ladder = Ladder(self._link, terminal.name)
        self._errands = Errands(self._link)
        self._carried: dict[str, _Carried] = {}
        """What this process carries just now, so that an Abort can go over the same line."""

    @property
    def capabilities(self) -> Capabilities:
        """All types of transaction, and what else the binding has a way for."""
        return Capabilities(
            types=frozenset(TransactionType),
            abort=True,
            outcome_within=self.settings.outcome_seconds,
            send_within=self.settings.send_seconds,
            errands=abilities(self.settings),
        )

    # --- a transaction --------------------------------------------------------------------------

    async def run(self, transaction: Transaction, progress: Progress) -> Outcome:
        """Carry it to its end. Raises `NotDelivered` with a proof, or `AnswerLost`."""
        request, requested = pos.money_request(transaction, await self._chain(transaction))
        await self._log_in_first()
        carried = self._carried[transaction.id] = _Carried(transaction, progress, request)
        try:
            try:
                return await self._carry(carried, await self._order(request, requested))
            except _NotLoggedIn:
                if self._is_late(transaction):
                    raise
            return await self._carry(carried, await self._order(request, requested))
        finally:
            del self._carried[transaction.id]
            carried.over.set()

    async def _chain(self, transaction: Transaction) -> Chain | None:
        if transaction.original_id is None:
            return None
        original = await self._inbox.find(transaction.original_id)
        if original is None:
            raise NotDelivered(f"Its original {transaction.original_id} is not in the journal.")
        changes = await self._inbox.follow_ups(original.id)
        undoing = [
            undone
            for each in changes
            if each.type is TransactionType.INCREMENT
            for undone in await self._inbox.follow_ups(each.id)
        ]
        return Chain(original, (*changes, *undoing))

    async def _log_in_first(self) -> None:
        try:
            await self._link.log_in_first()
        except PeerError as error:
            raise NotDelivered(f"The login that comes first failed. {error}") from error

    async def _order(self, request: _Request, requested: int | None) -> Order:
        return Order(
            service_id=await self._link.number(),
            sale_id=self.settings.sale_id,
            poi_id=self._link.poi_id,
            category=type(request).__name__.removesuffix("Request"),
            requested=requested,
        )

    async def _carry(self, carried: _Carried, order: Order) -> Outcome:
        """One sending, under ids of its own, which are journaled first."""
        carried.order = order
        carried.whole.clear()
        await carried.progress(Sign(peer=order.peer))
        message = self._link.message(carried.request, order.service_id)
        said = await self._exchange(carried, message, order)
        if isinstance(said, Message):
            said = _read(said, carried.transaction, order)
        if isinstance(said, Unclear):
            raise AnswerLost(said.words)
        if isinstance(said, Stated):
            return await self._confirmed(carried, order, said)
        return said.outcome

    async def _exchange(
        self, carried: _Carried, message: Message, order: Order
    ) -> Message | Ended | Stated | Unclear:
        transaction = carried.transaction

        def may_go() -> None:
            if self._is_late(transaction):
                raise NotDelivered("Its time to be sent had passed before it could be.")
            if carried.called_off:
                raise NotDelivered("It was called off before it was sent.")
            carried.whole.set()

        async def shown(text: str) -> None:
            # What is displayed is no evidence: a journal that fails now must not cost the answer.
            with contextlib.suppress(JournalError):
                await carried.progress(Sign(started=True, display=text))

        seconds = self.settings.outcome_seconds
        try:
            async with self._link.talk(message, shown, seconds) as talk:
                carried.talk = talk
                return await self._answered(carried, talk, may_go, order)
        except Refused as refusal:
            if refusal.at_the_door:
                raise NotDelivered(str(refusal), Proof.REFUSED_BY_PEER) from refusal
            return Stated("", refusal.detail.rstrip("."), None)
        finally:
            carried.talk = None

    def _is_late(self, transaction: Transaction) -> bool:
        return transaction.send_by is not None and self._clock.now() > transaction.send_by

    async def _answered(
        self, carried: _Carried, talk: Conversation, may_go: Callable[[], None], order: Order
    ) -> Message | Ended:
        """The answer; or what the terminal says on another line when this one has gone quiet, as
        one does that a firewall has forgotten."""

        quiet = self.settings.quiet_seconds
        polls = self.settings.binding is Binding.HTTP

        async def exchange() -> Message:
            await talk.send(may_go)
            if polls:  # it has said that it has got it
                with contextlib.suppress(JournalError):
                    await carried.progress(Sign(received=True))
            return await talk.answer()

        exchanging = asyncio.create_task(exchange(), name=f"nexo {order.service_id}")
        try:
            while True:
                heard = talk.heard
                await asyncio.wait({exchanging}, timeout=None if polls or not quiet else quiet)
                if exchanging.done():
                    return exchanging.result()
                if talk.heard == heard and carried.whole.is_set():
                    # A question that fails must not cost the answer.
                    with contextlib.suppress(PeerError, JournalError):
                        found = await self._ladder.glance(carried.transaction, order)
                        if isinstance(found, Found) and not exchanging.done():
                            return Ended(found.outcome)
        finally:
            exchanging.cancel()
            await asyncio.wait({exchanging})
            if not exchanging.cancelled():
                exchanging.exception()  # known already, or of no interest any more

    async def _confirmed(self, carried: _Carried, order: Order, stated: Stated) -> Outcome:
        """What the terminal repeats after a failure that may have been the answer to a double of
        our message, or behind which a payment may stand all the same."""
        if stated.outcome is None:
            order = carried.order = msgspec.structs.replace(order, refused=stated.words)
            # Of use after a restart only: a journal that fails now must not cost the proof.
            with contextlib.suppress(JournalError):
                await carried.progress(Sign(peer=order.peer))
        transaction, silent, logins = carried.transaction, 0, self._ladder.logins
        while True:
            try:
                reading = await self._ladder.read(transaction, order)
                found = self._ladder.judged(reading, transaction, order)
                waits = isinstance(reading, Running)
            except PeerError as error:
                found, waits = CannotTell(str(error)), False
            if isinstance(found, Found):
                return found.outcome
            if isinstance(found, Absent):
                may_go_again = await self._has_logged_in(stated, logins)
                failure = _NotLoggedIn if may_go_again else NotDelivered
                raise failure(found.detail, found.proof)
            silent = 0 if waits else silent + 1
            if silent == MOST_SILENT:
                raise AnswerLost(f"It said: {stated.words}. Since then: {found.detail}")
            await asyncio.sleep(ASK_EVERY)

    async def _has_logged_in(self, stated: Stated, logins: int) -> bool:
        """Whether it was refused for want of a login, and there is one now. Some terminals want one
        for the question as well, others only for the command."""
        if stated.condition not in LOG_IN or self._ladder.logins > logins:
            return stated.condition in LOG_IN
        if stated.condition != ErrorCondition.LOGGED_OUT or not self._link.may_log_in:
            return False
        with contextlib.suppress(PeerError, JournalError):
            await self._link.log_in()
            return True
        return False

    async def recover(self, transaction: Transaction) -> Found | Absent | CannotTell:
        """Ask what became of it."""
        order = pos.order_of(transaction.peer)
        if order is None:
            return Absent(
                "No ServiceID of it is in the journal, and none is used before it is there.",
                Proof.NEVER_SENT,
            )
        try:
            return await self._ladder.look(transaction, order)
        except PeerError as error:
            return CannotTell(str(error))

    # --- beside transactions ------------------------------------------------------------------

    async def abort(self, transaction: Transaction) -> AbortResult:
        """Ask the terminal to drop it: ABORTED says that it was asked to, and did not say that it
        is too late, or that it will not be sent. The transaction's own answer tells."""
        carried = self._carried.get(transaction.id)
        if carried is None:
            return AbortResult.UNKNOWN
        sent = await carried.sent(WHOLE_WITHIN)
        carried.called_off = True  # nor once more, if it has to be
        if not sent:
            return AbortResult.UNKNOWN if carried.over.is_set() else AbortResult.ABORTED
        assert carried.order is not None, "what was sent has an order"
        request = await self._link.abort_request(carried.order.reference)
        talk = carried.talk
        same = self.settings.abort_over is AbortConnection.SAME
        if self.settings.binding is Binding.TCP and same and talk is not None:
            too_late = await talk.abort(request, ABORT_HEARD_WITHIN)
        else:
            too_late = await self._link.abort(request, ABORT_HEARD_WITHIN)
        return AbortResult.TOO_LATE if too_late else AbortResult.ABORTED

    async def status(self) -> TerminalStatus:
        """Ask the terminal how it is."""
        try:
            return _status(await self._link.diagnose())
        except PeerError as error:
            return TerminalStatus(False, str(error))

    def transactions(self, begin: Instant, end: Instant) -> AsyncIterator[Entry]:
        """None: the protocol asks for the last one, or for one that it must still remember."""
        raise Unsupported("It can be asked for its last transaction alone.")

    async def perform(self, errand: Errand, tell: Callable[[str], None]) -> Result:
        """Run an errand. Raises `ErrandFailed`, `PeerError`."""
        return await self._errands.perform(errand, tell)


def _read(message: Message, transaction: Transaction, order: Order) -> Ended | Stated | Unclear:
    body = message.body
    if isinstance(body, EventNotification):
        details = " ".join((body.event_details or "").split())[:LONGEST_REASON]
        return Stated(body.event_to_notify, f"{body.event_to_notify}: {details}", None)
    assert isinstance(body, PaymentResponse | ReversalResponse), "a conversation sees to that"
    return money_reading(body, transaction, order)


class _NotLoggedIn(NotDelivered):
    """The terminal refused the command because nobody was logged in."""

    # There is a login now, and the terminal knows of no such command: it may be sent again.


class _Carried:
    """A transaction that this process carries."""

    def __init__(self, transaction: Transaction, progress: Progress, request: _Request) -> None:
        self.transaction = transaction
        self.progress = progress
        self.request = request
        self.order: Order | None = None
        self.talk: Conversation | None = None
        self.whole = asyncio.Event()
        """Set once the request may be whole at the terminal."""
        self.over = asyncio.Event()
        self.called_off = False
        """Whether it must not be sent any more."""

    async def sent(self, seconds: float) -> bool:
        """Whether the request is at the terminal, as far as we know, within so many seconds."""
        waits = [asyncio.ensure_future(each.wait()) for each in (self.whole, self.over)]
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
        return self.whole.is_set() and not self.over.is_set()


def _status(body: DiagnosisResponse) -> TerminalStatus:
    status = body.poi_status
    if status is None:
        said = body.response.additional_response or ""
        condition = body.response.error_condition or body.response.result
        return TerminalStatus(True, f"{condition}: {said}".strip(": "))
    notes = [status.global_status] if status.global_status != GlobalStatus.OK else []
    if status.printer_status not in (None, PrinterStatus.OK):
        notes.append(f"printer: {status.printer_status}")
    parts = (
        (status.card_reader_ok_flag, "the card reader is broken"),
        (status.ped_ok_flag, "the PIN pad is broken"),
        (status.communication_ok_flag, "it has no line to its host"),
        (status.security_ok_flag, "its security module is broken"),
    )
    notes += [words for is_ok, words in parts if is_ok is False]
    reachable = status.global_status != GlobalStatus.UNREACHABLE
    return TerminalStatus(reachable, ", ".join(notes))
