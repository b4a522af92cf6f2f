"""Each transaction counts in one period of its terminal, and that never changes."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.kit.runner import virtual
from tests.kit.virtual_loop import VirtualClock, VirtualLoop, virtual_loop
from tests.unit.core.scripted import DECLINED, ScriptedDriver, approved, engine_on, is_final
from tests.unit.estate_fixture import purchase
from tillwire.clock import Instant
from tillwire.core.engine import Engine
from tillwire.core.model import Outcome, State, Terms, Transaction, TransactionType, Verdict
from tillwire.core.occupancy import WhenBusy
from tillwire.core.totals import Closing, Ending, TotalsKind, TotalsRow, tally
from tillwire.errors import AnswerLost, Conflict, InvalidRequest, NotDelivered

DAY = 24 * 3_600_000


async def sold(engine: Engine, driver: ScriptedDriver, amount: int = 1250, **special: Any):
    driver.at_once = approved(amount)
    sale = await engine.accept(purchase(amount, **special), WhenBusy.REJECT)
    return await engine.wait(sale.id, is_final, 5)


def sums(closing: Closing) -> dict[TotalsKind, tuple[int, int]]:
    return {row.kind: (row.count, row.amount) for row in closing.rows}


async def test_a_period_runs_from_closing_to_closing(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        first = await sold(engine, driver, register="till-1", terms=Terms(operator="Ann"))
        await sold(engine, driver, 99, terminal="t2")
        so_far = await engine.open_totals("t1")
        assert await engine.open_period("t1") == 1
        row = TotalsRow(TotalsKind.DEBIT, "EUR", "VISA", "till-1", "Ann", count=1, amount=1250)
        assert (so_far.number, so_far.opened_at, so_far.rows) == (1, first.created_at, (row,))
        closing = await engine.close_period("t1")
        assert (closing.number, closing.opened_at) == (1, first.created_at)
        assert closing.rows == (row,)
        second = await sold(engine, driver, 500)
        following = await engine.close_period("t1")
        assert (following.number, following.opened_at) == (2, closing.closed_at)
        assert sums(following) == {TotalsKind.DEBIT: (1, 500)}
        assert [await engine.period_of(each) for each in (first, second)] == [1, 2]
    async with engine_on(tmp_path, driver) as engine:
        assert await engine.closing("t1", 1) == closing
        assert await engine.closing("t1", 2) == following
        for nobodys in (3, 0, -1, 10**30):
            assert await engine.closing("t1", nobodys) is None
        assert (await engine.open_totals("t1")).number == await engine.open_period("t1") == 3
        assert sums(await engine.close_period("t2")) == {TotalsKind.DEBIT: (1, 99)}


async def test_a_terminal_that_never_sold_has_an_empty_period(tmp_path: Path) -> None:
    async with engine_on(tmp_path, ScriptedDriver()) as engine:
        closing = await engine.close_period("t3")
        assert (closing.number, closing.rows, closing.ended) == (1, (), 0)
        assert (await engine.open_totals("t3")).opened_at == closing.closed_at


async def test_a_reversal_counts_by_what_it_reverses(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        sale = await sold(engine, driver)
        refund = await sold(engine, driver, 500, type=TransactionType.REFUND)
        await engine.close_period("t1")
        await sold(engine, driver, 500, type=TransactionType.REVERSAL, original=refund.id)
        await sold(engine, driver, 1250, type=TransactionType.REVERSAL, original=sale.id)
        # "reverse" is a fact beside the sale's state: the sale itself does not count again.
        assert sums(await engine.close_period("t1")) == {
            TotalsKind.REVERSE_CREDIT: (1, 500),
            TotalsKind.REVERSE_DEBIT: (1, 1250),
        }


@virtual()
async def test_an_unknown_counts_on_the_day_that_it_is_resolved(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver, VirtualClock(virtual_loop())) as engine:
        driver.at_once = AnswerLost("reset")
        sale = await engine.accept(purchase(), WhenBusy.REJECT)
        lost = await engine.wait(sale.id, lambda each: each.is_settled, 5)
        assert lost.state is State.UNKNOWN
        for number in range(1, 5):
            with pytest.raises(Conflict):
                await engine.period_of(lost)
            assert (await engine.close_period("t1")).rows == ()
            await asyncio.sleep(86_400)
            assert (await engine.open_totals("t1")).number == number + 1
        found = await engine.decide(sale.id, Verdict.APPROVED, person="Ann", reason="paper")
        assert await engine.period_of(found) == 5
        assert sums(await engine.close_period("t1")) == {TotalsKind.DEBIT: (1, 1250)}
        assert await engine.period_of(found) == 5


async def test_two_closings_at_once_close_two_periods(tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        await sold(engine, driver)
        closings = await asyncio.gather(*(engine.close_period("t1") for _ in range(5)))
        closings.sort(key=lambda each: each.number)
        assert [each.number for each in closings] == [1, 2, 3, 4, 5]
        assert [len(each.rows) for each in closings] == [1, 0, 0, 0, 0]


async def test_what_ends_while_the_sums_are_made_counts_in_the_period_that_is_told_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        commit = engine.journal.commit
        told: list[int] = []

        async def commit_late(work: Any) -> Any:
            if not told:
                told.append(0)  # only before the closing's own, first commit
                sale = await sold(engine, driver)
                told[0] = await engine.period_of(sale)
            return await commit(work)

        monkeypatch.setattr(engine.journal, "commit", commit_late)
        closing = await engine.close_period("t1")
        assert told == [closing.number]
        assert sums(closing) == {TotalsKind.DEBIT: (1, 1250)}


class WrongClock(VirtualClock):
    """A wall clock that people set."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__(loop)
        self.wrong_by = 0

    def now(self) -> Instant:
        return Instant(super().now() + self.wrong_by)


