"""Who calls: assertions that applications sign themselves, and the tokens that they get for one.

An assertion is a JWT (RFC 7519) signed with RS256. What the vendor's own clients write differently
is accepted (source 000's SDKs): milliseconds for seconds, an `aud` that is a text or a list, any
order of header members, no `kid`, a life of a year. The algorithm is ours to choose and never the
token's. Our own tokens are signed with HS256: access tokens have `exp` in seconds, since clients
read it without a check; refresh tokens look opaque. One cannot pass for the other: `typ` differs.

Time is an argument, in seconds since 1970; so are ids and keys.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Collection
from typing import Annotated, Any, Final, TypeVar

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OctKey, RSAKey

from tillwire.dialects.paymentbridge.wire import ids, reading
from tillwire.dialects.paymentbridge.wire.errors import LoginFailed
from tillwire.dialects.paymentbridge.wire.fields import seconds
from tillwire.errors import LocalProtocolError

LONGEST: Final = 10_240
"""Characters of a token at most."""
LEEWAY: Final = 60
"""Seconds by which an application's clock may be wrong."""
ASSERTION_LIFE: Final = 300
"""Seconds that an assertion of ours is good for."""
RENEW_BEFORE: Final = 60
"""Seconds before its end at which a token is renewed, as the vendor's clients do."""

_MOST_AUDIENCES: Final = 8
_REFRESH: Final = "1:1:1:1:"
"""What the vendor's refresh tokens begin with."""
_ACCESS_TYPE: Final = "JWT"
_REFRESH_TYPE: Final = "refresh+jwt"

S = TypeVar("S", bound=msgspec.Struct)

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
_Moment = Annotated[float, msgspec.Meta(ge=0, le=1e15)]


class _Header(msgspec.Struct, frozen=True):
    alg: str
    typ: str = ""
    crit: Any = None  # whatever it is, it is refused


class _Assertion(msgspec.Struct, frozen=True):
    iss: _Text
    sub: _Text
    aud: _Text | Annotated[tuple[_Text, ...], msgspec.Meta(max_length=_MOST_AUDIENCES)]
    exp: _Moment
    nbf: _Moment = 0


