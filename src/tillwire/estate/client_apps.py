"""Client applications: backends of merchants that sign in over mutual TLS and ask for what happened
on terminals that they were given (SoftPOS, source 001).

An application is registered with one system, staging or production, under a certificate of its own:
its key signs the application's assertions, and it is what the handshake must show. The estate has
the certificate and the digest of the secret, so nothing in it opens anything. The keys that such
assertions are encrypted to are ours: at least two live ones, whose private halves the vault seals.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import uuid
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from tillwire.clock import Instant, instant
from tillwire.core.estate import Estate
from tillwire.core.estate_model import ClientApp, FormerSecret, SealedKey
from tillwire.core.ports import Clock, Unit, Vault
from tillwire.errors import Conflict, InvalidRequest, NotFound
from tillwire.estate.applications import new_key_pair, read_public_key
from tillwire.estate.certificates import is_authority
from tillwire.estate.keys import check_label, digest_of

PROFILES: Final = ("staging", "production")
"""The systems that there are. What belongs to one does not exist in the other."""
LIVE_KEYS: Final = 2
"""Keys of ours for a profile that are live at once."""
SOON: Final = 30 * 24 * 3_600_000
"""Milliseconds before a certificate expires, from when on it is told that it ends soon."""
MOST_TIDS: Final = 1_000
MOST_FORMER_SECRETS: Final = 4
"""Former secrets of an application that are good at once."""
LONGEST_OVERLAP: Final = 30 * 24 * 3_600_000
"""Milliseconds for which former secrets stay good at most."""

_SECRET_PREFIX: Final = "tws_"  # noqa: S105 - what secrets begin with, not one of them
_SECRET_BYTES: Final = 32
_KEY_BITS: Final = 2048
_TID = re.compile(r"[0-9]{8}\Z")
_POINT_OF_SALE = re.compile(r"[0-9A-Za-z._-]{1,64}\Z")
_CERTIFICATE_ALLOWED: Final = (
    "a certificate (PEM) of an RSA key of 2048 bits or more; `openssl pkcs7 -print_certs` makes it "
    "of a PKCS #7 file"
)


# --- registrations ------------------------------------------------------------------------------


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A registration as people ask for it."""

    organisation_id: str
    name: str
    profile: str
    certificate: bytes
    """PEM."""
    tids: Sequence[str]
    point_of_sale: str = ""
    redirect_uris: Sequence[str] = ()


def check_wanted(wanted: Wanted) -> None:
    """All but the certificate, which may not be made yet. Raises `InvalidRequest` (field `name`,
    `profile`, `tid`, `point_of_sale` or `redirect_uri`)."""
    check_label(wanted.name, "name")
    check_profile(wanted.profile)
    _tids(wanted.tids)
    _point_of_sale(wanted.point_of_sale)
    for each in wanted.redirect_uris:
        _redirect(each)


def check_profile(profile: str) -> None:
    """Raise `InvalidRequest` (field `profile`) unless it is one."""
    if profile not in PROFILES:
        problem = f"there is no profile {profile[:60]!r}"
        raise InvalidRequest("profile", problem, " or ".join(PROFILES))


def new_client_app(wanted: Wanted, clock: Clock) -> tuple[ClientApp, str]:
    """The registration, and its secret, which cannot be had again. Raises `InvalidRequest` (as
    `check_wanted`, and field `certificate`)."""
    check_wanted(wanted)
    pem, digest = read_certificate(wanted.certificate, clock.now())
    secret = new_secret(clock)
    made = ClientApp(
        id=str(uuid.UUID(int=int(clock.random_digits(38)), version=4)),
        organisation_id=wanted.organisation_id,
        name=wanted.name,
        profile=wanted.profile,
        secret_digest=digest_of(secret),
        certificate=pem,
        certificate_digest=digest,
        point_of_sale=wanted.point_of_sale,
        redirect_uris=tuple(wanted.redirect_uris),
        tids=_tids(wanted.tids),
        created_at=clock.now(),
    )
    return made, secret


def changed(
    known: ClientApp,
    now: Instant,
    *,
    tids: Sequence[str] | None = None,
    certificate: bytes | None = None,
    point_of_sale: str | None = None,
    redirect_uris: Sequence[str] | None = None,
) -> ClientApp:
    """The registration with what is given in place of what it had. Raises `InvalidRequest` as
    `new_client_app` does, and `Conflict` when it is revoked."""
    if known.revoked_at is not None:
        raise Conflict(f"Application {known.id} ({known.name}) is revoked.")
    pem, digest = known.certificate, known.certificate_digest
    if certificate is not None:
        pem, digest = read_certificate(certificate, now)
    redirects = known.redirect_uris
    if redirect_uris is not None:
        redirects = tuple(_redirect(each) for each in redirect_uris)
    return msgspec.structs.replace(
        known,
        tids=known.tids if tids is None else _tids(tids),
        certificate=pem,
        certificate_digest=digest,
        point_of_sale=_point_of_sale(
            known.point_of_sale if point_of_sale is None else point_of_sale
        ),
        redirect_uris=redirects,
    )


