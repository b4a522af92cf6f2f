"""The sandbox's own certificate authorities, and the certificate of its TLS listeners.

Made at the first start and kept as long as they are good, so that a till which was given the
authority once goes on trusting it. The authority's key stays in the sandbox's folder, readable by
its owner alone, and vouches for nothing but this machine's loopback names. Clients' certificates
come from an authority of their own.
"""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from tillwire.estate import certificates
from tillwire.sandbox.keyring import write_private
from tillwire.sandbox.virtual_estate import NEXO_POI

FOLDER: Final = "tls"
SERVER_NAME: Final = f"{NEXO_POI}.test.terminal.adyen.com"
"""The server certificate's common name. Clients of Adyen's local protocol look at nothing else: it
must be `<model>-<serial>.test.terminal.adyen.com`, whatever the host is called. Everybody else
looks at the subject's alternative names, which are this machine's."""
RENEW_BEFORE: Final = timedelta(days=30)
"""What ends sooner than this is replaced at a start."""

_SERVER_LIVES: Final = timedelta(days=397)
"""As long as the strictest clients accept."""
_AUTHORITY: Final = "tillwire sandbox authority"
_OF_CLIENTS: Final = "tillwire sandbox authority for clients"
_NAME: Final = certificates.named(SERVER_NAME)
_NAMES: Final = (
    x509.DNSName("localhost"),
    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    x509.IPAddress(ipaddress.ip_address("::1")),
)


class Certificates(msgspec.Struct, frozen=True):
    """Where they are, absolutely."""

    authority: Path
    """PEM: what clients trust."""
    server: Path
    """PEM: the server's key and certificate."""
    client_authority: Path
    """PEM: whose certificates clients must show."""


class _Held(msgspec.Struct, frozen=True):
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def pem(self) -> bytes:
        """Both, the key first."""
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return key + self.certificate.public_bytes(Encoding.PEM)


def ensure(directory: Path, now: datetime | None = None) -> Certificates:
    """The certificates in the sandbox's `directory`; those that are missing, damaged or about to
    end are made anew. Raises `OSError`."""
    now = now or datetime.now(UTC)
    folder = directory / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    found = Certificates(
        authority=folder / "ca.pem",
        server=folder / "server.pem",
        client_authority=folder / "client-ca.pem",
    )
    authority = _ensured_authority(folder / "ca-key.pem", found.authority, _AUTHORITY, now)
    _ensured_authority(_client_secret(directory), found.client_authority, _OF_CLIENTS, now)
    server = _good(found.server, now)
    if server is None or not _vouched_for(server, authority):
        write_private(found.server, _server(authority, now).pem())
    return found


def client_authority(directory: Path) -> certificates.Issued:
    """Key and certificate of the authority for clients, which `ensure` has made. Raises
    `OSError`."""
    pem = _client_secret(directory).read_bytes()
    return certificates.Issued(pem, pem)


def _client_secret(directory: Path) -> Path:
    return directory / FOLDER / "client-ca-key.pem"


def _ensured_authority(secret: Path, public: Path, name: str, now: datetime) -> _Held:
    authority = _good(secret, now)
    if authority is None:
        authority = _authority(name, now)
        write_private(secret, authority.pem())
    shown = authority.certificate.public_bytes(Encoding.PEM)
    if not public.is_file() or public.read_bytes() != shown:
        write_private(public, shown)
    return authority


def _good(path: Path, now: datetime) -> _Held | None:
    """What is in the file, if it can be used and will be for a while."""
    try:
        found = _read(path.read_bytes())
    except FileNotFoundError:
        return None
    return found if found is not None and lasts(found.certificate, now) else None


def _read(pem: bytes) -> _Held | None:
    try:
        key = load_pem_private_key(pem, None)
        certificate = x509.load_pem_x509_certificate(pem)
    except (ValueError, TypeError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        return None
    return _Held(certificate, key) if certificate.public_key() == key.public_key() else None


def lasts(certificate: x509.Certificate, now: datetime) -> bool:
    """Whether it is good now and will be for a while."""
    ends, begins = certificate.not_valid_after_utc, certificate.not_valid_before_utc
    return ends - now >= RENEW_BEFORE and begins <= now


def _vouched_for(server: _Held, authority: _Held) -> bool:
    try:
        server.certificate.verify_directly_issued_by(authority.certificate)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return server.certificate.subject == _NAME


def _authority(name: str, now: datetime) -> _Held:
    made = certificates.new_authority(name, now)
    found = _read(made.key + made.certificate)
    assert found is not None, "it was just made"
    return found


def _server(authority: _Held, now: datetime) -> _Held:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate
    ends = min(now + _SERVER_LIVES, issuer.not_valid_after_utc)
    begun = (
        certificates.begun(_NAME, issuer.subject, key.public_key(), now, ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(certificates.usage(of_authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(_NAMES), critical=False)
        .add_extension(certificates.signed_with(authority.key), critical=False)
    )
    return _Held(begun.sign(authority.key, hashes.SHA256()), key)
