"""What a till may say of a sale beside its amount: cash-back, a tip, the card that was read."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.kit.runner import virtual
from tests.unit.virtual.shop import Shop, shop_in
from tillwire.core.errands import CardRead, ReadCard
from tillwire.core.model import (
    Cause,
    ForHost,
    HostTag,
    State,
    Terms,
    TransactionType,
    Verdict,
)
from tillwire.errors import Proof
from tillwire.virtual.memory import SetScript
from tillwire.virtual.script import Script


@virtual()
async def test_cash_back_is_part_of_what_is_charged(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        paid = await shop.paid(3000, Terms(cash_back=1000))
        assert paid.outcome is not None
        assert (paid.outcome.approved_amount, paid.outcome.tip) == (3000, 0)
        assert (await shop.paid(3000, Terms(cash_back=3000))).state is State.APPROVED
        assert await shop.ledger() == [("PURCHASE", 3000, True)] * 2


@virtual()
async def test_a_tip_agreed_at_the_till_is_in_the_amount_and_the_terminal_s_comes_on_top(
    tmp_path: Path,
) -> None:
    async with shop_in(tmp_path) as shop:
        agreed = (await shop.paid(1100, Terms(tip=100))).outcome
        added = (await shop.paid(1054, Terms(tip=54))).outcome
        assert agreed is not None
        assert added is not None
        assert (agreed.approved_amount, agreed.tip) == (1100, 0)
        assert (added.approved_amount, added.tip) == (1054 + 105, 105)
        assert [entry.amount for entry in await shop.entries()] == [1100, 1159]


@pytest.mark.parametrize(
    ("terms", "approved"),
    [
        (Terms(), 522),
        (Terms(tip=700), 522),
        (Terms(cash_back=100), 522),
        (Terms(cash_back=900), 145),
        (Terms(cash_back=900, tip=100), 145),
    ],
)
def test_a_part_of_the_amount_pays_out_no_cash(tmp_path: Path, terms: Terms, approved: int) -> None:
    @virtual()
    async def scenario() -> None:
        async with shop_in(tmp_path) as shop:
            paid = await shop.paid(1045, terms, partial_allowed=True)
            assert paid.outcome is not None
            assert (paid.outcome.approved_amount, paid.outcome.tip) == (approved, 0)
            assert await shop.ledger() == [("PURCHASE", approved, True)]

    scenario()


@virtual()
async def test_a_part_of_nothing_but_cash_is_declined(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        terms = Terms(cash_back=1045)
        declined = await shop.paid(1045, terms, partial_allowed=True)
        assert declined.state is State.DECLINED
        assert await shop.ledger() == [("PURCHASE", 0, False)]


@pytest.mark.parametrize("terms", [Terms(tip=1000), Terms(cash_back=500, tip=500)])
def test_a_sale_of_nothing_is_refused_with_proof(tmp_path: Path, terms: Terms) -> None:
    @virtual()
    async def scenario() -> None:
        async with shop_in(tmp_path) as shop:
            failed = await shop.paid(1000, terms)
            assert (failed.state, failed.proof) == (State.FAILED, Proof.REFUSED_BY_PEER)
            assert await shop.ledger() == []

    scenario()


# --- cards that were read -----------------------------------------------------------------------


async def read(shop: Shop, terminal: str = "t1") -> CardRead:
    found, _ = await shop.perform(ReadCard(), terminal=terminal)
    assert isinstance(found, CardRead)
    return found


@virtual()
async def test_the_card_that_was_read_pays_also_after_a_restart(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        cards = [await read(shop) for _ in range(8)]
        assert len({card.card_last4 for card in cards}) > 1, "not all are the same"
    async with shop_in(tmp_path) as shop:
        for card in cards:
            outcome = (await shop.paid(1000, Terms(card=card.card))).outcome
            assert outcome is not None
            assert (outcome.brand, outcome.card_last4) == (card.brand, card.card_last4)


@virtual()
async def test_a_card_that_was_not_read_here_is_refused_with_proof(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        elsewhere = await read(shop, "t2")
        for card in (elsewhere.card, "made up", "x" * 100_000):
            failed = await shop.paid(1000, Terms(card=card))
            assert (failed.state, failed.proof) == (State.FAILED, Proof.REFUSED_BY_PEER)
        assert await shop.ledger() == []


@virtual()
async def test_a_terminal_that_restarts_forgets_the_cards_it_has_read(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        card = await read(shop)
        await shop.world.set_script("t1", SetScript(Script(restart=True), 1))
        await shop.paid(1000)
        failed = await shop.paid(1000, Terms(card=card.card))
        assert failed.state is State.FAILED


@virtual()
async def test_what_follows_a_transaction_is_of_its_card(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        for _ in range(4):
            sale = await shop.paid(1000)
            refund = await shop.paid(400, type=TransactionType.REFUND, original=sale.id)
            back = await shop.paid(400, type=TransactionType.REVERSAL, original=refund.id)
            assert sale.outcome is not None
            for each in (refund, back):
                assert each.outcome is not None
                assert each.outcome.card_last4 == sale.outcome.card_last4


# --- why it was cancelled -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("minor", "cause"), [(1043, Cause.CARDHOLDER), (1044, Cause.NO_CARD), (1040, None)]
)
def test_a_cancellation_says_whose_it_was(tmp_path: Path, minor: int, cause: Cause | None) -> None:
    @virtual()
    async def scenario() -> None:
        async with shop_in(tmp_path) as shop:
            outcome = (await shop.paid(minor)).outcome
            assert outcome is not None
            assert outcome.cause is cause

    scenario()


@virtual()
async def test_what_the_till_calls_off_is_cancelled_by_the_till(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        sent = await shop.pay(1049)
        await shop.until(sent, State.STARTED)
        await shop.engine.abort(sent.id)
        outcome = (await shop.until_final(sent)).outcome
        assert outcome is not None
        assert outcome.cause is Cause.TILL


@virtual()
async def test_a_script_says_the_cause(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        for script, cause in (
            (Script(verdict=Verdict.CANCELLED), Cause.CARDHOLDER),
            (Script(verdict=Verdict.CANCELLED, cause=Cause.NO_CARD), Cause.NO_CARD),
        ):
            await shop.world.set_script("t1", SetScript(script, 1))
            outcome = (await shop.paid(1000)).outcome
            assert outcome is not None
            assert outcome.cause is cause
    with pytest.raises(ValueError, match="cause must come with"):
        Script(cause=Cause.NO_CARD)


@virtual()
async def test_the_host_answers_whoever_wants_an_answer(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        told = ForHost(tags=(HostTag("0COF", 5),))
        asked = msgspec.structs.replace(told, wanted_field="62", wanted_tag="DF8D01")
        silent, answered = [
            (await shop.paid(1000, Terms(for_host=each))).outcome for each in (told, asked)
        ]
        assert silent is not None
        assert answered is not None
        assert silent.from_host == ""
        assert answered.from_host.startswith("TOKEN ")
