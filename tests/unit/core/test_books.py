"""What is on the books: the journal's, and what the other side says, which is evidence alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from tests.kit.runner import virtual
from tests.kit.virtual_loop import VirtualClock, virtual_loop
from tests.unit.core.scripted import DECLINED, ScriptedDriver, approved, engine_on, is_final
from tests.unit.estate_fixture import purchase
from tillwire.clock import Instant
from tillwire.core import books
from tillwire.core.books import ENTRY_WITHIN, LAST_WITHIN
from tillwire.core.engine import Engine
from tillwire.core.entries import Entry, Wanted
from tillwire.core.errands import AskLast, Show
from tillwire.core.estate_model import Lifecycle, Terminal
from tillwire.core.model import (
    Outcome,
    State,
    Transaction,
    TransactionType,
    Verdict,
)
from tillwire.core.occupancy import WhenBusy
from tillwire.core.ports import CannotTell
from tillwire.errors import (
    AnswerLost,
    InvalidRequest,
    NotFound,
    RemoteProtocolError,
    TerminalBusy,
    Unsupported,
)


def on(folder: Path, driver: ScriptedDriver):
    return engine_on(folder, driver, VirtualClock(virtual_loop()))


def wanted(**more: object) -> Wanted:
    return msgspec.convert({"begin": 0, "end": 10**13 - 1, **more}, Wanted)


async def sold(engine: Engine, minor: int = 1250, terminal: str = "t1") -> Transaction:
    sale = await engine.accept(purchase(minor, terminal=terminal), WhenBusy.REJECT)
    return await engine.wait(sale.id, is_final, 60)


# --- the last transaction ---------------------------------------------------------------------


@virtual()
async def test_the_last_transaction_by_the_journal_and_by_the_terminal(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    driver.at_once = approved()
    async with on(tmp_path, driver) as engine:
        first = await sold(engine)
        last = await sold(engine)
        driver.errand_end = Entry(name=first.id, outcome=first.outcome, amount=1250)
        told = await engine.last_transaction("t1")
        assert told.journal == last
        assert told.entry is not None
        assert told.entry.transaction_id == first.id
        assert told.known == first
        assert told.entry.agrees_with(first) is True
        assert not told.trouble
        assert driver.errands == [AskLast()]
        driver.errand_end = None
        assert (await engine.last_transaction("t2")) == books.LastKnown(None, None)


@virtual()
async def test_what_is_told_moves_nothing(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    driver.at_once = AnswerLost("gone")
    driver.found = [CannotTell("Look at it.", needs_person=True)]
    async with on(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REJECT)
        await asyncio.sleep(30)
        driver.errand_end = Entry(name=sale.id, outcome=approved(), amount=1250)
        told = await engine.last_transaction("t1")
        assert told.entry is not None
        assert told.entry.agrees_with(sale) is None
        assert told.known is not None
        assert told.known.state is State.UNKNOWN
        with pytest.raises(TerminalBusy):  # which is for this question alone
            await engine.perform("t1", Show("Hello"))
        await asyncio.sleep(300)
        latest = await engine.find(sale.id)
        assert latest is not None
        assert latest.state is State.UNKNOWN


@virtual()
async def test_a_terminal_at_work_is_not_asked(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with on(tmp_path, driver) as engine:
        sale = await engine.accept(purchase(), WhenBusy.REJECT)
        told = await engine.last_transaction("t1")
        assert told.journal is not None
        assert told.journal.id == sale.id
        assert told.entry is None
        assert sale.id in told.trouble
        assert not driver.errands


@virtual()
async def test_why_a_terminal_does_not_tell(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    driver.capabilities = msgspec.structs.replace(driver.capabilities, errands=frozenset())
    async with on(tmp_path, driver) as engine:
        assert "cannot be asked for its last" in (await engine.last_transaction("t1")).trouble
        driver.capabilities = ScriptedDriver().capabilities
        driver.errand_end = asyncio.get_running_loop().create_future()
        begun = engine.clock.now()
        assert f"within {LAST_WITHIN:g} s" in (await engine.last_transaction("t1")).trouble
        assert engine.clock.now() - begun == LAST_WITHIN * 1000
        driver.errand_end = RemoteProtocolError("gibberish")
        assert "gibberish" in (await engine.last_transaction("t1")).trouble
        with pytest.raises(NotFound):
            await engine.last_transaction("t9")
        await engine.change_estate(lambda unit: unit.put(_deactivated(engine)))
        assert "not ACTIVATED" in (await engine.last_transaction("t1")).trouble


def _deactivated(engine: Engine) -> Terminal:
    terminal = engine.estate.terminals["t1"]
    return msgspec.structs.replace(terminal, lifecycle=Lifecycle.CREATED)


@virtual()
async def test_a_name_is_ours_only_at_its_own_terminal(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    driver.at_once = approved()
    async with on(tmp_path, driver) as engine:
        elsewhere = await sold(engine, terminal="t2")
        for name in (elsewhere.id, "1" * 31, "12345678/000124", ""):
            driver.errand_end = Entry(name=name, transaction_id=name)
            told = await engine.last_transaction("t1")
            assert told.known is None
            assert told.entry is not None
            assert told.entry.name == name


# --- lists ------------------------------------------------------------------------------------


@virtual()
async def test_a_listing_has_both_sides(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    driver.at_once = approved()
    async with on(tmp_path, driver) as engine:
        first = await sold(engine)
        await asyncio.sleep(3600)
        second = await sold(engine)
        await sold(engine, terminal="t2")
        driver.booked = [
            Entry(name=first.id, outcome=first.outcome, at=first.created_at),
            Entry(name="other", at=second.created_at, reference="r"),
            Entry(name=second.id, outcome=second.outcome, at=second.created_at),
        ]
        found = await engine.transactions("t1", wanted())
        assert found.journal == [second, first]
        assert [each.name for each in found.entries] == [
            max("other", second.id),
            min("other", second.id),
            first.id,
        ]
        named = {each.name: each.transaction_id for each in found.entries}
        assert named == {first.id: first.id, second.id: second.id, "other": ""}
        late = await engine.transactions("t1", wanted(begin=second.created_at))
        assert late.journal == [second]
        assert {each.name for each in late.entries} == {second.id, "other"}
        quiet = await engine.transactions("t1", wanted(), ask=False)
        assert (quiet.journal, quiet.entries) == ([second, first], [])


@pytest.mark.parametrize("end", [10**13 - 1, 10**13, 10_413_792_000_000, 17_200_000_000_000])
@virtual()
async def test_a_listing_has_no_last_year(tmp_path: Path, end: int) -> None:
    """Ids have 13 digits of a moment, and people say that they mean all until the year 2300."""
    driver = ScriptedDriver()
    driver.at_once = approved()
    async with on(tmp_path, driver) as engine:
        sale = await sold(engine)
        driver.booked = [Entry(name=sale.id, at=sale.created_at)]
        for begin in (-(10**13), 0):
            found = await engine.transactions("t1", wanted(begin=begin, end=end))
            assert (found.journal, len(found.entries)) == ([sale], 1)
            between = engine.accepted_between("t1", Instant(begin), Instant(end))
            assert [each async for each in between] == [sale]
            span = Instant(begin), Instant(end)
            told = await engine.journal.read(lambda reader: list(reader.transactions_in(*span)))  # noqa: B023
            assert told == [sale]


@virtual()
async def test_filters_are_of_both_sides(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with on(tmp_path, driver) as engine:
        driver.at_once = approved()
        paid = await sold(engine)
        driver.at_once = DECLINED
        declined = await sold(engine, 1340)
        driver.booked = [
            Entry(name=paid.id, outcome=paid.outcome, type=paid.type),  # by our id alone
            Entry(name=declined.id, outcome=DECLINED, type=TransactionType.PURCHASE, reference="x"),
            Entry(name="open"),
        ]

        async def names(**more: object) -> tuple[list[str], set[str]]:
            found = await engine.transactions("t1", wanted(**more))
            return [each.id for each in found.journal], {each.name for each in found.entries}

        assert await names(verdicts={"APPROVED"}) == ([paid.id], {paid.id})
        assert await names(verdicts={"DECLINED"}) == ([declined.id], {declined.id})
        assert await names(verdicts={"UNKNOWN"}) == ([], {"open"})
        assert await names(types={"REFUND"}) == ([], {"open"})  # which tells no type
        assert await names(types={"PURCHASE"}) == (
            [declined.id, paid.id],
            {paid.id, declined.id, "open"},
        )
        assert await names(reference=paid.reference) == ([declined.id, paid.id], {paid.id})
        assert await names(reference="nobody's") == ([], set())
        assert [len(each) for each in await names(limit=1)] == [1, 1]


@virtual()
async def test_a_long_day_is_read_in_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "_PAGE", 2)
    driver = ScriptedDriver()
    driver.at_once = approved()
    async with on(tmp_path, driver) as engine:
        sales = [await sold(engine) for _ in range(7)]
        found = await engine.transactions("t1", wanted())
        assert found.journal == sales[::-1]
        assert (await engine.transactions("t1", wanted(limit=3))).journal == sales[:3:-1]
        reads = 0
        read = engine.journal.read

        async def counted(work):  # type: ignore[no-untyped-def]
            nonlocal reads
            reads += 1
            return await read(work)

        monkeypatch.setattr(engine.journal, "read", counted)
        await engine.transactions("t1", wanted(reference="nobody's"), ask=False)
        assert reads == 4, "a snapshot each: what nobody has is looked for in years of them"


@virtual()
async def test_what_came_before_a_failure_is_shown_with_it(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with on(tmp_path, driver) as engine:
        driver.booked = [Entry(name="a"), AnswerLost("the line was cut")]
        found = await engine.transactions("t1", wanted())
        assert [each.name for each in found.entries] == ["a"]
        assert "the line was cut" in found.trouble
        driver.booked = [Entry(name="a"), Unsupported("It keeps no list.")]
        assert "It keeps no list." in (await engine.transactions("t1", wanted())).trouble
        driver.booked = [Entry(name="a"), ENTRY_WITHIN + 1.0, Entry(name="b")]
        assert "Nothing more within" in (await engine.transactions("t1", wanted())).trouble
        driver.booked = [Entry(name="a"), ValueError("a defect")]
        found = await engine.transactions("t1", wanted())
        assert "ValueError" in found.trouble
        assert [each.name for each in found.entries] == ["a"]


@virtual()
async def test_there_is_an_end_to_what_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books, "MOST_ENTRIES", 3)
    driver = ScriptedDriver()
    driver.booked = [Entry(name=str(number)) for number in range(5)]
    async with on(tmp_path, driver) as engine:
        taken = []
        told = engine.entries("t1", Instant(0), Instant(1))
        taken += [(await anext(told)).name for _ in range(3)]
        with pytest.raises(InvalidRequest, match="a shorter time"):
            await anext(told)
        assert taken == ["0", "1", "2"]


@virtual()
async def test_a_driver_is_let_go_by_who_wants_no_more(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    driver.booked = [Entry(name="a"), Entry(name="b")]
    async with on(tmp_path, driver) as engine:
        told = engine.entries("t1", Instant(0), Instant(1))
        await anext(told)
        assert driver.telling
        await told.aclose()
        assert not driver.telling


@pytest.mark.parametrize(
    "more", [{"end": 0}, {"limit": 0}, {"limit": 10_001}, {"verdicts": ["PAID"]}]
)
@virtual()
async def test_what_cannot_be_asked_for(tmp_path: Path, more: dict[str, object]) -> None:
    async with on(tmp_path, ScriptedDriver()) as engine:
        with pytest.raises(InvalidRequest, match=r"end|limit|verdicts"):
            await engine.transactions("t1", wanted(**more))
        with pytest.raises(NotFound):
            await engine.transactions("t9", wanted())
        with pytest.raises(NotFound):
            await anext(engine.entries("t9", Instant(0), Instant(1)))


# --- what an entry says -----------------------------------------------------------------------


@virtual()
async def test_when_an_entry_agrees(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with on(tmp_path, driver) as engine:
        driver.at_once = approved()
        paid = await sold(engine)
        driver.at_once = DECLINED
        refused = await sold(engine)

        def agrees(sale: Transaction, outcome: Outcome | None, amount: int | None) -> bool | None:
            return Entry(name="n", outcome=outcome, amount=amount).agrees_with(sale)

        assert agrees(paid, approved(), 1250) is True
        assert agrees(paid, approved(), None) is True  # it tells none
        assert agrees(paid, approved(), 1251) is False
        assert agrees(paid, DECLINED, 1250) is False
        assert agrees(paid, None, 1250) is None
        assert agrees(refused, DECLINED, None) is True
        assert agrees(refused, Outcome(Verdict.CANCELLED), None) is False
        assert agrees(refused, approved(), 1250) is False
        in_dollars = Entry(name="n", outcome=approved(), amount=1250, currency="USD")
        assert in_dollars.agrees_with(paid) is False
        assert msgspec.structs.replace(in_dollars, amount=None).agrees_with(paid) is False
        given_back = Entry(name="n", outcome=approved(), amount=1250, reversed=True)
        assert given_back.agrees_with(paid) is False
        driver.at_once = approved()
        reversal = await engine.accept(
            purchase(1250, type=TransactionType.REVERSAL, original=paid.id), WhenBusy.REJECT
        )
        await engine.wait(reversal.id, is_final, 60)
        latest = await engine.find(paid.id)
        assert latest is not None
        assert given_back.agrees_with(latest) is True
        assert agrees(latest, approved(), 1250) is True  # not all tell what followed
        assert Entry(name="n", outcome=approved(), reversed=True).verdict == "REVERSED"
        assert Entry(name="n", outcome=DECLINED).verdict == "DECLINED"
        assert Entry(name="n").verdict == "UNKNOWN"
