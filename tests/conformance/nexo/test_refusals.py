"""What a till on Adyen's library hears of its own mistakes: a sentence that names the field; and
nothing is charged."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.conformance.nexo.adyen_till import AdyenTill, Answer, NoAnswerError, Program
from tests.kit.sandbox_process import SandboxProcess
from tests.kit.shop_front import charged


def reason(answer: Answer) -> str:
    """What is wrong with the message, in words."""
    assert answer.result == ("Failure", "MessageFormat")
    words: str = answer.body["Response"]["AdditionalResponse"]
    return words


def test_a_reference_that_is_too_long_is_refused_with_90001(
    till: AdyenTill, sandbox: SandboxProcess, reference: str
) -> None:
    long = reference.ljust(36, "x")
    refused = till.pay("8.00", long)
    assert "90001" in reason(refused)
    assert "35" in reason(refused)
    assert charged(sandbox.card, long) == []
    assert till.pay("8.00", long[:35]).result == ("Success", None)


@pytest.mark.parametrize(
    ("currency", "field"),
    [("EURO", "Currency"), ("XXX", "Currency"), ("USD", "Currency")],
)
def test_a_currency_that_the_terminal_does_not_have(
    till: AdyenTill, sandbox: SandboxProcess, reference: str, currency: str, field: str
) -> None:
    refused = till.pay("8.00", reference, currency=currency)
    assert refused.body["Response"]["Result"] == "Failure"
    assert field in refused.body["Response"]["AdditionalResponse"]
    assert charged(sandbox.card, reference) == []


@pytest.mark.parametrize("amount", ["8.001", "-8.00", "100000000"])
def test_an_amount_that_cannot_be(
    till: AdyenTill, sandbox: SandboxProcess, reference: str, amount: str
) -> None:
    assert "RequestedAmount" in reason(till.pay(amount, reference))
    assert charged(sandbox.card, reference) == []


def test_a_terminal_that_is_not_there(till: AdyenTill, reference: str) -> None:
    nowhere = replace(till, poi_id="V1-9999")
    assert nowhere.pay("8.00", reference).result == ("Failure", "NotAllowed")


def test_a_service_that_is_not_offered(till: AdyenTill, reference: str) -> None:
    assert till.pay("8.00", reference, type="Instalment").result == (
        "Failure",
        "UnavailableService",
    )


def test_a_message_under_another_passphrase_is_refused(
    program: Program, sandbox: SandboxProcess, reference: str
) -> None:
    till = AdyenTill(program, "encrypted", sandbox.card["nexo"]["poi_id"])
    with pytest.raises(NoAnswerError) as refused:
        till.pay("8.00", reference, passphrase="not that of the terminal")
    assert refused.value.status == 403
    assert charged(sandbox.card, reference) == []
    assert till.pay("8.00", reference).result == ("Success", None)
