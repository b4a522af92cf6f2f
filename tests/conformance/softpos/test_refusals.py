"""Each forged, stale or misdirected assertion is refused with 401, one and the same body, and its
reason in the log alone; without a certificate there is no answer at all."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from jwcrypto import jwk

from tests.conformance.softpos.backend import (
    Answer,
    Backend,
    seal,
    sign,
    strict_tls,
)
from tests.kit.sandbox_process import SandboxProcess
from tillwire.estate.certificates import Issued, issue

ASKED = {"terminalId": "30350006", "callerTrxId": "no-such-sale"}
STRANGER = jwk.JWK.generate(kty="RSA", size=2048)
CLI = (sys.executable, "-c", "from tillwire.cli import main; main()")

WRITTEN_WITHIN = 30.0
REASON = re.compile(r'"an assertion was refused".*"reason":"([a-z_]+)"')

Make = Callable[[Backend], str]


def changed(**claims: object) -> Make:
    return lambda backend: backend.assertion(backend.claims(**claims))


def lived(seconds: int, begun: int = 0) -> Make:
    def make(backend: Backend) -> str:
        now = int(time.time()) + begun
        return backend.assertion(backend.claims(iat=now, exp=now + seconds))

    return make


def unsigned(backend: Backend) -> str:
    inner = sign(backend.claims(), backend.key)
    none = "eyJhbGciOiJub25lIn0"  # {"alg":"none"}
    return seal(".".join([none, inner.split(".")[1], ""]), backend.live_keys()[0])


def with_hmac(backend: Backend) -> str:
    public = backend.key.export_to_pem()
    secret = jwk.JWK(kty="oct", k=jwk.base64url_encode(public))
    return backend.assertion(key=secret, inner={"alg": "HS256"})


def in_milliseconds(backend: Backend) -> str:
    now = int(time.time())
    return backend.assertion(backend.claims(iat=now, exp=(now + 300) * 1000))


VECTORS: dict[str, tuple[Make, str]] = {
    "none at all": (lambda backend: "", "missing"),
    "no token": (lambda backend: "x" * 600, "not_encrypted"),
    "too long": (lambda backend: "a." * 4 + "b" * 9000, "too_long"),
    "unsigned inside": (unsigned, "signature_algorithm"),
    "HS256 with the public key inside": (with_hmac, "signature_algorithm"),
    "RS512 inside": (lambda b: b.assertion(inner={"alg": "RS512"}), "signature_algorithm"),
    "RSA1_5 outside": (
        lambda b: b.assertion(outer={"alg": "RSA1_5", "enc": "A128CBC-HS256"}),
        "encryption_algorithm",
    ),
    "RSA-OAEP outside": (
        lambda b: b.assertion(outer={"alg": "RSA-OAEP", "enc": "A128CBC-HS256"}),
        "encryption_algorithm",
    ),
    "A256GCM outside": (
        lambda b: b.assertion(outer={"alg": "RSA-OAEP-256", "enc": "A256GCM"}),
        "encryption_algorithm",
    ),
    "compressed": (
        lambda b: b.assertion(outer={"alg": "RSA-OAEP-256", "enc": "A128CBC-HS256", "zip": "DEF"}),
        "encryption_algorithm",
    ),
    "signed and not encrypted": (lambda b: sign(b.claims(), b.key), "not_encrypted"),
    "encrypted to another key": (
        lambda b: b.assertion(recipient=STRANGER),
        "no_key_opens_it",
    ),
    "encrypted and not signed": (
        lambda b: seal(json.dumps(b.claims()), b.live_keys()[0]),
        "not_signed",
    ),
    "signed by another's key": (lambda b: b.assertion(key=STRANGER), "signature"),
    "901 seconds": (lived(901), "life_too_long"),
    "exp in milliseconds": (in_milliseconds, "life_too_long"),
    "expired": (lived(300, -400), "expired"),
    "not yet": (lived(300, 120), "not_yet"),
    "aud without its scheme": (
        lambda b: b.assertion(b.claims(aud=b.member["url"].removeprefix("https://"))),
        "audience",
    ),
    "aud of staging": (changed(aud="https://stgb2bsoftpos.nexigroup.com"), "audience"),
    "aud of production": (changed(aud="https://b2bsoftpos.nexigroup.com"), "audience"),
    "iss is not sub": (changed(iss="somebody"), "another_application"),
    "sub is not iss": (changed(sub="somebody"), "another_application"),
    "appId of another": (changed(appId="somebody"), "another_application"),
    "another point of sale": (changed(pointOfSale="9999999999999"), "another_point_of_sale"),
    "no jti": (changed(jti=None), "claims"),
    "no aud": (changed(aud=None), "claims"),
    "no exp": (changed(exp=None), "claims"),
    "no terminals named": (changed(terminal_ids=None), "claims"),
    "a terminal that is no list": (changed(terminal_ids="30350006"), "claims"),
    "no terminals": (changed(terminal_ids=[]), "terminals"),
    "three terminals": (
        changed(terminal_ids=["30350006", "30350007", "30350001"]),
        "terminals",
    ),
    "a terminal of somebody else": (changed(terminal_ids=["30350001"]), "terminals"),
    "a terminal of another organisation": (changed(terminal_ids=["30359001"]), "terminals"),
    "a terminal that is nowhere": (changed(terminal_ids=["12345678"]), "terminals"),
    "a TID of seven digits": (changed(terminal_ids=["3035006"]), "terminals"),
}


def check_refused(answer: Answer) -> None:
    """401, in the source's words, whatever was wrong."""
    assert answer.status == 401
    assert answer.body == {
        "statusCode": "401",
        "message": "Unauthorized — invalid or expired token",
    }


