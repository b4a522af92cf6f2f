"""Every result that a comparison can have, and what is no difference."""

from __future__ import annotations

import msgspec
import pytest

from tests.unit.reconcile.books import DAY, WINDOW, all_of, compared, found, kinds, row, sides
from tillwire.clock import Instant
from tillwire.core.model import Evidence, Verdict
from tillwire.errors import InvalidRequest
from tillwire.reconcile import reports
from tillwire.reconcile.facts import Window
from tillwire.reconcile.match import ACQUIRER, GATEWAY, TILL
from tillwire.reconcile.results import Kind
from tillwire.reconcile.run import Resolution, reconcile


def test_what_all_books_have_is_matched() -> None:
    rows = [row(1), row(2, status="DECLINED"), row(3, type="REFUND", amount="3.00")]
    report = compared(rows, rows, rows)
    assert kinds(report) == {"matched": 3}
    (group,) = report.groups
    assert (group.store, group.terminal, group.currency) == ("Corner", "ACME-P2-PL1", "EUR")
    assert group.flow == dict.fromkeys((GATEWAY, TILL, ACQUIRER), 950), "a refund is taken off"
    assert group.rows == dict.fromkeys((GATEWAY, TILL, ACQUIRER), 3)
    assert report.agrees


@pytest.mark.parametrize(
    ("gateway", "till", "acquirer", "kind"),
    [
        ([row()], [], [row()], Kind.MISSING_AT_TILL),
        ([], [row()], [row()], Kind.MISSING_AT_GATEWAY),
        ([row()], [row()], [], Kind.MISSING_AT_ACQUIRER),
        ([row()], [row(amount="12.51")], [row()], Kind.AMOUNT_DIFFERS),
        ([row()], [row()], [row(currency="CHF")], Kind.AMOUNT_DIFFERS),
        ([row()], [row(type="REFUND")], [row()], Kind.AMOUNT_DIFFERS),
        ([row()], [row(status="DECLINED")], [row()], Kind.STATUS_DIFFERS),
        ([row(status="FAILED")], [row(status="FAILED")], [row()], Kind.STATUS_DIFFERS),
        ([row(status="UNKNOWN")], [row()], [row()], Kind.STATUS_DIFFERS),
        ([row(status="UNKNOWN")], [row(status="UNKNOWN")], [], Kind.MISSING_AT_ACQUIRER),
        ([row()], [row(), row()], [row()], Kind.DUPLICATE),
        ([row()], [row()], [row(), row()], Kind.DUPLICATE),
    ],
)
def test_each_difference_has_its_name(
    gateway: list, till: list, acquirer: list, kind: Kind
) -> None:
    report = compared(gateway, till, acquirer)
    assert found(report) == [(kind,)]
    assert kinds(report)[kind.value] == 1


def test_one_transaction_may_differ_in_several_ways() -> None:
    report = compared([row()], [], [row(amount="1.00")])
    assert found(report) == [(Kind.MISSING_AT_TILL, Kind.AMOUNT_DIFFERS)]
    report = compared([], [row()], [])
    assert found(report) == [(Kind.MISSING_AT_GATEWAY, Kind.MISSING_AT_ACQUIRER)]


@pytest.mark.parametrize("status", ["DECLINED", "CANCELLED", "FAILED"])
def test_what_moved_no_money_needs_no_counterpart(status: str) -> None:
    assert compared([row(status=status)], [], []).agrees
    assert compared([], [row(status=status)], []).agrees
    assert compared([row(status=status)], [row(status="DECLINED", amount="99.00")], []).agrees


def test_a_reservation_is_in_no_settlement_file_and_its_capture_is() -> None:
    held = row(1, type="PREAUTH")
    captured = row(2, type="CAPTURE", original_id=held.transaction_id)
    assert compared([held, captured], None, [row(2)]).agrees
    assert found(compared([held, captured], None, [])) == [(Kind.MISSING_AT_ACQUIRER,)]


