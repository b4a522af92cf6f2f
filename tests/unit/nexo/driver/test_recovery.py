"""From UNKNOWN to fact: TransactionStatus until it says something definite."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any, Final

import pytest

from tests.kit.faults import Connect, Faults, Noticed, scripted
from tests.kit.runner import virtual
from tests.kit.virtual_loop import virtual_loop
from tests.unit.nexo.driver import poi
from tests.unit.nexo.driver.poi import (
    PORT,
    Poi,
    amounts,
    approve,
    do_it_and_lose_the_answer,
    event,
    fail,
)
from tests.unit.nexo.driver.till import Till, approved, payment, till
from tillwire.core.model import Evidence, State, TransactionType, Verdict
from tillwire.core.ports import Absent, CannotTell, Found
from tillwire.errors import AnswerLost, Proof

BINDINGS: Final[dict[str, dict[str, Any]]] = {"tcp": {}, "held": {"tls": False}, "http": {}}
every_binding = pytest.mark.parametrize("binding", BINDINGS)


async def lose(counter: Till, act: poi.Act = do_it_and_lose_the_answer) -> None:
    """Let a payment's answer be lost with its line."""

    async def and_hang_up(there: Poi, message: Any, send: poi.Send) -> None:
        await act(there, message, poi._nowhere)
        raise poi.HangUp if counter.flat is None else poi.Http(500)

    counter.poi.will("Payment", and_hang_up)
    with pytest.raises(AnswerLost):
        await counter.run(payment())


async def recovered(counter: Till) -> Found | Absent | CannotTell:
    """What a question finds out now."""
    return await counter.driver.recover(counter.lost(payment()))


@every_binding
@virtual()
async def test_a_lost_approval_is_found(binding: str) -> None:
    counter = await till(binding, **BINDINGS[binding])
    await lose(counter)
    found = await recovered(counter)
    assert isinstance(found, Found)
    assert (found.outcome.verdict, found.outcome.approved_amount) == (Verdict.APPROVED, 4250)
    assert found.outcome.evidence is Evidence.RECOVERED
    assert found.outcome.handle["poi_transaction_id"].startswith("P-")
    assert list(counter.poi.charged.values()) == [1]


@every_binding
@pytest.mark.parametrize("condition", ["Refusal", "Cancel", "Aborted", "UnreachableHost"])
@virtual()
async def test_a_lost_failure_is_found(binding: str, condition: str) -> None:
    counter = await till(binding, **BINDINGS[binding])
    await lose(counter, fail(condition))
    found = await recovered(counter)
    assert isinstance(found, Found)
    assert found.outcome.verdict is not Verdict.APPROVED


@virtual()
async def test_a_lost_refusal_is_a_proof() -> None:
    counter = await till()
    await lose(counter, fail("UnavailableDevice"))
    found = await recovered(counter)
    assert isinstance(found, Absent)
    assert found.proof is Proof.REFUSED_BY_PEER


@virtual()
async def test_another_driver_of_the_same_journal_finds_it_as_well() -> None:
    counter = await till()
    await lose(counter)
    after_a_restart = Till(counter.poi)
    after_a_restart.notes.numbers += 1000
    found = await after_a_restart.driver.recover(counter.lost(payment()))
    assert isinstance(found, Found)


@virtual()
async def test_what_was_never_given_an_id_was_never_sent() -> None:
    counter = await till()
    found = await counter.driver.recover(payment(state=State.UNKNOWN))
    assert isinstance(found, Absent)
    assert found.proof is Proof.NEVER_SENT
    assert counter.poi.heard == []


@pytest.mark.parametrize("condition", ["InProgress", "Busy", "UnreachableHost", "Invented"])
@virtual()
async def test_what_is_no_answer_means_ask_again(condition: str) -> None:
    counter = await till()
    await lose(counter)
    counter.poi.will("TransactionStatus", fail(condition, remembered=False))
    found = await recovered(counter)
    assert isinstance(found, CannotTell)
    assert not found.needs_person
    assert condition in found.detail
    assert isinstance(await recovered(counter), Found)


