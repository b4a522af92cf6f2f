"""Errors over HTTP: which status tells which, in which words, and as problem documents (RFC 9457).

A face has one table from the error tree to statuses, and may add members of its own to the
documents; one whose protocol writes errors in another way takes `http_error` and writes them
itself. What is said is for people, and never holds a secret, a path of this machine, or a line end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import msgspec
import structlog

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
from tillwire.net.asgi import PROBLEM, Headers, HttpError, Reply, Scope, path_of, quoted, root_of

Statuses = Mapping[type[TillwireError], HTTPStatus]
"""Which status tells which error, the first kind that fits. A failing journal is always 503, and
what is not in the table a fault of ours."""
Extras = Mapping[str, object]
"""Members of a problem document beside the standard ones."""

STATUSES: Final[Statuses] = {
    InvalidRequest: HTTPStatus.BAD_REQUEST,
    RemoteProtocolError: HTTPStatus.BAD_REQUEST,
    NotPermitted: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    Unsupported: HTTPStatus.UNPROCESSABLE_ENTITY,
}
"""How our own protocols tell errors."""

PHRASES: Final[Mapping[HTTPStatus, str]] = {
    **{status: status.phrase for status in HTTPStatus},
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Content Too Large",  # RFC 9110 renamed it
    HTTPStatus.UNPROCESSABLE_ENTITY: "Unprocessable Content",  # and this
}
FAULT: Final = "Something went wrong in the gateway; it has been logged."
LONGEST_DETAIL: Final = 500
"""Characters."""

_JOURNAL_FAILED: Final = (
    "The gateway's journal is not available at the moment, so nothing was done and nothing was "
    "sent to a terminal. Try again."
)
_RETRY: Final = ((b"retry-after", b"1"),)
_NONE: Final[Extras] = {}
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


def _no_extras(error: Exception) -> Extras:
    return _NONE


@dataclass(frozen=True)
class Problems:
    """How a face tells errors."""

    statuses: Statuses
    extras: Callable[[Exception], Extras] = _no_extras
    """What it adds to an error's problem document."""

    def tell(self, error: Exception, scope: Scope) -> Reply:
        """What a client is told of the error."""
        told = http_error(error, scope, self.statuses)
        return problem(told.status, told.detail, scope, told.headers, self.extras(error))


def named_field(error: Exception) -> Extras:
    """The path of the request's offending member, as `field`."""
    return {"field": error.field} if isinstance(error, InvalidRequest) else _NONE


def http_error(error: Exception, scope: Scope, statuses: Statuses) -> HttpError:
    """The error in HTTP's terms: a status, words for people, headers. The journal's errors are
    logged; one that nobody foresaw is, too, and not told."""
    if isinstance(error, HttpError):
        return error
    if isinstance(error, TillwireError):
        for kind, status in statuses.items():
            if isinstance(error, kind):
                # The title tells the kind already, so the docstring need not.
                return HttpError(status, error.detail or str(error))
    log = structlog.get_logger()
    if isinstance(error, JournalError):
        log.error("the journal failed a request", path=scope["path"], error=str(error))
        return HttpError(HTTPStatus.SERVICE_UNAVAILABLE, _JOURNAL_FAILED, _RETRY)
    log.error("a request failed", path=scope["path"], exc_info=error)
    return HttpError(HTTPStatus.INTERNAL_SERVER_ERROR, FAULT)


def problem(
    status: HTTPStatus,
    detail: str,
    scope: Scope,
    headers: Headers = (),
    extras: Extras = _NONE,
) -> Reply:
    """A problem document about the request."""
    instance = quoted(root_of(scope) + path_of(scope))
    body = document(status, detail, {"instance": instance, **extras})
    return Reply(status, body, headers, PROBLEM)


def document(status: HTTPStatus, detail: str, extras: Extras = _NONE) -> bytes:
    """A problem document of no special type, so its title is the status's phrase."""
    return msgspec.json.encode(
        {
            "title": PHRASES[status],
            "status": status.value,
            "detail": _UNFIT.sub(" ", detail)[:LONGEST_DETAIL],
            **extras,
        }
    )
