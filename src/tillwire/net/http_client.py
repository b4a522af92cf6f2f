"""Southbound HTTP over aiohttp: the `HttpClient` port.

Responsible for one distinction above all: an error from before a connection was ready is
`NotDelivered` (a proof), any error from after that is `AnswerLost` (none). A request leaves once:
redirects are not followed, and aiohttp's own second try on a stale pooled connection, which it
makes for PUT and DELETE too, is suppressed. What a repeat may cost is the caller's knowledge.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Final, Literal

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.connector import SocketFactoryType

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

    def __init__(
        self,
        tls: ssl.SSLContext | None = None,
        *,
        server_name: str = "",
        resolver: AbstractResolver | None = None,
        socket_factory: SocketFactoryType | None = None,
    ) -> None:
        """`tls` says whom to trust and which client certificate to show; without it, the system's
        authorities are trusted. A context that does not verify its peer is refused. `server_name`
        is whom the certificate must name; empty: the URL's host. `resolver` and `socket_factory`
        find a host's addresses and open the sockets to them, in place of the system's."""
        if tls and (tls.verify_mode is not ssl.CERT_REQUIRED or not tls.check_hostname):
            raise ValueError("A TLS context must verify the peer's certificate and host name.")
        # aiohttp reads the system's authorities once for all clients: it takes a while, which
        # nobody who only speaks plain HTTP should wait for, and the event loop least of all.
        self._tls: ssl.SSLContext | Literal[True] = tls or True
        self._server_name = server_name or None
        self._resolver = resolver
        self._socket_factory = socket_factory
        self._session: aiohttp.ClientSession | None = None

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        timeout: float,
        connect_within: float | None = None,
        limit: int = 1 << 20,
        ready: Callable[[], None] | None = None,
    ) -> HttpResponse:
        """Send one request, once, and read its whole response of at most `limit` bytes.

        `timeout` seconds cover all of it, waiting for a free connection included; the first
        `connect_within` of them, if given, what it takes to open a new one. `ready` is called
        once there is a connection, right before the first byte is written; what it raises comes
        out, and nothing was written then. Raises `NotDelivered` when no byte was written,
        `AnswerLost` in every other failure.
        """
        sending = _Sending(ready)
        try:
            async with asyncio.timeout(timeout):
                return await self._exchange(
                    method, url, headers, body, connect_within, limit, sending
                )
        except aiohttp.ConnectionTimeoutError as error:
            within = f"no connection within {connect_within:g} s."
            raise sending.failure(f"{method} {url}: {within}") from error
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
        connect_within: float | None,
        limit: int,
        sending: _Sending,
    ) -> HttpResponse:
        _SENDING.set(sending)
        async with self._opened().request(
            method,
            url,
            headers={"User-Agent": f"tillwire/{__version__}", **headers},
            data=body or None,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_within),
            allow_redirects=False,
            server_hostname=self._server_name,
        ) as response:
            octets = await _whole(response, limit)
            answered = [(name, value) for name, value in response.headers.items()]
            return HttpResponse(response.status, answered, octets)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    ssl=self._tls,
                    limit=CONNECTIONS,
                    keepalive_timeout=KEEP_ALIVE,
                    resolver=self._resolver,
                    socket_factory=self._socket_factory,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=_AUTOMATIC_HEADERS,
                request_class=_Watched,
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

    def __init__(self, ready: Callable[[], None] | None) -> None:
        self._ready = ready
        self.connected = False

    def begin(self) -> None:
        """There is a connection. Raises what the caller raises, who may think better of it."""
        if self._ready is not None:
            self._ready()
        self.connected = True

    def failure(self, detail: str) -> NotDelivered | AnswerLost:
        return AnswerLost(detail) if self.connected else NotDelivered(detail)


_SENDING: Final[ContextVar[_Sending]] = ContextVar("_SENDING")
"""Of the request that the present task is sending."""


class _Watched(aiohttp.ClientRequest):
    """Tells when a connection, new or pooled, is ready, before the first byte is written."""

    async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        _SENDING.get().begin()
        return await super().send(conn)


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
