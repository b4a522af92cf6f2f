"""The face at which terminals tell what came of an order: RECEIVED, STARTED, and the Payment.

The terminal itself calls, from the shop's network, without a signature (source 000), so the address
is the secret: it is of one transaction, and nobody guesses it (`addresses.py`). What is told is
journaled before it is answered, which must be within 3 seconds; what is told twice, late or in
another order does no harm. Whoever calls any other address learns nothing.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import structlog

from tillwire.core.model import Evidence, Transaction
from tillwire.core.ports import Clock, Inbox, Sign
from tillwire.dialects.paymentbridge.driver.addresses import CallbackAddresses
from tillwire.dialects.paymentbridge.driver.cloud import Clouds
from tillwire.dialects.paymentbridge.driver.hearing import Hearing
from tillwire.dialects.paymentbridge.driver.orders import (
    BY_CALLBACK,
    FAILED_AT,
    RECEIVED,
    Order,
    operation_of,
    order_of,
)
from tillwire.dialects.paymentbridge.driver.outcome import outcome_of
from tillwire.dialects.paymentbridge.wire import status
from tillwire.dialects.paymentbridge.wire.objects import Payment
from tillwire.dialects.paymentbridge.wire.outcomes import of_payment
from tillwire.dialects.paymentbridge.wire.status import STARTED, Told
from tillwire.errors import (
    AnswerLost,
    JournalError,
    NotDelivered,
    RemoteProtocolError,
    TillwireError,
)
from tillwire.net import asgi
from tillwire.net.asgi import HttpError, Receive, Reply, Scope, Send
from tillwire.net.per_minute import EachPerMinute

MOST_AT_ONCE: Final = 256
"""Callbacks that are read and journaled at the same time; those beyond come again."""
MOST_OF_ONE: Final = 30
"""Callbacks of one transaction in a minute; an honest terminal sends nine at most. An address that
was given away is no way to fill the journal."""
FAILED: Final = "FAILED"
"""The status of a Payment that came to nothing."""

_TAKEN: Final = Reply(HTTPStatus.OK)
_NOWHERE: Final = Reply(HTTPStatus.NOT_FOUND)
_AGAIN: Final = Reply(HTTPStatus.SERVICE_UNAVAILABLE, headers=[(b"retry-after", b"5")])
_TOO_MANY: Final = Reply(HTTPStatus.TOO_MANY_REQUESTS)
_UNREADABLE: Final = Reply(HTTPStatus.BAD_REQUEST)
_FAULT: Final = Reply(HTTPStatus.INTERNAL_SERVER_ERROR)


def create(inbox: Inbox, clock: Clock, clouds: Clouds) -> CallbackFace:
    """The face as an ASGI application. `clouds` are those of the drivers, who must know of whom
    was not heard."""
    return CallbackFace(inbox, clock, clouds.addresses, clouds.hearing)


class CallbackFace:
    """Hears what terminals tell."""

    def __init__(
        self, inbox: Inbox, clock: Clock, addresses: CallbackAddresses, hearing: Hearing
    ) -> None:
        self._inbox = inbox
        self._clock = clock
        self._addresses = addresses
        self._hearing = hearing
        self._at_work = 0
        self._callbacks = EachPerMinute(clock, MOST_OF_ONE)
        self._log = structlog.get_logger().bind()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await asgi.serve(scope, receive, send, self._answer, self._tell)

    async def _answer(self, scope: Scope, receive: Receive) -> Reply:
        transaction_id = self._addresses.transaction_id(asgi.path_of(scope).removeprefix("/"))
        if transaction_id is None or scope["method"] != "POST":
            return _NOWHERE
        reply = None
        try:
            reply = await self._admitted(transaction_id, scope, receive)
        finally:
            if reply is not _TAKEN:
                self._hearing.turn_away(transaction_id)
        return reply

    async def _admitted(self, transaction_id: str, scope: Scope, receive: Receive) -> Reply:
        if self._at_work >= MOST_AT_ONCE:
            return _AGAIN
        if self._callbacks.is_one_too_many(transaction_id):
            return _TOO_MANY
        self._at_work += 1
        try:
            return await self._heard(transaction_id, scope, receive)
        finally:
            self._at_work -= 1

    async def _heard(self, transaction_id: str, scope: Scope, receive: Receive) -> Reply:
        encoding = asgi.header(scope, b"content-encoding") or ""
        packed = encoding.strip().lower() not in ("", "identity")
        limit = status.LARGEST_PACKED if packed else status.LARGEST
        body = await asgi.read_body(scope, receive, limit)
        transaction = await self._inbox.find(transaction_id)
        order = None if transaction is None else order_of(transaction.peer)
        if transaction is None or order is None or transaction.sent_at is None:
            return _NOWHERE
        log = self._log.bind(transaction=transaction_id)
        try:
            told = status.read(body, encoding)
        except RemoteProtocolError as error:
            log.warning("a callback cannot be read", reason=error.detail)
            return _UNREADABLE
        if told.reference.lower() != order.reference.lower():
            log.warning("a callback is about another payment", status=told.status)
            return _UNREADABLE
        await self._take(transaction, order, told)
        return _TAKEN

    async def _take(self, transaction: Transaction, order: Order, told: Told) -> None:
        if told.payment is not None:
            await self._take_payment(transaction, order, told.payment)
        elif not transaction.is_final:
            await self._take_sign(transaction, started=told.status == STARTED)
        elif transaction.outcome is None:
            # It was FAILED or CANCELLED, with a proof that was none.
            self._log.warning(
                "a terminal works on what is over", transaction=transaction.id, status=told.status
            )

    async def _take_sign(self, transaction: Transaction, *, started: bool) -> None:
        if transaction.peer.get(RECEIVED) == BY_CALLBACK and not (
            started and transaction.started_at is None
        ):
            return
        sign = Sign(received=True, started=started, peer={RECEIVED: BY_CALLBACK})
        await self._inbox.heard_sign(transaction.id, sign)

    async def _take_payment(self, transaction: Transaction, order: Order, payment: Payment) -> None:
        """The last word, which implies those before. Where it says nothing definite, the cloud is
        asked, as if it had not come."""
        try:
            reading = of_payment(
                payment,
                operation_of(transaction),
                original=order.original,
                currency=transaction.amount.currency,
            )
            outcome = outcome_of(reading, transaction, Evidence.REPORTED)
        except (AnswerLost, NotDelivered) as unclear:
            self._log.warning(
                "a callback says nothing definite", transaction=transaction.id, reason=str(unclear)
            )
            if payment.status == FAILED and not payment.transactions:
                await self._take_failure(transaction)
            elif not transaction.is_final:
                await self._take_sign(transaction, started=False)
            return
        await self._inbox.heard_outcome(transaction.id, outcome)

    async def _take_failure(self, transaction: Transaction) -> None:
        """It is over, and the terminal knows of no transaction: if the cloud knows of none, either,
        there is none."""
        if transaction.is_final or FAILED_AT in transaction.peer:
            return
        peer = {RECEIVED: BY_CALLBACK, FAILED_AT: str(self._clock.now())}
        await self._inbox.heard_sign(transaction.id, Sign(received=True, peer=peer))

    def _tell(self, error: Exception, scope: Scope) -> Reply:
        """What the caller gets of an error: a status. The path is a secret, and is not logged."""
        if isinstance(error, HttpError):
            return Reply(error.status, headers=error.headers)
        if isinstance(error, JournalError):
            self._log.error("the journal failed a callback", reason=str(error))
            return _AGAIN
        reason = str(error) if isinstance(error, TillwireError) else type(error).__name__
        self._log.error("a callback failed", reason=reason, exc_info=error)
        return _FAULT
