"""Errands through the driver of nexo and its face, in every binding: what comes of them is what
comes of them at the virtual terminal itself."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import msgspec
import pytest

from tests.kit.virtual_loop import virtual_loop
from tests.matrix.nexo_agreement import check_pair
from tests.matrix.nexo_pair import BINDINGS, OTHER_POI, POI, Lane, Pair, live
from tillwire.core.entries import Entry
from tillwire.core.errands import (
    Answer,
    Ask,
    AskBalance,
    AskLast,
    Balance,
    CardRead,
    Count,
    Counted,
    Errand,
    ErrandFailed,
    Print,
    Question,
    ReadCard,
    Result,
    Show,
    Trouble,
    Update,
)
from tillwire.core.model import State, Terms, TransactionType, Verdict
from tillwire.core.totals import TotalsKind
from tillwire.money import Money
from tillwire.virtual.memory import SetScript
from tillwire.virtual.script import Script

QUICK, SLOW = 1000, 1049
TERMINAL, OTHER = POI.lower(), OTHER_POI.lower()
"""Their ids at the far gateway."""
RESOURCES: Final = ("display", "print", "input", "totals", "reconciliation")

every_binding = pytest.mark.parametrize("way", BINDINGS)


def lane(way: str, number: int = 1) -> Lane:
    """One that has all that a tillwire gateway has."""
    more = {"extra_resources": RESOURCES} if way == "http" else {}
    return Lane(way, number, settings=more)


async def perform(pair: Pair, way: str, errand: Errand, number: int = 1) -> Result:
    """Run an errand through both gateways."""
    return await pair.near.engine.perform(lane(way, number).id, errand)


async def play(pair: Pair, script: Script) -> None:
    """Let the terminal do its next errand so."""
    await pair.far.world.set_script(TERMINAL, SetScript(script, 1))


# --- what comes of them -------------------------------------------------------------------------


@every_binding
def test_a_text_is_shown_and_printed_as_it_was_written(disk: Path, way: str) -> None:
    text = "Thank you,\n  come again: 5 €\n \nBye"  # the protocol has no text without a character

    async def errands(pair: Pair) -> None:
        assert await perform(pair, way, Show(text)) is None
        assert (await pair.far.world.glance(TERMINAL)).display == text
        assert await perform(pair, way, Print(text, signature=True)) is None
        [printed] = await pair.far.world.printouts(TERMINAL)
        assert (printed.text, printed.signature) == (text, True)

    live(disk, errands, lanes=[lane(way)])


QUESTIONS: Final = {
    "any key": Ask(Question.ANY_KEY, "Press any key"),
    "confirm": Ask(Question.CONFIRM, "Do you want a bag?"),
    "text": Ask(Question.TEXT, "Your name", longest=12),
    "text offered": Ask(Question.TEXT, "Your name", default="Ada", longest=12),
    "digits": Ask(Question.DIGITS, "Your number", shortest=6, longest=6),
    "decimal": Ask(Question.DECIMAL, "How much?", decimals=2, longest=8),
    "choice": Ask(Question.CHOICE, "Which one?", choices=("Red", "Green", "Blue")),
    "choice offered": Ask(Question.CHOICE, "Which?", choices=("Red", "Blue"), default="Blue"),
    "function key": Ask(Question.FUNCTION_KEY, "Press F1"),
    "password": Ask(Question.PASSWORD, "Password", longest=6),
}


@every_binding
@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_is_answered_as_at_the_terminal_itself(disk: Path, way: str, name: str) -> None:
    async def errand(pair: Pair) -> tuple[Result, Result]:
        through = await perform(pair, way, QUESTIONS[name])
        return through, await pair.far.engine.perform(OTHER, QUESTIONS[name])

    through, there = live(disk, errand, lanes=[lane(way)])
    assert isinstance(through, Answer)
    if QUESTIONS[name].question is Question.FUNCTION_KEY:
        # A key has a name there, which is told as well.
        through = msgspec.structs.replace(through, text="")
    assert through == there


@every_binding
def test_a_question_may_be_denied(disk: Path, way: str) -> None:
    async def errand(pair: Pair) -> Result:
        await play(pair, Script(answer="no"))
        return await perform(pair, way, Ask(Question.CONFIRM, "A bag?"))

    assert live(disk, errand, lanes=[lane(way)]) == Answer(confirmed=False)


@every_binding
def test_a_card_that_was_read_pays(disk: Path, way: str) -> None:
    async def sale(pair: Pair) -> None:
        read = await perform(pair, way, ReadCard(Money(QUICK, "EUR")))
        assert isinstance(read, CardRead)
        paid = await pair.pay(lane(way), QUICK, terms=Terms(card=read.card))
        assert paid.state is State.APPROVED
        assert paid.outcome is not None
        known = (paid.outcome.brand, paid.outcome.card_last4, paid.outcome.card_bin)
        assert known == (read.brand, read.card_last4, read.card_bin)
        balance = await perform(pair, way, AskBalance(read.card))
        assert isinstance(balance, Balance)
        assert balance.card.card_last4 == read.card_last4
        await check_pair(pair)

    live(disk, sale, lanes=[lane(way)])


@every_binding
def test_a_card_that_nobody_has_read_pays_nothing(disk: Path, way: str) -> None:
    async def sale(pair: Pair) -> None:
        read = await perform(pair, way, ReadCard())
        assert isinstance(read, CardRead)
        unknown = f"{read.card[:-3]}abc"
        paid = await pair.pay(lane(way), QUICK, terms=Terms(card=unknown))
        assert paid.state is State.FAILED
        await check_pair(pair)

    live(disk, sale, lanes=[lane(way)])


@every_binding
def test_a_balance_is_that_of_the_card(disk: Path, way: str) -> None:
    async def errand(pair: Pair) -> Result:
        return await perform(pair, way, AskBalance())

    balance = live(disk, errand, lanes=[lane(way)])
    assert isinstance(balance, Balance)
    assert balance.amount.minor > 0
    assert balance.card.card_last4


@every_binding
def test_totals_are_counted_and_closed(disk: Path, way: str) -> None:
    async def day(pair: Pair) -> tuple[Result, Result, Result]:
        for minor in (QUICK, 2500, 1040):
            await pair.pay(lane(way), minor)
        await pair.pay(lane(way), 700, TransactionType.REFUND)
        counted = await perform(pair, way, Count())
        closed = await perform(pair, way, Count(close=True))
        return counted, closed, await perform(pair, way, Count())

    counted, closed, after = live(disk, day, lanes=[lane(way)])
    for totals in (counted, closed, after):
        assert isinstance(totals, Counted)
    sums: dict[TotalsKind, tuple[int, int]] = {}
    for row in counted.rows:  # type: ignore[union-attr]  # looked at above
        count, amount = sums.get(row.kind, (0, 0))
        sums[row.kind] = count + row.count, amount + row.amount
    assert sums == {
        TotalsKind.DEBIT: (2, 3500),
        TotalsKind.CREDIT: (1, 700),
        TotalsKind.DECLINED: (1, 1040),
    }
    assert closed.rows == counted.rows  # type: ignore[union-attr]
    assert after.rows == ()  # type: ignore[union-attr]
    assert int(after.period) == int(closed.period) + 1  # type: ignore[union-attr]


@every_binding
def test_the_last_transaction_is_the_last_one_of_this_lane(disk: Path, way: str) -> None:
    async def day(pair: Pair) -> tuple[Result, str, Result]:
        nothing = await perform(pair, way, AskLast())
        await pair.pay(lane(way), QUICK)
        last = await pair.pay(lane(way), 2500)
        await pair.pay(lane(way, 2), 4000)
        return nothing, last.id, await perform(pair, way, AskLast())

    nothing, last, seen = live(disk, day, lanes=[lane(way), lane(way, 2)])
    assert nothing is None
    assert isinstance(seen, Entry)
    assert seen.name == last
    assert (seen.outcome.verdict, seen.outcome.approved_amount) == (Verdict.APPROVED, 2500)


@every_binding
def test_an_update_is_done(disk: Path, way: str) -> None:
    async def errand(pair: Pair) -> Result:
        return await perform(pair, way, Update())

    assert live(disk, errand, lanes=[lane(way)]) is None


@every_binding
def test_a_terminal_says_how_it_is(disk: Path, way: str) -> None:
    async def statuses(pair: Pair) -> list[tuple[bool, str]]:
        found = []
        for minor in (None, SLOW):
            if minor:
                await pair.order(lane(way, 2), minor)
                await asyncio.sleep(3)
            status = await pair.near.engine.status(lane(way).id)
            found.append((status.reachable, status.detail))
        pair.kill_far()
        found.append(((await pair.near.engine.status(lane(way).id)).reachable, ""))
        await pair.revive_far()
        return found

    assert live(disk, statuses, lanes=[lane(way), lane(way, 2)]) == [
        (True, ""),
        (True, "Busy"),
        (False, ""),
    ]


# --- what is in the way -------------------------------------------------------------------------

AS_TOLD: Final = {
    **{each: each for each in (Trouble.CANCELLED, Trouble.BROKEN, Trouble.BUSY, Trouble.REFUSED)},
    Trouble.UNREACHABLE: Trouble.BROKEN,
}
"""What is told of each trouble. The protocol has one word for a device that is not there, be it a
part of a terminal or all of it."""


@pytest.mark.parametrize("trouble", AS_TOLD)
@pytest.mark.parametrize(
    ("way", "errand"),
    [
        *(("tcp", each) for each in (Print("x"), Ask(Question.CONFIRM, "Yes?"), AskBalance())),
        *(("http", each) for each in (Print("x"), ReadCard(), Update())),
        ("held", ReadCard()),
    ],
    ids=str,
)
def test_trouble_at_the_terminal_is_told(
    disk: Path, way: str, trouble: Trouble, errand: Errand
) -> None:
    async def failing(pair: Pair) -> Trouble:
        await play(pair, Script(trouble=trouble))
        with pytest.raises(ErrandFailed) as failure:
            await perform(pair, way, errand)
        return failure.value.trouble

    assert live(disk, failing, lanes=[lane(way)]) is AS_TOLD[trouble]


@every_binding
def test_a_card_may_come_instead_of_an_answer(disk: Path, way: str) -> None:
    async def failing(pair: Pair) -> Trouble:
        await play(pair, Script(trouble=Trouble.CARD_INSERTED))
        with pytest.raises(ErrandFailed) as failure:
            await perform(pair, way, Ask(Question.CONFIRM, "A bag?", notice_card=True))
        return failure.value.trouble

    assert live(disk, failing, lanes=[lane(way)]) is Trouble.CARD_INSERTED


@every_binding
def test_a_customer_who_does_nothing_ends_the_question(disk: Path, way: str) -> None:
    async def failing(pair: Pair) -> tuple[Trouble, float]:
        await play(pair, Script(answer="no", seconds=60))
        with pytest.raises(ErrandFailed) as failure:
            await perform(pair, way, Ask(Question.CONFIRM, "A bag?", seconds=10))
        return failure.value.trouble, virtual_loop().time()

    trouble, after = live(disk, failing, lanes=[lane(way)])
    assert trouble in (Trouble.TIMED_OUT, Trouble.CANCELLED)
    assert 10 <= after < 13


@every_binding
def test_an_errand_and_a_sale_never_meet(disk: Path, way: str) -> None:
    async def both(pair: Pair) -> None:
        sale = await pair.order(lane(way), SLOW)
        await asyncio.sleep(2)
        with pytest.raises(ErrandFailed) as failure:
            await perform(pair, way, Show("Hello"), 2)
        assert failure.value.trouble is Trouble.BUSY
        assert (await pair.ended(sale)).state is State.APPROVED
        await play(pair, Script(answer="", seconds=15))
        asking = asyncio.create_task(perform(pair, way, Ask(Question.CONFIRM, "A bag?"), 2))
        await asyncio.sleep(5)
        refused = await pair.pay(lane(way), QUICK)
        assert refused.state is State.FAILED
        assert await asking == Answer(confirmed=True)
        assert (await pair.pay(lane(way), QUICK)).state is State.APPROVED
        await check_pair(pair)

    live(disk, both, lanes=[lane(way), lane(way, 2)])


@every_binding
@pytest.mark.parametrize(
    "errand",
    [Ask(Question.CONFIRM, "A bag?"), ReadCard(), Show("x")],
    ids=lambda each: type(each).__name__,
)
def test_an_errand_that_is_called_off_frees_the_terminal(
    disk: Path, way: str, errand: Errand
) -> None:
    async def called_off(pair: Pair) -> None:
        await play(pair, Script(answer="", seconds=25))
        working = asyncio.create_task(perform(pair, way, errand))
        await asyncio.sleep(3)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        await asyncio.sleep(1)
        assert (await pair.pay(lane(way), QUICK)).state is State.APPROVED

    live(disk, called_off, lanes=[lane(way)])


@every_binding
def test_an_errand_whose_gateway_dies_is_nothing_to_worry_about(disk: Path, way: str) -> None:
    async def dying(pair: Pair) -> None:
        await play(pair, Script(answer="", seconds=20))
        working = asyncio.create_task(perform(pair, way, ReadCard()))
        await asyncio.sleep(3)
        pair.kill_far()
        await pair.revive_far()
        with pytest.raises(Exception):  # noqa: B017 - whatever it is, it is no card
            await working
        assert (await pair.pay(lane(way), QUICK)).state is State.APPROVED

    live(disk, dying, lanes=[lane(way)])
