"""Whoever signs with the application's key is that application, however its library writes tokens;
nobody else is."""

from __future__ import annotations

import base64
import json
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from tillwire.dialects.paymentbridge.wire import tokens
from tillwire.dialects.paymentbridge.wire.errors import LoginFailed
from tillwire.errors import LocalProtocolError

APP: Final = "urn:aid:5b4e9993-c815-4070-9859-35f48e492b4f"
OTHER: Final = "urn:aid:00000000-c815-4070-9859-35f48e492b4f"
HOST: Final = "https://services.poynt.net"
NOW: Final = 1_800_000_000
KEY: Final = bytes(range(32))


def pem_of(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> tuple[str, str]:
    """Private and public, as PEM."""
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public.decode()


SIGNER: Final = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PRIVATE, PUBLIC = pem_of(SIGNER)
STRANGER: Final = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def part(value: Any) -> str:
    """One part of a compact token."""
    octets = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


def signed(
    claims: Any, header: Any = None, key: rsa.RSAPrivateKey = SIGNER, signature: str | None = None
) -> str:
    """A token as a stranger's library makes it."""
    content = f"{part({'alg': 'RS256', 'typ': 'JWT'} if header is None else header)}.{part(claims)}"
    if signature is None:
        signature = part(key.sign(content.encode(), padding.PKCS1v15(), hashes.SHA256()))
    return f"{content}.{signature}"


def claims(**others: Any) -> dict[str, Any]:
    """Those of an assertion; None leaves one out."""
    usual = {"iss": APP, "sub": APP, "aud": HOST, "iat": NOW, "exp": NOW + 300, "jti": "j"}
    return {key: value for key, value in {**usual, **others}.items() if value is not None}


def read(token: str, **others: Any) -> str:
    """Who signed it, at `NOW`."""
    keys = {APP: PUBLIC}
    usual: dict[str, Any] = {"key_of": keys.get, "audiences": (HOST, "http://127.0.0.1:1/poynt")}
    return tokens.read_assertion(token, now=NOW, **{**usual, **others})


YEAR_MS: Final = 365 * 86_400_000


@pytest.mark.parametrize(
    "written",
    [
        {},
        {"iat": NOW * 1000, "exp": NOW * 1000 + YEAR_MS},  # SDKs for Python and Node
        {"aud": [HOST]},  # Node, Java
        {"aud": ["https://elsewhere.example", HOST]},
        {"aud": HOST + "/"},
        {"aud": "http://127.0.0.1:1/poynt"},  # Python against a sandbox
        {"iat": NOW + 10_000_000},  # "in the future" is no matter
        {"iat": None, "jti": None},
        {"exp": NOW + 300.5},
        {"exp": NOW - 59},  # a clock that is wrong by a little
        {"nbf": NOW + 59},
        {"nbf": NOW * 1000},
        {"iss": "5b4e9993-c815-4070-9859-35f48e492b4f=" + APP},
        {"extra": {"deep": [1]}},
    ],
)
def test_claims_are_read_as_clients_write_them(written: dict[str, Any]) -> None:
    assert read(signed(claims(**written))) == APP


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "JWT", "alg": "RS256"},
        {"alg": "RS256"},
        {"alg": "RS256", "kid": "1"},
        {"alg": "RS256", "typ": "JWT", "unknown": 1},
    ],
)
def test_headers_are_read_as_clients_write_them(header: dict[str, Any]) -> None:
    assert read(signed(claims(), header)) == APP


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ({"iss": OTHER, "sub": OTHER}, f"The issuer {OTHER} is not known"),
        ({"iss": OTHER}, "Issuer and subject"),
        ({"sub": None}, "claims cannot be read"),
        ({"iss": "x", "sub": "x"}, "Issuer and subject"),
        ({"iss": 7}, "claims cannot be read"),
        ({"aud": "https://elsewhere.example"}, "audience"),
        ({"aud": []}, "audience"),
        ({"aud": [HOST] * 9}, "claims cannot be read"),
        ({"aud": None}, "claims cannot be read"),
        ({"aud": {}}, "claims cannot be read"),
        ({"exp": NOW - 60}, "expired"),
        ({"exp": (NOW - 60) * 1000}, "expired"),
        ({"exp": 0}, "expired"),
        ({"exp": None}, "claims cannot be read"),
        ({"exp": True}, "claims cannot be read"),
        ({"exp": str(NOW + 9)}, "claims cannot be read"),
        ({"exp": 1e300}, "claims cannot be read"),
        ({"exp": -1}, "claims cannot be read"),
        ({"nbf": NOW + 61}, "not valid yet"),
    ],
)
def test_claims_that_are_wrong_are_refused(written: dict[str, Any], problem: str) -> None:
    with pytest.raises(LoginFailed, match=problem) as raised:
        read(signed(claims(**written)))
    assert raised.value.code == "LOGIN_FAILED"


