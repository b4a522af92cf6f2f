"""What a virtual terminal does beside payments, with its virtual customer.

Everything is done at once and as it was asked, unless a script that was set says otherwise. What
outlives the gateway (what is shown and printed, which cards were read, the closed periods) is
committed to the world before the errand is answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, assert_never

import msgspec

from tillwire.core.columns import centred, pair
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
    ReadCard,
    Reprint,
    Result,
    Show,
    Trouble,
    Update,
)
from tillwire.core.estate_model import Terminal
from tillwire.core.totals import Ending, tally
from tillwire.money import Money
from tillwire.virtual import cardholder, cards
from tillwire.virtual.books import entry_of
from tillwire.virtual.cards import Card
from tillwire.virtual.memory import Deed, Page, Printout
from tillwire.virtual.script import NO_CARD_SECONDS, Script
from tillwire.virtual.world import World

LONGEST_SHOWN: Final = 10_000
"""Characters of a text on the display, a question included."""
LONGEST_PRINTED: Final = 100_000
"""Characters of one printout."""
MOST_CHOICES: Final = 200
"""Entries of a question."""
PAPER: Final = 24
"""Columns of the printer's own receipts."""
COPY: Final = "*** COPY ***"
UPDATING: Final = "Updating"
CLOSING: Final = "Closing the day"

Tell = Callable[[str], None]


async def perform(world: World, terminal: Terminal, errand: Errand, tell: Tell) -> Result:
    """Run one errand; `tell` hears what the display shows meanwhile. Raises `ErrandFailed`,
    `JournalError`."""
    script = await world.errand_script(terminal.id, errand)
    return await _Visit(world, terminal, script, tell).run(errand)


