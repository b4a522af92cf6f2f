"""The nested token: what we write is what the source says, and nothing else is read."""

from __future__ import annotations

import base64
import functools
import hmac
import json
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwe, jws
from joserfc.jwk import RSAKey

from tillwire.dialects.softpos.wire.assertions import (
    LONGEST,
    AssertionRefused,
    Claims,
    Reason,
    check_terminals,
    claims_for,
    make_assertion,
    read_assertion,
)
from tillwire.dialects.softpos.wire.keys import NamedKey
from tillwire.errors import LocalProtocolError

NOW = 1_800_000_000
OUTER = {"alg": "RSA-OAEP-256", "enc": "A128CBC-HS256"}


@functools.cache
def key(name: str) -> RSAKey:
    """A key pair, made once."""
    return RSAKey.generate_key(2048)


def server(name: str = "new") -> NamedKey:
    return NamedKey(name, key(name))


CLAIMS = claims_for("app", ["30350006"], audience="https://pay.example", now=NOW, jti="j-1")


def read(text: str, **changed: Any) -> Claims:
    told: dict[str, Any] = {
        "keys": [server("new"), server("old")],
        "public_key": key("app"),
        "client_id": "app",
        "audiences": ["https://pay.example"],
        "now": NOW,
    }
    return read_assertion(text, **(told | changed))


def refused(text: str, **changed: Any) -> Reason:
    with pytest.raises(AssertionRefused) as caught:
        read(text, **changed)
    return caught.value.reason


def sealed(inner: str, header: dict[str, Any] | None = None, name: str = "new") -> str:
    registry = jwe.JWERegistry(
        algorithms=["RSA-OAEP-256", "A128CBC-HS256", "DEF"], strict_check_header=False
    )
    return jwe.encrypt_compact(header or OUTER, inner, key(name), registry=registry)


def signed(payload: bytes, header: dict[str, Any] | None = None, name: str = "app") -> str:
    registry = jws.JWSRegistry(algorithms=["RS256", "RS512"], strict_check_header=False)
    return jws.serialize_compact(header or {"alg": "RS256"}, payload, key(name), registry=registry)


def _base64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def header_of(token: str) -> Any:
    part = token.split(".")[0]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def test_headers_are_those_of_the_samples() -> None:
    token = make_assertion(CLAIMS, key("app"), server())
    assert header_of(token) == OUTER
    inner = jwe.decrypt_compact(token, key("new"), algorithms=list(OUTER.values())).plaintext
    assert inner is not None
    assert header_of(inner.decode()) == {"alg": "RS256"}
    named = make_assertion(CLAIMS, key("app"), server(), name_key=True)
    assert header_of(named) == {**OUTER, "kid": "new"}


def test_what_is_not_used_is_left_out() -> None:
    members = json.loads(msgspec.json.encode(CLAIMS))
    assert members.keys() == {"appId", "terminal_ids", "iss", "sub", "aud", "iat", "exp", "jti"}
    assert (members["iat"], members["exp"]) == (NOW, NOW + 300)


@pytest.mark.parametrize("name", ["new", "old"])
@pytest.mark.parametrize("said", [None, "new", "old", "nobody"])
def test_each_live_key_is_tried(name: str, said: str | None) -> None:
    header = OUTER if said is None else {**OUTER, "kid": said}
    assert read(sealed(signed(msgspec.json.encode(CLAIMS)), header, name)) == CLAIMS


def test_members_of_headers_that_say_nothing_here_are_ignored() -> None:
    inner = signed(msgspec.json.encode(CLAIMS), {"alg": "RS256", "typ": "JWT", "x-own": 1})
    assert read(sealed(inner, {**OUTER, "cty": "JWT", "x-own": 1})) == CLAIMS


def test_a_chain_of_certificates_in_the_header_is_ignored() -> None:
    header = {"alg": "RS256", "x5c": ["A" * 1600]}
    assert read(sealed(_signed_with("app", header))) == CLAIMS


