"""A merchant's backend over real mutual TLS, with a JOSE library that is not ours: token, keys,
Check Transaction with every ending, the pushed request."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from pathlib import Path

import pytest

from tests.conformance.softpos.backend import Answer, Backend
from tests.conformance.softpos.sales import TERMINALS, call_off, sell
from tests.kit.sandbox_process import SandboxProcess, running_sandbox
from tests.kit.shop_front import script

ENDS_WITHIN = 60.0
ENDINGS = {
    10_00: ("APPROVED", 0, 10_00),
    10_40: ("DECLINED", 21, 10_40),
    10_43: ("CANCELLED", 20, 10_43),
    10_46: ("APPROVED", 0, 10_46),
    10_52: ("ERROR", 22, 10_52),
    10_53: ("DECLINED", 21, 10_53),
    10_54: ("APPROVED", 0, 11_59),  # with the tip: what really moved
}
"""Amount -> status, result code and amount told."""


def settled(backend: Backend, tid: str, reference: str) -> Answer:
    """The answer as soon as the transaction has ended."""
    deadline = time.monotonic() + ENDS_WITHIN
    while True:
        answer = backend.check({"terminalId": tid, "callerTrxId": reference})
        assert answer.status == 200
        if answer.body["status"] != "PENDING":
            return answer
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("cents", ENDINGS)
def test_a_transaction_is_told_as_it_ended(
    backend: Backend, sandbox: SandboxProcess, reference: str, cents: int
) -> None:
    sell(sandbox.card, "30350006", reference, cents)
    body = settled(backend, "30350006", reference).body
    status, result, amount = ENDINGS[cents]
    assert (body["status"], body["resultCode"], body["amount"]) == (status, result, amount)
    assert (body["terminalId"], body["callerTrxId"]) == ("30350006", reference)
    assert (body["operationType"], body["currency"]) == ("PAYMENT", "EUR")
    moment = r"20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z"
    assert re.fullmatch(moment, body["transactionTimestamp"])
    assert re.fullmatch(moment, body["updateTimestamp"])


def test_an_approval_has_its_card_and_its_codes(
    backend: Backend, sandbox: SandboxProcess, reference: str
) -> None:
    sell(sandbox.card, "30350007", reference, 25_00)
    body = settled(backend, "30350007", reference).body
    assert body["actionCode"] == "000"
    assert re.fullmatch(r"\*{12}[0-9]{4}", body["pan"])
    assert re.fullmatch(r"[0-9]{6}", body["stan"])
    assert body["authorizationNumber"]
    assert body["transactionId"]
    assert body["cardType"]
    assert body["transactionType"] in ("CLI", "ICC", "MAG", "MAN")


def test_what_nobody_can_tell_is_pending(
    backend: Backend, sandbox: SandboxProcess, reference: str
) -> None:
    script(sandbox.card, TERMINALS["30350007"], seconds=3600)  # its cardholder takes a while
    sale = sell(sandbox.card, "30350007", reference, 10_00)
    body = backend.check({"terminalId": "30350007", "callerTrxId": reference}).body
    assert body["status"] == "PENDING"
    assert "resultCode" not in body
    call_off(sandbox.card, "30350007", sale)
    assert settled(backend, "30350007", reference).body["status"] == "CANCELLED"


def test_the_other_terminal_s_transaction_is_not_found(
    backend: Backend, sandbox: SandboxProcess, reference: str
) -> None:
    sell(sandbox.card, "30350006", reference, 10_00)
    settled(backend, "30350006", reference)
    answer = backend.check({"terminalId": "30350007", "callerTrxId": reference})
    assert answer.status == 404
    assert answer.body["statusCode"] == "404"
    assert set(answer.body) == {"statusCode", "message"}


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b"", ["body"]),
        (b"{", ["body"]),
        (b"[]", ["body"]),
        (b"[" * 5000, ["body"]),
        ({}, ["terminalId"]),
        ({"terminalId": 30350006, "callerTrxId": "x"}, ["terminalId"]),
        ({"terminalId": "3035000", "callerTrxId": "x"}, ["terminalId"]),
        ({"terminalId": "٣٠٣٥٠٠٠٦", "callerTrxId": "x"}, ["terminalId"]),
        ({"terminalId": "30350006", "callerTrxId": 5}, ["callerTrxId"]),
        ({"terminalId": "", "callerTrxId": "x" * 257}, ["terminalId", "callerTrxId"]),
        ({"terminalId": "30350006"}, ["callerTrxId"]),
        ({"terminalId": "30350001", "callerTrxId": "x"}, ["terminalId"]),  # not in the assertion
    ],
)
def test_bad_input_is_told_by_its_fields(backend: Backend, body: object, fields: list[str]) -> None:
    answer = backend.check(body)
    assert answer.status == 400
    assert answer.body["statusCode"] == "400"
    assert [each["field"] for each in answer.body["fieldErrors"]] == fields
    assert all(each["message"] for each in answer.body["fieldErrors"])


def test_a_body_that_is_too_large_is_refused(backend: Backend) -> None:
    answer = backend.check(json.dumps({"terminalId": "30350006", "x": "y" * 9000}).encode())
    assert answer.status == 413


def test_the_set_has_two_live_keys_at_least(backend: Backend) -> None:
    keys = [each.export_public(as_dict=True) for each in backend.live_keys()]
    assert len(keys) >= 2
    assert len({each["kid"] for each in keys}) == len(keys)
    assert {(each["kty"], each["use"], each["alg"]) for each in keys} == {
        ("RSA", "enc", "RSA-OAEP-256")
    }


def test_an_assertion_to_any_live_key_is_read(backend: Backend) -> None:
    for key in backend.live_keys():
        sealed = backend.assertion(recipient=key)
        assert backend.check({"terminalId": "30350006", "callerTrxId": "-"}, sealed).status == 404


def test_a_token_is_the_source_s(backend: Backend) -> None:
    answer = backend.token()
    assert answer.status == 200
    assert answer.body.keys() == {"access_token", "token_type", "expires_in"}
    assert (answer.body["token_type"], answer.body["expires_in"]) == ("Bearer", 3600)


@pytest.mark.parametrize(
    ("changed", "status", "error"),
    [
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"client_secret": ""}, 400, "invalid_request"),
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "00000000-0000-4000-8000-000000000000"}, 401, "invalid_client"),
    ],
)
def test_a_token_is_refused(
    backend: Backend, changed: dict[str, str], status: int, error: str
) -> None:
    answer = backend.token(**changed)
    assert (answer.status, answer.body["error"]) == (status, error)


def test_a_pushed_request_is_kept_for_ninety_seconds(backend: Backend) -> None:
    answer = backend.push()
    assert answer.status == 201
    assert re.fullmatch(r"urn:softpos_[0-9a-f-]{36}", answer.body["request_uri"])
    assert answer.body["expires_in"] == 90


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"redirect_uri": "https://thief.example/return"}, "redirect_uri"),
        ({"scope": "everything"}, "scope"),
        ({"client_assertion": ""}, "client_assertion"),
    ],
)
def test_a_pushed_request_is_refused(backend: Backend, changed: dict[str, str], field: str) -> None:
    answer = backend.push(**changed)
    assert answer.status == 400
    assert [each["field"] for each in answer.body["fieldErrors"]] == [field]


def tell(sandbox: SandboxProcess, method: str, path: str = "", body: object = None) -> None:
    """Tell the sandbox what its backend is to do wrong."""
    request = urllib.request.Request(
        f"{sandbox.card['virtual']['url']}/softpos{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
        method=method,
    )
    urllib.request.urlopen(request, timeout=ENDS_WITHIN).close()


def test_it_fails_when_it_is_told_to(backend: Backend, sandbox: SandboxProcess) -> None:
    asked = {"terminalId": "30350006", "callerTrxId": "no-such-sale"}
    wrongs = [{"status": 500}, {"status": 400, "field": "callerTrxId"}, {"garbage": True}]
    tell(sandbox, "PUT", body={"next": [*wrongs, {"seconds": 0.3}]})
    assert backend.check(asked).body == {"statusCode": "500", "message": "Internal Server Error"}
    assert backend.check(asked).body["fieldErrors"][0]["field"] == "callerTrxId"
    spoiled = backend.check(asked)
    assert spoiled.status == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(spoiled.content)
    begun = time.monotonic()
    assert backend.check(asked).status == 404
    assert time.monotonic() - begun >= 0.3


def test_tokens_and_keys_are_good_no_more_when_it_is_told_so(tmp_path: Path) -> None:
    with running_sandbox(tmp_path / "sandbox") as sandbox:  # others go on with theirs
        check_that_tokens_and_keys_end(sandbox)


def check_that_tokens_and_keys_end(sandbox: SandboxProcess) -> None:
    asked = {"terminalId": "30350006", "callerTrxId": "no-such-sale"}
    backend = Backend(sandbox.card["softpos"])
    before = backend.live_keys()[0]
    assert backend.check(asked, backend.assertion(recipient=before)).status == 404
    tell(sandbox, "POST", "/keys")
    assert backend.check(asked, backend.assertion(recipient=before)).status == 401
    assert backend.check(asked).status == 404
    tell(sandbox, "DELETE", "/tokens")
    assert backend.check(asked).status == 401
    assert Backend(sandbox.card["softpos"]).check(asked).status == 404