class AccessClaims(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an access token says."""

    issuer: str = msgspec.field(name="iss")
    application_id: str = msgspec.field(name="sub")
    audience: str = msgspec.field(name="aud")
    """The application, again."""
    issued_at: int = msgspec.field(name="iat")
    expires_at: int = msgspec.field(name="exp")
    token_id: str = msgspec.field(name="jti")
    organisation: str = msgspec.field(name="poynt.org", default="")
    business: str = msgspec.field(name="poynt.biz", default="")
    store: str = msgspec.field(name="poynt.str", default="")
    """Of a token that a terminal got; so is `device`."""
    device: str = msgspec.field(name="poynt.did", default="")
    scheme: str = msgspec.field(name="poynt.sct", default="")


class RefreshClaims(msgspec.Struct, frozen=True, kw_only=True):
    """What a refresh token says."""

    application_id: str = msgspec.field(name="sub")
    issued_at: int = msgspec.field(name="iat")
    expires_at: int = msgspec.field(name="exp")
    token_id: str = msgspec.field(name="jti")


C = TypeVar("C", AccessClaims, RefreshClaims)


# --- assertions -------------------------------------------------------------------------------


def read_assertion(
    text: str,
    *,
    key_of: Callable[[str], str | None],
    audiences: Collection[str],
    now: int,
) -> str:
    """The id of the application that signed this assertion for one of the `audiences`.

    `key_of` says the public key (PEM) of an application, None if there is none. Raises
    `LoginFailed`.
    """
    signed = _signed(text, "RS256")
    claims = _claims(_Assertion, signed.payload)
    application = ids.application_id(claims.iss)
    if application is None or application != ids.application_id(claims.sub):
        raise LoginFailed("Issuer and subject must both be the application's id, urn:aid:<uuid>.")
    pem = key_of(application)
    if pem is None:
        raise LoginFailed(f"The issuer {application} is not known here.")
    if not _verified(signed, _public_key(pem), "RS256"):
        raise LoginFailed(f"The signature is not by the key of the issuer {application}.")
    named = (claims.aud,) if isinstance(claims.aud, str) else claims.aud
    meant = {each.rstrip("/") for each in audiences}
    if not any(each.rstrip("/") in meant for each in named):
        raise LoginFailed("The audience is another one.")
    if seconds(claims.exp) + LEEWAY <= now:
        raise LoginFailed("The assertion has expired.")
    if seconds(claims.nbf) - LEEWAY > now:
        raise LoginFailed("The assertion is not valid yet.")
    return application


def make_assertion(application: str, private_key: str, *, audience: str, now: int, jti: str) -> str:
    """An assertion by `application`, signed with its private key (PEM), for `audience`.

    Raises `LocalProtocolError` when the key is no RSA key.
    """
    claims = {
        "iss": application,
        "sub": application,
        "aud": audience,
        "iat": now,
        "exp": now + ASSERTION_LIFE,
        "jti": jti,
    }
    try:
        key = RSAKey.import_key(private_key)
        return jws.serialize_compact(
            {"alg": "RS256", "typ": "JWT"}, reading.encode(claims), key, ["RS256"]
        )
    except (JoseError, ValueError, TypeError):
        raise LocalProtocolError("The application's private key cannot sign.") from None


# --- our own tokens ---------------------------------------------------------------------------


def make_access_token(claims: AccessClaims, key: bytes) -> str:
    """A bearer token that says `claims`, signed with `key`."""
    return _made(claims, _ACCESS_TYPE, key)


def read_access_token(text: str, key: bytes, *, now: int) -> AccessClaims:
    """What a bearer token of ours says. Raises `LoginFailed`, with INVALID_ACCESS_TOKEN."""
    try:
        return _ours(AccessClaims, text, _ACCESS_TYPE, key, now)
    except LoginFailed as error:
        raise LoginFailed(error.detail, "INVALID_ACCESS_TOKEN") from None


def make_refresh_token(claims: RefreshClaims, key: bytes) -> str:
    """A refresh token that says `claims`, signed with `key`."""
    return _REFRESH + _made(claims, _REFRESH_TYPE, key)


def read_refresh_token(text: str, key: bytes, *, now: int) -> RefreshClaims:
    """What a refresh token of ours says. Raises `LoginFailed`, with INVALID_REFRESH_TOKEN."""
    try:
        return _ours(RefreshClaims, text.removeprefix(_REFRESH), _REFRESH_TYPE, key, now)
    except LoginFailed as error:
        raise LoginFailed(error.detail, "INVALID_REFRESH_TOKEN") from None


def expiry(access_token: str) -> int | None:
    """The second at which somebody else's access token ends; None if it does not say. It is not
    checked: whoever issued it does that."""
    try:
        payload = access_token.split(".")[1]
        octets = binascii.a2b_base64(payload + "=" * (-len(payload) % 4), strict_mode=False)
        return seconds(reading.exact(_Expiry, octets).exp)
    except (IndexError, ValueError, msgspec.MsgspecError, RecursionError):
        return None


class _Expiry(msgspec.Struct, frozen=True):
    exp: _Moment


# --- signatures -------------------------------------------------------------------------------


def _signed(text: str, algorithm: str) -> jws.CompactSignature:
    """A compact signature, not yet verified. Raises `LoginFailed`."""
    if not text or len(text) > LONGEST:
        raise LoginFailed(f"A token has 1 to {LONGEST} characters.")
    try:
        found = jws.extract_compact(text.encode("ascii"))
        header = msgspec.convert(found.protected, _Header)
    except (JoseError, ValueError, TypeError, KeyError, RecursionError):
        raise LoginFailed("It is not a signed JSON web token.") from None
    if header.alg != algorithm or header.crit is not None:
        raise LoginFailed(f"It is not signed with {algorithm} alone.")
    return found


def _claims(struct: type[S], payload: bytes) -> S:
    try:
        return reading.exact(struct, payload)
    except (msgspec.ValidationError, *reading.NOT_JSON) as error:
        raise LoginFailed(f"Its claims cannot be read: {error}.") from None


def _public_key(pem: str) -> RSAKey:
    try:
        return RSAKey.import_key(pem)
    except (JoseError, ValueError, TypeError):
        raise LoginFailed("The application's key is no RSA key.") from None


def _verified(signed: jws.CompactSignature, key: RSAKey | OctKey, algorithm: str) -> bool:
    try:
        # Header members that are unknown are ignored (RFC 7515 section 4).
        registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
        return jws.validate_compact(signed, key, registry=registry)
    except (JoseError, ValueError, TypeError):
        return False


def _made(claims: msgspec.Struct, kind: str, key: bytes) -> str:
    header = {"alg": "HS256", "typ": kind}
    return jws.serialize_compact(header, reading.encode(claims), OctKey.import_key(key), ["HS256"])


def _ours(struct: type[C], text: str, kind: str, key: bytes, now: int) -> C:
    signed = _signed(text, "HS256")
    if signed.protected.get("typ") != kind:
        raise LoginFailed("It is a token of another kind.")
    if not _verified(signed, OctKey.import_key(key), "HS256"):
        raise LoginFailed("It is not by us.")
    claims = _claims(struct, signed.payload)
    if claims.expires_at <= now:
        raise LoginFailed("It has expired.")
    return claims
