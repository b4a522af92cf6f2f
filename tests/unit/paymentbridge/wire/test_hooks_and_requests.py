"""What callers ask of the cloud itself: hooks, and payments that need no terminal."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwire.dialects.paymentbridge.wire import hooks, reading, requests
from tillwire.dialects.paymentbridge.wire.errors import CodedRequest
from tillwire.dialects.paymentbridge.wire.objects import Amounts

UUID: Final = "5b4e9993-c815-4070-9859-35f48e492b4f"
HOOK: Final[dict[str, Any]] = {
    "applicationId": f"urn:aid:{UUID}",
    "businessId": UUID,
    "deliveryUrl": "https://pos.example/hook",
    "secret": "s3cret",
    "eventTypes": ["TRANSACTION_CAPTURED"],
}


def octets(base: dict[str, Any], **others: Any) -> bytes:
    """`...` leaves a member out."""
    return json.dumps(
        {key: value for key, value in {**base, **others}.items() if value is not ...}
    ).encode()


# --- hooks ------------------------------------------------------------------------------------


def test_a_hook_is_registered() -> None:
    assert hooks.read_request(octets(HOOK, more=1)) == hooks.HookRequest(
        application_id=HOOK["applicationId"],
        business_id=UUID,
        delivery_url="https://pos.example/hook",
        secret="s3cret",
        event_types=("TRANSACTION_CAPTURED",),
    )
    assert hooks.read_request(octets(HOOK, secret=..., applicationId=None)).secret is None


@pytest.mark.parametrize(
    ("others", "code", "field"),
    [
        ({"businessId": ...}, "MISSING_PARAMETER", "businessId"),
        ({"deliveryUrl": ...}, "MISSING_PARAMETER", "deliveryUrl"),
        ({"eventTypes": ...}, "MISSING_PARAMETER", "eventTypes"),
        ({"eventTypes": []}, "INVALID_PARAMETER", "eventTypes"),
        ({"eventTypes": ["x"] * 65}, "INVALID_PARAMETER", "eventTypes"),
        ({"eventTypes": [7]}, "INVALID_PARAMETER", "eventTypes[0]"),
        ({"eventTypes": "x"}, "INVALID_PARAMETER", "eventTypes"),
        ({"deliveryUrl": "ftp://a/"}, "INVALID_PARAMETER", "deliveryUrl"),
        ({"deliveryUrl": "https://u:p@a/"}, "INVALID_PARAMETER", "deliveryUrl"),
        ({"deliveryUrl": 7}, "INVALID_PARAMETER", "deliveryUrl"),
        ({"secret": "x" * 1_025}, "INVALID_PARAMETER", "secret"),
        ({"applicationId": "me"}, "INVALID_PARAMETER", "applicationId"),
        ({"more": "x" * 70_000}, "INVALID_PARAMETER", "body"),
    ],
)
def test_a_hook_that_is_wrong_names_its_member(
    others: dict[str, Any], code: str, field: str
) -> None:
    with pytest.raises(CodedRequest) as raised:
        hooks.read_request(octets(HOOK, **others))
    assert (raised.value.code, raised.value.field) == (code, field)


def test_a_delivery_is_signed() -> None:
    body = reading.encode(hooks.Event(id="e", hook_id="h", event_type="TRANSACTION_CAPTURED"))
    made = base64.b64encode(hmac.new(b"s3cret", body, hashlib.sha1).digest()).decode()
    assert hooks.signature("s3cret", body) == made
    assert hooks.is_signed(made, "s3cret", body)
    assert hooks.read_event(body).event_type == "TRANSACTION_CAPTURED"
    # RFC 2202, test case 2.
    assert base64.b64decode(hooks.signature("Jefe", b"what do ya want for nothing?")).hex() == (
        "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"
    )


@given(st.text(max_size=9), st.text(max_size=9), st.binary(max_size=40))
def test_another_secret_signs_otherwise(secret: str, other: str, body: bytes) -> None:
    signature = hooks.signature(secret, body)
    # HMAC fills short keys up with zeros, so these are the same key.
    same = secret.encode().rstrip(b"\0") == other.encode().rstrip(b"\0")
    assert hooks.is_signed(signature, other, body) is same
    assert not hooks.is_signed(signature, secret, body + b"x")
    assert not hooks.is_signed("é", secret, body)


# --- refunds, captures, cancels ---------------------------------------------------------------

REFUND: Final[dict[str, Any]] = {
    "action": "REFUND",
    "parentId": UUID,
    "amounts": {
        "transactionAmount": 500,
        "orderAmount": 500,
        "tipAmount": 0,
        "currency": "EUR",
    },
}


def test_a_refund_of_a_part_or_of_all() -> None:
    part = requests.read_refund(octets(REFUND))
    assert (part.parent_id, part.amounts) == (
        UUID,
        Amounts(transaction_amount=500, order_amount=500, tip_amount=0, currency="EUR"),
    )
    whole = requests.read_refund(octets(REFUND, amounts=..., action="refund"))
    assert whole.amounts is None


@pytest.mark.parametrize(
    ("others", "code", "field"),
    [
        ({"action": ...}, "MISSING_PARAMETER", "action"),
        ({"action": "SALE"}, "UNSUPPORTED_TXN_ACTION", "action"),
        ({"action": 7}, "INVALID_PARAMETER", "action"),
        ({"parentId": None}, "MISSING_PARAMETER", "parentId"),
        ({"parentId": "x"}, "INVALID_PARAMETER", "parentId"),
        ({"amounts": 5}, "INVALID_PARAMETER", "amounts"),
        ({"amounts": {}}, "MISSING_PARAMETER", "amounts.transactionAmount"),
        *(
            ({"amounts": {"transactionAmount": wrong}}, "INVALID_PARAMETER",
             "amounts.transactionAmount")
            for wrong in (0, -1, 1.5, 5.0, True, "5", 10**15, 10**400)
        ),
        ({"amounts": {"transactionAmount": 5, "orderAmount": 4}}, "INVALID_PARAMETER", "amounts"),
        ({"amounts": {"transactionAmount": 5, "currency": "XXX"}}, "INVALID_PARAMETER",
         "amounts.currency"),
        ({"amounts": {"transactionAmount": 5, "currency": "eur"}}, "INVALID_PARAMETER",
         "amounts.currency"),
        ({"references": [7]}, "INVALID_PARAMETER", "references[0]"),
    ],
)  # fmt: skip
def test_a_refund_that_is_wrong_names_its_member(
    others: dict[str, Any], code: str, field: str
) -> None:
    with pytest.raises(CodedRequest) as raised:
        requests.read_refund(octets(REFUND, **others))
    assert (raised.value.code, raised.value.field) == (code, field)


def test_a_capture_of_a_part_or_of_all() -> None:
    amounts = {"transactionAmount": 600, "orderAmount": 500, "tipAmount": 100}
    assert requests.read_capture(octets({"amounts": amounts})).amounts == Amounts(
        transaction_amount=600, order_amount=500, tip_amount=100
    )
    for body in (b"", b"{}", b'{"amounts":null}'):
        assert requests.read_capture(body).amounts is None


@pytest.mark.parametrize("body", [b"", b"{}", b'{"cancelRequest":null}', b'{"cancelRequest":{}}'])
def test_a_cancel_needs_no_reason(body: bytes) -> None:
    found = requests.read_cancel(body)
    assert found.cancel_request is None or found.cancel_request.cancel_reason is None


@pytest.mark.parametrize("reason", sorted(requests.CANCEL_REASONS))
def test_a_cancel_may_have_a_reason(reason: str) -> None:
    found = requests.read_cancel(octets({"cancelRequest": {"cancelReason": reason}}))
    assert found.cancel_request == requests.CancelRequest(cancel_reason=reason)
    with pytest.raises(CodedRequest, match="it is unknown"):
        requests.read_cancel(octets({"cancelRequest": {"cancelReason": reason + "?"}}))


@pytest.mark.parametrize(
    "body", [b"x", b"[]", b"7", b"\xff", b"[" * 60_000, b'{"x":' * 9_000, b" " * 70_000]
)
@pytest.mark.parametrize(
    "read",
    [requests.read_refund, requests.read_capture, requests.read_cancel, hooks.read_request],
)
def test_garbage_is_refused(read: Any, body: bytes) -> None:
    with pytest.raises(CodedRequest):
        read(body)
