"""Transactions' ids as UUIDs, and back."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwire import uuids

NUMBERS = st.integers(0, 10**31 - 1)


@given(NUMBERS)
def test_a_transaction_s_uuid_leads_back_to_it(number: int) -> None:
    uuid = uuids.transaction_uuid(f"{number:031d}")
    assert UUID(uuid).version == 8
    assert UUID(uuid).variant == "specified in RFC 4122"
    assert uuids.transaction_of(uuid) == uuids.transaction_of(uuid.upper()) == f"{number:031d}"


@given(NUMBERS, NUMBERS)
def test_uuids_sort_as_transactions_do(one: int, other: int) -> None:
    names = [uuids.transaction_uuid(f"{each:031d}") for each in (one, other)]
    assert (names[0] < names[1]) == (one < other)


@given(st.uuids())
def test_no_uuid_of_another_origin_is_a_transaction(uuid: UUID) -> None:
    found = uuids.transaction_of(str(uuid))
    assert found is None or uuids.transaction_uuid(found) == str(uuid)


@given(NUMBERS, st.integers(0, 127))
def test_each_transaction_has_one_uuid(number: int, bit: int) -> None:
    ours = uuids.transaction_uuid(f"{number:031d}")
    found = uuids.transaction_of(str(UUID(int=UUID(ours).int ^ 1 << bit)))
    assert found is None or uuids.transaction_uuid(found) != ours


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
    assert uuids.transaction_of(text) is None


def test_a_uuid_is_what_it_was() -> None:
    """It stands in callers' databases: whoever changes it breaks these."""
    assert uuids.transaction_uuid("1773501362118" + "7" * 18) == (
        "2cc4fbe2-db84-89cb-a1fb-8fd8e3880000"
    )


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("2cc4fbe2-db84-89cb-a1fb-8fd8e3880000", True),
        ("2CC4FBE2-DB84-89CB-A1FB-8FD8E3880000", True),
        ("00000000-0000-0000-0000-000000000000", True),
        ("2cc4fbe2db8489cba1fb8fd8e3880000", False),
        ("2cc4fbe2-db84-89cb-a1fb-8fd8e388000g", False),
        ("", False),
    ],
)
def test_a_uuid_is_told_by_its_form(text: str, *, is_one: bool) -> None:
    assert uuids.is_uuid(text) is is_one
