"""`POST /cloudMessages`: checked in the order of source 000's cloud, and handed to a terminal.

The cloud does not look inside a message: 202 says that it was taken, and nothing of the order in
it. An order that cannot be read, or not be done, ends in a last callback of status FAILED where
there is an address, so often a minute, and in silence otherwise; both are logged. One that no
terminal was there for is silent, too, as when its ttl has passed. What is accepted is journaled
before the 202.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from tillwire.core.estate_model import Lifecycle, Merchant
from tillwire.core.occupancy import WhenBusy
from tillwire.dialects.paymentbridge.face.context import DIALECT, Call, Context, check_may_pay
from tillwire.dialects.paymentbridge.face.orders import Asked, request_of, sealed_address
from tillwire.dialects.paymentbridge.face.places import Spot
from tillwire.dialects.paymentbridge.face.refusals import Refused
from tillwire.dialects.paymentbridge.face.teller import callback_letter, minimal
from tillwire.dialects.paymentbridge.wire import bridge, envelope, ids
from tillwire.dialects.paymentbridge.wire.envelope import CloudMessage, Envelope
from tillwire.errors import (
    Conflict,
    InvalidRequest,
    NotFound,
    TerminalBusy,
    Unsupported,
)
from tillwire.net.asgi import Reply

MOST_WAITING: Final = 100
"""Orders that one terminal has before it; more are dropped."""

_SWAPPED: Final = "another device stands at its terminal by now"
_MOST_NAMED: Final = 100
"""Transactions of one reference that are looked at."""


async def send(context: Context, call: Call) -> Reply:
    """POST /cloudMessages."""
    check_may_pay(call)
    octets = await call.json(envelope.LARGEST, unnamed=True)
    told = envelope.decode(octets, broadcast=context.settings.allow_broadcast)
    merchant = context.business(call, told.business_id or "")
    spot = _meant(context, merchant, told)
    message = told.message()
    if context.places.is_operating(spot):
        await _deliver(context, call, merchant, spot, message)
    else:
        reference = bridge.salvaged(message.data).reference
        _dropped(context, call, spot, reference, _SWAPPED)
    return Reply(HTTPStatus.ACCEPTED)


def _meant(context: Context, merchant: Merchant, told: Envelope) -> Spot:
    """The device that a message is for. Raises `Refused`."""
    places = context.places
    if told.device:
        spot = places.spot(merchant, told.device)
        if spot is not None and told.serial_num not in (None, spot.device.serial):
            spot = None
    elif told.serial_num:
        spot = _of_serial(context, merchant, told.serial_num)
    else:
        spot = _any_of_store(context, merchant, told)
    elsewhere = spot is not None and told.store_id not in (None, spot.terminal.store_id)
    if spot is None or elsewhere:
        raise Refused("STORE_DEVICE_NOT_FOUND", "The business has no such device in this store.")
    if spot.device.lifecycle is not Lifecycle.ACTIVATED:
        raise Refused("STORE_DEVICE_NOT_ACTIVATED", f"The device is {spot.device.lifecycle}.")
    return spot


def _of_serial(context: Context, merchant: Merchant, serial: str) -> Spot | None:
    """The only device of this serial number that operates, else one that did. Makers number their
    devices apart from each other, and between two of a number nobody shall choose."""
    places = context.places
    mine = [each for each in places.spots(merchant) if each.device.serial == serial]
    operating = [each for each in mine if places.is_operating(each)]
    if len(operating) > 1:
        raise Refused("STORE_DEVICE_NOT_FOUND", "Several devices have this serial number.")
    return next(iter(operating or reversed(mine)), None)


def _any_of_store(context: Context, merchant: Merchant, told: Envelope) -> Spot | None:
    """Of a message for all: one of the store's terminals, a free one if there is any. Were it
    shown on all of them, several cards could pay one order."""
    places, engine = context.places, context.engine
    spots = [
        spot
        for spot in places.spots(merchant)
        if places.is_operating(spot) and told.store_id in (None, spot.terminal.store_id)
    ]
    free = (spot for spot in spots if engine.open_transaction(spot.terminal.id) is None)
    return next(free, spots[0] if spots else None)


async def _deliver(
    context: Context, call: Call, merchant: Merchant, spot: Spot, message: CloudMessage
) -> None:
    """Have the engine take the order. Raises `InvalidRequest` (callbackUrl), `JournalError`."""
    try:
        order = bridge.decode(message.data)
    except InvalidRequest as error:
        await _cannot(context, call, spot, bridge.salvaged(message.data), error.detail)
        return
    if order.callback_url:
        context.addresses.check(order.callback_url, "callbackUrl")
    asked = Asked(
        application=call.caller,
        merchant=merchant,
        terminal=spot.terminal,
        order=order,
        ttl=message.ttl,
        collapse_key=message.collapse_key or "",
    )
    answer = bridge.Salvaged(order.reference, order.callback_url, order.headers)

    def check() -> None:
        if not context.places.is_operating(spot):
            raise NotFound(_SWAPPED)

    try:
        await _accept(context, asked, check)
    except TerminalBusy as busy:
        _dropped(context, call, spot, order.reference, busy.detail)
    except NotFound as error:
        _dropped(context, call, spot, order.reference, error.detail)
    except (InvalidRequest, Refused, Conflict, Unsupported) as error:
        await _cannot(context, call, spot, answer, error.detail)


async def _accept(context: Context, asked: Asked, check: Callable[[], None]) -> None:
    engine = context.engine
    if engine.open_at(asked.terminal.id) >= MOST_WAITING:
        raise NotFound(f"{MOST_WAITING} orders wait for the terminal already.")
    await engine.accept(await request_of(context, asked), WhenBusy.WAIT, check=check)


async def _cannot(
    context: Context, call: Call, spot: Spot, answer: bridge.Salvaged, why: str
) -> None:
    """What the terminal would say of an order that it cannot do: a last callback, if it knows
    where to, and of which order. Without a reference it would pass for a word about any other."""
    context.lost_orders.warning(
        "an order was not done",
        terminal=spot.terminal.name,
        application=call.caller.id,
        reference=answer.reference,
        reason=why,
    )
    if not (answer.url and answer.reference):
        return
    is_told, _ = context.failures[call.caller.id].one_more()
    if not is_told or await _is_known(context, call, answer.reference):
        return
    try:
        context.addresses.check(answer.url, "callbackUrl")
    except InvalidRequest as error:
        context.lost_orders.warning(
            "a callback was not sent", terminal=spot.terminal.name, reason=error.detail
        )
        return
    await context.engine.post(
        callback_letter(
            minimal(answer.reference, "FAILED", why),
            kind="FINAL",
            sealed=sealed_address(context, answer.url, dict(answer.headers)),
            organisation_id=call.caller.organisation_id,
            at=context.now(),
            delay=0.0,
            packed=context.settings.gzip,
        )
    )


async def _is_known(context: Context, call: Call, reference: str) -> bool:
    """Whether there is an order of this reference, which a word about another one of the same
    reference would be taken for. Of a reference that is used all the time, nobody says no."""
    organisation_id, latest = call.caller.organisation_id, ids.BEHIND_ALL
    found = await context.engine.journal.read(
        lambda reader: reader.referenced_before(organisation_id, reference, latest, _MOST_NAMED)
    )
    return len(found) == _MOST_NAMED or any(each.dialect == DIALECT for each in found)


def _dropped(context: Context, call: Call, spot: Spot, reference: str, why: str) -> None:
    context.lost_orders.warning(
        "a cloud message was not delivered",
        terminal=spot.terminal.name,
        application=call.caller.id,
        reference=reference,
        reason=why,
    )
