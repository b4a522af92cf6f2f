"""`GET /businesses/{business}/transactions`, and one of them (source 000): whatever face they came
through, newest first.

Ids sort by time, so a page is read from each terminal's end, in pieces that grow. How far is
limited: a filter that finds too little within `MOST_READ` is refused, rather than answered as if
there was nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from http import HTTPStatus
from typing import Final

from tillwire.core.estate_model import Merchant, Terminal
from tillwire.core.model import Transaction
from tillwire.core.ports import Reader
from tillwire.dialects.paymentbridge.face import originals, transactions
from tillwire.dialects.paymentbridge.face.context import Call, Context
from tillwire.dialects.paymentbridge.face.refusals import Refused
from tillwire.dialects.paymentbridge.wire import filters, ids, objects, reading
from tillwire.dialects.paymentbridge.wire.errors import wrong
from tillwire.dialects.paymentbridge.wire.filters import TransactionFilter
from tillwire.net.asgi import Reply

MOST_READ: Final = 20_000
"""Transactions that are read for one page, of all terminals."""
_AT_ONCE: Final = 200
_CHANGES_FOR: Final = 35 * 24 * 3_600_000
"""Milliseconds after its creation in which a transaction is found by when it changed."""
_LAST: Final = 9_999_999_999_999
"""The latest millisecond that an id can have."""


async def one(context: Context, call: Call) -> Reply:
    """GET .../transactions/{transaction}."""
    merchant = context.business(call, call.parameters[0])
    known = await originals.found(context, merchant, call.parameters[1])
    if not transactions.is_listed(known):
        raise Refused("TRANSACTION_NOT_FOUND", "No transaction was made.")
    estate, action = context.engine.estate, context.settings.purchase_action
    return Reply(HTTPStatus.OK, reading.encode(transactions.shown(known, estate, action)))


async def page(context: Context, call: Call) -> Reply:
    """GET .../transactions."""
    merchant = context.business(call, call.parameters[0])
    wanted = filters.read(call.scope["query_string"].decode("latin-1"))
    terminals = _terminals(context, merchant, wanted)

    def read(reader: Reader) -> list[objects.Transaction]:
        found = _candidates(context, reader, merchant, wanted, terminals)
        return list(_window(_fitting(context, merchant, found, wanted), wanted))

    shown = [] if wanted.unanswerable else await context.engine.journal.read(read)
    links = filters.links(
        f"/businesses/{ids.business_id(merchant.id)}/transactions",
        wanted,
        more=len(shown) > wanted.limit,
    )
    return Reply(HTTPStatus.OK, objects.write_page(tuple(shown[: wanted.limit]), links))


def _terminals(context: Context, merchant: Merchant, wanted: TransactionFilter) -> list[Terminal]:
    """The terminals whose transactions are wanted, those without a TID and retired ones, too."""
    places, estate = context.places, context.engine.estate
    stores = {store.id for store in places.stores(merchant)}
    found = [each for each in estate.terminals.values() if each.store_id in stores]
    if wanted.device_id:
        spot = places.spot(merchant, wanted.device_id)
        found = [each for each in found if spot is not None and each.id == spot.terminal.id]
    return found


def _candidates(
    context: Context,
    reader: Reader,
    merchant: Merchant,
    wanted: TransactionFilter,
    terminals: list[Terminal],
) -> Iterable[Transaction]:
    """Transactions among which the wanted ones are, newest first."""
    if wanted.transaction_ids:
        named = {ids.transaction_of(each) for each in wanted.transaction_ids} - {None}
        found = (reader.transaction(each) for each in named if each)
        return sorted((each for each in found if each), key=lambda each: each.id, reverse=True)
    if wanted.search_key:
        listed = partial(reader.referenced_before, merchant.organisation_id, wanted.search_key)
        by_id = ids.transaction_of(wanted.search_key)
        named_one = reader.transaction(by_id) if by_id else None
        listed_ones = _Reading(wanted, streams=1).newest_first(listed, ids.BEHIND_ALL)
        return _merged([named_one] if named_one else [], listed_ones)
    first, behind = _range(wanted)
    limited = _Reading(wanted, streams=len(terminals))
    pieces = (partial(reader.transactions_between, each.id, first) for each in terminals)
    return _merged(*(limited.newest_first(piece, behind) for piece in pieces))


def _merged(*streams: Iterable[Transaction]) -> Iterator[Transaction]:
    return heapq.merge(*streams, key=lambda each: each.id, reverse=True)


def _range(wanted: TransactionFilter) -> tuple[str, str]:
    """The ids between which the wanted ones are."""
    begin, end = wanted.start_at or 0, wanted.end_at
    if wanted.time_type == "updatedAt":
        begin = max(0, begin - _CHANGES_FOR)
    last = _LAST if end is None else min(max(end, 0) + 1, _LAST)
    return f"{min(begin, _LAST):013d}", f"{last:013d}" + "0" * 18


class _Reading:
    """What is read for one page, and how much of it is still allowed."""

    def __init__(self, wanted: TransactionFilter, *, streams: int) -> None:
        """The first pieces of all streams come to about a page."""
        self._left = MOST_READ
        self._first = (wanted.start_offset + wanted.limit) // max(streams, 1) + 1

    def newest_first(
        self, piece_of: Callable[[str, int], list[Transaction]], behind: str
    ) -> Iterator[Transaction]:
        """One stream, piece by piece: `piece_of` an id, so many before it. Raises `CodedRequest`
        when `MOST_READ` were read, of all streams together."""
        size = self._first
        while True:
            size = min(size, _AT_ONCE, self._left)
            if not size:
                problem = "there are too many transactions to look at"
                raise wrong("startAt", problem, "a shorter time")
            piece = piece_of(behind, size)
            self._left -= len(piece)
            yield from piece
            if len(piece) < size:
                return
            behind, size = piece[-1].id, size * 2


def _fitting(
    context: Context,
    merchant: Merchant,
    found: Iterable[Transaction],
    wanted: TransactionFilter,
) -> Iterator[objects.Transaction]:
    estate, action = context.engine.estate, context.settings.purchase_action
    for each in found:
        if not transactions.is_listed(each) or not originals.is_of(context, merchant, each):
            continue
        if not _in_time(each, wanted):
            continue
        shown = transactions.shown(each, estate, action)
        if _fits(shown, wanted):
            yield shown


def _in_time(known: Transaction, wanted: TransactionFilter) -> bool:
    changed = wanted.time_type == "updatedAt"
    at = transactions.updated_at(known) if changed else known.created_at
    if wanted.start_at is not None and at < wanted.start_at:
        return False
    return wanted.end_at is None or at <= wanted.end_at


def _fits(shown: objects.Transaction, wanted: TransactionFilter) -> bool:
    context, funding = shown.context, shown.funding_source
    card = funding.card if funding else None
    asked = (
        (wanted.store_id.lower(), context.store_id if context else None),
        (wanted.device_id.lower(), context.store_device_id if context else None),
        (wanted.action, shown.action),
        (wanted.status, shown.status),
        (wanted.card_first6, card.number_first6 if card else None),
        (wanted.card_last4, card.number_last4 if card else None),
    )
    if any(want and want != have for want, have in asked):
        return False
    if wanted.auth_only and not shown.auth_only:
        return False
    if wanted.unsettled_only and shown.settled:
        return False
    return not wanted.credit_debit_only or (funding is not None and funding.type == "CREDIT_DEBIT")


def _window(
    fitting: Iterator[objects.Transaction], wanted: TransactionFilter
) -> Iterator[objects.Transaction]:
    """The page, and one more if there is one behind it."""
    end = wanted.start_offset + wanted.limit
    for number, each in enumerate(fitting):
        if number >= wanted.start_offset:
            yield each
        if number == end:
            return
