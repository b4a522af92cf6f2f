"""Southbound HTTP over aiohttp: the `HttpClient` port.

Responsible for one distinction above all: an error from before a connection was ready is
`NotDelivered` (a proof), any error from after that is `AnswerLost` (none). A request leaves once:
redirects are not followed, and aiohttp's own second try on a stale pooled connection, which it
makes for PUT and DELETE too, is suppressed. What a repeat may cost is the caller's knowledge.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Final

import aiohttp

from tillwire.core.ports import HttpResponse
from tillwire.errors import AnswerLost, NotDelivered, Proof
from tillwire.version import __version__

KEEP_ALIVE: Final = 4.0
"""Seconds for which an idle connection is kept: less than common servers do (5 and more), so that
a request seldom meets a connection that is just being closed, which would read as a lost answer."""
CONNECTIONS: Final = 100
"""Connections at most, in use and idle; more requests wait for one within their own timeout."""
_AUTOMATIC_HEADERS: Final = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class AiohttpClient:
    """An HTTP client for any number of hosts. Used on one event loop; `close` it there."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        """`tls` says whom to trust and which client certificate to show; without it, the system's
        authorities are trusted. A context that does not verify its peer is refused."""
        context = tls or ssl.create_default_context()
        if context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname:
            raise ValueError("A TLS context must verify the peer's certificate and host name.")
        self._tls = context
        self._session: aiohttp.ClientSession | None = None

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        timeout: float,
        limit: int = 1 << 20,
    ) -> HttpResponse:
        """Send one request, once, and read its whole response of at most `limit` bytes.

        `timeout` seconds cover all of it, waiting for a free connection included. Raises
        `NotDelivered` when no byte was written, `AnswerLost` in every other failure.
        """
        sending = _Sending()
        try:
            async with asyncio.timeout(timeout):
                return await self._exchange(method, url, headers, body, limit, sending)
        except TimeoutError as error:
            raise sending.failure(f"{method} {url}: not within {timeout:g} s.") from error
        except aiohttp.ClientConnectorError as error:
            refused = isinstance(error.os_error, ConnectionRefusedError)
            proof = Proof.CONNECT_REFUSED if refused else Proof.NEVER_SENT
            raise NotDelivered(f"{method} {url}: {error}.", proof) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise sending.failure(f"{method} {url}: {_words(error)}.") from error

    async def _exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        limit: int,
        sending: _Sending,
    ) -> HttpResponse:
        async with self._opened().request(
            method,
            url,
            headers={"User-Agent": f"tillwire/{__version__}", **headers},
            data=body or None,
            allow_redirects=False,
            trace_request_ctx=sending,
        ) as response:
            octets = await _whole(response, limit)
            answered = [(name, value) for name, value in response.headers.items()]
            return HttpResponse(response.status, answered, octets)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    ssl=self._tls, limit=CONNECTIONS, keepalive_timeout=KEEP_ALIVE
                ),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=_AUTOMATIC_HEADERS,
                trace_configs=[_tracing()],
                middlewares=(_once,),
                trust_env=False,
            )
        return self._session

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()


class _Sending:
    """How far one request has come."""

    def __init__(self) -> None:
        self.connected = False

    def failure(self, detail: str) -> NotDelivered | AnswerLost:
        return AnswerLost(detail) if self.connected else NotDelivered(detail)


def _tracing() -> aiohttp.TraceConfig:
    # aiohttp reports a ready connection, new or pooled, before it writes the request's first byte.
    async def connected(
        session: aiohttp.ClientSession, context: SimpleNamespace, parameters: object
    ) -> None:
        context.trace_request_ctx.connected = True

    tracing = aiohttp.TraceConfig()
    tracing.on_connection_create_end.append(connected)
    tracing.on_connection_reuseconn.append(connected)
    return tracing


async def _once(
    request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Let no request out twice: the two errors after which aiohttp tries again become one after
    which it doesn't."""
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise AnswerLost(f"{request.method} {request.url}: {_words(error)}.") from error


async def _whole(response: aiohttp.ClientResponse, limit: int) -> bytes:
    octets = bytearray()
    async for piece in response.content.iter_any():
        octets += piece
        if len(octets) > limit:
            response.close()
            raise AnswerLost(f"The answer {response.status} is longer than {limit} bytes.")
    return bytes(octets)


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
