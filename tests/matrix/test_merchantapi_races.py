"""Fifty of the same at the same instant, over real sockets: one winner each."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar

import pytest

from tests.kit.sandbox_process import SandboxProcess
from tests.kit.shop_front import OPEN, PolledTerminal, Till, charged
from tests.matrix.history import events

T = TypeVar("T")

CROWD: Final = 50
HALF: Final = CROWD // 2
ROUNDS: Final = 5

CANCELLED: Final = ("CANCELLED", None)


def at_once(*calls: Callable[[], T]) -> list[T]:
    """Make all calls at the same instant; what came of each, in their order."""
    start = threading.Barrier(len(calls))

    def one(call: Callable[[], T]) -> T:
        start.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as crowd:
        return list(crowd.map(one, calls))


@pytest.fixture
def terminal(sandbox: SandboxProcess) -> Iterator[PolledTerminal]:
    """A terminal that fetches, with nothing on it before and after."""
    played = PolledTerminal(sandbox.card)
    yield played
    left = played.poll()
    if left.status == 200:
        finish(played, left.json["id"])
    assert left.status == 204, f"the test left it with {left.json}"


@pytest.fixture
def till(sandbox: SandboxProcess, terminal: PolledTerminal) -> Till:
    """The till at that terminal."""
    return Till(sandbox.card, terminal.name)


def finish(terminal: PolledTerminal, transaction_id: str) -> None:
    """Let the terminal end what it has fetched."""
    assert terminal.tell(transaction_id, "cancelled").status == 200


def test_fifty_cancellations_have_one_winner(
    sandbox: SandboxProcess, terminal: PolledTerminal, till: Till
) -> None:
    sale = till.start("cancelled by many", 1000)
    answers = at_once(*[lambda: till.cancel(sale)] * CROWD)
    assert Counter(each.status for each in answers) == {204: 1, 409: CROWD - 1}
    assert read(till, sale) == CANCELLED
    assert terminal.poll().status == 204, "what was cancelled is not handed out"
    assert events(sandbox.directory, sale)["abort"] == 1


def test_fifty_fetches_dispatch_once(
    sandbox: SandboxProcess, terminal: PolledTerminal, till: Till
) -> None:
    sale = till.start("fetched by many", 1000)
    answers = at_once(*[terminal.poll] * CROWD)
    handed = [each.json for each in answers if each.status == 200]
    assert {each.status for each in answers} <= {200, 204}
    assert {each["id"] for each in handed} == {sale}, "it is handed out, and nothing else is"
    assert events(sandbox.directory, sale)["dispatch"] == 1, (
        "on its way once; the others hear of it again"
    )
    finish(terminal, sale)


def test_fifty_creates_leave_one_waiting(terminal: PolledTerminal, till: Till) -> None:
    answers = at_once(*[lambda: till.ask("created by many", 1000)] * CROWD)
    assert {each.status for each in answers} == {201}
    ids = {each.json["id"] for each in answers}
    assert len(ids) == CROWD
    found = {each["id"]: each["status"] for each in till.look_up("created by many")}
    assert found.keys() == ids
    assert Counter(found.values()) == {OPEN: 1, "CANCELLED": CROWD - 1}
    (waiting,) = [each for each, status in found.items() if status == OPEN]
    assert terminal.fetch()["id"] == waiting, "the terminal receives the last one only"
    finish(terminal, waiting)


def test_fifty_creates_with_one_idempotency_key_are_one(
    terminal: PolledTerminal, till: Till
) -> None:
    headers = {"Idempotency-Key": "the-same-for-all"}
    answers = at_once(*[lambda: till.ask("repeated", 1000, headers=headers)] * CROWD)
    assert {each.status for each in answers} == {201}
    (sale,) = {each.json["id"] for each in answers}
    assert [each["id"] for each in till.look_up("repeated")] == [sale]
    assert till.ask("another", 1000, headers=headers).status == 409, "the key is taken"
    assert till.cancel(sale).status == 204


def test_fifty_creates_with_one_idempotency_key_charge_once(sandbox: SandboxProcess) -> None:
    till = Till(sandbox.card, "TILLWIRE-V1-0003")
    headers = {"Idempotency-Key": "the-same-for-all-who-pay"}
    answers = at_once(*[lambda: till.ask("paid by many", 1000, headers=headers)] * CROWD)
    (sale,) = {each.json["id"] for each in answers}
    assert till.follow(sale)["result"] == "APPROVED"
    assert charged(sandbox.card, "paid by many") == [1000]


def test_cancellations_and_fetches_have_one_winner(terminal: PolledTerminal, till: Till) -> None:
    for number in range(ROUNDS):
        sale = till.start(f"cancelled or fetched {number}", 1000)
        answers = at_once(*[partial(till.cancel, sale)] * HALF, *[terminal.poll] * HALF)
        cancelled = Counter(each.status for each in answers[:HALF])
        fetched = Counter(each.status for each in answers[HALF:])
        if cancelled[204]:
            assert (cancelled, fetched) == ({204: 1, 409: HALF - 1}, {204: HALF})
            assert read(till, sale) == CANCELLED
        else:
            assert cancelled == {409: HALF}
            assert fetched[200] >= 1
            assert read(till, sale) == (OPEN, None)
            finish(terminal, sale)


def test_fetches_that_race_with_a_newer_sale_get_exactly_one_of_both(
    terminal: PolledTerminal, till: Till
) -> None:
    for number in range(ROUNDS):
        older = till.start(f"older {number}", 1000)
        answers = at_once(partial(till.ask, f"newer {number}", 2000), *[terminal.poll] * HALF)
        newer = answers[0].json["id"]
        handed = {each.json["id"] for each in answers[1:] if each.status == 200}
        assert len(handed) == 1, "never both, and there is always one to be had"
        if handed == {older}:
            assert read(till, newer) == (OPEN, None), "it waits behind"
            finish(terminal, older)
            assert terminal.fetch()["id"] == newer
        else:
            assert handed == {newer}
            assert read(till, older) == CANCELLED
        finish(terminal, newer)


def test_ten_refunds_at_once_never_give_back_more_than_was_paid(sandbox: SandboxProcess) -> None:
    paid_at = Till(sandbox.card, "TILLWIRE-V1-0004")
    paid = paid_at.start("paid once", 1000)
    paid_at.follow(paid)
    tills = [Till(sandbox.card, f"TILLWIRE-V1-000{number}") for number in (3, 4, 5)]
    asked = [
        partial(tills[number % 3].ask, f"back {number}", 300, kind="REFUND", original=paid)
        for number in range(10)
    ]
    answers = at_once(*asked)
    # One that took another's place in the same terminal's queue was accepted, too.
    assert {each.status for each in answers} <= {201, 409}
    refunds = [
        till.follow(each["id"])
        for till in tills
        for each in till.listed()
        if each.get("reference") == {"id": paid}
    ]
    assert len(refunds) == sum(each.status == 201 for each in answers)
    approved = [each for each in refunds if each.get("result") == "APPROVED"]
    assert 1 <= len(approved) <= 3
    back = [minor for number in range(10) for minor in charged(sandbox.card, f"back {number}")]
    assert sum(back) == 300 * len(approved) <= 1000


def read(till: Till, sale: str) -> tuple[str, str | None]:
    """Status and result."""
    told = till.read(sale)
    return told["status"], told.get("result")
