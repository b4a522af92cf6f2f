"""The device link's server side: hands terminals their transactions, and hears their events.

Raw ASGI, because an idle terminal's poll is the most frequent request of all: it costs a hash and
two look-ups in memory, and no database. What an event tells is durable before it is answered.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

import msgspec

from tillwire.core.engine import Engine
from tillwire.core.estate_model import Lifecycle, Terminal
from tillwire.core.model import (
    EntryMode,
    Evidence,
    Outcome,
    Receipts,
    Transaction,
    Verdict,
    Verification,
)
from tillwire.core.ports import Clock, Sign
from tillwire.device import wire
from tillwire.device.fetched import marks_of, why_forgotten
from tillwire.device.presence import Presence
from tillwire.errors import (
    Conflict,
    InvalidRequest,
    NotFound,
    NotPermitted,
    RemoteProtocolError,
)
from tillwire.net import asgi
from tillwire.net.asgi import HttpError, Receive, Reply, Scope, Send
from tillwire.net.problems import STATUSES, Problems, named_field
from tillwire.net.routes import Routes

DRIVER: Final = "device"
POLL_INTERVAL: Final = 5
"""Seconds between two plain polls, unless the terminal's settings say otherwise."""

Call = asgi.Call[Terminal]
Handler = Callable[[Call], Awaitable[Reply]]

_PROBLEMS: Final = Problems(STATUSES, named_field)
_NOTHING: Final = Reply(HTTPStatus.NO_CONTENT)
_VERDICTS: Final[dict[type[msgspec.Struct], Verdict]] = {
    wire.Approved: Verdict.APPROVED,
    wire.Declined: Verdict.DECLINED,
    wire.Cancelled: Verdict.CANCELLED,
}


def create(engine: Engine, clock: Clock, presence: Presence | None = None) -> DeviceFace:
    """The face as an ASGI application. `presence`, shared with the drivers, learns of polls."""
    return DeviceFace(engine, clock, presence or Presence(clock))


