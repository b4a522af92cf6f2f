"""Listings (source 004, "Listing Stores", "Listing Terminals", "Pagination")."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from tillwire.dialects.merchantapi import mapping, paging, wire
from tillwire.dialects.merchantapi.context import Call, Context
from tillwire.dialects.merchantapi.paging import Page
from tillwire.net.asgi import Reply


async def stores(context: Context, call: Call) -> Reply:
    """GET /stores: the stores of all the organisation's merchants, by name."""
    known = context.engine.estate.stores_of(call.caller.organisation_id)
    page = paging.page_of(call.query())
    return paged(call, page, len(known), [mapping.store(each) for each in page.of(known)])


async def terminals(context: Context, call: Call) -> Reply:
    """GET /terminals: the terminals of all its stores that are not removed, by name. One that waits
    for its device has no serial number to be named by, so it is not among them."""
    estate = context.engine.estate
    known = [each for each in estate.terminals_of(call.caller.organisation_id) if each.serial]
    page = paging.page_of(call.query())
    entries = [mapping.terminal(each, estate) for each in page.of(known)]
    return paged(call, page, len(known), entries)


def paged(call: Call, page: Page, total: int, entries: Sequence[Any]) -> Reply:  # Any: structs
    """A page's entries, with the headers that every listing has."""
    link = paging.link_header(call.url(call.path), page, total, call.query())
    headers = [(b"x-total-count", str(total).encode()), (b"link", link.encode("latin-1"))]
    return Reply(HTTPStatus.OK, wire.encode(entries), headers)
