"""Who may call: assertions as the SDK signs them, its tokens, and what becomes of bad ones."""

from __future__ import annotations

import json
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.paymentbridge.application import Application, SdkError, claims
from tests.kit.sandbox_process import SandboxProcess
from tillwire.estate.applications import new_key_pair

A_DAY = 86_400


@pytest.fixture
def newcomer(sdk_python: Path, sandbox: SandboxProcess) -> Iterator[Application]:
    """The same application in another process, without a token yet."""
    running = Application(sdk_python, sandbox.card)
    yield running
    running.close()


def business(application: Application) -> tuple[int, str]:
    """Status, and the error's code, of the simplest of calls."""
    answer = application.call(
        "Business", "get_business", business_id=application.bridge["business_id"]
    )
    return answer.status, answer.json.get("code", "")


def with_claims(token: str, **changed: object) -> str:
    """The token, saying something else under the same signature."""
    head, _, signature = token.split(".")
    said = json.dumps({**claims(token), **changed}).encode()
    return ".".join((head, urlsafe_b64encode(said).rstrip(b"=").decode(), signature))


def test_an_assertion_in_milliseconds_for_a_year_gets_a_token_for_a_day(
    newcomer: Application,
) -> None:
    before = int(time.time())
    assert business(newcomer) == (200, "")
    told = claims(newcomer.token())
    assert before + A_DAY <= told["exp"] <= time.time() + A_DAY
    assert told["sub"] == newcomer.bridge["application_id"]


def test_the_token_is_kept_until_it_is_about_to_end(newcomer: Application) -> None:
    business(newcomer)
    first = newcomer.token()
    assert business(newcomer) == (200, "")
    assert newcomer.token() == first
    # The SDK looks at `exp` alone, and asks for another token by itself.
    newcomer.use_token(with_claims(first, exp=int(time.time()) + 30))
    assert business(newcomer) == (200, "")
    assert newcomer.token() != first


@pytest.mark.parametrize("claim", ["sub", "jti"])
def test_a_forged_token_is_refused_and_the_caller_hears_why(
    newcomer: Application, claim: str
) -> None:
    business(newcomer)
    good = newcomer.token()
    newcomer.use_token(with_claims(good, **{claim: str(uuid.uuid4())}))
    assert business(newcomer) == (401, "INVALID_ACCESS_TOKEN")
    newcomer.use_token(good)
    assert business(newcomer) == (200, "")


def test_a_key_that_is_not_the_application_s_gets_no_token(
    sdk_python: Path, sandbox: SandboxProcess, tmp_path: Path
) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(new_key_pair(2048)[0])
    stranger = Application(sdk_python, sandbox.card, private_key=other)
    # The SDK takes a refusal for a token, and misses what it looks for.
    with pytest.raises(SdkError, match="accessToken"):
        business(stranger)
    stranger.close()
