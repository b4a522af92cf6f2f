"""The messages: exact amounts, every fault by its member's name, both roles."""

from __future__ import annotations

import contextlib
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.merchantapi.shop import PURCHASE
from tillwire.dialects.merchantapi import wire
from tillwire.errors import InvalidRequest, RemoteProtocolError
from tillwire.money import CURRENCIES, Money


def body(value: str = "12.50", currency: str = "EUR") -> bytes:
    """A purchase with these characters as its value."""
    return (
        '{"type":"PURCHASE","merchant_order_reference":"till2-000481",'
        f'"amount":{{"value":{value},"currency":"{currency}"}}}}'
    ).encode()


def fault(document: bytes) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as refusal:
        wire.transaction_request(document)
    assert refusal.value.problem
    assert refusal.value.allowed
    return refusal.value


def changed(**members: Any) -> bytes:
    return msgspec.json.encode({**PURCHASE, **members})


@pytest.mark.parametrize(
    ("written", "currency", "minor"),
    [
        ("98.75", "EUR", 9875),
        ("0.1", "EUR", 10),
        ("1e2", "EUR", 10000),
        ("1E+2", "EUR", 10000),
        ("1250e-2", "EUR", 1250),
        ("12.5", "EUR", 1250),
        ("12.50", "EUR", 1250),
        ("12.500", "EUR", 1250),
        ("1200", "JPY", 1200),
        ("1200.0", "JPY", 1200),
        ("1.234", "KWD", 1234),
        ("1.2345", "CLF", 12345),
        ("0.01", "EUR", 1),
        ("99999999999", "EUR", 9999999999900),
        ("45035996273.70", "EUR", 4503599627370),
    ],
)
def test_a_value_is_exact(written: str, currency: str, minor: int) -> None:
    _, amount = wire.transaction_request(body(written, currency))
    assert amount == Money(minor, currency)


TOO_FINE = ("98.755", "0.001", "1e-999999999")
NOT_POSITIVE = ("-1", "-0.01", "0", "0.00", "-0")
NOT_A_NUMBER = ('"12,50"', '"12.50"', '""', "null", "true", "[]", "{}")
NOT_JSON = ("NaN", "Infinity", "-Infinity")
TOO_LARGE = ("1e999999999", "1e99999999999999999999", "9" * 5000, "99999999999.01")


@pytest.mark.parametrize(
    "written", [*TOO_FINE, *NOT_POSITIVE, *NOT_A_NUMBER, *NOT_JSON, *TOO_LARGE]
)
def test_a_wrong_value_is_refused_by_name(written: str) -> None:
    assert fault(body(written)).field == "amount.value"


def test_a_currency_has_its_own_decimals() -> None:
    assert fault(body("1.5", "JPY")).field == "amount.value"
    assert fault(body("1.2345", "KWD")).field == "amount.value"


def test_tenths_add_up() -> None:
    _, tenth = wire.transaction_request(body("0.1"))
    _, fifth = wire.transaction_request(body("0.2"))
    assert tenth.minor + fifth.minor == 30


@given(
    minor=st.integers(min_value=1, max_value=99_999_999_999),
    currency=st.sampled_from(sorted(CURRENCIES)),
)
def test_what_is_written_is_read_back(minor: int, currency: str) -> None:
    amount = Money(minor, currency)
    asked = wire.TransactionRequest(
        wire.TransactionType.PURCHASE, "till2-000481", wire.Amount.of(amount)
    )
    read, exact = wire.transaction_request(wire.encode(asked))
    assert exact == amount
    assert read == asked


def test_a_value_is_written_as_a_number_with_the_currencys_decimals() -> None:
    assert wire.encode(wire.Amount.of(Money(9870, "EUR"))) == b'{"value":98.70,"currency":"EUR"}'
    assert wire.encode(wire.Amount.of(Money(1200, "JPY"))) == b'{"value":1200,"currency":"JPY"}'
    assert wire.encode(wire.Amount.of(Money(1, "CLF"))) == b'{"value":0.0001,"currency":"CLF"}'


@pytest.mark.parametrize("member", ["type", "merchant_order_reference", "amount"])
def test_each_required_member_is_missed_by_name(member: str) -> None:
    document = {key: value for key, value in PURCHASE.items() if key != member}
    found = fault(msgspec.json.encode(document))
    assert (found.field, found.problem) == (member, "it is missing")