def mac(content: str, key: bytes) -> str:
    made = hmac.HMAC(key, hashes.SHA256())
    made.update(content.encode())
    return part(made.finalize())


def confused() -> str:
    """The public key, used as the secret of an HMAC."""
    content = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims())}"
    return f"{content}.{mac(content, PUBLIC.encode())}"


GOOD: Final = signed(claims())


@pytest.mark.parametrize(
    "token",
    [
        signed(claims(), {"alg": "none"}, signature=""),
        signed(claims(), {"alg": "None"}, signature=""),
        confused(),
        signed(claims(), {"alg": "RS512"}),
        signed(claims(), {"alg": ["RS256"]}),
        signed(claims(), {"typ": "JWT"}),
        signed(claims(), {"alg": "RS256", "crit": ["exp"], "exp": 1}),
        signed(claims(), {"alg": "RS256", "b64": False}),
        signed(claims(), {"alg": "RS256", "b64": False, "crit": ["b64"]}),
        signed(claims(), {"alg": "RS256", "jwk": {"kty": "RSA"}}, STRANGER),
        signed(claims(), [1]),
        signed(claims(), b"\xff"),
        signed(claims(), b"{" * 300),
        signed(claims(), {"alg": "RS256", "x": "x" * 600}),
        signed([1]),
        signed("x"),
        signed(b"\xff"),
        signed(b"[" * 5_000),
        signed(claims(), key=STRANGER),
        signed(claims(), signature=""),
        signed(claims(), signature="AAAA"),
        signed(claims(), signature="A" * 1_500),
        GOOD[:-8],
        GOOD + ".x",
        "." + GOOD,
        GOOD.rpartition(".")[0],
        "",
        "..",
        "x",
        "é.é.é",
        signed(claims(padding="x" * 10_000)),
        "x." * 20_000,
    ],
    ids=range(32),
)
def test_nobody_else_can_sign(token: str) -> None:
    with pytest.raises(LoginFailed):
        read(token)


def test_no_part_can_be_exchanged() -> None:
    header, payload, signature = GOOD.split(".")
    more = part(claims(exp=NOW + 9_999))
    for token in (
        f"{header}.{more}.{signature}",
        f"{part({'alg': 'RS256'})}.{payload}.{signature}",
    ):
        with pytest.raises(LoginFailed, match="signature"):
            read(token)


def test_a_key_that_is_no_rsa_key_opens_nothing() -> None:
    _, curve = pem_of(ec.generate_private_key(ec.SECP256R1()))
    for pem in (curve, "", "no key", "-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----"):
        with pytest.raises(LoginFailed):
            read(GOOD, key_of={APP: pem}.get)


@given(st.text(max_size=60) | st.lists(st.text("AQe-_=", max_size=9), max_size=4).map(".".join))
def test_garbage_is_refused(token: str) -> None:
    with pytest.raises(LoginFailed):
        read(token)
    with pytest.raises(LoginFailed):
        tokens.read_access_token(token, KEY, now=NOW)
    with pytest.raises(LoginFailed):
        tokens.read_refresh_token(token, KEY, now=NOW)
    assert tokens.expiry(token) is None


