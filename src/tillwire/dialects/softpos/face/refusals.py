"""How the face tells errors: the source's bodies and its words, in one table.

A caller that is not recognised hears one and the same, whatever was wrong. What is wrong with us is
logged, and not told.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from tillwire.dialects.softpos.wire import reading
from tillwire.dialects.softpos.wire.errors import (
    FieldErrorDTO,
    InvalidFields,
    StandardResponse,
    ValidationErrorDTO,
)
from tillwire.dialects.softpos.wire.tokens import TokenError, UnsupportedGrant
from tillwire.errors import InvalidRequest, NotFound, NotPermitted
from tillwire.net.asgi import Headers, HttpError, Reply, Scope
from tillwire.net.problems import http_error, problem

UNAUTHORIZED: Final = "Unauthorized — invalid or expired token"
BAD_REQUEST: Final = "Bad Request — invalid input"
NOT_FOUND: Final = "Not Found — transaction not found"
FAULT: Final = "Internal Server Error"

CHALLENGE: Final = ((b"www-authenticate", b"Bearer"),)


class Unknown(NotPermitted):
    """The caller was not recognised."""


def tell(error: Exception, scope: Scope, app_version_status: str) -> Reply:
    """What a caller of the API is told of the error."""
    if isinstance(error, NotPermitted):
        return standard(HTTPStatus.UNAUTHORIZED, UNAUTHORIZED, CHALLENGE)
    if isinstance(error, InvalidRequest):
        return invalid(error, app_version_status)
    if isinstance(error, NotFound):
        return standard(HTTPStatus.NOT_FOUND, NOT_FOUND)
    if isinstance(error, HttpError) and error.status is HTTPStatus.NOT_FOUND:
        # Of a path: in a StandardResponse it would say that there is no such transaction.
        return problem(error.status, error.detail, scope, error.headers)
    if isinstance(error, HttpError):
        return standard(error.status, error.detail, error.headers)
    http_error(error, scope, {})  # logged there
    return standard(HTTPStatus.INTERNAL_SERVER_ERROR, FAULT)


def tell_token(error: Exception, scope: Scope, app_version_status: str) -> Reply:
    """What who asks for a token is told (RFC 6749 section 5.2)."""
    if isinstance(error, NotPermitted):
        return _token(HTTPStatus.UNAUTHORIZED, "invalid_client")
    if isinstance(error, UnsupportedGrant):
        return _token(HTTPStatus.BAD_REQUEST, "unsupported_grant_type")
    if isinstance(error, InvalidRequest):
        return _token(HTTPStatus.BAD_REQUEST, "invalid_request", f"{error.field}: {error.problem}")
    return tell(error, scope, app_version_status)


def invalid(error: InvalidRequest, app_version_status: str) -> Reply:
    """400, with what is wrong with each field."""
    if isinstance(error, InvalidFields):
        fields = error.errors
    else:
        said = f"{error.problem[:1].upper()}{error.problem[1:]}."
        fields = (FieldErrorDTO(error.field, said),)
    body = ValidationErrorDTO(
        status_code=str(HTTPStatus.BAD_REQUEST.value),
        message=BAD_REQUEST,
        app_version_status=app_version_status or None,
        field_errors=fields,
    )
    return Reply(HTTPStatus.BAD_REQUEST, reading.encode(body))


def standard(status: int, message: str, headers: Headers = ()) -> Reply:
    """A `StandardResponse`."""
    body = StandardResponse(status_code=str(int(status)), message=message)
    return Reply(status, reading.encode(body), headers)


def _token(status: HTTPStatus, error: str, description: str = "") -> Reply:
    return Reply(status, reading.encode(TokenError(error=error, error_description=description)))
