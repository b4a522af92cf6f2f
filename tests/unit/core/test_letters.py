"""Letters are committed with the fact that they tell, and stop no payment."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.core.scripted import ScriptedDriver, approved, engine_on, is_final
from tests.unit.estate_fixture import purchase
from tillwire.clock import Instant
from tillwire.core.engine import Engine
from tillwire.core.estate import Estate
from tillwire.core.estate_model import Hook
from tillwire.core.letters import MOST_AT_ONCE, MOST_BYTES, Letter, is_wanted
from tillwire.core.model import Callback, Request, State, Terms, Transaction
from tillwire.core.occupancy import WhenBusy
from tillwire.core.ports import Sign, Unit
from tillwire.errors import JournalError, Proof, TerminalBusy

CALLBACK = Callback("test", "sealed", {"referenceId": "r-1"})


def told_of(transaction: Transaction, kind: str, **special: Any) -> Letter:
    words = {
        "transaction_id": transaction.id,
        "organisation_id": transaction.organisation_id,
        "channel": "callback",
        "kind": kind,
        "sealed": "sealed",
        "body": b"{}",
        "created_at": transaction.created_at,
        "due_at": transaction.created_at,
        **special,
    }
    return Letter(**words)


class TestTeller:
    """Tells a transaction's till of each move, by the event's name."""

    __test__ = False

    def __init__(self, **special: Any) -> None:
        self._special = special
        self.asked: list[tuple[State | None, State, str]] = []

    def letters(
        self, before: Transaction | None, after: Transaction, event: str, estate: Estate
    ) -> Sequence[Letter]:
        self.asked.append((None if before is None else before.state, after.state, event))
        assert after.organisation_id in estate.organisations
        if after.callback is None:
            return ()
        return [told_of(after, event, **self._special)]


class Broken:
    """A teller with a defect."""

    def letters(
        self, before: Transaction | None, after: Transaction, event: str, estate: Estate
    ) -> Sequence[Letter]:
        raise ZeroDivisionError("a bug")


def calling_back(**special: Any) -> Request:
    return msgspec.structs.replace(purchase(**special), callback=CALLBACK)


async def letters_of(engine: Engine, transaction: Transaction) -> list[Letter]:
    return await engine.journal.read(lambda reader: reader.letters_of(transaction.id))


async def test_each_move_is_told_in_its_commit(tmp_path: Path) -> None:
    driver, teller, news = ScriptedDriver(), TestTeller(), []
    async with engine_on(
        tmp_path, driver, tellers=[teller], posted=lambda: news.append(1)
    ) as engine:
        sale = await engine.accept(calling_back(), WhenBusy.REJECT)
        assert sale.callback == CALLBACK
        assert [each.kind for each in await letters_of(engine, sale)] == ["dispatch"]
        progress = await driver.begun(sale)
        await progress(Sign(started=True))
        driver.answer(sale, approved())
        await engine.wait(sale.id, is_final, 5)
        told = await letters_of(engine, sale)
        assert [each.kind for each in told] == ["dispatch", "start", "approve"]
        assert [each.id for each in told] == sorted({each.id for each in told})
        assert len(news) == 3
        assert teller.asked == [
            (None, State.SENT, "dispatch"),
            (State.SENT, State.STARTED, "start"),
            (State.STARTED, State.APPROVED, "approve"),
        ]
    async with engine_on(tmp_path, driver, tellers=[teller]) as engine:
        found = await engine.find(sale.id)
        assert found is not None
        assert found.callback == CALLBACK


async def test_what_follows_in_the_same_commit_is_told_too(tmp_path: Path) -> None:
    """Its end hands the terminal on: both moves have their letters."""
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver, tellers=[TestTeller()]) as engine:
        first = await engine.accept(calling_back(), WhenBusy.QUEUE)
        second = await engine.accept(calling_back(), WhenBusy.QUEUE)
        await driver.begun(first)
        driver.answer(first, approved())
        await driver.begun(second)
        assert [each.kind for each in await letters_of(engine, second)] == ["accept", "dispatch"]


async def test_a_letter_of_no_move_is_posted_too(tmp_path: Path) -> None:
    news: list[int] = []
    async with engine_on(tmp_path, ScriptedDriver(), posted=lambda: news.append(1)) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REJECT)
        await engine.post(told_of(sale, "FAILED"))
        assert [each.kind for each in await letters_of(engine, sale)] == ["FAILED"]
        assert news == [1]


async def test_a_terminal_counts_what_is_open_before_it_also_after_a_restart(
    tmp_path: Path,
) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        assert engine.open_at(purchase().terminal_id) == 0
        first = await engine.accept(purchase(waits=True), WhenBusy.QUEUE)
        await engine.accept(purchase(waits=True), WhenBusy.QUEUE)
        assert engine.open_at(first.terminal_id) == 2
        await driver.begun(first)
        driver.answer(first, approved())
        await engine.wait(first.id, is_final, 5)
        assert engine.open_at(first.terminal_id) == 1
    async with engine_on(tmp_path, driver) as engine:
        assert engine.open_at(first.terminal_id) == 1


async def test_what_a_restart_does_is_told(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver, tellers=[TestTeller()]) as engine:
        sale = await engine.accept(calling_back(), WhenBusy.REJECT)
        await driver.begun(sale)
    async with engine_on(tmp_path, driver, tellers=[TestTeller()]) as engine:
        assert [each.kind for each in await letters_of(engine, sale)] == ["dispatch", "lose"]


async def test_nothing_is_written_where_there_is_nothing_to_tell(tmp_path: Path) -> None:
    """A sale without a callback runs exactly the statements that it runs without tellers."""
    ran = []
    for folder, tellers in (("with", [TestTeller()]), ("without", [])):
        driver, news = ScriptedDriver(), []
        (tmp_path / folder).mkdir()
        async with engine_on(
            tmp_path / folder, driver, tellers=tellers, posted=lambda news=news: news.append(1)
        ) as engine:
            statements: list[str] = []
            _trace(engine, statements.append)
            sale = await engine.accept(purchase(), WhenBusy.REJECT)
            progress = await driver.begun(sale)
            await progress(Sign(received=True))
            driver.answer(sale, approved())
            await engine.wait(sale.id, is_final, 5)
            assert await letters_of(engine, sale) == []
            assert news == []
        ran.append([each.split("(")[0].split("VALUES")[0][:40] for each in statements])
    assert ran[0] == ran[1]
    assert ran[0]


def _trace(engine: Engine, heard: Callable[[str], None]) -> None:
    connection = engine.journal._writer._committer._connection
    assert isinstance(connection, sqlite3.Connection)
    connection.set_trace_callback(heard)


@pytest.mark.parametrize(
    "broken",
    [
        Broken(),
        TestTeller(body=b"x" * (MOST_BYTES + 1)),
        TestTeller(body=None),
    ],
    ids=["raises", "too long", "no letter"],
)
async def test_a_teller_that_fails_stops_no_payment(tmp_path: Path, broken: Any) -> None:
    unheard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
    driver = ScriptedDriver()
    driver.at_once = approved()
    async with engine_on(tmp_path, driver, tellers=[broken, TestTeller()]) as engine:
        sale = await engine.accept(calling_back(), WhenBusy.REJECT)
        ended = await engine.wait(sale.id, is_final, 5)
        assert ended.state is State.APPROVED
        told = await letters_of(engine, sale)
        assert [each.kind for each in told] == ["dispatch", "approve"]
    assert len(unheard) == 2
    assert all("could not be written" in each["message"] for each in unheard)


async def test_a_teller_that_floods_is_not_listened_to(tmp_path: Path) -> None:
    class Flood(TestTeller):
        def letters(self, *of: Any) -> Sequence[Letter]:
            return [*super().letters(*of)] * (MOST_AT_ONCE + 1)

    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver, tellers=[Flood()]) as engine:
        sale = await engine.accept(calling_back(), WhenBusy.REJECT)
        assert await letters_of(engine, sale) == []


async def test_no_letter_tells_what_did_not_become_durable(tmp_path: Path) -> None:
    driver, news = ScriptedDriver(), []
    async with engine_on(
        tmp_path, driver, tellers=[TestTeller()], posted=lambda: news.append(1)
    ) as engine:
        connection = engine.journal._writer._committer._connection
        connection.execute(
            "CREATE TEMP TRIGGER full BEFORE INSERT ON letters BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
        with pytest.raises(JournalError):
            await engine.accept(calling_back(), WhenBusy.REJECT)
        assert driver.ran == []
        assert news == []
        assert await engine.journal.read(lambda reader: reader.open_transactions()) == []


async def test_that_it_was_received_is_told_once(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver, tellers=[TestTeller()]) as engine:
        sale = await engine.accept(calling_back(), WhenBusy.REJECT)
        progress = await driver.begun(sale)
        await progress(Sign(received=True))
        await progress(Sign(received=True))
        heard = await engine.find(sale.id)
        assert heard is not None
        assert heard.state is State.SENT
        assert heard.received_at is not None
        await progress(Sign(started=True))
        await progress(Sign(received=True))
        kinds = [each.kind for each in await letters_of(engine, sale)]
        assert kinds == ["dispatch", "received", "start"]
        started = await engine.find(sale.id)
        assert started is not None
        assert started.received_at == heard.received_at


async def test_what_was_started_was_received(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver, tellers=[TestTeller()]) as engine:
        sale = await engine.accept(calling_back(), WhenBusy.REJECT)
        progress = await driver.begun(sale)
        await progress(Sign(started=True))
        found = await engine.find(sale.id)
        assert found is not None
        assert found.received_at == found.started_at
        assert found.received_at is not None


# --- queued requests that replace each other ---------------------------------------------------


def keyed(key: str, **special: Any) -> Request:
    return purchase(terms=Terms(collapse_key=key), **special)


@pytest.mark.parametrize("pull", [False, True])
async def test_a_newer_request_of_the_same_key_replaces_what_waits(
    tmp_path: Path, pull: bool
) -> None:
    async with engine_on(tmp_path, ScriptedDriver(pull=pull)) as engine:
        await engine.accept(purchase(), WhenBusy.QUEUE)
        old = await engine.accept(keyed("a"), WhenBusy.QUEUE)
        other = await engine.accept(keyed("b"), WhenBusy.QUEUE)
        new = await engine.accept(keyed("a"), WhenBusy.QUEUE)
        replaced = await engine.find(old.id)
        assert replaced is not None
        assert (replaced.state, replaced.proof) == (State.CANCELLED, Proof.NEVER_SENT)
        queue = await engine.journal.commit(lambda unit: unit.queue("t1"))
        assert [each.id for each in queue] == [other.id, new.id]


async def test_what_holds_a_terminal_that_fetches_is_replaced_too(tmp_path: Path) -> None:
    async with engine_on(tmp_path, ScriptedDriver(pull=True)) as engine:
        old = await engine.accept(keyed("a"), WhenBusy.QUEUE)
        new = await engine.accept(keyed("a"), WhenBusy.QUEUE)
        replaced = await engine.find(old.id)
        assert replaced is not None
        assert replaced.state is State.CANCELLED
        assert engine.open_transaction("t1") == new
        assert new.token


@pytest.mark.parametrize(
    "newer",
    [
        keyed("a", dialect="device"),
        keyed("a", terminal="t2"),
        keyed("b"),
        keyed(""),
        purchase(),
    ],
    ids=["another face", "another terminal", "another key", "no key", "no terms"],
)
async def test_others_are_left_alone(tmp_path: Path, newer: Request) -> None:
    async with engine_on(tmp_path, ScriptedDriver()) as engine:
        for terminal in ("t1", "t2"):
            await engine.accept(purchase(terminal=terminal), WhenBusy.QUEUE)
        waiting = [await engine.accept(keyed(key), WhenBusy.QUEUE) for key in ("a", "")]
        await engine.accept(newer, WhenBusy.QUEUE)
        for each in waiting:
            found = await engine.find(each.id)
            assert found is not None
            assert found.state is State.ACCEPTED


async def test_what_was_sent_is_not_replaced_and_reject_still_rejects(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        sent = await engine.accept(keyed("a"), WhenBusy.QUEUE)
        await driver.begun(sent)
        waiting = await engine.accept(keyed("a"), WhenBusy.QUEUE)
        assert waiting.state is State.ACCEPTED
        found = await engine.find(sent.id)
        assert found is not None
        assert found.state is State.SENT
        with pytest.raises(TerminalBusy):
            await engine.accept(keyed("a"), WhenBusy.REJECT)


# --- hooks ---------------------------------------------------------------------------------------


async def test_a_hook_that_is_gone_wants_no_letter(tmp_path: Path) -> None:
    hook = Hook(
        id="h1",
        organisation_id="shop",
        application_id="urn:aid:1",
        merchant_id="shop-m",
        dialect="test",
        address="https://app.example/",
        sealed_secret="",
        events=("PAID",),
        active=True,
        created_at=Instant(1),
        updated_at=Instant(1),
    )
    async with engine_on(tmp_path, ScriptedDriver()) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REJECT)
        letter, callback = told_of(sale, "PAID", channel="hook:h1"), told_of(sale, "PAID")
        assert not is_wanted(letter, engine.estate)
        for known, wanted in (
            (hook, True),
            (msgspec.structs.replace(hook, active=False), False),
            (msgspec.structs.replace(hook, removed_at=Instant(2)), False),
        ):

            def put(unit: Unit, known: Hook = known) -> None:
                unit.put(known)

            await engine.change_estate(put)
            assert is_wanted(letter, engine.estate) is wanted
            assert is_wanted(callback, engine.estate)
            assert (engine.estate.hooks_for("shop-s", "test") == [known]) is wanted
            assert engine.estate.hooks_for("other-s", "test") == []
