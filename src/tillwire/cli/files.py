"""Files with keys and certificates that commands read and make: a private key is in a new file that
its owner alone can read, and never overwritten.
"""

from __future__ import annotations

import os
from pathlib import Path

from tillwire.errors import ConfigurationError
from tillwire.estate.applications import LARGEST_KEY_FILE


def read_key(path: Path) -> bytes:
    """What is in a file with a key or a certificate. Raises `ConfigurationError`."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_KEY_FILE + 1)
    except OSError as error:
        raise ConfigurationError(f"{path}: it cannot be read: {error.strerror}.") from None
    if len(content) > LARGEST_KEY_FILE:
        raise ConfigurationError(f"{path}: this is too large to be a key.")
    return content


def write_new(path: Path, secret: bytes) -> None:
    """Put the secret into a new file that its owner alone can read. Raises `ConfigurationError`."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigurationError(
            f"{path}: it is there already, and a key is never overwritten: name another file."
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{path}: it cannot be written: {error.strerror}.") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)
            file.write(secret)
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        path.unlink()
        raise ConfigurationError(f"{path}: it cannot be written: {error.strerror}.") from None
