"""Whatever arrives, it is read or refused with words that help, and nothing else happens."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.nexo.wire.messages import EXAMPLES, loose, octets, read
from tillwire.dialects.nexo import wire

# --- what is no message -----------------------------------------------------------------------

PAYMENT: Final = EXAMPLES["payment_req"]


@pytest.mark.parametrize(
    ("told", "detail"),
    [
        (b"", "It is not JSON."),
        (b"GET / HTTP/1.1\r\n\r\n", "It is not JSON."),
        (b"\xff\xfe{\x00}\x00", "It is not JSON."),
        (b'{"SaleToPOIRequest":{"MessageHeader":{', "It is not JSON."),
        (PAYMENT + b"}", "It is not JSON."),
        (b"[" * 100_000, "It is not a JSON object."),
        (b'{"a":' * 100_000, "It is not JSON."),
        (b"[]", "It is not a JSON object."),
        (b'"SaleToPOIRequest"', "It is not a JSON object."),
        (b"null", "It is not a JSON object."),
        (b'{"SaleToPOIRequest":[]}', "It is not a JSON object."),
        (b"{}", "Field MessageHeader: Missing"),
        (b'{"SaleToPOIRequest":{}}', "At SaleToPOIRequest, field MessageHeader: Missing"),
        (
            b'{"SaleToPOIRequest":{},"SaleToPOIResponse":{}}',
            "There are a SaleToPOIRequest and a SaleToPOIResponse in it.",
        ),
        (
            b'{"SaleToPOIRequest":{"MessageHeader":7}}',
            "At SaleToPOIRequest.MessageHeader: It is a whole number. Allowed: an object",
        ),
        (b'{"MessageHeader":null}', "Field MessageHeader: Missing"),
        (b'{"MessageHeader":{"\xff":1}}', "It is not JSON."),
        (b'{"MessageHeader":{"SaleID":"\xff"}}', "It is not JSON."),
    ],
)
def test_what_is_no_message_is_unreadable(told: bytes, detail: str) -> None:
    with pytest.raises(wire.Unreadable) as raised:
        wire.decode(told)
    assert raised.value.detail.startswith(detail)
    assert raised.value.header is None


@pytest.mark.parametrize(
    "key", ["MessageClass", "MessageCategory", "MessageType", "ServiceID", "SaleID", "POIID"]
)
@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "Missing"),
        ("", "Too short"),
        ("x" * 129, "Too long"),
        ([], "It is a list"),
        (1.5, "It is a number"),
    ],
)
def test_a_header_names_what_is_wrong_with_it(key: str, value: Any, problem: str) -> None:
    content = loose("payment_req")
    content["MessageHeader"][key] = value
    with pytest.raises(wire.Unreadable, match=f"MessageHeader, field {key}: {problem}"):
        wire.decode(octets(content))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("MessageCategory", "Divination"),
        ("MessageType", "Rumour"),
        ("MessageType", "Notification"),
    ],
)
def test_what_is_of_no_known_kind_keeps_its_header(key: str, value: str) -> None:
    content = loose("payment_req")
    content["MessageHeader"][key] = value
    with pytest.raises(wire.Unreadable) as raised:
        wire.decode(octets(content))
    assert raised.value.detail == f"At SaleToPOIRequest.MessageHeader, field {key}: Unknown"
    assert raised.value.header is not None
    assert raised.value.header.service_id == "a000000003"


def test_an_abort_has_no_response() -> None:
    content = loose("abort_req")
    content["MessageHeader"]["MessageType"] = "Response"
    with pytest.raises(wire.Unreadable, match="field MessageType: Unknown"):
        wire.decode(octets(content))


def test_a_device_message_needs_a_number() -> None:
    content = loose("display_req")
    del content["MessageHeader"]["ServiceID"]
    assert wire.decode(octets(content)).header.device_id == "d000000001"
    del content["MessageHeader"]["DeviceID"]
    with pytest.raises(wire.Unreadable, match="field ServiceID: Missing"):
        wire.decode(octets(content))


def test_a_message_has_a_limit() -> None:
    assert wire.decode(PAYMENT, limit=len(PAYMENT))
    with pytest.raises(wire.Unreadable, match="octets; allowed are"):
        wire.decode(PAYMENT, limit=len(PAYMENT) - 1)


# --- what is wrong in a body ------------------------------------------------------------------


def test_the_words_of_a_bad_body() -> None:
    content = loose("payment_req")
    del content["PaymentRequest"]["PaymentTransaction"]["AmountsReq"]["Currency"]
    with pytest.raises(wire.BadBody) as raised:
        wire.decode(octets(content))
    error = raised.value
    assert error.path == "SaleToPOIRequest.PaymentRequest.PaymentTransaction.AmountsReq"
    assert (error.field, error.problem) == ("Currency", "Missing")
    assert error.allowed == "three capital letters of ISO 4217"
    assert error.detail == (
        "At SaleToPOIRequest.PaymentRequest.PaymentTransaction.AmountsReq, field Currency: "
        "Missing. Allowed: three capital letters of ISO 4217"
    )
    assert error.header == wire.decode(PAYMENT).header
    assert error.salvage == wire.decode(PAYMENT).body.sale_data  # type: ignore[union-attr]
    assert error.envelope
    with pytest.raises(wire.BadBody) as raised:
        wire.decode(json.dumps(content).encode())
    assert raised.value.path == "PaymentRequest.PaymentTransaction.AmountsReq"
    assert not raised.value.envelope


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, "At SaleToPOIRequest, field PaymentRequest: Missing. Allowed: an object"),
        (
            {"PaymentRequest": None},
            "At SaleToPOIRequest, field PaymentRequest: Missing. Allowed: an object",
        ),
        (
            {"LoginRequest": {}, "Nonsense": {}},
            "At SaleToPOIRequest, field PaymentRequest: Missing, LoginRequest is there instead. "
            "Allowed: an object",
        ),
        (
            {"NexoBlob": "AAAA", "SecurityTrailer": {}},
            "At SaleToPOIRequest, field PaymentRequest: Missing, NexoBlob is there instead. "
            "Allowed: an object",
        ),
        (
            {"PaymentRequest": []},
            "At SaleToPOIRequest, field PaymentRequest: It is a list. Allowed: an object",
        ),
    ],
)
def test_a_body_that_is_not_there(body: dict[str, Any], problem: str) -> None:
    with pytest.raises(wire.BadBody) as raised:
        read({"MessageHeader": loose("payment_req")["MessageHeader"], **body})
    assert raised.value.detail == problem
    assert raised.value.salvage is None


AMOUNTS: Final = "PaymentTransaction.AmountsReq"


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        (f"{AMOUNTS}.Currency", "eur", "Invalid"),
        (f"{AMOUNTS}.Currency", "EUR\n", "Invalid"),
        (f"{AMOUNTS}.Currency", 978, "Invalid"),
        (f"{AMOUNTS}.RequestedAmount", None, "Missing"),
        (f"{AMOUNTS}.RequestedAmount", -1, "Out of range"),
        (f"{AMOUNTS}.RequestedAmount", 100_000_000, "Out of range"),
        (f"{AMOUNTS}.RequestedAmount", "NaN", "Out of range"),
        (f"{AMOUNTS}.RequestedAmount", "-Infinity", "Out of range"),
        (f"{AMOUNTS}.RequestedAmount", "sNaN", "Out of range"),
        (f"{AMOUNTS}.RequestedAmount", "12,50", "Not a number"),
        (f"{AMOUNTS}.RequestedAmount", True, "It is true or false"),
        (f"{AMOUNTS}.RequestedAmount", {}, "It is an object"),
        (f"{AMOUNTS}.TipAmount", 0.0000001, "Too many decimals"),
        ("SaleData.SaleTransactionID.TransactionID", "", "Too short"),
        ("SaleData.SaleTransactionID.TransactionID", "x" * 4_097, "Too long"),
        ("SaleData.SaleTransactionID.TimeStamp", None, "Missing"),
        ("SaleData.SaleTransactionID", "T-1", "It is text"),
        ("SaleData.SaleToPOIData", "x" * 65_537, "Too long"),
        ("PaymentData.SplitPaymentFlag", "yes", "It is text"),
        ("PaymentData.RequestedValidityDate", "tomorrow", "Invalid"),
        ("PaymentTransaction.TransactionConditions.MerchantCategoryCode", "12345", "Too long"),
        ("PaymentTransaction.TransactionConditions.AcquirerID", ["1"] * 1_001, "Too long"),
        ("PaymentTransaction.TransactionConditions.CustomerLanguage", "english", "Invalid"),
    ],
)
def test_a_member_that_is_wrong_is_named(path: str, value: Any, problem: str) -> None:
    content = loose("payment_req")
    at = content["PaymentRequest"]
    *above, key = path.split(".")
    for step in above:
        at = at[step]
    at[key] = value
    with pytest.raises(wire.BadBody) as raised:
        read(content)
    error = raised.value
    assert error.path == ".".join(["SaleToPOIRequest", "PaymentRequest", *above])
    assert (error.field, error.problem) == (key, problem)
    assert error.allowed


def test_a_member_of_a_list_is_named_with_its_place() -> None:
    content = loose("payment_req")
    item = {"ItemID": 0, "ProductCode": "1", "ItemAmount": 1}
    content["PaymentRequest"]["PaymentTransaction"]["SaleItem"] = [item, {**item, "ItemID": -1}]
    with pytest.raises(wire.BadBody) as raised:
        read(content)
    assert raised.value.path.endswith("PaymentRequest.PaymentTransaction.SaleItem[1]")
    assert (raised.value.field, raised.value.problem) == ("ItemID", "Out of range")
    assert raised.value.allowed == "a whole number, not negative"


@pytest.mark.parametrize(
    ("example", "required"),
    [
        ("login_req", ["DateTime", "SaleSoftware", "OperatorLanguage"]),
        ("payment_req", ["SaleData", "PaymentTransaction"]),
        ("reversal_req", ["OriginalPOITransaction", "ReversalReason"]),
        ("abort_req", ["MessageReference", "AbortReason"]),
        ("reconciliation_req", ["ReconciliationType"]),
        ("display_req", ["DisplayOutput"]),
        ("print_req", ["PrintOutput"]),
        ("event_reject", ["TimeStamp", "EventToNotify"]),
        ("payment_resp", ["Response"]),
        ("status_resp", ["Response"]),
        ("display_resp", ["OutputResult"]),
    ],
)
def test_what_is_required_must_be_there(example: str, required: list[str]) -> None:
    for key in required:
        content = loose(example)
        (body,) = (each for name, each in content.items() if name != "MessageHeader")
        del body[key]
        with pytest.raises(wire.BadBody, match=f", field {key}: Missing"):
            read(content)


def test_of_the_sale_is_saved_what_can_be_read() -> None:
    content = loose("payment_req")
    content["PaymentRequest"]["SaleData"]["OperatorID"] = {}
    with pytest.raises(wire.BadBody) as raised:
        read(content)
    saved = raised.value.salvage
    assert saved is not None
    assert saved.sale_transaction_id.transaction_id == "T-20261120-0042"
    assert saved.operator_id is None
    content["PaymentRequest"]["SaleData"]["SaleTransactionID"] = "T-20261120-0042"
    with pytest.raises(wire.BadBody) as raised:
        read(content)
    assert raised.value.salvage is None


def test_no_value_is_repeated_in_what_is_said_of_it() -> None:
    content = loose("payment_req")
    for value in ("4111111111111111", ["4111111111111111"] * 2, {"4111111111111111": 1}):
        content["PaymentRequest"]["PaymentTransaction"]["AmountsReq"]["Currency"] = value
        with pytest.raises(wire.BadBody) as raised:
            read(content)
        assert "4111" not in str(raised.value)


# --- what is hostile --------------------------------------------------------------------------


def with_amount(number: str) -> bytes:
    told = PAYMENT.replace(b"42.5", number.encode())
    assert told != PAYMENT
    return told


@pytest.mark.parametrize(
    ("number", "exact"),
    [
        ("0", "0"),
        ("-0.0", "0"),
        ("1E+2", "100"),
        ("1.5e1", "15"),
        ("0.10", "0.10"),
        ("10.1000000000", "10.1"),
        ("99999999.999999", "99999999.999999"),
        ("0e999999999", "0"),
    ],
)
def test_an_amount_is_exact_however_it_is_written(number: str, exact: str) -> None:
    message = wire.decode(with_amount(number))
    amounts = message.body.payment_transaction.amounts_req  # type: ignore[union-attr]
    if number == "1.5e1":
        assert amounts.requested_amount == Decimal(exact)
    else:
        assert str(amounts.requested_amount) == exact
    assert wire.decode(wire.encode(message)) == message


@pytest.mark.parametrize(
    "number",
    [
        "1e999999999",
        "1e999999999999999999999",
        "1e-999999999",
        "1e-99999999999999999999",
        "-1e-7",
        "0." + "0" * 5_000 + "1",
        "9" * 5_000,
        "9" * 200_000,
        "1e5" + "0" * 5_000,
        "99999999.9999999",
    ],
)
def test_an_amount_beyond_all_measure_is_refused(number: str) -> None:
    with pytest.raises(wire.BadBody) as raised:
        wire.decode(with_amount(number))
    assert raised.value.field == "RequestedAmount"


@pytest.mark.parametrize(
    ("number", "problem"),
    [
        ("1e999999999", "It is a number"),
        ("1e-999999999", "It is a number"),
        ("1e999999999999999999999", "It is a number"),
        ("0.5", "It is a number"),
        ("-1", "Out of range"),
        ("1000", "Out of range"),
        ("9" * 30, "Out of range"),
        ("9" * 30_000, "Out of range"),
        ('"9999999999999999"', "It is text"),
    ],
)
def test_a_whole_number_beyond_all_measure_is_refused(number: str, problem: str) -> None:
    told = EXAMPLES["display_req"].replace(
        b'"MinimumDisplayTime": 0', b'"MinimumDisplayTime": ' + number.encode()
    )
    with pytest.raises(wire.BadBody) as raised:
        wire.decode(told)
    assert (raised.value.field, raised.value.problem) == ("MinimumDisplayTime", problem)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "01", "1.", ".5", "+1", "0x1"])
def test_what_is_no_number_in_json_is_unreadable(number: str) -> None:
    with pytest.raises(wire.Unreadable):
        wire.decode(with_amount(number))


@pytest.mark.parametrize(
    "value",
    [
        b'"\\ud800"',
        b'"\\udc00\\ud800"',
        b'"\xed\xa0\x80"',
        b'"\xff"',
        b'"a\x00b"',
        b'"\\x41"',
        b"[" * 50_000 + b"]" * 50_000,
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        b"1e999999999999999999999",
        b"9" * 50_000,
        b'{"Unheard":' + b"9" * 50_000 + b"}",
    ],
    ids=range(11),
)
@pytest.mark.parametrize("key", [b"OperatorID", b"Unheard", b"SaleToIssuerData"])
def test_what_would_break_a_parser_is_refused_or_ignored(key: bytes, value: bytes) -> None:
    told = PAYMENT.replace(b'"OperatorID": "op-19"', b'"%b": %b' % (key, value))
    assert told != PAYMENT
    message = decoded(told)
    if isinstance(message, wire.Message):
        assert b"Unheard" in (key, value[2:9])
    else:
        assert len(str(message)) < 500


def test_of_a_key_that_comes_twice_the_last_counts() -> None:
    told = PAYMENT.replace(b'"Currency": "EUR"', b'"Currency": "USD", "Currency": "EUR"')
    assert told != PAYMENT
    assert wire.decode(told) == wire.decode(PAYMENT)


def decoded(told: bytes) -> wire.Message | wire.Unreadable | wire.BadBody:
    """The message, or its refusal. Any other error is the test's failure."""
    try:
        return wire.decode(told)
    except (wire.Unreadable, wire.BadBody) as error:
        return error


