"""Applications: programs of an organisation that prove themselves with a key of their own.

The application keeps the private key and signs assertions with it (RS256, source 000); the estate
holds the public one, so nothing in it opens anything. The one place that reads such keys, and that
makes pairs of them. Checking a signature is the face's.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection
from typing import Final

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)

from tillwire.clock import Instant
from tillwire.core.estate import Estate
from tillwire.core.estate_model import Application, Hook
from tillwire.core.ports import Clock
from tillwire.errors import Conflict, InvalidRequest, NotFound
from tillwire.estate.keys import check_label

CLOUD_MESSAGES: Final = "cloud-messages:write"
PERMISSIONS: Final = {CLOUD_MESSAGES: "send payments to terminals (Payment Bridge)"}
"""What an application can be allowed beside reading what is its organisation's."""

SHORTEST_KEY: Final = 2048
LONGEST_KEY: Final = 8192
"""Bits of an RSA key: less is weak, more is slow to check for every token."""
LARGEST_KEY_FILE: Final = 1 << 16
"""Bytes."""

_MADE_BITS: Final = 3072
_RSA_EXPONENT: Final = 65537
_PREFIX: Final = "urn:aid:"
_ID = re.compile(r"urn:aid:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_KEY_ALLOWED: Final = (
    f"an RSA public key of {SHORTEST_KEY} to {LONGEST_KEY} bits in PEM, or a certificate of one"
)


def new_application(
    organisation_id: str,
    name: str,
    public_key: bytes,
    clock: Clock,
    *,
    application_id: str = "",
    permissions: Collection[str] = (CLOUD_MESSAGES,),
) -> Application:
    """An application of the organisation; its id is made unless there is one already.

    `public_key` is as `read_public_key` reads it, `application_id` as `read_application_id` does.
    Raises `InvalidRequest` (field `name`, `public_key`, `id` or `permissions`).
    """
    check_label(name, "name")
    unknown = sorted(set(permissions) - set(PERMISSIONS))
    if unknown:
        problem = f"there is no permission {unknown[0][:60]!r}"
        raise InvalidRequest("permissions", problem, ", ".join(PERMISSIONS))
    return Application(
        id=read_application_id(application_id) if application_id else _made_id(clock),
        organisation_id=organisation_id,
        name=name,
        public_key=read_public_key(public_key),
        permissions=tuple(sorted(set(permissions))),
        created_at=clock.now(),
    )


def check_new(estate: Estate, application: Application) -> None:
    """Raises `Conflict` when the id has been given to an application before, in whatever
    organisation: what was revoked stays so."""
    if application.id in estate.applications:
        raise Conflict(f"There is an application {application.id} already: take another id.")


def revoked(
    estate: Estate, application_id: str, now: Instant
) -> tuple[Application, tuple[Hook, ...]]:
    """The application without any right, and its hooks, which nobody is told through any more.

    Raises `InvalidRequest` (field `id`), `NotFound`, and `Conflict` when it is revoked already.
    """
    known = estate.applications.get(read_application_id(application_id))
    if known is None:
        raise NotFound(f"No application {application_id[:100]}.")
    if known.revoked_at is not None:
        raise Conflict(f"Application {known.id} ({known.name}) is revoked already.")
    hooks = tuple(
        msgspec.structs.replace(hook, active=False, updated_at=now, removed_at=now)
        for hook in estate.hooks.values()
        if hook.application_id == known.id and hook.removed_at is None
    )
    return msgspec.structs.replace(known, revoked_at=now), hooks


def read_application_id(text: str) -> str:
    """The application's id, `urn:aid:` and a UUID, in small letters. Portals hand it out as
    `<uuid>=urn:aid:<uuid>`, too. Raises `InvalidRequest` (field `id`)."""
    found = text.strip().rpartition("=")[2].lower()
    if not _ID.match(found):
        raise InvalidRequest("id", f"{text[:100]!r} is no application id", f"{_PREFIX}<uuid>")
    return found


def read_public_key(pem: bytes) -> str:
    """The public key in the one form in which it is kept (PEM, SubjectPublicKeyInfo).

    A certificate is read for its key only; its dates and its names count for nothing. Raises
    `InvalidRequest` (field `public_key`).
    """
    if b"PRIVATE KEY" in pem:
        problem = "this is a private key, which stays with the application"
        raise InvalidRequest("public_key", problem, _KEY_ALLOWED)
    try:
        key = (
            x509.load_pem_x509_certificate(pem).public_key()
            if b"BEGIN CERTIFICATE" in pem
            else load_pem_public_key(pem)
        )
    except (ValueError, UnsupportedAlgorithm):
        raise InvalidRequest("public_key", "it cannot be read", _KEY_ALLOWED) from None
    if not isinstance(key, RSAPublicKey):
        raise InvalidRequest("public_key", "it is not of RSA", _KEY_ALLOWED)
    if not SHORTEST_KEY <= key.key_size <= LONGEST_KEY:
        raise InvalidRequest("public_key", f"it has {key.key_size} bits", _KEY_ALLOWED)
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def new_key_pair(bits: int = _MADE_BITS) -> tuple[bytes, bytes]:
    """(private, public) of a new RSA key, in PEM. The private one is in the older of its forms
    (PKCS #1), which every client reads."""
    key = generate_private_key(_RSA_EXPONENT, bits)
    return (
        key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    )


def fingerprint(application: Application) -> str:
    """SHA-256 of the public key (DER), hexadecimal: how people tell keys apart."""
    key = load_pem_public_key(application.public_key.encode())
    digest = hashes.Hash(hashes.SHA256())
    digest.update(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    return digest.finalize().hex()


def _made_id(clock: Clock) -> str:
    # 38 digits are less than 2^128, all of whose bits a UUID could hold.
    return f"{_PREFIX}{uuid.UUID(int=int(clock.random_digits(38)), version=4)}"
