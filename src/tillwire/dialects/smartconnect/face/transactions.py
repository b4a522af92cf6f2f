"""`POST /POS/Transaction` and the polls for what came of it (source 002).

What is accepted is journaled before the answer. A register that asks for the same again while its
first request is unresolved gets the first one, and so does one that says the same
`Idempotency-Key`: neither is charged again. A register's requests begin one after the other, so
that of two at the same time the second sees the first.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine
from http import HTTPStatus
from typing import Any, Final

import msgspec
import structlog

from tillwire import uuids
from tillwire.core.exchanges import Repeated, check_new
from tillwire.core.model import Exchange, Transaction
from tillwire.core.occupancy import WhenBusy
from tillwire.core.ports import Reader
from tillwire.dialects.smartconnect.face import answers, functions, orders, tokens, works
from tillwire.dialects.smartconnect.face.context import DIALECT, Caller, Context, form_in
from tillwire.dialects.smartconnect.face.refusals import Refused
from tillwire.dialects.smartconnect.wire import envelope, transactions
from tillwire.dialects.smartconnect.wire.envelope import Envelope
from tillwire.dialects.smartconnect.wire.transactions import Function, TransactionRequest
from tillwire.errors import InvalidRequest, JournalError, Unsupported
from tillwire.net import asgi
from tillwire.net.asgi import DisconnectedError, Receive, Reply, Scope

PATH: Final = "/pos/transaction"
"""Of polling URLs, below the face; it is written like this, and read in any case."""
_TOKEN: Final = "merchantAccessToken"  # noqa: S105 - a parameter's name
_KEY: Final = re.compile(r"[\x20-\x7e]{1,255}")

_OTHER_REQUEST: Final = (
    "The Idempotency-Key came before with another request, which may have been paid."
)

_log = structlog.get_logger()


class _Begun(msgspec.Struct, frozen=True):
    """What a POST has begun, or was attached to."""

    exchange: Exchange
    number: str
    """31 digits: what is in its UUID."""
    task: asyncio.Task[None] | None = None
    """A function's work, if this POST began it."""


async def post(context: Context, scope: Scope, receive: Receive) -> Reply:
    """POST /POS/Transaction."""
    form, charset = await form_in(scope, receive)
    wanted = transactions.read(form, charset)
    key = _key(scope)
    _check(context, wanted)
    caller = context.caller(wanted.registration, scope)
    _ = context.token_key  # what nobody could poll for is not begun
    begun = await _begun(context, caller, wanted, key)
    told = await _first_told(context, wanted, begun, receive)
    if told.transaction_status != envelope.COMPLETED:
        told = _addressed(context, scope, told, begun.number)
    return Reply(HTTPStatus.OK, envelope.write(told))


async def poll(context: Context, scope: Scope, uuid: str) -> Reply:
    """GET the polling URL."""
    number = uuids.transaction_of(uuid)
    if number is None:
        raise _nothing()
    query = asgi.Call(scope, _no_body, "", (), None).query()
    token = next((value for name, value in query if name.lower() == _TOKEN.lower()), "")
    try:
        _check_token(context, token, number)
    except Refused:
        if await _found(context, number) is None:
            raise _nothing() from None
        raise
    context.check_pace(f"{number} {token}")
    found = await _found(context, number)
    if found is None:
        raise _nothing()
    return Reply(HTTPStatus.OK, envelope.write(_told(context, *found)))


# --- what a POST begins ---------------------------------------------------------------------------


def _check(context: Context, wanted: TransactionRequest) -> None:
    if not wanted.asynchronous and not context.settings.sync:
        raise InvalidRequest("TransactionMode", "it is missing", transactions.ASYNC)
    if wanted.callback_url:
        context.addresses.check(wanted.callback_url, "PosNotificationCallbackUrl")
    if wanted.date and wanted.function is Function.SETTLEMENT_INQUIRY:
        works.day_of(wanted.date)


async def _begun(context: Context, caller: Caller, wanted: TransactionRequest, key: str) -> _Begun:
    """The transaction or function, begun by this request or by an earlier one. Raises
    `InvalidRequest`, `Conflict`, `TerminalBusy`, `Refused`, `JournalError`."""
    asked = orders.asked_for(context, caller, wanted)
    exchange = orders.exchange_of(context, caller, wanted, asked, key)
    try:
        async with context.turn(caller.register):
            if key:
                await _check_key(context, caller, exchange)
            if wanted.function not in orders.TYPES:
                told = orders.telling(context, exchange, wanted, asked)
                return _function(await functions.start(context, caller.terminal, told))
            if wanted.function in orders.QR and not context.settings.qr:
                return await _unavailable(context, caller, wanted, asked, exchange)
            return await _paid(context, caller, wanted, asked, exchange, key)
    except Repeated as repeated:
        if repeated.earlier.digest != exchange.digest:
            raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, _OTHER_REQUEST) from None
        return _earlier(repeated.earlier)


async def _check_key(context: Context, caller: Caller, exchange: Exchange) -> None:
    """Raise `Repeated` when the register has used its key, for a payment or for a function, before
    anything else is found to be in the way: the first one may be."""

    def check(reader: Reader) -> None:
        for place in (orders.NOWHERE, caller.terminal.id):
            check_new(reader, msgspec.structs.replace(exchange, terminal_id=place))

    await context.engine.journal.read(check)


