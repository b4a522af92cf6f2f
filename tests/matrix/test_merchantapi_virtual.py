"""MerchantAPI x virtual terminals, over real sockets: what each ending becomes for the till, and
that the acquirer's ledger says the same."""

from __future__ import annotations

import time

import pytest

from tests.kit.sandbox_process import SandboxProcess
from tests.kit.shop_front import ENDS_WITHIN, Till, charged, ledger
from tests.matrix.endings import PURCHASES, REFUNDS, check
from tests.matrix.history import events

TERMINALS = {"PURCHASE": "TILLWIRE-V1-0001", "REFUND": "TILLWIRE-V1-0002"}
FORGETTING = {"PURCHASE": "TILLWIRE-V1-0006", "REFUND": "TILLWIRE-V1-0007"}
"""Terminals that stay blocked by a transaction whose outcome nobody knows."""
FORGETS = 47
EXPECTED = {"PURCHASE": PURCHASES, "REFUND": REFUNDS}
CASES = [(kind, ending) for kind, endings in EXPECTED.items() for ending in endings]


@pytest.mark.parametrize(("kind", "ending"), CASES)
def test_a_transaction_ends_as_its_amount_says(
    sandbox: SandboxProcess, kind: str, ending: int
) -> None:
    expected = EXPECTED[kind][ending]
    reference = f"{kind}-{ending:02d}"
    till = Till(sandbox.card, (FORGETTING if ending == FORGETS else TERMINALS)[kind])
    sale = till.start(reference, 1000 + ending, kind=kind)
    if ending == FORGETS:
        until_a_person_is_needed(sandbox, sale)
        told = till.read(sale)
    else:
        told = till.follow(sale)
    check(told, expected)
    assert till.look_up(reference) == [told], "the listing says what the status says"
    assert charged(sandbox.card, reference) == ([expected.moved] if expected.moved else [])
    for entry in ledger(sandbox.card, reference):
        assert (entry["type"], entry["currency"]) == (kind, "EUR")
        assert entry["terminal"] == told_terminal(till)
    if ending == FORGETS:
        assert till.cancel(sale).status == 409, "nobody may call it cancelled"
        blocked = till.ask("the next one", 1000)
        assert blocked.status == 409
        assert sale in blocked.json["detail"], "the refusal names what blocks the terminal"


def until_a_person_is_needed(sandbox: SandboxProcess, sale: str) -> None:
    """The gateway has found out that nobody knows what became of the sale."""
    end = time.monotonic() + ENDS_WITHIN
    while not events(sandbox.directory, sale)["needs_person"]:
        assert time.monotonic() < end, events(sandbox.directory, sale)


def told_terminal(till: Till) -> str:
    """The terminal's name in the address."""
    return till.url.rpartition("/")[2]


def test_a_referenced_refund_gives_back_no_more_than_was_paid(sandbox: SandboxProcess) -> None:
    till = Till(sandbox.card, TERMINALS["PURCHASE"])
    paid = till.start("to give back", 1000)
    till.follow(paid)
    back = till.start("give back", 600, kind="REFUND", original=paid)
    assert till.follow(back)["reference"] == {"id": paid}
    assert till.ask("too much", 401, kind="REFUND", original=paid).status == 409
    rest = till.start("the rest", 400, kind="REFUND", original=paid)
    assert till.follow(rest)["result"] == "APPROVED"
    assert charged(sandbox.card, "give back") + charged(sandbox.card, "the rest") == [600, 400]
    assert charged(sandbox.card, "too much") == []


def test_a_refund_may_run_on_another_terminal(sandbox: SandboxProcess) -> None:
    paid = Till(sandbox.card, TERMINALS["PURCHASE"]).start("paid here", 1000)
    Till(sandbox.card, TERMINALS["PURCHASE"]).follow(paid)
    there = Till(sandbox.card, TERMINALS["REFUND"])
    back = there.start("given back there", 1000, kind="REFUND", original=paid)
    assert there.follow(back)["result"] == "APPROVED"


def test_a_slow_cardholder_can_be_called_off_until_the_card_is_there(
    sandbox: SandboxProcess,
) -> None:
    till = Till(sandbox.card, TERMINALS["PURCHASE"])
    sale = till.start("no card ever", 1044)  # 30 s in vain, at this pace 0.3 s
    status = till.cancel(sale).status
    told = till.follow(sale)
    assert (told["status"], told.get("result")) == ("CANCELLED", None)
    assert status in (204, 409), "too late when the terminal has given up by itself"
    assert till.cancel(sale).status == 409, "cancelled once is enough"
    assert charged(sandbox.card, "no card ever") == []
