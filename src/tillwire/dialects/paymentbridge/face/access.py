"""Who calls: `POST /token`, and the bearer of every other request (source 000).

Tokens are signed with a key of the vault's, so nothing is kept of them. An application that was
revoked is refused with the commit that revoked it, whatever token it has.
"""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Final
from uuid import uuid4

from tillwire.core.estate_model import Application
from tillwire.dialects.paymentbridge.face.context import Context
from tillwire.dialects.paymentbridge.face.refusals import Refused
from tillwire.dialects.paymentbridge.face.settings import VENDOR_HOSTS
from tillwire.dialects.paymentbridge.wire import grants, ids, reading, tokens
from tillwire.dialects.paymentbridge.wire.errors import LoginFailed
from tillwire.net import asgi
from tillwire.net.asgi import Receive, Reply, Scope

_FORM: Final = "application/x-www-form-urlencoded"


async def token(context: Context, scope: Scope, receive: Receive) -> Reply:
    """POST /token."""
    asgi.check_media_type(scope, _FORM)
    form = await asgi.read_body(scope, receive, grants.LARGEST_FORM)
    grant = grants.read_grant(form)
    context.strangers.check(scope)
    try:
        if isinstance(grant, grants.CodeGrant):
            raise Refused(
                "UNSUPPORTED_OPERATION",
                "The consent of merchants is not asked for here: an application sees the "
                "businesses of its organisation. Use the grant with an assertion.",
            )
        if isinstance(grant, grants.AssertionGrant):
            application = _asserted(context, scope, grant.assertion)
        else:
            application = _refreshed(context, grant.refresh_token)
    except LoginFailed:
        context.strangers.failed(scope)
        raise
    return Reply(HTTPStatus.OK, reading.encode(_answer(context, application)))


def caller_of(context: Context, scope: Scope) -> Application:
    """The application whose token the request bears. Raises `LoginFailed`, `HttpError`."""
    try:
        given = asgi.bearer(asgi.header(scope, b"authorization") or "")
        if not given:
            raise LoginFailed("There is no bearer token.", "INVALID_ACCESS_TOKEN")
        now = context.now() // 1000
        claims = tokens.read_access_token(given, context.token_key, now=now)
        return _active(context, claims.application_id, "INVALID_ACCESS_TOKEN")
    except LoginFailed:
        context.strangers.check(scope)
        context.strangers.failed(scope)
        raise


def _asserted(context: Context, scope: Scope, assertion: str) -> Application:
    def key_of(application_id: str) -> str | None:
        found = context.engine.estate.applications.get(application_id)
        return found.public_key if found is not None and _is_good(context, found) else None

    found = tokens.read_assertion(
        assertion,
        key_of=key_of,
        audiences=frozenset(_audiences(context, scope)),
        now=context.now() // 1000,
    )
    return _active(context, found, "LOGIN_FAILED")


def _refreshed(context: Context, token: str) -> Application:
    claims = tokens.read_refresh_token(token, context.token_key, now=context.now() // 1000)
    return _active(context, claims.application_id, "INVALID_REFRESH_TOKEN")


def _active(context: Context, application_id: str, code: str) -> Application:
    found = context.engine.estate.applications.get(application_id)
    if found is None or not _is_good(context, found):
        raise LoginFailed(f"The issuer {application_id} is not known here.", code)
    return found


def _is_good(context: Context, application: Application) -> bool:
    ours = context.settings.organisation
    return application.revoked_at is None and ours in ("", application.organisation_id)


def _audiences(context: Context, scope: Scope) -> Iterator[str]:
    """For whom an assertion may be made out. The Host header says nothing: who was given an
    assertion for another host could write that host there."""
    yield from VENDOR_HOSTS
    yield from context.settings.audiences
    yield context.settings.api_host
    yield from asgi.own_urls(scope)


def _answer(context: Context, application: Application) -> grants.TokenAnswer:
    now, settings = context.now() // 1000, context.settings
    merchants = context.places.merchants(application.organisation_id)
    access = tokens.AccessClaims(
        issuer=settings.api_host,
        application_id=application.id,
        audience=application.id,
        issued_at=now,
        expires_at=now + settings.token_seconds,
        token_id=str(uuid4()),
        organisation=ids.business_id(application.organisation_id),
        business=ids.business_id(merchants[0].id) if len(merchants) == 1 else "",
    )
    refresh = tokens.RefreshClaims(
        application_id=application.id,
        issued_at=now,
        expires_at=now + settings.refresh_seconds,
        token_id=str(uuid4()),
    )
    return grants.TokenAnswer(
        access_token=tokens.make_access_token(access, context.token_key),
        expires_in=settings.token_seconds,
        refresh_token=tokens.make_refresh_token(refresh, context.token_key),
    )