def only_named_errors(told: bytes) -> None:
    message = decoded(told)
    if isinstance(message, wire.Message):
        again = wire.decode(wire.encode(message))
        assert (again.header, again.body) == (message.header, message.body)
    else:
        assert message.detail


@given(st.binary(max_size=200))
def test_chance_is_refused(told: bytes) -> None:
    only_named_errors(told)


some_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.sampled_from(["true", "", "Normal", "12", "4111111111111111", "NaN", "1e9", "\ud800"])
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@settings(max_examples=settings.default.max_examples * 3)
@given(st.sampled_from(sorted(EXAMPLES)), st.data())
def test_an_example_with_anything_in_any_place(name: str, data: st.DataObject) -> None:
    content = json.loads(EXAMPLES[name])
    places: list[tuple[Any, Any]] = []
    waiting: list[Any] = [content]
    while waiting:
        at = waiting.pop()
        for key, value in list(at.items() if isinstance(at, dict) else enumerate(at)):
            places.append((at, key))
            if isinstance(value, dict | list):
                waiting.append(value)
    for at, key in data.draw(st.lists(st.sampled_from(places), min_size=1, max_size=3)):
        at[key] = data.draw(some_json)
    only_named_errors(json.dumps(content).encode())


@settings(max_examples=settings.default.max_examples * 3)
@given(st.sampled_from(sorted(EXAMPLES)), st.data())
def test_an_example_with_octets_changed_lost_or_doubled(name: str, data: st.DataObject) -> None:
    told = bytearray(EXAMPLES[name])
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(told)))
        end = min(len(told), start + data.draw(st.integers(0, 8)))
        told[start:end] = data.draw(
            st.binary(max_size=4) | st.just(bytes(told[start:end]) * 2) | st.sampled_from(_SIGNS)
        )
    only_named_errors(bytes(told))


_SIGNS: Final = [b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"null", b"-", b"1e9", b"\\ud8"]


@pytest.mark.parametrize("name", ["payment_req", "display_req", "status_resp"])
def test_an_example_that_is_cut_anywhere_is_refused(name: str) -> None:
    for length in range(len(EXAMPLES[name].rstrip())):
        with pytest.raises(wire.Unreadable):
            wire.decode(EXAMPLES[name][:length])
