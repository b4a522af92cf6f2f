"""The driver of nexo against the face of nexo, in every binding: how each ending of a virtual
terminal behind the far gateway becomes known at the near one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.kit.virtual_loop import virtual_loop
from tests.matrix.nexo_agreement import carried_out, check_pair
from tests.matrix.nexo_pair import BINDINGS, WAYS, Lane, Pair, live
from tillwire.core.model import (
    Cause,
    EntryMode,
    Outcome,
    State,
    Terms,
    Transaction,
    TransactionType,
    Verdict,
    Verification,
)
from tillwire.core.ports import CannotTell
from tillwire.dialects.nexo.driver.driver import NexoDriver
from tillwire.errors import Proof, TerminalBusy
from tillwire.money import Money

every_way = pytest.mark.parametrize("way", WAYS)
every_binding = pytest.mark.parametrize("way", BINDINGS)

FORGETS: Final = 47
GIVES_UP_AFTER: Final = 200.0
"""Seconds after which the near gateway calls UNKNOWN what the far one has not answered."""
SOON: Final = 1.0
"""Seconds: one poll may lie between."""
RECOVERED: Final = 5.0
"""Seconds in which a lost answer behind the far gateway is found again."""


@dataclass(frozen=True)
class Expected:
    """What a sale of 10.xx euro comes to at the near gateway."""

    state: State
    moved: int = 0
    within: float = SOON
    says: str = ""
    """Words of its reason."""
    proof: Proof | None = None
    cause: Cause | None = None


def _declined(says: str, within: float = SOON) -> Expected:
    return Expected(State.DECLINED, within=within, says=says)


def _cancelled(says: str, within: float = SOON) -> Expected:
    return Expected(State.CANCELLED, within=within, says=says, cause=Cause.CARDHOLDER)


def _approved(moved: int, within: float = SOON) -> Expected:
    return Expected(State.APPROVED, moved, within)


PURCHASES: Final = {
    0: _approved(1000),
    39: _approved(1039),
    40: _declined("Do not honour"),
    41: _declined("Insufficient funds"),
    42: _declined("Expired card"),
    43: _cancelled("Cancelled by the cardholder"),
    44: _cancelled("No card was presented in time", within=31),
    45: _approved(522),
    46: _approved(1046, RECOVERED),
    FORGETS: Expected(State.UNKNOWN),
    48: _approved(1048),
    49: _approved(1049, within=21.5),
    50: _approved(1050),
    51: _approved(1051),
    52: Expected(State.FAILED, proof=Proof.REFUSED_BY_PEER),
    53: _declined("Do not honour", RECOVERED),
    54: _approved(1159),
}
"""Last two digits of the amount -> what becomes of a purchase."""
CASES: Final = [
    *((way, ending) for way in BINDINGS for ending in PURCHASES),
    *(("sealed", ending) for ending in (0, 40, 45, 46, 54)),
]


@pytest.mark.parametrize(("way", "ending"), CASES)
def test_a_purchase_ends_as_its_amount_says(disk: Path, way: str, ending: int) -> None:
    expected = PURCHASES[ending]

    async def sale(pair: Pair) -> tuple[Transaction, float]:
        paid = await pair.ended(await pair.order(Lane(way), 1000 + ending), GIVES_UP_AFTER)
        within = virtual_loop().time()
        await check_pair(pair)
        return paid, within

    paid, within = live(disk, sale, lanes=[Lane(way)])
    assert (paid.state, paid.approved_amount) == (expected.state, expected.moved)
    assert paid.proof is expected.proof
    assert within <= expected.within or ending == FORGETS
    outcome = paid.outcome or Outcome(Verdict.CANCELLED)
    assert outcome.reason == expected.says
    assert outcome.cause is expected.cause


@every_way
def test_the_near_gateway_learns_all_that_the_protocol_carries(disk: Path, way: str) -> None:
    async def sales(pair: Pair) -> list[tuple[Transaction, Transaction]]:
        lane = Lane(way)
        for minor in (1000, 1040, 1050, 1051, 1054, 9900):
            await pair.pay(lane, minor)
        await check_pair(pair)
        there = carried_out(pair)
        return [(each, there[each.id]) for each in pair.near.transactions()]

    for here, there in live(disk, sales, lanes=[Lane(way)]):
        mine, theirs = here.outcome, there.outcome
        assert mine is not None
        assert theirs is not None
        for field in (
            *("brand", "card_last4", "card_bin", "entry_mode", "authorisation_code", "tip"),
            *("conversion",),
        ):
            assert getattr(mine, field) == getattr(theirs, field), field
        assert mine.handle["poi_transaction_id"] == there.id
        assert mine.acquirer_reference == (theirs.acquirer_reference or theirs.stan)
        # The protocol has no word for a cardholder verified by the phone.
        same = theirs.verification is not Verification.DEVICE
        assert not same or mine.verification in (theirs.verification, None)
        assert isinstance(mine.entry_mode, EntryMode)
        assert mine.receipts is not None
        for words in (there.heading.store, "CARDHOLDER COPY"):
            assert words in mine.receipts.cardholder
        assert "MERCHANT COPY" in mine.receipts.merchant


# --- what moves money in other ways -------------------------------------------------------------

OTHERS: Final = {
    0: State.APPROVED,
    40: State.DECLINED,
    43: State.CANCELLED,
    46: State.APPROVED,
    48: State.APPROVED,
    49: State.APPROVED,
    52: State.FAILED,
    53: State.DECLINED,
    54: State.APPROVED,  # nobody tips but on a purchase
}
"""Last two digits of the amount -> how all other types end."""

_T = TransactionType
ORIGINALS: Final = {
    _T.REFUND: _T.PURCHASE,
    _T.REVERSAL: _T.PURCHASE,
    _T.INCREMENT: _T.PREAUTH,
    _T.CAPTURE: _T.PREAUTH,
}


@every_binding
@pytest.mark.parametrize("kind", [each for each in _T if each is not _T.PURCHASE])
def test_every_other_type_ends_as_its_amount_says(
    disk: Path, way: str, kind: TransactionType
) -> None:
    async def day(pair: Pair) -> dict[int, Transaction]:
        lane, original = Lane(way), None
        if kind in ORIGINALS:
            original = (await pair.pay(lane, 100_000, ORIGINALS[kind])).id
        ended = {
            ending: await pair.pay(lane, 1000 + ending, kind, original=original)
            for ending in OTHERS
        }
        forgotten = await pair.pay(lane, 1000 + FORGETS, kind, original=original)
        await pair.ended(forgotten, GIVES_UP_AFTER)
        await check_pair(pair)
        ended[FORGETS] = await pair.ended(forgotten, 0)
        return ended

    ended = live(disk, day, lanes=[Lane(way)])
    for ending, state in {**OTHERS, FORGETS: State.UNKNOWN}.items():
        found = ended[ending]
        assert found.state is state, f"{ending}: {found}"
        assert found.approved_amount == (1000 + ending if state is State.APPROVED else 0)


@every_way
def test_a_chain_of_follow_ups_comes_to_the_same_on_both_sides(disk: Path, way: str) -> None:
    async def day(pair: Pair) -> None:
        lane = Lane(way)

        async def approved(minor: int, kind: TransactionType, original: str | None = None) -> str:
            done = await pair.pay(lane, minor, kind, original=original)
            assert (done.state, done.approved_amount) == (State.APPROVED, minor), done
            return done.id

        paid = await approved(5000, _T.PURCHASE)
        await approved(1500, _T.REFUND, paid)
        await approved(3500, _T.REFUND, paid)
        await approved(700, _T.REFUND)
        undone = await approved(2000, _T.PURCHASE)
        await approved(2000, _T.REVERSAL, undone)
        partly = await approved(2000, _T.PURCHASE)
        await approved(500, _T.REVERSAL, partly)
        await approved(1500, _T.REVERSAL, partly)
        reserved = await approved(10_000, _T.PREAUTH)
        await approved(2500, _T.INCREMENT, reserved)
        await approved(-1000, _T.INCREMENT, reserved)
        captured = await approved(11_500, _T.CAPTURE, reserved)
        await approved(1500, _T.REFUND, captured)
        released = await approved(10_000, _T.PREAUTH)
        await approved(10_000, _T.REVERSAL, released)
        raised = await approved(6000, _T.PREAUTH)
        await approved(2000, _T.INCREMENT, raised)
        await approved(8000, _T.REVERSAL, raised)
        in_parts = await approved(6000, _T.PREAUTH)
        await approved(2000, _T.INCREMENT, in_parts)
        await approved(3000, _T.CAPTURE, in_parts)
        await approved(4000, _T.REVERSAL, in_parts)
        await approved(1000, _T.REVERSAL, in_parts)
        cash = await approved(3000, _T.CASH_ADVANCE)
        await approved(3000, _T.REVERSAL, cash)
        await check_pair(pair)
        there = carried_out(pair)
        for here in pair.near.transactions():
            assert (here.reversed_at is None) == (there[here.id].reversed_at is None), here

    live(disk, day, lanes=[Lane(way)])


@every_binding
def test_cash_back_and_a_tip_that_was_agreed_go_with_the_sale(disk: Path, way: str) -> None:
    terms = Terms(cash_back=2000, tip=300, operator="op-19", shift="2", language="nl")

    async def sale(pair: Pair) -> None:
        paid = await pair.pay(Lane(way), 7300, terms=terms)
        assert (paid.state, paid.approved_amount) == (State.APPROVED, 7300)
        there = carried_out(pair)[paid.id]
        assert there.terms == terms
        assert paid.outcome is not None
        assert paid.outcome.tip == 0, "it was agreed, not added on the terminal"
        await check_pair(pair)

    live(disk, sale, lanes=[Lane(way)])


@every_binding
def test_a_sale_that_is_approved_for_half_is_paid_for_half_also_for_a_till_that_did_not_ask(
    disk: Path, way: str
) -> None:
    """The protocol has no way to forbid it; the till reads how much was paid."""

    async def sale(pair: Pair) -> None:
        paid = await pair.pay(Lane(way), 1045, partial=False)
        assert (paid.state, paid.approved_amount) == (State.APPROVED, 522)
        await check_pair(pair)

    live(disk, sale, lanes=[Lane(way)])


# --- what nobody can know -----------------------------------------------------------------------


@every_binding
def test_what_nobody_knows_stays_unknown_until_a_person_decides_at_the_far_gateway(
    disk: Path, way: str
) -> None:
    async def sale(pair: Pair) -> None:
        lane, other = Lane(way), Lane(way, 2)
        order = await pair.order(lane, 1000 + FORGETS)
        for seconds in (100, GIVES_UP_AFTER):  # before and after the near one has given up waiting
            assert not (await pair.ended(order, seconds)).is_final
            assert [each.state for each in pair.far.transactions()] == [State.UNKNOWN]
        with pytest.raises(TerminalBusy) as blocked:
            await pair.order(lane, 1000)
        assert blocked.value.unresolved
        beside = await pair.pay(other, 1000)
        assert (beside.state, beside.proof) == (State.FAILED, Proof.REFUSED_BY_PEER)
        [there] = pair.far.transactions()
        await pair.far.engine.decide(
            there.id, Verdict.APPROVED, person="Ada", reason="It is on the acquirer's statement."
        )
        ended = await pair.ended(order, 15)
        assert (ended.state, ended.approved_amount) == (State.APPROVED, 1000 + FORGETS)
        assert (await pair.pay(other, 1000)).state is State.APPROVED
        await check_pair(pair)

    live(disk, sale, lanes=(Lane(way), Lane(way, 2)))


@every_binding
def test_the_ladder_says_that_it_is_not_over_as_long_as_the_far_gateway_does_not_know(
    disk: Path, way: str
) -> None:
    async def sale(pair: Pair) -> None:
        order = await pair.order(Lane(way), 1000 + FORGETS)
        await pair.ended(order, 30)
        terminal = pair.near.engine.estate.terminals[order.terminal_id]
        driver = NexoDriver(terminal, pair.near.engine, pair.near.clock)
        found = await driver.recover(await pair.ended(order, 0))
        assert isinstance(found, CannotTell)
        assert not found.needs_person, "it may yet be decided there"

    live(disk, sale, lanes=[Lane(way)])


def test_money_of_every_size_arrives_as_it_was_asked_for(disk: Path) -> None:
    async def day(pair: Pair) -> None:
        for way in WAYS:
            for minor in (1, 100, 999_999_999 - 99_999_999):
                paid = await pair.pay(Lane(way), minor)
                assert paid.state is State.APPROVED
                assert paid.amount == Money(minor, "EUR")
        await check_pair(pair)

    live(disk, day, lanes=[Lane(way) for way in WAYS])
