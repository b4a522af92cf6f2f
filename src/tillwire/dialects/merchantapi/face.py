"""The server side of the MerchantAPI: an ASGI application for tills (source 004).

The way of a request: who calls, before anything else is told; which operation; its handler; and
whatever error comes out of these, as a problem document. The document of the API and its page for
people need no key. The application knows nothing of the prefix under which it stands.
"""

from __future__ import annotations

import asyncio
import contextlib
from http import HTTPStatus
from typing import Final

from tillwire.core.engine import Engine
from tillwire.core.ports import Clock
from tillwire.dialects.merchantapi import keys, pages
from tillwire.dialects.merchantapi.context import Context, Settings
from tillwire.dialects.merchantapi.operations import OPERATIONS
from tillwire.dialects.merchantapi.usage import KeyUsage
from tillwire.errors import Conflict, InvalidRequest, NotFound, NotPermitted, Unsupported
from tillwire.net import asgi
from tillwire.net.asgi import Call, Receive, Reply, Scope, Send
from tillwire.net.problems import Problems
from tillwire.net.routes import Routes, not_allowed

__all__ = ["Face", "Settings", "create"]

_ROUTES: Final = Routes((each.method, each.path, each) for each in OPERATIONS)
_PROBLEMS: Final = Problems(
    {
        InvalidRequest: HTTPStatus.BAD_REQUEST,
        NotPermitted: HTTPStatus.FORBIDDEN,
        NotFound: HTTPStatus.NOT_FOUND,
        Conflict: HTTPStatus.CONFLICT,
        Unsupported: HTTPStatus.CONFLICT,
    }
)


def create(engine: Engine, clock: Clock, settings: Settings | None = None) -> Face:
    """The face, as an ASGI application with a lifespan."""
    return Face(Context(engine, clock, settings or Settings(), KeyUsage(engine)))


class Face:
    """The ASGI application."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the application's life."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        await asgi.serve(scope, receive, send, self._answer, _PROBLEMS.tell)

    async def _answer(self, scope: Scope, receive: Receive) -> Reply:
        context, path, method = self._context, asgi.path_of(scope), scope["method"]
        page = pages.PAGES.get(path)
        if page is not None:
            if method != "GET":
                raise not_allowed(method, ["GET"])
            return page(scope)
        now = context.clock.now()
        caller = keys.caller_of(scope, context.engine.estate, now)
        context.usage.note(caller, now)
        operation, parameters = _ROUTES.find(method, path)
        return await operation.handler(context, Call(scope, receive, path, parameters, caller))

    async def _live(self, receive: Receive, send: Send) -> None:
        """Write the usage of keys as long as the application lives, and once more at its end."""
        await receive()
        usage = self._context.usage
        writing = asyncio.create_task(usage.write_regularly(), name="merchantapi key usage")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        writing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await writing
        await usage.write()
        await send({"type": "lifespan.shutdown.complete"})
