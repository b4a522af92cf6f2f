"""The gateway may die; the world does not."""

from __future__ import annotations

import asyncio
import sqlite3
from functools import partial
from pathlib import Path

import msgspec
import pytest

from tests.kit.runner import virtual
from tests.unit.estate_fixture import found_shop, purchase
from tests.unit.virtual.shop import clock_of_loop, shop_in
from tillwire.clock import Instant, SystemClock
from tillwire.core.engine import Engine
from tillwire.core.model import Evidence, State, Transaction, Verdict
from tillwire.core.occupancy import WhenBusy
from tillwire.core.ports import AbortResult, Absent, CannotTell, Found, Sign
from tillwire.errors import AnswerLost, NotDelivered, Proof
from tillwire.journal.sqlite import SqliteJournal
from tillwire.virtual.driver import VirtualDriver
from tillwire.virtual.memory import SetScript
from tillwire.virtual.script import ENDINGS, Script
from tillwire.virtual.world import ABORTED_BY_TILL, World


def draft(engine: Engine, minor: int, send_by: int) -> Transaction:
    """A transaction as it is when a driver gets it."""
    request = purchase(minor)
    return Transaction(
        id=engine.clock.transaction_id(),
        version=1,
        organisation_id="shop",
        terminal_id="t1",
        dialect="merchantapi",
        type=request.type,
        state=State.SENT,
        amount=request.amount,
        reference="r",
        heading=engine.estate.heading(engine.estate.terminals["t1"]),
        created_at=engine.clock.now(),
        send_by=Instant(send_by),
    )


async def silent(sign: Sign) -> None:
    """Takes no notice."""


