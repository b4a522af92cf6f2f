"""Our names become the cloud's, and those of transactions come back."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwire.dialects.paymentbridge.wire import ids

NUMBERS = st.integers(0, 10**31 - 1)


@given(NUMBERS)
def test_a_transaction_s_uuid_leads_back_to_it(number: int) -> None:
    uuid = ids.transaction_uuid(f"{number:031d}")
    assert UUID(uuid).version == 8
    assert UUID(uuid).variant == "specified in RFC 4122"
    assert ids.transaction_of(uuid) == ids.transaction_of(uuid.upper()) == f"{number:031d}"


@given(NUMBERS, NUMBERS)
def test_uuids_sort_as_transactions_do(one: int, other: int) -> None:
    names = [ids.transaction_uuid(f"{each:031d}") for each in (one, other)]
    assert (names[0] < names[1]) == (one < other)


@given(st.uuids())
def test_no_uuid_of_another_origin_is_a_transaction(uuid: UUID) -> None:
    found = ids.transaction_of(str(uuid))
    assert found is None or ids.transaction_uuid(found) == str(uuid)


@given(NUMBERS, st.integers(0, 127))
def test_each_transaction_has_one_uuid(number: int, bit: int) -> None:
    ours = ids.transaction_uuid(f"{number:031d}")
    found = ids.transaction_of(str(UUID(int=UUID(ours).int ^ 1 << bit)))
    assert found is None or ids.transaction_uuid(found) != ours


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "ffffffff-ffff-8fff-bfff-fffffffffff8",
        "ffffffff-ffff-8fff-bfff-fffffff80000",  # more than 31 digits
        "2cc4fbe2-db84-49cb-a1fb-8fd8e3880000",
        "2cc4fbe2-db84-89cb-61fb-8fd8e3880000",
        "2cc4fbe2db8489cba1fb8fd8e3880000",
        "{2cc4fbe2-db84-89cb-a1fb-8fd8e3880000}",
        "2cc4fbe2-db84-89cb-a1fb-8fd8e3880000\n",
    ],
)
def test_what_is_no_uuid_of_ours_is_no_transaction(text: str) -> None:
    assert ids.transaction_of(text) is None


def test_names_are_what_they_were() -> None:
    """They stand in callers' databases: whoever changes them breaks these."""
    assert ids.transaction_uuid("1773501362118" + "7" * 18) == (
        "2cc4fbe2-db84-89cb-a1fb-8fd8e3880000"
    )
    assert ids.business_id("m-1") == "e7005129-6de9-5474-a266-f137b58892e3"
    assert ids.device_id("t-1", 1) == ("urn:tid:ead90a20-1b0c-50e3-98e1-de751a78c26b")
    assert ids.tid_record_id("t-1") == "26c7f2ae-3f74-50ed-9479-ddda646fa78a"


@given(st.text(max_size=8), st.integers(1, 99), st.text(max_size=8), st.integers(1, 99))
def test_no_two_devices_share_a_name(a: str, m: int, b: str, n: int) -> None:
    assert (ids.device_id(a, m) == ids.device_id(b, n)) == ((a, m) == (b, n))


APP = "urn:aid:5b4e9993-c815-4070-9859-35f48e492b4f"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (APP, APP),
        (APP.replace("5b4e", "5B4E"), APP),
        ("5b4e9993-c815-4070-9859-35f48e492b4f=" + APP, APP),
        (APP.removeprefix("urn:aid:"), None),
        (APP + " ", None),
        (APP.replace("aid", "tid"), None),
        ("", None),
    ],
)
def test_an_application_is_read_as_the_portal_hands_it_out(text: str, found: str | None) -> None:
    assert ids.application_id(text) == found
