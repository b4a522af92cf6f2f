"""Certificates of our own, as sandboxes and tests need them: how each begins, and an authority for
client applications (SoftPOS, source 001).

The vendor's portal signs a request of the application's and mails the certificate; here the
authority makes key and certificate at once (RSA 2048, `clientAuth`). All satisfy strict checks
(RFC 5280): key usage, basic constraints and key identifiers.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tillwire.errors import InvalidRequest

AUTHORITY_LIVES: Final = timedelta(days=3650)
APP_LIVES: Final = timedelta(days=825)

_CLOCKS_DIFFER: Final = timedelta(days=1)
_RSA_BITS: Final = 2048
_RSA_EXPONENT: Final = 65537
_LONGEST_NAME: Final = 64
"""Octets of a common name."""
_UNITS: Final = {"staging": "API Security - STAGING", "production": "API Security"}


class Issued(NamedTuple):
    """A private key and its certificate, in PEM."""

    key: bytes
    certificate: bytes


def new_authority(name: str, now: datetime) -> Issued:
    """An authority that vouches for what it issued itself alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = named(name)
    certificate = (
        begun(subject, subject, key.public_key(), now, now + AUTHORITY_LIVES)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage(of_authority=True), critical=True)
        .add_extension(signed_with(key), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _written(key, certificate)


def issue(authority: Issued, name: str, profile: str, now: datetime) -> Issued:
    """A new key of the application `name`, and its certificate, with the names that the vendor's
    requests have. Raises `InvalidRequest` (field `ca`) when the authority cannot be used."""
    try:
        signing = load_pem_private_key(authority.key, None)
        issuer = x509.load_pem_x509_certificate(authority.certificate)
    except (ValueError, TypeError):
        raise InvalidRequest("ca", "it cannot be read", "key and certificate in PEM") from None
    if (
        not isinstance(signing, ec.EllipticCurvePrivateKey)
        or not is_authority(issuer)
        or issuer.public_key() != signing.public_key()
        or issuer.not_valid_after_utc <= now
    ):
        raise InvalidRequest("ca", "key and certificate are no authority", "one made here")
    key = rsa.generate_private_key(_RSA_EXPONENT, _RSA_BITS)
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "NEXI"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, _UNITS[profile]),
            x509.NameAttribute(NameOID.COMMON_NAME, _cut(name)),
        ]
    )
    ends = min(now + APP_LIVES, issuer.not_valid_after_utc)
    certificate = (
        begun(subject, issuer.subject, key.public_key(), now, ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage(of_authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(signed_with(signing), critical=False)
        .sign(signing, hashes.SHA256())
    )
    return _written(key, certificate)


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether it may vouch for others."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except (x509.ExtensionNotFound, ValueError):  # or such as cannot be read
        return False
    return found.value.ca


def named(common_name: str) -> x509.Name:
    """A subject with nothing but this name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def signed_with(key: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    """Which authority's key has signed it."""
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def begun(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    now: datetime,
    ends: datetime,
) -> x509.CertificateBuilder:
    """A certificate with all that each has; a day is allowed for clocks that differ."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _cut(name: str) -> str:
    """What of it fits into a common name, in whole characters."""
    return name.encode()[:_LONGEST_NAME].decode(errors="ignore")


def _written(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, certificate: x509.Certificate
) -> Issued:
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Issued(private, certificate.public_bytes(Encoding.PEM))


def usage(*, of_authority: bool) -> x509.KeyUsage:
    """What its key is for: to sign certificates, or in handshakes."""
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