@pytest.mark.parametrize("condition", ["LoggedOut", "NotAllowed"])
@virtual()
async def test_who_is_not_logged_in_logs_in_and_asks_again(condition: str) -> None:
    counter = await till()
    await lose(counter)
    counter.poi.will("TransactionStatus", fail(condition, remembered=False))
    assert isinstance(await recovered(counter), Found)
    kinds = [each.header.message_category for each in counter.poi.heard[1:]]
    assert kinds == ["TransactionStatus", "Login", "TransactionStatus"]


@virtual()
async def test_a_login_that_does_not_help_means_ask_again() -> None:
    counter = await till()
    await lose(counter)
    counter.poi.will("TransactionStatus", *[fail("LoggedOut", remembered=False)] * 2)
    assert isinstance(await recovered(counter), CannotTell)
    assert isinstance(await recovered(counter), Found)


@virtual()
async def test_a_login_that_is_refused_means_ask_again() -> None:
    counter = await till()
    await lose(counter)
    counter.poi.will("TransactionStatus", fail("LoggedOut", remembered=False))
    counter.poi.will("Login", fail("Busy", remembered=False))
    found = await recovered(counter)
    assert isinstance(found, CannotTell)
    assert "Busy" in found.detail


@virtual()
async def test_what_the_terminal_does_not_know_is_never_a_proof() -> None:
    counter = await till()
    await lose(counter, poi.silent)
    lost = counter.lost(payment())
    found = await counter.driver.recover(lost)
    assert isinstance(found, CannotTell)
    assert not found.needs_person
    await asyncio.sleep(20)
    assert isinstance(found := await counter.driver.recover(lost), CannotTell)
    assert not found.needs_person, "it may have been on its way until ten seconds after send_by"
    await asyncio.sleep(0.001)
    assert isinstance(found := await counter.driver.recover(lost), CannotTell)
    assert found.needs_person
    assert counter.notes.peer["service_id"] in found.detail


@every_binding
@pytest.mark.parametrize("connect", [Connect.REFUSE, Connect.SILENCE])
@virtual()
async def test_a_terminal_that_is_not_there_cannot_tell(binding: str, connect: Connect) -> None:
    counter = await till(binding, **BINDINGS[binding])
    await lose(counter)
    virtual_loop().network.faults = lambda port, number: Faults(connect=connect)
    begun = virtual_loop().time()
    found = await recovered(counter)
    assert isinstance(found, CannotTell)
    assert not found.needs_person
    assert virtual_loop().time() - begun <= 8
    virtual_loop().network.faults = scripted({PORT: ()})
    assert isinstance(await recovered(counter), Found)


@every_binding
@virtual()
async def test_a_terminal_that_is_silent_cannot_tell(binding: str) -> None:
    counter = await till(binding, **BINDINGS[binding])
    await lose(counter)
    counter.poi.will("TransactionStatus", poi.wait(1000))
    begun = virtual_loop().time()
    assert isinstance(await recovered(counter), CannotTell)
    assert virtual_loop().time() - begun == pytest.approx(8)


@pytest.mark.parametrize(
    "act", [poi.hang_up, event("Reject"), poi.say(lambda _: b"\0\0\0\0"), poi.say(lambda _: b"x")]
)
@virtual()
async def test_a_broken_answer_cannot_tell(act: poi.Act) -> None:
    counter = await till()
    await lose(counter)
    counter.poi.will("TransactionStatus", act)
    assert isinstance(await recovered(counter), CannotTell)


@virtual()
async def test_the_longest_question_fits_into_the_engines_patience() -> None:
    counter = await till(answer_seconds=9.0)
    await lose(counter)
    slow = 8.9
    counter.poi.will(
        "TransactionStatus",
        poi.both(poi.wait(slow), fail("LoggedOut", remembered=False)),
        poi.both(poi.wait(slow), poi.repeat),
    )
    counter.poi.will("Login", poi.both(poi.wait(slow), poi.let_in))
    begun = virtual_loop().time()
    assert isinstance(await recovered(counter), Found)
    assert virtual_loop().time() - begun < 30


