"""A till's message is done once under its number, and can be answered again."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import msgspec
import pytest

from tests.kit.runner import virtual
from tests.kit.virtual_loop import VirtualClock, virtual_loop
from tests.unit.core.scripted import ScriptedDriver, approved, engine_on, is_final
from tests.unit.estate_fixture import purchase
from tillwire.clock import Instant
from tillwire.core import exchanges
from tillwire.core.engine import Engine
from tillwire.core.estate_model import Lifecycle
from tillwire.core.exchanges import FORGET_EVERY, KEPT_FOR, MOST_OF_CHAIN, UNIQUE_FOR, Repeated
from tillwire.core.model import Exchange, Request, State, TransactionType
from tillwire.core.occupancy import WhenBusy
from tillwire.errors import Conflict, NotFound, TerminalBusy, Unsupported

NOON = Instant(1_800_000_000_000)


def message(number: str = "1", **special: object) -> Exchange:
    """A register's message with whatever is special about it."""
    usual = Exchange(
        organisation_id="shop",
        terminal_id="t1",
        dialect="nexo",
        register="till-4",
        number=number,
        kind="Payment",
        digest="ab" * 32,
        at=NOON,
        request="{}",
    )
    return msgspec.structs.replace(usual, **special)


def asked_by(exchange: Exchange, **special: object) -> Request:
    request = purchase(dialect="nexo", register="till-4", exchange=exchange, **special)
    return msgspec.structs.replace(request, terminal_id=exchange.terminal_id)


async def found(engine: Engine, number: str = "1") -> Exchange | None:
    return await engine.exchange("t1", "nexo", "till-4", number)


def on_virtual_time(folder: Path, driver: ScriptedDriver):
    return engine_on(folder, driver, VirtualClock(virtual_loop()))


async def test_a_message_is_remembered_with_the_transaction_that_it_asks_for(
    tmp_path: Path,
) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        sale = await engine.accept(asked_by(message(request='{"a":1}')), WhenBusy.REJECT)
        remembered = await found(engine)
        assert remembered == message(
            request='{"a":1}', transaction_id=sale.id, id=remembered.id if remembered else 0
        )
        assert await engine.exchange_of(sale.id) == remembered
        assert await engine.exchange_of("0" * 31) is None


async def test_who_repeats_a_message_hears_of_the_first_whatever_the_terminal_is_doing(
    tmp_path: Path,
) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        sale = await engine.accept(asked_by(message()), WhenBusy.REJECT)
        with pytest.raises(Repeated) as busy:  # and not TerminalBusy
            await engine.accept(asked_by(message()), WhenBusy.REJECT)
        assert busy.value.earlier.transaction_id == sale.id
        driver.capabilities = msgspec.structs.replace(driver.capabilities, types=frozenset())
        with pytest.raises(Repeated):  # and not Unsupported
            await engine.accept(asked_by(message()), WhenBusy.REJECT)
        terminal = engine.estate.terminals["t1"]
        removed = msgspec.structs.replace(terminal, lifecycle=Lifecycle.REMOVED)
        await engine.change_estate(lambda unit: unit.put(removed))
        with pytest.raises(Repeated) as gone:  # and not Conflict
            await engine.accept(asked_by(message(digest="cd" * 32)), WhenBusy.REJECT)
        assert gone.value.earlier == await found(engine)