def test_the_longest_keys_sign() -> None:
    # Of what may be registered. Their signatures have 1,366 characters.
    token = sealed(".".join([*_signed_with("app").split(".")[:2], _base64(bytes(8192 // 8))]))
    assert refused(token) is Reason.SIGNATURE


def _signed_with(name: str, header: dict[str, Any] | None = None) -> str:
    """By hand, since the library has limits of its own."""
    parts = [_base64(json.dumps(header or {"alg": "RS256"}).encode())]
    parts.append(_base64(msgspec.json.encode(CLAIMS)))
    octets = key(name).private_key.sign(
        ".".join(parts).encode(), padding.PKCS1v15(), hashes.SHA256()
    )
    return ".".join([*parts, _base64(octets)])


@pytest.mark.parametrize("member", [{"zip": "DEF"}, {"crit": ["kid"], "kid": "new"}])
def test_what_changes_the_meaning_is_refused(member: dict[str, Any]) -> None:
    token = sealed(signed(msgspec.json.encode(CLAIMS)), {**OUTER, **member})
    assert refused(token) is Reason.ENCRYPTION_ALGORITHM


def test_what_is_encrypted_twice_is_opened_once() -> None:
    token = sealed(sealed(signed(msgspec.json.encode(CLAIMS))))
    assert refused(token) is Reason.NOT_SIGNED


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "dir", "enc": "A128CBC-HS256"},
        {"alg": "none", "enc": "A128CBC-HS256"},
        # A password that would be worked on for minutes (RFC 7518 section 4.8).
        {"alg": "PBES2-HS256+A128KW", "enc": "A128CBC-HS256", "p2s": "c2FsdA", "p2c": 2**31},
        {"alg": ["RSA-OAEP-256"], "enc": "A128CBC-HS256"},
    ],
)
def test_no_other_algorithm_is_begun(header: dict[str, Any]) -> None:
    parts = sealed(signed(msgspec.json.encode(CLAIMS))).split(".")
    token = ".".join([_base64(json.dumps(header).encode()), *parts[1:]])
    assert refused(token) in (Reason.ENCRYPTION_ALGORITHM, Reason.NOT_ENCRYPTED)


def test_a_key_that_the_token_brings_along_checks_nothing() -> None:
    jwk = key("thief").as_dict(private=False)
    token = sealed(_signed_with("thief", {"alg": "RS256", "jwk": jwk}))
    assert refused(token) is Reason.SIGNATURE


def test_an_empty_set_of_keys_opens_nothing() -> None:
    assert refused(make_assertion(CLAIMS, key("app"), server()), keys=[]) is Reason.NO_KEY_OPENS_IT


def test_a_public_key_is_no_secret_to_sign_with() -> None:
    parts = [_base64(each) for each in (b'{"alg":"HS256"}', msgspec.json.encode(CLAIMS))]
    # By hand, since no library does it any more.
    public = key("app").as_pem(private=False)
    by_hand = hmac.digest(public, ".".join(parts).encode(), "sha256")
    inner = ".".join([*parts, _base64(by_hand)])
    assert refused(sealed(inner)) is Reason.SIGNATURE_ALGORITHM


@pytest.mark.parametrize(
    "changed",
    [
        {"iat": float(NOW)},
        {"iat": str(NOW)},
        {"iat": True},
        {"exp": -1},
        {"exp": 10**30},
        {"exp": None},
        {"aud": ["https://pay.example"]},
        {"aud": ""},
        {"jti": 7},
        {"jti": "x" * 257},
        {"terminal_ids": {"a": 1}},
        {"terminal_ids": [30350006]},
        {"appId": None},
        {"pointOfSale": 5},
    ],
)
def test_a_claim_of_another_type_is_refused(changed: dict[str, Any]) -> None:
    members = json.loads(msgspec.json.encode(CLAIMS)) | changed
    reason = refused(sealed(signed(json.dumps(members).encode())))
    assert reason is Reason.CLAIMS


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 3000])
def test_claims_that_are_no_object_are_refused(payload: bytes) -> None:
    assert refused(sealed(signed(payload))) is Reason.CLAIMS


@pytest.mark.parametrize(
    ("iat", "exp", "reason"),
    [
        (NOW + 61, NOW + 300, Reason.NOT_YET),
        (NOW - 500, NOW - 60, Reason.EXPIRED),
        (NOW, NOW + 901, Reason.LIFE_TOO_LONG),
        (NOW * 1000, NOW * 1000 + 300, Reason.NOT_YET),
        (NOW + 50, NOW - 50, Reason.CLAIMS),
        (NOW, NOW, Reason.CLAIMS),
    ],
)
def test_times_are_strict_to_the_second(iat: int, exp: int, reason: Reason) -> None:
    def at(iat: int, exp: int) -> str:
        claims = msgspec.structs.replace(CLAIMS, issued_at=iat, expires_at=exp)
        return make_assertion(claims, key("app"), server())

    assert refused(at(iat, exp)) is reason
    assert read(at(NOW + 60, NOW + 300)).issued_at == NOW + 60
    assert read(at(NOW - 500, NOW - 59)).expires_at == NOW - 59
    assert read(at(NOW, NOW + 900)).expires_at == NOW + 900


