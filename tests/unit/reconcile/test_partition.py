"""Every row of every side lands in exactly one result, whatever the sides are."""

from __future__ import annotations

from collections import Counter

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.reconcile.books import WINDOW, row, sides
from tillwire.reconcile.match import ACQUIRER, GATEWAY, TILL
from tillwire.reconcile.results import Kind
from tillwire.reconcile.run import reconcile
from tillwire.reconcile.sources import Row


def _rows(*, ours: bool) -> st.SearchStrategy[list[Row]]:
    """Rows that share keys, lack them, and repeat each other; ours have ids, each its own."""
    made = st.builds(
        lambda number, **changes: row(number, **changes),
        st.integers(1, 4),
        transaction_id=st.sampled_from(["", *(row(n).transaction_id for n in range(1, 5))]),
        reference=st.sampled_from(["", "sale-1", "sale-2", "4111111111111111"]),
        acquirer_reference=st.sampled_from(["", "rrn-1", "rrn-2"]),
        stan=st.sampled_from(["", "000001"]),
        type=st.sampled_from(["PURCHASE", "REFUND", "REVERSAL", "PREAUTH"]),
        status=st.sampled_from(["APPROVED", "DECLINED", "UNKNOWN", "REVERSED"]),
        amount=st.sampled_from(["1.00", "2.00"]),
        at=st.sampled_from(["2026-03-14T10:00:00Z", "2026-03-13T10:00:00Z"]),
        original_id=st.sampled_from(["", row(1).transaction_id]),
    )
    many = st.lists(made, max_size=6)
    if not ours:
        return many
    return many.map(
        lambda rows: [
            msgspec.structs.replace(each, transaction_id=row(number).transaction_id)
            for number, each in enumerate(rows, 1)
        ]
    )


@settings(max_examples=60, deadline=None)
@given(_rows(ours=True), _rows(ours=False), st.none() | _rows(ours=False))
def test_matching_is_a_partition(
    gateway: list[Row], acquirer: list[Row], till: list[Row] | None
) -> None:
    report = reconcile(sides(gateway, till, acquirer), WINDOW)
    told = {GATEWAY: gateway, ACQUIRER: acquirer} | ({} if till is None else {TILL: till})
    counted: Counter[str] = Counter()
    for group in report.groups:
        counted.update(group.rows)
    assert dict(counted) == {label: len(rows) for label, rows in told.items() if rows}
    seen: Counter[tuple[str, int]] = Counter(
        (label, each.row) for result in report.differences for label, each in result.seen.items()
    )
    assert all(count == 1 for count in seen.values()), "no row differs twice"
    differing = sum(
        count for kind, count in report.kinds.items() if kind not in (Kind.MATCHED, Kind.OUTSIDE)
    )
    assert differing == len(report.differences)


@settings(max_examples=15, deadline=None)
@given(_rows(ours=True))
def test_a_side_that_says_the_same_agrees(gateway: list[Row]) -> None:
    known = [each for each in gateway if each.status != "UNKNOWN"]
    assert reconcile(sides(known, known, known), WINDOW).agrees
