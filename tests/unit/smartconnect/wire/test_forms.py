"""Forms: read within limits, written in their order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.smartconnect.wire.texts import VISA
from tillwire.dialects.smartconnect.wire import forms
from tillwire.errors import InvalidRequest


@pytest.mark.parametrize(
    ("octets", "charset", "value"),
    [
        (b"Name=Harbour+Books", "utf-8", "Harbour Books"),
        (b"Name=Harbour%20Books", "UTF-8", "Harbour Books"),
        (b"Name=1%2B1", "", "1+1"),
        (b"Name=Caf%C3%A9", '"utf-8"', "Café"),
        (b"Name=Caf%E9", "ISO-8859-1", "Café"),
        (b"Name=Caf%E9", "windows-1252", "Café"),
        (b"Name=a%26b%3Dc", "us-ascii", "a&b=c"),
        (b"Name=a=b", "utf-8", "a=b"),
    ],
)
def test_texts_are_read_as_clients_encode_them(octets: bytes, charset: str, value: str) -> None:
    assert forms.read(octets, charset) == {"Name": value}


def test_a_field_that_is_empty_counts_as_absent() -> None:
    assert forms.read(b"TransactionMode=&POSRegisterID=r&x") == {"POSRegisterID": "r"}
    assert forms.read(b"") == {}


@pytest.mark.parametrize(
    ("octets", "charset", "field"),
    [
        (b"AmountTotal=1&AmountTotal=2", "utf-8", "AmountTotal"),
        (b"AmountTotal=1&AmountTotal=1", "utf-8", "AmountTotal"),
        (b"a=%ff", "utf-8", "body"),
        (b"a=\xff", "utf-8", "body"),
        (b"a=%C3%A9", "us-ascii", "body"),
        (b"&".join(b"f%d=1" % n for n in range(65)), "utf-8", "body"),
        (b"a=" + b"x" * forms.LARGEST, "utf-8", "body"),
        (b"a=1", "utf-16", "Content-Type"),
        (b"a=1", "rot13", "Content-Type"),
        (b"a=1", "no such one", "Content-Type"),
        (b"a=1", "\x00", "Content-Type"),
    ],
)
def test_what_is_no_form_is_refused_by_name(octets: bytes, charset: str, field: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        forms.read(octets, charset)
    assert raised.value.field == field


def test_a_card_number_as_a_field_s_name_is_not_repeated() -> None:
    with pytest.raises(InvalidRequest) as raised:
        forms.read(f"{VISA}=1&{VISA}=2".encode())
    assert VISA not in str(raised.value)


@given(st.binary(max_size=300), st.text(max_size=12))
def test_garbage_is_read_or_refused(octets: bytes, charset: str) -> None:
    try:
        fields = forms.read(octets, charset)
    except InvalidRequest:
        return
    assert all(fields.values())


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
                       st.text(st.characters(codec="utf-8"), min_size=1, max_size=60),
                       max_size=10))  # fmt: skip
def test_what_is_written_is_read(fields: dict[str, str]) -> None:
    assert forms.read(forms.write(fields.items())) == fields


@pytest.mark.parametrize(
    ("value", "longest"),
    [("", 256), ("x" * 257, 256), ("a\x00b", 256), ("a\nb", 256), ("a\x85b", 256), (VISA, 256),
     (f"sale {VISA[:4]} {VISA[4:8]} {VISA[8:12]} {VISA[12:]}", 256), ("abc", 2)],
)  # fmt: skip
def test_what_cannot_name_anything_is_refused(value: str, longest: int) -> None:
    with pytest.raises(InvalidRequest) as raised:
        forms.named({"POSRegisterID": value}, "POSRegisterID", longest=longest)
    assert raised.value.field == "POSRegisterID"
    assert not value or value not in str(raised.value)


@pytest.mark.parametrize(
    "value", ["00:1B:44:11:3A:B7", "db/2c1f7a52-9d41-4e0e-8a55-0b6c1f3f9a10", "Tāmaki 株式会社",
              "a\u00a0b", "1234567890123456"],
)  # fmt: skip
def test_any_other_text_names_something(value: str) -> None:
    assert forms.named({"POSRegisterID": value}, "POSRegisterID") == value
