"""What a till asks is read strictly where it counts, and what is reserved is ignored."""

from __future__ import annotations

import msgspec
import pytest

from tests.unit.ecr17.wire.messages import REGISTER, TID, VECTORS, minute, payload
from tillwire.dialects.ecr17 import wire
from tillwire.errors import InvalidRequest, RemoteProtocolError

REQUESTS = [
    each.name
    for each in VECTORS.values()
    if each.direction == "ecr_to_pos" and each.kind == "application"
]
PAYMENT = wire.PaymentRequest(tid=TID, cash_register=REGISTER, amount=1234)


def put(name: str, position: int, characters: bytes) -> bytes:
    """A vector's payload with something else at a position, counted from 1."""
    octets = bytearray(payload(name))
    octets[position - 1 : position - 1 + len(characters)] = characters
    return bytes(octets)


@pytest.mark.parametrize(
    ("octets", "code", "reason"),
    [
        (b"", "", "0 characters are no message"),
        (b"123456780", "", "9 characters are no message"),
        (b"1234567x0s", "s", "the terminal id is not a number"),
        (b"\xb2\xb2\xb2\xb2\xb2\xb2\xb2\xb20s", "s", "the terminal id is not a number"),
        (b"123456780J" + b"0" * 20, "J", "no such request"),
        (b"123456780V" + b"0" * 200, "V", "no such request"),
        (b"123456780\xe8", "è", "no such request"),
        (payload("payment_request")[:158], "P", "158 characters, and 167 are expected"),
        (payload("reversal_request")[:25], "S", "25 characters, and 26 are expected"),
        (payload("receipt_on_ecr")[:10], "E", "10 characters, and 11 are expected"),
        (put("payment_request", 24, b"    1234"), "P", "characters 24 to 31 are no amount"),
        (put("payment_request", 24, b"-0001234"), "P", "characters 24 to 31 are no amount"),
        (put("payment_request", 24, b"0012,34 "), "P", "characters 24 to 31 are no amount"),
        (put("payment_request", 11, b"10.0.0.1"), "P", "characters 11 to 18 are no cash_register"),
        (put("payment_request", 19, b"2"), "P", "characters 19 to 19 are no additional_data"),
        (put("payment_request", 22, b" "), "P", "characters 22 to 22 are no card_present"),
        (put("payment_request", 23, b"4"), "P", "characters 23 to 23 are no payment_type"),
        (put("reversal_request", 19, b"00012a"), "S", "characters 19 to 24 are no stan"),
        (put("receipt_on_ecr", 11, b"4"), "E", "characters 11 to 11 are no routing"),
        (
            put("capture_request", 160, b"12345678 "),
            "c",
            "characters 160 to 168 are no preauthorisation_code",
        ),
        (
            put("retroactive_reversal_request", 61, b"3113260000"),
            "Q",
            "characters 61 to 70 are no original_time",
        ),
        (payload("payment_request") + b"1", "P", "something follows after 167 characters"),
        (payload("status_request") + b"\x00", "s", "something follows after 10 characters"),
    ],
)
def test_what_cannot_be_read_says_why(octets: bytes, code: str, reason: str) -> None:
    with pytest.raises(wire.Unreadable) as refused:
        wire.decode_request(octets)
    assert (refused.value.code, refused.value.reason) == (code, reason)
    assert isinstance(refused.value, RemoteProtocolError)


def test_the_reason_tells_nothing_of_the_content() -> None:
    with pytest.raises(wire.Unreadable) as refused:
        wire.decode_request(put("payment_request", 24, b"4111111X"))
    assert "4111" not in str(refused.value)


@pytest.mark.parametrize("name", ["capture_request", "capture_request_12_zeros"])
def test_a_capture_ends_with_8_or_12_zeros(name: str) -> None:
    read = wire.decode_request(payload(name))
    assert isinstance(read, wire.CaptureRequest)
    assert wire.encode(read) == payload("capture_request")
    assert wire.encode(read, wire.Spelling(capture_zeros=12)) == payload("capture_request_12_zeros")


