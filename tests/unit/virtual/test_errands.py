"""What a virtual terminal does beside payments, and what a script can make of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.kit.runner import virtual
from tests.unit.virtual.shop import Shop, clock_of_loop, shop_in
from tillwire.core.entries import Entry
from tillwire.core.errands import (
    Ability,
    Answer,
    Ask,
    AskBalance,
    AskLast,
    Balance,
    CardRead,
    Count,
    Counted,
    ErrandFailed,
    Print,
    Question,
    ReadCard,
    Reprint,
    Show,
    Trouble,
    Update,
)
from tillwire.core.model import EntryMode, State, TransactionType, Verdict
from tillwire.core.totals import TotalsKind
from tillwire.money import Money
from tillwire.virtual import cards
from tillwire.virtual.driver import VirtualDriver
from tillwire.virtual.errands import LONGEST_PRINTED, LONGEST_SHOWN, MOST_CHOICES
from tillwire.virtual.memory import MOST_PRINTOUTS, MOST_READINGS, SetScript
from tillwire.virtual.script import ENDINGS, Script

CONFIRM = Ask(Question.CONFIRM, "Bag?")


@virtual()
async def test_a_virtual_terminal_runs_every_errand(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        driver = VirtualDriver(shop.engine.estate.terminals["t1"], shop.world, shop.engine)
        assert driver.capabilities.errands == frozenset(Ability)
        assert await shop.perform(Update("parameters")) == (None, ["Updating"])


# --- display and printer ------------------------------------------------------------------------


@virtual()
async def test_what_is_shown_stays_until_the_next_transaction_also_across_a_restart(
    tmp_path: Path,
) -> None:
    async with shop_in(tmp_path) as shop:
        assert await shop.display() == ""
        assert await shop.perform(Show("2 x widget\n40.00")) == (None, [])
        assert await shop.display("t2") == ""
    async with shop_in(tmp_path) as shop:
        assert await shop.display() == "2 x widget\n40.00"
        await asyncio.sleep(1)
        await shop.paid(1000)
        assert await shop.display() == ""
        await asyncio.sleep(1)
        await shop.perform(Show("Thank you"))
        assert await shop.display() == "Thank you"


@virtual()
async def test_the_last_printouts_are_kept(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        for number in range(MOST_PRINTOUTS + 5):
            await shop.perform(Print(f"no. {number}", signature=number == 24))
        await shop.perform(Print("elsewhere"), terminal="t2")
    async with shop_in(tmp_path) as shop:
        kept = await shop.world.printouts("t1")
        assert [each.text for each in kept] == [f"no. {n}" for n in range(5, MOST_PRINTOUTS + 5)]
        assert [each.signature for each in kept] == [False] * (MOST_PRINTOUTS - 1) + [True]
        assert all(each.at == clock_of_loop().now() for each in kept)


@virtual()
async def test_without_paper_nothing_is_printed_and_other_errands_go_on(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        await shop.world.set_script("t1", SetScript(Script(paper_out=True), 2))
        await shop.perform(Show("Welcome"))
        assert await shop.trouble(Print("receipt")) is Trouble.BROKEN
        assert await shop.trouble(Print("receipt")) is Trouble.BROKEN
        assert await shop.world.printouts("t1") == []
        await shop.perform(Print("receipt"))
        assert [each.text for each in await shop.world.printouts("t1")] == ["receipt"]


@virtual()
async def test_the_last_receipt_is_printed_again(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        assert await shop.trouble(Reprint()) is Trouble.REFUSED
        await shop.paid(1000)
        sale = await shop.paid(1040)
        await shop.paid(1043)
        await shop.perform(Reprint())
        with pytest.raises(ErrandFailed):
            await shop.perform(Reprint(), terminal="t2")
        (copy,) = await shop.world.printouts("t1")
        assert "*** COPY ***" in copy.text
        assert "10.40 EUR" in copy.text, "what was called off has no receipt"
        assert "DECLINED" in copy.text
        assert sale.outcome is not None
        assert sale.outcome.stan in copy.text
        assert max(map(len, copy.text.split("\n"))) <= 24
        await shop.world.set_script("t1", SetScript(Script(paper_out=True), 1))
        assert await shop.trouble(Reprint()) is Trouble.BROKEN
        await shop.until(await shop.pay(1047), State.UNKNOWN)
        await shop.world.settle()
        driver = VirtualDriver(shop.engine.estate.terminals["t1"], shop.world, shop.engine)
        with pytest.raises(ErrandFailed, match="since it was started"):
            await driver.perform(Reprint(), lambda _: None)


@virtual()
async def test_texts_and_entries_are_limited(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        entries = ("x",) * MOST_CHOICES
        await shop.perform(Show("x" * LONGEST_SHOWN))
        await shop.perform(Print("x" * LONGEST_PRINTED))
        await shop.perform(Ask(Question.CHOICE, "x" * LONGEST_SHOWN, entries))
        for errand in (
            Show("x" * (LONGEST_SHOWN + 1)),
            Print("x" * (LONGEST_PRINTED + 1)),
            Ask(Question.CONFIRM, "x" * (LONGEST_SHOWN + 1)),
            Ask(Question.CHOICE, "Which?", (*entries, "x")),
        ):
            assert await shop.trouble(errand) is Trouble.REFUSED


# --- questions ----------------------------------------------------------------------------------


@virtual()
async def test_the_customer_answers_at_once(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        begun = clock_of_loop().now()
        assert await shop.perform(CONFIRM) == (Answer(confirmed=True), [])
        assert clock_of_loop().now() == begun


@virtual()
async def test_a_script_says_the_answer_and_how_long_it_takes(tmp_path: Path) -> None:
    async with shop_in(tmp_path, pace=2) as shop:
        begun = clock_of_loop().now()
        answering = asyncio.create_task(
            shop.perform(Ask(Question.DIGITS, "Mileage?"), Script(answer="4711", seconds=20))
        )
        await asyncio.sleep(9)
        assert await shop.display() == "Mileage?"
        assert await answering == (Answer(text="4711"), [])
        assert clock_of_loop().now() - begun == 10_000
        assert await shop.display() == ""


@virtual()
async def test_a_customer_who_does_nothing_in_time_has_not_answered(tmp_path: Path) -> None:
    async with shop_in(tmp_path, pace=2) as shop:

        async def seconds(errand: Ask | ReadCard, script: Script) -> float:
            begun = clock_of_loop().now()
            assert await shop.trouble(errand, script) is Trouble.TIMED_OUT
            return (clock_of_loop().now() - begun) / 1000

        limited = Ask(Question.CONFIRM, "Bag?", seconds=7)
        assert await seconds(limited, Script(trouble=Trouble.TIMED_OUT)) == 7
        assert await seconds(limited, Script(answer="", seconds=15)) == 7
        assert await seconds(CONFIRM, Script(trouble=Trouble.TIMED_OUT)) == 15
        assert await seconds(ReadCard(), Script(answer="", seconds=31)) == 15
        assert (await shop.perform(limited, Script(answer="", seconds=14)))[0] == Answer(True)


@pytest.mark.parametrize("trouble", Trouble)
def test_a_script_can_make_any_trouble(tmp_path: Path, trouble: Trouble) -> None:
    @virtual()
    async def scenario() -> None:
        async with shop_in(tmp_path) as shop:
            ask = Ask(Question.CONFIRM, "Bag?", notice_card=True)
            assert await shop.trouble(ask, Script(trouble=trouble)) is trouble
            assert (await shop.perform(ask))[0] == Answer(confirmed=True)

    scenario()


@virtual()
async def test_a_card_is_noticed_only_where_the_question_wants_it(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        answer, _ = await shop.perform(CONFIRM, Script(trouble=Trouble.CARD_INSERTED))
        assert answer == Answer(confirmed=True)
        ask = Ask(Question.CONFIRM, "Bag?", notice_card=True)
        assert await shop.trouble(ask) is Trouble.CARD_INSERTED


@virtual()
async def test_a_script_is_used_up_by_what_it_is_about(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        await shop.world.set_script("t1", SetScript(Script(answer="no"), 1))
        assert (await shop.paid(1041)).state is State.DECLINED, "its amount counts"
        await shop.perform(Show("Welcome"))
        assert (await shop.perform(CONFIRM))[0] == Answer(confirmed=False)
        assert shop.world.script_of("t1") is None
        await shop.world.set_script("t1", SetScript(ENDINGS[41], 1))
        assert (await shop.perform(CONFIRM))[0] == Answer(confirmed=True)
        assert (await shop.paid(1000)).state is State.DECLINED


@virtual()
async def test_a_question_that_is_called_off_leaves_no_trace(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        asking = asyncio.create_task(shop.perform(CONFIRM, Script(answer="", seconds=20)))
        await asyncio.sleep(1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert await shop.display() == ""
        assert (await shop.paid(1000)).state is State.APPROVED


@pytest.mark.parametrize(
    "wrong",
    [
        {"answer": "x" * 1001},
        {"answer": "", "verdict": Verdict.DECLINED},
        {"trouble": Trouble.BUSY, "tip_percent": 5},
        {"paper_out": True, "half": True},
    ],
)
def test_a_script_is_of_transactions_or_of_errands(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"must not have|has at most"):
        Script(**wrong)  # type: ignore[arg-type]


# --- cards --------------------------------------------------------------------------------------


async def read(shop: Shop, amount: Money | None = None, terminal: str = "t1") -> CardRead:
    found, shown = await shop.perform(ReadCard(amount), terminal=terminal)
    assert shown == ["Present card"]
    assert isinstance(found, CardRead)
    return found


@virtual()
async def test_a_card_is_read_as_it_will_be_for_the_amount(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        first, second = await read(shop), await read(shop, Money(9900, "EUR"))
        assert (first.entry_mode, second.entry_mode) == (EntryMode.CONTACTLESS, EntryMode.CHIP)
        assert first.card != second.card
        card = cards.card_ending_in(first.card_last4)
        assert card is not None
        assert (first.brand, first.card_bin) == (card.brand, card.bin)


@virtual()
async def test_a_balance_is_the_card_s(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        balance, shown = await shop.perform(AskBalance())
        assert shown == ["Present card"]
        assert isinstance(balance, Balance)
        card = cards.card_ending_in(balance.card.card_last4)
        assert card is not None
        assert balance.amount == card.balance
        again, shown = await shop.perform(AskBalance(balance.card.card))
        assert shown == []
        assert isinstance(again, Balance)
        assert (again.amount, again.card.brand) == (balance.amount, card.brand)
        assert again.card.entry_mode is None, "it was not read once more"


@virtual()
async def test_no_balance_of_a_card_that_was_not_read_here(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        elsewhere = await read(shop, terminal="t2")
        for card in (elsewhere.card, "x" * 100_000):
            assert await shop.trouble(AskBalance(card)) is Trouble.REFUSED


@virtual()
async def test_a_terminal_remembers_the_last_cards_only(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        first, second = await read(shop), await read(shop)
        for _ in range(MOST_READINGS - 1):
            await read(shop)
        assert await shop.trouble(AskBalance(first.card)) is Trouble.REFUSED
        assert (await shop.perform(AskBalance(second.card)))[0] is not None


# --- what the terminal knows --------------------------------------------------------------------


async def count(shop: Shop, *, close: bool = False) -> Counted:
    found, shown = await shop.perform(Count(close))
    assert shown == (["Closing the day"] if close else [])
    assert isinstance(found, Counted)
    return found


def summed(counted: Counted) -> dict[TotalsKind, tuple[int, int]]:
    """(count, amount) of each kind, whatever the card."""
    sums: dict[TotalsKind, tuple[int, int]] = {}
    for row in counted.rows:
        number, amount = sums.get(row.kind, (0, 0))
        sums[row.kind] = number + row.count, amount + row.amount
    return sums


@virtual()
async def test_a_terminal_counts_what_it_did_since_it_was_closed(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        assert await count(shop) == Counted((), "1")
        await shop.paid(1000)
        await shop.paid(1154)
        await shop.paid(1040)
        await shop.paid(1043)
        await shop.paid(2000, terminal="t2")
        assert summed(await count(shop)) == {
            TotalsKind.DEBIT: (2, 1000 + 1154 + 115),
            TotalsKind.DECLINED: (1, 1040),
        }
        closed = await count(shop, close=True)
        assert closed.period == "1"
        assert summed(closed)[TotalsKind.DEBIT] == (2, 2269)
        assert await count(shop) == Counted((), "2")
    async with shop_in(tmp_path) as shop:
        await shop.paid(3000)
        again = await count(shop, close=True)
        assert (again.period, summed(again)) == ("2", {TotalsKind.DEBIT: (1, 3000)})
        assert (await shop.world.glance("t1")).period == 3
        assert (await shop.world.glance("t2")).period == 1


@virtual()
async def test_each_kind_and_brand_is_counted_apart(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        sale = await shop.paid(5000)
        back = await shop.paid(1000, type=TransactionType.REFUND, original=sale.id)
        await shop.paid(1000, type=TransactionType.REVERSAL, original=back.id)
        await shop.paid(4000, type=TransactionType.REVERSAL, original=sale.id)
        held = await shop.paid(8000, type=TransactionType.PREAUTH)
        await shop.paid(-2000, type=TransactionType.INCREMENT, original=held.id)
        await shop.paid(6000, type=TransactionType.CAPTURE, original=held.id)
        dropped = await shop.paid(9000, type=TransactionType.PREAUTH)
        await shop.paid(9000, type=TransactionType.REVERSAL, original=dropped.id)
        await shop.paid(7000, type=TransactionType.CASH_ADVANCE, currency="USD")
        counted = await count(shop)
        assert summed(counted) == {
            TotalsKind.DEBIT: (1, 5000),
            TotalsKind.CREDIT: (1, 1000),
            TotalsKind.REVERSE_CREDIT: (1, 1000),
            TotalsKind.REVERSE_DEBIT: (1, 4000),
            TotalsKind.RESERVED: (2, 17_000),
            TotalsKind.RESERVED_CHANGE: (1, -2000),
            TotalsKind.REVERSE_RESERVED: (1, 9000),
            TotalsKind.COMPLETED: (1, 6000),
            TotalsKind.CASH_ADVANCE: (1, 7000),
        }
        assert sale.outcome is not None
        assert held.outcome is not None
        brands = {row.kind: row.brand for row in counted.rows}
        assert brands[TotalsKind.REVERSE_DEBIT] == brands[TotalsKind.DEBIT] == sale.outcome.brand
        assert brands[TotalsKind.COMPLETED] == held.outcome.brand, "a follow-up is of its card"
        assert {row.currency for row in counted.rows} == {"EUR", "USD"}


@virtual()
async def test_a_cardholder_whose_time_has_come_is_counted(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        await shop.until(await shop.pay(1049), State.STARTED)
    await asyncio.sleep(60)
    async with shop_in(tmp_path) as shop:
        driver = VirtualDriver(shop.engine.estate.terminals["t1"], shop.world, shop.engine)
        counted = await driver.perform(Count(), lambda text: None)
        assert isinstance(counted, Counted)
        assert summed(counted) == {TotalsKind.DEBIT: (1, 1049)}


@virtual()
async def test_the_last_transaction_is_what_the_terminal_remembers(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        assert (await shop.perform(AskLast()))[0] is None
        await shop.paid(1000)
        paid = await shop.paid(2040)
        assert paid.outcome is not None
        last = (await shop.perform(AskLast()))[0]
        assert isinstance(last, Entry)
        assert (last.name, last.outcome) == (paid.id, paid.outcome)
        assert (last.type, last.amount, last.currency) == (paid.type, 2040, "EUR")
        assert (await shop.perform(AskLast(), terminal="t2"))[0] is None
        lost = await shop.pay(1047)
        await shop.noted(lost, "needs_person")
        driver = VirtualDriver(shop.engine.estate.terminals["t1"], shop.world, shop.engine)
        assert await driver.perform(AskLast(), lambda text: None) is None, "it has forgotten all"


@virtual()
async def test_an_errand_script_can_say_that_a_terminal_is_out_of_reach(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        for errand in (Show("x"), Count(close=True), AskLast(), Update()):
            script = Script(trouble=Trouble.UNREACHABLE)
            assert await shop.trouble(errand, script) is Trouble.UNREACHABLE
        assert (await shop.world.glance("t1")).period == 1, "nothing was closed"
        with pytest.raises(ErrandFailed, match="TILLWIRE-V1-t1"):
            await shop.perform(Show("x"), Script(trouble=Trouble.BUSY))
