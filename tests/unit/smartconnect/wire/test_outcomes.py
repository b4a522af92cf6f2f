"""What answers say of the money: every row of the vendor's table, and all that is in none."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwire.dialects.smartconnect.wire.envelope import Envelope, Result
from tillwire.dialects.smartconnect.wire.outcomes import Ending, of_function, of_transaction

TOLD = ["OK-ACCEPTED", "OK-DECLINED", "OK-UNAVAILABLE", "OK-DELAYED", "CANCELLED", "FAILED",
        "FAILED-INTERFACE", "", "SOMETHING-NEW"]  # fmt: skip
RESULTS = ["OK", "CANCELLED", "DELAYED-TRANSACTION", "FAILED", "FAILED-INTERFACE", "", "NEW"]


def answer(status: str, told: str, result: str) -> Envelope:
    data = Result(transaction_result=told, result=result)
    return Envelope(transaction_status=status, data=data)


def expected(told: str, result: str) -> Ending:
    """The table, written down once more."""
    rows = {
        ("OK-ACCEPTED", "OK"): Ending.ACCEPTED,
        ("OK-DECLINED", "OK"): Ending.DECLINED,
        ("CANCELLED", "FAILED-INTERFACE"): Ending.OFFLINE,
    }
    whole = {"CANCELLED": Ending.CANCELLED, "OK-UNAVAILABLE": Ending.UNAVAILABLE}
    return rows.get((told, result)) or whole.get(told, Ending.UNKNOWN)


@pytest.mark.parametrize(("told", "result"), list(product(TOLD, RESULTS)))
def test_each_pair_of_a_completed_answer_has_its_ending(told: str, result: str) -> None:
    reading = of_transaction(answer("COMPLETED", told, result))
    assert reading.ending is expected(told, result)
    assert bool(reading.reason) == (reading.ending is Ending.UNKNOWN)


@pytest.mark.parametrize(("told", "result"), list(product(TOLD, RESULTS)))
def test_what_is_pending_is_never_an_ending(told: str, result: str) -> None:
    delayed = told == "OK-DELAYED" or result == "DELAYED-TRANSACTION"
    for read in (of_transaction, of_function):
        reading = read(answer("PENDING", told, result))
        assert reading.ending is (Ending.DELAYED if delayed else Ending.PENDING)


def test_an_answer_without_data_is_pending_or_unknown() -> None:
    assert of_transaction(Envelope(transaction_status="PENDING")).ending is Ending.PENDING
    for read in (of_transaction, of_function):
        assert read(Envelope(transaction_status="COMPLETED")).ending is Ending.UNKNOWN


@pytest.mark.parametrize(("told", "result"), [("ok-accepted", "ok"), (" OK-Accepted ", "Ok")])
def test_words_are_compared_in_letters_of_any_case(told: str, result: str) -> None:
    assert of_transaction(answer("COMPLETED", told, result)).ending is Ending.ACCEPTED


def test_a_function_without_money_is_judged_by_its_result() -> None:
    ready = Envelope(transaction_status="COMPLETED", data=Result(result="OK", status="READY"))
    assert of_function(ready).ending is Ending.ACCEPTED
    assert of_transaction(ready).ending is Ending.UNKNOWN
    logon = answer("COMPLETED", "OK-ACCEPTED", "OK")
    assert of_function(logon).ending is Ending.ACCEPTED
    assert of_function(answer("COMPLETED", "OK-DECLINED", "OK")).ending is Ending.DECLINED
    assert of_function(answer("COMPLETED", "CANCELLED", "FAILED-INTERFACE")).ending is (
        Ending.OFFLINE
    )
    for result in ("FAILED", "", "NEW"):
        assert of_function(answer("COMPLETED", "", result)).ending is Ending.UNKNOWN


@given(st.text(max_size=60), st.text(max_size=60))
def test_words_that_nobody_knows_are_unknown(told: str, result: str) -> None:
    reading = of_transaction(answer("COMPLETED", told, result))
    if told.strip().upper() not in TOLD:
        assert reading.ending is Ending.UNKNOWN
        assert len(reading.reason) < 200