@pytest.mark.parametrize(
    "wrong",
    [
        amounts(authorized_amount=Decimal("42.51")),
        amounts(currency="USD"),
        approve(sale_data=None),
    ],
)
@virtual()
async def test_an_amount_or_a_reference_that_does_not_fit_is_never_an_outcome(
    wrong: poi.Act,
) -> None:
    counter = await till()
    await lose(counter, wrong)
    found = await recovered(counter)
    assert isinstance(found, CannotTell)
    assert "It says Success, but" in found.detail


@virtual()
async def test_an_increment_is_found_with_what_was_reserved_when_it_was_sent() -> None:
    counter = await till()
    preauth = approved(15000, type=TransactionType.PREAUTH)
    counter.notes.known = [preauth]
    increment = payment(2500, type=TransactionType.INCREMENT, original_id=preauth.id)
    counter.poi.will("Payment", poi.both(do_it_and_lose_the_answer, poi.hang_up))
    with pytest.raises(AnswerLost):
        await counter.run(increment)
    counter.notes.known.clear()
    found = await counter.driver.recover(counter.lost(increment))
    assert isinstance(found, Found)
    assert found.outcome.approved_amount == 2500


@virtual()
async def test_a_lost_reversal_is_found() -> None:
    counter = await till()
    sale = approved(4250)
    counter.notes.known = [sale]
    reversal = payment(1000, type=TransactionType.REVERSAL, original_id=sale.id)
    counter.poi.will("Reversal", poi.both(do_it_and_lose_the_answer, poi.hang_up))
    with pytest.raises(AnswerLost):
        await counter.run(reversal)
    found = await counter.driver.recover(counter.lost(reversal))
    assert isinstance(found, Found)
    assert found.outcome.approved_amount == 1000


# --- polls ----------------------------------------------------------------------------------------


@virtual()
async def test_a_poll_that_gets_lost_is_made_again() -> None:
    counter = await till("http")
    counter.poi.will("Payment", poi.both(poi.wait(5), approve()))
    running = asyncio.create_task(counter.run(payment()))
    await asyncio.sleep(2.1)
    virtual_loop().network.links[0].cut(Noticed.BOTH)
    assert (await running).verdict is Verdict.APPROVED
    assert len(virtual_loop().network.links) == 2


@virtual()
async def test_the_last_word_that_somebody_else_has_polled_is_found_by_status() -> None:
    counter = await till("http")
    counter.poi.will("Payment", poi.both(poi.wait(2.7), approve()))
    running = asyncio.create_task(counter.run(payment()))
    await asyncio.sleep(2.8)
    assert counter.flat is not None
    assert (await counter.flat.answer("GET", "/payment", b""))[0] == 200
    with pytest.raises(AnswerLost, match="423"):
        await running
    assert isinstance(await recovered(counter), Found)


@pytest.mark.parametrize("status", [408, 500, 404, 302])
@virtual()
async def test_a_poll_without_an_end_is_lost(status: int) -> None:
    counter = await till("http")
    counter.poi.will("Payment", poi.both(do_it_and_lose_the_answer, poi.http(status)))
    with pytest.raises(AnswerLost, match=str(status)):
        await counter.run(payment())
    assert isinstance(await recovered(counter), Found)


@virtual()
async def test_displays_that_wait_are_polled_for_at_once() -> None:
    counter = await till("http", poll_seconds=2)
    shown = [poi.display(f"{n}") for n in range(5)]
    counter.poi.will("Payment", poi.both(*shown, poi.wait(1), approve()))
    await counter.run(payment())
    assert counter.notes.displays == ["0", "1", "2", "3", "4"]
    assert virtual_loop().time() == 2  # there was one pause, before the first
