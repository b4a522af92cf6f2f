"""API keys (source 004, "APIKey Rotation"): who calls, and how an organisation changes its keys.

Every request's key is looked up in the estate as it stands; nothing is remembered of it, so a
revoked key is dead with the commit that revoked it. What must not race (the last key, a caller who
was revoked meanwhile) is checked in the unit of work that makes the change.
"""

from __future__ import annotations

import hmac
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

import msgspec
import structlog
from msgspec import UNSET

from tillwire import clock
from tillwire.clock import Instant
from tillwire.core.estate import Estate
from tillwire.core.estate_model import ApiKey
from tillwire.core.ports import Unit
from tillwire.dialects.merchantapi import mapping, paging, wire
from tillwire.dialects.merchantapi.context import Call, Context
from tillwire.dialects.merchantapi.listings import paged
from tillwire.errors import Conflict, InvalidRequest, NotFound, NotPermitted
from tillwire.estate.keys import digest_of, new_api_key
from tillwire.net.asgi import HttpError, Reply, Scope

MOST_KEYS: Final = 1000
"""Keys of an organisation that are valid now or later."""

_log = structlog.get_logger()
_HEADER: Final = wire.KEY_HEADER.lower().encode()
_NO_KEY: Final = f"The {wire.KEY_HEADER} header is missing."
_BAD_KEY: Final = "Invalid API Key."
_FIRST: Final = clock.instant(datetime(1, 1, 1, tzinfo=UTC))
_LAST: Final = clock.instant(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))


def caller_of(scope: Scope, estate: Estate, now: Instant) -> ApiKey:
    """The key with which the request was made. Raises `HttpError`: 401 without one, 403 with one
    that opens nothing; which of the reasons it is, is not told."""
    given = [value.strip() for name, value in scope["headers"] if name == _HEADER]
    # Several such headers mean what RFC 9110 section 5.3 says: one, with commas, which is no key.
    secret = b", ".join(value for value in given if value)
    if not secret:
        challenge = [(b"www-authenticate", b"ApiKey")]
        raise HttpError(HTTPStatus.UNAUTHORIZED, _NO_KEY, challenge)
    digest = digest_of(secret.decode("latin-1"))
    key = estate.key_with_digest(digest)
    if key is None or not hmac.compare_digest(digest, key.digest) or not key.valid_at(now):
        raise HttpError(HTTPStatus.FORBIDDEN, _BAD_KEY)
    return key


async def overview(context: Context, call: Call) -> Reply:
    """GET /apikeys: what is valid now or will be, without secrets."""
    now = context.clock.now()
    mine = context.engine.estate.keys_of(call.caller.organisation_id)
    keys = [key for key in mine if _lives(key, now)]
    page = paging.page_of(call.query())
    return paged(call, page, len(keys), [_shown(context, key) for key in page.of(keys)])


def _lives(key: ApiKey, now: Instant) -> bool:
    return key.revoked_at is None and (key.valid_until is None or now < key.valid_until)


def _shown(context: Context, key: ApiKey) -> wire.ApiKey:
    used = context.usage.last(key)
    return wire.ApiKey(
        id=key.id,
        label=key.label,
        last_usage=UNSET if used is None else wire.seconds(clock.utc(used)),
        validity=mapping.validity(key),
    )


async def create(context: Context, call: Call) -> Reply:
    """POST /apikeys: a new key, whose secret is in this answer and nowhere else."""
    request = wire.api_key_request(await call.json())
    wanted = request.validity or wire.ValidityRequest()
    key, secret = new_api_key(
        call.caller.organisation_id,
        request.label,
        context.clock,
        valid_from=_instant(wanted.from_),
        valid_until=_instant(wanted.until),
    )
    if key.valid_until is not None and key.valid_until <= key.created_at:
        raise InvalidRequest("validity.until", "it has passed already", "a moment to come")

    def put(unit: Unit) -> None:
        estate = unit.estate()
        _check_caller(estate, call.caller, key.created_at)
        living = [
            each for each in estate.keys_of(key.organisation_id) if _lives(each, key.created_at)
        ]
        if len(living) >= MOST_KEYS:
            raise Conflict(f"There are {len(living)} keys already; revoke some first.")
        if key.id in estate.api_keys:
            raise Conflict("The new key's id is taken; try again.")
        unit.put(key)

    await context.engine.change_estate(put)
    _log.info("an API key was made", key_label=key.label, by_key_label=call.caller.label)
    created = wire.ApiKeyCreated(key.id, key.label, secret, mapping.validity(key))
    return Reply(HTTPStatus.CREATED, wire.encode(created))


def _instant(moment: datetime | None) -> Instant | None:
    """The instant, within what can be written back as a date in UTC."""
    return None if moment is None else max(_FIRST, min(clock.instant(moment), _LAST))


async def revoke(context: Context, call: Call) -> Reply:
    """DELETE /apikeys/{id}: never the key in use, never the last one that is valid now."""
    number = _number(call.parameters[0])
    now = context.clock.now()

    def put(unit: Unit) -> None:
        estate = unit.estate()
        _check_caller(estate, call.caller, now)
        key, mine = estate.api_keys.get(number), call.caller.organisation_id
        if key is None or key.organisation_id != mine or not _lives(key, now):
            raise NotFound("There is no such API key.")
        if key.id == call.caller.id:
            raise Conflict("A key cannot revoke itself; use another one.")
        others = (other for other in estate.keys_of(mine) if other.id != key.id)
        if not any(other.valid_at(now) for other in others):
            raise Conflict("This is the last valid key; create another one first.")
        unit.put(msgspec.structs.replace(key, revoked_at=now))

    await context.engine.change_estate(put)
    revoked = context.engine.estate.api_keys[number].label
    _log.info("an API key was revoked", key_label=revoked, by_key_label=call.caller.label)
    return Reply(HTTPStatus.NO_CONTENT)


def _check_caller(estate: Estate, caller: ApiKey, now: Instant) -> None:
    """Raise `NotPermitted` when the caller's key was revoked while its request was on its way."""
    current = estate.api_keys.get(caller.id)
    if current is None or not current.valid_at(now):
        raise NotPermitted(_BAD_KEY)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise NotFound("There is no such API key.")
    return int(text)
