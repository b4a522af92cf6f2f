"""`S` tells no amount, so it is sent only if what it would undo is what shall be undone."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.kit.runner import virtual
from tests.unit.ecr17.driver import pos
from tests.unit.ecr17.driver.pos import ack, both, result
from tests.unit.ecr17.driver.till import Till, approved, payment, till
from tillwire.core.model import Evidence, Outcome, State, Transaction, TransactionType, Verdict
from tillwire.dialects.ecr17 import wire
from tillwire.errors import NotDelivered, Proof


@virtual()
async def test_a_reversal_names_the_stan() -> None:
    counter = await till()
    sale = approved(4250)
    counter.notes.known = [sale]
    counter.pos.saved = pos.approval(
        wire.ExtendedPaymentRequest(tid=pos.TID, cash_register="00000001", amount=4250), "000123"
    )
    void = payment(4250, type=TransactionType.REVERSAL, original_id=sale.id)
    outcome = await counter.run(void)
    assert (outcome.verdict, outcome.approved_amount) == (Verdict.APPROVED, 4250)
    assert outcome.authorisation_code == ""
    assert counter.pos.of("S")[0].stan == "000123"


@virtual()
async def test_only_the_last_transaction_is_reversed() -> None:
    counter = await till()
    sale = approved(4250)
    void = payment(4250, type=TransactionType.REVERSAL, original_id=sale.id)
    counter.notes.known = [approved(100, id="1773400000000999999999999999999"), sale]
    with pytest.raises(NotDelivered, match="last transaction alone, and did others"):
        await counter.run(void)
    counter.notes.known = [sale]
    counter.pos.saved = pos.approval(
        wire.ExtendedPaymentRequest(tid=pos.TID, cash_register="00000009", amount=1), "000200"
    )
    with pytest.raises(NotDelivered, match="STAN is 000200") as refused:
        await counter.run(void)
    assert refused.value.proof is Proof.NEVER_SENT
    assert counter.pos.of("S") == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"terminal_id": "t2"}, "Only the terminal that did it"),
        ({"outcome": None}, "STAN of its original"),
        ({"type": TransactionType.INCREMENT}, "cannot reverse a INCREMENT"),
        ({"outcome": Outcome(Verdict.APPROVED, approved_amount=9, handle={"stan": "1"})}, "whole"),
    ],
)
@virtual()
async def test_what_cannot_be_reversed_is_not_tried(changes: dict[str, Any], words: str) -> None:
    counter = await till()
    sale = approved(4250, **changes)
    counter.notes.known = [sale]
    with pytest.raises(NotDelivered, match=words):
        await counter.run(payment(4250, type=TransactionType.REVERSAL, original_id=sale.id))
    assert counter.pos.connections == 0


def follower(
    type_: TransactionType, state: State = State.APPROVED, terminal_id: str = "t2"
) -> Transaction:
    """What was done with the original since, at another terminal."""
    made = approved(
        5000,
        id="1773400000000999999999999999999",
        type=type_,
        original_id=approved().id,
        terminal_id=terminal_id,
    )
    if state is State.APPROVED:
        return made
    return msgspec.structs.replace(made, state=state, outcome=None)


def saved_by(counter: Till, request: wire.Request, **changes: Any) -> None:
    """What the terminal says to be its last result."""
    counter.pos.saved = pos.approval(request, "000123", **changes)


RESERVED = wire.PreauthorisationRequest(tid=pos.TID, cash_register="00000001", amount=10_000)
PAID = wire.ExtendedPaymentRequest(tid=pos.TID, cash_register="00000001", amount=4250)


@pytest.mark.parametrize(
    "since",
    [
        (TransactionType.INCREMENT, State.APPROVED),
        (TransactionType.CAPTURE, State.APPROVED),
        (TransactionType.INCREMENT, State.SENT),
        (TransactionType.CAPTURE, State.UNKNOWN),
        (TransactionType.INCREMENT, State.ACCEPTED),
    ],
)
@virtual()
async def test_what_another_terminal_changes_is_not_reversed_here(
    since: tuple[TransactionType, State],
) -> None:
    counter = await till()
    held = approved(10_000, type=TransactionType.PREAUTH)
    counter.notes.known = [follower(*since), held]
    saved_by(counter, RESERVED)
    void = payment(10_000, type=TransactionType.REVERSAL, original_id=held.id)
    with pytest.raises(NotDelivered, match="did in one") as refused:
        await counter.run(void)
    assert refused.value.proof is Proof.NEVER_SENT
    assert counter.pos.of("S") == []


@pytest.mark.parametrize(
    "since",
    [
        [],
        [(TransactionType.INCREMENT, State.DECLINED)],
        [(TransactionType.CAPTURE, State.FAILED)],
    ],
)
@virtual()
async def test_a_reservation_that_nothing_has_changed_is_reversed(
    since: list[tuple[TransactionType, State]],
) -> None:
    counter = await till()
    held = approved(10_000, type=TransactionType.PREAUTH)
    void = payment(10_000, type=TransactionType.REVERSAL, original_id=held.id)
    counter.notes.known = [void, *(follower(*each) for each in since), held]
    saved_by(counter, RESERVED)
    assert (await counter.run(void)).approved_amount == 10_000


@virtual()
async def test_a_reservation_that_this_terminal_has_raised_is_not_reversed() -> None:
    counter = await till()
    held = approved(10_000, type=TransactionType.PREAUTH)
    more = follower(TransactionType.INCREMENT, terminal_id="t1")
    counter.notes.known = [more, held]
    for amount in (10_000, 15_000):
        with pytest.raises(NotDelivered):
            await counter.run(payment(amount, type=TransactionType.REVERSAL, original_id=held.id))
    assert counter.pos.of("S") == []


@virtual()
async def test_what_was_reserved_in_part_is_reversed_as_what_it_was() -> None:
    counter = await till()
    counter.pos.will("p", both(ack, result(amount=8000)))
    outcome = await counter.run(payment(10_000, type=TransactionType.PREAUTH))
    held = approved(10_000, type=TransactionType.PREAUTH, outcome=outcome)
    assert held.approved_amount == 8000
    counter.notes.known = [held]
    with pytest.raises(NotDelivered, match="whole"):
        await counter.run(payment(10_000, type=TransactionType.REVERSAL, original_id=held.id))
    void = payment(8000, type=TransactionType.REVERSAL, original_id=held.id)
    assert (await counter.run(void)).approved_amount == 8000


@pytest.mark.parametrize(("told", "sent"), [(4250, True), (4675, False), (None, True)])
@virtual()
async def test_what_was_of_another_amount_to_the_terminal_is_not_reversed(
    told: int | None, sent: bool
) -> None:
    counter = await till()
    sale = approved(4250)
    counter.notes.known = [sale]
    saved_by(counter, PAID, amount=told, action_code="" if told is None else "000")
    void = payment(4250, type=TransactionType.REVERSAL, original_id=sale.id)
    if sent:
        assert (await counter.run(void)).approved_amount == 4250
    else:
        with pytest.raises(NotDelivered, match=r"would reverse 46\.75 EUR, and 42\.50 EUR"):
            await counter.run(void)
    assert len(counter.pos.of("S")) == sent


@virtual()
async def test_what_a_person_decided_has_no_stan_and_is_not_reversed() -> None:
    counter = await till()
    decided = Outcome(Verdict.APPROVED, evidence=Evidence.PERSON, approved_amount=4250)
    sale = approved(4250, outcome=decided)
    counter.notes.known = [sale]
    with pytest.raises(NotDelivered, match="STAN of its original"):
        await counter.run(payment(4250, type=TransactionType.REVERSAL, original_id=sale.id))