@pytest.mark.parametrize("wrong_by", [-20 * 365 * DAY, -2 * DAY, 12 * 365 * DAY])
@virtual()
async def test_a_clock_that_was_set_leaves_nothing_out_and_counts_nothing_twice(
    tmp_path: Path, wrong_by: int
) -> None:
    driver = ScriptedDriver()
    clock = WrongClock(virtual_loop())
    async with engine_on(tmp_path, driver, clock) as engine:
        for number in range(1, 6):
            clock.wrong_by = wrong_by if number % 2 else 0
            await sold(engine, driver, number)
            assert sums(await engine.close_period("t1")) == {TotalsKind.DEBIT: (1, number)}


class Shop:
    """Sells, loses, finds, refunds, contradicts and closes at random."""

    def __init__(self, engine: Engine, driver: ScriptedDriver, source: random.Random) -> None:
        self._engine = engine
        self._driver = driver
        self._source = source
        self.seen: dict[str, Transaction] = {}
        self.told: dict[str, int] = {}

    async def _see(self, transaction: Transaction) -> None:
        self.seen[transaction.id] = transaction
        if transaction.is_final:
            period = await self._engine.period_of(transaction)
            assert self.told.setdefault(transaction.id, period) == period

    async def sell(self) -> None:
        source = self._source
        amount = source.randrange(1, 5000)
        request = purchase(
            amount,
            terminal=source.choice(("t1", "t2")),
            type=source.choice((TransactionType.PURCHASE, TransactionType.PREAUTH)),
            register=source.choice(("till-1", "till-2")),
            terms=Terms(operator=source.choice(("Ann", ""))),
        )
        await self._carry(request, approved(amount))

    async def follow(self) -> None:
        originals = [each for each in self.seen.values() if each.state is State.APPROVED]
        if originals:
            original = self._source.choice(originals)
            amount = original.approved_amount
            kind = self._source.choice((TransactionType.REFUND, TransactionType.REVERSAL))
            terminal = original.terminal_id
            await self._carry(
                purchase(amount, type=kind, original=original.id, terminal=terminal),
                approved(amount),
            )

    async def _carry(self, request: Any, success: Outcome) -> None:
        ends = (success, success, DECLINED, Outcome(Verdict.CANCELLED), NotDelivered("refused"))
        self._driver.at_once = self._source.choice((*ends, AnswerLost("reset")))
        try:
            begun = await self._engine.accept(request, WhenBusy.REJECT)
        except (Conflict, InvalidRequest):  # busy, taken back already, or nothing to refund
            return
        await self._see(await self._engine.wait(begun.id, lambda each: each.is_settled, 5))

    async def resolve(self) -> None:
        for each in list(self.seen.values()):
            if each.state is State.UNKNOWN and self._source.random() < 0.5:
                outcome = self._source.choice((approved(each.amount.minor), DECLINED))
                await self._see(await self._engine.heard_outcome(each.id, outcome))

    async def contradict(self) -> None:
        if self.seen:
            known = self._source.choice(list(self.seen.values()))
            if known.is_final:
                await self._engine.heard_outcome(known.id, approved(1))

    async def close(self) -> None:
        await self._engine.close_period(self._source.choice(("t1", "t2")))

    async def all_told_stays_true(self) -> None:
        for transaction in self.seen.values():
            await self._see(transaction)


