"""The sandbox's secrets, in clear, in one file that only its owner can read.

Only the sandbox does this: its keys open nothing but play money, and a second start must have the
same ones. The journal keeps digests, as everywhere.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from tillwire.core.ports import Clock
from tillwire.errors import ConfigurationError

FILE = "secrets.json"
PASSPHRASE_FILE = "nexo-passphrase"  # noqa: S105 - its name


class Keyring(msgspec.Struct, frozen=True, kw_only=True):
    """What tills and terminals of the sandbox prove themselves with."""

    api_key: str = ""
    """Of the organisation that owns the terminals."""
    other_api_key: str = ""
    """Of the second organisation."""
    device_tokens: dict[str, str] = {}
    """Terminal id -> the token with which it polls."""
    application_id: str = ""
    """Of the first organisation's cloud application, whose key is a file of its own."""
    softpos_client_id: str = ""
    """Of the application that may ask the SoftPOS backend; its certificate is a file of its own."""
    softpos_secret: str = ""
    pairing_codes: dict[str, str] = {}
    """Terminal id -> the code that pairs a SmartConnect register with it."""


def load(directory: Path) -> Keyring:
    """The keyring in the directory; an empty one when there is none yet.

    Raises `ConfigurationError` when the file is not what was written there.
    """
    path = directory / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Keyring)
    except FileNotFoundError:
        return Keyring()
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigurationError(
            f"{path} cannot be read ({error}); remove it, and the sandbox makes new keys."
        ) from None


def save(directory: Path, keyring: Keyring) -> None:
    """Write the keyring, whole or not at all, readable by its owner alone."""
    write_private(directory / FILE, msgspec.json.format(msgspec.json.encode(keyring), indent=2))


def passphrase_file(directory: Path, clock: Clock) -> Path:
    """The file with the passphrase by which tills may seal nexo messages; made if it is missing.

    It stands alone, since the face reads a file with nothing else in it. Raises `OSError`.
    """
    path = directory / PASSPHRASE_FILE
    if not path.is_file():
        write_private(path, clock.token().encode())
    return path


def write_private(path: Path, content: bytes) -> None:
    """Put `content` at `path` in one step: whoever reads sees the old or the new, never a part.
    Only the owner can read it (mode 0600)."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o600)
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    unfinished.replace(path)
