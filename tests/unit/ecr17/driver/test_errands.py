"""Beside payments: totals, closing, the last result, status; one thing at a time."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from tests.kit.faults import Connect, Faults, scripted
from tests.kit.runner import virtual
from tests.kit.virtual_loop import virtual_loop
from tests.unit.ecr17.driver import pos
from tests.unit.ecr17.driver.pos import PORT, TICKET, ack, both, nak, say, silent, wait
from tests.unit.ecr17.driver.till import Till, payment, till
from tillwire.clock import Instant
from tillwire.core.entries import Entry
from tillwire.core.errands import (
    Ability,
    AskLast,
    Count,
    Counted,
    Errand,
    ErrandFailed,
    Print,
    Reprint,
    Result,
    Trouble,
)
from tillwire.core.model import Receipts, State, TransactionType, Verdict
from tillwire.core.ports import AbortResult, TerminalStatus
from tillwire.core.totals import TotalsKind, TotalsRow
from tillwire.dialects.ecr17 import wire
from tillwire.errors import AnswerLost


async def perform(counter: Till, errand: Errand) -> Result:
    return await counter.driver.perform(errand, lambda _: None)


@pytest.mark.parametrize(("close", "code"), [(False, "T"), (True, "C")])
@virtual()
async def test_totals(close: bool, code: str) -> None:
    counter = await till()
    counted = await perform(counter, Count(close=close))
    assert counted == Counted((TotalsRow(TotalsKind.DEBIT, "EUR", amount=123_456),))
    assert counter.pos.codes == code
    counter.pos.will(code, *[nak] * 3)
    with pytest.raises(ErrandFailed) as failure:
        await perform(counter, Count(close=close))
    assert failure.value.trouble is Trouble.BUSY


@virtual()
async def test_the_last_receipt_is_printed_again_at_the_terminal() -> None:
    counter = await till()
    assert Ability.REPRINT in counter.driver.capabilities.errands
    counter.pos.will("R", ack)
    assert await perform(counter, Reprint()) is None
    (asked,) = counter.pos.of("R")
    assert (asked.on_ecr, asked.service) == (False, False)
    counter.pos.will("R", *[nak] * 3)
    with pytest.raises(ErrandFailed) as failure:
        await perform(counter, Reprint())
    assert failure.value.trouble is Trouble.BUSY
    counter.pos.will("R", silent)
    with pytest.raises(AnswerLost):
        await perform(counter, Reprint())
    without_printer = Till(pos.Pos(), receipts="till")
    assert Ability.REPRINT not in without_printer.driver.capabilities.errands


@virtual()
async def test_a_closing_that_fails_says_why_and_is_not_repeated() -> None:
    counter = await till()
    told = wire.CloseSessionResult(
        tid=pos.TID, result="01", error_text="HOST K.O.", action_code="909"
    )
    counter.pos.will("C", both(ack, wait(60), say(told)), silent)
    with pytest.raises(ErrandFailed, match=r"HOST K\.O\."):
        await perform(counter, Count(close=True))
    with pytest.raises(AnswerLost):
        await perform(counter, Count(close=True))
    assert counter.pos.codes == "CC"


@virtual()
async def test_the_last_result_is_evidence_with_its_receipt() -> None:
    counter = await till(receipts="till")
    assert await perform(counter, AskLast()) is None
    outcome = await counter.run(payment(4250))
    seen = await perform(counter, AskLast())
    assert isinstance(seen, Entry)
    assert seen.name == "12345678/000124"
    assert (seen.outcome.verdict, seen.outcome.approved_amount) == (Verdict.APPROVED, 4250)
    assert seen.outcome.receipts == Receipts(cardholder=TICKET + "\n")
    assert counter.pos.codes.endswith("GR")
    ours = msgspec.structs.replace(payment(4250), state=State.APPROVED, outcome=outcome)
    counter.notes.known = [ours]
    again = await perform(counter, AskLast())
    assert isinstance(again, Entry)
    assert again.name == ours.id
    assert again.outcome.at is not None
    assert (again.type, again.at) == (TransactionType.PURCHASE, again.outcome.at)


@virtual()
async def test_a_stan_of_another_day_is_not_ours() -> None:
    """A terminal may begin again with its numbers, and others pay on it."""
    counter = await till()
    outcome = await counter.run(payment(4250))
    ours = msgspec.structs.replace(payment(4250), state=State.APPROVED, outcome=outcome)
    for days, name in ((0, ours.id), (1, "12345678/000124"), (-1, "12345678/000124")):
        moved = Instant(ours.created_at + days * 86_400_000)
        counter.notes.known = [
            msgspec.structs.replace(ours, created_at=moved, sent_at=moved, ended_at=moved)
        ]
        seen = await perform(counter, AskLast())
        assert isinstance(seen, Entry)
        assert seen.name == name


@pytest.mark.parametrize(
    ("told", "verdict", "words"),
    [
        (
            wire.UnassignedResult(tid=pos.TID, result="00", stan="000009", last_four="0034"),
            Verdict.APPROVED,
            "Nobody can tell",
        ),
        (
            wire.UnassignedResult(tid=pos.TID, result="01", stan="000009", error_text="NEGATA"),
            Verdict.DECLINED,
            "NEGATA",
        ),
        (
            wire.ReversalResult(tid=pos.TID, result="00", stan="000009", action_code="000"),
            Verdict.APPROVED,
            "tells no amount",
        ),
        (
            wire.PaymentResult(tid=pos.TID, result="01", stan="000009", error_text="CANCELLED"),
            Verdict.CANCELLED,
            "CANCELLED",
        ),
        (
            wire.RefundResult(tid=pos.TID, result="01", error_text="NEGATA"),
            Verdict.DECLINED,
            "NEGATA",
        ),
    ],
)
@virtual()
async def test_what_the_last_result_may_be(told: wire.Result, verdict: Verdict, words: str) -> None:
    counter = await till()
    counter.pos.saved = told
    seen = await perform(counter, AskLast())
    assert isinstance(seen, Entry)
    assert (seen.outcome.verdict, seen.outcome.approved_amount) == (verdict, 0)
    assert words in seen.outcome.reason
    assert seen.outcome.receipts is None
    assert counter.pos.codes == "G"


@virtual()
async def test_a_code_that_nobody_knows_is_no_refusal() -> None:
    counter = await till()
    counter.pos.saved = wire.PaymentResult(
        tid=pos.TID, result="77", stan="000009", error_text="CHIEDERE"
    )
    seen = await perform(counter, AskLast())
    assert isinstance(seen, Entry)
    assert (seen.verdict, seen.outcome) == ("UNKNOWN", None)
    assert seen.words == "Its result is 77, which nobody knows. CHIEDERE"


@virtual()
async def test_a_result_of_another_kind_is_not_ours_under_the_same_stan() -> None:
    """Else a reversal that nobody can tell about would be taken for what it reverses."""
    counter = await till()
    outcome = await counter.run(payment(4250))
    paid = counter.pos.saved
    assert isinstance(paid, wire.PaymentResult)
    ours = msgspec.structs.replace(payment(4250), state=State.APPROVED, outcome=outcome)
    counter.notes.known = [ours]
    counter.pos.saved = wire.ReversalResult(
        tid=pos.TID, result="00", stan=paid.stan, host_time=paid.host_time, action_code="000"
    )
    seen = await perform(counter, AskLast())
    assert isinstance(seen, Entry)
    assert (seen.name, seen.type) == ("12345678/000124", TransactionType.REVERSAL)


@virtual()
async def test_a_receipt_that_is_not_sent_again_is_none() -> None:
    counter = await till(receipts="till")
    await counter.run(payment())
    for act in (nak, silent, pos.hang_up, ack):
        counter.pos.will("R", *[act] * (3 if act is nak else 1))
        seen = await perform(counter, AskLast())
        assert isinstance(seen, Entry)
        assert seen.outcome.receipts is None


@virtual()
async def test_what_the_protocol_has_no_way_for() -> None:
    counter = await till()
    with pytest.raises(ErrandFailed):
        await perform(counter, Print("x"))
    assert await counter.driver.abort(payment()) is AbortResult.UNKNOWN
    assert counter.pos.connections == 0


# --- status -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "words"),
    [("2", ""), ("4", "its key is corrupted"), ("9", "its state is 9"), ("", "its state is ?")],
)
@virtual()
async def test_status(state: str, words: str) -> None:
    counter = await till()
    told = wire.application(f"{pos.TID}0s0000000000{'1403261020'}{state}".encode())
    counter.pos.will("s", both(ack, pos.raw(told)))
    assert await counter.driver.status() == TerminalStatus(True, words)


@virtual()
async def test_a_terminal_that_says_nothing_of_itself() -> None:
    counter = await till()
    counter.pos.will("s", silent, *[nak] * 3)
    assert not (await counter.driver.status()).reachable
    busy = await counter.driver.status()
    assert busy.reachable
    assert "NAK 3 times" in busy.detail
    faults = [Faults()] * counter.pos.connections + [Faults(connect=Connect.REFUSE)]
    virtual_loop().network.faults = scripted({PORT: faults})
    assert not (await counter.driver.status()).reachable


@virtual()
async def test_a_terminal_at_work_is_not_disturbed() -> None:
    counter = await till()
    counter.pos.will("X", both(ack, wait(30), pos.result()))
    running = asyncio.create_task(counter.run(payment()))
    await asyncio.sleep(5)
    connections = counter.pos.connections
    assert (await counter.driver.status()).detail == "It is busy with a transaction."
    with pytest.raises(ErrandFailed) as failure:
        await perform(counter, Count())
    assert failure.value.trouble is Trouble.BUSY
    assert counter.pos.connections == connections
    assert (await running).verdict is Verdict.APPROVED
    assert (await counter.driver.status()).detail == ""


@virtual()
async def test_a_payment_waits_for_the_end_of_a_question() -> None:
    counter = await till()
    counter.pos.will("s", both(ack, wait(4), nak))
    asking = asyncio.create_task(counter.driver.status())
    await asyncio.sleep(1)
    assert counter.pos.codes == "s"
    running = asyncio.create_task(counter.run(payment()))
    await asyncio.sleep(1)
    assert counter.pos.connections == 1
    assert not (await asking).reachable
    assert (await running).verdict is Verdict.APPROVED


@virtual()
async def test_a_payment_that_is_given_up_hangs_up() -> None:
    counter = await till()
    counter.pos.will("X", both(ack, silent))
    running = asyncio.create_task(counter.run(payment()))
    await asyncio.sleep(5)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (await counter.driver.status()).detail == ""
    assert virtual_loop().network.links[1].client.is_closing()
