"""`Poynt-Request-Id`: a request that comes again under the same id is not done twice.

Each is journaled under its id before it is done, and its answer after that, sealed, since a hook's
address may have a token in it. An id is the application's own for 48 hours, and what it asks for
may not change. What was begun when the gateway died is done once more when it comes again: whatever
it does has the id, with what is asked for, for its own idempotency key, so the same is never done
twice, and another request later is another one. Cloud messages do not come through here, since they
have a `referenceId`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

import msgspec

from tillwire.core.exchanges import Repeated
from tillwire.core.model import Exchange
from tillwire.dialects.paymentbridge.face import refusals
from tillwire.dialects.paymentbridge.face.context import DIALECT, Call, Context
from tillwire.dialects.paymentbridge.face.refusals import Refused
from tillwire.errors import TillwireError
from tillwire.net.asgi import DisconnectedError, Reply

Work = Callable[[str], Awaitable[Reply]]
"""Does what is asked for, under a key that is the same for each try of it; empty: there is none."""

_NOWHERE: Final = ""
"""Requests under an id belong to no terminal."""


class _Stored(msgspec.Struct, frozen=True):
    status: int
    body: str


async def once(context: Context, call: Call, body: bytes, work: Work) -> Reply:
    """The reply to a request, done by this call or by an earlier one. Raises `Refused`, and what
    `work` raises."""
    given = refusals.remembered_id(call.scope)
    if not given:
        return await work("")
    number = hashlib.sha256(given.encode()).hexdigest()
    asked = b"\n".join((call.scope["method"].encode(), call.path.encode(), _query(call), body))
    digest = hashlib.sha256(asked).hexdigest()
    mine = (call.caller.id, number)
    if mine in context.running:
        raise _again(same=context.running[mine] == digest)
    context.running[mine] = digest
    try:
        return await _once(context, call, number, digest, work)
    finally:
        del context.running[mine]


async def _once(context: Context, call: Call, number: str, digest: str, work: Work) -> Reply:
    exchange = Exchange(
        organisation_id=call.caller.organisation_id,
        terminal_id=_NOWHERE,
        dialect=DIALECT,
        register=call.caller.id,
        number=number,
        kind=call.scope["method"],
        digest=digest,
        at=context.now(),
    )
    try:
        known = await context.engine.begin_exchange(exchange)
    except Repeated as repeated:
        known = repeated.earlier
        if known.digest != digest:
            raise _duplicate("with another request") from None
        if known.answer and not context.settings.idempotency_replay:
            raise _duplicate("and was answered") from None
        if known.answer:
            answer = msgspec.json.decode(context.vault.open(known.answer), type=_Stored)
            return Reply(answer.status, answer.body.encode())
    reply = await _done(call, work, f"{DIALECT} {call.caller.id} {number} {digest}")
    if reply.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        stored = msgspec.json.encode(_Stored(int(reply.status), reply.body.decode())).decode()
        await context.engine.answer_exchange(known.id, context.vault.seal(stored))
    return reply


async def _done(call: Call, work: Work, key: str) -> Reply:
    """What comes of it; a refusal is an answer, too, and stays the same."""
    try:
        return await work(key)
    except DisconnectedError:
        raise
    except TillwireError as error:
        return refusals.tell(error, call.scope)


def _query(call: Call) -> bytes:
    query: bytes = call.scope["query_string"]
    return query


def _again(*, same: bool) -> Refused:
    if same:
        return Refused("REQUEST_IN_PROGRESS", "The request of this Poynt-Request-Id is being done.")
    return _duplicate("with another request")


def _duplicate(how: str) -> Refused:
    return Refused("REQUEST_ID_DUPLICATE", f"This Poynt-Request-Id came before, {how}.")
