"""The engine keeps the seven laws: each test names what a till or an operator can rely on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.core.scripted import DECLINED, ScriptedDriver, approved, engine_on, is_final
from tests.unit.estate_fixture import purchase
from tillwire.clock import Instant, SystemClock
from tillwire.core.engine import Engine
from tillwire.core.estate_model import Lifecycle, Terminal
from tillwire.core.model import (
    Evidence,
    Outcome,
    State,
    Terms,
    Transaction,
    TransactionType,
    Verdict,
)
from tillwire.core.occupancy import WhenBusy
from tillwire.core.ports import AbortResult, Driver, Sign
from tillwire.errors import (
    AnswerLost,
    Conflict,
    InvalidRequest,
    JournalReadOnly,
    NotDelivered,
    NotFound,
    Proof,
    RemoteProtocolError,
    TerminalBusy,
    Unsupported,
)
from tillwire.journal.reader import SqlReader
from tillwire.journal.sqlite import SqliteJournal


async def names(engine, transaction) -> list[str]:
    events = await engine.journal.read(lambda reader: reader.events(transaction.id))
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    return [event.name for event in events]


async def test_a_sale_is_journaled_before_it_is_sent_and_after_it_is_answered(
    tmp_path: Path,
) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REJECT)
        assert sale.state is State.SENT
        stored = await engine.journal.read(lambda reader: reader.transaction(sale.id))
        assert stored == sale
        await driver.begun(sale)
        driver.answer(sale, approved())
        done = await engine.wait(sale.id, is_final, 5)
        assert done.state is State.APPROVED
        assert done.cleared_at is not None
        assert done.approved_amount == 1250
        assert await engine.journal.read(lambda reader: reader.transaction(sale.id)) == done
        assert await names(engine, sale) == ["accept", "dispatch", "approve"]


async def test_nothing_is_sent_when_the_journal_cannot_be_written(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        engine.journal._writer._committer._connection.execute("PRAGMA query_only = ON")
        with pytest.raises(JournalReadOnly):
            await engine.accept(purchase(), WhenBusy.REPLACE)
        engine.journal._writer._committer._connection.execute("PRAGMA query_only = OFF")
        sent = await engine.accept(purchase(), WhenBusy.REPLACE)
        await driver.begun(sent)
        assert [each.id for each in driver.ran] == [sent.id]


async def test_an_outcome_outlives_a_full_disk(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REJECT)
        connection = engine.journal._writer._committer._connection
        connection.execute("PRAGMA query_only = ON")
        driver.answer(sale, approved())
        assert (await engine.wait(sale.id, is_final, 0.05)).state is State.SENT
        connection.execute("PRAGMA query_only = OFF")
        assert (await engine.wait(sale.id, is_final, 5)).state is State.APPROVED


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (DECLINED, State.DECLINED),
        (Outcome(Verdict.CANCELLED), State.CANCELLED),
        (NotDelivered("refused", Proof.CONNECT_REFUSED), State.FAILED),
        (AnswerLost("reset"), State.UNKNOWN),
        (RemoteProtocolError("nonsense"), State.UNKNOWN),
        (ZeroDivisionError("a bug"), State.UNKNOWN),
        (approved(1251), State.UNKNOWN),  # more than was asked for
        (approved(0), State.UNKNOWN),  # approved for nothing
        (Outcome(Verdict.DECLINED, approved_amount=5), State.UNKNOWN),
    ],
)
async def test_only_explicit_answers_end_a_transaction(
    tmp_path: Path, answer: Outcome | Exception, state: State
) -> None:
    driver = ScriptedDriver()
    driver.at_once = answer
    async with engine_on(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REJECT)
        settled = await engine.wait(sale.id, lambda each: each.state is state, 5)
        assert settled.state is state
        assert settled.cleared_at is None
        if state is State.FAILED:
            assert settled.proof is Proof.CONNECT_REFUSED
        busy = None
        try:
            driver.at_once = DECLINED
            await engine.accept(purchase(), WhenBusy.REJECT)
        except TerminalBusy as error:
            busy = error
        if state is State.UNKNOWN:
            assert busy is not None
            assert busy.unresolved
            assert busy.holder == sale.id
        else:
            assert busy is None


async def test_a_preauth_is_not_cleared(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    driver.at_once = approved()
    async with engine_on(tmp_path, driver) as engine:
        held = await engine.accept(purchase(type=TransactionType.PREAUTH), WhenBusy.REJECT)
        held = await engine.wait(held.id, is_final, 5)
        assert (held.state, held.cleared_at) == (State.APPROVED, None)


@pytest.mark.parametrize(("amount", "tip"), [(625, 0), (1375, 125)])
async def test_partial_approval_and_tip_are_what_moved(
    tmp_path: Path, amount: int, tip: int
) -> None:
    driver = ScriptedDriver()
    driver.at_once = approved(amount, tip)
    async with engine_on(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(partial_allowed=True), WhenBusy.REJECT)
        assert (await engine.wait(sale.id, is_final, 5)).approved_amount == amount


async def test_a_sign_of_life_starts_it_once_and_keys_are_remembered(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REJECT)
        progress = await driver.begun(sale)
        await progress(Sign(peer={"stan": "17"}))
        await progress(Sign(started=True, display="Tap your card"))
        await progress(Sign(started=True))
        await progress(Sign(peer={"stan": "17"}))
        started = await engine.find(sale.id)
        assert started is not None
        assert (started.state, dict(started.peer)) == (State.STARTED, {"stan": "17"})
        driver.answer(sale, approved())
        await engine.wait(sale.id, is_final, 5)
        assert await names(engine, sale) == ["accept", "dispatch", "sign", "start", "approve"]


@pytest.mark.parametrize(
    ("cash_back", "tip", "fits"),
    [(1250, 0, True), (1000, 250, True), (1000, 251, False), (-1, 0, False), (5, -5, False)],
)
async def test_cash_back_and_tip_are_parts_of_the_amount_and_are_remembered(
    tmp_path: Path, cash_back: int, tip: int, fits: bool
) -> None:
    driver = ScriptedDriver()
    request = purchase(1250, terms=Terms(cash_back=cash_back, tip=tip))
    async with engine_on(tmp_path, driver) as engine:
        if fits:
            sale = await engine.accept(request, WhenBusy.REJECT)
            stored = await engine.journal.read(lambda reader: reader.transaction(sale.id))
            assert stored == sale
            assert sale.terms == request.terms
        else:
            with pytest.raises(InvalidRequest) as refusal:
                await engine.accept(request, WhenBusy.REJECT)
            assert refusal.value.field == "terms"


# --- one operation per terminal ---------------------------------------------------------------


async def test_a_busy_terminal_refuses_and_says_who_and_since_when(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        first = await engine.accept(purchase(), WhenBusy.REJECT)
        with pytest.raises(TerminalBusy) as refusal:
            await engine.accept(purchase(), WhenBusy.REJECT)
        assert refusal.value.holder == first.id
        assert refusal.value.since == first.created_at
        assert not refusal.value.unresolved
        other = await engine.accept(purchase(terminal="t2"), WhenBusy.REJECT)
        assert other.state is State.SENT


async def test_a_queue_is_served_in_order_one_at_a_time(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        sales = [await engine.accept(purchase(), WhenBusy.QUEUE) for _ in range(4)]
        for number, sale in enumerate(sales):
            await driver.begun(sale)
            assert [each.id for each in driver.ran] == [each.id for each in sales[: number + 1]]
            driver.answer(sale, approved())
            await engine.wait(sale.id, is_final, 5)
        tokens = [(await engine.find(sale.id)).token for sale in sales]
        assert tokens == sorted(set(tokens))


async def test_a_newer_payment_replaces_one_that_was_not_fetched(tmp_path: Path) -> None:
    driver = ScriptedDriver(pull=True)
    async with engine_on(tmp_path, driver) as engine:
        first = await engine.accept(purchase(), WhenBusy.REPLACE)
        second = await engine.accept(purchase(), WhenBusy.REPLACE)
        replaced = await engine.find(first.id)
        assert replaced is not None
        assert (replaced.state, replaced.proof) == (State.CANCELLED, Proof.NEVER_SENT)
        assert engine.offered("t1") == second
        fetched = await engine.fetch("t1")
        assert fetched is not None
        assert fetched.id == second.id


async def test_behind_a_fetched_payment_one_waits_and_the_next_replaces_it(
    tmp_path: Path,
) -> None:
    driver = ScriptedDriver(pull=True)
    async with engine_on(tmp_path, driver) as engine:
        first = await engine.accept(purchase(), WhenBusy.REPLACE)
        await engine.fetch("t1")
        second = await engine.accept(purchase(), WhenBusy.REPLACE)
        third = await engine.accept(purchase(), WhenBusy.REPLACE)
        assert (await engine.find(second.id)).state is State.CANCELLED
        assert (await engine.find(first.id)).state is State.SENT
        assert (await engine.find(third.id)).state is State.ACCEPTED
        await engine.heard_outcome(first.id, approved())
        offered = engine.offered("t1")
        assert offered is not None
        assert offered.id == third.id


async def test_nothing_is_sent_by_an_estate_of_before(tmp_path: Path) -> None:
    """Another program may change a terminal that is idle, and what is sent a moment later must be
    looked for where it went."""
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        lane = engine.estate.terminals["t1"]
        gone = msgspec.structs.replace(lane, lifecycle=Lifecycle.REMOVED)
        await engine.journal.commit(lambda unit: unit.put(gone))
        assert engine.estate.terminals["t1"] is lane
        with pytest.raises(Conflict, match="is REMOVED, not ACTIVATED"):
            await engine.accept(purchase(), WhenBusy.REJECT)
        assert not driver.ran


async def test_an_unresolved_transaction_blocks_its_terminal_for_all_that_do_not_wait(
    tmp_path: Path,
) -> None:
    driver = ScriptedDriver()
    driver.at_once = AnswerLost("reset")
    async with engine_on(tmp_path, driver) as engine:
        lost = await engine.accept(purchase(), WhenBusy.REJECT)
        await engine.wait(lost.id, lambda each: each.state is State.UNKNOWN, 5)
        for mode in (WhenBusy.REJECT, WhenBusy.QUEUE, WhenBusy.REPLACE):
            with pytest.raises(TerminalBusy, match="is not known yet") as refusal:
                await engine.accept(purchase(), mode)
            assert refusal.value.unresolved
            assert "`tillwire transactions decide`" in refusal.value.detail
        driver.at_once = approved()
        waiting = await engine.accept(purchase(), WhenBusy.WAIT)
        assert (waiting.state, waiting.token) == (State.ACCEPTED, 0)
        await engine.decide(lost.id, Verdict.DECLINED, person="Ada", reason="seen")
        ended = await engine.wait(waiting.id, is_final, 5)
        assert ended.state is State.APPROVED
        assert [each.id for each in driver.ran] == [lost.id, waiting.id]


async def test_of_fifty_racing_creates_one_waits(tmp_path: Path) -> None:
    driver = ScriptedDriver(pull=True)
    async with engine_on(tmp_path, driver) as engine:
        sales = await asyncio.gather(
            *(engine.accept(purchase(), WhenBusy.REPLACE) for _ in range(50))
        )
        states = [(await engine.find(sale.id)).state for sale in sales]
        assert states.count(State.ACCEPTED) == 1
        assert states.count(State.CANCELLED) == 49


async def test_of_fifty_racing_aborts_one_wins(tmp_path: Path) -> None:
    driver = ScriptedDriver(pull=True)
    async with engine_on(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REPLACE)
        results = await asyncio.gather(*(engine.abort(sale.id) for _ in range(50)))
        assert results.count(AbortResult.ABORTED) == 1
        assert results.count(AbortResult.TOO_LATE) == 49


async def test_fifty_racing_fetches_get_the_same_transaction_dispatched_once(
    tmp_path: Path,
) -> None:
    driver = ScriptedDriver(pull=True)
    async with engine_on(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REPLACE)
        fetched = await asyncio.gather(*(engine.fetch("t1") for _ in range(50)))
        assert {each.id for each in fetched if each} == {sale.id}
        assert (await names(engine, sale)).count("dispatch") == 1
        assert len(driver.ran) == 1


async def test_a_fetch_racing_with_an_abort_has_one_winner(tmp_path: Path) -> None:
    for _ in range(20):
        driver = ScriptedDriver(pull=True)
        async with engine_on(tmp_path, driver) as engine:
            sale = await engine.accept(purchase(), WhenBusy.REPLACE)
            fetched, aborted = await asyncio.gather(engine.fetch("t1"), engine.abort(sale.id))
            assert (fetched is not None) == (aborted is not AbortResult.ABORTED)
            if fetched:
                await engine.heard_outcome(sale.id, DECLINED)


async def test_a_fetch_racing_with_a_replacement_gets_exactly_one(tmp_path: Path) -> None:
    driver = ScriptedDriver(pull=True)
    async with engine_on(tmp_path, driver) as engine:
        for _ in range(20):
            first = await engine.accept(purchase(), WhenBusy.REPLACE)
            fetched, second = await asyncio.gather(
                engine.fetch("t1"), engine.accept(purchase(), WhenBusy.REPLACE)
            )
            assert fetched is not None
            one, two = [await engine.find(each.id) for each in (first, second)]
            if fetched.id == first.id:
                assert (one.state, two.state) == (State.SENT, State.ACCEPTED)
                await engine.heard_outcome(first.id, DECLINED)
                await engine.fetch("t1")
            else:
                assert fetched.id == second.id
                assert (one.state, two.state) == (State.CANCELLED, State.SENT)
            await engine.heard_outcome(second.id, DECLINED)


# --- refused requests -------------------------------------------------------------------------


async def test_another_organisations_terminal_does_not_exist(tmp_path: Path) -> None:
    async with engine_on(tmp_path, ScriptedDriver()) as engine:
        with pytest.raises(NotFound):
            await engine.accept(purchase(terminal="x1"), WhenBusy.REJECT)


async def test_amounts_must_be_more_than_zero(tmp_path: Path) -> None:
    async with engine_on(tmp_path, ScriptedDriver()) as engine:
        for minor in (0, -1):
            with pytest.raises(InvalidRequest, match="not more than zero"):
                await engine.accept(purchase(minor), WhenBusy.REJECT)


async def test_what_the_terminal_cannot_do_is_not_tried(tmp_path: Path) -> None:
    import msgspec

    driver = ScriptedDriver()
    driver.capabilities = msgspec.structs.replace(
        driver.capabilities, types=frozenset({TransactionType.PURCHASE})
    )
    async with engine_on(tmp_path, driver) as engine:
        with pytest.raises(Unsupported):
            await engine.accept(purchase(type=TransactionType.REFUND), WhenBusy.REJECT)


async def test_an_idempotency_key_is_accepted_once(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        request = purchase(idempotency_key="k1")
        sales = await asyncio.gather(*(engine.accept(request, WhenBusy.REPLACE) for _ in range(10)))
        assert len({sale.id for sale in sales}) == 1
        with pytest.raises(Conflict, match="another request"):
            await engine.accept(purchase(99, idempotency_key="k1"), WhenBusy.REPLACE)
        await driver.begun(sales[0])
        assert len(driver.ran) == 1


# --- follow-ups -------------------------------------------------------------------------------


async def paid(engine, driver, **kwargs):
    driver.at_once = approved(kwargs.get("minor", 1250))
    sale = await engine.accept(purchase(**kwargs), WhenBusy.QUEUE)
    return await engine.wait(sale.id, is_final, 5)


def refund(minor: int, original: str, **kwargs):
    return purchase(minor, type=TransactionType.REFUND, original=original, **kwargs)


async def test_ten_racing_refunds_never_exceed_what_was_paid(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        sale = await paid(engine, driver)
        driver.at_once = approved(500)
        results = await asyncio.gather(
            *(
                engine.accept(refund(500, sale.id, terminal=f"t{n % 3 + 1}"), WhenBusy.QUEUE)
                for n in range(10)
            ),
            return_exceptions=True,
        )
        accepted = [each for each in results if not isinstance(each, BaseException)]
        assert len(accepted) == 2
        assert all(isinstance(each, Conflict) for each in results if each not in accepted)
        with pytest.raises(Conflict, match=r"2\.50 EUR"):
            await engine.accept(refund(251, sale.id), WhenBusy.QUEUE)
        await engine.accept(refund(250, sale.id), WhenBusy.QUEUE)


async def test_a_declined_refund_gives_its_claim_back(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        sale = await paid(engine, driver)
        driver.at_once = DECLINED
        refused = await engine.accept(refund(1250, sale.id), WhenBusy.REJECT)
        await engine.wait(refused.id, is_final, 5)
        driver.at_once = approved(1250)
        again = await engine.accept(refund(1250, sale.id), WhenBusy.REJECT)
        assert (await engine.wait(again.id, is_final, 5)).state is State.APPROVED


async def test_a_disputed_refund_keeps_its_claim_until_a_person_closes_it(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        sale = await paid(engine, driver)
        driver.at_once = DECLINED
        declined = await engine.accept(refund(1250, sale.id), WhenBusy.REJECT)
        await engine.wait(declined.id, is_final, 5)
        await engine.heard_outcome(declined.id, approved(1250))  # the terminal says otherwise
        with pytest.raises(Conflict, match=r"0\.00 EUR"):
            await engine.accept(refund(1, sale.id), WhenBusy.REJECT)
        (dispute,) = await engine.journal.read(lambda reader: reader.discrepancies())
        now = engine.clock.now()
        await engine.journal.commit(
            lambda unit: unit.close_discrepancy(dispute.id, now, "Ada", "It never moved.")
        )
        assert (await engine.accept(refund(1250, sale.id), WhenBusy.REJECT)).state is State.SENT


async def test_a_terminal_that_tells_ever_new_tales_opens_a_bounded_number(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    driver.at_once = DECLINED
    async with engine_on(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REJECT)
        await engine.wait(sale.id, is_final, 5)
        for amount in range(1, 60):
            await engine.heard_outcome(sale.id, approved(amount))
        found = await engine.journal.read(lambda reader: reader.discrepancies())
        assert len(found) == 20
        assert len(await names(engine, sale)) == 23


async def test_an_unknown_refund_keeps_its_claim(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        sale = await paid(engine, driver)
        driver.at_once = AnswerLost("reset")
        lost = await engine.accept(refund(1000, sale.id), WhenBusy.REJECT)
        await engine.wait(lost.id, lambda each: each.state is State.UNKNOWN, 5)
        with pytest.raises(Conflict, match=r"2\.50 EUR"):
            await engine.accept(refund(251, sale.id, terminal="t2"), WhenBusy.REJECT)


async def test_a_refund_needs_an_original_of_its_own_organisation_and_kind(
    tmp_path: Path,
) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        sale = await paid(engine, driver)
        foreign = purchase(
            100,
            type=TransactionType.REFUND,
            original=sale.id,
            terminal="x1",
            organisation="other",
        )
        for request, error in (
            (refund(100, "0" * 31), InvalidRequest),
            (foreign, InvalidRequest),
            (refund(100, sale.id, currency="USD"), InvalidRequest),
            (purchase(original=sale.id), InvalidRequest),
            (purchase(type=TransactionType.REVERSAL), InvalidRequest),
            (purchase(type=TransactionType.CAPTURE, original=sale.id), InvalidRequest),
        ):
            with pytest.raises(error):
                await engine.accept(request, WhenBusy.REJECT)
        driver.at_once = DECLINED
        declined = await engine.accept(purchase(), WhenBusy.REJECT)
        await engine.wait(declined.id, is_final, 5)
        with pytest.raises(Conflict, match="is DECLINED"):
            await engine.accept(refund(100, declined.id), WhenBusy.REJECT)


async def test_a_whole_reversal_is_a_fact_beside_the_originals_state(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        sale = await paid(engine, driver)
        for amount, reversed_now in ((1000, False), (250, True)):
            driver.at_once = approved(amount)
            request = purchase(amount, type=TransactionType.REVERSAL, original=sale.id)
            reversal = await engine.accept(request, WhenBusy.REJECT)
            await engine.wait(reversal.id, is_final, 5)
            original = await engine.find(sale.id)
            assert original.state is State.APPROVED
            assert (original.reversed_at is not None) is reversed_now
        with pytest.raises(Conflict):
            await engine.accept(refund(1, sale.id), WhenBusy.REJECT)


async def test_captures_stay_within_what_is_reserved(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        held = await paid(engine, driver, type=TransactionType.PREAUTH)

        async def follow(kind: TransactionType, minor: int) -> State:
            driver.at_once = approved(minor)
            request = purchase(minor, type=kind, original=held.id)
            made = await engine.accept(request, WhenBusy.REJECT)
            return (await engine.wait(made.id, is_final, 5)).state

        assert await follow(TransactionType.INCREMENT, 750) is State.APPROVED
        assert await follow(TransactionType.INCREMENT, -500) is State.APPROVED
        with pytest.raises(Conflict):
            await follow(TransactionType.CAPTURE, 1501)
        assert await follow(TransactionType.CAPTURE, 1000) is State.APPROVED
        with pytest.raises(Conflict):
            await follow(TransactionType.INCREMENT, -501)
        assert await follow(TransactionType.CAPTURE, 500) is State.APPROVED


# --- abort ------------------------------------------------------------------------------------


async def test_an_abort_on_the_terminal_waits_for_the_outcome(tmp_path: Path) -> None:
    driver = ScriptedDriver(abort=True)
    driver.abort_result = AbortResult.ABORTED
    async with engine_on(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REJECT)
        await driver.begun(sale)
        results = await asyncio.gather(*(engine.abort(sale.id) for _ in range(20)))
        assert results.count(AbortResult.ABORTED) == 1
        assert driver.aborted == [sale.id]
        assert (await engine.find(sale.id)).state is State.CANCELLED


async def test_an_abort_that_comes_too_late_changes_nothing(tmp_path: Path) -> None:
    driver = ScriptedDriver(abort=True)
    async with engine_on(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REJECT)
        await driver.begun(sale)
        assert await engine.abort(sale.id) is AbortResult.TOO_LATE
        driver.answer(sale, approved())
        assert (await engine.wait(sale.id, is_final, 5)).state is State.APPROVED
        assert await engine.abort(sale.id) is AbortResult.TOO_LATE


async def test_what_a_terminal_has_fetched_cannot_be_dropped_without_its_help(
    tmp_path: Path,
) -> None:
    driver = ScriptedDriver(pull=True)
    async with engine_on(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REPLACE)
        await engine.fetch("t1")
        assert await engine.abort(sale.id) is AbortResult.TOO_LATE
        with pytest.raises(NotFound):
            await engine.abort("0" * 31)


# --- what is heard ----------------------------------------------------------------------------


async def test_an_outcome_told_twice_is_one_outcome(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    driver.at_once = approved()
    async with engine_on(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REJECT)
        await engine.wait(sale.id, is_final, 5)
        again = await engine.heard_outcome(sale.id, approved())
        assert again.version == 3
        assert await engine.journal.read(lambda reader: reader.discrepancies()) == []


async def test_a_contradiction_opens_one_discrepancy_and_changes_nothing(
    tmp_path: Path,
) -> None:
    driver = ScriptedDriver()
    driver.at_once = DECLINED
    async with engine_on(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REJECT)
        await engine.wait(sale.id, is_final, 5)
        for _ in range(3):
            await engine.heard_outcome(sale.id, approved())
        kept = await engine.find(sale.id)
        assert (kept.state, kept.outcome) == (State.DECLINED, DECLINED)
        found = await engine.journal.read(lambda reader: reader.discrepancies())
        assert [each.transaction_id for each in found] == [sale.id]
        assert "DECLINED" in found[0].known
        assert "12.50 EUR" in found[0].heard
        assert await names(engine, sale) == ["accept", "dispatch", "decline", "contradict"]


async def test_a_charge_for_a_cancelled_sale_opens_a_discrepancy(tmp_path: Path) -> None:
    driver = ScriptedDriver(pull=True)
    async with engine_on(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REPLACE)
        await engine.abort(sale.id)
        await engine.heard_outcome(sale.id, DECLINED)  # no money either way: nothing to tell
        assert await engine.journal.read(lambda reader: reader.discrepancies()) == []
        await engine.heard_outcome(sale.id, approved())
        assert (await engine.find(sale.id)).state is State.CANCELLED
        assert len(await engine.journal.read(lambda reader: reader.discrepancies())) == 1


async def test_a_terminals_loss_of_memory_makes_it_unknown_and_its_report_ends_it(
    tmp_path: Path,
) -> None:
    driver = ScriptedDriver(pull=True)
    async with engine_on(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REPLACE)
        await engine.fetch("t1", {"boot": "7"})
        lost = await engine.heard_loss(sale.id, "It restarted.")
        assert (lost.state, lost.peer) == (State.UNKNOWN, {"boot": "7"})
        with pytest.raises(AnswerLost):
            await engine.outcome_of(sale.id)
        found = await engine.heard_outcome(sale.id, approved())
        assert found.state is State.APPROVED
        assert (await engine.outcome_of(sale.id)).approved_amount == 1250


async def test_a_person_decides_with_name_and_reason(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    driver.at_once = AnswerLost("reset")
    async with engine_on(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REJECT)
        with pytest.raises(Conflict, match="not UNKNOWN"):
            await engine.decide(sale.id, Verdict.DECLINED, person="Ada", reason="saw it")
        await engine.wait(sale.id, lambda each: each.state is State.UNKNOWN, 5)
        with pytest.raises(InvalidRequest, match="person"):
            await engine.decide(sale.id, Verdict.DECLINED, person=" ", reason="saw it")
        decided = await engine.decide(
            sale.id, Verdict.APPROVED, person="Ada", reason="On the acquirer's list."
        )
        assert decided.state is State.APPROVED
        assert decided.outcome.evidence is Evidence.PERSON
        events = await engine.journal.read(lambda reader: reader.events(sale.id))
        assert events[-1].detail["person"] == "Ada"
        assert engine.offered("t1") is None


# --- restart ----------------------------------------------------------------------------------


async def test_after_a_restart_what_was_sent_is_unknown_and_what_waits_waits_on(
    tmp_path: Path,
) -> None:
    async with engine_on(tmp_path, ScriptedDriver()) as engine:
        sent = await engine.accept(purchase(terminal="t1"), WhenBusy.REJECT)
        queued = await engine.accept(purchase(terminal="t1"), WhenBusy.QUEUE)
        impatient = await engine.accept(purchase(terminal="t1", waits=False), WhenBusy.QUEUE)
    async with engine_on(tmp_path, ScriptedDriver()) as engine:
        assert (await engine.find(sent.id)).state is State.UNKNOWN
        assert (await engine.find(queued.id)).state is State.ACCEPTED
        gone = await engine.find(impatient.id)
        assert (gone.state, gone.proof) == (State.CANCELLED, Proof.NEVER_SENT)
        await engine.heard_outcome(sent.id, approved())
        follower = await engine.wait(queued.id, lambda each: each.state is State.SENT, 5)
        assert follower.state is State.SENT


async def test_a_terminal_that_lost_its_driver_does_not_keep_the_gateway_from_starting(
    tmp_path: Path,
) -> None:
    async with engine_on(tmp_path, ScriptedDriver()) as engine:
        sent = await engine.accept(purchase(), WhenBusy.REJECT)
        queued = await engine.accept(purchase(), WhenBusy.QUEUE)

    def nobody(terminal: Terminal) -> Driver:
        raise Unsupported(terminal.driver)

    journal = SqliteJournal(tmp_path / "journal.db")
    engine = Engine(journal, nobody, SystemClock())
    await engine.start()
    assert (await engine.find(sent.id)).state is State.UNKNOWN
    await engine.decide(sent.id, Verdict.DECLINED, person="Ada", reason="It is gone.")
    assert (await engine.find(queued.id)).state is State.ACCEPTED
    with pytest.raises(Unsupported):
        await engine.accept(purchase(terminal="t2"), WhenBusy.REJECT)
    await engine.stop()
    journal.close()


async def test_a_waiting_sale_is_still_offered_after_a_restart(tmp_path: Path) -> None:
    async with engine_on(tmp_path, ScriptedDriver(pull=True)) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REPLACE)
    async with engine_on(tmp_path, ScriptedDriver(pull=True)) as engine:
        assert engine.offered("t1") == sale
        assert (await engine.fetch("t1")).id == sale.id


async def test_a_driver_can_look_back_at_what_its_terminal_did(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        done = []
        for _ in range(3):
            sale = await engine.accept(purchase(), WhenBusy.REJECT)
            await driver.begun(sale)
            driver.answer(sale, approved())
            done.append(await engine.wait(sale.id, is_final, 5))
        await engine.accept(purchase(terminal="t2"), WhenBusy.REJECT)
        assert await engine.newest_at("t1", 10) == done[::-1]
        assert await engine.newest_at("t1", 2) == done[:0:-1]
        assert await engine.newest_at("t3", 2) == []


async def test_a_driver_can_look_at_all_that_was_accepted_in_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tillwire.core.books._PAGE", 2)
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        done = []
        for _ in range(5):
            sale = await engine.accept(purchase(), WhenBusy.REJECT)
            await driver.begun(sale)
            driver.answer(sale, approved())
            done.append(await engine.wait(sale.id, is_final, 5))
        await engine.accept(purchase(terminal="t2"), WhenBusy.REJECT)

        async def between(begin: Instant, end: Instant) -> list[Transaction]:
            return [each async for each in engine.accepted_between("t1", begin, end)]

        first, last = done[0].created_at, done[-1].created_at
        assert await between(first, Instant(last + 1)) == done[::-1]
        for begin, end in ((first, last), (Instant(first + 1), last), (Instant(0), first)):
            inside = [each for each in done[::-1] if begin <= each.created_at < end]
            assert await between(begin, end) == inside, "the end is not in it"


async def test_looking_back_costs_the_same_however_much_a_terminal_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    run = SqlReader._run

    def watched(reader: SqlReader, name: str, *values: Any) -> Any:
        asked.append(name)
        return run(reader, name, *values)

    async with engine_on(tmp_path, ScriptedDriver()) as engine:
        monkeypatch.setattr(SqlReader, "_run", watched)
        await engine.newest_at("t1", 10)
    # Once a while, and so perhaps now, what is old is forgotten.
    looked = [each for each in asked if each != "old_exchange"]
    assert looked == ["terminal_transactions"], "which is limited; and nothing is counted"
