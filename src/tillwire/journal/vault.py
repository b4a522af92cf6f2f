"""The vault: secrets of the journal that must be read again, under a key that is not in it.

Addresses that tills want to be called at carry tokens, and hooks have secrets. A copy of the
journal alone tells none of them: they are sealed with AES-256-GCM, and the key is in a file beside
the journal. Transactions need no key: without it, payments go on, and only what is sealed waits.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import secrets
import threading
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tillwire.errors import ConfigurationError, JournalError

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_VERSION: Final = "1"


def key_path(journal: Path) -> Path:
    """Where the key of the journal at this path is, unless the configuration says otherwise."""
    return journal.with_name(journal.name + ".key")


class KeyFileVault:
    """A vault whose key is in a file, made at the first sealing. Used by any thread."""

    def __init__(self, path: Path) -> None:
        """Reads the key if it is there. Raises `ConfigurationError` when the file cannot be one."""
        self._path = path
        self._lock = threading.Lock()
        self._keys: _Keys | None = None
        with contextlib.suppress(FileNotFoundError):
            self._keys = _Keys(_read(path))

    def seal(self, text: str) -> str:
        """The text as only this key opens it: version, the key's sign, and the sealed octets.
        Raises `JournalError` when a key cannot be made."""
        keys = self._made()
        nonce = secrets.token_bytes(_NONCE_BYTES)
        octets = nonce + keys.cipher.encrypt(nonce, text.encode(), keys.sign.encode())
        return f"{_VERSION}.{keys.sign}.{base64.urlsafe_b64encode(octets).decode()}"

    def open(self, sealed: str) -> str:
        """What was sealed. Raises `JournalError` when the key is not the one, or not there."""
        keys = self._loaded()
        if keys is None:
            raise JournalError(
                f"The key file {self._path} is missing: put it back from the backup, and start "
                "the gateway again."
            )
        version, _, rest = sealed.partition(".")
        sign, _, octets = rest.partition(".")
        if version == _VERSION and sign and sign != keys.sign:
            raise JournalError(
                f"It was sealed with the key {sign}, and {self._path} has the key {keys.sign}: put "
                "the right key file there from the backup, and start the gateway again."
            )
        try:
            raw = base64.b64decode(octets, altchars=b"-_", validate=True)
            if version != _VERSION or len(raw) < _NONCE_BYTES + _TAG_BYTES:
                raise ValueError("not what is sealed here")
            opened = keys.cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], sign.encode())
            return opened.decode()
        except (InvalidTag, ValueError):
            raise JournalError("What was sealed has been changed since: it is of no use.") from None

    def derive(self, purpose: str) -> bytes:
        """32 octets for the purpose. Raises `JournalError` when a key cannot be made."""
        return self._made().derived(purpose)

    def _loaded(self) -> _Keys | None:
        if self._keys is None:
            with contextlib.suppress(FileNotFoundError):  # made by another one meanwhile
                self._keys = _Keys(_read(self._path))
        return self._keys

    def _made(self) -> _Keys:
        with self._lock:
            keys = self._loaded()
            if keys is None:
                try:
                    _make(self._path)
                except OSError as error:
                    raise JournalError(
                        f"The key file {self._path} cannot be made: {error.strerror}. Make its "
                        "folder writable for this user, or set journal.key_file."
                    ) from error
                keys = self._keys = _Keys(_read(self._path))
        return keys


class _Keys:
    """What is made from the one key: nothing uses it as it is."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.cipher = AESGCM(self.derived("seal"))
        self.sign = self.derived("sign")[:4].hex()
        """Tells which key sealed something, and nothing of the key."""

    def derived(self, purpose: str) -> bytes:
        info = f"tillwire vault {purpose}".encode()
        return HKDF(SHA256(), KEY_BYTES, salt=None, info=info).derive(self._secret)


def _read(path: Path) -> bytes:
    """The key. Raises `FileNotFoundError`, `ConfigurationError`."""
    try:
        if path.stat().st_mode & 0o007:
            raise ConfigurationError(
                f"Everybody on this machine can read the key file {path}: `chmod 600` it."
            )
        text = path.read_text("ascii").strip()
        secret = base64.b64decode(text, validate=True)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, binascii.Error) as error:
        raise ConfigurationError(f"The key file {path} cannot be read: {error}.") from None
    if len(secret) != KEY_BYTES:
        raise ConfigurationError(
            f"{path} is not a key file: put the right one there from the backup, or set "
            "journal.key_file."
        )
    return secret


def _make(path: Path) -> None:
    """A new key, whole or not at all; one that is there already stays."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    text = base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n"
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
