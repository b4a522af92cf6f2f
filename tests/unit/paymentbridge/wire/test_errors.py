"""What the cloud refuses is said in its own words, and heard in anybody's."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.paymentbridge.wire.structures import VISA
from tillwire.dialects.paymentbridge.wire import errors, reading

SAMPLES = {
    "INVALID_REQUEST": 400,
    "MISSING_PARAMETER": 400,
    "REQUEST_ID_DUPLICATE": 400,
    "WEBHOOK_UNDELIVERABLE": 400,
    "LOGIN_FAILED": 401,
    "INVALID_REFRESH_TOKEN": 401,
    "STORE_DEVICE_NOT_ACTIVATED": 403,
    "BUSINESS_NOT_FOUND": 404,
    "STORE_DEVICE_NOT_FOUND": 404,
    "BUSINESS_AGREEMENT_NOT_FOUND": 404,
    "RESOURCE_MODIFIED": 409,
    "CUSTOM_FUNDING_VERIFICATION_REQUIRED": 417,
    "BROKEN_PIPE": 499,
    "DATABASE_ERROR": 500,
    "EXTERNAL_SERVER_ERROR": 502,
    "RKMS_UNAVAILABLE": 503,
    "SERVICE_UNAVAILABLE": 504,
}


def test_the_book_has_every_code_once() -> None:
    assert len(errors.HTTP) == 26 + 4 + 2 + 12 + 3 + 2 + 2 + 1 + 3
    assert SAMPLES.items() <= errors.HTTP.items()


@pytest.mark.parametrize("code", sorted(errors.HTTP))
def test_every_refusal_has_the_vendor_s_form(code: str) -> None:
    made = errors.body(code, developer_message="Why.", request_id="r-1")
    written = reading.encode(made)
    assert json.loads(written) == {
        "code": code,
        "httpStatus": errors.HTTP[code],
        "message": errors.MESSAGES[code],
        "developerMessage": "Why.",
        "requestId": "r-1",
    }
    assert errors.read(418, written) == made
    assert errors.MESSAGES[code][0].isupper()
    assert errors.MESSAGES[code][1:].lower() == errors.MESSAGES[code][1:]


def test_words_and_status_of_our_own() -> None:
    made = errors.body("INVALID_REQUEST", message="No.", http_status=413)
    assert (made.message, made.http_status) == ("No.", 413)
    assert made.developer_message is None


@given(st.binary(max_size=99))
def test_any_refusal_is_heard(octets: bytes) -> None:
    assert errors.read(502, octets) == errors.ErrorBody(http_status=502)


@pytest.mark.parametrize(
    ("octets", "code", "http"),
    [
        (b'{"code":"INVALID_ACCESS_TOKEN","httpStatus":401}', "INVALID_ACCESS_TOKEN", 401),
        (b'{"code":"NEW","message":null,"more":[]}', "NEW", 418),
        (b'{"code":null,"httpStatus":null}', "", 418),
        (b'{"code":[],"httpStatus":"x","message":5}', "", 418),
        (b"<html>Bad Gateway</html>", "", 418),
        (b'{"code":"x","message":"' + b"x" * 70_000 + b'"}', "", 418),
        (b"[" * 60_000, "", 418),
    ],
)
def test_a_refusal_may_be_anything(octets: bytes, code: str, http: int) -> None:
    found = errors.read(418, octets)
    assert (found.code, found.http_status) == (code, http)


def test_a_refusal_is_no_place_for_a_card_number() -> None:
    octets = json.dumps({"code": VISA, "message": VISA, "developerMessage": VISA, "requestId": VISA,
                         "moreInfo": VISA}).encode()  # fmt: skip
    assert VISA not in repr(errors.read(400, octets))


def test_the_words_of_what_a_caller_sent() -> None:
    assert str(errors.missing("ttl")) == "The request is not valid. ttl: it is missing."
    assert errors.wrong("ttl", "it is text").code == "INVALID_PARAMETER"
