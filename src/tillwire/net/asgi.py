"""HTTP as ASGI brings it: reading a request within limits, and answering it as a whole.

What every face needs of HTTP is here, once; the faces need no framework for it. A face built on it
knows nothing of where it is mounted: its paths are those below `root_path`. Which paths there are
is for `routes.py`, how errors read for `problems.py`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from http import HTTPStatus
from typing import Any, Final, Generic, Protocol, TypeVar
from urllib.parse import parse_qsl, quote

import msgspec

from tillwire.errors import TillwireError

Scope = MutableMapping[str, Any]  # Any: ASGI's own definition
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]

C = TypeVar("C")

PEER_CERTIFICATE: Final = "tillwire.peer_certificate"
"""The extension of a scope (ASGI) that has the client's certificate, where it has shown one."""

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
HTML: Final = "text/html; charset=utf-8"

LARGEST_BODY: Final = 64 * 1024
"""Bytes of a request's body, unless a face sets less; sensible ones have a few hundred."""
BODY_WITHIN: Final = 30.0
"""Seconds in which a request's body must be there."""

_HOST = re.compile(r"[A-Za-z0-9._~:\[\]%-]{1,300}\Z")
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1"})
_PATH_SAFE: Final = "/-._~!$&'()*+,;=:@"
CLOSE: Final = (b"connection", b"close")
"""The header that ends the connection with this response."""
_NO_STORE: Final = (b"cache-control", b"no-store")
_NO_CONTENT: Final = 204
_CONTROLS_AS_SPACES: Final = bytes(
    0x20 if octet < 0x20 or octet == 0x7F else octet for octet in range(256)
)


class HttpError(TillwireError):
    """The HTTP request cannot be served."""

    def __init__(self, status: HTTPStatus, detail: str, headers: Headers = ()) -> None:
        """`detail` is for people."""
        super().__init__(detail)
        self.status = status
        self.headers = headers


class DisconnectedError(TillwireError):
    """The client has gone away."""


class PeerCertificate(msgspec.Struct, frozen=True):
    """The certificate of a client, which the listener's TLS has checked."""

    der: bytes
    sha256: bytes


# --- answers --------------------------------------------------------------------------------


