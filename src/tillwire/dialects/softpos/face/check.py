"""Check Transaction, the pushed authorisation request, and the set of keys (source 001).

A TID that is not the caller's, a transaction of another terminal and one that is not there look the
same: 404.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final
from uuid import uuid4

from tillwire.core.model import Transaction
from tillwire.dialects.softpos.face import access
from tillwire.dialects.softpos.face.context import Call, Context
from tillwire.dialects.softpos.face.shown import meant, shown
from tillwire.dialects.softpos.wire import check, keys, par, reading
from tillwire.dialects.softpos.wire.assertions import Claims
from tillwire.dialects.softpos.wire.check import CheckTransactionRequest
from tillwire.dialects.softpos.wire.errors import FieldErrorDTO, InvalidFields
from tillwire.errors import InvalidRequest, NotFound
from tillwire.net import asgi
from tillwire.net.asgi import Reply

_MOST_OF_A_REFERENCE: Final = 50
"""Transactions of one TID under one reference that are looked at, newest first."""


async def key_set(context: Context, call: Call) -> Reply:
    """GET /softpos/par/jwks.json."""
    return Reply(HTTPStatus.OK, keys.write_set(await context.keys.live()))


async def pushed(context: Context, call: Call) -> Reply:
    """POST /softpos/as/par. Nothing is kept: what would be asked for with its answer, the consent
    of a person on a phone, is not here."""
    asgi.check_media_type(call.scope, access.FORM)
    body = await asgi.read_body(call.scope, call.receive, reading.LARGEST_FORM)
    asked = par.read_request(body)
    await access.asserted(context, call.scope, call.caller, asked.client_id, asked.client_assertion)
    if asked.redirect_uri not in call.caller.redirect_uris:
        raise InvalidRequest("redirect_uri", "it is not registered for the application")
    answer = par.ParAnswer(request_uri=f"{par.PREFIX}{uuid4()}")
    return Reply(HTTPStatus.CREATED, reading.encode(answer))


async def check_transaction(context: Context, call: Call) -> Reply:
    """POST /mpos-core/app/checkTransaction."""
    # Read first, so that the connection can go on whatever is answered.
    body = await asgi.read_body(call.scope, call.receive, check.LARGEST_REQUEST)
    claims = await access.in_headers(context, call.scope, call.caller)
    asgi.check_media_type(call.scope, asgi.JSON)
    asked = check.read_request(body)
    _check_asked(context, asked, claims)
    if context.mischief is not None and (spoiled := await context.mischief.spoil()) is not None:
        return spoiled
    found = meant(await _candidates(context, call.caller.organisation_id, asked))
    if found is None:
        raise NotFound("No such transaction.")
    answer = shown(found, asked.terminal_id, context.settings)
    return Reply(HTTPStatus.OK, reading.encode(answer))


def _check_asked(context: Context, asked: CheckTransactionRequest, claims: Claims) -> None:
    if asked.terminal_id not in claims.terminal_ids:
        if context.settings.unnamed_terminal == "absent":
            raise NotFound("The assertion does not name the terminal.")
        problem = "It is not among the terminal_ids of the client assertion."
        raise InvalidFields([FieldErrorDTO("terminalId", problem)])
    if not asked.caller_trx_id and context.settings.without_caller_id == "refuse":
        raise InvalidFields([FieldErrorDTO("callerTrxId", "It is required.")])


async def _candidates(
    context: Context, organisation_id: str, asked: CheckTransactionRequest
) -> list[Transaction]:
    """The transactions that may be meant, newest first: those under the TID, wherever it was when
    they were made. A terminal that was removed, or that has another TID by now, hides none."""
    tid, reference = asked.terminal_id, asked.caller_trx_id
    terminal = context.engine.estate.terminal_with_tid(organisation_id, tid)
    terminal_id = terminal.id if terminal is not None else ""
    if reference:
        return await context.engine.journal.read(
            lambda reader: reader.newest_by_reference(
                organisation_id, reference, tid, terminal_id, _MOST_OF_A_REFERENCE
            )
        )
    newest = await context.engine.newest_at(terminal_id, 1)
    return [each for each in newest if each.heading.tid in ("", tid)]
