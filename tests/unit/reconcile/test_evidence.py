"""What proves the end of an UNKNOWN transaction, and what leaves a doubt: a wrong word of ours
would be believed by a till."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.unit.reconcile.books import WINDOW, all_of, row, sides, small
from tillwire.errors import TillwireError
from tillwire.reconcile.match import ACQUIRER, GATEWAY
from tillwire.reconcile.run import Report, Resolution, gateway_rows, reconcile
from tillwire.reconcile.sources import Row

LOST = row(1, status="UNKNOWN", acquirer_reference="", authorisation_code="", stan="")
BY_REFERENCE = row(1, transaction_id="")


def resolved(gateway: list[Row], acquirer: list[Row]) -> Report:
    """What is found when everything that can be is resolved."""
    return reconcile(sides(gateway, None, acquirer), WINDOW, resolve=all_of)


@pytest.mark.parametrize(
    "acquirer",
    [
        [BY_REFERENCE, row(2, transaction_id="", reference="sale-1", type="REVERSAL")],
        [row(1), row(2, transaction_id="", reference="sale-1", type="REVERSAL")],
        [row(1), row(2, transaction_id="", original_id=LOST.transaction_id, type="REVERSAL")],
        [row(1), row(2, transaction_id="", acquirer_reference="rrn-1", type="REVERSAL")],
        [row(1), row(2, transaction_id="", reference="sale-1", type="REFUND", amount="2.00")],
    ],
    ids=["both by reference", "its reference", "its original", "its RRN", "a refund"],
)
def test_a_sale_that_was_taken_back_at_the_acquirer_is_for_a_person(acquirer: list[Row]) -> None:
    report = resolved([LOST], acquirer)
    assert (report.resolved, report.resolvable) == ([], [])
    assert not report.agrees


def test_what_another_terminal_took_back_leaves_no_doubt() -> None:
    elsewhere = row(2, transaction_id="", reference="sale-1", type="REVERSAL", tid="30350002")
    assert resolved([LOST], [row(1), elsewhere]).resolved == [LOST.transaction_id]


def test_a_declined_try_beside_one_that_was_charged_is_for_a_person() -> None:
    declined, charged = row(1, status="DECLINED"), row(2, transaction_id="", reference="sale-1")
    assert resolved([LOST], [declined, charged]).resolvable == []


def test_the_next_try_is_no_doubt_about_the_first() -> None:
    declined, again = row(1, status="DECLINED"), row(2, reference="sale-1")
    assert resolved([LOST, again], [declined, again]).resolved == [LOST.transaction_id]


def test_a_reference_proves_nothing_where_nobody_says_at_which_terminal(tmp_path: Path) -> None:
    other = small(tmp_path, b"Ref,Amount,Date\nsale-1,12.50,2026-03-14T10:00:01Z\n")
    books = {GATEWAY: gateway_rows([LOST]), ACQUIRER: other}
    assert reconcile(books, WINDOW, resolve=all_of).resolved == []


@pytest.mark.parametrize("at", ["2026-03-12T10:00:00Z", "2026-03-15T10:00:02Z"])
def test_a_reference_may_be_another_sales_on_another_day(at: str) -> None:
    assert resolved([LOST], [row(1, transaction_id="", at=at)]).resolved == []
    assert resolved([LOST], [row(1, at=at)]).resolved == [LOST.transaction_id], "an id may not"


def test_what_was_settled_within_a_day_is_proof() -> None:
    settled = row(1, transaction_id="", at="2026-03-15T09:00:00Z")
    assert resolved([LOST], [settled]).resolved == [LOST.transaction_id]


@pytest.mark.parametrize("status", ["REVERSED", "UNKNOWN"])
def test_a_sale_that_the_acquirer_says_something_else_of_elsewhere_is_not_resolved(
    status: str,
) -> None:
    paid = row(1, transaction_id="")
    also = row(1, transaction_id="", reference="", stan="", authorisation_code="", status=status)
    report = resolved([LOST], [paid, also])
    assert (report.resolved, report.resolvable) == ([], [])


def test_a_sale_that_was_taken_back_is_so_however_its_terminal_is_written() -> None:
    paid = row(1, transaction_id="", tid="ab12")
    back = row(2, transaction_id="", tid="ab12", reference="sale-1", type="REVERSAL")
    lost = msgspec.structs.replace(LOST, tid="AB12")
    report = resolved([lost], [paid, back])
    assert (report.resolved, report.resolvable) == ([], [])
    assert resolved([lost], [paid]).resolved == [LOST.transaction_id]


def test_what_may_have_taken_the_sale_back_is_not_taken_for_a_refund_that_is_unknown_too() -> None:
    refund = msgspec.structs.replace(
        LOST, transaction_id=row(2).transaction_id, type="REFUND", at="2026-03-14T10:05:00Z"
    )
    paid = row(1, transaction_id="")
    for kind, first in (("REVERSAL", []), ("REFUND", [refund.transaction_id])):
        back = row(2, transaction_id="", reference="sale-1", type=kind)
        assert resolved([LOST, refund], [paid, back]).resolved == first
    known = msgspec.structs.replace(refund, status="APPROVED")
    assert resolved([LOST, known], [paid, back]).resolved == [LOST.transaction_id]
    named = msgspec.structs.replace(back, transaction_id=refund.transaction_id)
    both = [LOST.transaction_id, refund.transaction_id]
    assert resolved([LOST, refund], [paid, named]).resolved == both


NAMELESS = {"transaction_id": "", "reference": "", "acquirer_reference": "", "original_id": ""}
UNTRACED = {"stan": "", "authorisation_code": ""}
MAY_BE_ITS_OWN: list[tuple[dict[str, str], bool]] = [
    ({"authorisation_code": ""}, True),
    ({"stan": ""}, True),
    ({"authorisation_code": "", "status": "REVERSED", "type": "PURCHASE"}, True),
    ({"tid": "T0"}, False),
    (UNTRACED, True),
    ({**UNTRACED, "type": "REFUND"}, True),
    ({**UNTRACED, "tid": "", "terminal": ""}, True),
    ({**UNTRACED, "tid": "T0"}, False),
    ({**UNTRACED, "amount": "12.49"}, False),
    ({**UNTRACED, "card_last4": "1111"}, False),
    ({**UNTRACED, "reference": "sale-0"}, False),
    ({**UNTRACED, "at": "2026-03-16T10:00:00Z"}, False),
    ({"stan": "999999", "authorisation_code": "999999", "amount": "9.00"}, False),
]
"""What takes something back, and whether it may be what was paid at the terminal just there."""


@pytest.mark.parametrize("by", ["our id", "its reference"])
def test_what_takes_something_back_without_a_name_may_be_the_terminals_own_doing(by: str) -> None:
    lost, theirs, expected = [], [], []
    for number, (told, doubt) in enumerate(MAY_BE_ITS_OWN, 1):
        paid = row(number, tid=f"T{number}", terminal="", amount=f"{20 + number}.00")
        lost.append(msgspec.structs.replace(paid, status="UNKNOWN", **UNTRACED))
        found = paid if by == "our id" else msgspec.structs.replace(paid, transaction_id="")
        back = {**NAMELESS, "type": "REVERSAL", **told}
        theirs += [found, msgspec.structs.replace(paid, **back)]
        expected += [] if doubt else [paid.transaction_id]
    assert resolved(lost, theirs).resolved == expected


def test_what_another_sale_of_ours_took_back_leaves_no_doubt() -> None:
    sold, back = row(2), row(3, type="REFUND", original_id=row(2).transaction_id)
    theirs = [BY_REFERENCE, row(2, transaction_id=""), row(3, transaction_id="", type="REFUND")]
    assert resolved([LOST, sold, back], theirs).resolved == [LOST.transaction_id]


@pytest.mark.parametrize(
    "told",
    [{"acquirer_reference": "rrn-5"}, {"stan": "000005", "authorisation_code": "000005"}],
    ids=["its own reference", "terminal, STAN and code"],
)
def test_a_row_that_is_another_sales_by_another_key_is_for_a_person(told: dict[str, str]) -> None:
    known = row(5, at=LOST.at)
    assert resolved([LOST, known], [row(1, transaction_id="", **told)]).resolved == []
    assert resolved([LOST, known], [row(1, **told)]).resolved == [LOST.transaction_id]


def test_nothing_is_settled_on_the_day_before_it_was_accepted() -> None:
    """The till's numbers began anew, and yesterday's was paid past the gateway."""
    yesterday = row(1, transaction_id="", at="2026-03-13T11:00:00Z")
    assert resolved([LOST], [yesterday]).resolved == []
    first = msgspec.structs.replace(LOST, at="2026-03-14T00:10:00Z")
    slow = row(1, transaction_id="", at="2026-03-13T23:59:00Z")
    assert resolved([first], [slow]).resolved == [LOST.transaction_id], "clocks differ"
    day = row(1, transaction_id="", at="2026-03-14T00:00:00Z")
    assert resolved([LOST], [day]).resolved == [LOST.transaction_id], "some files have days alone"


def test_where_there_is_too_much_nothing_is_resolved_either() -> None:
    def resolve(known: list[Resolution]) -> set[str]:
        raise AssertionError("it was told")

    with pytest.raises(TillwireError, match="more than 2 differences"):
        reconcile(
            sides([LOST], None, [row(each) for each in range(1, 5)]),
            WINDOW,
            resolve=resolve,
            most=2,
        )
