"""Transactions and day totals (source 004, "Transaction related endpoints"): the face's heart.

One payment waits per terminal: a newer one takes the place of one that was not fetched yet, in one
atomic step, which is the engine's (`WhenBusy.REPLACE`). So are the cap of refunds and the one
winner of racing cancellations. What is here: who may see what, in which words, and under which
status.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from http import HTTPStatus
from typing import Final
from zoneinfo import ZoneInfo

from tillwire import clock
from tillwire.clock import Instant
from tillwire.core import receipts
from tillwire.core.estate_model import Terminal
from tillwire.core.model import Request, Transaction, TransactionType
from tillwire.core.occupancy import WhenBusy
from tillwire.core.ports import AbortResult
from tillwire.dialects.merchantapi import mapping, paging, wire
from tillwire.dialects.merchantapi.context import Call, Context
from tillwire.dialects.merchantapi.listings import paged
from tillwire.errors import Conflict, InvalidRequest, NotFound
from tillwire.money import Money
from tillwire.net.asgi import Headers, Reply

DIALECT: Final = "merchantapi"

_ID = re.compile(wire.TRANSACTION_ID.removesuffix("$") + r"\Z")
_IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,200}\Z")
_FIELDS: Final = {
    "amount": "amount.value",
    "original_id": "reference.id",
    "reference": "merchant_order_reference",
}
"""The engine's names of what a request may be wrong in, in our words."""
_NOT_ABORTED: Final = {
    AbortResult.TOO_LATE: "The transaction can not be cancelled anymore: its terminal has started "
    "to process it, or it has ended. Read its status.",
    AbortResult.UNKNOWN: "Nobody can tell yet whether the transaction was carried out, so it can "
    "not be cancelled. Read its status until it has ended.",
}


async def create(context: Context, call: Call) -> Reply:
    """POST .../transactions."""
    terminal = _terminal(context, call)
    asked, amount = wire.transaction_request(await call.json())
    original_id = None
    if asked.reference is not None:
        original_id = await _check_original(context, call, asked.reference.id, amount)
    request = Request(
        organisation_id=call.caller.organisation_id,
        terminal_id=terminal.id,
        dialect=DIALECT,
        type=TransactionType(asked.type),
        amount=amount,
        reference=asked.merchant_order_reference,
        original_id=original_id,
        waits=True,
        expires_in=context.settings.cancel_unfetched_after,
        idempotency_key=_idempotency_key(call),
    )
    try:
        accepted = await context.engine.accept(request, WhenBusy.REPLACE)
    except InvalidRequest as error:
        field = _FIELDS.get(error.field, error.field)
        raise InvalidRequest(field, error.problem, error.allowed) from None
    location = call.url(f"{call.path}/{accepted.id}").encode("latin-1")
    return _reply(context, accepted, HTTPStatus.CREATED, [(b"location", location)])


async def _check_original(context: Context, call: Call, original_id: str, amount: Money) -> str:
    """What never changes of a refund's original; how much of it is left, the engine checks."""
    original = await context.engine.find(original_id)
    if original is None or not _is_visible(original, call):
        raise InvalidRequest(
            "reference.id", "there is no such transaction", "the id of one of your purchases"
        )
    if original.type is not TransactionType.PURCHASE:
        raise Conflict(f"The referenced transaction is a {original.type}, not a PURCHASE.")
    if original.amount.currency != amount.currency:
        raise Conflict(f"The referenced transaction is in {original.amount.currency}.")
    return original_id


def _idempotency_key(call: Call) -> str:
    key = call.header(b"idempotency-key")
    if key is None:
        return ""
    if not _IDEMPOTENCY_KEY.match(key):
        raise InvalidRequest(
            "Idempotency-Key", "it does not fit", "1 to 200 visible characters of ASCII"
        )
    return key


async def read(context: Context, call: Call) -> Reply:
    """GET .../transactions/{id}."""
    return _reply(context, await _transaction(context, call), HTTPStatus.OK)


async def cancel(context: Context, call: Call) -> Reply:
    """DELETE .../transactions/{id}: 204 for exactly one caller."""
    known = await _transaction(context, call)
    result = await context.engine.abort(known.id)
    if result is not AbortResult.ABORTED:
        raise Conflict(_NOT_ABORTED[result])
    return Reply(HTTPStatus.NO_CONTENT)


async def overview(context: Context, call: Call) -> Reply:
    """GET .../transactions: newest first."""
    terminal = _terminal(context, call)
    page = paging.page_of(call.query())
    total, known = await context.engine.journal.read(
        lambda reader: reader.terminal_transactions(
            terminal.id, offset=page.offset, limit=page.size, types=mapping.VISIBLE
        )
    )
    columns = context.settings.receipt_columns
    return paged(call, page, total, [mapping.transaction(each, columns) for each in known])


async def day_totals(context: Context, call: Call) -> Reply:
    """GET .../daytotals/today: the store's calendar day."""
    terminal = _terminal(context, call)
    estate = context.engine.estate
    now = context.clock.now()
    zone = ZoneInfo(estate.stores[terminal.store_id].time_zone)
    today = clock.utc(now).astimezone(zone).date()
    begin, end = _midnight(today, zone), _midnight(today + timedelta(days=1), zone)
    ended = await context.engine.journal.read(
        lambda reader: reader.ended_between(terminal.id, begin, end)
    )
    columns = context.settings.receipt_columns
    text = receipts.day_totals(estate.heading(terminal), today, ended, now, columns)
    return Reply(HTTPStatus.OK, wire.encode(wire.DayTotals(text)))


def _midnight(day: date, zone: ZoneInfo) -> Instant:
    """The day's first instant. Where clocks go back over midnight that is the first 00:00; where
    they jump over it, the moment of the jump."""
    return clock.instant(datetime.combine(day, time.min, zone))


def _reply(
    context: Context,
    known: Transaction,
    status: HTTPStatus,
    headers: Headers = (),
) -> Reply:
    told = mapping.transaction(known, context.settings.receipt_columns)
    return Reply(status, wire.encode(told), headers)


def _terminal(context: Context, call: Call) -> Terminal:
    """The terminal of the path, in whatever case it was written."""
    name = call.parameters[0]
    found = context.engine.estate.terminal_named(call.caller.organisation_id, name)
    if found is None:
        raise NotFound("There is no such terminal.")
    return found


async def _transaction(context: Context, call: Call) -> Transaction:
    """The transaction of the path, if it is this terminal's."""
    terminal, transaction_id = _terminal(context, call), call.parameters[1]
    found = await context.engine.find(transaction_id) if _ID.match(transaction_id) else None
    if found is None or found.terminal_id != terminal.id or not _is_visible(found, call):
        raise NotFound("There is no such transaction at this terminal.")
    return found


def _is_visible(known: Transaction, call: Call) -> bool:
    return known.organisation_id == call.caller.organisation_id and known.type in mapping.VISIBLE