def new_secret(clock: Clock) -> str:
    """A secret for an application."""
    return _SECRET_PREFIX + clock.token(_SECRET_BYTES)


def former_secrets(app: ClientApp, now: Instant) -> tuple[FormerSecret, ...]:
    """Those of the application that are still good, newest first."""
    return tuple(each for each in app.former_secrets if each.until > now)


def with_secret(known: ClientApp, secret: str, now: Instant, overlap: int) -> ClientApp:
    """The registration with another secret. All that are good now stay so for `overlap`
    milliseconds at most; 0: they end at once. Raises `InvalidRequest` (field `overlap`), and
    `Conflict` when too many would be good at once."""
    _check_overlap(overlap)
    present = FormerSecret(known.secret_digest, Instant(now + overlap))
    kept = (present, *_ending(known, now, overlap)) if overlap else ()
    if len(kept) > MOST_FORMER_SECRETS:
        raise Conflict(
            f"{MOST_FORMER_SECRETS} former secrets of application {known.id} ({known.name}) are "
            "still good: wait, or end them with --old-secrets-for 0."
        )
    return msgspec.structs.replace(known, secret_digest=digest_of(secret), former_secrets=kept)


def with_former_secrets_ending(known: ClientApp, now: Instant, overlap: int) -> ClientApp:
    """The registration whose former secrets end in `overlap` milliseconds, if they would be good
    for longer; 0: at once. Raises `InvalidRequest` (field `overlap`), and `Conflict` when none is
    good."""
    _check_overlap(overlap)
    if not former_secrets(known, now):
        raise Conflict(f"Application {known.id} ({known.name}) has no former secret that is good.")
    return msgspec.structs.replace(known, former_secrets=_ending(known, now, overlap))


def _ending(known: ClientApp, now: Instant, overlap: int) -> tuple[FormerSecret, ...]:
    end = Instant(now + overlap)
    good = former_secrets(known, now)
    return (
        tuple(FormerSecret(each.digest, min(each.until, end)) for each in good) if overlap else ()
    )


def _check_overlap(overlap: int) -> None:
    if not 0 <= overlap <= LONGEST_OVERLAP:
        raise InvalidRequest(
            "overlap", "it is no such time", f"0 to {LONGEST_OVERLAP} milliseconds"
        )


def named(estate: Estate, client_id: str) -> ClientApp:
    """The application of this client id. Raises `NotFound`."""
    known = estate.client_apps.get(client_id.strip().lower())
    if known is None:
        raise NotFound(f"No application {client_id[:100]!r}: `tillwire softpos list` lists them.")
    return known


def check_new(estate: Estate, app: ClientApp) -> None:
    """Of one that is new, or changed. Raises `NotFound` as `check_tids` does, and `Conflict` when
    the certificate is of another application that is not revoked: it names one of them."""
    before = estate.client_apps.get(app.id)
    # Those that it has stay its own when their terminals are removed: it asks for what was paid.
    had = before.tids if before is not None else ()
    check_tids(estate, app.organisation_id, [each for each in app.tids if each not in had])
    for other in estate.client_apps.values():
        same = other.certificate_digest == app.certificate_digest
        if same and other.revoked_at is None and other.id != app.id:
            raise Conflict(f"The certificate is that of application {other.id} ({other.name}).")


def check_tids(estate: Estate, organisation_id: str, tids: Sequence[str]) -> None:
    """Raise `NotFound` when one is no terminal of the organisation's."""
    for tid in tids:
        if estate.terminal_with_tid(organisation_id, tid) is None:
            raise NotFound(f"No terminal of {organisation_id} has the TID {tid}.")


def revoked(estate: Estate, client_id: str, now: Instant) -> ClientApp:
    """The application without any right. Raises `NotFound`, and `Conflict` when it is revoked
    already."""
    known = named(estate, client_id)
    if known.revoked_at is not None:
        raise Conflict(f"Application {known.id} ({known.name}) is revoked already.")
    return msgspec.structs.replace(known, revoked_at=now)


