"""Errors as the MerchantAPI tells them: problem documents (source 004; RFC 9457).

The one table from the error tree to HTTP. What is said is for people and never holds a secret, a
path of this machine, or a line end.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final

import structlog

from tillwire.dialects.merchantapi import wire
from tillwire.dialects.merchantapi.http import (
    Headers,
    Refused,
    Reply,
    Scope,
    path_of,
    quoted,
    root_of,
)
from tillwire.errors import (
    Conflict,
    InvalidRequest,
    JournalError,
    NotFound,
    NotPermitted,
    TillwireError,
    Unsupported,
)

_STATUSES: Final[tuple[tuple[type[TillwireError], HTTPStatus], ...]] = (
    (InvalidRequest, HTTPStatus.BAD_REQUEST),
    (NotPermitted, HTTPStatus.FORBIDDEN),
    (NotFound, HTTPStatus.NOT_FOUND),
    (Conflict, HTTPStatus.CONFLICT),
    (Unsupported, HTTPStatus.CONFLICT),
)
"""Which status tells which error; all others are a fault of ours."""

_JOURNAL_DETAIL: Final = (
    "The gateway's journal is not available at the moment, so nothing was done and nothing was "
    "sent to a terminal. Try again."
)
_FAULT_DETAIL: Final = "Something went wrong in the gateway; it has been logged."
_RETRY_AFTER: Final[Headers] = [(b"retry-after", b"1")]
_LONGEST_DETAIL: Final = 500
"""Characters."""
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")

PHRASES: Final = {status: status.phrase for status in HTTPStatus} | {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Content Too Large"  # RFC 9110 renamed it
}


def reply_to(error: Exception, scope: Scope) -> Reply:
    """What a client is told of the error. One that nobody foresaw is logged, not told."""
    if isinstance(error, Refused):
        return problem(error.status, error.detail, scope, error.headers)
    for kind, status in _STATUSES:
        if isinstance(error, kind):
            return problem(status, _words(error), scope)
    log = structlog.get_logger()
    if isinstance(error, JournalError):
        log.error("the journal failed a request", path=scope["path"], error=str(error))
        status = HTTPStatus.SERVICE_UNAVAILABLE
        return problem(status, _JOURNAL_DETAIL, scope, _RETRY_AFTER)
    log.error("a request failed", path=scope["path"], exc_info=error)
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, _FAULT_DETAIL, scope)


def _words(error: TillwireError) -> str:
    """What is special about the error; the title tells its kind already."""
    return error.detail or str(error)


def problem(status: HTTPStatus, detail: str, scope: Scope, headers: Headers | None = None) -> Reply:
    """A problem document of no special type, so its title is the status's phrase."""
    document = wire.Problem(
        title=PHRASES[status],
        status=status.value,
        detail=_CONTROLS.sub(" ", detail)[:_LONGEST_DETAIL],
        instance=quoted(root_of(scope) + path_of(scope)),
    )
    return Reply(status.value, wire.encode(document), headers or [], wire.PROBLEM)