class _Visit:
    """One errand at one terminal."""

    def __init__(self, world: World, terminal: Terminal, script: Script, tell: Tell) -> None:
        self._world = world
        self._terminal = terminal
        self._script = script
        self._tell = tell

    async def run(self, errand: Errand) -> Result:
        match errand:
            case Show():
                await self._show(errand)
            case Print():
                await self._print(errand)
            case Ask():
                return await self._ask(errand)
            case ReadCard():
                return await self._read_card(errand.amount.minor if errand.amount else 0)
            case AskBalance():
                return await self._balance(errand)
            case Update():
                await self._machine(UPDATING)
            case Count():
                return await self._count(errand)
            case AskLast():
                return await self._last()
            case Reprint():
                await self._reprint()
            case _:
                assert_never(errand)
        return None

    # --- who takes time, and what goes wrong --------------------------------------------------

    async def _machine(self, shown: str = "") -> None:
        """The terminal works on its own, for as long as the script says."""
        if shown:
            self._tell(shown)
        with self._world.prompting(self._terminal.id, shown):
            await asyncio.sleep(self._script.seconds / self._world.pace)
        self._fail()

    async def _customer(self, prompt: str, patience: float = 0.0) -> None:
        """The customer has to do something within `patience` seconds; 0: as long as the terminal
        waits for anybody."""
        patience = patience or NO_CARD_SECONDS / self._world.pace
        takes = self._script.seconds / self._world.pace
        late = takes > patience or self._script.trouble is Trouble.TIMED_OUT
        with self._world.prompting(self._terminal.id, prompt):
            await asyncio.sleep(patience if late else takes)
        if late:
            detail = f"The customer did nothing for {patience:g} seconds."
            raise ErrandFailed(Trouble.TIMED_OUT, detail)
        self._fail()

    def _fail(self) -> None:
        if (trouble := self._script.trouble) is not None:
            raise ErrandFailed(trouble, f"A script of {self._terminal.name} says so.")

    # --- display, printer, keys ---------------------------------------------------------------

    async def _show(self, show: Show) -> None:
        _check(show.text, LONGEST_SHOWN)
        await self._machine()
        now = self._world.clock.now()
        await self._world.commit(lambda page: page.show(self._terminal.id, show.text, now))

    async def _print(self, order: Print) -> None:
        _check(order.text, LONGEST_PRINTED)
        await self._machine()
        await self._put_on_paper(order.text, order.signature)

    async def _reprint(self) -> None:
        await self._machine()
        await self._world.settle()
        deed = await self._world.last_printed(self._terminal.id)
        if deed is None:
            raise ErrandFailed(Trouble.REFUSED, "It has printed no receipt since it was started.")
        await self._put_on_paper(copy_of(deed, self._terminal.name), signature=False)

    async def _put_on_paper(self, text: str, signature: bool) -> None:
        if self._script.paper_out:
            raise ErrandFailed(Trouble.BROKEN, "The printer has no paper.")
        printout = Printout(text, signature, self._world.clock.now())
        await self._world.commit(lambda page: page.print(self._terminal.id, printout))

    async def _ask(self, ask: Ask) -> Answer:
        _check(ask.text, LONGEST_SHOWN)
        if len(ask.choices) > MOST_CHOICES:
            detail = f"More than {MOST_CHOICES} entries do not fit on the display."
            raise ErrandFailed(Trouble.REFUSED, detail)
        answer = cardholder.answered(ask, self._script.answer or "")
        await self._customer(ask.text, ask.seconds)
        return answer

    # --- cards --------------------------------------------------------------------------------

    async def _read_card(self, minor: int) -> CardRead:
        self._tell(cardholder.PRESENT_CARD)
        await self._customer(cardholder.PRESENT_CARD)
        reading = self._world.clock.token(12)
        card = cards.card_for(reading)
        await self._world.commit(
            lambda page: page.add_reading(self._terminal.id, reading, card.last4)
        )
        entry_mode, _ = cards.reading(minor)
        return msgspec.structs.replace(_named(reading, card), entry_mode=entry_mode)

    async def _balance(self, question: AskBalance) -> Balance:
        if not question.card:
            read = await self._read_card(0)
        else:
            await self._machine()
            card = await self._world.card_read(self._terminal.id, question.card)
            if card is None:
                detail = f"{self._terminal.name} has not read that card, or has forgotten it."
                raise ErrandFailed(Trouble.REFUSED, detail)
            read = _named(question.card, card)
        card = cards.card_ending_in(read.card_last4)
        assert card is not None, "what was read is a test card"
        return Balance(read, card.balance)

    # --- what the terminal knows --------------------------------------------------------------

    async def _count(self, count: Count) -> Counted:
        await self._machine(CLOSING if count.close else "")
        await self._world.settle()

        def look(page: Page) -> tuple[int, list[Ending]]:
            number, closed = page.period(self._terminal.id)
            endings = page.endings(self._terminal.name, closed)
            if count.close:
                page.close_period(self._terminal.id, self._terminal.name)
            return number, endings

        number, endings = await self._world.commit(look)
        return Counted(tally(endings), str(number))

    async def _last(self) -> Entry | None:
        await self._machine()
        await self._world.settle()
        deed = await self._world.last_deed(self._terminal.id)
        return entry_of(deed, self._terminal) if deed else None


def _check(text: str, longest: int) -> None:
    if len(text) > longest:
        raise ErrandFailed(Trouble.REFUSED, f"The text has more than {longest} characters.")


def copy_of(deed: Deed, terminal: str) -> str:
    """The terminal's own receipt of what the acquirer answered, once more."""
    outcome, entry = deed.outcome, deed.entry
    assert entry is not None, "what the acquirer was asked is in its ledger"
    amount = Money(entry.amount if entry.approved else entry.asked, entry.currency)
    card = f"****{outcome.card_last4}"
    lines = [
        *centred(COPY, PAPER),
        *centred(terminal, PAPER),
        *pair(entry.type.value, str(amount), PAPER),
        *pair(outcome.brand, card, PAPER),
        *pair("STAN", outcome.stan, PAPER),
        *pair("Auth. code", outcome.authorisation_code, PAPER),
        *centred(outcome.verdict.value, PAPER),
    ]
    return "\n".join(lines) + "\n"


def _named(reading: str, card: Card) -> CardRead:
    return CardRead(reading, card.brand, card.last4, card.bin)