class DeviceFace:
    """Serves the terminals that fetch."""

    def __init__(self, engine: Engine, clock: Clock, presence: Presence) -> None:
        self._engine = engine
        self._clock = clock
        self._presence = presence
        self._held: dict[str, asyncio.Future[None]] = {}
        self._routes: Routes[Handler] = Routes(
            [
                ("POST", "/next", self._next),
                ("POST", "/transactions/{id}/events", self._event),
                ("GET", "/configuration", self._configuration),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await asgi.serve(scope, receive, send, self._answer, _PROBLEMS.tell)

    async def _answer(self, scope: Scope, receive: Receive) -> Reply:
        path = asgi.path_of(scope)
        handler, parameters = self._routes.find(scope["method"], path)
        return await handler(asgi.Call(scope, receive, path, parameters, self._terminal(scope)))

    def _terminal(self, scope: Scope) -> Terminal:
        digest = wire.digest_of_bearer(asgi.header(scope, b"authorization") or "")
        terminal = self._engine.estate.terminal_with_digest(digest) if digest else None
        if (
            digest is None
            or terminal is None
            or terminal.device_digest is None
            or not hmac.compare_digest(terminal.device_digest, digest)
        ):
            raise HttpError(
                HTTPStatus.UNAUTHORIZED,
                "A terminal's own token is needed as a Bearer token.",
                [(b"www-authenticate", b'Bearer realm="tillwire device"')],
            )
        if terminal.driver != DRIVER:
            raise NotPermitted(f"Terminal {terminal.name} does not fetch its transactions.")
        return terminal

    # --- fetching -----------------------------------------------------------------------------

    async def _next(self, call: Call) -> Reply:
        """POST /next."""
        terminal = call.caller
        if terminal.lifecycle is not Lifecycle.ACTIVATED:
            raise NotPermitted(f"Terminal {terminal.name} is {terminal.lifecycle}.")
        poll = wire.parse_poll(call.scope["query_string"])
        self._presence.seen(terminal.id, poll.boot)
        ready = await self._ready(terminal, poll)
        if not ready and poll.wait:
            ready = await self._hold(terminal, poll, call.receive)
            if self._terminal(call.scope) != terminal:  # swapped, or removed
                raise Conflict(f"Terminal {terminal.name} was changed meanwhile: poll again.")
        offer = await self._fetch(terminal, poll) if ready else None
        return _NOTHING if offer is None else _reply(offer)

    async def _ready(self, terminal: Terminal, poll: wire.Poll) -> bool:
        """Whether there is something to fetch for this terminal in this boot of it."""
        offered = self._engine.offered(terminal.id)
        return offered is not None and not await self._forgotten(terminal, poll, offered)

    async def _forgotten(self, terminal: Terminal, poll: wire.Poll, offered: Transaction) -> bool:
        """Whether the transaction was fetched into a memory that is lost. The card could be
        charged once more then, so it is not handed out again: a person must decide."""
        reason = why_forgotten(terminal, poll.boot, offered)
        if reason:
            await self._engine.heard_loss(offered.id, reason)
        return bool(reason)

    async def _fetch(self, terminal: Terminal, poll: wire.Poll) -> wire.Offer | None:
        transaction = await self._engine.fetch(terminal.id, marks_of(terminal, poll.boot))
        # The poll of an earlier boot, or of the device before, may have been quicker.
        if transaction is None or await self._forgotten(terminal, poll, transaction):
            return None
        return wire.Offer(
            id=transaction.id,
            type=transaction.type.value,
            amount=wire.Amount.of(transaction.amount),
            reference=transaction.reference,
            resume=transaction.started_at is not None,
            partial_allowed=transaction.partial_allowed,
            original_id=transaction.original_id,
        )

    async def _hold(self, terminal: Terminal, poll: wire.Poll, receive: Receive) -> bool:
        """Hold the poll until there is something to fetch; False when there is nothing in time,
        or a newer poll of the same terminal takes its place. Raises `DisconnectedError`."""
        superseded: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        earlier = self._held.pop(terminal.id, None)
        if earlier is not None and not earlier.done():
            earlier.set_result(None)
        self._held[terminal.id] = superseded
        waiting = asyncio.create_task(self._wait(terminal, poll))
        gone = asyncio.create_task(asgi.disconnected(receive))
        try:
            await asyncio.wait((waiting, gone, superseded), return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                raise asgi.DisconnectedError
            return waiting.done() and waiting.result()
        finally:
            if self._held.get(terminal.id) is superseded:
                del self._held[terminal.id]
            waiting.cancel()
            gone.cancel()
            await asyncio.gather(waiting, gone, return_exceptions=True)

    async def _wait(self, terminal: Terminal, poll: wire.Poll) -> bool:
        end = self._clock.monotonic() + poll.wait
        while (left := end - self._clock.monotonic()) > 0:
            offered = await self._engine.wait_offered(terminal.id, left)
            if offered is None:
                return False
            if not await self._forgotten(terminal, poll, offered):
                return True
            await self._engine.wait(offered.id, lambda each: each.is_final, left)
        return False

    # --- hearing ------------------------------------------------------------------------------

    async def _event(self, call: Call) -> Reply:
        """POST /transactions/{id}/events. Terminals that say no media type mean JSON."""
        body = await call.json(wire.LARGEST_EVENT, unnamed=True)
        heard = await self._hear(call.caller, call.parameters[0], wire.parse_event(body))
        return _reply(wire.Receipt(heard.id, heard.state.value))

    async def _hear(
        self, terminal: Terminal, transaction_id: str, event: wire.Event
    ) -> Transaction:
        transaction = await self._engine.find(transaction_id)
        if transaction is None or transaction.terminal_id != terminal.id:
            raise NotFound(f"Terminal {terminal.name} has no transaction {transaction_id[:40]}.")
        if transaction.sent_at is None:
            raise Conflict(f"The transaction is {transaction.state}, and was never handed out.")
        if isinstance(event, wire.CardPresented):
            return await self._card_presented(transaction)
        outcome = self._outcome(transaction, event)
        try:
            heard = await self._engine.heard_outcome(transaction.id, outcome)
        except RemoteProtocolError as error:
            raise InvalidRequest("approved_amount", error.detail.rstrip(".")) from None
        if not _agrees(heard, outcome):
            raise Conflict(
                f"The transaction is {heard.state} already. What was told is written down as a "
                "discrepancy, for a person to look at."
            )
        return heard

    async def _card_presented(self, transaction: Transaction) -> Transaction:
        sign = Sign(started=True, display="Card presented")
        if not transaction.is_final and transaction.started_at is None:  # else it is known
            transaction = await self._engine.heard_sign(transaction.id, sign)
        if transaction.is_final and not _ended_by_terminal(transaction):
            raise Conflict(f"The transaction is {transaction.state}: the card must not be charged.")
        return transaction

    def _outcome(
        self, transaction: Transaction, event: wire.Approved | wire.Declined | wire.Cancelled
    ) -> Outcome:
        outcome = Outcome(
            _VERDICTS[type(event)],
            evidence=Evidence.REPORTED,
            at=self._clock.now(),
            reason=event.reason,
            receipts=Receipts(event.receipt, event.merchant_receipt)
            if event.receipt or event.merchant_receipt
            else None,
        )
        if isinstance(event, wire.Cancelled):
            return outcome
        outcome = msgspec.structs.replace(
            outcome,
            response_code=event.response_code,
            stan=event.stan,
            brand=event.brand,
            card_last4=event.card_last4,
            application_id=event.application_id,
            entry_mode=EntryMode(event.entry_mode) if event.entry_mode else None,
            verification=Verification(event.verification) if event.verification else None,
        )
        if isinstance(event, wire.Declined):
            return outcome
        moved = event.approved_amount
        return msgspec.structs.replace(
            outcome,
            approved_amount=transaction.amount.minor + event.tip if moved is None else moved,
            tip=event.tip,
            authorisation_code=event.authorisation_code,
        )

    # --- configuration ------------------------------------------------------------------------

    async def _configuration(self, call: Call) -> Reply:
        """GET /configuration."""
        terminal = call.caller
        store = self._engine.estate.stores[terminal.store_id]
        configuration = wire.Configuration(
            terminal=terminal.name,
            tid=terminal.tid,
            poll_interval=int(terminal.settings.get("poll_interval", POLL_INTERVAL)),
            longest_wait=wire.LONGEST_WAIT,
            store=wire.StoreOfTerminal(
                uuid=store.id,
                name=store.name,
                address=store.address,
                city=store.city,
                zip_code=store.zip_code,
                country=store.country,
                time_zone=store.time_zone,
                currency=store.currency,
            ),
        )
        return _reply(configuration)


def _reply(message: msgspec.Struct) -> Reply:
    return Reply(HTTPStatus.OK, wire.encode(message))


def _agrees(transaction: Transaction, outcome: Outcome) -> bool:
    """Whether what the journal says of the money is what the terminal said."""
    if transaction.outcome is None:
        return outcome.verdict is not Verdict.APPROVED
    return transaction.outcome.same_money(outcome)


def _ended_by_terminal(transaction: Transaction) -> bool:
    outcome = transaction.outcome
    return outcome is not None and outcome.evidence is Evidence.REPORTED
