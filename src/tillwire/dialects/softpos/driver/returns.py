"""The face to which phones come back from the vendor's app, with what it says of a payment.

A phone opens the address in a browser, so this is a GET without a signature: any other app, and
whoever reads the link, can open it with other words (source 001). The address is of one transaction
and nobody guesses it (`net/secret_paths.py`); still its words decide nothing. They are read
strictly, journaled, and make us ask the backend, which decides: at once where nobody asks any more.
Whoever comes here is told that it was noted, and never how it ended.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

import msgspec
import structlog

from tillwire.core.estate import Estate
from tillwire.core.model import Evidence, State, Transaction
from tillwire.core.ports import Clock, Found, Inbox, Sign
from tillwire.dialects.softpos.driver import phone
from tillwire.dialects.softpos.driver.backend import Backends
from tillwire.dialects.softpos.driver.driver import SoftPosDriver
from tillwire.dialects.softpos.wire import links
from tillwire.dialects.softpos.wire.links import Operation, Returned
from tillwire.errors import (
    ConfigurationError,
    JournalError,
    RemoteProtocolError,
    TillwireError,
)
from tillwire.net import asgi
from tillwire.net.asgi import HttpError, Receive, Reply, Scope, Send
from tillwire.net.per_minute import EachPerMinute

DRIVER: Final = "softpos"
MOST_AT_ONCE: Final = 64
"""Returns that are read and journaled at the same time; those beyond are to come again."""
MOST_OF_ONE: Final = 10
"""Returns to one address in a minute; an honest phone comes once or twice. An address that was
given away is no way to fill the journal."""
CONFIRM_WITHIN: Final = 20.0
"""Seconds for which a phone is kept waiting for the backend."""
INQUIRIES: Final = "inquiries/"

_HEADERS: Final = [(b"referrer-policy", b"no-referrer"), (b"x-content-type-options", b"nosniff")]


def _page(status: HTTPStatus, words: str) -> Reply:
    return Reply(status, words.encode() + b"\n", _HEADERS, "text/plain; charset=utf-8")


NOTED: Final = _page(HTTPStatus.OK, "Noted. The till shows how the payment ended.")
_NOWHERE: Final = _page(HTTPStatus.NOT_FOUND, "There is nothing here.")
_UNREADABLE: Final = _page(HTTPStatus.BAD_REQUEST, "This cannot be read.")
_TOO_MANY: Final = _page(HTTPStatus.TOO_MANY_REQUESTS, "Come again in a minute.")
_AGAIN: Final = _page(HTTPStatus.SERVICE_UNAVAILABLE, "Come again in a few seconds.")
_FAULT: Final = _page(HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong here.")


def create(
    inbox: Inbox, estate: Callable[[], Estate], clock: Clock, backends: Backends
) -> ReturnsFace:
    """The face as an ASGI application; `estate` tells it as it stands, `backends` are those of the
    drivers."""
    return ReturnsFace(inbox, estate, clock, backends)


class ReturnsFace:
    """Hears what phones bring back."""

    def __init__(
        self, inbox: Inbox, estate: Callable[[], Estate], clock: Clock, backends: Backends
    ) -> None:
        self._inbox = inbox
        self._estate = estate
        self._clock = clock
        self._backends = backends
        self._inquiries = backends.inquiries
        self._at_work = 0
        self._returns = EachPerMinute(clock, MOST_OF_ONE)
        self._log = structlog.get_logger().bind()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await asgi.serve(scope, receive, send, self._answer, self._tell)

    async def _answer(self, scope: Scope, receive: Receive) -> Reply:
        path = asgi.path_of(scope).removeprefix("/")
        inquiry = path.startswith(INQUIRIES)
        paths = self._inquiries.paths if inquiry else self._backends.paths
        name = paths.transaction_id(path.removeprefix(INQUIRIES) if inquiry else path)
        if name is None or scope["method"] != "GET":
            return _NOWHERE
        if self._at_work >= MOST_AT_ONCE:
            return _AGAIN
        if self._returns.is_one_too_many(name):
            return _TOO_MANY
        self._at_work += 1
        try:
            return await self._heard(name, scope, inquiry=inquiry)
        finally:
            self._at_work -= 1

    async def _heard(self, name: str, scope: Scope, *, inquiry: bool) -> Reply:
        log = self._log.bind(transaction=name)
        query = scope.get("query_string", b"").decode("latin-1")
        transaction = None if inquiry else await self._inbox.find(name)
        if not inquiry and (transaction is None or phone.CALLER not in transaction.peer):
            return _NOWHERE
        try:
            returned = _read(query, name, transaction)
        except RemoteProtocolError as error:
            log.warning("a return link cannot be believed", reason=error.detail)
            if query and transaction is not None:
                await self._take(transaction, None)
            elif query:
                self._inquiries.failed(name, error)
            return _UNREADABLE
        if transaction is None:
            log.info("a phone answered an inquiry", **_told(returned), fields=returned.fields)
            self._inquiries.heard(name, returned)
        else:
            await self._take(transaction, returned)
        return NOTED

    async def _take(self, transaction: Transaction, returned: Returned | None) -> None:
        """Journal it as the hint that it is, and have the backend asked; None: nobody can read it,
        so it may tell of a payment. Of what has ended, only what contradicts is of use, and that
        not often: an old address must not use up our questions, or the journal."""
        paces = self._backends.paces
        if transaction.is_final and (
            _agrees(returned, transaction) or paces.is_resting(transaction.id)
        ):
            return
        driver = self._driver(transaction)
        hints = _hints(returned, driver)
        latest = await self._inbox.heard_sign(transaction.id, Sign(peer=hints))
        paces.hurry(transaction.id)
        if driver is None or not latest.is_settled:
            return
        try:
            async with asyncio.timeout(CONFIRM_WITHIN):
                await self._confirm(driver, latest)
        except TimeoutError:
            self._log.warning("the backend is slow to confirm a return", transaction=latest.id)

    async def _confirm(self, driver: SoftPosDriver, transaction: Transaction) -> None:
        """Ask for one that was given up or lost, or that has ended. What the backend says goes to
        the engine, where it opens a discrepancy if it contradicts."""
        found = await driver.look(transaction)
        if isinstance(found, Found):
            outcome = msgspec.structs.replace(found.outcome, evidence=Evidence.RECOVERED)
            await self._inbox.heard_outcome(transaction.id, outcome)
        elif transaction.state is State.APPROVED or transaction.peer.get(phone.CLAIMED):
            self._log.warning(
                "a return link is not confirmed",
                transaction=transaction.id,
                state=transaction.state.value,
                reason=found.detail,
            )
        if transaction.is_final:
            self._backends.paces.rest(transaction.id)

    def _driver(self, transaction: Transaction) -> SoftPosDriver | None:
        terminal = self._estate().terminals.get(transaction.terminal_id)
        if terminal is None or terminal.driver != DRIVER:
            return None
        try:
            return SoftPosDriver(terminal, self._inbox, self._clock, self._backends)
        except ConfigurationError:
            return None

    def _tell(self, error: Exception, scope: Scope) -> Reply:
        """What the caller gets of an error: a status. The path is a secret, and is not logged."""
        if isinstance(error, HttpError):
            return Reply(error.status, headers=error.headers)
        if isinstance(error, JournalError):
            self._log.error("the journal failed a return", reason=str(error))
            return _AGAIN
        reason = str(error) if isinstance(error, TillwireError) else type(error).__name__
        self._log.error("a return failed", reason=reason, exc_info=error)
        return _FAULT


def _read(query: str, name: str, transaction: Transaction | None) -> Returned:
    """What a return to the address of `name` says; without a transaction it is of an inquiry.
    Raises `RemoteProtocolError`."""
    returned = links.read_return(query)
    if returned.caller_trx_id != name:
        raise RemoteProtocolError("It is about another transaction.")
    if transaction is None:
        _check_inquiry(returned)
    else:
        _check_payment(returned, transaction)
    return returned


def _agrees(returned: Returned | None, transaction: Transaction) -> bool:
    """Whether it says of the money what is known of a transaction that has ended."""
    if returned is None or returned.terminal_id not in ("", phone.paid_on(transaction)):
        return False
    if transaction.state is State.APPROVED:
        return returned.result == links.AUTHORISED
    return returned.result in (links.CANCELLED, links.DECLINED)


def _hints(returned: Returned | None, driver: SoftPosDriver | None) -> dict[str, str]:
    """What is remembered of it."""
    if returned is None:
        return {phone.UNREAD: "yes"}
    told = {**_told(returned), "fields": dict(returned.fields)}
    hints = {phone.RETURNED: json.dumps(told)}
    if returned.result == links.AUTHORISED:
        hints[phone.CLAIMED] = "yes"
    if driver is not None and returned.terminal_id not in ("", *driver.tids):
        hints[phone.ELSEWHERE] = returned.terminal_id
    return hints


def _check_payment(returned: Returned, transaction: Transaction) -> None:
    if returned.operation is not phone.OPERATIONS[transaction.type]:
        raise RemoteProtocolError("It is about another operation.")
    if returned.amount != transaction.amount.minor:
        raise RemoteProtocolError("It is about another amount.")


def _check_inquiry(returned: Returned) -> None:
    if returned.operation in (Operation.PAYMENT, Operation.REVERSAL):
        raise RemoteProtocolError("It is about another operation.")


def _told(returned: Returned) -> dict[str, str | int]:
    told = {
        "operation": returned.operation.value,
        "result": returned.result,
        "words": returned.words,
        "amount": returned.amount,
        "terminal_id": returned.terminal_id or None,
        "host_total": returned.host_total,
        "terminal_total": returned.terminal_total,
    }
    return {key: value for key, value in told.items() if value is not None}
