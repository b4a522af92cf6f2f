"""Businesses, stores, devices and TIDs, as an application may see them (source 000): those of its
organisation. `If-Modified-Since` is not looked at; everything is told as it is now.
"""

from __future__ import annotations

from http import HTTPStatus

import msgspec

from tillwire.core.estate_model import Merchant, Store
from tillwire.dialects.paymentbridge.face.context import Call, Context
from tillwire.dialects.paymentbridge.face.refusals import Refused
from tillwire.dialects.paymentbridge.wire import reading
from tillwire.dialects.paymentbridge.wire.errors import missing
from tillwire.net.asgi import Reply


async def business(context: Context, call: Call) -> Reply:
    """GET /businesses/{business}."""
    return _business(context, context.business(call, call.parameters[0]))


async def business_of_device(context: Context, call: Call) -> Reply:
    """GET /businesses?storeDeviceId=."""
    device = dict(call.query()).get("storeDeviceId", "")
    if not device:
        raise missing("storeDeviceId")
    spot = context.places.spot_anywhere(call.caller.organisation_id, device)
    if spot is None:
        raise Refused("BUSINESS_NOT_FOUND", "No business has such a device.")
    return _business(context, context.places.merchant_of(spot.terminal))


def _business(context: Context, merchant: Merchant) -> Reply:
    return _reply(context.places.shown_business(merchant, context.settings.purchase_action))


async def stores(context: Context, call: Call) -> Reply:
    """GET /businesses/{business}/stores: a bare list."""
    merchant = context.business(call, call.parameters[0])
    action = context.settings.purchase_action
    found = [context.places.shown_store(each, action) for each in context.places.stores(merchant)]
    return Reply(HTTPStatus.OK, msgspec.json.encode(found))


async def store(context: Context, call: Call) -> Reply:
    """GET /businesses/{business}/stores/{store}."""
    return _reply(context.places.shown_store(_store(context, call), _action(context)))


async def store_devices(context: Context, call: Call) -> Reply:
    """GET /businesses/{business}/stores/{store}/devices: a bare list."""
    shown = context.places.shown_store(_store(context, call), _action(context))
    return Reply(HTTPStatus.OK, msgspec.json.encode(shown.store_devices))


async def store_alone(context: Context, call: Call) -> Reply:
    """GET /stores/{store}."""
    for merchant in context.places.merchants(call.caller.organisation_id):
        found = context.places.store(merchant, call.parameters[0])
        if found is not None:
            return _reply(context.places.shown_store(found, _action(context)))
    raise Refused("RESOURCE_NOT_FOUND", "There is no such store.")


def _store(context: Context, call: Call) -> Store:
    merchant = context.business(call, call.parameters[0])
    found = context.places.store(merchant, call.parameters[1])
    if found is None:
        raise Refused("RESOURCE_NOT_FOUND", "The business has no such store.")
    return found


def _action(context: Context) -> str:
    return context.settings.purchase_action


async def terminal_ids(context: Context, call: Call) -> Reply:
    """GET /terminal-ids?tid=&deviceId=&businessId=&storeId=: a bare list of what fits all."""
    wanted = dict(call.query())
    found = [
        record
        for _, record in context.places.records(call.caller.organisation_id)
        if wanted.get("tid") in (None, record.tid)
        and wanted.get("deviceId", "").lower() in ("", record.device_id)
        and wanted.get("businessId", "").lower() in ("", record.business_id)
        and wanted.get("storeId", "").lower() in ("", record.store.id if record.store else "")
    ]
    return Reply(HTTPStatus.OK, msgspec.json.encode(found))


async def terminal_id(context: Context, call: Call) -> Reply:
    """GET /terminal-ids/{record}."""
    found = context.places.record(call.caller.organisation_id, call.parameters[0])
    if found is None:
        raise Refused("RESOURCE_NOT_FOUND", "There is no such TID.")
    return _reply(found)


def _reply(part: msgspec.Struct) -> Reply:
    return Reply(HTTPStatus.OK, reading.encode(part))