@pytest.mark.parametrize(
    ("name", "significant"),
    [
        ("payment_request", 159),
        ("incremental_request", 168),
        ("totals_request", 19),
        ("last_result_request", 19),
        ("reprint_request", 12),
        ("card_verification_request", 23),
        ("refund_request", 31),
        ("dll_request", 17),
        ("retroactive_reversal_request", 70),
    ],
)
def test_reserved_characters_at_the_end_may_be_missing(name: str, significant: int) -> None:
    octets = payload(name)
    read = wire.decode_request(octets)
    for length in range(significant, len(octets)):
        assert wire.decode_request(octets[:length]) == read
    with pytest.raises(wire.Unreadable):
        wire.decode_request(octets[: significant - 1])


@pytest.mark.parametrize("name", [name for name in REQUESTS if name != "vas_request"])
def test_more_reserved_characters_at_the_end_are_ignored(name: str) -> None:
    read = wire.decode_request(payload(name))
    assert wire.decode_request(payload(name) + b"0000  00") == read


def test_reserved_characters_are_ignored() -> None:
    read = wire.decode_request(payload("payment_request"))
    assert wire.decode_request(put("payment_request", 9, b"X")) == read
    assert wire.decode_request(put("payment_request", 20, b"  ")) == read
    assert wire.decode_request(put("payment_request", 160, b"ABCDEFGH")) == read


def test_the_text_for_the_receipt_is_right_aligned() -> None:
    asked = msgspec.structs.replace(PAYMENT, receipt_text="SCONTRINO 42")
    octets = wire.encode(asked)
    assert octets[31:159] == b"SCONTRINO 42".rjust(128)
    assert wire.decode_request(octets) == asked
    left = octets[:31] + b"SCONTRINO 42".ljust(128) + octets[159:]
    assert wire.decode_request(left) == asked


def test_a_text_in_another_alphabet_does_not_stop_a_payment() -> None:
    octets = put("payment_request", 32, "città\x00".encode("latin-1"))
    read = wire.decode_request(octets)
    assert isinstance(read, wire.PaymentRequest)
    assert read.receipt_text == "citt?"


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (msgspec.structs.replace(PAYMENT, amount=100_000_000), "amount"),
        (msgspec.structs.replace(PAYMENT, amount=-1), "amount"),
        (msgspec.structs.replace(PAYMENT, tid="1234567"), "tid"),
        (msgspec.structs.replace(PAYMENT, tid="1234567A"), "tid"),
        (msgspec.structs.replace(PAYMENT, cash_register="1"), "cash_register"),
        (msgspec.structs.replace(PAYMENT, cash_register="10.0.0.1"), "cash_register"),
        (msgspec.structs.replace(PAYMENT, cash_register="١٢٣٤٥٦٧٨"), "cash_register"),
        (msgspec.structs.replace(PAYMENT, receipt_text="x" * 129), "receipt_text"),
        (msgspec.structs.replace(PAYMENT, receipt_text="già"), "receipt_text"),
        (msgspec.structs.replace(PAYMENT, receipt_text="a\x03b"), "receipt_text"),
        (msgspec.structs.replace(PAYMENT, payment_type="9"), "payment_type"),
        (wire.ReversalRequest(tid=TID, cash_register=REGISTER, stan="124"), "stan"),
        (
            wire.CaptureRequest(
                tid=TID, cash_register=REGISTER, amount=1, preauthorisation_code=""
            ),
            "preauthorisation_code",
        ),
        (
            wire.RetroactiveReversalRequest(
                tid=TID,
                cash_register=REGISTER,
                stan="000124",
                card="C1234",
                acquirer="00000000034",
                amount=1,
                original_time=minute("1999-12-31"),
            ),
            "original_time",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused_by_its_field(request_: wire.Request, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        wire.encode(request_)
    assert refused.value.field == field


def test_the_largest_amount() -> None:
    largest = msgspec.structs.replace(PAYMENT, amount=wire.LARGEST_AMOUNT)
    assert wire.decode_request(wire.encode(largest)) == largest
    assert wire.encode(largest)[23:31] == b"99999999"
