"""Octets to structures and back, within limits: JSON bodies and forms.

Whatever the octets, only `InvalidRequest` comes out of here for what a caller asks for, and
`RemoteProtocolError` for what a server answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, urlencode

import msgspec

from tillwire import pan
from tillwire.errors import InvalidRequest, RemoteProtocolError

S = TypeVar("S", bound=msgspec.Struct)

LARGEST_FORM: Final = 32_768
"""Octets of a form at most."""
LARGEST_ANSWER: Final = 262_144
"""Octets of an answer at most."""
NOT_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises when it is not JSON, not what it should be, or nested without end."""

_MOST_FIELDS: Final = 20
_LONGEST_FIELD: Final = 16_384


def answered(struct: type[S], octets: bytes) -> S:
    """What a server answers. Raises `RemoteProtocolError`."""
    if len(octets) > LARGEST_ANSWER:
        raise RemoteProtocolError(f"It has {len(octets)} octets; allowed are {LARGEST_ANSWER}.")
    try:
        return msgspec.json.decode(octets, type=struct)
    except NOT_JSON:
        raise RemoteProtocolError(f"It is no {struct.__name__}.") from None


def encode(part: msgspec.Struct | dict[str, Any]) -> bytes:
    """The object in JSON."""
    return msgspec.json.encode(part)


def read_form(octets: bytes) -> dict[str, str]:
    """The fields of a form. Read leniently, since the vendor's older sample escapes nothing.
    Raises `InvalidRequest` (field `body`)."""
    if len(octets) > LARGEST_FORM:
        raise InvalidRequest("body", f"it has {len(octets)} octets", f"up to {LARGEST_FORM}")
    try:
        pairs = parse_qsl(
            octets.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FIELDS
        )
    except ValueError:
        raise InvalidRequest("body", "it is no form", "application/x-www-form-urlencoded") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise InvalidRequest("body", "a field is there twice")
    return fields


def named(text: str) -> str:
    """What names something, without card numbers of known issuers (law 7): one in ten acquirer's
    references would pass for a card number otherwise, and books know payments by them."""
    return pan.masked(text) if pan.is_in(text) else text


def needed(fields: Mapping[str, str], name: str) -> str:
    """A field that must be there. Raises `InvalidRequest` with its name."""
    value = fields.get(name, "")
    if not value:
        raise InvalidRequest(name, "it is missing")
    if len(value) > _LONGEST_FIELD:
        raise InvalidRequest(name, f"it has {len(value)} characters", f"up to {_LONGEST_FIELD}")
    return value


def write_form(fields: Mapping[str, str]) -> bytes:
    """The form with these fields; those that are empty are left out."""
    return urlencode({name: value for name, value in fields.items() if value}).encode("ascii")
