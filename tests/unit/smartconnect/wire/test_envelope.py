"""What a cloud answers: the vendor's spelling, tolerant reading, and no card number."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.smartconnect.wire.texts import VISA
from tillwire.dialects.smartconnect.wire import envelope
from tillwire.dialects.smartconnect.wire.envelope import Envelope, Result
from tillwire.errors import RemoteProtocolError

ID = "2c1f7a52-9d41-4e0e-8a55-0b6c1f3f9a10"
TOKEN = "0f8b2c1e-6a0d-4b53-9b8e-7f4a2d9c5e61"  # an invented one
URL = f"https://api-dev.smart-connect.cloud/pos/transaction/{ID}?merchantAccessToken={TOKEN}"
PENDING = {
    "transactionId": ID,
    "transactionTimeStamp": "202603140215081234",
    "merchantId": "b1d1c4f0-55aa-4a7c-9a51-2f1d0b7a6c33",
    "deviceId": "7080001234",
    "transactionStatus": "PENDING",
    "data": {
        "Function": "Card.Purchase",
        "PosVendor": "TillCo",
        "PosRegisterID": "shop7-till2",
        "PosBusinessName": "Harbour Books",
        "AmountTotal": "1250",
        "DeviceID": "7080001234",
        "PollingUrl": URL,
    },
    "merchantAccessToken": TOKEN,
}
COMPLETED = {
    "transactionId": ID,
    "transactionStatus": "COMPLETED",
    "data": {
        "TransactionResult": "OK-ACCEPTED", "Result": "OK", "Function": "Card.Purchase",
        "RequestId": ID, "Merchant": "1", "AmountTotal": "1395", "AmountSurcharge": "25",
        "AmountTip": "120", "AuthId": "417302", "AcquirerRef": "000231",
        "TerminalRef": "79801234", "CardPan": "....4417", "CardType": "VISA",
        "AccountType": "CREDIT", "Timestamp": "20260314151602", "Receipt": "a\nb",
    },
}  # fmt: skip


def read(document: Any) -> Envelope:
    return envelope.read(json.dumps(document).encode())


def test_the_vendor_s_answer_is_read() -> None:
    found = read(PENDING)
    assert (found.transaction_id, found.transaction_status) == (ID, "PENDING")
    assert found.transaction_time_stamp == "202603140215081234"
    assert found.merchant_access_token == TOKEN
    assert found.data == Result(
        function="Card.Purchase", pos_vendor="TillCo", pos_register_id="shop7-till2",
        pos_business_name="Harbour Books", amount_total="1250", device_id="7080001234",
        polling_url=URL,
    )  # fmt: skip


@pytest.mark.parametrize("document", [PENDING, COMPLETED])
def test_the_vendor_s_spelling_is_written(document: dict[str, Any]) -> None:
    written = json.loads(envelope.write(read(document)))
    assert written == document
    assert all(isinstance(value, str) for value in written["data"].values())


def test_a_completed_result_is_read() -> None:
    data = read(COMPLETED).data
    assert data is not None
    assert (data.amount_total, data.amount_surcharge, data.amount_tip) == ("1395", "25", "120")
    assert (data.card_pan, data.auth_id, data.receipt) == ("....4417", "417302", "a\nb")


def test_numbers_become_texts_and_what_is_neither_is_left_out() -> None:
    data = read(
        {"transactionStatus": "completed", "transactionId": 7,
         "data": {"AmountTotal": 1395, "AmountTip": 1.5, "Result": True, "Receipt": ["a"],
                  "TransactionResult": None, "Status": {"a": 1}, "More": "x"}}
    )  # fmt: skip
    assert (data.transaction_id, data.transaction_status) == ("7", "COMPLETED")
    assert data.data == Result(amount_total="1395", amount_tip="1.5")


@pytest.mark.parametrize("inner", [None, [], "x", 1, True])
def test_data_that_is_no_object_is_none(inner: Any) -> None:
    assert read({"transactionStatus": "COMPLETED", "data": inner}).data is None


@pytest.mark.parametrize(
    "octets",
    [b"", b"{", b"null", b"[]", b'"x"', b"<html>", b"\xff\xfe", b"[" * 100_000, b"{}",
     b'{"transactionStatus":1}', b'{"transactionStatus":"DONE"}', b'{"transactionStatus":null}',
     b'{"transactionStatus":"PENDING","data":{"Receipt":"' + b"x" * (1 << 20) + b'"}}'],
)  # fmt: skip
def test_what_is_no_answer_is_refused(octets: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        envelope.read(octets)


def test_a_byte_order_mark_is_passed_over() -> None:
    assert envelope.read(b'\xef\xbb\xbf{"transactionStatus":"PENDING"}').data is None


def test_texts_that_are_too_long_are_left_out() -> None:
    data = read({"transactionStatus": "PENDING", "data": {"Receipt": "x" * 16_385}}).data
    assert data == Result()


# --- card numbers -------------------------------------------------------------------------------


@pytest.mark.parametrize("key", Result.__struct_encode_fields__)
def test_no_member_of_a_result_holds_a_card_number(key: str) -> None:
    data = read({"transactionStatus": "PENDING", "data": {key: f"x {VISA} y"}}).data
    assert data is not None
    assert VISA not in repr(data)


@pytest.mark.parametrize("key", ["transactionId", "merchantId", "deviceId", "merchantAccessToken"])
def test_no_member_of_an_envelope_holds_a_card_number(key: str) -> None:
    assert VISA not in repr(read({"transactionStatus": "PENDING", key: VISA}))


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("....4417", "....4417"),
        ("411111......1111", "411111......1111"),
        (VISA, "************1111"),
        ("41111111...1111", "***********1111"),
        ("", ""),
    ],
)
def test_of_a_card_s_number_the_last_four_and_six_first_are_shown(told: str, shown: str) -> None:
    assert Result(card_pan=told).card_pan == shown


def test_a_till_s_own_number_that_is_no_issuer_s_stays() -> None:
    assert Result(transaction_reference="1234567890123452").transaction_reference == (
        "1234567890123452"
    )


# --- properties ---------------------------------------------------------------------------------

_TEXT = st.text(st.characters(codec="utf-8"), max_size=30)


@given(st.fixed_dictionaries(dict.fromkeys(Result.__struct_fields__, _TEXT)))
def test_a_result_is_read_as_it_was_written(members: dict[str, str]) -> None:
    result = Result(**members)
    assert envelope.read_result(envelope.write_result(result)) == result
    answer = Envelope(transaction_status="COMPLETED", data=result)
    assert envelope.read(envelope.write(answer)) == answer


@given(st.binary(max_size=200))
def test_garbage_is_read_or_refused(octets: bytes) -> None:
    for read_ in (envelope.read, envelope.read_result):
        try:
            read_(octets)
        except RemoteProtocolError:
            continue


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(Result.__struct_encode_fields__), _JSON, max_size=8), _JSON)
def test_any_json_in_its_members_is_survived(members: dict[str, Any], other: Any) -> None:
    found = read({"transactionStatus": "COMPLETED", "data": members, "deviceId": other})
    assert found.data is not None
    assert all(isinstance(getattr(found.data, name), str) for name in Result.__struct_fields__)
