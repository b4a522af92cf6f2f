"""Our names become the cloud's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwire.dialects.paymentbridge.wire import ids


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
