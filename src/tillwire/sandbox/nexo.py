"""The sandbox's nexo faces: where they listen, what they are told, and how the card names them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from tillwire.config import FaceSettings, ListenerSettings, TlsSettings
from tillwire.core.ports import Clock
from tillwire.errors import ConfigurationError
from tillwire.sandbox import certificates, keyring
from tillwire.sandbox.card import Encryption, Https, Nexo, Tcp
from tillwire.sandbox.certificates import Certificates
from tillwire.sandbox.virtual_estate import NEXO_POI, SHOP

FLAT, STREAM, HELD = "nexo-http", "nexo-tcp", "nexo-held"
"""The faces, and the listeners that they have to themselves: at the base port plus 1, 2 and 3."""

_PREFIX: Final = "/nexo"
_KEY_IDENTIFIER: Final = "tillwire-sandbox"
_KEY_VERSION: Final = 1


class NexoFiles(msgspec.Struct, frozen=True):
    """What must be on the disk before anything listens."""

    certificates: Certificates
    passphrase: Path


class Listening(Protocol):
    """A listener, as far as the card needs it."""

    port: int

    @property
    def url(self) -> str: ...


def ensure(directory: Path, clock: Clock) -> NexoFiles:
    """The files in the sandbox's directory; what is missing is made. Raises
    `ConfigurationError`."""
    try:
        return NexoFiles(certificates.ensure(directory), keyring.passphrase_file(directory, clock))
    except OSError as error:
        raise ConfigurationError(
            f"The sandbox cannot keep its certificates and its passphrase in {directory} "
            f"({error.strerror}: {error.filename}); choose another folder with --data."
        ) from None


def listeners(base: int, files: NexoFiles) -> tuple[ListenerSettings, ...]:
    """Those of the three bindings; on free ports when `base` is 0."""
    server = str(files.certificates.server)
    key = {
        "identifier": _KEY_IDENTIFIER,
        "version": _KEY_VERSION,
        "passphrase_file": str(files.passphrase),
    }
    # Tills written for one vendor read one spelling, and drop the other unseen.
    spelt = {"masked_pan": "both", "vendor_name": "both"}
    return (
        _listener(FLAT, base, 1, {"poi_id": NEXO_POI}),
        stream(base),
        msgspec.structs.replace(
            _listener(HELD, base, 3, {"encryption_keys": [key], **spelt}, prefix=_PREFIX),
            tls=TlsSettings(certificate=server, key=server),
        ),
    )


def stream(base: int) -> ListenerSettings:
    """That of the binding over byte streams."""
    return _listener(STREAM, base, 2, {})


def _listener(
    name: str, base: int, offset: int, settings: Mapping[str, Any], *, prefix: str = ""
) -> ListenerSettings:
    told = {"organisation": SHOP.id, **settings}
    face = FaceSettings(name=name, prefix=prefix, settings=told)
    return ListenerSettings(name=name, port=base and base + offset, faces=(face,))


def member(listening: Mapping[str, Listening], files: NexoFiles) -> Nexo:
    """What the card says of them."""
    return Nexo(
        poi_id=NEXO_POI,
        http=listening[FLAT].url,
        tcp=Tcp("127.0.0.1", listening[STREAM].port),
        https=Https(f"{listening[HELD].url}{_PREFIX}/", str(files.certificates.authority)),
        encryption=Encryption(files.passphrase.read_text(), _KEY_IDENTIFIER, _KEY_VERSION),
    )