class Reply(msgspec.Struct, frozen=True):
    """A whole response. Nobody is to store it."""

    status: int
    body: bytes = b""
    headers: Headers = ()
    """Those beside the ones that describe the body."""
    content_type: str = JSON

    async def send(self, send: Send) -> None:
        """Write it. No header can end its line."""
        headers = [_NO_STORE]
        if body := self.body:
            headers.append((b"content-type", self.content_type.encode()))
            headers.append((b"content-length", b"%d" % len(body)))
        elif self.status != _NO_CONTENT:  # which has no length (RFC 9110 section 8.6)
            headers.append((b"content-length", b"0"))
        if self.headers:
            headers += [(key, value.translate(_CONTROLS_AS_SPACES)) for key, value in self.headers]
        await send({"type": "http.response.start", "status": int(self.status), "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Response(Protocol):
    """What a request is answered with: a `Reply`, or something that takes its time."""

    async def send(self, send: Send) -> None:
        """Write it."""


async def serve(
    scope: Scope,
    receive: Receive,
    send: Send,
    answer: Callable[[Scope, Receive], Awaitable[Response]],
    tell: Callable[[Exception, Scope], Reply],
) -> None:
    """One request: its reply is what `answer` says, or what `tell` makes of an error. Who has gone
    away gets none."""
    assert scope["type"] == "http", "there is nothing but HTTP here"
    try:
        reply: Response = await answer(scope, receive)
    except DisconnectedError:
        return
    except Exception as error:  # noqa: BLE001 - every error is told in the face's own way
        reply = tell(error, scope)
    await reply.send(send)


# --- where a request goes -------------------------------------------------------------------


def header(scope: Scope, name: bytes) -> str | None:
    """The first header `name` (lower case)."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return None


def bearer(authorization: str) -> str:
    """The token of an Authorization header, whose scheme may be written in any case; empty if
    there is none."""
    scheme, _, token = authorization.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def peer_certificate(scope: Scope) -> PeerCertificate | None:
    """The certificate that the client has shown in the TLS handshake; None if it has shown none.
    No header can stand for it."""
    shown = (scope.get("extensions") or {}).get(PEER_CERTIFICATE)
    found: PeerCertificate | None = shown["certificate"] if shown else None
    return found


def root_of(scope: Scope) -> str:
    """The path under which the application stands, without a slash at its end."""
    root: str = scope.get("root_path", "")
    return root.rstrip("/")


def path_of(scope: Scope) -> str:
    """The request's path below the application's. By ASGI, `path` begins with `root_path`; servers
    that cut it off are understood, too."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if not path.startswith(root + "/"):
        root = root_of(scope)
        if path != root and not path.startswith(root + "/"):
            return path
    return path[len(root) :]


def quoted(path: str) -> str:
    """The path as it stands in an address; nothing in it can break a header or a document."""
    return quote(path, safe=_PATH_SAFE, errors="replace")


def base_url(scope: Scope) -> str:
    """Where the client reaches the application: scheme, host and root path."""
    host = header(scope, b"host") or ""
    if not _HOST.match(host):
        server = scope.get("server") or ("localhost", None)
        host = f"{server[0]}:{server[1]}" if server[1] else str(server[0])
    return f"{scope.get('scheme', 'http')}://{host}{quoted(root_of(scope))}"


def own_urls(scope: Scope) -> Iterator[str]:
    """The base URLs of the listener that was called, without the application's root path and with
    it. The Host header says nothing: a client writes there what it likes."""
    host, port = scope.get("server") or ("", None)
    names = [f"[{host}]" if ":" in str(host) else str(host)]
    if host in _LOOPBACK:
        names.append("localhost")
    for name in names:
        origin = f"{scope.get('scheme', 'http')}://{name}:{port}"
        yield origin
        yield origin + root_of(scope)


# --- what a request says --------------------------------------------------------------------


class Call(Generic[C]):
    """A request that has found its handler, by a caller as the face knows callers."""

    __slots__ = ("caller", "parameters", "path", "receive", "scope")

    def __init__(
        self, scope: Scope, receive: Receive, path: str, parameters: tuple[str, ...], caller: C
    ) -> None:
        """`path` is the request's below the face, `parameters` what stands in its braces."""
        self.scope = scope
        self.receive = receive
        self.path = path
        self.parameters = parameters
        self.caller = caller

    def header(self, name: bytes) -> str | None:
        """The request's header `name` (lower case)."""
        return header(self.scope, name)

    def query(self) -> list[tuple[str, str]]:
        """The query's parameters in their order."""
        text = self.scope["query_string"].decode("latin-1")
        return parse_qsl(text, keep_blank_values=True, errors="replace")

    async def json(self, limit: int = LARGEST_BODY, *, unnamed: bool = False) -> bytes:
        """The body, of at most `limit` bytes, which must be said to be JSON; `unnamed`: or said
        to be nothing. Raises `HttpError` (408, 413, 415), `DisconnectedError`."""
        check_media_type(self.scope, JSON, unnamed=unnamed)
        return await read_body(self.scope, self.receive, limit)

    def url(self, path: str) -> str:
        """The absolute address of `path` below the face, as this client would call it."""
        return base_url(self.scope) + quoted(path)


def check_media_type(scope: Scope, expected: str, *, unnamed: bool = False) -> None:
    """Raise `HttpError` (415) unless the body is said to be of the media type `expected`, in UTF-8
    if it names a charset; `unnamed`: or is not said to be anything."""
    content_type = header(scope, b"content-type")
    if content_type == expected or (unnamed and content_type is None):
        return
    kind, _, parameters = (content_type or "").partition(";")
    charset = parameters.strip().lower().replace('"', "")
    if kind.strip().lower() != expected or charset not in ("", "charset=utf-8", "charset=utf8"):
        raise HttpError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"The body must be of the type {expected}, and the Content-Type header must say so.",
            [(b"accept", expected.encode())],
        )


async def read_body(scope: Scope, receive: Receive, limit: int = LARGEST_BODY) -> bytes:
    """The whole body, of at most `limit` bytes. Raises `HttpError` (408, 413), and
    `DisconnectedError`."""
    length = header(scope, b"content-length") or ""
    if length.isdecimal() and (len(length) > 9 or int(length) > limit):
        raise _too_large(limit)
    try:
        async with asyncio.timeout(BODY_WITHIN):
            return await _gather(receive, limit)
    except TimeoutError:
        detail = f"The body did not arrive within {BODY_WITHIN:g} seconds."
        raise HttpError(HTTPStatus.REQUEST_TIMEOUT, detail, [CLOSE]) from None


async def _gather(receive: Receive, limit: int) -> bytes:
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise DisconnectedError
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise _too_large(limit)
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(limit: int) -> HttpError:
    detail = f"The body has more than {limit} bytes."
    # The connection ends, because the rest of the body is not read.
    return HttpError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail, [CLOSE])


def announces_body(scope: Scope) -> bool:
    """Whether the request says that it has a body."""
    for name, value in scope["headers"]:
        if (name == b"content-length" and value != b"0") or name == b"transfer-encoding":
            return True
    return False


async def disconnected(receive: Receive) -> None:
    """Return when the client has gone away. Takes what is left of the body."""
    while (await receive())["type"] != "http.disconnect":
        pass