def test_a_sale_and_its_reversal_may_be_missing_together_and_not_one_alone() -> None:
    sale = row(1, status="REVERSED")
    reversal = row(2, type="REVERSAL", original_id=sale.transaction_id)
    both = [sale, reversal]
    assert compared(both, None, []).agrees, "taken out before they were settled"
    assert compared(both, None, [sale]).agrees, "marked as reversed"
    assert compared(both, None, [row(1), row(2, type="REFUND")]).agrees, "two movements"
    assert found(compared(both, None, [row(1)])) == [
        (Kind.STATUS_DIFFERS,),
        (Kind.MISSING_AT_ACQUIRER,),
    ]
    assert found(compared(both, None, [reversal])) == [(Kind.MISSING_AT_ACQUIRER,)]


def test_another_try_under_the_same_reference_is_not_the_same_sale() -> None:
    first, second = row(1, status="DECLINED"), row(2, reference="sale-1")
    till = [row(2, reference="sale-1", transaction_id="", acquirer_reference="", stan="")]
    assert compared([first, second], till).agrees


def test_a_charge_that_the_till_knows_once_and_the_gateway_twice_is_missing_at_the_till() -> None:
    twice = [row(1), row(2, reference="sale-1")]
    once = [row(1, transaction_id="", acquirer_reference="", stan="")]
    assert found(compared(twice, once)) == [(Kind.MISSING_AT_TILL,)]


@pytest.mark.parametrize(
    "known",
    [
        {"transaction_id": "", "acquirer_reference": "", "stan": ""},
        {"transaction_id": "", "reference": "", "stan": ""},
        {"transaction_id": "", "reference": "", "acquirer_reference": "", "stan": "1"},
        {"transaction_id": "its-own-id", "reference": "sale-1"},
    ],
    ids=["reference", "acquirer_reference", "trace", "not an id of ours"],
)
def test_a_row_is_known_by_the_strongest_key_that_it_has(known: dict[str, str]) -> None:
    assert kinds(compared([row(1)], None, [row(1, **known)])) == {"matched": 1}


def test_another_id_of_ours_is_another_transaction_whatever_else_is_the_same() -> None:
    other = row(1, transaction_id=row(2).transaction_id)
    assert found(compared([row(1)], None, [other])) == [
        (Kind.MISSING_AT_ACQUIRER,),
        (Kind.MISSING_AT_GATEWAY,),
    ]


def test_the_same_reference_at_another_terminal_is_another_sale() -> None:
    there = row(1, transaction_id="", acquirer_reference="", stan="", tid="30350002")
    assert found(compared([row(1)], None, [there])) == [
        (Kind.MISSING_AT_ACQUIRER,),
        (Kind.MISSING_AT_GATEWAY,),
    ]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({}, {"tid": ""}),
        ({"tid": ""}, {"terminal": ""}),
        ({}, {"tid": "", "terminal": ""}),
    ],
    ids=["only names there", "only TIDs there, and names here", "nothing there"],
)
def test_a_column_without_any_terminal_says_of_none(
    ours: dict[str, str], theirs: dict[str, str]
) -> None:
    bare = {"transaction_id": "", "acquirer_reference": "", "stan": "", "authorisation_code": ""}
    gateway = [row(1, **ours), row(2, **ours)]
    settled = [row(1, **bare, **theirs), row(2, **bare, **theirs)]
    assert kinds(compared(gateway, None, settled)) == {"matched": 2}


def test_where_no_row_says_its_terminal_none_can_be_asked_for() -> None:
    one = msgspec.structs.replace(WINDOW, terminals=frozenset({"acme-p2-pl1", "30350001"}))
    with pytest.raises(InvalidRequest, match="it does not say of which terminal"):
        compared([row(1)], [row(1, terminal="", tid="")], window=one)
    assert kinds(compared([row(1)], [], window=one)) == {"missing_at_till": 1}


def test_rows_without_any_key_are_matched_with_nothing() -> None:
    nameless = row(1, transaction_id="", reference="", acquirer_reference="", stan="")
    assert len(compared([row(1)], None, [nameless, nameless]).differences) == 3


def test_what_lies_beside_the_day_is_no_difference_but_can_be_a_counterpart() -> None:
    before, after = row(1, at="2026-03-13T23:59:58Z"), row(1, at="2026-03-14T00:00:03Z")
    assert kinds(compared([after], None, [before])) == {"matched": 1}
    assert kinds(compared([before], None, [after])) == {"outside": 1}
    assert kinds(compared([], None, [before])) == {"outside": 1}
    assert kinds(compared([before], [], None)) == {"outside": 1}


