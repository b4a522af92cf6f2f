"""Secrets: API keys of organisations, and the tokens with which terminals poll us.

The one place that makes them. A secret is returned once, to be shown once; only its SHA-256 is
kept. It carries 256 random bits, so no slow hash is needed. Comparing is the caller's: look the
digest up, which tells an attacker nothing of the secret.
"""

from __future__ import annotations

import hashlib
import unicodedata
from typing import Final

from tillwire.clock import Instant
from tillwire.core.estate_model import ApiKey
from tillwire.core.ports import Clock
from tillwire.errors import InvalidRequest

API_KEY_PREFIX: Final = "tw_"
DEVICE_TOKEN_PREFIX: Final = "twd_"  # noqa: S105 - what secrets begin with, not one of them
"""Prefixes let people and secret scanners see what a string is."""

LONGEST_LABEL: Final = 100
"""Characters of a key's label."""

_SECRET_BYTES: Final = 32
_ID_DIGITS: Final = 15
"""A key's id has up to 15 digits: below 2^53, so that every JSON parser keeps it whole."""


def new_api_key(
    organisation_id: str,
    label: str,
    clock: Clock,
    valid_from: Instant | None = None,
    valid_until: Instant | None = None,
) -> tuple[ApiKey, str]:
    """A new key of the organisation, and its secret, which cannot be had again.

    Raises `InvalidRequest` for field `label` (empty, too long, control characters) or
    `validity.until` (not after `valid_from`).
    """
    check_label(label)
    if valid_from is not None and valid_until is not None and valid_until <= valid_from:
        raise InvalidRequest(
            "validity.until", "the validity ends before it begins", "a moment after validity.from"
        )
    secret = API_KEY_PREFIX + clock.token(_SECRET_BYTES)
    key = ApiKey(
        id=int(clock.random_digits(_ID_DIGITS)) + 1,
        organisation_id=organisation_id,
        label=label,
        digest=digest_of(secret),
        created_at=clock.now(),
        valid_from=valid_from,
        valid_until=valid_until,
    )
    return key, secret


def check_label(label: str, field: str = "label") -> None:
    """Raises `InvalidRequest`, naming `field`, unless people can read and print the label."""
    allowed = f"1 to {LONGEST_LABEL} printable characters"
    if not label.strip():
        raise InvalidRequest(field, "it is empty", allowed)
    if len(label) > LONGEST_LABEL:
        raise InvalidRequest(field, f"it has {len(label)} characters", allowed)
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in label):
        raise InvalidRequest(field, "it has characters that cannot be printed", allowed)


def new_device_token(clock: Clock) -> tuple[bytes, str]:
    """(digest, secret) of a new polling token; the digest goes to `Terminal.device_digest`."""
    secret = DEVICE_TOKEN_PREFIX + clock.token(_SECRET_BYTES)
    return digest_of(secret), secret


def digest_of(secret: str) -> bytes:
    """The SHA-256 under which a secret is kept and looked up. Any text has one."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