async def test_of_ten_copies_at_once_one_is_accepted(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        copies = [engine.accept(asked_by(message()), WhenBusy.QUEUE) for _ in range(10)]
        ends = await asyncio.gather(*copies, return_exceptions=True)
        repeated = [each for each in ends if isinstance(each, Repeated)]
        accepted = [each for each in ends if not isinstance(each, BaseException)]
        assert (len(accepted), len(repeated)) == (1, 9)
        assert {each.earlier.transaction_id for each in repeated} == {accepted[0].id}


@pytest.mark.parametrize(
    "other",
    [
        {"terminal_id": "t2"},
        {"register": "till-5"},
        {"dialect": "another"},
        {"number": "2"},
        {"at": NOON + UNIQUE_FOR + 1},
    ],
)
async def test_a_number_is_a_registers_own_at_one_terminal_for_two_days(
    tmp_path: Path, other: dict[str, object]
) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        first = await engine.begin_exchange(message())
        second = await engine.begin_exchange(message(**other))
        assert second.id > first.id
        with pytest.raises(Repeated) as again:
            await engine.begin_exchange(message(**other))
        assert again.value.earlier == second


async def test_a_number_is_not_free_again_when_the_clock_was_set_back(tmp_path: Path) -> None:
    async with engine_on(tmp_path, ScriptedDriver()) as engine:
        await engine.begin_exchange(message())
        with pytest.raises(Repeated):
            await engine.begin_exchange(message(at=NOON - 10 * UNIQUE_FOR))


async def test_a_refused_request_leaves_nothing_behind(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        await engine.accept(purchase(), WhenBusy.REJECT)
        with pytest.raises(TerminalBusy):
            await engine.accept(asked_by(message()), WhenBusy.REJECT)
        driver.capabilities = msgspec.structs.replace(driver.capabilities, types=frozenset())
        with pytest.raises(Unsupported):
            await engine.accept(asked_by(message()), WhenBusy.REJECT)
        assert await found(engine) is None
        refused = await engine.begin_exchange(message(answer='"busy"', answered_at=NOON))
        assert await found(engine) == refused
        with pytest.raises(Repeated) as again:
            await engine.accept(asked_by(message()), WhenBusy.REJECT)
        assert again.value.earlier.answer == '"busy"'


async def test_an_answer_outlives_a_restart(tmp_path: Path) -> None:
    async with engine_on(tmp_path, ScriptedDriver()) as engine:
        begun = await engine.begin_exchange(message(kind="Diagnosis"))
        await engine.answer_exchange(begun.id, '"fine"')
        with pytest.raises(NotFound):
            await engine.answer_exchange(begun.id + 1, '"fine"')
    async with engine_on(tmp_path, ScriptedDriver()) as engine:
        answered = await found(engine)
        assert answered is not None
        assert answered.answered_at is not None
        unanswered = msgspec.structs.replace(answered, answer="", answered_at=None)
        assert (answered.answer, unanswered) == ('"fine"', begun)


async def test_the_last_one_of_some_kinds_is_found(tmp_path: Path) -> None:
    async with engine_on(tmp_path, ScriptedDriver()) as engine:
        kinds = ("Payment", "Reversal", "Diagnosis", "Payment", "Display")
        for number, kind in enumerate(kinds):
            await engine.begin_exchange(message(str(number), kind=kind))
        await engine.begin_exchange(message("1", register="till-5"))

        async def last(*kinds: str, register: str = "till-4") -> str | None:
            exchange = await engine.last_exchange("t1", "nexo", register, kinds)
            return exchange and exchange.number

        assert await last("Payment", "Reversal") == "3"
        assert await last("Reversal") == "1"
        assert await last("Reversal", register="till-5") is None
        assert await last() is None


async def test_a_chain_is_found_within_its_organisation_newest_first(tmp_path: Path) -> None:
    async with engine_on(tmp_path, ScriptedDriver()) as engine:
        for number in range(MOST_OF_CHAIN + 5):
            await engine.begin_exchange(message(str(number), chain="room-7"))
        await engine.begin_exchange(message("1", organisation_id="other", terminal_id="x1"))
        await engine.begin_exchange(message("unchained"))
        chain = await engine.exchange_by_chain("shop", "room-7")
        newest = [str(number) for number in reversed(range(5, MOST_OF_CHAIN + 5))]
        assert [each.number for each in chain] == newest
        assert await engine.exchange_by_chain("other", "room-7") == []
        assert await engine.exchange_by_chain("shop", "") == []


@virtual()
async def test_what_moved_no_money_is_forgotten_after_a_week(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchanges, "FORGET_AT_ONCE", 2)
    driver = ScriptedDriver()
    driver.at_once = approved()
    async with on_virtual_time(tmp_path, driver) as engine:
        now = engine.clock.now()
        for number in range(5):
            await engine.begin_exchange(message(str(number), at=Instant(now - KEPT_FOR + 60_000)))
        await engine.begin_exchange(message("young", at=now))
        sale = await engine.accept(asked_by(message("paid", at=Instant(1))), WhenBusy.REJECT)
        await engine.wait(sale.id, is_final, 5)
        assert await found(engine, "0") is not None
        await asyncio.sleep(FORGET_EVERY + 1)
        assert [await found(engine, str(number)) for number in range(5)] == [None] * 5
        assert await found(engine, "young") is not None
        assert await found(engine, "paid") is not None
        await engine.begin_exchange(message("old", at=Instant(now - 2 * KEPT_FOR)))
    async with on_virtual_time(tmp_path, driver) as engine:  # and at every start
        await asyncio.sleep(0.001)
        assert await found(engine, "old") is None
        assert await found(engine, "paid") is not None


@virtual()
async def test_what_names_no_transaction_of_the_journal_is_forgotten_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchanges, "FORGET_AT_ONCE", 2)
    driver = ScriptedDriver()
    driver.at_once = approved()
    async with on_virtual_time(tmp_path, driver) as engine:
        now = engine.clock.now()
        old = Instant(now - KEPT_FOR + 60_000)
        for number in range(5):
            name = f"pretended-{number}"
            await engine.begin_exchange(message(str(number), at=old, transaction_id=name))
        await engine.begin_exchange(message("none", at=old))
        await engine.begin_exchange(message("young", at=now, transaction_id="pretended-young"))
        sale = await engine.accept(asked_by(message("paid", at=old)), WhenBusy.REJECT)
        await engine.wait(sale.id, is_final, 5)
        assert await engine.exchange_of("pretended-0") is not None
        await asyncio.sleep(FORGET_EVERY + 1)
        for gone in ("none", *map(str, range(5))):
            assert await found(engine, gone) is None
        assert await engine.exchange_of("pretended-0") is None
        assert await found(engine, "young") is not None
        assert await found(engine, "paid") is not None


async def test_a_message_costs_its_sale_one_look_and_one_row(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        connection: sqlite3.Connection = engine.journal._writer._committer._connection

        async def statements(request: Request) -> list[str]:
            seen: list[str] = []
            connection.set_trace_callback(seen.append)
            sale = await engine.accept(request, WhenBusy.REJECT)
            connection.set_trace_callback(None)
            await driver.begun(sale)
            driver.answer(sale, approved())
            done = await engine.wait(sale.id, is_final, 5)
            assert done.state is State.APPROVED
            return [each.split()[0] + " " + _table(each) for each in seen]

        without = await statements(purchase())
        assert not [each for each in without if "exchanges" in each]
        having = await statements(asked_by(message()))
        assert sorted(set(having) - set(without)) == ["INSERT exchanges", "SELECT exchanges"]
        assert len(having) - len(without) == 2


def _table(sql: str) -> str:
    words = sql.split()
    places = [words[place + 1] for place, word in enumerate(words[:-1]) if word in ("FROM", "INTO")]
    return places[0] if places else ""


async def test_a_follow_up_is_listed_with_its_siblings(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    driver.at_once = approved()
    async with engine_on(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REJECT)
        await engine.wait(sale.id, is_final, 5)
        assert await engine.follow_ups(sale.id) == []
        refunds = []
        for amount in (500, 250):
            driver.at_once = approved(amount)
            refund = purchase(amount, type=TransactionType.REFUND, original=sale.id)
            accepted = await engine.accept(refund, WhenBusy.REJECT)
            refunds.append(await engine.wait(accepted.id, is_final, 5))
        assert await engine.follow_ups(sale.id) == refunds


async def test_a_repeated_message_is_a_conflict_to_whoever_knows_nothing_of_it() -> None:
    assert issubclass(Repeated, Conflict)
    assert "till-4" in str(Repeated(message()))
