"""What a system tells its clients is read as a client must whose peer nobody here wrote."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwire import pan
from tillwire.core.model import TransactionType, Verdict
from tillwire.dialects.merchantapi.driver import outcome
from tillwire.dialects.merchantapi.wire import told
from tillwire.errors import RemoteProtocolError
from tillwire.money import Money

WHOLE: dict[str, Any] = {
    "type": "REFUND",
    "id": "5456485215432746823746654987115",
    "merchant_order_reference": "inv2112280004",
    "creation_datetime": "2022-01-18T14:30:05.619Z",
    "transaction_datetime": "2022-01-18T15:31:02+01:00",
    "amount": {"value": 98.75, "currency": "EUR"},
    "reference": {"id": "5456485215432746823746654987114"},
    "system_trace_audit_number": "055890",
    "brand": "V_PAY",
    "receipt": "CARDHOLDER NAME\r\nPAYMENT ACCEPTED\r",
    "merchant_receipt": "MERCHANT NAME\nPAYMENT ACCEPTED",
    "result": "APPROVED",
    "status": "CLEARED",
    "store": {"uuid": "3fa85f64-5717-4562-b3fc-2c963f66afa6", "name": "The configured Shopname"},
}


def read(**changes: Any) -> told.Told:
    return told.read_transaction(json.dumps({**WHOLE, **changes}).encode())


@pytest.mark.parametrize("number", ["4111111111111111", "4  1  " + "1  " * 14])
def test_a_receipt_that_is_cut_shows_no_part_of_a_card_number(number: str) -> None:
    assert "*" in pan.masked(number)
    for before in range(told.LONGEST_RECEIPT - 60, told.LONGEST_RECEIPT + 1):
        text = "x" * (before - 1) + " " + number + " x" * 1_000
        assert read(receipt=text).receipt == pan.masked(text)[: told.LONGEST_RECEIPT]


def test_the_whole_of_it() -> None:
    assert read() == told.Told(
        id="5456485215432746823746654987115",
        reference="inv2112280004",
        type="REFUND",
        status="CLEARED",
        result="APPROVED",
        amount=Money(9875, "EUR"),
        original="5456485215432746823746654987114",
        created_at=datetime(2022, 1, 18, 14, 30, 5, 619_000, UTC),
        processed_at=datetime(2022, 1, 18, 14, 31, 2, tzinfo=UTC),
        stan="055890",
        brand="V_PAY",
        receipt="CARDHOLDER NAME\nPAYMENT ACCEPTED\n",
        merchant_receipt="MERCHANT NAME\nPAYMENT ACCEPTED",
    )
    assert told.read_transaction(b'\xef\xbb\xbf{"id":"7"}') == told.Told(id="7")


@pytest.mark.parametrize(
    ("digits", "minor"),
    [(b"0.30", 30), (b"19.99", 1999), (b"1e2", 10_000), (b"12", 1200),
     (b"9999999999999.99", 10**15 - 1)],
)  # fmt: skip
def test_amounts_are_read_from_their_digits(digits: bytes, minor: int) -> None:
    octets = b'{"id":"1","amount":{"value":%s,"currency":"EUR"}}' % digits
    assert told.read_transaction(octets).amount == Money(minor, "EUR")


@pytest.mark.parametrize(
    ("name", "value"),
    [("amount", value) for value in
     (12.5, "12.50", [], {}, {"value": 1}, {"currency": "EUR"}, {"value": 0, "currency": "EUR"},
      {"value": -1, "currency": "EUR"}, {"value": 1.005, "currency": "EUR"},
      {"value": 1, "currency": "XXX"}, {"value": True, "currency": "EUR"},
      {"value": "1", "currency": "EUR"}, {"value": 10**16, "currency": "EUR"})]
    + [("approved_amount", 0), ("status", 1), ("status", "A\nB"), ("status", "x" * 65),
       ("result", ["APPROVED"]), ("type", {}), ("merchant_order_reference", 7),
       ("reference", "1"), ("reference", {}), ("reference", {"id": "../1"})],
)  # fmt: skip
def test_what_money_hangs_on_is_named_when_it_cannot_be_read(name: str, value: Any) -> None:
    assert read(**{name: value}).broken == name


@pytest.mark.parametrize(
    ("name", "value", "member"),
    [("creation_datetime", value, "created_at") for value in
     (None, 7, "", "yesterday", "2022-01-18T14:30:05", "2022-01-18", "0001-01-01T00:00:00+23:00",
      "9999-12-31T23:59:59-23:00")]
    + [("system_trace_audit_number", "12a", "stan"), ("system_trace_audit_number", 1, "stan"),
       ("brand", {}, "brand"), ("receipt", 1, "receipt"), ("receipt", " \n", "receipt")],
)  # fmt: skip
def test_what_else_cannot_be_read_is_left_out(name: str, value: Any, member: str) -> None:
    found = read(**{name: value})
    assert not getattr(found, member)
    assert found.broken == ""


@pytest.mark.parametrize(
    "name", ["receipt", "merchant_receipt", "brand", "type", "status", "result"]
)
def test_card_numbers_are_cut_where_people_read(name: str) -> None:
    found = getattr(read(**{name: "CARD 4111 1111 1111 1111"}), name)
    assert found == "CARD **** **** **** 1111"


def test_no_card_number_is_in_anything_that_is_read() -> None:
    visa = "4111111111111111"
    texts = {name: visa for name, value in WHOLE.items() if isinstance(value, str)}
    assert visa not in str(read(**texts, reference={"id": visa}, store={"name": visa}))


def test_card_numbers_are_cut_before_a_long_text_is() -> None:
    found = read(receipt="x" * (told.LONGEST_RECEIPT - 14) + " 4111111111111111").receipt
    assert len(found) == told.LONGEST_RECEIPT
    assert "4111" not in found


def test_names_are_cut_only_where_an_issuer_s_number_is() -> None:
    assert read(merchant_order_reference="4111111111111111").reference == "************1111"
    assert read(merchant_order_reference="1234567890128").reference == "1234567890128"


@pytest.mark.parametrize(
    "octets",
    [b"", b"null", b"[]", b"{}", b'"x"', b"7", b"<html>", b"\xff\xfe", b"{" * 50_000,
     b"[" * 200_000,
     b'{"id":null}', b'{"id":5456485215432746823746654987115}', b'{"id":""}', b'{"id":".."}',
     b'{"id":"a/b"}', b'{"id":"a b"}', b'{"id":"' + b"1" * 65 + b'"}', b'{"id":"1","id":"2"}',
     b'{"id":"1","store":{"name":"a","name":"b"}}', b'{"id":"1","amount":{"value":NaN}}',
     b'{"id":"1","x":' + b"9" * 5_000 + b"}", b" " * (told.LARGEST_ANSWER + 1)],
)  # fmt: skip
def test_what_is_no_transaction_is_refused(octets: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        told.read_transaction(octets)


@given(st.binary(max_size=300))
def test_garbage_raises_nothing_else(garbage: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        told.read_transaction(garbage)
    assert told.read_refusal(500, garbage).startswith("500")


@given(st.data())
def test_a_damaged_answer_is_read_or_refused(data: st.DataObject) -> None:
    whole = bytearray(json.dumps(WHOLE).encode())
    whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(RemoteProtocolError):
        found = told.read_transaction(bytes(whole))
        assert found.amount is None or found.amount.minor > 0


# --- pages and refusals -------------------------------------------------------------------------


def test_a_page() -> None:
    octets = json.dumps([WHOLE, {"id": "2"}]).encode()
    entries, total = told.read_page(octets, [("X-Total-Count", " 67 "), ("Link", "")])
    assert ([each and each.id for each in entries], total) == ([WHOLE["id"], "2"], 67)
    assert told.read_page(b"[]", [("x-total-count", "0")]) == ([], 0)


def test_one_that_cannot_be_read_hides_no_other() -> None:
    for strange in (7, None, [], {}, {"id": 7}, {"id": "../x"}):
        octets = json.dumps([strange, {"id": "2"}]).encode()
        entries, _ = told.read_page(octets, [("X-Total-Count", "2")])
        assert [each and each.id for each in entries] == [None, "2"]


@pytest.mark.parametrize(
    ("octets", "headers"),
    [(b"{}", ["1"]), (b"[]", []), (b"[]", [""]), (b"[]", ["-1"]), (b"[]", ["1", "1"]),
     (b"[]", ["\u0661"]), (b"[]", ["9" * 16]), (b"[7]", ["0"]), (b"[{}]", [""]), (b"[", ["1"])],
)  # fmt: skip
def test_what_is_no_page_is_refused(octets: bytes, headers: list[str]) -> None:
    with pytest.raises(RemoteProtocolError):
        told.read_page(octets, [("X-Total-Count", each) for each in headers])


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (b'{"status":403,"title":"Forbidden","detail":"Invalid API Key.","instance":"/stores"}',
         "403 Forbidden: Invalid API Key"),
        (b'{"title":"A\\n  B\\u0000","detail":7}', "403 A B"),
        (b"<html>", "403"),
        (b"", "403"),
        (b'{"title":"\\ud800"}', "403"),
    ],
)  # fmt: skip
def test_a_refusal_in_words(octets: bytes, words: str) -> None:
    assert told.read_refusal(403, octets) == words


# --- evidence -----------------------------------------------------------------------------------


def test_an_entry_has_what_is_told() -> None:
    entry = outcome.entry_of(read())
    assert (entry.name, entry.transaction_id) == ("5456485215432746823746654987115", "")
    assert (entry.type, entry.amount, entry.currency) == (TransactionType.REFUND, 9875, "EUR")
    assert (entry.reference, entry.original) == (
        "inv2112280004",
        "5456485215432746823746654987114",
    )
    assert entry.words == "CLEARED APPROVED"
    assert outcome.entry_of(read(type="PRE_AUTH")).words == "PRE_AUTH CLEARED APPROVED"
    assert entry.outcome is not None
    assert entry.outcome.verdict is Verdict.APPROVED


@pytest.mark.parametrize(
    ("changes", "verdict", "amount"),
    [
        ({"status": "CREATED", "result": None}, "UNKNOWN", 9875),
        ({"status": "REVERSED"}, "UNKNOWN", 9875),
        ({"status": 7}, "UNKNOWN", 9875),
        ({"amount": None}, "UNKNOWN", None),
        ({"status": "CANCELLED", "result": None}, "CANCELLED", 9875),
        ({"status": "CANCELLED", "result": "DECLINED"}, "DECLINED", 9875),
        ({"type": "PURCHASE", "approved_amount": {"value": 1, "currency": "EUR"}}, "APPROVED", 100),
        ({"type": "PRE_AUTH"}, "UNKNOWN", 9875),
    ],
)  # fmt: skip
def test_an_entry_says_no_more_than_is_told(
    changes: dict[str, Any], verdict: str, amount: int | None
) -> None:
    entry = outcome.entry_of(read(**changes))
    assert (entry.verdict, entry.amount) == (verdict, amount)
