"""`/hooks`: addresses that an application wants told of transactions, and what became of each
delivery (source 000). An application sees its own hooks alone.

The secret, the address, and that of this face, with which links begin, are sealed; the secret is
never shown again. What is delivered, the teller writes.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final
from uuid import UUID, uuid4, uuid5

import msgspec

from tillwire.core.estate_model import Hook
from tillwire.core.letters import HOOK, Letter, LetterState
from tillwire.core.ports import Reader, Unit
from tillwire.dialects.paymentbridge.face.context import DIALECT, Call, Context
from tillwire.dialects.paymentbridge.face.refusals import Refused
from tillwire.dialects.paymentbridge.face.repeats import once
from tillwire.dialects.paymentbridge.face.teller import Sealed, opened
from tillwire.dialects.paymentbridge.wire import hooks, ids, reading
from tillwire.dialects.paymentbridge.wire.fields import stamp
from tillwire.errors import InvalidRequest
from tillwire.net.asgi import Reply, base_url

MOST: Final = 50
"""Hooks at one business: each is told of each transaction, in its commit."""
MOST_REMOVED: Final = 50
"""Removed hooks of one application at one business that are remembered, for their deliveries'
sake: the newest ones."""
DELIVERIES: Final = 100
"""Deliveries that are listed, the newest ones."""
_IDS: Final = UUID("0f4c7f0e-5d3a-5c8b-8e6e-2f2a9ac1d0b7")
"""The name space of ids of hooks that were asked for under a request's id."""


async def create(context: Context, call: Call) -> Reply:
    """POST /hooks."""
    body = await call.json(hooks.LARGEST, unnamed=True)
    wanted = hooks.read_request(body)
    merchant = context.business(call, wanted.business_id or "")
    own = wanted.application_id is None or ids.application_id(wanted.application_id)
    if own not in (True, call.caller.id):
        raise Refused("APPLICATION_NOT_FOUND", "There is no such application.")
    address = wanted.delivery_url or ""
    try:
        context.addresses.check(address, "deliveryUrl")
    except InvalidRequest as error:
        raise Refused("WEBHOOK_UNDELIVERABLE", error.detail) from None

    async def work(key: str) -> Reply:
        now = context.now()
        sealed = Sealed(wanted.secret or "", base_url(call.scope), address)
        hook = Hook(
            id=str(uuid5(_IDS, key) if key else uuid4()),
            organisation_id=merchant.organisation_id,
            application_id=call.caller.id,
            merchant_id=merchant.id,
            dialect=DIALECT,
            address="",
            sealed_secret=context.vault.seal(msgspec.json.encode(sealed).decode()),
            events=tuple(dict.fromkeys(each.upper() for each in wanted.event_types or ())),
            active=True,
            created_at=now,
            updated_at=now,
        )

        def put(unit: Unit) -> Hook:
            estate = unit.estate()
            if hook.id in estate.hooks:
                return estate.hooks[hook.id]  # it was made when the gateway died
            there = [
                each
                for each in estate.hooks_of(hook.organisation_id)
                if each.merchant_id == merchant.id
            ]
            if len(there) >= MOST:
                raise Refused("UNSUPPORTED_OPERATION", f"The business has {MOST} hooks already.")
            unit.put(hook)
            return hook

        made = await context.engine.change_estate(put)
        return Reply(HTTPStatus.CREATED, reading.encode(_shown(made, sealed)))

    return await once(context, call, body, work)


async def overview(context: Context, call: Call) -> Reply:
    """GET /hooks?businessId=."""
    business = dict(call.query()).get("businessId", "")
    merchant = context.business(call, business) if business else None
    found = [
        _shown(each, opened(each, context.vault))
        for each in context.engine.estate.hooks_of(call.caller.organisation_id)
        if each.application_id == call.caller.id
        and each.dialect == DIALECT
        and (merchant is None or each.merchant_id == merchant.id)
    ]
    body = {"hooks": found, "links": [], "count": len(found)}
    return Reply(HTTPStatus.OK, reading.encode(body))