@pytest.mark.parametrize("member", ["value", "currency"])
def test_each_part_of_the_amount_is_missed_by_its_path(member: str) -> None:
    amount = {"value": 1, "currency": "EUR"}
    del amount[member]
    assert fault(changed(amount=amount)).field == f"amount.{member}"


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"type": "PRE_AUTH"}, "type"),
        ({"type": 1}, "type"),
        ({"type": None}, "type"),
        ({"merchant_order_reference": ""}, "merchant_order_reference"),
        ({"merchant_order_reference": "  "}, "merchant_order_reference"),
        ({"merchant_order_reference": "x" * 65}, "merchant_order_reference"),
        ({"merchant_order_reference": "a\nb"}, "merchant_order_reference"),
        ({"merchant_order_reference": "ab\n"}, "merchant_order_reference"),
        ({"merchant_order_reference": "a\x00"}, "merchant_order_reference"),
        ({"merchant_order_reference": 481}, "merchant_order_reference"),
        ({"amount": 12.5}, "amount"),
        ({"amount": {"value": 1, "currency": "EURO"}}, "amount.currency"),
        ({"amount": {"value": 1, "currency": "eur"}}, "amount.currency"),
        ({"amount": {"value": 1, "currency": "XXX"}}, "amount.currency"),
        ({"amount": {"value": 1, "currency": 978}}, "amount.currency"),
        ({"reference": {"id": "12345"}}, "reference"),
        ({"type": "REFUND", "reference": {}}, "reference.id"),
        ({"type": "REFUND", "reference": {"id": 12345}}, "reference.id"),
        ({"type": "REFUND", "reference": {"id": "x"}}, "reference.id"),
        ({"type": "REFUND", "reference": "12345"}, "reference"),
    ],
)
def test_a_wrong_member_is_refused_by_name(members: dict[str, Any], field: str) -> None:
    assert fault(changed(**members)).field == field


def test_a_card_number_is_no_name_for_a_sale_or_a_key() -> None:
    refused = fault(changed(merchant_order_reference="table 4, 4111 1111 1111 1111"))
    assert refused.field == "merchant_order_reference"
    assert "4111" not in str(refused)
    with pytest.raises(InvalidRequest, match="label: it holds a card number"):
        wire.api_key_request(b'{"label": "4111111111111111"}')


@pytest.mark.parametrize(
    "document",
    [
        *(b"", b"{", b"\xff", b"[]", b"null", b"12", b'"text"', b"[" * 60_000),
        *(body() + b"{}", body().decode().encode("utf-16")),
        *(b'{"type":"\xed\xa0\x80"}', b'{"type":"\\ud800"}'),
    ],
)
def test_what_is_no_message_is_refused_as_a_whole(document: bytes) -> None:
    assert fault(document).field == "body"


def test_nan_is_told_by_its_place_wherever_it_is() -> None:
    assert fault(b'{"extra":[1,{"deep":NaN}]}').field == "extra[1].deep"


@given(st.binary(max_size=200))
def test_garbage_raises_nothing_else(garbage: bytes) -> None:
    for read in (wire.transaction_request, wire.api_key_request):
        with pytest.raises(InvalidRequest):
            read(garbage)


@given(st.data())
def test_a_damaged_message_is_read_or_refused(data: st.DataObject) -> None:
    whole = bytearray(body())
    where = data.draw(st.integers(0, len(whole) - 1))
    whole[where] = data.draw(st.integers(0, 255))
    with contextlib.suppress(InvalidRequest):
        assert wire.transaction_request(bytes(whole))[1].minor > 0


def test_unknown_members_are_ignored() -> None:
    document = changed(note="hello", amount={"value": 1, "currency": "EUR", "vat": 0.21})
    assert wire.transaction_request(document)[1] == Money(100, "EUR")


def test_null_is_as_good_as_absent() -> None:
    assert wire.transaction_request(changed(reference=None))[0].reference is None
    assert wire.api_key_request(b'{"label":"a","validity":null}').validity is None


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ("{}", "label"),
        ('{"label":5}', "label"),
        ('{"label":""}', "label"),
        ('{"label":"a","validity":5}', "validity"),
        ('{"label":"a","validity":{"from":"2026-01-01"}}', "validity.from"),
        ('{"label":"a","validity":{"from":"2026-01-01T00:00:00"}}', "validity.from"),
        ('{"label":"a","validity":{"until":"tomorrow"}}', "validity.until"),
        ('{"label":"a","validity":{"until":1767225600}}', "validity.until"),
    ],
)
def test_a_wrong_key_request_is_refused_by_name(document: str, field: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        wire.api_key_request(document.encode())
    assert refusal.value.field == field


def test_a_client_reads_what_a_server_answers() -> None:
    told = b"""{"type":"PURCHASE","id":"5456485215432746823746654987115","status":"CREATED",
        "merchant_order_reference":"inv2112280004","creation_datetime":"2022-01-18T14:30:05.619Z",
        "amount":{"value":98.75,"currency":"EUR"},"new_member":true}"""
    read = wire.answer(wire.Transaction, told)
    assert read.amount.value == Decimal("98.75")
    assert read.result is msgspec.UNSET
    assert wire.answer(list[wire.Store], b"[]") == []


@pytest.mark.parametrize("told", [b"", b"<html>", b"[]", b'{"status":"CREATED"}', b"\xff"])
def test_a_client_says_who_broke_the_protocol(told: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        wire.answer(wire.Transaction, told)


def test_a_problem_without_a_type_is_about_blank() -> None:
    vendors = b'{"status":403,"title":"Forbidden","detail":"Invalid API Key.","instance":"/stores"}'
    read = wire.answer(wire.Problem, vendors)
    assert (read.type, read.status, read.instance) == ("about:blank", 403, "/stores")


def test_each_part_of_a_terminals_name_is_encoded() -> None:
    path = wire.transactions_path("SUNMI", "P2 lite/4G", "PL1")
    assert path == "/terminals/SUNMI-P2%20lite%2F4G-PL1/transactions"
