"""`client_assertion`: claims, signed by the application (JWS, RS256), then encrypted to one of the
server's keys (JWE, RSA-OAEP-256 with A128CBC-HS256), both compact (source 001; RFC 7515, 7516).

The vendor's own clients name no key in either header, and one of them takes any key of the set: so
each live key is tried, the named one first. The algorithms are ours to choose and never the
token's. Time is an argument, in seconds since 1970.

What is checked, in this order: decryption, both headers' algorithms, the signature, the claims'
form, whose they are, for whom, when. That its `jti` is new comes next, and is the server's, since
it remembers them; then `check_terminals`. Each refusal has a reason for the log. Nothing but 401 is
told a caller, who could else try an assertion of somebody's out.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final, NoReturn

import msgspec
from joserfc import jwe, jws
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey
from joserfc.util import urlsafe_b64decode

from tillwire.dialects.softpos.wire import reading
from tillwire.dialects.softpos.wire.keys import KEY_ALGORITHM, NamedKey
from tillwire.errors import LocalProtocolError, NotPermitted

LONGEST: Final = 8_192
"""Characters of an assertion at most; one with a key of 2048 bits has about 1,600."""
LONGEST_LIFE: Final = 900
"""Seconds from `iat` to `exp` at most."""
LIFE: Final = 300
"""Seconds that an assertion of ours is good for, as the vendor recommends."""
LEEWAY: Final = 60
"""Seconds by which an application's clock may be wrong."""
MOST_TERMINALS: Final = 2
"""One SoftPOS and one mobile POS."""

_CONTENT: Final = "A128CBC-HS256"
_SIGNATURE: Final = "RS256"
_BAD_TOKEN: Final = (JoseError, ValueError, TypeError, KeyError, AssertionError, RecursionError)


class _Signatures(jws.JWSRegistry):
    """The one signature that there is, in tokens as long as ours may be: a chain of certificates in
    the header is none of ours, and ignored, but it is there."""

    max_header_length = LONGEST
    max_signature_length = LONGEST


_signatures: Final = _Signatures(algorithms=[_SIGNATURE], strict_check_header=False)
# Header members that are none of ours are ignored (RFC 7516 section 4).
_encryptions: Final = jwe.JWERegistry(
    algorithms=[KEY_ALGORITHM, _CONTENT], strict_check_header=False
)


class Reason(StrEnum):
    """Why an assertion was refused, for the log."""

    MISSING = "missing"
    TOO_LONG = "too_long"
    NOT_ENCRYPTED = "not_encrypted"
    ENCRYPTION_ALGORITHM = "encryption_algorithm"
    NO_KEY_OPENS_IT = "no_key_opens_it"
    NOT_SIGNED = "not_signed"
    SIGNATURE_ALGORITHM = "signature_algorithm"
    SIGNATURE = "signature"
    CLAIMS = "claims"
    ANOTHER_APPLICATION = "another_application"
    ANOTHER_POINT_OF_SALE = "another_point_of_sale"
    AUDIENCE = "audience"
    NOT_YET = "not_yet"
    EXPIRED = "expired"
    LIFE_TOO_LONG = "life_too_long"
    REPLAYED = "replayed"
    TERMINALS = "terminals"


class AssertionRefused(NotPermitted):
    """The client assertion was refused."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        """`detail` is for the log, and holds nothing secret."""
        self.reason = reason
        super().__init__(detail or reason.value.replace("_", " "))


_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
_Moment = Annotated[int, msgspec.Meta(ge=0, le=10**14)]


class Claims(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an assertion says."""

    app_id: _Text = msgspec.field(name="appId")
    point_of_sale: str = msgspec.field(name="pointOfSale", default="")
    terminal_ids: tuple[str, ...]
    merchant_username: str = msgspec.field(name="app_username_merchant", default="")
    """With Cloud Authentication alone; so is `device_id`."""
    device_id: str = msgspec.field(name="app_deviceid", default="")
    issuer: _Text = msgspec.field(name="iss")
    subject: _Text = msgspec.field(name="sub")
    audience: _Text = msgspec.field(name="aud")
    issued_at: _Moment = msgspec.field(name="iat")
    """Seconds since 1970; so is `expires_at`."""
    expires_at: _Moment = msgspec.field(name="exp")
    token_id: _Text = msgspec.field(name="jti")
    not_before: _Moment = msgspec.field(name="nbf", default=0)
    """Of RFC 7519; source 001 has none."""


_claims: Final = msgspec.json.Decoder(Claims)


def claims_for(
    app_id: str,
    terminal_ids: Sequence[str],
    *,
    audience: str,
    now: int,
    jti: str,
    life: int = LIFE,
    point_of_sale: str = "",
    merchant_username: str = "",
    device_id: str = "",
) -> Claims:
    """The claims of an application about its terminals, for the server whose base URL is
    `audience`."""
    return Claims(
        app_id=app_id,
        point_of_sale=point_of_sale,
        terminal_ids=tuple(terminal_ids),
        merchant_username=merchant_username,
        device_id=device_id,
        issuer=app_id,
        subject=app_id,
        audience=audience,
        issued_at=now,
        expires_at=now + life,
        token_id=jti,
    )


# --- writing ----------------------------------------------------------------------------------


def make_assertion(
    claims: Claims, signing_key: RSAKey, recipient: NamedKey, *, name_key: bool = False
) -> str:
    """The claims, signed and encrypted. `name_key`: the outer header says which key of the set it
    is for, which is legal, but not known to be accepted by the vendor.

    Raises `LocalProtocolError` when a key cannot be used.
    """
    header = {"alg": KEY_ALGORITHM, "enc": _CONTENT}
    if name_key and recipient.kid:
        header["kid"] = recipient.kid
    try:
        signed = jws.serialize_compact(
            {"alg": _SIGNATURE}, reading.encode(claims), signing_key, [_SIGNATURE]
        )
        return jwe.encrypt_compact(header, signed, recipient.key, [KEY_ALGORITHM, _CONTENT])
    except _BAD_TOKEN:
        raise LocalProtocolError("The client assertion cannot be made with these keys.") from None


