"""Who gets a token, and whose is taken: every way in which the vendor's clients write it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest
from joserfc import jws, jwt
from joserfc.jwk import OctKey, RSAKey
from structlog.testing import capture_logs

from tests.kit.cloud import Json
from tests.kit.runner import virtual
from tests.kit.virtual_loop import EPOCH, virtual_loop
from tests.unit.paymentbridge.face.cloud import (
    APPLICATION,
    AUDIENCE,
    BEARER,
    BUSINESS,
    OTHER_BUSINESS,
    READER,
    STRANGER,
    CloudApplication,
    assertion,
    cloud,
    keys,
)
from tillwire.estate.applications import new_key_pair
from tillwire.net import per_minute

_NOW = EPOCH // 1000
_YEAR = 31_536_000


def _claims(token: str) -> Json:
    """What a token says, read without a check, as the vendor's clients do."""
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


@virtual()
async def test_an_assertion_gets_a_token_that_clients_can_read(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        application = CloudApplication(there)
        answer = await application.form(grantType=BEARER, assertion=assertion())
        said = answer.json
        assert answer.status == 200
        assert (said["expiresIn"], said["scope"], said["tokenType"]) == (86_400, "ALL", "BEARER")
        assert said["refreshToken"].startswith("1:1:1:1:")
        claims = _claims(said["accessToken"])
        now = there.gateway.clock.now() // 1000
        assert (claims["exp"], claims["sub"]) == (now + 86_400, APPLICATION)
        assert claims["poynt.biz"] == BUSINESS
        application.token = said["accessToken"]
        assert (await application.get(f"/businesses/{BUSINESS}"))["id"] == BUSINESS


_TOLERATED = {
    "milliseconds, for a year": {"iat": _NOW * 1000, "exp": (_NOW + _YEAR) * 1000},
    "a list of one audience": {"aud": [AUDIENCE]},
    "the European host": {"aud": "https://services-eu.poynt.net"},
    "a host with a slash": {"aud": AUDIENCE + "/"},
    "one of the settings": {"aud": "https://pay.example.com/poynt"},
    "no iat": {"iat": None},
    "an iat to come": {"iat": _NOW + 900},
}


@pytest.mark.parametrize("how", _TOLERATED)
def test_what_the_vendors_clients_write_is_accepted(tmp_path: Path, how: str) -> None:
    @virtual()
    async def play() -> None:
        async with cloud(tmp_path, audiences=["https://pay.example.com/poynt"]) as there:
            application = CloudApplication(there)
            said = assertion(**_TOLERATED[how])
            assert (await application.form(grantType=BEARER, assertion=said)).status == 200

    play()


@virtual()
async def test_the_listeners_own_address_is_an_audience_and_a_host_header_is_not(
    tmp_path: Path,
) -> None:
    async with cloud(tmp_path) as there:
        application = CloudApplication(there)
        url = there.gateway.url("paymentbridge")
        port = urlsplit(url).port
        for own in (url, f"http://localhost:{port}"):
            said = assertion(aud=own)
            assert (await application.form(grantType=BEARER, assertion=said)).status == 200
        body = f"grantType={BEARER}&assertion={assertion(aud='http://elsewhere.example')}"
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Host": "elsewhere.example",
        }
        answer = await there.ask("POST", "/token", headers, body.encode())
        assert (answer.status, answer.code) == (401, "LOGIN_FAILED")


_OTHER_KEY = new_key_pair()[0]


def _signed(private: bytes, **claims: Json) -> str:
    said = {"iss": APPLICATION, "sub": APPLICATION, "aud": AUDIENCE, "exp": _NOW + 300} | claims
    return jwt.encode({"alg": "RS256"}, said, RSAKey.import_key(private))


def _with_the_public_key_as_a_secret() -> str:
    """The old trick: the public key taken for the secret of an HMAC."""
    said = {"iss": APPLICATION, "sub": APPLICATION, "aud": AUDIENCE, "exp": _NOW + 300}
    secret = OctKey.import_key(base64.b64encode(keys()[1]))
    return jws.serialize_compact({"alg": "HS256"}, json.dumps(said), secret, ["HS256"])


_REFUSED = {
    "another key": lambda: _signed(_OTHER_KEY),
    "a secret for a key": _with_the_public_key_as_a_secret,
    "an unknown application": lambda: assertion("urn:aid:00000000-0000-4000-8000-000000000000"),
    "somebody else's subject": lambda: assertion(sub=STRANGER),
    "another audience": lambda: assertion(aud="https://example.com"),
    "too late": lambda: assertion(exp=_NOW - 3600),
    "no token at all": lambda: "none",
}


