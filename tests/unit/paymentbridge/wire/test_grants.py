"""What is asked of `/token`, and what it answers."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwire.dialects.paymentbridge.wire import grants
from tillwire.dialects.paymentbridge.wire.errors import CodedRequest
from tillwire.dialects.paymentbridge.wire.grants import AssertionGrant, CodeGrant, RefreshGrant
from tillwire.errors import RemoteProtocolError

BEARER = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer"


@pytest.mark.parametrize(
    ("form", "grant"),
    [
        (f"grantType={BEARER}&assertion=a.b.c", AssertionGrant("a.b.c")),
        (f"assertion=a.b.c&grant_type={BEARER}&scope=x", AssertionGrant("a.b.c")),
        ("grantType=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=a", AssertionGrant("a")),
        ("grantType=REFRESH_TOKEN&refreshToken=1%3A1%3A1%3A1%3Ax", RefreshGrant("1:1:1:1:x")),
        ("grant_type=refresh_token&refresh_token=x", RefreshGrant("x")),
        (
            "grant_type=authorization_code&code=c&client_id=urn:aid:x&redirect_uri=https://a/",
            CodeGrant("c", "urn:aid:x", "https://a/"),
        ),
    ],
)
def test_grants_are_read_as_clients_write_them(form: str, grant: grants.Grant) -> None:
    assert grants.read_grant(form.encode()) == grant


@pytest.mark.parametrize(
    ("form", "code", "field"),
    [
        (b"", "MISSING_PARAMETER", "grantType"),
        (b"grantType=", "MISSING_PARAMETER", "grantType"),
        (b"grantType=password", "INVALID_PARAMETER", "grantType"),
        (f"grantType={BEARER}".encode(), "MISSING_PARAMETER", "assertion"),
        (b"grantType=REFRESH_TOKEN", "MISSING_PARAMETER", "refreshToken"),
        (b"grant_type=authorization_code&code=c", "MISSING_PARAMETER", "client_id"),
        (b"grantType=a&grantType=b", "INVALID_REQUEST", "body"),
        (b"a=1&" * 30, "INVALID_REQUEST", "body"),
        (b"grantType=%ff", "INVALID_REQUEST", "body"),
        (b"\xff", "INVALID_REQUEST", "body"),
        (b"a=" + b"x" * 40_000, "INVALID_PARAMETER", "body"),
        (b"grantType=REFRESH_TOKEN&refreshToken=" + b"x" * 10_241, "INVALID_PARAMETER",
         "refreshToken"),
    ],
)  # fmt: skip
def test_a_grant_that_is_wrong_names_its_field(form: bytes, code: str, field: str) -> None:
    with pytest.raises(CodedRequest) as raised:
        grants.read_grant(form)
    assert (raised.value.code, raised.value.field) == (code, field)


@given(st.binary(max_size=200))
def test_garbage_is_refused(form: bytes) -> None:
    with pytest.raises(CodedRequest):
        grants.read_grant(form)


@given(st.text(st.characters(codec="ascii"), min_size=1, max_size=40))
def test_what_is_asked_for_is_read(text: str) -> None:
    for grant in (AssertionGrant(text), RefreshGrant(text)):
        assert grants.read_grant(grants.write_grant(grant)) == grant


def test_the_vendor_s_answer_is_read() -> None:
    answer = grants.read_answer(
        b'{"expiresIn":900,"accessToken":"a.b.c","refreshToken":null,"scope":"ALL",'
        b'"tokenType":"BEARER","more":1}'
    )
    assert (answer.access_token, answer.expires_in, answer.refresh_token) == ("a.b.c", 900, None)


def test_an_answer_has_the_vendor_s_members() -> None:
    written = grants.reading.encode(grants.TokenAnswer(access_token="a", refresh_token="b"))
    assert json.loads(written) == {
        "accessToken": "a",
        "expiresIn": 86_400,
        "refreshToken": "b",
        "scope": "ALL",
        "tokenType": "BEARER",
    }


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"<html>",
        b"{}",
        b'{"accessToken":""}',
        b'{"accessToken":null}',
        b'{"accessToken":{}}',
        b'{"accessToken":"a\\r\\nb"}',
        b'{"accessToken":"\xc3\xa9"}',
        b'{"accessToken":"' + b"x" * 20_000 + b'"}',
        b'{"accessToken":"' + b"x" * 70_000 + b'"}',
    ],
)
def test_an_answer_without_a_token_is_refused(octets: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        grants.read_answer(octets)
