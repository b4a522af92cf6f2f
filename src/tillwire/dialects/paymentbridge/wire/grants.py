"""`POST /token`: what is asked for, as a form, and what is answered.

The vendor writes `grantType` and `refreshToken` for most grants, and `grant_type` for the code of a
merchant's consent; both are read for each.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias
from urllib.parse import parse_qsl, urlencode

import msgspec

from tillwire.dialects.paymentbridge.wire import reading
from tillwire.dialects.paymentbridge.wire.errors import CodedRequest, missing, wrong
from tillwire.dialects.paymentbridge.wire.tokens import LONGEST
from tillwire.errors import RemoteProtocolError

LARGEST_FORM: Final = 32_768
"""Octets of a form at most."""
TOKEN_SECONDS: Final = 86_400
"""How long an access token of the vendor's is good for."""

_MOST_FIELDS: Final = 20
_ASSERTION: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_REFRESH: Final = "REFRESH_TOKEN"
_CODE: Final = "authorization_code"


class AssertionGrant(msgspec.Struct, frozen=True):
    """An application says who it is."""

    assertion: str


class RefreshGrant(msgspec.Struct, frozen=True):
    """An application has been here before."""

    refresh_token: str


class CodeGrant(msgspec.Struct, frozen=True):
    """A merchant has consented; the application's assertion is in the Authorization header."""

    code: str
    client_id: str
    redirect_uri: str


Grant: TypeAlias = AssertionGrant | RefreshGrant | CodeGrant


class TokenAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an application gets."""

    access_token: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST)]
    expires_in: int = TOKEN_SECONDS
    """Seconds."""
    refresh_token: Annotated[str, msgspec.Meta(max_length=LONGEST)] | None = None
    scope: str | None = "ALL"
    token_type: str | None = "BEARER"  # noqa: S105  # no secret


def read_grant(form: bytes) -> Grant:
    """What a form asks for. Raises `CodedRequest`."""
    fields = _fields(form)
    kind = _needed(fields, "grantType", "grant_type")
    if kind == _ASSERTION:
        return AssertionGrant(_needed(fields, "assertion"))
    if kind.upper() == _REFRESH:
        return RefreshGrant(_needed(fields, "refreshToken", "refresh_token"))
    if kind == _CODE:
        code, client = _needed(fields, "code"), _needed(fields, "client_id", "clientId")
        return CodeGrant(code, client, fields.get("redirect_uri", ""))
    raise wrong("grantType", "it is no grant known here", f"{_ASSERTION} or {_REFRESH}")


def write_grant(grant: AssertionGrant | RefreshGrant) -> bytes:
    """The form that asks for it."""
    if isinstance(grant, AssertionGrant):
        return urlencode({"grantType": _ASSERTION, "assertion": grant.assertion}).encode()
    return urlencode({"grantType": _REFRESH, "refreshToken": grant.refresh_token}).encode()


def read_answer(octets: bytes) -> TokenAnswer:
    """The tokens that were given. Raises `RemoteProtocolError`."""
    answer = reading.read(TokenAnswer, octets, limit=65_536)
    if not answer.access_token.isascii() or not answer.access_token.isprintable():
        raise RemoteProtocolError("The access token cannot be put into a header.")
    return answer


def _fields(form: bytes) -> dict[str, str]:
    if len(form) > LARGEST_FORM:
        raise wrong("body", f"it has {len(form)} octets", f"up to {LARGEST_FORM}")
    try:
        pairs = parse_qsl(form.decode("ascii"), max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError:
        raise CodedRequest(
            "INVALID_REQUEST", "body", "it is no form", "application/x-www-form-urlencoded"
        ) from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise CodedRequest("INVALID_REQUEST", "body", "a field is there twice")
    return fields


def _needed(fields: dict[str, str], *names: str) -> str:
    value = next((fields[name] for name in names if name in fields), "")
    if not value:
        raise missing(names[0])
    if len(value) > LONGEST:
        raise wrong(names[0], f"it has {len(value)} characters", f"up to {LONGEST}")
    return value
