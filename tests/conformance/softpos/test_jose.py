"""Assertions between our wire and two independent libraries, both ways."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from jwcrypto import jwe, jwk, jws

from tests.conformance.npm_packages import NODE
from tests.conformance.softpos.backend import INNER, OUTER, Backend
from tests.conformance.softpos.conftest import JOSE
from tillwire.dialects.softpos.wire import keys
from tillwire.dialects.softpos.wire.assertions import claims_for, make_assertion, read_assertion

SERVER = jwk.JWK.generate(kty="RSA", size=2048, kid="enc-1", use="enc")
NOW = 1_800_000_000
CLAIMS = claims_for(
    "an-app",
    ["30350006", "30350007"],
    audience="https://pay.example",
    now=NOW,
    jti="0d3f7f9c-8a5e-4a52-9c44-51b8f8f7c0de",
    point_of_sale="3035000000017",
    merchant_username="till@shop.example",
    device_id="a1b2",
)


def ours(backend: Backend) -> str:
    """An assertion of our wire's, signed with the sandbox application's key."""
    public = json.dumps({"keys": [SERVER.export_public(as_dict=True)]}).encode()
    signing = keys.load(Path(backend.member["private_key"]).read_text())
    return make_assertion(CLAIMS, signing, keys.read_set(public)[0])


def node(modules: Path, job: dict[str, Any]) -> Any:
    """What the program on `jose` makes of a job."""
    done = subprocess.run(
        [str(NODE), str(JOSE / "assertion.cjs")],
        input=json.dumps(job),
        env={"NODE_PATH": str(modules)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_jwcrypto_reads_ours(backend: Backend) -> None:
    outer = jwe.JWE()
    outer.deserialize(ours(backend), SERVER)
    assert outer.jose_header == OUTER
    inner = jws.JWS()
    certificate = jwk.JWK.from_pem(Path(backend.member["certificate"]).read_bytes())
    inner.deserialize(outer.payload.decode(), certificate)
    assert inner.jose_header == INNER
    assert json.loads(inner.payload) == {
        "appId": "an-app",
        "pointOfSale": "3035000000017",
        "terminal_ids": ["30350006", "30350007"],
        "app_username_merchant": "till@shop.example",
        "app_deviceid": "a1b2",
        "iss": "an-app",
        "sub": "an-app",
        "aud": "https://pay.example",
        "iat": NOW,
        "exp": NOW + 300,
        "jti": "0d3f7f9c-8a5e-4a52-9c44-51b8f8f7c0de",
    }


def test_jose_reads_ours(backend: Backend, jose_modules: Path) -> None:
    read = node(
        jose_modules,
        {
            "what": "read",
            "token": ours(backend),
            "server_key": SERVER.export_to_pem(private_key=True, password=None).decode(),
            "app_certificate": Path(backend.member["certificate"]).read_text(),
        },
    )
    assert read["outer"] == OUTER
    assert read["inner"] == INNER
    assert (read["claims"]["appId"], read["claims"]["exp"]) == ("an-app", NOW + 300)


def test_our_face_reads_jose_s(backend: Backend, jose_modules: Path) -> None:
    (newest, *_) = backend.live_keys()
    token = node(
        jose_modules,
        {
            "what": "make",
            "claims": backend.claims(),
            "app_key": Path(backend.member["private_key"]).read_text(),
            "server_key": newest.export_public(as_dict=True),
        },
    )
    answer = backend.check({"terminalId": "30350006", "callerTrxId": "no-such-sale"}, token)
    assert answer.status == 404


@pytest.mark.parametrize("named", [False, True])
def test_our_face_reads_ours(backend: Backend, named: bool) -> None:
    public = backend.call("GET", "/softpos/par/jwks.json").content
    newest, *_ = keys.read_set(public)
    claims = claims_for(
        backend.client_id,
        backend.tids,
        audience=backend.member["url"],
        now=int(time.time()),
        jti=f"ours-{named}-{time.time()}",
    )
    signing = keys.load(Path(backend.member["private_key"]).read_text())
    token = make_assertion(claims, signing, newest, name_key=named)
    answer = backend.check({"terminalId": "30350006", "callerTrxId": "no-such-sale"}, token)
    assert answer.status == 404


def test_our_wire_reads_jwcrypto_s(backend: Backend) -> None:
    told = backend.claims(aud="https://pay.example/", iat=NOW, exp=NOW + 300)
    private = keys.load(SERVER.export_to_pem(private_key=True, password=None).decode())
    claims = read_assertion(
        backend.assertion(told, recipient=SERVER),
        keys=[keys.NamedKey("enc-1", private)],
        public_key=keys.load(Path(backend.member["certificate"]).read_text()),
        client_id=backend.client_id,
        audiences=["https://pay.example"],
        now=NOW,
    )
    assert claims.token_id == told["jti"]
