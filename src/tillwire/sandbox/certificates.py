"""The sandbox's own certificate authority, and the certificate of its TLS listeners.

Made at the first start and kept as long as they are good, so that a till which was given the
authority once goes on trusting it. The authority's key stays in the sandbox's folder, readable by
its owner alone, and vouches for nothing but this machine's loopback names.
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
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tillwire.sandbox.keyring import write_private
from tillwire.sandbox.virtual_estate import NEXO_POI

FOLDER: Final = "tls"
SERVER_NAME: Final = f"{NEXO_POI}.test.terminal.adyen.com"
"""The server certificate's common name. Clients of Adyen's local protocol look at nothing else: it
must be `<model>-<serial>.test.terminal.adyen.com`, whatever the host is called. Everybody else
looks at the subject's alternative names, which are this machine's."""
RENEW_BEFORE: Final = timedelta(days=30)
"""What ends sooner than this is replaced at a start."""

_AUTHORITY_LIVES: Final = timedelta(days=3650)
_SERVER_LIVES: Final = timedelta(days=397)
"""As long as the strictest clients accept."""
_CLOCKS_DIFFER: Final = timedelta(days=1)
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
    found = Certificates(authority=folder / "ca.pem", server=folder / "server.pem")
    secret = folder / "ca-key.pem"
    authority = _good(secret, now)
    if authority is None:
        authority = _authority(now)
        write_private(secret, authority.pem())
    public = authority.certificate.public_bytes(Encoding.PEM)
    if not found.authority.is_file() or found.authority.read_bytes() != public:
        write_private(found.authority, public)
    server = _good(found.server, now)
    if server is None or not _vouched_for(server, authority):
        write_private(found.server, _server(authority, now).pem())
    return found


def _good(path: Path, now: datetime) -> _Held | None:
    """What is in the file, if it can be used and will be for a while."""
    try:
        octets = path.read_bytes()
        key = load_pem_private_key(octets, None)
        certificate = x509.load_pem_x509_certificate(octets)
    except (FileNotFoundError, ValueError, TypeError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        return None
    if (
        certificate.not_valid_after_utc - now < RENEW_BEFORE
        or certificate.not_valid_before_utc > now
    ):
        return None
    return _Held(certificate, key) if certificate.public_key() == key.public_key() else None


def _vouched_for(server: _Held, authority: _Held) -> bool:
    try:
        server.certificate.verify_directly_issued_by(authority.certificate)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return server.certificate.subject == _name(SERVER_NAME)


def _authority(now: datetime) -> _Held:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("tillwire sandbox authority")
    begun = (
        _begun(name, name, key, now, _AUTHORITY_LIVES)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(of_authority=True), critical=True)
        .add_extension(_signed_with(key), critical=False)
    )
    return _Held(begun.sign(key, hashes.SHA256()), key)


def _server(authority: _Held, now: datetime) -> _Held:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate.subject
    lives = min(_SERVER_LIVES, authority.certificate.not_valid_after_utc - now)
    begun = (
        _begun(_name(SERVER_NAME), issuer, key, now, lives)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(of_authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(_NAMES), critical=False)
        .add_extension(_signed_with(authority.key), critical=False)
    )
    return _Held(begun.sign(authority.key, hashes.SHA256()), key)


def _begun(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: datetime,
    lives: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(now + lives)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _signed_with(key: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _usage(*, of_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not of_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=of_authority,
        crl_sign=of_authority,
        encipher_only=False,
        decipher_only=False,
    )
