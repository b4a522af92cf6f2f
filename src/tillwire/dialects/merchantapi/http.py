"""What the face needs of HTTP: the request as handlers see it, and what they answer.

Works on ASGI as it comes. The hot paths of a shop (start a payment, ask for its status) spend more
time in a web framework than in all of this folder, and the face needs nothing else of one: its
dozen routes are a table (`operations.py`) from which the document is written, too.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl, quote

import msgspec

from tillwire.core.model import ApiKey
from tillwire.dialects.merchantapi import wire
from tillwire.dialects.merchantapi.paging import Query

Scope = MutableMapping[str, Any]  # Any: ASGI's own definition
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

LARGEST_BODY: Final = 64 * 1024
"""Bytes of a request's body; the largest sensible one has a few hundred."""
BODY_WITHIN: Final = 30.0
"""Seconds in which a request's body must be there."""

_HOST = re.compile(r"[A-Za-z0-9._~:\[\]%-]{1,300}\Z")
_CLOSE = (b"connection", b"close")
_PATH_SAFE = "/-._~!$&'()*+,;=:@"


class Refused(Exception):  # an answer, not a fault
    """A request that HTTP itself refuses: status, words for people, headers."""

    def __init__(self, status: HTTPStatus, detail: str, headers: Headers | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or []


class Disconnected(Exception):  # nobody is left to be told
    """The client went away before its request was whole."""


class Reply(msgspec.Struct, frozen=True):
    """A whole response."""

    status: int
    body: bytes = b""
    headers: Headers = []
    content_type: str = wire.JSON

    async def send(self, send: Send) -> None:
        """Write it."""
        headers = [
            (b"content-length", str(len(self.body)).encode()),
            (b"cache-control", b"no-store"),
            *self.headers,
        ]
        if self.body:
            headers.append((b"content-type", self.content_type.encode()))
        await send({"type": "http.response.start", "status": int(self.status), "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


class Call:
    """A request to an operation, by a known caller."""

    __slots__ = ("_receive", "caller", "parameters", "path", "scope")

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        path: str,
        caller: ApiKey,
        parameters: tuple[str, ...],
    ) -> None:
        """`path` is the request's below the face, `parameters` what stands in its braces."""
        self.scope = scope
        self._receive = receive
        self.path = path
        self.caller = caller
        self.parameters = parameters

    @property
    def organisation_id(self) -> str:
        """Whose things may be seen."""
        return self.caller.organisation_id

    def header(self, name: bytes) -> str | None:
        """The request's header `name` (lower case)."""
        value = header(self.scope, name)
        return None if value is None else value.decode("latin-1")

    def query(self) -> Query:
        """The query's parameters in their order."""
        return parse_qsl(
            self.scope["query_string"].decode("latin-1"),
            keep_blank_values=True,
            errors="replace",
        )

    async def json(self) -> bytes:
        """The body, which must be JSON by its media type and of a sensible size. Raises
        `Refused`."""
        check_media_type(header(self.scope, b"content-type"))
        return await read_body(self.scope, self._receive)

    def url(self, path: str) -> str:
        """The absolute address of `path` below the face, as this client would call it."""
        return base_url(self.scope) + quoted(path)


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first header `name` (lower case)."""
    for key, value in scope["headers"]:
        if key == name:
            found: bytes = value
            return found
    return None


def root_of(scope: Scope) -> str:
    """The path under which the face stands, without a slash at its end."""
    root: str = scope.get("root_path", "")
    return root.rstrip("/")


def path_of(scope: Scope) -> str:
    """The request's path below the face. By ASGI, `path` begins with `root_path`; servers that
    cut it off are understood, too."""
    path: str = scope["path"]
    root = root_of(scope)
    if root and path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/"):
        return path[len(root) :]
    return path


def quoted(path: str) -> str:
    """The path as it stands in an address; nothing in it can break a header or a document."""
    return quote(path, safe=_PATH_SAFE, errors="replace")


def base_url(scope: Scope) -> str:
    """Where the client reaches the face: scheme, host and root path."""
    host = (header(scope, b"host") or b"").decode("latin-1")
    if not _HOST.match(host):
        server = scope.get("server") or ("localhost", None)
        host = f"{server[0]}:{server[1]}" if server[1] else str(server[0])
    return f"{scope.get('scheme', 'http')}://{host}{quoted(root_of(scope))}"


def check_media_type(content_type: bytes | None) -> None:
    """Raise `Refused` (415) unless the body is said to be JSON."""
    if content_type == b"application/json":
        return
    kind, _, parameters = (content_type or b"").decode("latin-1").partition(";")
    charset = parameters.strip().lower().replace('"', "")
    if kind.strip().lower() != wire.JSON or charset not in ("", "charset=utf-8", "charset=utf8"):
        raise Refused(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"The body must be JSON: Content-Type: {wire.JSON}.",
            [(b"accept", wire.JSON.encode())],
        )


async def read_body(scope: Scope, receive: Receive) -> bytes:
    """The whole body. Raises `Refused` (413, 408) or `Disconnected`."""
    length = header(scope, b"content-length")
    if length is not None and (len(length) > 9 or int(length) > LARGEST_BODY):
        raise _too_large()
    try:
        async with asyncio.timeout(BODY_WITHIN):
            return await _gather(receive)
    except TimeoutError:
        raise Refused(
            HTTPStatus.REQUEST_TIMEOUT,
            f"The body did not arrive within {BODY_WITHIN:g} seconds.",
            [_CLOSE],
        ) from None


async def _gather(receive: Receive) -> bytes:
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > LARGEST_BODY:
            raise _too_large()
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large() -> Refused:
    return Refused(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"The body has more than {LARGEST_BODY} bytes.",
        [_CLOSE],  # the rest of it is not read
    )
