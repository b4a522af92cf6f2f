"""ASGI in the raw, for the faces that need no framework: a request's parts, whole answers, and
our errors as problems (RFC 9457).

A face built on it knows nothing of where it is mounted: `path` is what follows `root_path`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any, Final

import msgspec

from tillwire.errors import (
    Conflict,
    InvalidRequest,
    JournalError,
    NotFound,
    NotPermitted,
    RemoteProtocolError,
    TillwireError,
    Unsupported,
)

Scope = MutableMapping[str, Any]  # Any: ASGI's own definition
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"

_STATUS: Final[tuple[tuple[type[TillwireError], int], ...]] = (
    (InvalidRequest, 400),
    (RemoteProtocolError, 400),
    (NotPermitted, 403),
    (NotFound, 404),
    (Conflict, 409),
    (Unsupported, 422),
    (JournalError, 503),
)
"""How our errors read in HTTP; anything else is our own fault (500)."""


class HttpError(TillwireError):
    """The HTTP request cannot be served."""

    def __init__(self, status: int, detail: str, headers: Headers | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers or []


class DisconnectedError(TillwireError):
    """The client has gone away."""


def path(scope: Scope) -> str:
    """The path below the place where the application is mounted."""
    whole: str = scope["path"]
    root: str = scope.get("root_path", "")
    return whole[len(root) :] if root and whole.startswith(root + "/") else whole


def header(scope: Scope, name: bytes) -> str:
    """The request's header `name` (lower case), or empty."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return ""


def allow(scope: Scope, *methods: str) -> None:
    """Raise `HttpError` 405 unless the request's method is one of these."""
    if scope["method"] not in methods:
        offered = ", ".join(methods)
        raise HttpError(405, f"Allowed here: {offered}.", [(b"allow", offered.encode())])


async def json_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole JSON body, of at most `limit` bytes. Raises `HttpError` 413, 415, and
    `DisconnectedError`."""
    media_type = header(scope, b"content-type").partition(";")[0].strip().lower()
    if media_type not in ("", JSON):
        raise HttpError(415, f"The body must be {JSON}.")
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise DisconnectedError
        body += message.get("body", b"")
        if len(body) > limit:
            raise HttpError(
                413, f"The body may have up to {limit} bytes.", [(b"connection", b"close")]
            )
        if not message.get("more_body", False):
            return bytes(body)


async def disconnected(receive: Receive) -> None:
    """Return when the client has gone away. Takes what is left of the body."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def answer(
    send: Send,
    status: int,
    body: bytes = b"",
    content_type: str = JSON,
    headers: Headers | None = None,
) -> None:
    """A whole response. One without content (204) has no headers that describe it."""
    described: Headers = [(b"cache-control", b"no-store"), *(headers or [])]
    if status != 204:
        described += [
            (b"content-type", content_type.encode()),
            (b"content-length", str(len(body)).encode()),
        ]
    await send({"type": "http.response.start", "status": status, "headers": described})
    await send({"type": "http.response.body", "body": body})


async def refuse(scope: Scope, send: Send, error: TillwireError) -> None:
    """The error as a problem document; what is the matter with which field is in `field`."""
    status, headers = 500, []
    if isinstance(error, HttpError):
        status, headers, detail = error.status, error.headers, error.detail
    else:
        status = next((number for kind, number in _STATUS if isinstance(error, kind)), 500)
        detail = str(error)
    problem: dict[str, object] = {
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": scope["path"],
    }
    if isinstance(error, InvalidRequest):
        problem["field"] = error.field
    await answer(send, status, msgspec.json.encode(problem), PROBLEM, headers)
