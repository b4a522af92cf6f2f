"""Queries of transactions in both directions, and the way from page to page."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwire.dialects.paymentbridge.wire import filters
from tillwire.dialects.paymentbridge.wire.errors import CodedRequest
from tillwire.dialects.paymentbridge.wire.fields import moment, seconds, stamp
from tillwire.dialects.paymentbridge.wire.filters import TransactionFilter
from tillwire.dialects.paymentbridge.wire.objects import next_page


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", {}),
        ("startAt=2023-07-03T09:18:03Z", {"start_at": 1_688_375_883_000}),
        ("startAt=2023-07-03T09:18:03.25Z", {"start_at": 1_688_375_883_250}),
        ("startAt=2023-07-03T11:18:03%2B02:00", {"start_at": 1_688_375_883_000}),
        ("startAt=2023-07-03T11:18:03+0200", {"start_at": 1_688_375_883_000}),
        ("startAt=1688375883", {"start_at": 1_688_375_883_000}),  # Python SDK
        ("startAt=1788-01-01T00:00:00Z", {"start_at": 0}),  # nobody has paid before 1970
        ("endAt=9999-12-31T23:59:59.999Z", {"end_at": 253_402_300_799_999}),
        ("endAt=1688375883000", {"end_at": 1_688_375_883_000}),
        ("startOffset=20&limit=100", {"start_offset": 20, "limit": 100}),
        ("timeType=updatedAt", {"time_type": "updatedAt"}),
        ("storeId=s&deviceId=urn:tid:x", {"store_id": "s", "device_id": "urn:tid:x"}),
        ("searchKey=a%20b", {"search_key": "a b"}),
        ("action=sale&status=captured", {"action": "SALE", "status": "CAPTURED"}),
        ("transactionIds=a,b%2Cc", {"transaction_ids": ("a", "b", "c")}),
        ("authOnly=True&unsettledOnly=true", {"auth_only": True, "unsettled_only": True}),
        ("creditDebitOnly=TRUE&authOnly=False", {"credit_debit_only": True}),
        ("cardNumberFirst6=411111&cardNumberLast4=1111",
         {"card_first6": "411111", "card_last4": "1111"}),
        ("cardExpirationMonth=1", {"unanswerable": True}),
        ("cardExpirationYear=30", {"unanswerable": True}),
        ("cardHolderFirstName=Ada", {"unanswerable": True}),
        ("cardHolderLastName=L", {"unanswerable": True}),
        ("surprise=1&startAt=&limit=", {}),
    ],
)  # fmt: skip
def test_every_parameter_is_read(query: str, wanted: dict[str, Any]) -> None:
    assert filters.read(query) == TransactionFilter(**wanted)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        *((f"limit={text}", "limit") for text in ("0", "101", "-1", "x", "1.5", "٣", "9" * 30)),
        *((f"startOffset={text}", "startOffset") for text in ("-1", "x", "1000001")),
        *((f"startAt={text}", "startAt") for text in
          ("yesterday", "2023-07-03", "2023-07-03T09:18:03", "2023-13-03T09:18:03Z", "-5",
           "Mon, 03 Jul 2023 09:18:03 GMT", "9" * 15, "9" * 16, "0000-01-01T00:00:00Z",
           "2023-07-03T09:18:03%2B99:99")),
        ("endAt=x", "endAt"),
        ("timeType=never", "timeType"),
        ("authOnly=1", "authOnly"),
        ("storeId=" + "x" * 257, "storeId"),
        ("transactionIds=" + ",".join(["a"] * 101), "transactionIds"),
        ("transactionIds=" + "x" * 257, "transactionIds"),
        ("searchKey=%ff", "query"),
        ("x=1&" * 100, "query"),
        ("x" * 9_000, "query"),
    ],
)  # fmt: skip
def test_a_parameter_that_is_wrong_is_named(query: str, field: str) -> None:
    with pytest.raises(CodedRequest) as raised:
        filters.read(query)
    assert (raised.value.code, raised.value.field) == ("INVALID_PARAMETER", field)


@given(st.text(max_size=80) | st.dictionaries(
    st.sampled_from(["startAt", "limit", "authOnly", "transactionIds", "startOffset"]),
    st.text(max_size=20),
).map(lambda given: "&".join(f"{key}={value}" for key, value in given.items())))  # fmt: skip
def test_any_query_is_read_or_refused(query: str) -> None:
    try:
        wanted = filters.read(query)
    except CodedRequest:
        return
    assert 1 <= wanted.limit <= 100


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=20)
MOMENT = st.none() | st.integers(0, 253_402_300_799_999)
WANTED = st.builds(
    TransactionFilter,
    start_at=MOMENT,
    end_at=MOMENT,
    start_offset=st.integers(0, 999_900),
    limit=st.integers(1, 100),
    time_type=st.sampled_from(["createdAt", "updatedAt"]),
    store_id=TEXT,
    device_id=TEXT,
    search_key=TEXT,
    action=st.sampled_from(["", "SALE", "REFUND"]),
    status=st.sampled_from(["", "CAPTURED"]),
    transaction_ids=st.lists(st.uuids().map(str), max_size=3).map(tuple),
    auth_only=st.booleans(),
    unsettled_only=st.booleans(),
    credit_debit_only=st.booleans(),
    card_first6=st.sampled_from(["", "411111"]),
    card_last4=st.sampled_from(["", "1111"]),
)


@given(WANTED)
def test_what_is_written_is_read(wanted: TransactionFilter) -> None:
    assert filters.read(filters.write(wanted)) == wanted


@given(WANTED, st.booleans())
def test_the_next_page_begins_where_this_one_ends(wanted: TransactionFilter, more: bool) -> None:
    links = filters.links("/businesses/b/transactions", wanted, more=more)
    href = next_page(links)
    assert (href is not None) is more
    if href is not None:
        assert href.startswith("/businesses/b/transactions?")
        following = filters.read(urlsplit(href).query)
        assert following.start_offset == wanted.start_offset + wanted.limit
        assert (following.limit, following.start_at) == (wanted.limit, wanted.start_at)


def test_pages_end() -> None:
    last = TransactionFilter(start_offset=filters.LARGEST_OFFSET)
    assert filters.links("/x", last, more=True) == ()


# --- moments ----------------------------------------------------------------------------------


@given(st.integers(0, 253_402_300_799))
def test_a_moment_comes_back(second: int) -> None:
    assert moment(stamp(second * 1_000)) == second * 1_000
    assert moment(stamp(second * 1_000 + 999)) == second * 1_000


@given(st.text(max_size=30))
def test_any_text_is_a_moment_or_none(text: str) -> None:
    assert moment(text) is None


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+05:00"])
def test_a_moment_that_no_calendar_has_in_utc_is_none(text: str) -> None:
    assert moment(text) is None


def test_the_cloud_writes_moments_in_utc() -> None:
    assert stamp(1_688_375_883_999) == "2023-07-03T09:18:03Z"
    assert moment(None) is None


@given(st.integers(1, 10**11))
def test_milliseconds_are_taken_for_what_they_are(second: int) -> None:
    assert seconds(second) == second
    if second > 10**8:
        assert seconds(second * 1_000) == second
