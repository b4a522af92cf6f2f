"""The application: which of the cloud's paths is served by what (source 002).

Paths are read in any case, except what they name. A wrong path or method is 404 without a body.
Browsers may call from the web pages that the settings name, and from no others.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from tillwire.core.engine import Engine
from tillwire.core.ports import Clock, Vault
from tillwire.dialects.smartconnect.face import pairing, refusals, transactions
from tillwire.dialects.smartconnect.face.context import Context
from tillwire.dialects.smartconnect.face.settings import Settings
from tillwire.errors import NotPermitted
from tillwire.net import asgi
from tillwire.net.addresses import Addresses
from tillwire.net.asgi import Headers, HttpError, Receive, Reply, Scope, Send

_ANY: Final = "*"
_BASE: Final = "pos"
_MAX_AGE: Final = b"600"


def create(
    engine: Engine, clock: Clock, settings: Settings, vault: Vault, addresses: Addresses
) -> Face:
    """The face, as an ASGI application with a lifespan."""
    return Face(Context(engine, clock, settings, vault, addresses))


class Face:
    """The ASGI application."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the application's life."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        await asgi.serve(scope, receive, send, self._answer, self._tell)

    async def _answer(self, scope: Scope, receive: Receive) -> Reply:
        self._check_origin(scope)
        reply = await self._routed(scope, receive)
        return self._shared(reply, scope)

    def _tell(self, error: Exception, scope: Scope) -> Reply:
        return self._shared(refusals.tell(error, scope), scope)

    async def _routed(self, scope: Scope, receive: Receive) -> Reply:
        context, method = self._context, scope["method"]
        parts = asgi.path_of(scope).rstrip("/").split("/")[1:]
        words = [each.lower() for each in parts[:2]]
        if words == [_BASE, "pairing"] and len(parts) == 3:
            if method == "OPTIONS":
                return _preflight(b"PUT")
            if method == "PUT":
                return await pairing.put(context, scope, receive, parts[2])
        elif words == [_BASE, "transaction"] and len(parts) == 2:
            if method == "OPTIONS":
                return _preflight(b"POST")
            if method == "POST":
                return await transactions.post(context, scope, receive)
        elif words == [_BASE, "transaction"] and len(parts) == 3:
            if method == "OPTIONS":
                return _preflight(b"GET")
            if method == "GET":
                return await transactions.poll(context, scope, parts[2])
        raise HttpError(HTTPStatus.NOT_FOUND, "There is no such path.")

    # --- web pages --------------------------------------------------------------------------------

    def _check_origin(self, scope: Scope) -> None:
        """Raise `NotPermitted` when a browser asks on behalf of a page that may not. The protocol
        knows no secret, so any page that somebody in the shop opens could charge a terminal."""
        origin = asgi.header(scope, b"origin")
        if origin is not None and not self._may(origin):
            raise NotPermitted("Web pages from elsewhere cannot use this interface.")

    def _may(self, origin: str) -> bool:
        origins = self._context.settings.origins
        return _ANY in origins or origin in origins

    def _shared(self, reply: Reply, scope: Scope) -> Reply:
        """The reply, with leave for the web page that asked."""
        origin = asgi.header(scope, b"origin")
        if origin is None or not self._may(origin):
            return reply
        leave: Headers = [
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-expose-headers", b"retry-after"),
            (b"vary", b"origin"),
        ]
        return Reply(reply.status, reply.body, [*reply.headers, *leave], reply.content_type)

    # --- its life ---------------------------------------------------------------------------------

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._context.tasks.stop()
        await send({"type": "lifespan.shutdown.complete"})


def _preflight(method: bytes) -> Reply:
    return Reply(
        HTTPStatus.NO_CONTENT,
        headers=[
            (b"access-control-allow-methods", method),
            (b"access-control-allow-headers", b"content-type, idempotency-key"),
            (b"access-control-max-age", _MAX_AGE),
        ],
    )
