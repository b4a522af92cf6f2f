"""Applications: their keys are of RSA and long enough, and nothing kept opens anything."""

from __future__ import annotations

import datetime
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from cryptography.x509.oid import NameOID

from tests.unit.estate.test_estate_plan import Books, declared, store
from tillwire.clock import Instant, SystemClock
from tillwire.core.estate import Estate
from tillwire.core.estate_model import Application, Hook
from tillwire.errors import Conflict, InvalidRequest, NotFound
from tillwire.estate.applications import (
    CLOUD_MESSAGES,
    check_new,
    fingerprint,
    new_application,
    new_key_pair,
    read_application_id,
    read_public_key,
    revoked,
)

UUID = "5b4e9993-c815-4070-9859-35f48e492b4f"
ID = f"urn:aid:{UUID}"
CLOCK = SystemClock()


@cache
def private(bits: int) -> rsa.RSAPrivateKey:
    """A key pair of so many bits, made once."""
    return rsa.generate_private_key(65537, bits)


def public(key: Any, form: PublicFormat = PublicFormat.SubjectPublicKeyInfo) -> bytes:
    octets: bytes = key.public_key().public_bytes(Encoding.PEM, form)
    return octets


def certificate(key: Any) -> bytes:
    """A certificate that expired long ago: only its key counts."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "till")])
    begin = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
    made = x509.CertificateBuilder(
        name, name, key.public_key(), 1, begin, begin + datetime.timedelta(days=1)
    )
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def application(**changes: Any) -> Application:
    usual: dict[str, Any] = {"application_id": ID}
    key = public(private(2048))
    return new_application("shop", "Till software", key, CLOCK, **{**usual, **changes})


# --- keys -----------------------------------------------------------------------------------


def test_one_key_is_kept_in_one_form_however_it_came() -> None:
    key = private(2048)
    kept = read_public_key(public(key))
    assert kept.startswith("-----BEGIN PUBLIC KEY-----\n")
    assert read_public_key(public(key, PublicFormat.PKCS1)) == kept
    assert read_public_key(certificate(key)) == kept
    assert read_public_key(b"Key of the till\n" + public(key).replace(b"\n", b"\r\n")) == kept


def test_a_key_that_is_not_of_rsa_or_too_short_is_refused() -> None:
    for key, problem in (
        (private(1024), "it has 1024 bits"),
        (ec.generate_private_key(ec.SECP256R1()), "it is not of RSA"),
        (ed25519.Ed25519PrivateKey.generate(), "it is not of RSA"),
    ):
        with pytest.raises(InvalidRequest) as refusal:
            read_public_key(public(key))
        assert (refusal.value.field, refusal.value.problem) == ("public_key", problem)
        assert "RSA public key of 2048" in refusal.value.allowed
    with pytest.raises(InvalidRequest, match="1024 bits"):
        read_public_key(certificate(private(1024)))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"secret",
        b"\x00\xff",
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----",
    ],
)
def test_what_is_no_key_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidRequest, match="it cannot be read"):
        read_public_key(text)


def test_a_private_key_is_not_taken() -> None:
    secret, _ = new_key_pair()
    with pytest.raises(InvalidRequest, match="stays with the application"):
        read_public_key(secret)


def test_a_pair_that_we_make_signs_what_the_kept_key_checks() -> None:
    secret, told = new_key_pair()
    key = load_pem_private_key(secret, None)
    kept = load_pem_public_key(read_public_key(told).encode())
    assert isinstance(key, rsa.RSAPrivateKey)
    assert isinstance(kept, rsa.RSAPublicKey)
    signature = key.sign(b"who I am", padding.PKCS1v15(), hashes.SHA256())
    kept.verify(signature, b"who I am", padding.PKCS1v15(), hashes.SHA256())


def test_a_fingerprint_tells_keys_apart() -> None:
    other = new_application("shop", "Other", public(private(3072)), CLOCK)
    assert len(fingerprint(other)) == 64
    assert fingerprint(other) != fingerprint(application())


# --- ids, names, permissions ----------------------------------------------------------------


@pytest.mark.parametrize("text", [ID, f"{UUID}={ID}", ID.upper(), f" {ID}\n"])
def test_an_id_is_read_as_portals_hand_it_out(text: str) -> None:
    assert read_application_id(text) == ID


@pytest.mark.parametrize("text", [UUID, "", "urn:aid:", f"urn:tid:{UUID}", f"{ID}0", f"{ID}=x"])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read_application_id(text)
    assert refusal.value.field == "id"


def test_an_id_is_made_where_there_is_none() -> None:
    made = {application(application_id="").id for _ in range(20)}
    assert len(made) == 20
    assert all(read_application_id(each) == each for each in made)


def test_an_application_may_send_payments_unless_it_is_told_otherwise() -> None:
    assert application().permissions == (CLOUD_MESSAGES,)
    assert application(permissions=()).permissions == ()
    with pytest.raises(InvalidRequest, match="no permission 'cloud-messages'") as refusal:
        application(permissions=["cloud-messages"])
    assert refusal.value.allowed == CLOUD_MESSAGES


@pytest.mark.parametrize("name", ["", "\x1b[31m", "x" * 101])
def test_a_name_is_something_that_people_can_read(name: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        new_application("shop", name, public(private(2048)), CLOCK)
    assert refusal.value.field == "name"


# --- once, and for good ---------------------------------------------------------------------


def estate_with(*applications: Application, hooks: tuple[Hook, ...] = ()) -> Estate:
    return Estate(applications=applications, hooks=hooks)


def test_an_id_is_given_once_in_whatever_organisation() -> None:
    with pytest.raises(Conflict, match=ID):
        check_new(estate_with(application()), application())
    gone, _ = revoked(estate_with(application()), ID, Instant(5))
    with pytest.raises(Conflict, match=ID):
        check_new(estate_with(gone), application())
    check_new(estate_with(gone), application(application_id=""))


def test_who_is_revoked_is_told_nothing_any_more() -> None:
    books = Books()
    books.apply(declared(store()))
    (merchant,) = books.estate.merchants
    other = application(application_id="")

    def hook(owner: Application, name: str) -> Hook:
        return Hook(
            id=name,
            organisation_id="shop",
            application_id=owner.id,
            merchant_id=merchant,
            dialect="paymentbridge",
            address="https://till.example/hook",
            sealed_secret="",
            events=("TRANSACTION_CAPTURED",),
            active=True,
            created_at=Instant(1),
            updated_at=Instant(1),
        )

    mine, theirs = hook(application(), "mine"), hook(other, "theirs")
    estate = estate_with(application(), other, hooks=(mine, theirs))
    gone, hooks = revoked(estate, f"{UUID}={ID}", Instant(5))
    assert gone.revoked_at == 5
    assert [(each.id, each.active, each.removed_at) for each in hooks] == [("mine", False, 5)]


def test_what_is_not_there_or_revoked_already_is_said() -> None:
    with pytest.raises(NotFound, match=ID):
        revoked(estate_with(), ID, Instant(5))
    gone, _ = revoked(estate_with(application()), ID, Instant(5))
    with pytest.raises(Conflict, match="revoked already"):
        revoked(estate_with(gone), ID, Instant(6))
