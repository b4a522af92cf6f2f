"""What the backend refuses, in the words of source 001: `StandardResponse`, and for bad input
`ValidationErrorDTO` with a `FieldErrorDTO` for each field. `statusCode` is a text there.

`Refused` and `InvalidFields` are how this wire refuses what a caller sent; whoever serves it makes
the body of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from tillwire import pan
from tillwire.errors import InvalidRequest

LONGEST_MESSAGE: Final = 1_000

_Word = Annotated[str, msgspec.Meta(max_length=256)]
_Message = Annotated[str, msgspec.Meta(max_length=LONGEST_MESSAGE)]


class StandardResponse(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The body of most refusals."""

    status_code: str
    message: str


class FieldErrorDTO(msgspec.Struct, frozen=True):
    """What is wrong with one field."""

    field: _Word
    message: _Message


class ValidationErrorDTO(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True
):
    """The body of a refusal of bad input."""

    status_code: str
    message: str
    app_version_status: str | None = None
    """Its values are not published."""
    field_errors: tuple[FieldErrorDTO, ...]


class InvalidFields(InvalidRequest):
    """The request is not valid."""

    def __init__(self, errors: Sequence[FieldErrorDTO]) -> None:
        """One error at least."""
        self.errors = tuple(errors)
        super().__init__(errors[0].field, errors[0].message.rstrip("."))


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal as a client reads it, whichever of the bodies it has."""

    http_status: int
    status_code: str = ""
    message: str = ""
    field_errors: tuple[FieldErrorDTO, ...] = ()


class _Loose(msgspec.Struct, frozen=True, rename="camel"):
    status_code: _Word | int | None = None
    message: _Message | None = None
    error: _Word | None = None
    error_description: _Message | None = msgspec.field(name="error_description", default=None)
    field_errors: Annotated[tuple[FieldErrorDTO, ...], msgspec.Meta(max_length=100)] | None = None


def read_refusal(http_status: int, octets: bytes) -> Refusal:
    """What a refusal says, which may be nothing. Raises nothing, since a proxy's page is a refusal,
    too. Card numbers are cut."""
    try:
        loose = msgspec.json.decode(octets[:65_536], type=_Loose)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Refusal(http_status=http_status)
    code = loose.error if loose.status_code is None else str(loose.status_code)
    return Refusal(
        http_status=http_status,
        status_code=pan.masked(code or ""),
        message=pan.masked(loose.message or loose.error_description or ""),
        field_errors=tuple(
            FieldErrorDTO(pan.masked(each.field), pan.masked(each.message))
            for each in loose.field_errors or ()
        ),
    )


def is_standard(octets: bytes) -> bool:
    """Whether it is a `StandardResponse`: the backend's own word, which the page of a proxy or of
    another service is not."""
    try:
        msgspec.json.decode(octets[:65_536], type=StandardResponse)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