def test_what_is_said_to_be_good_later_is_not_good_yet() -> None:
    def from_(moment: Any) -> str:
        members = json.loads(msgspec.json.encode(CLAIMS)) | {"nbf": moment}
        return sealed(signed(json.dumps(members).encode()))

    assert read(from_(NOW + 60)).not_before == NOW + 60
    assert refused(from_(NOW + 61)) is Reason.NOT_YET
    assert refused(from_("now")) is Reason.CLAIMS


@pytest.mark.parametrize(
    ("audience", "good"),
    [
        ("https://pay.example", True),
        ("https://pay.example/", True),
        ("https://pay.example:443", False),
        ("https://pay.example/mpos-core", False),
        ("https://pay.example.thief.example", False),
        ("http://pay.example", False),
        ("pay.example", False),
    ],
)
def test_the_audience_is_the_base_url(audience: str, good: bool) -> None:
    claims = msgspec.structs.replace(CLAIMS, audience=audience)
    token = make_assertion(claims, key("app"), server())
    if good:
        assert read(token) == claims
    else:
        with pytest.raises(AssertionRefused) as caught:
            read(token)
        assert caught.value.reason is Reason.AUDIENCE
        assert repr(audience) in caught.value.detail, "whose developer looks for it in the log"


def test_a_point_of_sale_counts_where_both_have_one() -> None:
    claims = msgspec.structs.replace(CLAIMS, point_of_sale="1")
    token = make_assertion(claims, key("app"), server())
    assert read(token).point_of_sale == "1"
    assert read(token, point_of_sale="1").point_of_sale == "1"
    assert refused(token, point_of_sale="2") is Reason.ANOTHER_POINT_OF_SALE
    assert read(make_assertion(CLAIMS, key("app"), server()), point_of_sale="2") == CLAIMS


@pytest.mark.parametrize(
    ("named", "allowed", "good"),
    [
        (["30350006"], ["30350006"], True),
        (["30350006", "30350007"], ["30350006", "30350007", "30350008"], True),
        ([], ["30350006"], False),
        (["1"] * 3, ["1"], False),
        (["3035000a"], ["3035000a"], False),
        (["٣٠٣٥٠٠٠٦"], ["٣٠٣٥٠٠٠٦"], False),
        (["30350006", "30350009"], ["30350006"], False),
    ],
)
def test_one_or_two_terminals_of_its_own(named: list[str], allowed: list[str], good: bool) -> None:
    claims = msgspec.structs.replace(CLAIMS, terminal_ids=tuple(named))
    if good:
        check_terminals(claims, allowed)
        return
    with pytest.raises(AssertionRefused) as caught:
        check_terminals(claims, allowed)
    assert caught.value.reason is Reason.TERMINALS


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda each: each.decode("latin-1")))
def test_no_text_does_anything_but_be_refused(text: str) -> None:
    refused(text)


@given(st.integers(min_value=0, max_value=LONGEST), st.sampled_from(["", ".", "A", "=", "é", "\0"]))
def test_a_token_that_was_changed_anywhere_is_refused(place: int, put: str) -> None:
    token = _whole()
    place %= len(token)
    changed = token[:place] + put + token[place + 1 :]
    if changed != token and not _only_the_last_bits_differ(token, changed):
        refused(changed)


@functools.cache
def _whole() -> str:
    return make_assertion(CLAIMS, key("app"), server())


def _only_the_last_bits_differ(token: str, changed: str) -> bool:
    """Base 64 has bits at the end of each part that stand for nothing."""

    def octets(text: str) -> list[bytes]:
        parts = text.split(".")
        return [base64.urlsafe_b64decode(each + "=" * (-len(each) % 4)) for each in parts]

    try:
        return octets(token) == octets(changed)
    except ValueError:
        return False


def test_no_refusal_says_what_was_in_it() -> None:
    secret = "till-secret-0815"
    members = json.loads(msgspec.json.encode(CLAIMS)) | {"exp": secret, "jti": secret}
    with pytest.raises(AssertionRefused) as caught:
        read(sealed(signed(json.dumps(members).encode())))
    assert secret not in str(caught.value)


def test_a_public_key_cannot_sign() -> None:
    public = RSAKey.import_key(key("app").as_pem(private=False))
    with pytest.raises(LocalProtocolError):
        make_assertion(CLAIMS, public, server())
