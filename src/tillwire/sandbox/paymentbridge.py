"""The sandbox's Payment Bridge: its face, the application that may use it, and how the card names
them.

The application's private key is a file of its own, which is handed to whatever program plays the
application; the estate has the public one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from tillwire.config import FaceSettings
from tillwire.core.estate import Estate
from tillwire.dialects.paymentbridge.wire import ids
from tillwire.errors import ConfigurationError, InvalidRequest
from tillwire.estate.applications import (
    LONGEST_KEY,
    SHORTEST_KEY,
    new_key_pair,
    read_public_key,
)
from tillwire.sandbox.card import PaymentBridge
from tillwire.sandbox.keyring import Keyring, write_private
from tillwire.sandbox.virtual_estate import BRIDGE_TERMINAL, CORNER_SHOP, SHOP

FACE: Final = FaceSettings(
    name="paymentbridge",
    prefix="/poynt",
    # No order says whether its till would take a part; here all endings are to be seen.
    settings={"organisation": SHOP.id, "partial_approval": True},
)
"""It shares the base port's origin."""
FOLDER: Final = "paymentbridge"
_FILE: Final = "app.pem"


def public_key(directory: Path) -> bytes:
    """The public half of the application's key, in PEM. Where the sandbox's directory has no key
    yet, a new one is made, which only its owner can read. Raises `ConfigurationError`."""
    path = _key_file(directory)
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        if not path.exists():
            write_private(path, new_key_pair(SHORTEST_KEY)[0])
        # Whether its numbers are primes is not for the sandbox to find out at each start.
        key = load_pem_private_key(path.read_bytes(), None, unsafe_skip_rsa_key_validation=True)
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return read_public_key(public).encode()
    except OSError as error:
        raise ConfigurationError(
            f"The sandbox cannot keep its application's key in {path} ({error.strerror}); "
            "choose another folder with --data."
        ) from None
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidRequest):
        raise ConfigurationError(
            f"{path} is no private key of RSA with {SHORTEST_KEY} to {LONGEST_KEY} bits and no "
            "passphrase; remove it, and the sandbox makes a new one."
        ) from None


def member(base_url: str, keys: Keyring, directory: Path, estate: Estate) -> PaymentBridge:
    """What the card says of it, with the device that stands at the terminal now."""
    terminal = estate.terminals.get(BRIDGE_TERMINAL.id, BRIDGE_TERMINAL)
    device = estate.device_of(terminal)
    return PaymentBridge(
        url=f"{base_url}{FACE.prefix}",
        application_id=keys.application_id,
        private_key=str(_key_file(directory)),
        business_id=ids.business_id(CORNER_SHOP.merchant_id),
        store_id=CORNER_SHOP.id,
        device_id=ids.device_id(terminal.id, device.number if device else 1),
        tid=terminal.tid,
    )


def _key_file(directory: Path) -> Path:
    return directory / FOLDER / _FILE
