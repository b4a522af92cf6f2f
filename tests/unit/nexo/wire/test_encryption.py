"""Messages under a passphrase, against a computation of its own, and against whoever tampers."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.nexo.wire.messages import EXAMPLES
from tillwire.dialects.nexo import wire
from tillwire.dialects.nexo.wire.encryption import CryptoError, Key, is_sealed, open_, seal
from tillwire.errors import ConfigurationError

PASSPHRASE = "hollow creek £ 7"
KEY = Key(PASSPHRASE, "lane", 3)
NONCE = bytes(range(16))
CLEAR = EXAMPLES["payment_req"]
HEADER = wire.decode(CLEAR).header


def independent(clear: bytes, header: Any, envelope: str = "SaleToPOIRequest") -> dict[str, Any]:
    """The same by hand: what a peer would send."""
    derived = hashlib.pbkdf2_hmac(
        "sha1", PASSPHRASE.encode("latin-1"), b"AdyenNexoV1Salt", 4000, dklen=80
    )
    mac_key, aes_key, iv = derived[:32], derived[32:64], derived[64:80]
    mode = modes.CBC((int.from_bytes(iv) ^ int.from_bytes(NONCE)).to_bytes(16))
    encryptor = Cipher(algorithms.AES(aes_key), mode).encryptor()
    padder = padding.PKCS7(128).padder()
    blob = encryptor.update(padder.update(clear) + padder.finalize()) + encryptor.finalize()
    trailer = {
        "AdyenCryptoVersion": 1,
        "KeyIdentifier": "lane",
        "KeyVersion": 3,
        "Nonce": b64encode(NONCE).decode(),
        "Hmac": b64encode(hmac.new(mac_key, clear, "sha256").digest()).decode(),
    }
    sealed = {
        "MessageHeader": header,
        "NexoBlob": b64encode(blob).decode(),
        "SecurityTrailer": trailer,
    }
    return {envelope: sealed}


def plain_header(clear: bytes = CLEAR) -> Any:
    (content,) = json.loads(clear).values()
    return content["MessageHeader"]


def opened(sealed: dict[str, Any], *keys: Key) -> bytes:
    return open_(keys or [KEY], json.dumps(sealed).encode())


@pytest.mark.parametrize("name", ["payment_req", "payment_resp", "event_reject", "display_req"])
def test_what_is_sealed_is_what_a_peer_would_send(name: str) -> None:
    clear = EXAMPLES[name]
    header = wire.decode(clear).header
    envelope = next(iter(json.loads(clear)))
    theirs = independent(clear, plain_header(clear), envelope)
    sealed = seal(KEY, clear, header, NONCE)
    assert json.loads(sealed) == theirs
    assert opened(theirs) == clear
    assert open_([KEY], sealed) == clear


def test_a_message_of_long_ago() -> None:
    """Fixed octets, so that neither side of the computation can drift."""
    clear = b'{"SaleToPOIRequest":{"MessageHeader":{"MessageClass":"Service"}}}'
    sealed = json.loads(seal(KEY, clear, HEADER, NONCE))["SaleToPOIRequest"]
    assert sealed["NexoBlob"] == FIXED_BLOB
    assert sealed["SecurityTrailer"]["Hmac"] == FIXED_HMAC


FIXED_BLOB = (
    "trvDZUauptGb+WM2EC8R2Y62rVSJVNkvUF6M/X5agmJWr4jw+lCfZAtUfpSCKxxD"
    "VzPvkjqRbpfvl7nqHKe7hCQof2BWn5zNLBTcFs5NRig="
)
FIXED_HMAC = "meXoV0HlLK70VRROFQECEXKJaKog6XNcLOn2XsOkjFE="


@given(st.binary(max_size=100), st.binary(min_size=16, max_size=16))
def test_any_length_is_padded_and_any_nonce_is_used(extra: bytes, nonce: bytes) -> None:
    clear = CLEAR + b" " * len(extra)
    sealed = seal(KEY, clear, HEADER, nonce)
    assert open_([KEY], sealed) == clear


def test_the_key_is_found_by_its_name_and_version() -> None:
    others = [Key("other", "lane", 2), Key("other", "till", 3), KEY]
    assert opened(independent(CLEAR, plain_header()), *others) == CLEAR
    with pytest.raises(CryptoError, match="There is no key"):
        opened(independent(CLEAR, plain_header()), *others[:2])


def test_another_passphrase_opens_nothing() -> None:
    with pytest.raises(CryptoError, match="another passphrase, or was changed"):
        opened(independent(CLEAR, plain_header()), Key("other", "lane", 3))


def flipped(text: str, index: int) -> str:
    octets = bytearray(b64decode(text))
    octets[index] ^= 1
    return b64encode(octets).decode()


@pytest.mark.parametrize("index", [0, 15, 16, -17, -1])
def test_a_blob_that_was_changed_opens_to_nothing(index: int) -> None:
    sealed = independent(CLEAR, plain_header())
    content = sealed["SaleToPOIRequest"]
    content["NexoBlob"] = flipped(content["NexoBlob"], index)
    with pytest.raises(CryptoError, match="another passphrase, or was changed"):
        opened(sealed)


@pytest.mark.parametrize("member", ["Nonce", "Hmac"])
def test_a_trailer_that_was_changed_opens_nothing(member: str) -> None:
    sealed = independent(CLEAR, plain_header())
    trailer = sealed["SaleToPOIRequest"]["SecurityTrailer"]
    trailer[member] = flipped(trailer[member], 5)
    with pytest.raises(CryptoError, match="another passphrase, or was changed"):
        opened(sealed)


def test_blocks_that_were_cut_off_are_noticed() -> None:
    sealed = independent(CLEAR, plain_header())
    content = sealed["SaleToPOIRequest"]
    content["NexoBlob"] = b64encode(b64decode(content["NexoBlob"])[:-16]).decode()
    with pytest.raises(CryptoError, match="another passphrase, or was changed"):
        opened(sealed)


@pytest.mark.parametrize(
    "member", ["SaleID", "POIID", "ServiceID", "MessageCategory", "MessageType"]
)
def test_the_header_in_clear_must_be_the_sealed_one(member: str) -> None:
    header = plain_header()
    header[member] = "Request2"
    with pytest.raises(CryptoError, match="header in clear is not the one that is sealed"):
        opened(independent(CLEAR, header))


def test_a_request_in_the_envelope_of_a_response_is_refused() -> None:
    with pytest.raises(CryptoError, match="header in clear is not the one that is sealed"):
        opened(independent(CLEAR, plain_header(), "SaleToPOIResponse"))


@pytest.mark.parametrize(
    "clear", [b"", b"nonsense", b'{"SaleToPOIRequest":{}}', json.dumps(plain_header()).encode()]
)
def test_what_is_sealed_must_be_a_message(clear: bytes) -> None:
    with pytest.raises(CryptoError, match="header in clear is not the one that is sealed"):
        opened(independent(clear, plain_header()))


def _without(member: str) -> Callable[[Any], None]:
    return lambda content: content["SecurityTrailer"].pop(member)


def _with(member: str, value: Any) -> Callable[[Any], None]:
    return lambda content: content["SecurityTrailer"].update({member: value})


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda content: content.pop("NexoBlob"), "It is in clear."),
        (lambda content: content.pop("SecurityTrailer"), "is not valid"),
        (lambda content: content.update(NexoBlob=7), "is not valid"),
        (lambda content: content.update(NexoBlob=""), "is not valid"),
        (lambda content: content.update(NexoBlob="AAAA"), "is not valid"),
        (lambda content: content.update(NexoBlob="Ä" * 16), "is not valid"),
        (lambda content: content.update(NexoBlob="=" * 16), "is not valid"),
        (lambda content: content.update(NexoBlob="\ud800"), "is not JSON"),
        (lambda content: content.update(SecurityTrailer=[]), "is not valid"),
        (_without("Nonce"), "is not valid"),
        (_without("Hmac"), "is not valid"),
        (_without("AdyenCryptoVersion"), "is not valid"),
        (_with("Nonce", "AAAA"), "is not valid"),
        (_with("Nonce", "A" * 65), "is not valid"),
        (_with("Hmac", "?"), "is not valid"),
        (_with("Hmac", ""), "another passphrase, or was changed"),
        (_with("Hmac", "AAAA"), "another passphrase, or was changed"),
        (_with("KeyVersion", "3"), "is not valid"),
        (_with("KeyVersion", 4), "There is no key"),
        (_with("KeyIdentifier", "other"), "There is no key"),
        (_with("AdyenCryptoVersion", 2), "AdyenCryptoVersion is not 1"),
        (lambda content: content.pop("MessageHeader"), "MessageHeader: Missing"),
    ],
)
def test_what_is_not_sealed_as_it_should_be_is_refused(
    change: Callable[[Any], None], problem: str
) -> None:
    sealed = independent(CLEAR, plain_header())
    change(sealed["SaleToPOIRequest"])
    with pytest.raises(CryptoError, match=problem):
        opened(sealed)


@given(st.binary(max_size=60))
def test_chance_is_refused(told: bytes) -> None:
    assert not is_sealed(told)
    with pytest.raises(CryptoError):
        open_([KEY], told)


def test_whether_a_message_is_sealed_can_be_seen() -> None:
    assert is_sealed(seal(KEY, CLEAR, HEADER, NONCE))
    assert not is_sealed(CLEAR)


def test_who_seems_to_have_sent_it_is_told_with_the_refusal() -> None:
    with pytest.raises(CryptoError) as raised:
        opened(independent(CLEAR, plain_header()), Key("other", "lane", 3))
    assert raised.value.header == HEADER


@pytest.mark.parametrize("passphrase", ["", "two\nlines", "ключ"])
def test_a_passphrase_that_cannot_be_one(passphrase: str) -> None:
    with pytest.raises(ConfigurationError):
        Key(passphrase, "lane", 1)


def test_a_key_does_not_show_itself() -> None:
    assert repr(KEY) == "Key('lane', 3)"
