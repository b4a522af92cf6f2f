"""Who calls: by certificate, secret, bearer token and assertion (source 001).

Whoever has got here has shown a certificate of the listener's authority. It must be the one that
the application was registered with, at every step: for a token, with a token, for the keys. Which
of its proofs was wrong is for the log; a caller is told that it was not recognised.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final
from uuid import uuid4

from tillwire.clock import Instant, utc
from tillwire.core.estate_model import ClientApp
from tillwire.dialects.softpos.face.context import Context
from tillwire.dialects.softpos.face.refusals import Unknown
from tillwire.dialects.softpos.wire import assertions, reading, tokens
from tillwire.dialects.softpos.wire.assertions import AssertionRefused, Claims, Reason
from tillwire.dialects.softpos.wire.tokens import TokenAnswer, TokenRefused, TokenRequest
from tillwire.estate import client_apps
from tillwire.estate.keys import digest_of
from tillwire.net import asgi
from tillwire.net.asgi import Receive, Reply, Scope
from tillwire.net.strangers import address_of

FORM: Final = "application/x-www-form-urlencoded"

_ASSERTION: Final = b"client_assertion"
_CLIENT: Final = b"client_id"
_REMEMBERED_LONGER: Final = 60
"""Seconds: what was good when it was looked at must not be forgotten before it is used up, nor when
the clock is set back a little."""


async def token(context: Context, scope: Scope, receive: Receive) -> Reply:
    """POST /softpos/appenrollment/token. Raises `Unknown`."""
    asgi.check_media_type(scope, FORM)
    asked = tokens.read_token_request(await asgi.read_body(scope, receive, reading.LARGEST_FORM))
    app = _by_secret(context, scope, asked)
    context.remind(app)
    return Reply(HTTPStatus.OK, reading.encode(_granted(context, app)))


def _by_secret(context: Context, scope: Scope, asked: TokenRequest) -> ClientApp:
    """The application whose secret it is. Raises `Unknown`, `HttpError` (429)."""
    app = context.app(asked.client_id)
    if app is None:
        raise Unknown("client id")
    # Before the secret: under another certificate nobody guesses it.
    _check_certificate(context, scope, app)
    given = digest_of(asked.client_secret)
    if not hmac.compare_digest(app.secret_digest, given):
        _check_former(context, scope, app, given)
    return app


def _check_former(context: Context, scope: Scope, app: ClientApp, given: bytes) -> None:
    """Raise `Unknown`, or `HttpError` (429), unless it is a former secret of the application's that
    is still good. Who uses one is to be given the new one, and is logged."""
    for former in client_apps.former_secrets(app, context.now()):
        if hmac.compare_digest(former.digest, given):
            context.former_secrets.warning(
                "a former secret was used",
                application=app.id,
                address=address_of(scope),
                until=utc(former.until).isoformat(timespec="seconds"),
            )
            return
    # Who has a good one is never kept out by who goes on with one that has ended.
    context.strangers.check(scope, app.id)
    context.strangers.failed(scope, app.id)
    raise Unknown("client secret")


def _granted(context: Context, app: ClientApp) -> TokenAnswer:
    now, life = context.now() // 1000, context.settings.token_seconds
    claims = tokens.AccessClaims(
        client_id=app.id,
        profile=app.profile,
        confirmation=tokens.Confirmation(app.certificate_digest.hex()),
        issued_at=now,
        expires_at=now + life,
        token_id=str(uuid4()),
    )
    made = tokens.make_access_token(claims, context.token_key)
    return TokenAnswer(access_token=made, expires_in=life)


def by_certificate(context: Context, scope: Scope) -> ClientApp:
    """The application whose certificate was shown. Raises `Unknown`."""
    shown = asgi.peer_certificate(scope)
    found = context.app_with(shown.sha256) if shown is not None else None
    if found is None:
        raise Unknown("certificate")
    _check_certificate(context, scope, found)
    return found


def by_bearer(context: Context, scope: Scope) -> ClientApp:
    """The application whose token the request bears. Raises `Unknown`."""
    given = asgi.bearer(_only(scope, b"authorization"))
    try:
        claims = tokens.read_access_token(given, context.token_key, now=context.now() // 1000)
    except TokenRefused as error:
        raise Unknown(f"access token ({error.detail})") from None
    app = context.app(claims.client_id)
    if app is None or claims.profile != app.profile:
        raise Unknown("access token of an application that is not there")
    _check_certificate(context, scope, app)
    if claims.confirmation.certificate != app.certificate_digest.hex():
        raise Unknown("access token of another certificate")
    return app


def _check_certificate(context: Context, scope: Scope, app: ClientApp) -> None:
    """Raise `Unknown` unless the one that was shown is the application's, and good."""
    shown = asgi.peer_certificate(scope)
    if shown is None or not hmac.compare_digest(shown.sha256, app.certificate_digest):
        raise Unknown("certificate of another application")
    if context.has_expired(app):
        raise Unknown("certificate that has expired")


async def in_headers(context: Context, scope: Scope, app: ClientApp) -> Claims:
    """What the assertion in a request's headers says. Raises `Unknown`, `AssertionRefused`,
    `JournalError`."""
    client_id, assertion = _only(scope, _CLIENT), _only(scope, _ASSERTION)
    return await asserted(context, scope, app, client_id, assertion)


def _only(scope: Scope, name: bytes) -> str:
    """The header, empty if there is none. Raises `Unknown` when there are two: whoever stands in
    between may have looked at the other one."""
    found = [value for key, value in scope["headers"] if key == name]
    if len(found) > 1:
        raise Unknown(f"two headers {name.decode()}")
    return str(found[0], "latin-1") if found else ""


async def asserted(
    context: Context, scope: Scope, app: ClientApp, client_id: str, assertion: str
) -> Claims:
    """What an assertion of the application says, which is good this once. Raises
    `AssertionRefused`, `JournalError`."""
    try:
        return await _asserted(context, scope, app, client_id, assertion)
    except AssertionRefused as error:
        context.refused_assertions.warning(
            "an assertion was refused",
            application=app.id,
            reason=error.reason.value,
            detail=error.detail,
        )
        raise


async def _asserted(
    context: Context, scope: Scope, app: ClientApp, client_id: str, assertion: str
) -> Claims:
    if client_id != app.id:
        raise AssertionRefused(Reason.ANOTHER_APPLICATION, "client_id is not the token's")
    claims = assertions.read_assertion(
        assertion,
        keys=await context.keys.live(),
        public_key=context.public_key(app),
        client_id=app.id,
        audiences=frozenset(_audiences(context, scope)),
        now=context.now() // 1000,
        point_of_sale=app.point_of_sale,
    )
    await _use_up(context, app, claims)
    assertions.check_terminals(claims, app.tids)
    return claims


async def _use_up(context: Context, app: ClientApp, claims: Claims) -> None:
    """Remember its id for longer than it could be used, across restarts. Raises
    `AssertionRefused` when it was used before."""
    named = f"softpos\0{app.id}\0{claims.token_id}".encode("utf-8", "surrogatepass")
    digest = hashlib.sha256(named).digest()
    until = Instant((claims.expires_at + assertions.LEEWAY + _REMEMBERED_LONGER) * 1000)
    now = context.now()
    new = await context.engine.journal.commit(lambda unit: unit.see_token(digest, until, now))
    if not new:
        raise AssertionRefused(Reason.REPLAYED)


def _audiences(context: Context, scope: Scope) -> Iterator[str]:
    """For whom an assertion may be made out. The Host header says nothing: who was given an
    assertion for another host could write that host there."""
    yield from context.settings.audiences
    yield from asgi.own_urls(scope)
