"""How the face tells errors: a status, and `{"error": ...}` in words for people.

What is wrong with a request is told; what is wrong with us is logged, and not told. A wrong path or
method is 404 without a body. Nothing of another organisation is told apart from what does not
exist.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from tillwire.dialects.smartconnect.wire import pairing
from tillwire.errors import (
    Conflict,
    InvalidRequest,
    NotFound,
    NotPermitted,
    TerminalBusy,
    TillwireError,
    Unsupported,
)
from tillwire.net.asgi import Headers, HttpError, Reply, Scope, root_of
from tillwire.net.problems import Statuses, http_error

BUSY: Final = "device is busy"
"""The vendor's words."""
LONGEST_WORDS: Final = 500

_STATUSES: Final[Statuses] = {
    TerminalBusy: HTTPStatus.TOO_MANY_REQUESTS,
    InvalidRequest: HTTPStatus.BAD_REQUEST,
    NotFound: HTTPStatus.BAD_REQUEST,
    Conflict: HTTPStatus.BAD_REQUEST,
    Unsupported: HTTPStatus.BAD_REQUEST,
    NotPermitted: HTTPStatus.FORBIDDEN,
}
_SILENT: Final = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)


class Refused(TillwireError):
    """The cloud refuses."""

    def __init__(self, status: HTTPStatus, detail: str, headers: Headers = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers


def tell(error: Exception, scope: Scope) -> Reply:
    """What a register is told of the error."""
    if isinstance(error, HttpError) and error.status in _SILENT:
        return Reply(HTTPStatus.NOT_FOUND)
    if isinstance(error, Refused):
        return _reply(error.status, error.detail, error.headers)
    # What is logged there has no path: it may have a pairing code in it.
    told = http_error(error, {**scope, "path": f"{root_of(scope)}/..."}, _STATUSES)
    words = told.detail
    if isinstance(error, TerminalBusy):
        words = f"{BUSY}: {error.detail}" if error.unresolved else BUSY
    return _reply(told.status, words, told.headers)


def _reply(status: int, words: str, headers: Headers) -> Reply:
    return Reply(status, pairing.write_error(words[:LONGEST_WORDS]), headers)