def test_other_terminals_are_left_out() -> None:
    window = Window(WINDOW.begin, WINDOW.end, terminals=frozenset({"acme-p2-pl1", "30350001"}))
    other = row(2, terminal="ACME-P2-PL2", tid="30350002")
    report = compared([row(1)], None, [row(1), other], window=window)
    assert kinds(report) == {"matched": 1, "outside": 1}


def test_days_begin_in_the_shops_zone() -> None:
    window = Window(Instant(DAY - 3_600_000), Instant(DAY + 82_800_000), zone="Europe/Rome")
    late = row(1, at="2026-03-13T23:30:00Z")
    (group,) = compared([late], None, [late], window=window).groups
    assert group.day == DAY // 86_400_000, "half past midnight there"


# --- UNKNOWN --------------------------------------------------------------------------------

LOST = row(1, status="UNKNOWN", acquirer_reference="", authorisation_code="", stan="")


WEAK = row(1, transaction_id="", reference="", acquirer_reference="")


def test_an_unknown_sale_that_was_settled_once_is_resolved() -> None:
    asked: list[Resolution] = []

    def resolve(known: list[Resolution]) -> set[str]:
        asked.extend(known)
        return all_of(known)

    both = [LOST, row(2)]
    settled = [row(1, transaction_id=""), row(2)]
    report = reconcile(sides(both, None, settled), WINDOW, resolve=resolve)
    assert report.agrees
    assert (report.resolved, report.resolvable) == ([LOST.transaction_id], [])
    (known,) = asked
    assert known.outcome.verdict is Verdict.APPROVED
    assert known.outcome.evidence is Evidence.RECOVERED
    assert known.outcome.approved_amount == 1250
    assert (known.outcome.stan, known.outcome.acquirer_reference) == ("000001", "rrn-1")


def test_what_could_be_resolved_is_told_and_stays_a_difference() -> None:
    report = compared([LOST], None, [row(1)])
    assert (report.resolved, report.resolvable) == ([], [LOST.transaction_id])
    assert found(report) == [(Kind.STATUS_DIFFERS,)]


@pytest.mark.parametrize(
    ("gateway", "acquirer"),
    [
        ([LOST], [row(1, amount="12.49")]),
        ([LOST], [row(1), row(1)]),
        ([LOST], [row(1, transaction_id=""), row(2, transaction_id="", reference="sale-1")]),
        ([LOST, row(2, reference="sale-1", status="UNKNOWN")], [row(1, transaction_id="")]),
        ([row(1, status="UNKNOWN")], [WEAK]),
        ([LOST], [row(1, transaction_id="", status="DECLINED")]),
        ([LOST], [row(1, status="UNKNOWN")]),
        ([LOST], []),
    ],
    ids=[
        "another amount", "twice", "two under its reference", "two may be meant", "a weak key",
        "declined, perhaps another try", "nor does the acquirer know", "not there",
    ],
)  # fmt: skip
def test_evidence_that_leaves_a_doubt_resolves_nothing(gateway: list, acquirer: list) -> None:
    report = reconcile(sides(gateway, None, acquirer), WINDOW, resolve=all_of)
    assert (report.resolved, report.resolvable) == ([], [])


def test_that_it_was_declined_counts_under_our_own_id() -> None:
    report = reconcile(sides([LOST], None, [row(1, status="DECLINED")]), WINDOW, resolve=all_of)
    assert report.resolved == [LOST.transaction_id]
    assert report.agrees


def test_a_flood_of_differences_is_believed_to_be_a_mistake() -> None:
    with pytest.raises(Exception, match="more than 2 differences"):
        reconcile(sides([], None, [row(1), row(2), row(3)]), WINDOW, most=2)


def test_each_side_is_summed_in_the_currency_that_it_names() -> None:
    """Ten yen are not ten cents."""
    theirs = row(1, amount="10", currency="JPY")
    report = compared([row(1)], [theirs])
    assert found(report) == [(Kind.AMOUNT_DIFFERS,)]
    sums = {
        each.currency: (each.rows, each.flow, sum(each.kinds.values())) for each in report.groups
    }
    assert sums == {
        "EUR": ({GATEWAY: 1}, {GATEWAY: 1250}, 1),
        "JPY": ({TILL: 1}, {TILL: 10}, 0),
    }
    assert "10 JPY" in reports.html(report)
