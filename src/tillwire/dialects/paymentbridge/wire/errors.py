"""What the cloud refuses, in its own words: codes, their HTTP statuses, the body of an error.

The codes are those of the vendor's published model 1.2.108. `CodedRequest` and `LoginFailed` are
how this wire refuses what a caller sent; whoever serves it makes the body of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec

from tillwire.dialects.paymentbridge.wire import reading
from tillwire.dialects.paymentbridge.wire.fields import Address, Id, Part, Text, Whole, Word
from tillwire.errors import InvalidRequest, NotPermitted, RemoteProtocolError

S = TypeVar("S", bound=msgspec.Struct)

_BOOK: Final[Mapping[int, str]] = {
    400: "INVALID_REQUEST INVALID_PARAMETER MISSING_PARAMETER BUSINESS_NOT_SETUP "
    "ACQUIRER_NOT_SETUP REQUEST_ID_DUPLICATE REQUEST_IN_PROGRESS TXN_DUPLICATE TXN_ALREADY_EXISTS "
    "TXN_ALREADY_CAPTURED CAPTURE_NOT_ALLOWED CAPTURE_EXCEEDS_PREAUTH_BAL TXN_ALREADY_REFUNDED "
    "TXN_ALREADY_VOIDED TXN_NEVER_PROCESSED UNSUPPORTED_TXN_TYPE UNSUPPORTED_TXN_ACTION "
    "UNSUPPORTED_OPERATION PROCESSOR_DECLINED PROCESSOR_TIMEOUT PROCESSOR_DETECTED_DUP "
    "BAD_CARD_DATA STORE_DEVICE_ALREADY_REGISTERED STORE_DEVICE_ALREADY_ACTIVATED "
    "STORE_DEVICE_UNVERIFIED WEBHOOK_UNDELIVERABLE",
    401: "INVALID_ACCESS_TOKEN INVALID_REFRESH_TOKEN UNAUTHORIZED_ACCESS LOGIN_FAILED",
    403: "STORE_DEVICE_NOT_ACTIVATED APPLICATION_NOT_ACTIVATED",
    404: "BUSINESS_NOT_FOUND STORE_DEVICE_NOT_FOUND TRANSACTION_NOT_FOUND APPLICATION_NOT_FOUND "
    "CARD_NOT_FOUND ORDER_NOT_FOUND CUSTOMER_NOT_FOUND RESOURCE_NOT_FOUND INVALID_RESOURCE_ID "
    "INVALID_URL_PATTERN KEY_NOT_FOUND BUSINESS_AGREEMENT_NOT_FOUND",
    409: "RESOURCE_MODIFIED",
    417: "CUSTOM_FUNDING_VERIFICATION_REQUIRED",
    499: "BROKEN_PIPE",
    500: "INTERNAL_ERROR DATABASE_ERROR",
    502: "PROCESSOR_SIGNON_FAILED EXTERNAL_SERVER_ERROR",
    503: "RKMS_UNAVAILABLE",
    504: "EXTERNAL_SERVER_CONNECT_FAILURE EXTERNAL_SERVER_READ_TIMEOUT SERVICE_UNAVAILABLE",
}

HTTP: Final[Mapping[str, int]] = {
    name: status for status, names in _BOOK.items() for name in names.split()
}
"""The HTTP status of each code that the vendor's model has."""

MESSAGES: Final[Mapping[str, str]] = {
    code: code.replace("_", " ").replace("TXN", "TRANSACTION").capitalize() + "." for code in HTTP
}
"""What is said of a code where nothing better is."""


class ErrorBody(Part, frozen=True, kw_only=True):
    """The body of every refusal."""

    code: Word = ""
    http_status: Whole = 0
    message: Text | None = None
    developer_message: Text | None = None
    more_info: Address | None = None
    request_id: Id | None = None


class CodedRequest(InvalidRequest):
    """The request is not valid."""

    def __init__(self, code: str, field: str, problem: str, allowed: str = "") -> None:
        """`code` is the cloud's code for it; the rest as in `InvalidRequest`."""
        self.code = code
        super().__init__(field, problem, allowed)


class LoginFailed(NotPermitted):
    """The application could not be recognised."""

    def __init__(self, detail: str, code: str = "LOGIN_FAILED") -> None:
        """`code` is the cloud's code for it: `LOGIN_FAILED`, or that of the bad token."""
        self.code = code
        super().__init__(detail)


def missing(field: str) -> CodedRequest:
    """A member that must be there is not."""
    return CodedRequest("MISSING_PARAMETER", field, "it is missing")


def wrong(field: str, problem: str, allowed: str = "") -> CodedRequest:
    """A member is not what it may be."""
    return CodedRequest("INVALID_PARAMETER", field, problem, allowed)


def asked(struct: type[S], octets: bytes, *, limit: int) -> S:
    """What a caller's body of `limit` octets at most asks for. Raises `CodedRequest`."""
    if len(octets) > limit:
        raise wrong("body", f"it has {len(octets)} octets", f"up to {limit}")
    try:
        return reading.exact(struct, octets)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$")
    except reading.NOT_JSON:
        problem, path = "it is not JSON", ""
    if not (field := path.strip("`.")):
        raise CodedRequest("INVALID_REQUEST", "body", problem, "an object of JSON")
    raise wrong(field, problem[:1].lower() + problem[1:])


def body(
    code: str,
    *,
    message: str = "",
    developer_message: str = "",
    request_id: str = "",
    http_status: int = 0,
) -> ErrorBody:
    """The body of a refusal. `http_status` is that of the code, unless it is given."""
    return ErrorBody(
        code=code,
        http_status=http_status or HTTP[code],
        message=message or MESSAGES[code],
        developer_message=developer_message or None,
        request_id=request_id or None,
    )


def read(http_status: int, octets: bytes) -> ErrorBody:
    """What a refusal says, which may be nothing: an empty code, with the status that it came
    with. Raises nothing, since a proxy's page is a refusal, too."""
    try:
        found = reading.read(ErrorBody, octets, limit=65_536)
    except RemoteProtocolError:
        found = ErrorBody()
    return found if found.http_status else _with_status(found, http_status)


def _with_status(found: ErrorBody, http_status: int) -> ErrorBody:
    return ErrorBody(
        code=found.code,
        http_status=http_status,
        message=found.message,
        developer_message=found.developer_message,
        more_info=found.more_info,
        request_id=found.request_id,
    )
