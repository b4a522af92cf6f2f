"""The server side of the MerchantAPI: an ASGI application for tills (source 004).

The way of a request: who calls, before anything else is told; which operation; its handler; and
whatever error comes out of these, as a problem document. The document of the API and its page for
people need no key. The application knows nothing of the prefix under which it stands.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from tillwire.core.engine import Engine
from tillwire.core.ports import Clock
from tillwire.dialects.merchantapi import keys, pages
from tillwire.dialects.merchantapi.context import Context, Settings
from tillwire.dialects.merchantapi.http import (
    Call,
    Disconnected,
    Receive,
    Reply,
    Scope,
    Send,
    path_of,
)
from tillwire.dialects.merchantapi.operations import Routes, not_allowed
from tillwire.dialects.merchantapi.problems import reply_to
from tillwire.dialects.merchantapi.usage import KeyUsage

__all__ = ["Face", "Settings", "create"]

_ROUTES: Final = Routes()


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
        assert scope["type"] == "http", "WebSockets are not spoken here"
        try:
            reply = await self._answer(scope, receive)
        except Disconnected:
            return
        except Exception as error:  # noqa: BLE001 - every error becomes a problem document
            reply = reply_to(error, scope)
        await reply.send(send)

    async def _answer(self, scope: Scope, receive: Receive) -> Reply:
        context, path, method = self._context, path_of(scope), scope["method"]
        page = pages.PAGES.get(path)
        if page is not None:
            if method != "GET":
                raise not_allowed(method, ["GET"])
            return page(scope)
        now = context.clock.now()
        caller = keys.caller_of(scope, context.engine.estate, now)
        context.usage.note(caller, now)
        operation, parameters = _ROUTES.find(method, path)
        return await operation.handler(context, Call(scope, receive, path, caller, parameters))

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
