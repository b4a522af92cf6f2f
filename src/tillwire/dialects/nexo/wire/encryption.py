"""Messages under a shared passphrase: Adyen's protection of local nexo messages.

    {"SaleToPOIRequest": {"MessageHeader": a copy in clear, "NexoBlob": the whole message,
        "SecurityTrailer": {"AdyenCryptoVersion", "KeyIdentifier", "KeyVersion", "Nonce", "Hmac"}}}

The blob is the enveloped message under AES-256-CBC; the HMAC is over its clear octets. Nothing of
a message is believed before its HMAC is right, and the header in clear is only good for finding
the key: it must be the sealed one. Where nonces come from is the caller's business: each is used
once.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterable
from typing import Annotated, Final

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from msgspec import Meta

from tillwire.dialects.nexo.wire import codec
from tillwire.dialects.nexo.wire.framing import LARGEST
from tillwire.dialects.nexo.wire.header import MessageHeader
from tillwire.errors import ConfigurationError, RemoteProtocolError

NONCE: Final = 16
"""Octets of a nonce."""
VERSION: Final = 1
"""Of the protection, `AdyenCryptoVersion`."""

_SALT: Final = b"AdyenNexoV1Salt"
_ROUNDS: Final = 4_000
_HMAC: Final = 32
_AES: Final = 32
_BLOCK: Final = 16
_BLOB: Final = "NexoBlob"
_TRAILER: Final = "SecurityTrailer"


class CryptoError(RemoteProtocolError):
    """The message is not under a key that is shared with its sender."""

    def __init__(self, detail: str, header: MessageHeader | None = None) -> None:
        """`header` is the one in clear, which anybody may have written; None if there is none."""
        super().__init__(detail)
        self.header = header


class Key:
    """A passphrase that both sides have, derived once. `identifier` and `version` name it."""

    __slots__ = ("_aes", "_hmac", "_iv", "identifier", "version")

    def __init__(self, passphrase: str, identifier: str, version: int) -> None:
        """Raises `ConfigurationError` when the passphrase cannot be one."""
        if not passphrase or not passphrase.isprintable():
            raise ConfigurationError("A passphrase for nexo messages is empty, or not one line.")
        try:
            octets = passphrase.encode("latin-1")
        except UnicodeEncodeError:
            raise ConfigurationError(
                "A passphrase for nexo messages has characters that are not in ISO 8859-1."
            ) from None
        derived = hashlib.pbkdf2_hmac("sha1", octets, _SALT, _ROUNDS, _HMAC + _AES + _BLOCK)
        self.identifier = identifier
        self.version = version
        self._hmac = derived[:_HMAC]
        self._aes = derived[_HMAC : _HMAC + _AES]
        self._iv = derived[_HMAC + _AES :]

    def __repr__(self) -> str:
        """Without the key."""
        return f"Key({self.identifier!r}, {self.version})"

    def mac(self, clear: bytes) -> bytes:
        """The HMAC-SHA256 of a clear message."""
        return hmac.digest(self._hmac, clear, "sha256")

    def cipher(self, nonce: bytes) -> Cipher[CBC]:
        """AES-256-CBC for one message."""
        assert len(nonce) == NONCE, "a nonce has 16 octets"
        iv = bytes(ours ^ theirs for ours, theirs in zip(self._iv, nonce, strict=True))
        return Cipher(AES256(self._aes), CBC(iv))


class _Trailer(msgspec.Struct, frozen=True, rename="pascal"):
    adyen_crypto_version: int
    key_identifier: Annotated[str, Meta(max_length=256)]
    key_version: int
    nonce: Annotated[str, Meta(max_length=64)]
    hmac: Annotated[str, Meta(max_length=128)]


_trailers: Final = msgspec.json.Decoder(_Trailer)
_blobs: Final = msgspec.json.Decoder(str)
_encoder: Final = msgspec.json.Encoder()


def seal(key: Key, clear: bytes, header: MessageHeader, nonce: bytes) -> bytes:
    """The enveloped message `clear`, whose header is `header`, under a key. `nonce` are 16 octets
    of chance that were never used before."""
    padding = _BLOCK - len(clear) % _BLOCK
    encryptor = key.cipher(nonce).encryptor()
    blob = encryptor.update(clear + bytes([padding]) * padding) + encryptor.finalize()
    trailer = _Trailer(VERSION, key.identifier, key.version, _text(nonce), _text(key.mac(clear)))
    return b'{"%b":{"MessageHeader":%b,"%b":"%b","%b":%b}}' % (
        codec.envelope_of(header).encode(),
        _encoder.encode(header),
        _BLOB.encode(),
        b64encode(blob),
        _TRAILER.encode(),
        _encoder.encode(trailer),
    )


def is_sealed(octets: bytes, *, limit: int = LARGEST) -> bool:
    """Whether this is a message under a key, as it seems."""
    try:
        members, _ = codec.opened(octets, limit=limit)
    except codec.Unreadable:
        return False
    return _BLOB in members


def open_(keys: Iterable[Key], octets: bytes, *, limit: int = LARGEST) -> bytes:
    """The clear enveloped message that is sealed in `octets` under one of the keys.

    Raises `CryptoError` when it is not sealed, or not under any of them, or was tampered with;
    which of the two, nobody is told.
    """
    try:
        members, envelope = codec.opened(octets, limit=limit)
        outer = codec.header_of(members, envelope)
    except codec.Unreadable as error:
        raise CryptoError(error.detail) from None
    if _BLOB not in members:
        raise CryptoError("It is in clear.", outer)
    try:
        trailer = _trailers.decode(members.get(_TRAILER, b"{}"))
        blob = _octets(_blobs.decode(members[_BLOB]))
        nonce, mac = _octets(trailer.nonce), _octets(trailer.hmac)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        raise CryptoError("Its SecurityTrailer or NexoBlob is not valid.", outer) from None
    if trailer.adyen_crypto_version != VERSION:
        raise CryptoError(f"Its AdyenCryptoVersion is not {VERSION}.", outer)
    named = (trailer.key_identifier, trailer.key_version)
    key = next((key for key in keys if (key.identifier, key.version) == named), None)
    if key is None:
        raise CryptoError("There is no key of its KeyIdentifier and KeyVersion here.", outer)
    if len(nonce) != NONCE or not blob or len(blob) % _BLOCK:
        raise CryptoError("Its SecurityTrailer or NexoBlob is not valid.", outer)
    clear = _clear(key, blob, nonce, mac)
    if clear is None:
        raise CryptoError("It is under another passphrase, or was changed on its way.", outer)
    if not _is_of(clear, outer, envelope, limit):
        raise CryptoError("Its header in clear is not the one that is sealed.", outer)
    return clear


def _clear(key: Key, blob: bytes, nonce: bytes, mac: bytes) -> bytes | None:
    """The clear octets, or None. Whether padding or HMAC is wrong takes the same time."""
    decryptor = key.cipher(nonce).decryptor()
    padded = decryptor.update(blob) + decryptor.finalize()
    padding = padded[-1]
    is_padded = 1 <= padding <= _BLOCK and padded.endswith(bytes([padding]) * padding)
    clear = padded[: len(padded) - padding] if is_padded else padded
    is_theirs = hmac.compare_digest(key.mac(clear), mac)
    return clear if is_padded and is_theirs else None


def _is_of(clear: bytes, outer: MessageHeader, envelope: str, limit: int) -> bool:
    try:
        members, name = codec.opened(clear, limit=limit)
        return name == envelope and codec.header_of(members, name) == outer
    except codec.Unreadable:
        return False


def _text(octets: bytes) -> str:
    return b64encode(octets).decode()


def _octets(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError(text) from None