def read_certificate(pem: bytes, now: Instant) -> tuple[str, bytes]:
    """The certificate in the one form in which it is kept (PEM), and the SHA-256 of its DER. Of a
    chain, the first one counts. Raises `InvalidRequest` (field `certificate`), also when it has
    expired or is for something else: no handshake would take it."""
    if b"PRIVATE KEY" in pem:
        problem = "there is a private key in it, which stays with the application"
        raise InvalidRequest("certificate", problem, _CERTIFICATE_ALLOWED)
    try:
        found = x509.load_pem_x509_certificate(pem)
        text = found.public_bytes(Encoding.PEM)
    except ValueError:
        raise InvalidRequest("certificate", "it cannot be read", _CERTIFICATE_ALLOWED) from None
    problem = _problem_of(found, text, now)
    if pem.count(b"BEGIN CERTIFICATE") > 1 and is_authority(found):
        problem = "it begins with an authority's; the application's own must be the first"
    if problem:
        raise InvalidRequest("certificate", problem, _CERTIFICATE_ALLOWED)
    return text.decode(), hashlib.sha256(found.public_bytes(Encoding.DER)).digest()


def _problem_of(certificate: x509.Certificate, pem: bytes, now: Instant) -> str:
    """Why no application can have it; empty if one can."""
    if instant(certificate.not_valid_after_utc) <= now:
        return f"it has expired on {certificate.not_valid_after_utc:%Y-%m-%d}"
    try:
        read_public_key(pem)
    except UnsupportedAlgorithm:
        return "its key cannot be read"
    except InvalidRequest as error:
        return error.problem
    try:
        return _unfit(certificate.extensions)
    except ValueError:
        return "its extensions cannot be read"


def _unfit(extensions: x509.Extensions) -> str:
    """Why OpenSSL takes it for no client's. One that says nothing of its use is for everything."""
    with contextlib.suppress(x509.ExtensionNotFound):
        uses = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        if ExtendedKeyUsageOID.CLIENT_AUTH not in uses:
            return "it is none for clients (clientAuth)"
    with contextlib.suppress(x509.ExtensionNotFound):
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
        if not (usage.digital_signature or usage.key_agreement):
            return "its key is not for handshakes (digitalSignature)"
    return ""


def ends(app: ClientApp) -> Instant:
    """When its certificate expires, and its connections are refused."""
    return ending(app.certificate.encode())


def ending(pem: bytes) -> Instant:
    """When a certificate expires; of a chain, the first one. Raises `ValueError` if it is none."""
    return instant(x509.load_pem_x509_certificate(pem).not_valid_after_utc)


def _tids(given: Sequence[str]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(given))
    wrong = next((each for each in found if not _TID.match(each)), None)
    if not found or wrong is not None or len(found) > MOST_TIDS:
        problem = "none is given" if not found else f"{wrong!r} is no TID" if wrong else "too many"
        raise InvalidRequest("tid", problem, f"8 digits, 1 to {MOST_TIDS} of them")
    return found


def _point_of_sale(code: str) -> str:
    if code and not _POINT_OF_SALE.match(code):
        problem = f"{code[:60]!r} is no code"
        raise InvalidRequest("point_of_sale", problem, "up to 64 letters and digits")
    return code


def _redirect(uri: str) -> str:
    """An address that people are led back to: of the web, or a deep link of an app."""
    plain = uri.isascii() and uri.isprintable() and " " not in uri and len(uri) <= 2048
    try:
        parts = urlsplit(uri)
    except ValueError:  # of brackets that do not close
        plain = False
    if not plain or not parts.scheme or parts.fragment:
        raise InvalidRequest("redirect_uri", f"{uri[:60]!r} is no address", "https://... or app://")
    return uri


# --- keys of ours -------------------------------------------------------------------------------


def purpose(profile: str) -> str:
    """What the profile's keys are for."""
    return f"softpos {profile}"


def new_sealed_key(profile: str, vault: Vault, clock: Clock) -> SealedKey:
    """A new key for the profile, which takes a moment to make. Raises `JournalError`."""
    private, _ = new_key_pair(_KEY_BITS)
    return SealedKey(
        id=f"enc-{clock.token(9)}",
        purpose=purpose(profile),
        sealed=vault.seal(private.decode()),
        created_at=clock.now(),
    )


def add_key(unit: Unit, key: SealedKey) -> list[SealedKey]:
    """Put it into the estate as the newest; as many as may be live stay, the others are retired.
    Those that are live now, newest first."""
    before = unit.estate().live_keys(key.purpose)
    # Made in the same millisecond, or by a clock that was set, it is still the newest.
    newest = max((each.created_at for each in before), default=key.created_at - 1)
    added = msgspec.structs.replace(key, created_at=Instant(max(key.created_at, newest + 1)))
    unit.put(added)
    for each in before[LIVE_KEYS - 1 :]:
        unit.put(msgspec.structs.replace(each, retired_at=added.created_at))
    return [added, *before[: LIVE_KEYS - 1]]
