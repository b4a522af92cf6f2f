"""How the face tells errors: the vendor's codes and body, in one table.

What is wrong with a request is told its caller in words; what is wrong with us is logged, and not
told. Nothing of another organisation is told apart from what does not exist.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from tillwire.dialects.paymentbridge.wire import cuts, errors, reading
from tillwire.dialects.paymentbridge.wire.errors import CodedRequest, LoginFailed
from tillwire.errors import (
    Conflict,
    InvalidRequest,
    JournalError,
    NotFound,
    NotPermitted,
    TerminalBusy,
    TillwireError,
    Unsupported,
)
from tillwire.net import asgi
from tillwire.net.asgi import Headers, HttpError, Reply, Scope
from tillwire.net.problems import http_error

LONGEST_REQUEST_ID: Final = 128
"""Characters of a Poynt-Request-Id that is remembered and echoed."""
LONGEST_WORDS: Final = 500

_REQUEST_ID: Final = b"poynt-request-id"
_CODES: Final[tuple[tuple[type[TillwireError], str], ...]] = (
    (NotFound, "RESOURCE_NOT_FOUND"),
    (InvalidRequest, "INVALID_PARAMETER"),
    (TerminalBusy, "SERVICE_UNAVAILABLE"),
    (Conflict, "INVALID_REQUEST"),
    (Unsupported, "UNSUPPORTED_OPERATION"),
    (NotPermitted, "UNAUTHORIZED_ACCESS"),
)
"""For errors that say no code themselves, the first kind that fits."""
_CODES_OF_HTTP: Final = {404: "INVALID_URL_PATTERN", 405: "INVALID_URL_PATTERN"}
_CHALLENGE: Final = ((b"www-authenticate", b"Bearer"),)
_RETRY: Final = ((b"retry-after", b"1"),)


class Refused(TillwireError):
    """The cloud refuses."""

    def __init__(self, code: str, detail: str = "") -> None:
        """`code` is the vendor's, `detail` for the caller's people."""
        assert code in errors.HTTP, f"no code of the vendor's: {code}"
        super().__init__(detail)
        self.code = code


def request_id(scope: Scope) -> str:
    """The caller's own id of its request; empty if there is none that could be one."""
    given = asgi.header(scope, _REQUEST_ID) or ""
    if not (given.isascii() and given.isprintable() and len(given) <= LONGEST_REQUEST_ID):
        return ""
    return cuts.named(given.strip())


def remembered_id(scope: Scope) -> str:
    """As `request_id`. Raises `Refused` for one that cannot be remembered: whoever sends it counts
    on that nothing is done twice under it."""
    given = request_id(scope)
    if given != (asgi.header(scope, _REQUEST_ID) or "").strip():
        allowed = f"up to {LONGEST_REQUEST_ID} plain characters, a UUID for one"
        detail = f"Poynt-Request-Id: it cannot be remembered. Allowed: {allowed}."
        raise Refused("INVALID_PARAMETER", detail)
    return given


def echoed(reply: Reply, scope: Scope) -> Reply:
    """The reply, with the id of its request, as the vendor's have it."""
    if not (given := request_id(scope)):
        return reply
    headers = (*reply.headers, (b"poynt-request-id", given.encode()))
    return Reply(reply.status, reply.body, headers, reply.content_type)


def tell(error: Exception, scope: Scope) -> Reply:
    """What a caller is told of the error."""
    code, status, words, headers = _told(error, scope)
    body = errors.body(
        code,
        developer_message=words[:LONGEST_WORDS],
        request_id=request_id(scope),
        http_status=status,
    )
    return echoed(Reply(status, reading.encode(body), headers), scope)


def _told(error: Exception, scope: Scope) -> tuple[str, int, str, Headers]:
    if isinstance(error, Refused | CodedRequest | LoginFailed):
        status = errors.HTTP[error.code]
        headers = _CHALLENGE if status == HTTPStatus.UNAUTHORIZED else ()
        return error.code, status, error.detail, headers
    if isinstance(error, HttpError):
        code = _CODES_OF_HTTP.get(error.status, "INVALID_REQUEST")
        return code, error.status, error.detail, error.headers
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code, errors.HTTP[code], error.detail, ()
    told = http_error(error, scope, {})  # logged there
    if isinstance(error, JournalError):
        return "DATABASE_ERROR", errors.HTTP["DATABASE_ERROR"], told.detail, _RETRY
    return "INTERNAL_ERROR", errors.HTTP["INTERNAL_ERROR"], told.detail, ()