@pytest.mark.parametrize("seed", range(12))
def test_at_random_each_transaction_counts_exactly_once(tmp_path: Path, seed: int) -> None:
    @virtual(seed)
    async def scenario() -> None:
        source = random.Random(seed)
        clock = WrongClock(virtual_loop())
        driver = ScriptedDriver()
        async with engine_on(tmp_path, driver, clock) as engine:
            shop = Shop(engine, driver, source)
            acts = (shop.sell, shop.sell, shop.follow, shop.resolve, shop.contradict, shop.close)
            for _ in range(60):
                clock.wrong_by += source.choice((0, 0, 0, DAY, -3 * DAY, 40 * DAY, -40 * DAY))
                chosen = [source.choice(acts) for _ in range(source.choice((1, 2, 4)))]
                await asyncio.gather(*(act() for act in chosen))
            await shop.all_told_stays_true()
            await _compare(engine, shop)

    scenario()


async def test_at_random_beside_the_writers_thread_too(tmp_path: Path) -> None:
    source = random.Random(7)
    driver = ScriptedDriver()
    async with engine_on(tmp_path, driver) as engine:
        shop = Shop(engine, driver, source)
        for _ in range(40):
            await asyncio.gather(
                shop.sell(), shop.close(), shop.sell(), shop.follow(), shop.close(), shop.sell()
            )
            await shop.resolve()
        await shop.all_told_stays_true()
        await _compare(engine, shop)


async def _compare(engine: Engine, shop: Shop) -> None:
    """Every period has the totals of the transactions that were told to be in it."""
    for terminal_id in ("t1", "t2"):
        last = await engine.close_period(terminal_id)
        told: dict[int, list[Ending]] = defaultdict(list)
        for each in shop.seen.values():
            if each.terminal_id == terminal_id and each.is_final:
                told[shop.told[each.id]].append(_ending(each, shop))
        assert last.ended == sum(len(endings) for endings in told.values())
        for number in range(1, last.number + 1):
            closing = await engine.closing(terminal_id, number)
            assert closing is not None
            assert closing.rows == tally(told[number]), f"period {number} of {terminal_id}"


def _ending(transaction: Transaction, shop: Shop) -> Ending:
    original = shop.seen.get(transaction.original_id or "")
    return Ending(
        type=transaction.type,
        state=transaction.state,
        asked=transaction.amount.minor,
        approved=transaction.approved_amount,
        currency="EUR",
        brand=transaction.outcome.brand if transaction.outcome else "",
        register=transaction.register,
        terms=transaction.terms,
        original_type=original.type if original else None,
    )
