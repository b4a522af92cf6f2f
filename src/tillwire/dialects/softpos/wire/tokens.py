"""`POST /softpos/appenrollment/token`: an application's id and secret for a bearer token that lives
an hour (source 001; RFC 6749 section 4.4), and how our own tokens are made and read.

Ours name the certificate that they were given to (RFC 8705 section 3), so a stolen one is of no use
without its key. They end with the second in `exp`, without tolerance.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from tillwire.dialects.softpos.wire import reading
from tillwire.errors import InvalidRequest, NotPermitted, RemoteProtocolError

GRANT: Final = "client_credentials"
TOKEN_SECONDS: Final = 3_600
"""How long a bearer token of the vendor's is good for."""
LONGEST: Final = 4_096
"""Characters of a bearer token at most."""

_TYPE: Final = "at+jwt"
_ALGORITHM: Final = "HS256"


class TokenRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An application says who it is."""

    client_id: str
    client_secret: str


class TokenAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What it gets."""

    access_token: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST)]
    token_type: str = "Bearer"  # noqa: S105  # no secret
    expires_in: Annotated[int, msgspec.Meta(ge=1, le=31_536_000)] = TOKEN_SECONDS
    """Seconds."""


class TokenError(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What it gets instead (RFC 6749 section 5.2)."""

    error: str
    error_description: str = ""


class UnsupportedGrant(InvalidRequest):
    """The request is not valid."""


class TokenRefused(NotPermitted):
    """The bearer token was refused."""


def read_token_request(form: bytes) -> TokenRequest:
    """Who an application says it is. Raises `InvalidRequest`, `UnsupportedGrant`."""
    fields = reading.read_form(form)
    if reading.needed(fields, "grant_type") != GRANT:
        raise UnsupportedGrant("grant_type", "it is no grant known here", GRANT)
    return TokenRequest(
        client_id=reading.needed(fields, "client_id"),
        client_secret=reading.needed(fields, "client_secret"),
    )


def write_token_request(request: TokenRequest) -> bytes:
    """The form that asks for a token."""
    fields = {"client_id": request.client_id, "client_secret": request.client_secret}
    return reading.write_form({"grant_type": GRANT, **fields})


def read_token_answer(octets: bytes) -> TokenAnswer:
    """The token that was given. Raises `RemoteProtocolError`."""
    answer = reading.answered(TokenAnswer, octets)
    if answer.token_type.lower() != "bearer":
        raise RemoteProtocolError("The access token is no bearer token.")
    if not answer.access_token.isascii() or not answer.access_token.isprintable():
        raise RemoteProtocolError("The access token cannot be put into a header.")
    return answer


# --- our own tokens ---------------------------------------------------------------------------


class Confirmation(msgspec.Struct, frozen=True):
    """Whose token it is (RFC 8705 section 3.1)."""

    certificate: str = msgspec.field(name="x5t#S256")
    """SHA-256 of the certificate, hexadecimal."""


class AccessClaims(msgspec.Struct, frozen=True, kw_only=True):
    """What a token of ours says."""

    client_id: str = msgspec.field(name="sub")
    profile: str = msgspec.field(name="prf")
    """Staging or production."""
    confirmation: Confirmation = msgspec.field(name="cnf")
    issued_at: int = msgspec.field(name="iat")
    expires_at: int = msgspec.field(name="exp")
    token_id: str = msgspec.field(name="jti")


def make_access_token(claims: AccessClaims, key: bytes) -> str:
    """A bearer token that says `claims`, signed with `key`."""
    header = {"alg": _ALGORITHM, "typ": _TYPE}
    oct_key = OctKey.import_key(key)
    return jws.serialize_compact(header, reading.encode(claims), oct_key, [_ALGORITHM])


def read_access_token(text: str, key: bytes, *, now: int) -> AccessClaims:
    """What a bearer token of ours says. Raises `TokenRefused`."""
    if not text or len(text) > LONGEST or not text.isascii():
        raise TokenRefused("it is missing or too long")
    registry = jws.JWSRegistry(algorithms=[_ALGORITHM])
    try:
        found = jws.deserialize_compact(text, OctKey.import_key(key), registry=registry)
        claims = msgspec.json.decode(found.payload, type=AccessClaims)
    except (JoseError, ValueError, TypeError, KeyError, *reading.NOT_JSON):
        raise TokenRefused("it is not by us") from None
    if found.headers().get("typ") != _TYPE:
        raise TokenRefused("it is of another kind")
    if claims.expires_at <= now:
        raise TokenRefused("it has expired")
    return claims
