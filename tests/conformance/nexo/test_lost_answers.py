"""A till on Adyen's library that does not get its answer, or does not want it any more: it asks,
it aborts, it says the same again; and the card is charged once or not at all."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.conformance.nexo.adyen_till import AdyenTill, Answer, NoAnswerError, Program
from tests.conformance.nexo.waiting import (
    AMOUNT,
    IN_PROGRESS,
    NOT_FOUND,
    SETTLES_WITHIN,
    Waiting,
    repeated,
    settled,
    until_known,
    waiting_payment,
)
from tests.kit.sandbox_process import SandboxProcess
from tests.kit.shop_front import charged

SUCCESS: Final = ("Success", None)
ABORTED: Final = ("Failure", "Aborted")
SILENT: Final = 2.0
"""Seconds in which a till hears nothing of what nobody knows."""


@pytest.fixture
def waiting(till: AdyenTill, sandbox: SandboxProcess, reference: str) -> Iterator[Waiting]:
    """A payment that is under way."""
    with waiting_payment(till, sandbox.card, reference) as payment:
        yield payment


def body_of(answer: Answer) -> Any:
    """The body under its name, without the header."""
    message = answer.message["SaleToPOIResponse"]
    return {name: value for name, value in message.items() if name != "MessageHeader"}


# --- status ---------------------------------------------------------------------------------


@pytest.mark.parametrize("amount", ["17.10", "10.40", "10.43", "10.45"])
def test_the_status_repeats_the_answer(till: AdyenTill, reference: str, amount: str) -> None:
    number = till.number()
    answer = till.pay(amount, reference, number=number)
    status = till.ask("status", wanted=number)
    assert status.result == SUCCESS
    assert status.body["MessageReference"]["ServiceID"] == number
    assert repeated(status)["MessageHeader"] == answer.header
    assert repeated(status)["RepeatedResponseMessageBody"] == body_of(answer)


def test_the_status_repeats_the_answer_of_a_reversal(till: AdyenTill, reference: str) -> None:
    sale = till.pay("9.00", reference).transaction
    number = till.number()
    reversal = till.ask("reverse", number=number, original=sale)
    status = till.ask("status", wanted=number, category="Reversal")
    assert status.result == SUCCESS
    assert repeated(status)["RepeatedResponseMessageBody"] == body_of(reversal)


def test_without_a_reference_the_status_is_that_of_the_last_payment(
    till: AdyenTill, reference: str
) -> None:
    till.pay("4.00", reference)
    last = till.pay("5.00", f"{reference}-b")
    status = till.ask("status")
    assert status.result == SUCCESS
    assert repeated(status)["RepeatedResponseMessageBody"] == body_of(last)


def test_the_status_of_what_never_was(till: AdyenTill) -> None:
    assert till.ask("status", wanted="nothing").result == NOT_FOUND


def test_a_status_is_that_of_the_asking_till(till: AdyenTill, reference: str) -> None:
    number = till.number()
    till.pay("5.00", reference, number=number)
    assert till.another_lane().ask("status", wanted=number).result == NOT_FOUND


def test_a_status_can_ask_for_the_receipts_again(till: AdyenTill, reference: str) -> None:
    number = till.number()
    paid = till.pay("7.70", reference, number=number)
    status = till.ask("status", wanted=number, reprint=True)
    assert status.result == SUCCESS
    inner = repeated(status)["RepeatedResponseMessageBody"]["PaymentResponse"]
    assert {each["DocumentQualifier"] for each in inner["PaymentReceipt"]} == {
        "CashierReceipt",
        "CustomerReceipt",
    }
    assert inner["POIData"] == paid.body["POIData"]


# --- a client that is gone before the terminal has done -------------------------------------


def test_a_till_that_was_switched_off_finds_its_payment(
    till: AdyenTill, sandbox: SandboxProcess, reference: str, library: Path, tmp_path: Path
) -> None:
    number = till.number()
    earlier = Program(sandbox.card, library, tmp_path)
    try:
        before = AdyenTill(earlier, till.way, till.poi_id, till.sale_id)
        before.begin("pay", number=number, amount=10.49, reference=reference)
        until_known(till, number)
    finally:
        earlier.close()
    status = settled(till, number)
    assert status.result == SUCCESS
    inner = repeated(status)["RepeatedResponseMessageBody"]["PaymentResponse"]
    assert inner["Response"]["Result"] == "Success"
    assert inner["SaleData"]["SaleTransactionID"]["TransactionID"] == reference
    assert charged(sandbox.card, reference) == [1049]


def test_an_outcome_that_nobody_knows_is_never_told(
    till: AdyenTill, sandbox: SandboxProcess, reference: str
) -> None:
    """The terminal charged the card, lost its answer and forgot it: only a person can help. Until
    then the till neither hears of a failure nor can it charge the card again."""
    # Each on a terminal of its own, since nobody here decides.
    poi_id = {"clear": "V1-0006", "encrypted": "V1-0007"}[till.way]
    till = AdyenTill(till.program, till.way, poi_id)
    number = till.number()
    answer = till.begin("pay", number=number, amount=10.47, reference=reference)
    until_known(till, number)
    end = time.monotonic() + SETTLES_WITHIN
    again, words = till.pay("10.00", reference), ""
    while "not known" not in words:  # at first it may still be on its way
        assert again.result == ("Failure", "Busy")
        assert time.monotonic() < end, words
        again = till.pay("10.00", reference)
        words = again.body["Response"]["AdditionalResponse"]
    assert charged(sandbox.card, reference) == [1047]
    with pytest.raises(TimeoutError):
        answer.result(SILENT)
    assert till.ask("status", wanted=number).result == IN_PROGRESS


# --- abort ----------------------------------------------------------------------------------


def test_the_status_of_what_is_under_way(waiting: Waiting) -> None:
    status = waiting.till.ask("status", wanted=waiting.number)
    assert status.result == IN_PROGRESS
    assert status.body["MessageReference"]["ServiceID"] == waiting.number
    assert "RepeatedMessageResponse" not in status.body


def test_a_waiting_payment_is_aborted(sandbox: SandboxProcess, waiting: Waiting) -> None:
    assert waiting.till.ask("abort", aborted=waiting.number).message == {}
    assert waiting.end().result == ABORTED
    assert charged(sandbox.card, waiting.reference) == []
    status = waiting.till.ask("status", wanted=waiting.number)
    assert status.result == SUCCESS
    assert repeated(status)["RepeatedResponseMessageBody"] == body_of(waiting.end())


def test_after_an_abort_the_terminal_is_free(
    sandbox: SandboxProcess, waiting: Waiting, reference: str
) -> None:
    waiting.till.ask("abort", aborted=waiting.number)
    waiting.end()
    assert waiting.till.pay("6.00", f"{reference}-b").result == SUCCESS
    assert charged(sandbox.card, f"{reference}-b") == [600]


def test_two_aborts_at_once_are_one(sandbox: SandboxProcess, waiting: Waiting) -> None:
    both = [waiting.till.begin("abort", aborted=waiting.number) for _ in range(2)]
    assert waiting.end().result == ABORTED
    for each in both:
        # One of them may find the payment ended, and the library may stumble over hearing that.
        error = each.exception(SETTLES_WITHIN)
        assert error is None or isinstance(error, NoAnswerError), error
    assert charged(sandbox.card, waiting.reference) == []


def event(till: AdyenTill, aborted: str) -> Any:
    """What comes in place of silence. The library's encrypted service looks for a response
    alone, and stumbles over a notification."""
    if till.way != "encrypted":
        return till.ask("abort", aborted=aborted).event
    with pytest.raises(NoAnswerError) as stumbled:
        till.ask("abort", aborted=aborted)
    return stumbled.value.heard["SaleToPOIRequest"]["EventNotification"]


def test_an_abort_that_comes_too_late_is_told_so(
    till: AdyenTill, sandbox: SandboxProcess, reference: str
) -> None:
    number = till.number()
    assert till.pay("6.10", reference, number=number).result == SUCCESS
    assert event(till, number)["EventToNotify"] == "Completed"
    assert charged(sandbox.card, reference) == [610]


def test_an_abort_of_what_never_was_is_rejected(till: AdyenTill) -> None:
    assert event(till, "nothing")["EventToNotify"] == "Reject"


def test_nobody_aborts_the_payment_of_another_till(waiting: Waiting) -> None:
    other = waiting.till.another_lane()
    assert event(other, waiting.number)["EventToNotify"] == "Reject"
    assert waiting.till.ask("status", wanted=waiting.number).result == IN_PROGRESS


# --- the same again, and others beside it ---------------------------------------------------


def test_a_payment_that_is_said_twice_is_done_once(
    till: AdyenTill, sandbox: SandboxProcess, reference: str
) -> None:
    said = {"number": till.number(), "referenced_at": "2026-11-20T09:12:40.310+01:00"}
    assert till.pay("8.00", reference, **said).result == SUCCESS
    assert till.pay("8.00", reference, **said).result == ("Failure", "NotAllowed")
    assert charged(sandbox.card, reference) == [800]


def test_a_number_that_comes_again_with_another_payment_is_refused(
    till: AdyenTill, sandbox: SandboxProcess, reference: str
) -> None:
    number = till.number()
    assert till.pay("8.00", reference, number=number).result == SUCCESS
    other = f"{reference}-b"
    assert till.pay("80.00", other, number=number).result == ("Failure", "NotAllowed")
    assert charged(sandbox.card, other) == []


def test_two_of_the_same_at_once_are_one(
    till: AdyenTill, sandbox: SandboxProcess, reference: str
) -> None:
    said: dict[str, Any] = {
        "amount": 10.49,
        "reference": reference,
        "number": till.number(),
        "referenced_at": "2026-11-20T09:12:40.310+01:00",
    }
    both = [till.begin("pay", **said), till.begin("pay", **said)]
    results = {each.result(SETTLES_WITHIN).result for each in both}
    assert SUCCESS in results
    assert charged(sandbox.card, reference) == [1049]


def test_two_lanes_at_one_terminal(
    sandbox: SandboxProcess, waiting: Waiting, reference: str
) -> None:
    other = waiting.till.another_lane()
    assert other.pay(AMOUNT, f"{reference}-b").result == ("Failure", "Busy")
    assert waiting.till.pay(AMOUNT, f"{reference}-c").result == ("Failure", "NotAllowed")
    assert charged(sandbox.card, f"{reference}-b") == []
    assert charged(sandbox.card, f"{reference}-c") == []