# --- reading ----------------------------------------------------------------------------------


class _Outer(msgspec.Struct, frozen=True):
    alg: str
    enc: str
    kid: str = ""
    zip: Any = None  # whatever they are, they are refused
    crit: Any = None


class _Inner(msgspec.Struct, frozen=True):
    alg: str
    crit: Any = None


def read_assertion(
    text: str,
    *,
    keys: Sequence[NamedKey],
    public_key: RSAKey,
    client_id: str,
    audiences: Collection[str],
    now: int,
    point_of_sale: str = "",
) -> Claims:
    """What an assertion of the application `client_id` says, whose registered key is `public_key`.

    `keys` are all live private keys of the server, `audiences` its base URLs. The caller sees to it
    that `jti` is new, then to `check_terminals`. Raises `AssertionRefused`.
    """
    signed = _opened(text, keys)
    claims = _verified(signed, public_key)
    _check_whose(claims, client_id, point_of_sale)
    meant = {each.rstrip("/") for each in audiences}
    if claims.audience.rstrip("/") not in meant:
        raise AssertionRefused(Reason.AUDIENCE, f"it is for {claims.audience!r}")
    _check_times(claims, now)
    return claims


def check_terminals(claims: Claims, allowed: Collection[str]) -> None:
    """Raise `AssertionRefused` unless it names one or two terminals of the application's."""
    named = claims.terminal_ids
    if not 1 <= len(named) <= MOST_TERMINALS:
        raise AssertionRefused(Reason.TERMINALS, f"{len(named)} terminals are named")
    if not all(len(each) == 8 and each.isascii() and each.isdecimal() for each in named):
        raise AssertionRefused(Reason.TERMINALS, "a TID has 8 digits")
    if not set(named) <= set(allowed):
        raise AssertionRefused(Reason.TERMINALS, "a TID is not the application's")


def _opened(text: str, keys: Sequence[NamedKey]) -> bytes:
    """The signed token inside."""
    if not text:
        raise AssertionRefused(Reason.MISSING)
    if len(text) > LONGEST:
        raise AssertionRefused(Reason.TOO_LONG, f"{len(text)} characters")
    if text.count(".") != 4 or not text.isascii():
        raise AssertionRefused(Reason.NOT_ENCRYPTED)
    header = _outer(text)
    named = [key for key in keys if header.kid and key.kid == header.kid]
    others = [key for key in keys if key not in named]
    for each in named + others:
        try:
            found = jwe.decrypt_compact(text, each.key, registry=_encryptions).plaintext
        except _BAD_TOKEN:
            continue
        if found is not None:
            return found
    raise AssertionRefused(Reason.NO_KEY_OPENS_IT)


def _outer(text: str) -> _Outer:
    try:
        octets = urlsafe_b64decode(text.partition(".")[0].encode())
        header = msgspec.json.decode(octets, type=_Outer)
    except (ValueError, *reading.NOT_JSON):
        raise AssertionRefused(Reason.NOT_ENCRYPTED) from None
    if header.alg != KEY_ALGORITHM or header.enc != _CONTENT:
        raise AssertionRefused(Reason.ENCRYPTION_ALGORITHM)
    if header.zip is not None or header.crit is not None:
        raise AssertionRefused(Reason.ENCRYPTION_ALGORITHM, "zip and crit are not for here")
    return header


def _verified(signed: bytes, public_key: RSAKey) -> Claims:
    try:
        found = jws.extract_compact(signed, registry=_signatures)
        header = msgspec.convert(found.protected, _Inner)
    except (*_BAD_TOKEN, msgspec.ValidationError):
        raise AssertionRefused(Reason.NOT_SIGNED) from None
    if header.alg != _SIGNATURE or header.crit is not None:
        raise AssertionRefused(Reason.SIGNATURE_ALGORITHM)
    try:
        good = jws.validate_compact(found, public_key, registry=_signatures)
    except _BAD_TOKEN:
        good = False
    if not good:
        raise AssertionRefused(Reason.SIGNATURE)
    try:
        return _claims.decode(found.payload)
    except reading.NOT_JSON as error:
        _refuse_claims(error)


def _refuse_claims(error: Exception) -> NoReturn:
    # Of msgspec's own words: which member, and what kind it should be; no values.
    detail = str(error) if isinstance(error, msgspec.ValidationError) else "not JSON"
    raise AssertionRefused(Reason.CLAIMS, detail) from None


def _check_whose(claims: Claims, client_id: str, point_of_sale: str) -> None:
    if not claims.issuer == claims.subject == claims.app_id == client_id:
        raise AssertionRefused(Reason.ANOTHER_APPLICATION)
    if point_of_sale and claims.point_of_sale not in ("", point_of_sale):
        raise AssertionRefused(Reason.ANOTHER_POINT_OF_SALE)


def _check_times(claims: Claims, now: int) -> None:
    if claims.expires_at <= claims.issued_at:
        raise AssertionRefused(Reason.CLAIMS, "exp is not behind iat")
    if max(claims.issued_at, claims.not_before) > now + LEEWAY:
        raise AssertionRefused(Reason.NOT_YET)
    if claims.expires_at <= now - LEEWAY:
        raise AssertionRefused(Reason.EXPIRED)
    if claims.expires_at - claims.issued_at > LONGEST_LIFE:
        raise AssertionRefused(Reason.LIFE_TOO_LONG)
