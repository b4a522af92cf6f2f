"""One held POST for each message, with envelopes, in clear and sealed."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tests.kit.gateway import GatewayUnderTest
from tests.unit.nexo.bindings.lane import (
    HELD,
    PORTS,
    HttpLane,
    Json,
    abort,
    diagnosis,
    enveloped,
    event_of,
    live,
    opened,
    payment,
    request,
    result_of,
    status,
)
from tillwire.dialects.nexo.face.held import keys_of
from tillwire.dialects.nexo.face.settings import EncryptionKey, Settings
from tillwire.errors import ConfigurationError

SLOW, LOST, APPROVED = 1049, 1047, 1000


@pytest.mark.parametrize("path", ["/", "", "/sync"])
def test_a_payment_is_answered_by_its_own_post(path: str, disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> tuple[int, Json]:
        return await HttpLane(gateway, HELD).post(path, enveloped(payment(SLOW)))

    code, told = live(disk, scenario)
    assert (code, list(told)) == (200, ["SaleToPOIResponse"])
    assert result_of(told) == ("Success", "")
    assert opened(told)["MessageHeader"]["MessageType"] == "Response"


async def raw(octets: list[bytes]) -> bytes:
    """What the face writes to somebody who writes this, piece by piece, on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", PORTS[HELD])
    for piece in octets:
        writer.write(piece)
        await asyncio.sleep(0.01)
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_body_may_come_in_chunks_without_a_length(size: int, disk: Path) -> None:
    head = (
        b"POST / HTTP/1.1\r\nHost: x\r\nX-API-Key: k\r\nContent-Type: application/json\r\n"
        b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    body = json.dumps(enveloped(payment(APPROVED)), sort_keys=True).encode()
    pieces = [body[begin : begin + size] for begin in range(0, len(body), size)]
    chunks = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces]

    async def scenario(_: GatewayUnderTest) -> bytes:
        return await raw([head, *chunks, b"0\r\n\r\n"])

    answer = live(disk, scenario)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert result_of(json.loads(answer.partition(b"\r\n\r\n")[2])) == ("Success", "")


