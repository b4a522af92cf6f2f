"""The last two digits of an amount say what happens; the ledger says what it cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.runner import virtual
from tests.unit.virtual.shop import clock_of_loop, shop_in
from tillwire.core.model import (
    EntryMode,
    Evidence,
    State,
    TransactionType,
    Verdict,
    Verification,
)
from tillwire.errors import Proof
from tillwire.money import Money
from tillwire.virtual.script import APPROVED, ENDINGS, script_for


def test_every_ending_of_the_table_has_a_script_and_any_other_is_approved() -> None:
    assert sorted(ENDINGS) == list(range(40, 55))
    assert script_for(1239) is script_for(1255) is script_for(100) is APPROVED
    assert script_for(-140) is ENDINGS[40]


@virtual()
async def test_any_other_ending_is_approved_with_the_cards_details(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        paid = await shop.paid(1250 + 10)
        assert paid.state is State.APPROVED
        outcome = paid.outcome
        assert outcome is not None
        assert (outcome.approved_amount, outcome.tip, outcome.response_code) == (1260, 0, "00")
        assert outcome.evidence is Evidence.ANSWER
        assert outcome.stan == "000001"
        assert len(outcome.authorisation_code) == 6
        assert outcome.card_last4.isdigit()
        assert (outcome.entry_mode, outcome.verification) == (
            EntryMode.CONTACTLESS,
            Verification.NONE,
        )
        assert await shop.ledger() == [("PURCHASE", 1260, True)]


@virtual()
async def test_a_larger_amount_wants_chip_and_pin(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        outcome = (await shop.paid(5001)).outcome
        assert outcome is not None
        assert (outcome.entry_mode, outcome.verification) == (EntryMode.CHIP, Verification.PIN)


@pytest.mark.parametrize(("ending", "code"), [(40, "05"), (41, "51"), (42, "54"), (45, "51")])
def test_declined(tmp_path: Path, ending: int, code: str) -> None:
    @virtual()
    async def scenario() -> None:
        async with shop_in(tmp_path) as shop:
            paid = await shop.paid(1000 + ending)
            assert paid.state is State.DECLINED
            assert paid.outcome is not None
            assert paid.outcome.response_code == code
            assert paid.outcome.reason
            assert not paid.outcome.authorisation_code
            assert await shop.ledger() == [("PURCHASE", 0, False)]

    scenario()


@virtual()
async def test_43_is_cancelled_by_the_cardholder_and_never_reaches_the_acquirer(
    tmp_path: Path,
) -> None:
    async with shop_in(tmp_path) as shop:
        assert (await shop.paid(1043)).state is State.CANCELLED
        assert await shop.ledger() == []


@virtual()
async def test_44_gives_up_within_a_minute_when_no_card_is_presented(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        begun = clock_of_loop().now()
        sent = await shop.pay(1044)
        assert (await shop.until(sent, State.STARTED)).state is State.STARTED
        assert (await shop.until_final(sent)).state is State.CANCELLED
        assert 20_000 < clock_of_loop().now() - begun < 60_000
        assert await shop.ledger() == []


@virtual()
async def test_45_is_approved_for_half_rounded_down_where_partial_approval_is_allowed(
    tmp_path: Path,
) -> None:
    async with shop_in(tmp_path) as shop:
        paid = await shop.paid(1045, partial_allowed=True)
        assert (paid.state, paid.approved_amount) == (State.APPROVED, 522)
        assert await shop.ledger() == [("PURCHASE", 522, True)]


@pytest.mark.parametrize(
    ("ending", "state", "entry"),
    [(46, State.APPROVED, ("PURCHASE", 1046, True)), (53, State.DECLINED, ("PURCHASE", 0, False))],
)
def test_a_lost_answer_becomes_unknown_and_is_found_within_30_s(
    tmp_path: Path, ending: int, state: State, entry: tuple[str, int, bool]
) -> None:
    @virtual()
    async def scenario() -> None:
        async with shop_in(tmp_path) as shop:
            sent = await shop.pay(1000 + ending)
            begun = clock_of_loop().now()
            assert (await shop.until(sent, State.UNKNOWN)).state is State.UNKNOWN
            found = await shop.until_final(sent)
            assert found.state is state
            assert clock_of_loop().now() - begun < 30_000
            assert found.outcome is not None
            assert found.outcome.evidence is Evidence.RECOVERED
            assert await shop.ledger() == [entry]

    scenario()


@virtual()
async def test_47_stays_unknown_because_the_terminal_restarted_without_its_memory(
    tmp_path: Path,
) -> None:
    async with shop_in(tmp_path) as shop:
        sent = await shop.pay(1047)
        said = await shop.noted(sent, "needs_person")
        assert "boot 1" in str(said.detail)
        assert (await shop.until_final(sent)).state is State.UNKNOWN
        assert await shop.world.boot("t1") == 2
        assert await shop.ledger() == [("PURCHASE", 1047, True)]
        decided = await shop.engine.decide(
            sent.id, Verdict.APPROVED, person="Ada", reason="It is on the acquirer's list."
        )
        assert decided.state is State.APPROVED
        assert (await shop.paid(1000)).state is State.APPROVED


@virtual()
async def test_48_says_it_twice_and_nothing_comes_of_it(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        paid = await shop.paid(1048)
        assert paid.state is State.APPROVED
        await shop.world.quiet()
        again = await shop.engine.find(paid.id)
        assert again == paid
        assert await shop.discrepancies() == 0
        assert await shop.ledger() == [("PURCHASE", 1048, True)]


@virtual()
async def test_49_is_approved_after_a_slow_cardholder(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        begun = clock_of_loop().now()
        sent = await shop.pay(1049)
        started = await shop.until(sent, State.STARTED)
        assert await shop.ledger() == []
        assert (await shop.until_final(started)).state is State.APPROVED
        assert 20_000 <= clock_of_loop().now() - begun < 21_000
        assert await shop.ledger() == [("PURCHASE", 1049, True)]


@virtual()
async def test_pace_divides_the_cardholders_time(tmp_path: Path) -> None:
    async with shop_in(tmp_path, pace=10) as shop:
        begun = clock_of_loop().now()
        assert (await shop.paid(1049)).state is State.APPROVED
        assert 2_000 <= clock_of_loop().now() - begun < 3_000


@virtual()
async def test_50_is_verified_by_signature(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        outcome = (await shop.paid(1050)).outcome
        assert outcome is not None
        assert outcome.verdict is Verdict.APPROVED
        assert outcome.verification is Verification.SIGNATURE


@virtual()
async def test_51_charges_the_cardholder_in_another_currency(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        outcome = (await shop.paid(1051)).outcome
        assert outcome is not None
        assert outcome.conversion is not None
        # 10.51 EUR at 1.0850 is 11.40335 USD.
        assert outcome.conversion.amount == Money(1140, "USD")
        assert outcome.conversion.rate == "1.0850"
        yen = (await shop.paid(1051, currency="JPY")).outcome
        dollars = (await shop.paid(1051, currency="USD")).outcome
        assert yen is not None
        assert yen.conversion is not None
        assert yen.conversion.amount == Money(114034, "USD")
        assert dollars is not None
        assert dollars.conversion is not None
        assert dollars.conversion.amount == Money(969, "EUR")
        assert await shop.ledger() == [("PURCHASE", 1051, True)] * 3


@virtual()
async def test_52_is_never_delivered_with_proof(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        failed = await shop.paid(1052)
        assert (failed.state, failed.proof) == (State.FAILED, Proof.CONNECT_REFUSED)
        assert await shop.ledger() == []


@virtual()
async def test_54_adds_a_tip_of_10_percent_rounded_down(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        paid = await shop.paid(1054)
        assert paid.outcome is not None
        assert (paid.outcome.approved_amount, paid.outcome.tip) == (1159, 105)
        assert await shop.ledger() == [("PURCHASE", 1159, True)]


@virtual()
async def test_endings_count_for_refunds_but_only_a_sale_gets_a_tip(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        sale = await shop.paid(5000)
        refund = {"type": TransactionType.REFUND, "original": sale.id}
        assert (await shop.paid(1040, **refund)).state is State.DECLINED
        assert (await shop.paid(1054, **refund)).approved_amount == 1054
        assert (await shop.paid(1046, **refund)).state is State.APPROVED
        assert await shop.ledger() == [
            ("PURCHASE", 5000, True),
            ("REFUND", 0, False),
            ("REFUND", 1054, True),
            ("REFUND", 1046, True),
        ]


@virtual()
async def test_a_ledger_entry_says_who_what_and_when(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        await shop.paid(1260, reference="till 7, sale 12")
        await shop.paid(1300, terminal="t2")
        (entry, _) = await shop.entries()
        assert entry.terminal == "TILLWIRE-V1-t1"
        assert (entry.currency, entry.reference) == ("EUR", "till 7, sale 12")
        assert 0 <= clock_of_loop().now() - entry.at < 1000
        assert [each.amount for each in await shop.world.ledger("TILLWIRE-V1-t2")] == [1300]


@virtual()
async def test_each_terminal_counts_its_own_stan(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        stans = []
        for terminal in ("t1", "t1", "t2", "t1"):
            outcome = (await shop.paid(1000, terminal=terminal)).outcome
            assert outcome is not None
            stans.append(outcome.stan)
        assert stans == ["000001", "000002", "000001", "000003"]