async def one(context: Context, call: Call) -> Reply:
    """GET /hooks/{hook}."""
    hook = _hook(context, call)
    shown = _shown(hook, opened(hook, context.vault))
    return Reply(HTTPStatus.OK, reading.encode(shown))


async def remove(context: Context, call: Call) -> Reply:
    """DELETE /hooks/{hook}: nothing is delivered any more, what waits included."""
    hook, now = _hook(context, call), context.now()
    gone = msgspec.structs.replace(hook, active=False, updated_at=now, removed_at=now)

    def put(unit: Unit) -> None:
        unit.put(gone)
        removed = [
            (each.removed_at, each.id)
            for each in unit.estate().hooks.values()
            if each.removed_at is not None
            and (each.application_id, each.merchant_id) == (gone.application_id, gone.merchant_id)
        ]
        for _, hook_id in sorted(removed)[:-MOST_REMOVED]:
            unit.drop_hook(hook_id)

    await context.engine.change_estate(put)
    return Reply(HTTPStatus.NO_CONTENT)


def _hook(context: Context, call: Call) -> Hook:
    found = context.engine.estate.hooks.get(call.parameters[0].lower())
    if (
        found is None
        or found.application_id != call.caller.id
        or found.dialect != DIALECT
        or found.removed_at is not None
    ):
        raise Refused("RESOURCE_NOT_FOUND", "There is no such hook.")
    return found


def _shown(hook: Hook, sealed: Sealed) -> hooks.Hook:
    return hooks.Hook(
        id=hook.id,
        application_id=hook.application_id,
        business_id=ids.business_id(hook.merchant_id),
        delivery_url=sealed.address,
        secret=hooks.MASKED_SECRET if sealed.secret else None,
        event_types=hook.events,
        active=hook.active,
        created_at=stamp(hook.created_at),
        updated_at=stamp(hook.updated_at),
    )


# --- deliveries ---------------------------------------------------------------------------------


async def deliveries(context: Context, call: Call) -> Reply:
    """GET /businesses/{business}/deliveries: the newest ones of the caller's hooks, also of those
    that are removed."""
    merchant = context.business(call, call.parameters[0])
    mine = [
        each
        for each in context.engine.estate.hooks.values()
        if each.application_id == call.caller.id and each.merchant_id == merchant.id
    ]

    def read(reader: Reader) -> list[tuple[Letter, Hook]]:
        return [
            (letter, hook)
            for hook in mine
            for letter in reader.letters_on(HOOK + hook.id, DELIVERIES)
        ]

    found = await context.engine.journal.read(read)
    found.sort(key=lambda each: each[0].id, reverse=True)
    newest = found[:DELIVERIES]
    addresses = {hook.id: opened(hook, context.vault).address for _, hook in newest}
    shown = [_delivery(letter, hook, addresses[hook.id]) for letter, hook in newest]
    body = {"deliveries": shown, "links": [], "count": len(shown)}
    return Reply(HTTPStatus.OK, reading.encode(body))


def _delivery(letter: Letter, hook: Hook, address: str) -> dict[str, Any]:
    event = hooks.read_event(letter.body)
    return {
        "id": event.id,
        "hookId": hook.id,
        "applicationId": hook.application_id,
        "businessId": event.business_id,
        "deliveryUrl": address,
        "eventType": event.event_type,
        "resource": event.resource,
        "resourceId": event.resource_id,
        "status": _state(letter),
        "attempt": letter.tries,
        "createdAt": stamp(letter.created_at),
        "updatedAt": stamp(letter.settled_at or letter.due_at),
    }


def _state(letter: Letter) -> str:
    if letter.state is LetterState.DELIVERED:
        return "DELIVERED"
    if letter.state is LetterState.GIVEN_UP:
        return "ERRORED"
    return "ERRORED_RETRYING" if letter.tries else "SCHEDULED"