@pytest.mark.parametrize("how", _REFUSED)
def test_whoever_cannot_prove_who_they_are_gets_no_token(tmp_path: Path, how: str) -> None:
    @virtual()
    async def play() -> None:
        async with cloud(tmp_path) as there:
            application = CloudApplication(there)
            answer = await application.form(grantType=BEARER, assertion=_REFUSED[how]())
            assert (answer.status, answer.code) == (401, "LOGIN_FAILED")
            assert "accessToken" not in answer.json

    play()


@virtual()
async def test_who_is_not_let_in_can_be_read_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(per_minute, "LOGGED_A_MINUTE", 3)
    async with cloud(tmp_path) as there:
        till, reader = CloudApplication(there), await there.application(READER)
        with capture_logs() as written:
            await till.form(grantType=BEARER, assertion=assertion(exp=_NOW - 3600))
            till.token = "forged-token"
            await till.ask("GET", "/hooks")
            answer = await reader.send(reader.order())
            assert (answer.status, answer.code) == (401, "UNAUTHORIZED_ACCESS")
            for _ in range(3):
                await till.ask("GET", "/hooks")
        told = [each for each in written if each["event"] == "an application was not let in"]
        assert [(each["code"], each["reason"]) for each in told] == [
            ("LOGIN_FAILED", "The assertion has expired."),
            ("INVALID_ACCESS_TOKEN", "It is not a signed JSON web token."),
            ("UNAUTHORIZED_ACCESS", "The application lacks cloud-messages:write."),
        ]
        assert {each["address"] for each in told} == {"127.0.0.1"}
        assert "forged-token" not in str(written)