def test_what_we_sign_is_read() -> None:
    token = tokens.make_assertion(APP, PRIVATE, audience=HOST, now=NOW, jti="j-1")
    assert read(token) == APP
    content = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert content == {
        "iss": APP, "sub": APP, "aud": HOST, "iat": NOW, "exp": NOW + 300, "jti": "j-1"
    }  # fmt: skip
    header = json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))
    assert header == {"alg": "RS256", "typ": "JWT"}


@pytest.mark.parametrize("key", ["", "no key", PUBLIC])
def test_a_key_that_cannot_sign_is_our_mistake(key: str) -> None:
    with pytest.raises(LocalProtocolError) as raised:
        tokens.make_assertion(APP, key, audience=HOST, now=NOW, jti="j")
    assert "BEGIN" not in str(raised.value)


# --- our own tokens ---------------------------------------------------------------------------

ACCESS: Final = tokens.AccessClaims(
    issuer=HOST,
    application_id=APP,
    audience=APP,
    issued_at=NOW,
    expires_at=NOW + 86_400,
    token_id="t-1",
    organisation="o-1",
    business="b-1",
)
REFRESH: Final = tokens.RefreshClaims(
    application_id=APP, issued_at=NOW, expires_at=NOW + 10, token_id="t-2"
)


def test_an_access_token_is_read_until_it_ends() -> None:
    token = tokens.make_access_token(ACCESS, KEY)
    assert tokens.read_access_token(token, KEY, now=NOW + 86_399) == ACCESS
    with pytest.raises(LoginFailed, match="expired") as raised:
        tokens.read_access_token(token, KEY, now=NOW + 86_400)
    assert raised.value.code == "INVALID_ACCESS_TOKEN"
    with pytest.raises(LoginFailed, match="not by us"):
        tokens.read_access_token(token, bytes(32), now=NOW)


def test_clients_can_look_into_an_access_token() -> None:
    token = tokens.make_access_token(ACCESS, KEY)
    assert tokens.expiry(token) == NOW + 86_400
    payload = token.split(".")[1]
    assert json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))) == {
        "iss": HOST,
        "sub": APP,
        "aud": APP,
        "iat": NOW,
        "exp": NOW + 86_400,
        "jti": "t-1",
        "poynt.org": "o-1",
        "poynt.biz": "b-1",
    }
    assert tokens.expiry(signed({"exp": NOW * 1000})) == NOW
    assert tokens.expiry(signed({"exp": "soon"})) is None


def test_a_refresh_token_is_read_until_it_ends() -> None:
    token = tokens.make_refresh_token(REFRESH, KEY)
    assert token.startswith("1:1:1:1:")
    assert tokens.read_refresh_token(token, KEY, now=NOW) == REFRESH
    for wrong, now in ((token, NOW + 10), (token[:-3], NOW)):
        with pytest.raises(LoginFailed) as raised:
            tokens.read_refresh_token(wrong, KEY, now=now)
        assert raised.value.code == "INVALID_REFRESH_TOKEN"


def test_one_kind_of_token_is_not_the_other() -> None:
    access, refresh = tokens.make_access_token(ACCESS, KEY), tokens.make_refresh_token(REFRESH, KEY)
    with pytest.raises(LoginFailed, match="another kind"):
        tokens.read_access_token(refresh.removeprefix("1:1:1:1:"), KEY, now=NOW)
    with pytest.raises(LoginFailed, match="another kind"):
        tokens.read_refresh_token("1:1:1:1:" + access, KEY, now=NOW)
    with pytest.raises(LoginFailed):
        tokens.read_access_token(GOOD, KEY, now=NOW)
    with pytest.raises(LoginFailed):
        read(access)
