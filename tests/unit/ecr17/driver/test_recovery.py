"""The ladder: `s`, then `G`, whose result counts only if nothing else can be meant."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec
import pytest

from tests.kit.runner import virtual
from tests.kit.virtual_loop import virtual_loop
from tests.unit.ecr17.driver import pos
from tests.unit.ecr17.driver.pos import ack, both, charge_alone, nak, refuse, result, silent
from tests.unit.ecr17.driver.till import HEADING, Till, approved, payment, till
from tillwire.clock import Instant, instant
from tillwire.core.model import State, Transaction, TransactionType, Verdict
from tillwire.core.ports import Absent, CannotTell, Found
from tillwire.dialects.ecr17 import wire
from tillwire.dialects.ecr17.driver.reading import is_within, moment
from tillwire.dialects.ecr17.wire import HostTime
from tillwire.errors import AnswerLost, Proof
from tillwire.money import Money

BEFORE: Final = wire.ExtendedPaymentRequest(tid=pos.TID, cash_register="00000009", amount=4250)


async def lost(act: pos.Act, **settings: Any) -> tuple[Till, Transaction]:
    """A payment of 42.50 whose answer was lost, and what the terminal did with it."""
    counter = await till(**settings)
    counter.pos.saved = pos.approval(BEFORE, "000123")
    counter.pos.will("X", act)
    transaction = payment(4250)
    with pytest.raises(AnswerLost):
        await counter.run(transaction)
    return counter, transaction


def past(transaction: Transaction) -> None:
    """Let the time pass in which the terminal may be at work."""
    assert transaction.deadline is not None
    virtual_loop().jump((transaction.deadline - virtual_loop().clock.now()) / 1000 + 1)


@virtual()
async def test_the_result_that_can_only_be_ours_is_ours() -> None:
    counter, transaction = await lost(both(ack, charge_alone, pos.hang_up))
    found = await counter.recover(transaction)
    assert isinstance(found, Found)
    assert (found.outcome.verdict, found.outcome.approved_amount) == (Verdict.APPROVED, 4250)
    assert found.outcome.stan == "000124"
    assert counter.pos.codes == "GXsG"


@virtual()
async def test_the_first_one_of_a_terminal() -> None:
    counter = await till()
    counter.pos.will("X", both(charge_alone, pos.hang_up))
    transaction = payment()
    with pytest.raises(AnswerLost):
        await counter.run(transaction)
    assert counter.notes.peer["last_stan"] == "none"
    assert isinstance(await counter.recover(transaction), Found)


@virtual()
async def test_a_reservation_is_found_by_its_amount() -> None:
    counter = await till()
    counter.pos.will("p", both(charge_alone, pos.hang_up))
    transaction = payment(type=TransactionType.PREAUTH)
    with pytest.raises(AnswerLost):
        await counter.run(transaction)
    found = await counter.recover(transaction)
    assert isinstance(found, Found)
    assert found.outcome.handle["preauthorisation_code"] == "987654321"


def _told(**changes: Any) -> pos.Act:
    """It is done, saved so, and nobody hears of it."""

    async def act(connection: pos.Wire, request: wire.Request) -> None:
        connection.pos.charge(request, **changes)
        raise pos.HangUp

    return act


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"amount": 4251}, "is of 42.51 EUR"),
        ({"amount": None, "action_code": ""}, "no answer to X"),
        ({"host_time": None}, "not of the time"),
        ({"host_time": HostTime(73, 10, 13)}, "not of the time"),
        ({"host_time": HostTime(73, 10, 35)}, "not of the time"),
        ({"host_time": HostTime(72, 10, 20)}, "not of the time"),
        ({"stan": ""}, "no STAN"),
        ({"stan": "000123"}, "still the one before"),
        ({"kind": wire.ReversalResult}, "no answer to X"),
        ({"kind": wire.CaptureResult}, "no answer to X"),
        ({"tid": "87654321"}, "87654321"),
    ],
)
@virtual()
async def test_whatever_may_be_another_is_for_a_person(changes: Any, words: str) -> None:
    counter, transaction = await lost(_told(**changes), tid="12345678")
    found = await counter.recover(transaction)
    assert isinstance(found, CannotTell)
    assert not found.needs_person  # the terminal may still be at work
    past(transaction)
    found = await counter.recover(transaction)
    assert isinstance(found, CannotTell)
    if "tid" not in changes:
        assert found.needs_person
        assert "then decide" in found.detail
    assert words in found.detail


@pytest.mark.parametrize("when", [HostTime(73, 10, 20), HostTime(73, 10, 15), HostTime(73, 10, 25)])
@virtual()
async def test_clocks_may_differ_a_little(when: HostTime) -> None:
    counter, transaction = await lost(_told(host_time=when))
    assert isinstance(await counter.recover(transaction), Found)


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ("2026-12-31T22:58:30+00:00", HostTime(365, 23, 59)),
        ("2026-12-31T22:59:30+00:00", HostTime(1, 0, 0)),
        ("2028-12-31T22:58:30+00:00", HostTime(366, 23, 59)),
        ("2026-10-25T00:30:00+00:00", HostTime(298, 2, 30)),
        ("2026-10-25T01:30:00+00:00", HostTime(298, 2, 30)),
        ("2026-07-29T13:20:00+00:00", HostTime(210, 15, 20)),
    ],
)
def test_the_hosts_clock_tells_no_year_and_no_zone(sent: str, told: HostTime) -> None:
    at = instant(datetime.fromisoformat(sent))
    transaction = Transaction(
        id="1",
        version=1,
        organisation_id="o",
        terminal_id="t1",
        dialect="test",
        type=TransactionType.PURCHASE,
        state=State.SENT,
        amount=Money(1, "EUR"),
        reference="",
        heading=HEADING,
        created_at=at,
        sent_at=at,
    )
    now = Instant(at + 60_000)
    assert is_within(told, transaction, now, 0)
    assert not is_within(
        HostTime(told.day, told.hour, (told.minute + 30) % 60), transaction, now, 5
    )
    found = moment(told, transaction)
    assert found is not None
    assert abs(found - at) <= 60_000


@virtual()
async def test_a_terminal_that_recorded_nothing_new_is_asked_until_it_must_be_over() -> None:
    counter, transaction = await lost(both(ack, pos.hang_up))
    found = await counter.recover(transaction)
    assert isinstance(found, CannotTell)
    assert "recorded nothing new" in found.detail
    assert not found.needs_person
    counter.pos.charge(counter.pos.of("X")[0])  # the customer took a while
    assert isinstance(await counter.recover(transaction), Found)


@virtual()
async def test_nothing_new_for_good_is_for_a_person() -> None:
    counter, transaction = await lost(silent)
    past(transaction)
    found = await counter.recover(transaction)
    assert isinstance(found, CannotTell)
    assert found.needs_person
    assert "recorded nothing new" in found.detail
    assert "NEXI-P61B-7" in found.detail


@virtual()
async def test_a_refusal_that_is_repeated_tells_no_time() -> None:
    counter, transaction = await lost(both(ack, pos.hang_up))
    request = counter.pos.of("X")[0]
    counter.pos.saved = pos.refusal(request, "01", "NEGATA", stan="000124")
    past(transaction)
    found = await counter.recover(transaction)
    assert isinstance(found, CannotTell)
    assert found.needs_person


@pytest.mark.parametrize("act", [nak, silent, pos.hang_up])
@virtual()
async def test_a_terminal_that_does_not_say_how_it_is_is_asked_again(act: pos.Act) -> None:
    counter, transaction = await lost(both(charge_alone, pos.hang_up))
    past(transaction)
    counter.pos.will("s", *[act] * (3 if act is nak else 1))
    found = await counter.recover(transaction)
    assert isinstance(found, CannotTell)
    assert not found.needs_person
    assert counter.pos.codes.count("G") == 1


@virtual()
async def test_a_terminal_that_does_not_repeat_its_last_result() -> None:
    counter, transaction = await lost(both(charge_alone, pos.hang_up))
    counter.pos.will("G", *[nak] * 6, silent)
    found = await counter.recover(transaction)
    assert isinstance(found, CannotTell)
    assert not found.needs_person
    past(transaction)
    found = await counter.recover(transaction)
    assert isinstance(found, CannotTell)
    assert found.needs_person
    found = await counter.recover(transaction)
    assert isinstance(found, CannotTell)
    assert not found.needs_person  # silent: it may come back


@virtual()
async def test_a_terminal_out_of_order_is_told() -> None:
    counter, transaction = await lost(both(ack, pos.hang_up))
    past(transaction)
    state = wire.StatusResult(tid=pos.TID, state="4")
    counter.pos.will("s", both(ack, pos.say(state)))
    found = await counter.recover(transaction)
    assert isinstance(found, CannotTell)
    assert "state is 4" in found.detail


@virtual()
async def test_a_shared_terminal_tells_nothing() -> None:
    counter, transaction = await lost(both(charge_alone, pos.hang_up), shared=True)
    heard = len(counter.pos.heard)
    found = await counter.recover(transaction)
    assert isinstance(found, CannotTell)
    assert found.needs_person
    assert len(counter.pos.heard) == heard


@virtual()
async def test_an_unknown_stan_before_tells_nothing() -> None:
    counter, transaction = await lost(both(charge_alone, pos.hang_up), last_stan="journal")
    past(transaction)
    found = await counter.recover(transaction)
    assert isinstance(found, CannotTell)
    assert "the one before is not known" in found.detail


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (TransactionType.INCREMENT, "i"),
        (TransactionType.CAPTURE, "c"),
        (TransactionType.REVERSAL, "S"),
        (TransactionType.REFUND, "A"),
    ],
)
@virtual()
async def test_what_tells_no_amount_is_for_a_person(kind: TransactionType, code: str) -> None:
    counter = await till(refund=True, last_stan="journal")
    original = approved(4250, type=TransactionType.PREAUTH)
    counter.notes.known = [original]
    counter.pos.will(code, both(ack, charge_alone, pos.hang_up))
    transaction = payment(4250, type=kind, original_id=original.id)
    with pytest.raises(AnswerLost):
        await counter.run(transaction)
    past(transaction)
    found = await counter.recover(transaction)
    assert isinstance(found, CannotTell)
    assert found.needs_person
    assert counter.pos.codes.count(code) == 1


@virtual()
async def test_what_is_not_in_the_journal_was_never_sent() -> None:
    counter = await till()
    found = await counter.recover(payment())
    assert isinstance(found, Absent)
    assert found.proof is Proof.NEVER_SENT
    assert counter.pos.connections == 0


@virtual()
async def test_what_was_heard_before_a_crash_is_in_the_journal() -> None:
    counter = await till(receipts="till")
    outcome = await counter.run(payment())
    heard = len(counter.pos.heard)
    found = await counter.recover(payment())
    assert isinstance(found, Found)
    assert found.outcome == msgspec.structs.replace(outcome, receipts=None)
    assert len(counter.pos.heard) == heard
    counter.pos.will("X", both(ack, refuse("01", "NEGATA")))
    refused = await counter.run(payment())
    again = await counter.recover(payment())
    assert again == Found(refused)


@virtual()
async def test_nothing_that_moves_money_is_sent_again() -> None:
    counter, transaction = await lost(both(charge_alone, pos.hang_up))
    counter.pos.will("X", result())
    for _ in range(3):
        await counter.recover(transaction)
    assert counter.pos.charged == ["000124"]
    assert len(counter.pos.of("X")) == 1