@virtual()
async def test_an_unknown_issuer_is_named_to_the_developer(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        unknown = "urn:aid:00000000-0000-4000-8000-000000000000"
        application = CloudApplication(there)
        answer = await application.form(grantType=BEARER, assertion=assertion(unknown))
        assert unknown in answer.json["developerMessage"]


@virtual()
async def test_a_refresh_token_gets_new_ones_and_opens_nothing_itself(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        application = CloudApplication(there)
        first = (await application.form(grantType=BEARER, assertion=assertion())).json
        virtual_loop()
        second = await application.form(
            grantType="REFRESH_TOKEN", refreshToken=first["refreshToken"]
        )
        assert second.status == 200
        application.token = second.json["accessToken"]
        await application.get(f"/businesses/{BUSINESS}")
        application.token = first["refreshToken"]
        answer = await application.ask("GET", f"/businesses/{BUSINESS}")
        assert (answer.status, answer.code) == (401, "INVALID_ACCESS_TOKEN")
        crossed = await application.form(
            grantType="REFRESH_TOKEN", refreshToken=first["accessToken"]
        )
        assert (crossed.status, crossed.code) == (401, "INVALID_REFRESH_TOKEN")


@virtual()
async def test_a_merchants_consent_is_not_offered_and_says_so(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        answer = await CloudApplication(there).form(
            grant_type="authorization_code",
            code="c",
            client_id=APPLICATION,
            redirect_uri="https://a",
        )
        assert (answer.status, answer.code) == (400, "UNSUPPORTED_OPERATION")


@virtual()
async def test_a_form_that_is_none_is_refused(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        application = CloudApplication(there)
        assert (await application.form(assertion="a")).code == "MISSING_PARAMETER"
        assert (await application.form(grantType=BEARER)).code == "MISSING_PARAMETER"
        assert (await application.form(grantType="password")).code == "INVALID_PARAMETER"
        answer = await there.ask("POST", "/token", {"Content-Type": "application/json"}, b"{}")
        assert (answer.status, answer.code) == (415, "INVALID_REQUEST")
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await there.ask("POST", "/token", form, b"a" * 40_000)
        assert (answer.status, answer.code) == (413, "INVALID_REQUEST")
        assert (await there.ask("GET", "/token", {})).status == 405


@virtual()
async def test_a_token_ends_and_so_does_a_refresh_token(tmp_path: Path) -> None:
    async with cloud(tmp_path, token_seconds=60, refresh_seconds=120) as there:
        application = CloudApplication(there)
        said = (await application.form(grantType=BEARER, assertion=assertion())).json
        application.token = said["accessToken"]
        loop = virtual_loop()
        await _until(loop.time() + 61)
        answer = await application.ask("GET", f"/businesses/{BUSINESS}")
        assert (answer.status, answer.code) == (401, "INVALID_ACCESS_TOKEN")
        fields = {"grantType": "REFRESH_TOKEN", "refreshToken": said["refreshToken"]}
        assert (await application.form(**fields)).status == 200
        await _until(loop.time() + 61)
        assert (await application.form(**fields)).code == "INVALID_REFRESH_TOKEN"


async def _until(time: float) -> None:
    loop = virtual_loop()
    come = loop.create_future()
    loop.call_at(time, come.set_result, None)
    await come


@virtual()
async def test_without_a_good_token_nothing_is_told(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        application = await there.application()
        paths = (f"/businesses/{BUSINESS}", "/cloudMessages", "/no/such/path", "/hooks")
        for said in ({}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer nonsense"}):
            for path in paths:
                answer = await there.ask("GET", path, said)
                assert (answer.status, answer.code) == (401, "INVALID_ACCESS_TOKEN")
                assert answer.headers["www-authenticate"] == "Bearer"
        changed = application.token[:-4] + ("AAAA" if application.token[-4:] != "AAAA" else "BBBB")
        answer = await there.ask("GET", paths[0], {"Authorization": f"Bearer {changed}"})
        assert answer.status == 401


@virtual()
async def test_names_of_headers_and_of_the_scheme_may_be_in_any_case(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        token = (await there.application()).token
        for headers in (
            {"authorization": f"BEARER {token}", "API-VERSION": "1.2"},
            {"AUTHORIZATION": f"bearer {token}", "api-version": "https://services.poynt.net"},
            {"Authorization": f"Bearer {token}", "If-Modified-Since": "2020-01-01T00:00:00Z"},
        ):
            assert (await there.ask("GET", f"/businesses/{BUSINESS}", headers)).status == 200


@virtual()
async def test_a_revoked_application_is_out_at_once(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        application = CloudApplication(there)
        said = (await application.form(grantType=BEARER, assertion=assertion())).json
        application.token = said["accessToken"]
        engine = there.gateway.engine
        known = engine.estate.applications[APPLICATION]
        gone = msgspec.structs.replace(known, revoked_at=there.gateway.clock.now())
        await engine.change_estate(lambda unit: unit.put(gone))
        answer = await application.ask("GET", f"/businesses/{BUSINESS}")
        assert (answer.status, answer.code) == (401, "INVALID_ACCESS_TOKEN")
        fields = {"grantType": "REFRESH_TOKEN", "refreshToken": said["refreshToken"]}
        assert (await application.form(**fields)).code == "INVALID_REFRESH_TOKEN"
        fields = {"grantType": BEARER, "assertion": assertion()}
        assert (await application.form(**fields)).code == "LOGIN_FAILED"


@virtual()
async def test_a_face_of_one_organisation_knows_no_other_ones_applications(tmp_path: Path) -> None:
    async with cloud(tmp_path, organisation="shop") as there:
        answer = await CloudApplication(there).form(grantType=BEARER, assertion=assertion(STRANGER))
        assert (answer.status, answer.code) == (401, "LOGIN_FAILED")


@virtual()
async def test_another_organisations_business_is_not_there(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        mine, theirs = await there.application(), await there.application(STRANGER)
        answer = await mine.ask("GET", f"/businesses/{OTHER_BUSINESS}")
        assert (answer.status, answer.code) == (404, "BUSINESS_NOT_FOUND")
        await theirs.get(f"/businesses/{OTHER_BUSINESS}")


@virtual()
async def test_who_tries_tokens_without_end_is_stopped_and_nobody_else(tmp_path: Path) -> None:
    async with cloud(tmp_path, failures_per_minute=3) as there:
        application = await there.application()
        path, bad = f"/businesses/{BUSINESS}", {"Authorization": "Bearer nonsense"}
        assert [(await there.ask("GET", path, bad)).status for _ in range(5)] == [401] * 3 + [
            429
        ] * 2
        stopped = await there.ask("GET", path, bad)
        assert int(stopped.headers["retry-after"]) <= 61
        assert stopped.json["httpStatus"] == 429
        # The same address, with a good token.
        await application.get(path)
        fields = {"grantType": BEARER, "assertion": assertion()}
        assert (await application.form(**fields)).status == 429
        await _until(virtual_loop().time() + 61)
        assert (await there.ask("GET", path, bad)).status == 401
        assert (await application.form(**fields)).status == 200


@virtual()
async def test_the_requests_id_comes_back(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        application = await there.application()
        for name in ("POYNT-REQUEST-ID", "Poynt-Request-Id"):
            answer = await application.ask("GET", "/nowhere", headers={name: "r-1"})
            assert (answer.status, answer.code) == (404, "INVALID_URL_PATTERN")
            assert answer.json["requestId"] == "r-1"
            assert answer.headers["poynt-request-id"] == "r-1"
        # Neither a card number nor an endless text is repeated.
        for unfit in ("4111111111111111", "r" * 129):
            answer = await application.ask("GET", "/nowhere", headers={"Poynt-Request-Id": unfit})
            assert unfit not in answer.body.decode()
            assert unfit not in answer.headers.values()
