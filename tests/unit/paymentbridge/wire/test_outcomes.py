"""What a terminal's last word, or the cloud's list, says of the money: never more than it says."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwire.dialects.paymentbridge.wire.objects import (
    Amounts,
    Payment,
    ProcessorResponse,
    Transaction,
)
from tillwire.dialects.paymentbridge.wire.outcomes import (
    Ending,
    Operation,
    Reading,
    of_payment,
    of_transactions,
)

SALE, PREAUTH, REFUND, CREDIT, VOID, CAPTURE = Operation
APPROVED, DECLINED, CANCELLED, UNKNOWN = Ending


def tx(status: str | None = "CAPTURED", amount: int | None = 1_234, **others: Any) -> Transaction:
    """A transaction; `approved` is what its host approved."""
    approved = others.pop("approved", None)
    response = others.pop("host", None)
    if approved is not None or response is not None:
        others["processor_response"] = ProcessorResponse(approved_amount=approved, status=response)
    amounts = Amounts(
        transaction_amount=amount,
        tip_amount=others.pop("tip", None),
        cashback_amount=others.pop("cashback", None),
        currency=others.pop("currency", "EUR"),
    )
    return Transaction(status=status, amounts=amounts, **others)


def said(operation: Operation, status: str | None, *found: Transaction, **others: Any) -> Reading:
    return of_payment(Payment(status=status, transactions=found), operation, **others)


# --- each operation's success -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "found"),
    [
        (SALE, tx("CAPTURED", action="SALE")),
        (SALE, tx("AUTHORIZED", action="AUTHORIZE", auth_only=False)),  # captured by settlement
        (SALE, tx("AUTHORIZED", action="AUTHORIZE")),
        (SALE, tx("captured ", action="sale", voided=False, host="Successful")),
        (PREAUTH, tx("AUTHORIZED", action="AUTHORIZE", auth_only=True)),
        (PREAUTH, tx("AUTHORIZED")),
        (REFUND, tx("REFUNDED", action="REFUND", parent_id="o")),
        (CREDIT, tx("REFUNDED", action="REFUND")),
        (VOID, tx("VOIDED", action="AUTHORIZE", voided=True)),
        (VOID, tx("VOIDED", action="SALE")),
        (CAPTURE, tx("CAPTURED", action="CAPTURE", parent_id="o")),
    ],
)
def test_what_was_done_is_approved(operation: Operation, found: Transaction) -> None:
    for status in ("PROCESSED", "processed", None, "SOMETHING NEW", "COMPLETED"):
        reading = said(operation, status, found, currency="EUR")
        assert (reading.ending, reading.amount, reading.currency) == (APPROVED, 1_234, "EUR")
        assert reading.transactions == (found,)
    assert of_transactions([found], operation, currency="EUR").ending is APPROVED


@pytest.mark.parametrize("operation", Operation)
def test_a_decline_is_inside_of_what_was_processed(operation: Operation) -> None:
    for status in ("PROCESSED", "DECLINED", "CANCELED", "FAILED", None):
        assert said(operation, status, tx("DECLINED", host="Failure")).ending is DECLINED
    assert said(operation, "DECLINED").ending is DECLINED


@pytest.mark.parametrize("operation", Operation)
@pytest.mark.parametrize("status", ["CANCELED", "CANCELLED", "canceled"])
def test_a_cancel_may_be_as_small_as_can_be(operation: Operation, status: str) -> None:
    assert said(operation, status).ending is CANCELLED


@pytest.mark.parametrize("operation", Operation)
@pytest.mark.parametrize(
    "status",
    ["PROCESSED", "FAILED", "HOLD", "READ_CARD_ONLY", "COMPLETED", "AUTHORIZED", "VOIDED",
     "REFUNDED", "SOMETHING NEW", "", None],
)  # fmt: skip
def test_a_status_without_a_transaction_says_nothing(
    operation: Operation, status: str | None
) -> None:
    reading = said(operation, status)
    assert (reading.ending, reading.amount) == (UNKNOWN, 0)
    assert reading.reason


# --- amounts ----------------------------------------------------------------------------------


def test_several_tenders_add_up() -> None:
    parts = tx(amount=1_000, id="a", tip=100), tx("AUTHORIZED", 234, id="b", tip=10, cashback=5)
    reading = said(SALE, "PROCESSED", *parts)
    assert (reading.amount, reading.tip, reading.cashback) == (1_234, 110, 5)
    assert reading.transactions == parts


def test_a_declined_try_before_it_does_not_count() -> None:
    reading = said(SALE, "PROCESSED", tx("DECLINED", id="a"), tx(id="b", amount=5))
    assert (reading.ending, reading.amount) == (APPROVED, 5)
    assert said(SALE, "PROCESSED", tx("VOIDED", voided=True, id="a"), tx(id="b")).amount == 1_234


def test_what_the_host_approved_counts_where_it_is_less() -> None:
    assert said(SALE, "PROCESSED", tx(approved=1_000, partially_approved=True)).amount == 1_000
    assert said(SALE, "PROCESSED", tx(approved=1_000)).amount == 1_000
    assert said(SALE, "PROCESSED", tx(amount=1_000, partially_approved=True)).amount == 1_000
    assert said(SALE, "PROCESSED", tx(approved=1_234)).amount == 1_234
    assert said(SALE, "PROCESSED", tx(approved=0)).amount == 1_234  # some hosts say nothing so
    # A tip that was added after the host had approved.
    assert said(SALE, "PROCESSED", tx(amount=1_300, approved=1_234, adjusted=True)).amount == 1_300
    assert said(SALE, "PROCESSED", tx(approved=1_200, amounts_adjusted=True)).amount == 1_234


def test_a_transaction_told_twice_counts_once() -> None:
    assert said(SALE, "PROCESSED", tx(id="a"), tx(id="a")).amount == 1_234
    assert said(SALE, "PROCESSED", tx(id="a"), tx(id="a", amount=5)).ending is UNKNOWN


def test_a_capture_stands_for_its_authorization() -> None:
    both = tx("AUTHORIZED", id="a"), tx(action="CAPTURE", parent_id="a", id="b")
    reading = said(SALE, "PROCESSED", *both)
    assert (reading.amount, reading.transactions) == (1_234, both[1:])


def test_the_original_of_a_refund_does_not_count() -> None:
    original = tx("REFUNDED", id="o", action="SALE")
    refund = tx("REFUNDED", 234, id="r", action="REFUND", parent_id="o")
    for found in ((original, refund), (refund, original), (refund,)):
        reading = said(REFUND, "PROCESSED", *found, original="o")
        assert (reading.ending, reading.amount) == (APPROVED, 234)
    assert said(REFUND, "PROCESSED", original, original="o").ending is UNKNOWN
    assert said(REFUND, "CANCELED", tx(id="o", action="SALE"), original="o").ending is CANCELLED
    assert said(VOID, "CANCELED", tx(id="o", action="SALE"), original="o").ending is CANCELLED
    assert said(CAPTURE, "", tx("AUTHORIZED", id="o"), original="o").ending is UNKNOWN


def test_what_was_voided_was_not_paid() -> None:
    voided = tx("VOIDED", voided=True)
    for status in ("PROCESSED", "CANCELED", "VOIDED", None):
        reading = said(SALE, status, voided)
        assert (reading.ending, reading.reason) == (CANCELLED, "It was voided.")
        assert said(PREAUTH, status, voided).ending is CANCELLED


# --- contradictions ---------------------------------------------------------------------------


@pytest.mark.parametrize("operation", [SALE, PREAUTH])
@pytest.mark.parametrize(
    "status",
    ["CANCELED", "CANCELLED", "FAILED", "HOLD", "DECLINED", "VOIDED", "REFUNDED", "READ_CARD_ONLY"],
)
def test_money_moved_under_a_status_without_money(operation: Operation, status: str) -> None:
    reading = said(operation, status, tx("AUTHORIZED"))
    assert reading.ending is UNKNOWN
    assert status in reading.reason


@pytest.mark.parametrize(
    ("operation", "found"),
    [
        (SALE, [tx("AUTHORIZED", auth_only=True)]),
        (PREAUTH, [tx("AUTHORIZED", auth_only=False)]),
        (PREAUTH, [tx("CAPTURED")]),
        (SALE, [tx(voided=True)]),
        (SALE, [tx(action_void=True)]),
        (SALE, [tx(host="Failure")]),
        (SALE, [tx(host="FAILURE")]),
        (SALE, [tx(action="REFUND")]),
        (SALE, [tx(action="VERIFY")]),
        (SALE, [tx("REFUNDED", action="REFUND")]),
        (SALE, [tx("PARTIALLY_REFUNDED")]),
        (SALE, [tx("PARTIALLY_CAPTURED")]),
        (SALE, [tx("PARTIALLY_CAPTURED_AND_PARTIALLY_REFUNDED")]),
        (SALE, [tx("CREATED")]),
        (SALE, [tx("SAVED")]),
        (SALE, [tx(None)]),
        (SALE, [tx("SOMETHING NEW")]),
        (SALE, [tx("CREATED"), tx("DECLINED")]),
        (SALE, [tx(), tx("CREATED")]),
        (SALE, [tx(), tx("REFUNDED")]),
        (SALE, [tx(amount=None)]),
        (SALE, [tx(amount=0)]),
        (SALE, [Transaction(status="CAPTURED")]),
        (SALE, [tx(approved=1_235)]),
        (SALE, [tx(currency="USD")]),
        (SALE, [tx(), tx(currency="USD")]),
        (REFUND, [tx("CAPTURED", action="REFUND")]),
        (REFUND, [tx("CAPTURED", action="SALE")]),
        (REFUND, [tx("REFUNDED", action="SALE")]),
        (CREDIT, [tx("VOIDED", action="SALE")]),
        (VOID, [tx("VOIDED", voided=False)]),
        (VOID, [tx("CAPTURED", voided=True)]),
        (VOID, [tx("CAPTURED")]),
        (VOID, [tx("REFUNDED")]),
        (CAPTURE, [tx("AUTHORIZED", action="AUTHORIZE")]),
    ],
)
def test_what_cannot_all_be_true_is_unknown(operation: Operation, found: list[Transaction]) -> None:
    for status in ("PROCESSED", "COMPLETED", None):
        reading = said(operation, status, *found, currency="EUR")
        assert (reading.ending, reading.amount) == (UNKNOWN, 0)
        assert reading.reason


@pytest.mark.parametrize("status", ["AUTHORIZED", "COMPLETED", "CAPTURED"])
@pytest.mark.parametrize("found", [tx("DECLINED"), tx("VOIDED")])
def test_nothing_moved_under_a_status_with_money(status: str, found: Transaction) -> None:
    assert said(SALE, status, found).ending is UNKNOWN


FOUND: Final = st.lists(
    st.builds(
        tx,
        st.sampled_from(
            ["CAPTURED", "AUTHORIZED", "DECLINED", "VOIDED", "REFUNDED", "CREATED", "?"]
        ),
        st.integers(0, 9) | st.none(),
        id=st.sampled_from(["a", "b", "c"]) | st.none(),
        action=st.sampled_from(["SALE", "AUTHORIZE", "REFUND", "CAPTURE"]) | st.none(),
        voided=st.booleans() | st.none(),
        auth_only=st.booleans() | st.none(),
        approved=st.integers(0, 9) | st.none(),
    ),
    max_size=3,
)


@given(
    st.sampled_from(["PROCESSED", "CANCELED", "DECLINED", "FAILED", "COMPLETED", "?", None]),
    FOUND,
    st.sampled_from(Operation),
    st.randoms(use_true_random=False),
)
def test_no_ending_says_more_than_was_told(
    status: str | None, found: list[Transaction], operation: Operation, chance: Any
) -> None:
    reading = said(operation, status, *found)
    statuses = {each.status for each in found}
    moved = {each.status for each in reading.transactions}
    if reading.ending is APPROVED:
        most = sum((each.amounts.transaction_amount or 0) for each in found if each.amounts)
        assert 0 < reading.amount <= most
        assert moved <= {"CAPTURED", "AUTHORIZED", "REFUNDED", "VOIDED"}
        assert status not in ("CANCELED", "DECLINED", "FAILED")
    elif reading.ending is DECLINED:
        assert "DECLINED" in statuses or status == "DECLINED"
    elif reading.ending is CANCELLED:
        assert status == "CANCELED" or "VOIDED" in statuses
    else:
        assert reading.reason
    if reading.ending in (DECLINED, CANCELLED) and operation is SALE:
        assert not statuses & {"CAPTURED", "AUTHORIZED"} or all(
            each.parent_id or each.status not in ("CAPTURED", "AUTHORIZED") for each in found
        )
    # The order in which a terminal lists them says nothing.
    chance.shuffle(found)
    again = said(operation, status, *found)
    assert (again.ending, again.amount) == (reading.ending, reading.amount)
