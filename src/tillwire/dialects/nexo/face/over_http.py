"""What the two HTTP bindings have in common: errors below the protocol's own, web pages kept out,
and waiting for an answer no longer than somebody wants it.

What has no message of the protocol to say it is a problem document (RFC 9457).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from http import HTTPStatus
from typing import Any, Final

from tillwire.dialects.nexo.wire import Message
from tillwire.net import asgi
from tillwire.net.asgi import DisconnectedError, HttpError, Receive, Scope, Send
from tillwire.net.problems import Problems

PROBLEMS: Final = Problems({})
"""How what goes wrong below the protocol is told."""
NOT_KNOWN_YET: Final = (
    "The answer is not there yet, and what was asked for goes on. Do not pay again: ask what came "
    "of it with a TransactionStatusRequest."
)
_NOT_FOR_PAGES: Final = "Web pages cannot use this interface; it is for tills."


def check_origin(scope: Scope) -> None:
    """Raise `HttpError` (400) when a browser asks on behalf of a web page. The protocol knows no
    secret, so any page that somebody in the shop's network opens could talk to its terminals, and
    fetch a till's answer as if it was a picture: for that a browser names no origin."""
    fetched_for = asgi.header(scope, b"sec-fetch-site")
    if asgi.header(scope, b"origin") is not None or fetched_for not in (None, "none"):
        raise HttpError(HTTPStatus.BAD_REQUEST, _NOT_FOR_PAGES)


async def awaited(
    work: Coroutine[Any, Any, Message | None], receive: Receive, seconds: float
) -> Message | None:
    """What comes of `work`, for a client that waits for it. It is cancelled when the client goes
    away (`DisconnectedError`) and after `seconds` (`HttpError`, 408)."""
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(asgi.disconnected(receive))
    try:
        await asyncio.wait({working, leaving}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        if leaving.done():
            raise DisconnectedError
        raise HttpError(HTTPStatus.REQUEST_TIMEOUT, NOT_KNOWN_YET)
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def live(receive: Receive, send: Send, end: Callable[[], Awaitable[None]]) -> None:
    """An application's life (ASGI's lifespan): `end` runs when it is over."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await end()
    await send({"type": "lifespan.shutdown.complete"})
