"""Everything else that goes over the backend: tokens, key sets, requests, refusals, and the answer
that is read by a table of names."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, RSAKey

from tillwire.dialects.softpos.wire import check, keys, par, tokens
from tillwire.dialects.softpos.wire.aliases import UNMAPPED, CheckAnswer, aliases, read_answer
from tillwire.dialects.softpos.wire.check import CheckTransactionRequest, Status
from tillwire.dialects.softpos.wire.errors import InvalidFields, read_refusal
from tillwire.errors import InvalidRequest, LocalProtocolError, RemoteProtocolError

CARD = "4111111111111111"


def answer(members: Any, **table: Any) -> CheckAnswer:
    return read_answer(json.dumps(members).encode(), aliases(**table))


# --- Check Transaction's answer ----------------------------------------------------------------


def test_an_answer_in_our_profile_is_read_whole() -> None:
    read = answer(
        {
            "terminalId": "30350006",
            "callerTrxId": "sale-1",
            "status": "APPROVED",
            "amount": 1250,
            "currency": "EUR",
            "pan": "************5938",
            "stan": "000042",
            "resultCode": 0,
            "transactionTimestamp": "2026-01-01T00:00:00.000Z",
        }
    )
    assert (read.status, read.amount, read.currency) == (Status.APPROVED, 1250, "EUR")
    assert (read.terminal_id, read.caller_trx_id) == ("30350006", "sale-1")
    assert (read.card_last4, read.stan, read.result_code) == ("5938", "000042", "0")
    assert (read.at, read.unclear) == (1_767_225_600_000, ())


@pytest.mark.parametrize("status", ["OK", "approvata", "", None, 1, ["APPROVED"], "APPROVED!"])
def test_a_status_that_is_not_known_is_not_guessed(status: Any) -> None:
    assert answer({"status": status}).status == UNMAPPED


def test_names_and_words_come_from_the_configuration() -> None:
    told = {"dettaglio": {"esitoFinale": "OK"}, "importoTotale": "12.50", "divisa": "EUR"}
    read = answer(
        told,
        names={
            "status": ("dettaglio.esitoFinale",),
            "amount": ("importoTotale",),
            "currency": ("divisa",),
        },
        words={"ok": Status.APPROVED},
        major_units=True,
    )
    assert (read.status, read.amount) == (Status.APPROVED, 1250)
    with pytest.raises(InvalidRequest):
        aliases({"statusss": ("x",)})


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"status": "APPROVED", "esito": "DECLINED"}, "status"),
        ({"amount": 1250, "importo": 1251}, "amount"),
        ({"amount": 12.5}, "amount"),
        ({"amount": "12,50"}, "amount"),
        ({"amount": "1e3"}, "amount"),
        ({"amount": -1}, "amount"),
        ({"amount": True}, "amount"),
        ({"amount": "9" * 16}, "amount"),
        ({"date": "2026-01-01T00:00:00"}, "at"),
        ({"date": "yesterday"}, "at"),
        ({"date": "0001-01-01T00:00:00+14:00"}, "at"),
        ({"date": "9999-12-31T23:59:59-14:00"}, "at"),
        ({"stan": {"a": 1}}, "stan"),
        ({"stan": "x" * 300}, "stan"),
    ],
)
def test_what_is_not_clear_is_as_good_as_absent(members: dict[str, Any], field: str) -> None:
    read = answer(members)
    assert field in read.unclear
    assert read.status == UNMAPPED
    assert (read.amount, read.at, read.stan) == (None, None, "")


@pytest.mark.parametrize(
    "members",
    [
        {"status": "APPROVED", "esito": "approved"},
        {"amount": "000000001250", "f04": 1250, "status": "APPROVED"},
        {"pan": "************1111", "CT100": "1111", "status": "APPROVED"},
    ],
)
def test_the_same_in_other_words_is_the_same(members: dict[str, Any]) -> None:
    read = answer(members)
    assert (read.status, read.unclear) == (Status.APPROVED, ())


def test_no_card_number_is_kept() -> None:
    read = answer({"pan": CARD, "x": [{"y": int(CARD)}, {CARD: CARD}], "z": f"card {CARD}"})
    assert CARD.encode() not in read.raw
    assert CARD not in repr(read)
    assert read.card_last4 == "1111"


@pytest.mark.parametrize(
    ("member", "names"),
    [
        ({"transactionId": "607314001233"}, {}),
        ({"transactionId": 607314001233}, {}),
        ({"f37": "607314001233"}, {}),
        ({"host": {"rrn": "607314001233"}}, {"transaction_id": ["host.rrn"]}),
    ],
)
def test_an_acquirer_s_reference_that_could_be_a_card_number_stays(
    member: dict[str, Any], names: dict[str, Any]
) -> None:
    """One in ten passes the Luhn check, and books know a payment by it."""
    read = answer({"status": "APPROVED", **member}, names=names)
    assert read.transaction_id == "607314001233"
    assert json.loads(read.raw) == {"status": "APPROVED", **member}
    cut = answer({"transactionId": CARD, "callerTrxId": int(CARD)})
    assert (cut.transaction_id, cut.caller_trx_id) == ("*" * 12 + "1111",) * 2


def test_the_whole_answer_is_kept() -> None:
    told = {"status": "X", "nested": {"list": [1, None, True, "text"]}}
    assert json.loads(answer(told).raw) == told


@given(st.binary(max_size=300))
def test_no_octets_break_it(octets: bytes) -> None:
    try:
        read = read_answer(octets, aliases())
    except RemoteProtocolError:
        return
    assert read.status == UNMAPPED or read.status in Status


@pytest.mark.parametrize(
    "octets", [b"", b"[]", b"null", b"[" * 9999, b'{"a":' + b"9" * 9999 + b"}", b" " * 300_000]
)
def test_what_is_no_object_is_no_answer(octets: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        read_answer(octets, aliases())


@pytest.mark.parametrize(
    "octets",
    [
        b'{"status":"DECLINED","status":"APPROVED"}',
        b'{"status":"APPROVED","detail":[{"a":1,"a":2}]}',
        b'{"status":"APPROVED","amount":NaN}',
        b'{"status":"APPROVED","amount":-Infinity}',
        b'{"status":"APPROVED","text":"\\ud800"}',
        b'{"status":"APPROVED","number":' + b"9" * 5_000 + b"}",
        b'{"a":' * 100_000,
        b'{"a":' * 900 + b"1" + b"}" * 900,
        b'\xef\xbb\xbf{"status":"APPROVED"}',
    ],
)
def test_what_can_be_read_in_two_ways_is_not_read(octets: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        read_answer(octets, aliases())


def test_numbers_are_kept_as_numbers() -> None:
    read = read_answer(b'{"status":"APPROVED","rate":12.50,"huge":1e400}', aliases())
    assert read.raw == b'{"status":"APPROVED","rate":12.50,"huge":1E+400}'


# --- requests ----------------------------------------------------------------------------------


def test_a_request_is_read_as_it_was_written() -> None:
    for asked in (
        CheckTransactionRequest(terminal_id="30350006", caller_trx_id="sale-1"),
        CheckTransactionRequest(terminal_id="30350006"),
    ):
        assert check.read_request(check.write_request(asked)) == asked


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(InvalidFields) as caught:
        check.read_request(b'{"callerTrxId": 5, "unknown": 1}')
    assert [each.field for each in caught.value.errors] == ["terminalId", "callerTrxId"]


def test_a_token_request_is_read_as_it_was_written() -> None:
    asked = tokens.TokenRequest(client_id="a&b", client_secret="s=+/%")
    form = tokens.write_token_request(asked)
    assert tokens.read_token_request(form) == asked
    assert parse_qs(form.decode())["grant_type"] == ["client_credentials"]


@pytest.mark.parametrize(
    "form",
    [
        b"",
        b"grant_type=client_credentials",
        b"grant_type=client_credentials&client_id=a&client_id=b&client_secret=c",
        b"&".join(b"f%d=1" % number for number in range(30)),
        b"x" * 40_000,
        b"\xff",
    ],
)
def test_a_form_that_asks_for_nothing_is_refused(form: bytes) -> None:
    with pytest.raises(InvalidRequest):
        tokens.read_token_request(form)


def test_a_pushed_request_is_read_as_it_was_written() -> None:
    asked = par.ParRequest(
        client_assertion="a.b.c.d.e", client_id="app", redirect_uri="app://back?x=1"
    )
    assert par.read_request(par.write_request(asked)) == asked


# --- tokens ------------------------------------------------------------------------------------

KEY = bytes(range(32))
CLAIMS = tokens.AccessClaims(
    client_id="app",
    profile="staging",
    confirmation=tokens.Confirmation("ab" * 32),
    issued_at=1000,
    expires_at=4600,
    token_id="t",
)


def test_a_token_of_ours_is_read_until_its_second() -> None:
    token = tokens.make_access_token(CLAIMS, KEY)
    assert tokens.read_access_token(token, KEY, now=4599) == CLAIMS
    with pytest.raises(tokens.TokenRefused):
        tokens.read_access_token(token, KEY, now=4600)
    with pytest.raises(tokens.TokenRefused):
        tokens.read_access_token(token, bytes(32), now=2000)


@given(st.text(max_size=200))
def test_no_text_passes_for_a_token(text: str) -> None:
    with pytest.raises(tokens.TokenRefused):
        tokens.read_access_token(text, KEY, now=0)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"access_token":""}',
        b'{"access_token":"a b","token_type":"mac"}',
        b'{"access_token":"a\\u00e9"}',
        b'{"access_token":"a","expires_in":0}',
    ],
)
def test_a_token_that_cannot_be_used_is_none(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        tokens.read_token_answer(body)


def test_the_vendor_s_token_is_read() -> None:
    body = b'{"access_token":"xyz","token_type":"bearer","expires_in":3600,"scope":"x"}'
    assert tokens.read_token_answer(body).expires_in == 3600


# --- keys --------------------------------------------------------------------------------------


def test_a_set_is_read_as_it_was_written() -> None:
    mine = [keys.NamedKey(name, RSAKey.generate_key(2048)) for name in ("new", "old")]
    octets = keys.write_set(mine)
    assert b'"d"' not in octets  # no private half
    assert [each.kid for each in keys.read_set(octets)] == ["new", "old"]


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")  # of the short one
def test_of_a_set_only_what_fits_is_taken() -> None:
    good = RSAKey.generate_key(2048).as_dict(private=False)
    entries = [
        ECKey.generate_key("P-256").as_dict(private=False),
        {**good, "use": "sig", "kid": "signing"},
        {**good, "alg": "RSA1_5", "kid": "old padding"},
        {**RSAKey.generate_key(1024).as_dict(private=False), "kid": "short"},
        {**good, "n": "!!", "kid": "no number"},
        "text",
        {**good, "use": "enc", "kid": "good"},
        {**good, "kid": None},
    ]
    found = keys.read_set(json.dumps({"keys": entries}).encode())
    assert [each.kid for each in found] == ["good", ""]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"keys":[]}', b'{"keys":[{"kty":"RSA"}]}', b"[]"])
def test_a_set_without_a_key_is_none(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        keys.read_set(body)


def test_what_is_no_key_is_a_mistake_of_ours() -> None:
    with pytest.raises(LocalProtocolError):
        keys.load("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")


# --- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "code", "message", "fields"),
    [
        (b'{"statusCode":"401","message":"no"}', "401", "no", []),
        (b'{"statusCode":401}', "401", "", []),
        (b'{"error":"invalid_client"}', "invalid_client", "", []),
        (
            b'{"statusCode":"400","message":"bad","fieldErrors":[{"field":"a","message":"b"}]}',
            "400",
            "bad",
            ["a"],
        ),
        (b"<html>Bad Gateway</html>", "", "", []),
        (b"", "", "", []),
        (
            b'{"statusCode":"500","message":"card 4111111111111111"}',
            "500",
            "card ************1111",
            [],
        ),
    ],
)
def test_every_refusal_can_be_read(body: bytes, code: str, message: str, fields: list[str]) -> None:
    read = read_refusal(500, body)
    assert (read.http_status, read.status_code, read.message) == (500, code, message)
    assert [each.field for each in read.field_errors] == fields