async def _paid(
    context: Context,
    caller: Caller,
    wanted: TransactionRequest,
    asked: answers.Asked,
    exchange: Exchange,
    key: str,
) -> _Begun:
    if context.settings.attach_identical and not key:
        same = await _same(context, caller, exchange)
        if same is not None:
            return _earlier(same)
    try:
        request = await orders.request_of(context, caller, wanted, asked, exchange)
        made = await context.engine.accept(request, WhenBusy.REJECT)
    except Unsupported:
        return await _unavailable(context, caller, wanted, asked, exchange)
    return _Begun(exchange, made.id)


async def _unavailable(
    context: Context,
    caller: Caller,
    wanted: TransactionRequest,
    asked: answers.Asked,
    exchange: Exchange,
) -> _Begun:
    told = orders.telling(context, exchange, wanted, asked)
    return _function(await functions.unavailable(context, caller.terminal, told))


async def _same(context: Context, caller: Caller, exchange: Exchange) -> Exchange | None:
    """The register's newest payment that was asked for in the same way and had not ended when this
    request came, on whatever terminal it is."""
    engine, register = context.engine, caller.register
    for known in engine.open_of(context.settings.organisation, register.register_id):
        same = await engine.exchange_of(known.id)
        is_its_own = same is not None and same.register == exchange.register
        if same is not None and is_its_own and same.digest == exchange.digest:
            return same
    # The last one may have ended while this request waited for its turn.
    last = await engine.last_exchange(
        orders.NOWHERE, DIALECT, exchange.register, {orders.TRANSACTION}
    )
    if last is None or last.digest != exchange.digest or last.transaction_id is None:
        return None
    ended = await engine.find(last.transaction_id)
    return last if ended and (ended.ended_at or 0) > exchange.at else None


def _earlier(exchange: Exchange) -> _Begun:
    if functions.is_function(exchange):
        return _Begun(exchange, functions.id_of(exchange))
    assert exchange.transaction_id is not None, "a payment's exchange names its transaction"
    return _Begun(exchange, exchange.transaction_id)


def _function(started: functions.Started) -> _Begun:
    return _Begun(started.exchange, functions.id_of(started.exchange), started.task)


def _key(scope: Scope) -> str:
    """The till's own name of the request; empty if it has none. Raises `InvalidRequest`."""
    key = asgi.header(scope, b"idempotency-key") or ""
    if key and not _KEY.fullmatch(key):
        raise InvalidRequest("Idempotency-Key", "it cannot be one", "up to 255 characters of ASCII")
    return key


# --- what is told ---------------------------------------------------------------------------------


async def _first_told(
    context: Context, wanted: TransactionRequest, begun: _Begun, receive: Receive
) -> Envelope:
    """What the POST is answered with. A journal that fails now is not told: it has begun. Raises
    `DisconnectedError`."""
    at = begun.exchange.at
    try:
        if not wanted.asynchronous:
            return await _held(_awaited(context, begun), receive)
        if not functions.is_function(begun.exchange):
            known = await context.engine.find(begun.number)
            at = known.created_at if known else at
    except JournalError as error:
        _log.warning("how far it is was not read", error=str(error))
    return answers.begun(answers.read(begun.exchange.request), begun.number, at)


async def _awaited(context: Context, begun: _Begun) -> Envelope:
    """How it ended, or how far it is when a register has waited long enough."""
    seconds = context.settings.sync_seconds
    if begun.task is not None:
        await asyncio.wait({begun.task}, timeout=seconds)
    elif not functions.is_function(begun.exchange):
        await context.engine.wait(begun.number, lambda each: each.is_final, seconds)
    found = await _found(context, begun.number)
    assert found is not None, "what was begun is in the journal"
    return _told(context, *found)


async def _held(work: Coroutine[Any, Any, Envelope], receive: Receive) -> Envelope:
    """What comes of it, for a register that waits. Raises `DisconnectedError` when it has gone."""
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(asgi.disconnected(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise DisconnectedError
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _found(context: Context, number: str) -> tuple[Exchange, Transaction | None] | None:
    """What has this id: a function, or a transaction with its exchange."""
    engine = context.engine
    known = await engine.find(number)
    exchange = await engine.exchange_of(number if known else functions.name_of(number))
    ours = exchange is not None and exchange.organisation_id == context.settings.organisation
    if exchange is None or not ours or exchange.dialect != DIALECT:
        return None
    return exchange, known


def _told(context: Context, exchange: Exchange, known: Transaction | None) -> Envelope:
    if known is None:
        return functions.told(context, exchange)
    asked, now = answers.read(exchange.request), context.clock.now()
    return answers.of_transaction(asked, known, now, context.settings.delayed_after)


def _addressed(context: Context, scope: Scope, told: Envelope, number: str) -> Envelope:
    """The envelope with its polling URL, whose token is good from now on."""
    token = tokens.made(
        context.token_key, context.settings.organisation, number, context.clock.now() // 1000
    )
    return answers.addressed(told, f"{asgi.base_url(scope)}{PATH}/{told.transaction_id}", token)


def _check_token(context: Context, token: str, number: str) -> None:
    settings = context.settings
    tokens.check(
        token,
        context.token_key,
        settings.organisation,
        number,
        now=context.clock.now() // 1000,
        seconds=settings.token_seconds,
    )


def _nothing() -> Refused:
    return Refused(HTTPStatus.NOT_FOUND, "There is no such transaction.")


async def _no_body() -> asgi.Message:
    return {"type": "http.disconnect"}