@virtual()
async def test_the_ledger_and_the_boot_number_outlive_the_gateway(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        await shop.paid(1000)
        lost = await shop.pay(1047)
        await shop.noted(lost, "needs_person")
    async with shop_in(tmp_path) as shop:
        assert await shop.ledger() == [("PURCHASE", 1000, True), ("PURCHASE", 1047, True)]
        assert await shop.world.boot("t1") == 2
        await shop.noted(lost, "needs_person")
        assert (await shop.until_final(lost)).state is State.UNKNOWN
        outcome = (await shop.paid(1000, terminal="t2")).outcome
        assert outcome is not None
        assert outcome.stan == "000001"


@virtual()
async def test_a_cardholder_acts_although_the_gateway_died_and_recovery_finds_it(
    tmp_path: Path,
) -> None:
    async with shop_in(tmp_path) as shop:
        sent = await shop.pay(1049)
        await shop.until(sent, State.STARTED)
    async with shop_in(tmp_path) as shop:
        assert (await shop.engine.find(sent.id)).state is State.UNKNOWN  # type: ignore[union-attr]
        said = await shop.noted(sent, "cannot_tell")
        assert "waiting for the card" in str(said.detail)
        found = await shop.until_final(sent)
        assert found.state is State.APPROVED
        assert found.outcome is not None
        assert found.outcome.evidence is Evidence.RECOVERED
        assert await shop.ledger() == [("PURCHASE", 1049, True)]


@virtual()
async def test_the_ledger_shows_what_happened_while_there_was_no_gateway(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        sent = await shop.pay(1049)
        await shop.until(sent, State.STARTED)
        due = clock_of_loop().now() + 20_000
    await asyncio.sleep(3600)
    world = World(tmp_path, clock_of_loop(), inline=True)
    (entry,) = await world.ledger()
    assert (entry.amount, entry.approved) == (1049, True)
    assert abs(entry.at - due) < 1000
    world.close()


@virtual()
async def test_a_till_can_call_it_off_until_the_card_is_presented(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        sent = await shop.pay(1049)
        await shop.until(sent, State.STARTED)
        assert await shop.engine.abort(sent.id) is AbortResult.ABORTED
        cancelled = await shop.until_final(sent)
        assert cancelled.state is State.CANCELLED
        assert cancelled.outcome is not None
        assert cancelled.outcome.reason == ABORTED_BY_TILL
        assert await shop.engine.abort(sent.id) is AbortResult.TOO_LATE
        await asyncio.sleep(60)
        assert await shop.ledger() == []


@virtual()
async def test_fifty_aborts_have_one_winner(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        sent = await shop.pay(1049)
        results = await asyncio.gather(*(shop.engine.abort(sent.id) for _ in range(50)))
        assert results.count(AbortResult.ABORTED) == 1
        assert results.count(AbortResult.TOO_LATE) == 49
        assert (await shop.until_final(sent)).state is State.CANCELLED


@virtual()
async def test_what_was_called_off_before_it_arrived_is_never_charged(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        driver = VirtualDriver(shop.engine.estate.terminals["t1"], shop.world, shop.engine)
        sent = draft(shop.engine, 1000, clock_of_loop().now() + 5000)
        assert await driver.abort(sent) is AbortResult.ABORTED
        assert (await driver.run(sent, silent)).verdict is Verdict.CANCELLED
        found = await driver.recover(sent)
        assert isinstance(found, Found)
        assert found.outcome.verdict is Verdict.CANCELLED
        assert await shop.ledger() == []


@virtual()
async def test_after_the_charge_it_is_too_late_to_call_it_off(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        driver = VirtualDriver(shop.engine.estate.terminals["t1"], shop.world, shop.engine)
        sent = draft(shop.engine, 1000, clock_of_loop().now() + 5000)
        await driver.run(sent, silent)
        assert await driver.abort(sent) is AbortResult.TOO_LATE
        lost = draft(shop.engine, 1047, clock_of_loop().now() + 5000)
        with pytest.raises(AnswerLost):
            await driver.run(lost, silent)
        assert await driver.abort(lost) is AbortResult.UNKNOWN


@virtual()
async def test_a_terminal_never_charges_an_id_twice(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        driver = VirtualDriver(shop.engine.estate.terminals["t1"], shop.world, shop.engine)
        sent = draft(shop.engine, 1000, clock_of_loop().now() + 5000)
        first = await driver.run(sent, silent)
        assert await driver.run(sent, silent) == first
        assert await shop.ledger() == [("PURCHASE", 1000, True)]


@virtual()
async def test_nothing_is_written_after_send_by(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        driver = VirtualDriver(shop.engine.estate.terminals["t1"], shop.world, shop.engine)
        late = draft(shop.engine, 1000, clock_of_loop().now() - 1)
        with pytest.raises(NotDelivered) as refusal:
            await driver.run(late, silent)
        assert refusal.value.proof is Proof.NEVER_SENT
        assert await shop.ledger() == []


@virtual()
async def test_absent_is_said_only_one_settle_delay_after_send_by(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        driver = VirtualDriver(shop.engine.estate.terminals["t1"], shop.world, shop.engine)
        sent = draft(shop.engine, 1000, clock_of_loop().now() + 5000)
        assert isinstance(await driver.recover(sent), CannotTell)
        await asyncio.sleep(5.5)
        assert isinstance(await driver.recover(sent), CannotTell)
        await asyncio.sleep(1)
        assert await driver.recover(sent) == Absent("TILLWIRE-V1-t1 has never heard of it.")
        with pytest.raises(NotDelivered):
            await driver.run(sent, silent)


@virtual()
async def test_a_sale_that_died_before_it_was_sent_fails_with_proof(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        sent = await shop.pay(1049)
    # As if the process had died right after the dispatching commit: nothing has arrived.
    connection = sqlite3.connect(tmp_path / "world.db")
    connection.execute("DELETE FROM deeds")
    connection.commit()
    connection.close()
    async with shop_in(tmp_path) as shop:
        failed = await shop.until_final(sent)
        assert (failed.state, failed.proof) == (State.FAILED, Proof.ABSENT_AT_PEER)


@virtual()
async def test_a_script_overrides_the_ending_as_often_as_it_was_set_for(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        await shop.world.set_script("t1", SetScript(ENDINGS[40], 2))
        assert (await shop.paid(1000)).state is State.DECLINED
        assert (await shop.paid(1000, terminal="t2")).state is State.APPROVED
    async with shop_in(tmp_path) as shop:
        assert shop.world.script_of("t1") == SetScript(ENDINGS[40], 1)
        assert (await shop.paid(1000)).state is State.DECLINED
        assert (await shop.paid(1000)).state is State.APPROVED
        await shop.world.set_script("t1", SetScript(ENDINGS[52], 1))
        assert (await shop.paid(1000)).state is State.FAILED
        await shop.world.set_script("t1", SetScript(Script(tip_percent=20), 1))
        await shop.world.set_script("t1", None)
        assert (await shop.paid(1000)).approved_amount == 1000


@pytest.mark.parametrize(
    "wrong", [{"seconds": -1}, {"seconds": 3601}, {"tip_percent": 101}, {"response_code": "123"}]
)
def test_a_script_is_checked(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"must be|has at most"):
        Script(**wrong)  # type: ignore[arg-type]


@virtual()
async def test_the_second_answer_reaches_a_transaction_whose_first_was_not_heard(
    tmp_path: Path,
) -> None:
    async with shop_in(tmp_path) as shop:
        script = msgspec.structs.replace(ENDINGS[48], seconds=200.0)
        await shop.world.set_script("t1", SetScript(script, 1))
        sent = await shop.pay(1000)
        # The gateway stops waiting after 180 s; the terminal goes on.
        assert (await shop.engine.wait(sent.id, _is_unknown, 190)).state is State.UNKNOWN
        assert (await shop.until_final(sent)).state is State.APPROVED
        assert await shop.ledger() == [("PURCHASE", 1000, True)]


def _is_unknown(transaction: Transaction) -> bool:
    return transaction.state is State.UNKNOWN


@virtual()
async def test_a_terminal_says_its_boot_number(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        driver = VirtualDriver(shop.engine.estate.terminals["t1"], shop.world, shop.engine)
        status = await driver.status()
        assert (status.reachable, status.boot) == (True, 1)


async def test_with_a_writer_thread_it_is_the_same_world(tmp_path: Path) -> None:
    world = World(tmp_path / "new" / "folder", SystemClock(), pace=1000)
    await world.set_script("t9", SetScript(ENDINGS[41], 3))
    assert await world.boot("t9") == 1
    assert await world.ledger() == []
    await world.stop()
    world.close()
    again = World(tmp_path / "new" / "folder", SystemClock())
    assert again.script_of("t9") == SetScript(ENDINGS[41], 3)
    again.close()


async def test_many_tills_at_once_are_each_charged_once(tmp_path: Path) -> None:
    clock = SystemClock()
    journal, world = SqliteJournal(tmp_path / "journal.db"), World(tmp_path, clock)
    engine = Engine(journal, lambda each: VirtualDriver(each, world, engine), clock)
    await engine.start()
    await engine.change_estate(partial(found_shop, terminals=5))

    async def sell(number: int) -> Transaction:
        request = purchase(1000 + number, terminal=f"t{number % 5 + 1}", reference=str(number))
        accepted = await engine.accept(request, WhenBusy.QUEUE)
        return await engine.wait(accepted.id, lambda each: each.is_final, 60)

    sold = await asyncio.gather(*(sell(number) for number in range(40)))
    assert {each.state for each in sold} == {State.APPROVED}
    charged = {entry.reference: entry.amount for entry in await world.ledger()}
    assert charged == {str(number): 1000 + number for number in range(40)}
    stans = {each.outcome.stan for each in sold if each.outcome and each.terminal_id == "t1"}
    assert stans == {f"{number:06d}" for number in range(1, 9)}
    await engine.stop()
    world.close()
    journal.close()


def test_every_statement_of_the_world_is_served_by_an_index(tmp_path: Path) -> None:
    World(tmp_path, SystemClock()).close()
    connection = sqlite3.connect(tmp_path / "world.db")
    for question in (
        "SELECT max(number) FROM deeds WHERE terminal_id = 't'",
        "SELECT * FROM deeds WHERE transaction_id = 't'",
        "SELECT * FROM deeds WHERE waiting = 1 AND acts_at <= 5 ORDER BY acts_at",
        "SELECT * FROM ledger WHERE terminal = 't' ORDER BY number",
        "SELECT * FROM deeds WHERE terminal_id = 't' AND waiting <= 1 ORDER BY number DESC LIMIT 1",
        "SELECT original.type FROM ledger AS entry LEFT JOIN ledger AS original "
        "ON original.transaction_id = entry.original "
        "WHERE entry.terminal = 't' AND entry.number > 5 ORDER BY entry.number",
        "SELECT max(number) FROM ledger WHERE terminal = 't'",
        "SELECT last4 FROM readings WHERE card = 'c' AND terminal_id = 't'",
        "SELECT max(number) FROM readings WHERE terminal_id = 't'",
        "DELETE FROM readings WHERE terminal_id = 't' AND number <= 5",
        "SELECT text FROM printouts WHERE terminal_id = 't' ORDER BY number",
        "SELECT text FROM screens WHERE terminal_id = 't'",
    ):
        plan = " ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {question}"))
        assert "SEARCH" in plan, question
        assert "SCAN" not in plan, question
        assert "TEMP B-TREE" not in plan, question
    connection.close()
