"""What the driver of Payment Bridge is told by its face of a terminal's books: each transaction of
the near gateway's journal, as it ended, and what others did at the terminal; nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.kit import shop
from tests.kit.virtual_loop import EPOCH, virtual_loop
from tests.matrix.paymentbridge_pair import FAR_PORTS, LANE, Lane, Pair, live, settled
from tests.matrix.test_paymentbridge_endings import ENDS
from tillwire.clock import Instant
from tillwire.core.entries import Entry
from tillwire.core.estate_model import Lifecycle, Terminal
from tillwire.core.model import (
    Request,
    State,
    Terms,
    Transaction,
    TransactionType,
)
from tillwire.core.occupancy import WhenBusy
from tillwire.dialects.paymentbridge.driver import cloud
from tillwire.errors import PeerError
from tillwire.money import Money
from tillwire.reconcile import profiles
from tillwire.reconcile.facts import Window
from tillwire.reconcile.journal_side import rows_of
from tillwire.reconcile.match import ACQUIRER, GATEWAY
from tillwire.reconcile.results import Kind, Result
from tillwire.reconcile.run import gateway_rows, reconcile
from tillwire.reconcile.sources import Rows
from tillwire.reconcile.told_side import rows_told

_T = TransactionType
SECOND = Lane(number=2)


async def told(pair: Pair, lane: Lane = LANE) -> list[Entry]:
    behind = Instant(virtual_loop().clock.now() + 1000)
    return [each async for each in pair.near.engine.entries(lane.id, Instant(0), behind)]


async def check_books(pair: Pair, *lanes: Lane) -> list[Entry]:
    """Raise `AssertionError` unless both sides say the same of each transaction of the lanes; those
    that are in no journal of the near gateway."""
    strangers = []
    for lane in lanes or (LANE,):
        entries = await told(pair, lane)
        named = {each.transaction_id: each for each in entries if each.transaction_id}
        assert len(entries) == len(named) + sum(not each.transaction_id for each in entries)
        here = [each for each in pair.near.transactions() if each.terminal_id == lane.id]
        for each in here:
            _check(each, named.pop(each.id, None))
        assert not named, "they are of another terminal"
        strangers += [each for each in entries if not each.transaction_id]
    return strangers


def differences(pair: Pair, entries: list[Entry], lane: Lane = LANE) -> list[Result]:
    """What a reconciliation of the journal with these entries finds."""
    estate = pair.near.engine.estate
    window = Window(EPOCH, Instant(virtual_loop().clock.now() + 1000))
    journal = {each.id: each for each in pair.near.transactions()}
    told = [(estate.terminals[lane.id], each) for each in entries]
    theirs = Rows("books", rows_told(told, estate, journal.get, EPOCH), profiles.load("tillwire"))
    ours = rows_of(journal.values(), {lane.id})
    found = reconcile({GATEWAY: gateway_rows(ours), ACQUIRER: theirs}, window)
    assert found.kinds[Kind.MATCHED] > 0
    return found.differences


def _check(here: Transaction, entry: Entry | None) -> None:
    if entry is None:
        assert here.state in (State.CANCELLED, State.FAILED), f"it is not listed: {here}"
        return
    if here.is_final:
        assert entry.agrees_with(here), f"{entry} is not {here}"
        assert entry.reversed == (here.reversed_at is not None)
    assert (entry.type, entry.original) == (here.type, here.original_id or "")
    assert entry.currency == here.amount.currency
    assert entry.at is not None
    assert abs(entry.at - here.created_at) < 600_000


def elsewhere(pair: Pair, terminal: Terminal, minor: int) -> Request:
    """A sale that another till asks the far gateway for."""
    return Request(
        organisation_id=shop.SHOP,
        terminal_id=terminal.id,
        dialect="test",
        type=_T.PURCHASE,
        amount=Money(minor, "EUR"),
        reference="till 9",
    )


def test_every_ending_of_an_amount(disk: Path) -> None:
    async def day(pair: Pair) -> None:
        for ending in ENDS:
            if ENDS[ending] is not State.UNKNOWN:
                await settled(pair, await pair.order(LANE, 1000 + ending))
        assert await check_books(pair) == []
        assert differences(pair, await told(pair)) == []
        states = {each.state for each in pair.near.transactions()}
        assert states == {State.APPROVED, State.DECLINED, State.CANCELLED, State.FAILED}

    live(disk, day, told={"partial_approval": True})


def test_what_nobody_can_tell_is_on_the_books_without_an_outcome(disk: Path) -> None:
    async def day(pair: Pair) -> None:
        here = await settled(pair, await pair.order(LANE, 1047))
        assert here.state is State.UNKNOWN
        (entry,) = await told(pair)
        assert (entry.transaction_id, entry.outcome, entry.amount) == (here.id, None, 1047)

    live(disk, day)


@pytest.mark.parametrize("way", ["rest", "bridge"])
@pytest.mark.parametrize("action", ["SALE", "AUTHORIZE"])
def test_all_that_follows(disk: Path, way: str, action: str) -> None:
    lane = Lane(settings={"follow_ups": way})

    async def day(pair: Pair) -> None:
        sale = await pair.pay(lane, 1000, terms=Terms(tip=100))
        for part in (300, 700):
            await pair.pay(lane, part, _T.REFUND, original=sale.id)
        await pair.pay(lane, 250, _T.REFUND)
        for kind in (_T.PURCHASE, _T.PREAUTH):
            first = await pair.pay(lane, 2000, kind)
            await pair.pay(lane, 2000, _T.REVERSAL, original=first.id)
        reserved = await pair.pay(lane, 4000, _T.PREAUTH)
        captures = [
            await pair.pay(lane, part, _T.CAPTURE, original=reserved.id) for part in (1500, 500)
        ]
        await pair.pay(lane, 500, _T.REVERSAL, original=captures[1].id)
        done = pair.near.transactions()
        assert {each.state for each in done} == {State.APPROVED}
        assert await check_books(pair, lane) == []
        entries = await told(pair, lane)
        assert len(entries) == len(done) == 12
        assert differences(pair, entries, lane) == []
        refund = next(each for each in entries if each.type is _T.REFUND)
        assert len(differences(pair, [each for each in entries if each is not refund], lane)) == 1

    live(disk, day, lanes=[lane], told={"purchase_action": action})


def test_two_terminals_of_a_store_have_their_own(disk: Path) -> None:
    async def day(pair: Pair) -> None:
        for lane in (LANE, SECOND, LANE):
            await pair.pay(lane, 1000)
        await settled(pair, await pair.order(SECOND, 1040))
        for number, minor in ((0, 111), (1, 222), (2, 333)):
            request = elsewhere(pair, shop.VIRTUAL[number], minor)
            order = await pair.far.engine.accept(request, WhenBusy.REJECT)
            await pair.far.engine.wait(order.id, lambda each: each.is_final, 60)
        first, second = await check_books(pair, LANE, SECOND)
        assert (first.amount, second.amount) == (111, 222)
        assert (first.reference, first.tid) == ("till 9", LANE.there.tid)
        assert first.verdict == "APPROVED"

    live(disk, day, lanes=[LANE, SECOND])


@pytest.mark.parametrize("former", [Lifecycle.ACTIVATED, Lifecycle.REMOVED])
def test_a_swap_changes_nothing_of_what_was_done(disk: Path, former: Lifecycle) -> None:
    async def day(pair: Pair) -> None:
        before = await pair.pay(LANE, 1000)
        await pair.swap(former)
        await asyncio.sleep(400)
        after = await settled(pair, await pair.order(LANE, 2000))
        assert after.state in (State.APPROVED, State.FAILED)
        await pair.pay(LANE, 3000)
        await pair.pay(LANE, 1000, _T.REVERSAL, original=before.id)
        assert await check_books(pair) == []

    live(disk, day)


def test_the_last_transaction_is_that_of_the_terminal(disk: Path) -> None:
    async def day(pair: Pair) -> None:
        engine = pair.near.engine
        assert (await engine.last_transaction(LANE.id)).entry is None
        sale = await pair.pay(LANE, 1000)
        await asyncio.sleep(2)
        await pair.pay(SECOND, 2000)
        found = await engine.last_transaction(LANE.id)
        assert found.entry is not None
        assert (found.entry.transaction_id, found.known) == (sale.id, sale)
        back = await pair.pay(LANE, 1000, _T.REVERSAL, original=sale.id)
        found = await engine.last_transaction(LANE.id)
        assert (found.known, found.trouble) == (back, "")

    live(disk, day, lanes=[LANE, SECOND])


def test_a_way_that_is_cut_while_pages_are_read_hides_nothing(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Either all of them are told, or that they are not."""
    monkeypatch.setattr(cloud, "PAGE", 2)

    async def day(pair: Pair) -> set[bool]:
        for _ in range(7):
            await pair.pay(LANE, 1000)
        whole = [each.name for each in await told(pair)]
        assert len(whole) == 7
        came = set()
        for steps in range(0, 300, 12):
            asking = asyncio.ensure_future(told(pair))
            for _ in range(steps):
                await asyncio.sleep(0)
            virtual_loop().network.cut(*FAR_PORTS.values())
            try:
                assert [each.name for each in await asking] == whole
                came.add(True)
            except PeerError:
                came.add(False)
        return came

    assert live(disk, day) == {True, False}
