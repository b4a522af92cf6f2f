"""Which rows are the same sale where a key alone does not say it: numbers that begin anew each day,
sales at midnight, rows without the strongest key."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.unit.reconcile.books import (
    DAY,
    WINDOW,
    compared,
    found,
    kinds,
    row,
    small,
    with_file,
)
from tillwire.clock import Instant
from tillwire.reconcile.facts import Window
from tillwire.reconcile.match import ACQUIRER, GATEWAY
from tillwire.reconcile.results import Kind
from tillwire.reconcile.sides import Origin
from tillwire.reconcile.sources import Row

YESTERDAY, TODAY = "2026-03-13T10:00:00Z", "2026-03-14T10:00:00Z"
TOMORROW, LATER = "2026-03-15T10:00:00Z", "2026-03-17T10:00:00Z"


def theirs(number: int = 1, **changes: str) -> Row:
    """A row of a file that knows our references alone."""
    bare = {"transaction_id": "", "acquirer_reference": "", "stan": "", "authorisation_code": ""}
    return row(number, **{**bare, "reference": "17", **changes})


def ours(number: int, at: str, **changes: str) -> Row:
    """A sale of the day's number 17."""
    return row(number, reference="17", at=at, **changes)


def test_a_sale_of_yesterday_takes_no_row_of_today_under_the_same_number() -> None:
    both = [ours(1, YESTERDAY), ours(2, TODAY)]
    assert kinds(compared(both, None, [theirs(at=TODAY)])) == {"matched": 1, "outside": 1}
    (one,) = compared(both, None, [theirs(at=TODAY, amount="1.00")]).differences
    assert one.kinds == (Kind.AMOUNT_DIFFERS,)
    assert one.seen[GATEWAY].row == 2


def test_a_number_of_another_week_is_another_sale() -> None:
    sales = [ours(1, YESTERDAY), ours(2, TODAY), ours(3, TOMORROW)]
    settled = [theirs(at=YESTERDAY), theirs(at=TOMORROW), theirs(at=LATER)]
    report = compared(sales, None, settled)
    assert found(report) == [(Kind.MISSING_AT_ACQUIRER,)]
    assert report.differences[0].seen[GATEWAY].row == 2


def test_a_number_that_comes_once_is_the_same_sale_whenever_it_was_settled() -> None:
    assert compared([ours(1, TODAY)], None, [theirs(at=LATER)]).agrees
    assert found(compared([ours(1, TODAY)], None, [theirs(at=LATER, amount="1.00")])) == [
        (Kind.AMOUNT_DIFFERS,)
    ]


def test_what_comes_twice_is_told_of_the_row_that_is_nobodys() -> None:
    twice = [theirs(at="2026-03-14T23:00:00Z"), theirs(at=TODAY)]
    sale = ours(1, "2026-03-13T23:00:00Z")
    two_days = Window(Instant(DAY - 86_400_000), WINDOW.end)
    (extra,) = compared([sale], None, twice, window=two_days).differences
    assert (extra.kinds, extra.twin) == ((Kind.DUPLICATE,), Origin("acquirer.csv", 2))
    assert extra.seen[ACQUIRER].row == 1


def test_what_the_gateway_lacks_of_a_day_is_no_duplicate_of_yesterdays() -> None:
    two_days = Window(Instant(DAY - 86_400_000), WINDOW.end)
    both = [theirs(at=YESTERDAY), theirs(at=TODAY)]
    report = compared([ours(1, YESTERDAY)], None, both, window=two_days)
    assert found(report) == [(Kind.MISSING_AT_GATEWAY,)]
    named = [row(1, at=YESTERDAY), row(1, at=TODAY)]
    assert found(compared([row(1, at=YESTERDAY)], None, named, window=two_days)) == [
        (Kind.DUPLICATE,)
    ], "an id of ours is of one sale"


@pytest.mark.parametrize("till", [None, []])
def test_a_trace_is_the_same_over_midnight(till: list[Row] | None) -> None:
    sale = row(1, at="2026-03-14T23:59:59Z")
    trace = row(
        1, at="2026-03-15T00:00:01Z", transaction_id="", reference="", acquirer_reference=""
    )
    differ = [] if till is None else [(Kind.MISSING_AT_TILL,)]
    assert found(compared([sale], till, [trace])) == differ


def test_a_declined_sale_that_was_charged_under_a_weaker_key_is_named() -> None:
    declined = row(1, status="DECLINED")
    named, nameless = row(2), row(1, transaction_id="")
    assert found(compared([declined, row(2)], None, [named, nameless])) == [(Kind.STATUS_DIFFERS,)]
    assert found(compared([row(1, reference="")], [row(1, status="DECLINED")])) == [
        (Kind.STATUS_DIFFERS,)
    ]


def test_declined_sales_that_only_one_side_has_are_all_counted() -> None:
    declined = [row(number, status="DECLINED") for number in range(1, 6)]
    assert kinds(compared(declined[:2], None, declined[2:])) == {"matched": 5}


def test_terminals_are_told_apart_by_their_tids_where_they_have_no_names() -> None:
    rows = [row(1, terminal=""), row(2, terminal="", tid="30350002")]
    report = compared(rows, None, rows)
    assert [each.terminal for each in report.groups] == ["30350001", "30350002"]


def test_rows_that_lack_the_only_key_are_not_the_same(tmp_path: Path) -> None:
    octets = b"Ref,Amount,Date\n,12.50,2026-03-14T10:00:01Z\n"
    assert found(with_file([row(1, reference="")], small(tmp_path, octets))) == [
        (Kind.MISSING_AT_TILL,),
        (Kind.MISSING_AT_GATEWAY,),
    ]


@pytest.mark.parametrize("till", [None, [msgspec.structs.replace(row(2), reference="sale-1")]])
def test_a_sale_that_was_reversed_and_made_again_is_no_duplicate(till: list[Row] | None) -> None:
    first, again = row(1, status="REVERSED"), row(2, reference="sale-1")
    back = row(3, reference="sale-1", type="REVERSAL", original_id=first.transaction_id)
    bare = {"transaction_id": "", "original_id": "", "status": "APPROVED"}
    settled = [msgspec.structs.replace(each, **bare) for each in (again, back, first)]
    assert kinds(compared([first, again, back], till, settled)) == {"matched": 3}
    twice = [*settled, settled[0]]
    report = compared([first, again, back], till, twice)
    assert kinds(report) == {"matched": 3, "duplicate": 1}


def test_what_is_there_once_is_no_other_sales_of_the_same_id_too() -> None:
    declined = row(2, status="DECLINED")
    report = compared([row(1), row(1), declined, declined], None, [row(1), row(3), row(3)])
    assert kinds(report) == {
        "duplicate": 1,
        "missing_at_gateway": 1,
        "missing_at_acquirer": 1,
        "matched": 3,
    }