def test_an_abort_is_answered_with_nothing_and_its_target_with_the_truth(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        lane = HttpLane(gateway, HELD)
        held = asyncio.create_task(lane.post("/", enveloped(payment(SLOW))))
        await asyncio.sleep(1)
        assert await lane.post("/", enveloped(abort("s1"))) == (200, None)
        code, told = await held
        assert (code, result_of(told)) == (200, ("Failure", "Aborted"))
        code, event = await lane.post("/", enveloped(abort("s1", "a2")))
        assert (code, list(event), event_of(event)) == (200, ["SaleToPOIRequest"], "Completed")
        code, event = await lane.post("/", enveloped(abort("s9", "a3")))
        assert (code, event_of(event)) == (200, "Reject")

    live(disk, scenario)


@pytest.mark.parametrize(
    "body", [b"", b"no json", b"[]", b"\xff", b"{}", b'{"SaleToPOIRequest":1}']
)
def test_what_is_no_message_gets_an_event(body: bytes, disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        code, event = await HttpLane(gateway, HELD).post("/", body)
        assert (code, list(event), event_of(event)) == (200, ["SaleToPOIRequest"], "Reject")
        rejected = event["SaleToPOIRequest"]["EventNotification"]["RejectedMessage"]
        assert base64.b64decode(rejected) == body

    live(disk, scenario)


def test_an_answer_that_takes_too_long_is_408_and_the_payment_goes_on(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        lane = HttpLane(gateway, HELD)
        code, told = await lane.post("/", enveloped(payment(SLOW)))
        assert code == 408
        assert "MessageHeader" not in told
        assert "Do not pay again" in told["detail"]
        _, told = await lane.post("/", enveloped(status("s1")))
        assert result_of(told) == ("Failure", "InProgress")
        await asyncio.sleep(30)
        _, told = await lane.post("/", enveloped(status("s1", "q2")))
        assert result_of(told) == ("Success", "")
        assert len(await gateway.charges()) == 1

    live(disk, scenario, answer_within=5)


def test_an_unknown_outcome_is_never_told_as_one(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> tuple[int, Json]:
        return await HttpLane(gateway, HELD).post("/", enveloped(payment(LOST)))

    code, told = live(disk, scenario, answer_within=200)
    assert code == 408
    assert "PaymentResponse" not in told


def test_a_till_that_goes_away_leaves_its_payment_running(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        body = json.dumps(enveloped(payment(SLOW))).encode()
        _, writer = await asyncio.open_connection("127.0.0.1", PORTS[HELD])
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n")
        writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await asyncio.sleep(1)
        writer.close()
        await asyncio.sleep(30)
        _, told = await HttpLane(gateway, HELD).post("/", enveloped(status("s1")))
        assert result_of(told) == ("Success", "")
        assert len(await gateway.charges()) == 1

    live(disk, scenario)


def test_two_posts_of_the_same_payment_charge_once(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> set[tuple[str, str]]:
        lane = HttpLane(gateway, HELD)
        posts = [lane.post("/", enveloped(payment(SLOW))) for _ in range(2)]
        answers = await asyncio.gather(*posts)
        assert len(await gateway.charges()) == 1
        return {result_of(told) for _, told in answers}

    assert live(disk, scenario) == {("Success", ""), ("Failure", "InProgress")}


def test_a_body_in_no_envelope_is_understood_and_answered_in_one(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> Json:
        return (await HttpLane(gateway, HELD).post("/", diagnosis()))[1]

    assert list(live(disk, scenario)) == ["SaleToPOIResponse"]


def test_other_paths_and_methods_are_not_there(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        lane = HttpLane(gateway, HELD)
        assert (await lane.ask("POST", "/payment", b"{}")).status == 404
        assert (await lane.ask("GET", "/")).status == 405
        assert (await lane.post("/", diagnosis(), Origin="http://shop.example"))[0] == 400

    live(disk, scenario)


def test_both_spellings_are_written_where_tills_of_two_vendors_read(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> Json:
        return (await HttpLane(gateway, HELD).post("/", enveloped(payment(APPROVED))))[1]

    told = live(disk, scenario, masked_pan="both", vendor_name="both")
    result = told["SaleToPOIResponse"]["PaymentResponse"]["PaymentResult"]
    card = result["PaymentInstrumentData"]["CardData"]
    assert card["MaskedPAN"] == card["MaskedPan"]
    assert card["MaskedPAN"]


# --- sealed -------------------------------------------------------------------------------------


class Sealer:
    """The vendor's protection, written down once more from its description."""

    def __init__(self, passphrase: str, identifier: str = "till", version: int = 1) -> None:
        salt = b"AdyenNexoV1Salt"
        derived = hashlib.pbkdf2_hmac("sha1", passphrase.encode("latin-1"), salt, 4000, 80)
        self._hmac, self._aes, self._iv = derived[:32], derived[32:64], derived[64:]
        self._name = {"KeyIdentifier": identifier, "KeyVersion": version}

    def seal(self, message: Json) -> Json:
        """Under its envelope."""
        clear = json.dumps(message).encode()
        nonce = os.urandom(16)
        padder = padding.PKCS7(128).padder()
        encryptor = self._cipher(nonce).encryptor()
        blob = encryptor.update(padder.update(clear) + padder.finalize()) + encryptor.finalize()
        trailer = {
            "AdyenCryptoVersion": 1,
            **self._name,
            "Nonce": base64.b64encode(nonce).decode(),
            "Hmac": base64.b64encode(hmac.digest(self._hmac, clear, "sha256")).decode(),
        }
        (envelope,) = message
        return {
            envelope: {
                "MessageHeader": message[envelope]["MessageHeader"],
                "NexoBlob": base64.b64encode(blob).decode(),
                "SecurityTrailer": trailer,
            }
        }

    def open(self, sealed: Json) -> Json:
        """What is in it, which is what its sender has sealed."""
        ((envelope, members),) = sealed.items()
        trailer = members["SecurityTrailer"]
        assert {key: trailer[key] for key in self._name} == self._name
        decryptor = self._cipher(base64.b64decode(trailer["Nonce"])).decryptor()
        padded = decryptor.update(base64.b64decode(members["NexoBlob"])) + decryptor.finalize()
        unpadder = padding.PKCS7(128).unpadder()
        clear = unpadder.update(padded) + unpadder.finalize()
        assert base64.b64decode(trailer["Hmac"]) == hmac.digest(self._hmac, clear, "sha256")
        message = json.loads(clear)
        assert list(message) == [envelope]
        assert message[envelope]["MessageHeader"] == members["MessageHeader"]
        return message

    def _cipher(self, nonce: bytes) -> Cipher[modes.CBC]:
        iv = bytes(one ^ other for one, other in zip(self._iv, nonce, strict=True))
        return Cipher(algorithms.AES256(self._aes), modes.CBC(iv))


@pytest.fixture
def passphrases(tmp_path: Path) -> list[dict[str, object]]:
    """Settings of two keys, `till` and `till` in its next version."""
    for version, passphrase in ((1, "correct horse\n"), (2, "battery staple")):
        (tmp_path / f"key-{version}").write_text(passphrase)
    return [
        {
            "identifier": "till",
            "version": version,
            "passphrase_file": str(tmp_path / f"key-{version}"),
        }
        for version in (1, 2)
    ]


@pytest.mark.parametrize("sealer", [Sealer("correct horse"), Sealer("battery staple", version=2)])
def test_what_is_sealed_is_answered_under_the_same_key(
    sealer: Sealer, disk: Path, passphrases: list[dict[str, object]]
) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        lane = HttpLane(gateway, HELD)
        code, told = await lane.post("/", sealer.seal(enveloped(payment(APPROVED))))
        assert code == 200
        assert result_of(sealer.open(told)) == ("Success", "")
        _, again = await lane.post("/", sealer.seal(enveloped(diagnosis())))
        nonces = {each["SaleToPOIResponse"]["SecurityTrailer"]["Nonce"] for each in (told, again)}
        assert len(nonces) == 2
        _, event = await lane.post("/", sealer.seal(enveloped(abort("s9"))))
        assert event_of(sealer.open(event)) == "Reject"
        assert await lane.post("/", sealer.seal(enveloped(abort("s1", "a2"))))
        _, told = await lane.post("/", enveloped(diagnosis()))
        assert result_of(told) == ("Success", ""), "and what is in clear, in clear"

    live(disk, scenario, encryption_keys=passphrases)


def spoilt() -> dict[str, Json]:
    """Messages that cannot be opened."""
    good = Sealer("correct horse")
    message = enveloped(payment(APPROVED))
    another_header = good.seal(message)
    another_header["SaleToPOIRequest"]["MessageHeader"] = payment(1, "s2")["MessageHeader"]
    changed = good.seal(message)
    blob = bytearray(base64.b64decode(changed["SaleToPOIRequest"]["NexoBlob"]))
    blob[20] ^= 1
    changed["SaleToPOIRequest"]["NexoBlob"] = base64.b64encode(blob).decode()
    no_trailer = good.seal(message)
    del no_trailer["SaleToPOIRequest"]["SecurityTrailer"]
    return {
        "an unknown key": Sealer("correct horse", "another").seal(message),
        "an unknown version": Sealer("correct horse", version=3).seal(message),
        "another passphrase": Sealer("wrong horse").seal(message),
        "changed on its way": changed,
        "under another header": another_header,
        "without a trailer": no_trailer,
    }


def test_what_cannot_be_opened_is_refused_in_the_same_words(
    disk: Path, passphrases: list[dict[str, object]]
) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        lane = HttpLane(gateway, HELD)
        said = set()
        for name, message in spoilt().items():
            code, event = await lane.post("/", message)
            assert (code, event_of(event)) == (403, "Reject"), name
            said.add(event["SaleToPOIRequest"]["EventNotification"]["EventDetails"])
        assert len(said) == 1, "nobody learns which it was"
        assert await gateway.charges() == {}

    live(disk, scenario, encryption_keys=passphrases)


def test_where_it_is_required_nothing_in_clear_is_done(
    disk: Path, passphrases: list[dict[str, object]]
) -> None:
    sealer = Sealer("correct horse")

    async def scenario(gateway: GatewayUnderTest) -> None:
        lane = HttpLane(gateway, HELD)
        code, event = await lane.post("/", enveloped(payment(APPROVED)))
        assert (code, event_of(event)) == (403, "Reject")
        assert "seal them" in event["SaleToPOIRequest"]["EventNotification"]["EventDetails"]
        assert await gateway.charges() == {}
        code, told = await lane.post("/", sealer.seal(enveloped(payment(APPROVED))))
        assert (code, result_of(sealer.open(told))) == (200, ("Success", ""))

    live(disk, scenario, encryption_keys=passphrases, encryption_required=True)


def test_without_keys_nothing_sealed_can_be_opened(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> tuple[int, Json]:
        sealed = Sealer("correct horse").seal(enveloped(diagnosis()))
        return await HttpLane(gateway, HELD).post("/", sealed)

    code, event = live(disk, scenario)
    assert (code, event_of(event)) == (403, "Reject")


def test_keys_that_cannot_be_used_are_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "good").write_text("correct horse\n")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")

    def settings(file: str) -> Settings:
        key = EncryptionKey(identifier="till", passphrase_file=str(tmp_path / file))
        return Settings(organisation="shop", encryption_keys=(key,))

    assert len(keys_of(settings("good"))) == 1
    for file, told in (
        ("nowhere", "cannot be read"),
        ("binary", "cannot be read"),
        ("empty", "empty"),
    ):
        with pytest.raises(ConfigurationError, match=told):
            keys_of(settings(file))


def test_settings_of_keys_that_do_not_fit_together_are_told() -> None:
    key = {"identifier": "till", "passphrase_file": "till.key"}
    for wrong, told in (
        ({"encryption_keys": [key, key]}, "the same identifier"),
        ({"encryption_required": True}, "without encryption_keys"),
    ):
        with pytest.raises(msgspec.ValidationError, match=told):
            msgspec.convert({"organisation": "shop", **wrong}, Settings)


def test_a_request_that_nobody_can_answer_is_a_fault_of_ours_and_no_outcome(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("4111111111111111")

    monkeypatch.setattr("tillwire.dialects.nexo.face.poi.Poi.answer", broken)

    async def scenario(gateway: GatewayUnderTest) -> tuple[int, Json]:
        return await HttpLane(gateway, HELD).post("/", enveloped(request("Logout", {})))

    code, told = live(disk, scenario)
    assert code == 500
    assert "4111" not in json.dumps(told)
