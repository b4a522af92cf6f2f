"""A response that grows: a JSON document a line, each as soon as it is there.

While there is none a blank line is sent, so that whoever waits can tell a slow answer from a dead
gateway. Whoever has gone away is not worked for any longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from http import HTTPStatus
from typing import Final

from tillwire.net.asgi import Receive, Send, disconnected

PULSE: Final = 3.0
"""Seconds without a document after which a blank line is sent."""
_HEADERS: Final = [(b"content-type", b"application/x-ndjson"), (b"cache-control", b"no-store")]


class Lines:
    """A response of documents."""

    def __init__(self, receive: Receive, documents: AsyncGenerator[bytes, None]) -> None:
        """The documents have no line ends in them. What they raise cuts the response off."""
        self._receive = receive
        self._documents = documents

    async def send(self, send: Send) -> None:
        """Write it, as long as somebody reads it."""
        status = int(HTTPStatus.OK)
        await send({"type": "http.response.start", "status": status, "headers": _HEADERS})
        gone = asyncio.create_task(disconnected(self._receive), name="the reader goes")
        coming = asyncio.create_task(self._next(), name="the next document")
        try:
            while True:
                await asyncio.wait(
                    {gone, coming}, timeout=PULSE, return_when=asyncio.FIRST_COMPLETED
                )
                if gone.done():
                    return
                line = b""
                if coming.done():
                    document = coming.result()
                    if document is None:
                        await send({"type": "http.response.body", "body": b""})
                        return
                    line = document
                    coming = asyncio.create_task(self._next(), name="the next document")
                await send({"type": "http.response.body", "body": line + b"\n", "more_body": True})
        finally:
            gone.cancel()
            coming.cancel()
            await asyncio.gather(gone, coming, return_exceptions=True)
            await self._documents.aclose()

    async def _next(self) -> bytes | None:
        return await anext(self._documents, None)
