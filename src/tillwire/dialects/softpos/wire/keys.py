"""Keys: those that applications sign with, and the set of those that their assertions are encrypted
to (`GET /softpos/par/jwks.json`, RFC 7517).

The vendor's set says of a key `kty`, `kid`, `use`, `n` and `e`; ours says `alg`, too. Its order
means nothing in the source; ours begins with the newest key.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from tillwire.dialects.softpos.wire import reading
from tillwire.errors import LocalProtocolError, RemoteProtocolError

SHORTEST: Final = 2048
LONGEST: Final = 8192
"""Bits of a key."""
KEY_ALGORITHM: Final = "RSA-OAEP-256"

_MOST_KEYS: Final = 32
_BAD_KEY: Final = (JoseError, ValueError, TypeError, KeyError)

_Word = Annotated[str, msgspec.Meta(max_length=256)]
_Number = Annotated[str, msgspec.Meta(max_length=2 * LONGEST // 8)]


class NamedKey(NamedTuple):
    """A key and what it is called."""

    kid: str
    """Empty if it has no name."""
    key: RSAKey


class _Entry(msgspec.Struct, frozen=True):
    kty: _Word = ""
    use: _Word | None = None
    alg: _Word | None = None
    kid: _Word | None = None
    n: _Number = ""
    e: _Word = ""


class _Set(msgspec.Struct, frozen=True):
    keys: Annotated[tuple[Any, ...], msgspec.Meta(max_length=_MOST_KEYS)]  # Any: looked at singly


def load(pem: str) -> RSAKey:
    """The key in a PEM text: private, public, or a certificate's. Raises `LocalProtocolError`."""
    try:
        return RSAKey.import_key(pem)
    except _BAD_KEY:
        raise LocalProtocolError("It is no RSA key in PEM, or has a passphrase.") from None


def write_set(keys: Iterable[NamedKey]) -> bytes:
    """The set with the public halves of `keys`, in their order."""
    entries = []
    for kid, key in keys:
        public = key.as_dict(private=False)
        entries.append(
            {
                "kty": "RSA",
                "kid": kid,
                "use": "enc",
                "alg": KEY_ALGORITHM,
                "n": public["n"],
                "e": public["e"],
            }
        )
    return reading.encode({"keys": entries})


def read_set(octets: bytes) -> tuple[NamedKey, ...]:
    """The keys of a set that assertions can be encrypted to, in its order; others are ignored
    (RFC 7517 section 5). Raises `RemoteProtocolError`, also when there is none."""
    entries = reading.answered(_Set, octets).keys
    found = tuple(key for key in map(_read, entries) if key is not None)
    if not found:
        raise RemoteProtocolError("There is no RSA key for encryption in the set.")
    return found


def _read(loose: Any) -> NamedKey | None:
    try:
        entry = msgspec.convert(loose, _Entry)
        if entry.kty != "RSA" or entry.use not in (None, "enc"):
            return None
        if entry.alg not in (None, KEY_ALGORITHM):
            return None
        key = RSAKey.import_key({"kty": "RSA", "n": entry.n, "e": entry.e})
        bits = key.public_key.key_size
    except (msgspec.ValidationError, *_BAD_KEY):
        return None
    return NamedKey(entry.kid or "", key) if SHORTEST <= bits <= LONGEST else None
