"""The sandbox's SoftPOS backend: where it listens, the application that may ask it, and how the
card names them.

The application's key and certificate are files of its own, which are handed to whatever program
plays the merchant's backend; the estate has the certificate.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from tillwire.clock import instant
from tillwire.config import FaceSettings, ListenerSettings, TlsSettings
from tillwire.errors import ConfigurationError, InvalidRequest
from tillwire.estate.certificates import issue
from tillwire.estate.client_apps import read_certificate
from tillwire.sandbox import certificates
from tillwire.sandbox.card import SoftPos
from tillwire.sandbox.certificates import Certificates
from tillwire.sandbox.keyring import Keyring, write_private
from tillwire.sandbox.virtual_estate import (
    POINT_OF_SALE,
    REDIRECT_URI,
    SOFTPOS_APP,
    SOFTPOS_PROFILE,
    SOFTPOS_TERMINALS,
)

FACE: Final = "softpos"
"""The face, and the listener that it has to itself: at the base port plus 5."""
FOLDER: Final = "softpos"


def listener(base: int, files: Certificates) -> ListenerSettings:
    """The backend's; on a free port when `base` is 0."""
    server = str(files.server)
    return ListenerSettings(
        name=FACE,
        port=base and base + 5,
        tls=TlsSettings(certificate=server, key=server, client_ca=str(files.client_authority)),
        faces=(FaceSettings(name=FACE, settings={"profile": SOFTPOS_PROFILE}),),
    )


def certificate(directory: Path) -> bytes:
    """The application's certificate (PEM). Where the sandbox's directory has none that is good,
    key and certificate are made anew. Raises `ConfigurationError`."""
    key, shown = _key_file(directory), _certificate_file(directory)
    try:
        authority = certificates.client_authority(directory)
        shown.parent.mkdir(mode=0o700, exist_ok=True)
        if not _good(key, shown, authority.certificate):
            made = issue(authority, SOFTPOS_APP, SOFTPOS_PROFILE, datetime.now(UTC))
            write_private(key, made.key)
            write_private(shown, made.certificate)
        return shown.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"The sandbox cannot keep its application's certificate in {shown.parent} "
            f"({error.strerror}); choose another folder with --data."
        ) from None


def _good(key: Path, shown: Path, authority: bytes) -> bool:
    """Whether both are there, belong together, and the handshake would take them for a while."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(shown, key)
        pem = shown.read_bytes()
        read_certificate(pem, instant(datetime.now(UTC)))
        found = x509.load_pem_x509_certificate(pem)
        found.verify_directly_issued_by(x509.load_pem_x509_certificate(authority))
    except (OSError, ssl.SSLError, InvalidRequest, ValueError, TypeError, InvalidSignature):
        return False
    return certificates.lasts(found, datetime.now(UTC))


def member(url: str, keys: Keyring, directory: Path, files: Certificates) -> SoftPos:
    """What the card says of it."""
    return SoftPos(
        url=url,
        client_id=keys.softpos_client_id,
        client_secret=keys.softpos_secret,
        certificate=str(_certificate_file(directory)),
        private_key=str(_key_file(directory)),
        ca=str(files.authority),
        point_of_sale=POINT_OF_SALE,
        redirect_uri=REDIRECT_URI,
        terminal_ids=[each.tid for each in SOFTPOS_TERMINALS],
    )


def _key_file(directory: Path) -> Path:
    return directory / FOLDER / "app.key"


def _certificate_file(directory: Path) -> Path:
    return directory / FOLDER / "app.crt"
