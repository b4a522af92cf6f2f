"""How a register is linked with a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.smartconnect.wire.texts import VISA, names, registrations
from tillwire.dialects.smartconnect.wire import pairing
from tillwire.dialects.smartconnect.wire.pairing import PairingRequest, Registration
from tillwire.errors import InvalidRequest, LocalProtocolError, RemoteProtocolError

US = Registration("shop7-till2", "Harbour Books", "TillCo")


def test_the_form_has_the_order_that_clients_pin() -> None:
    assert pairing.write(PairingRequest(registration=US, register_name="Till 2")) == (
        b"POSRegisterID=shop7-till2&POSRegisterName=Till+2"
        b"&POSBusinessName=Harbour+Books&POSVendorName=TillCo"
    )
    assert pairing.write(PairingRequest(registration=US)) == (
        b"POSRegisterID=shop7-till2&POSBusinessName=Harbour+Books&POSVendorName=TillCo"
    )


def test_what_a_shop_says_of_itself_is_read_with_the_blank_in_contact_name() -> None:
    request = pairing.read(
        b"POSVendorName=TillCo&POSBusinessName=Harbour%20Books&POSRegisterName=2"
        b"&POSRegisterID=shop7-till2&Contact+Name=Ana&Address=3+Quay+St&City=Nelson&State=NSN"
        b"&ZipCode=7010&Email=a%40b.nz&Phone=%2B64+3&More=1"
    )
    assert request == PairingRequest(
        registration=US, register_name="2", contact_name="Ana", address="3 Quay St",
        city="Nelson", state="NSN", zip_code="7010", email="a@b.nz", phone="+64 3",
    )  # fmt: skip


@pytest.mark.parametrize(
    "missing", ["POSRegisterID", "POSRegisterName", "POSBusinessName", "POSVendorName"]
)
def test_a_missing_field_is_named(missing: str) -> None:
    form = pairing.write(PairingRequest(registration=US, register_name="2"))
    kept = b"&".join(each for each in form.split(b"&") if not each.startswith(missing.encode()))
    for octets in (kept, kept + f"&{missing}=".encode()):
        with pytest.raises(InvalidRequest) as raised:
            pairing.read(octets)
        assert raised.value.field == missing


def test_a_register_without_a_name_is_taken_where_that_is_allowed() -> None:
    form = pairing.write(PairingRequest(registration=US))
    assert pairing.read(form, lenient_name=True).registration == US


@given(
    st.builds(
        PairingRequest,
        registration=registrations(),
        register_name=names(),
        contact_name=names(least=0),
        address=names(least=0),
        city=names(least=0),
        email=names(least=0),
        phone=names(least=0),
    )
)
def test_what_is_written_is_read(request: PairingRequest) -> None:
    assert pairing.read(pairing.write(request)) == request


@given(st.binary(max_size=200))
def test_garbage_is_refused(octets: bytes) -> None:
    with pytest.raises(InvalidRequest):
        pairing.read(octets)


@pytest.mark.parametrize(
    ("code", "path"),
    [("12345678", "/Pairing/12345678"), ("a/b?c", "/Pairing/a%2Fb%3Fc"), ("..a", "/Pairing/..a")],
)
def test_a_code_is_opaque_and_percent_encoded(code: str, path: str) -> None:
    assert pairing.path(code) == path


@pytest.mark.parametrize("code", ["", " ", "1 2", "é", "x" * 65, "..", ".", "1\n"])
def test_what_cannot_be_a_code_is_refused(code: str) -> None:
    with pytest.raises(InvalidRequest):
        pairing.path(code)


# --- answers ------------------------------------------------------------------------------------


def test_success_is_what_the_vendor_writes() -> None:
    assert pairing.SUCCESS == b'{"result":"success"}'
    pairing.check_success(pairing.SUCCESS)
    pairing.check_success(b'{"result":"Success","more":1}')


@pytest.mark.parametrize(
    "body", [b"", b"ok", b"[]", b"null", b"{}", b'{"result":1}', b'{"result":"failed"}', b"\xff",
             b"[" * 100_000],
)  # fmt: skip
def test_any_other_answer_is_none(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        pairing.check_success(body)


def test_a_refusal_says_why() -> None:
    body = pairing.write_error("device is busy")
    assert body == b'{"error":"device is busy"}'
    assert pairing.read_error(body) == "device is busy"
    with pytest.raises(LocalProtocolError):
        pairing.write_error("")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", ""),
        (b"<html>Not found</html>", ""),
        (b"null", ""),
        (b'["error"]', ""),
        (b'{"error":{"a":1}}', ""),
        (b"\xff\xfe", ""),
        (b"[" * 100_000, ""),
        (b'{"error":"a\\n  b"}', "a b"),
        (b'{"error":"' + b"x" * 1000 + b'"}', "x" * 300),
        (f'{{"error":"card {VISA} refused"}}'.encode(), "card ************1111 refused"),
    ],
)
def test_a_body_without_a_reason_is_survived(body: bytes, words: str) -> None:
    assert pairing.read_error(body) == words