def reasons(sandbox: SandboxProcess, before: int, count: int) -> list[str]:
    """Why assertions were refused since then, as soon as the log has so many: it is written beside
    the requests."""
    deadline = time.monotonic() + WRITTEN_WITHIN
    while len(found := REASON.findall(sandbox.errors, before)) < count:
        assert time.monotonic() < deadline, sandbox.errors[before:]
        time.sleep(0.01)
    return found


@pytest.mark.parametrize("vector", VECTORS)
def test_a_bad_assertion_is_refused_and_why_stands_in_the_log(
    backend: Backend, sandbox: SandboxProcess, vector: str
) -> None:
    make, reason = VECTORS[vector]
    before = len(sandbox.errors)
    check_refused(backend.check(ASKED, make(backend)))
    if pushed := make(backend):
        check_refused(backend.push(pushed))
    count = 2 if pushed else 1
    assert reasons(sandbox, before, count) == [reason] * count
    logged = sandbox.errors[before:]
    assert backend.member["client_secret"] not in logged
    assert backend.bearer not in logged
    assert not pushed or pushed not in logged


def test_an_assertion_is_good_once(backend: Backend) -> None:
    assertion = backend.assertion()
    assert backend.check(ASKED, assertion).status == 404
    check_refused(backend.check(ASKED, assertion))
    check_refused(backend.push(assertion))


def test_another_jti_in_other_octets_is_no_other_assertion(backend: Backend) -> None:
    claims = backend.claims()
    assert backend.check(ASKED, backend.assertion(claims)).status == 404
    check_refused(backend.check(ASKED, backend.assertion(claims)))


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_edges_of_what_is_allowed(backend: Backend, slash: str) -> None:
    now = int(time.time())
    for iat, exp in ((now - 600, now + 300), (now + 30, now + 60), (now - 300, now - 30)):
        claims = backend.claims(iat=iat, exp=exp, aud=backend.member["url"] + slash)
        assert backend.check(ASKED, backend.assertion(claims)).status == 404


def test_what_the_samples_leave_out_may_be_left_out(backend: Backend) -> None:
    claims = backend.claims(pointOfSale=None, app_username_merchant=None, app_deviceid=None)
    assert backend.check(ASKED, backend.assertion(claims)).status == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"client_id": "00000000-0000-4000-8000-000000000000"},
        {"client_id": ""},
        {"Authorization": "Bearer x"},
        {"Authorization": "Basic eDp5"},
        {"Authorization": ""},
    ],
)
def test_headers_of_somebody_else_are_refused(backend: Backend, headers: dict[str, str]) -> None:
    check_refused(backend.check(ASKED, **headers))


def test_header_names_with_hyphens_are_not_those(backend: Backend) -> None:
    told = {"client-id": backend.client_id, "client-assertion": backend.assertion()}
    check_refused(backend.check(ASKED, "", **told))


def test_without_a_certificate_there_is_no_handshake(backend: Backend) -> None:
    bare = strict_tls(backend.member, certificate=False)
    with pytest.raises(ssl.SSLError, match="certificate required"):
        backend.call("GET", "/softpos/par/jwks.json", tls=bare)


def test_a_certificate_of_the_servers_authority_is_none_of_a_client(
    backend: Backend, sandbox: SandboxProcess
) -> None:
    server = str(Path(backend.member["ca"]).with_name("server.pem"))
    foreign = strict_tls(backend.member, certificate=False)
    foreign.load_cert_chain(server, server)
    with pytest.raises(ssl.SSLError, match="unknown ca"):
        backend.call("GET", "/softpos/par/jwks.json", tls=foreign)


def test_a_certificate_of_nobody_registered_opens_nothing(backend: Backend, tmp_path: Path) -> None:
    pem = Path(backend.member["ca"]).with_name("client-ca-key.pem").read_bytes()
    made = issue(Issued(pem, pem), "Stranger", "staging", datetime.now(UTC))
    path = tmp_path / "stranger.pem"
    path.write_bytes(made.key + made.certificate)
    stranger = strict_tls(backend.member, certificate=False)
    stranger.load_cert_chain(path)
    check_refused(backend.call("GET", "/softpos/par/jwks.json", tls=stranger))
    refused = backend.token(stranger)
    assert (refused.status, refused.body["error"]) == (401, "invalid_client")
    # A token that was stolen is of no use without the certificate.
    headers = {"Authorization": f"Bearer {backend.bearer}"}
    check_refused(
        backend.call("POST", "/mpos-core/app/checkTransaction", b"{}", headers, tls=stranger)
    )


def test_a_key_that_was_rotated_away_opens_nothing(
    backend: Backend, sandbox: SandboxProcess
) -> None:
    newest, oldest = backend.live_keys()
    command = [*CLI, "softpos", "rotate-keys", "--data", str(sandbox.directory)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    deadline = time.monotonic() + 30
    while len(known := backend.live_keys()) != 2 or known[1].thumbprint() != newest.thumbprint():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    check_refused(backend.check(ASKED, backend.assertion(recipient=oldest)))
    assert backend.check(ASKED, backend.assertion(recipient=newest)).status == 404
    assert backend.check(ASKED, backend.assertion(recipient=known[0])).status == 404
