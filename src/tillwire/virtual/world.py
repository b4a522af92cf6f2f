"""The virtual world: what happens at the virtual terminals, whether or not the gateway lives.

Everything that a terminal does is committed here before its answer is given, so the gateway may
die at any moment and ask again later. A cardholder who was about to act when the gateway died acts
all the same: the deed was written down with its time and its end, and takes effect when somebody
looks after that time (`settle`). So no transaction that has arrived can ever be called absent.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from tillwire.clock import Instant
from tillwire.core.errands import Errand
from tillwire.core.estate_model import Terminal
from tillwire.core.model import Cause, Outcome, Transaction, Verdict
from tillwire.core.ports import AbortResult, Clock
from tillwire.errors import NotDelivered, Proof
from tillwire.journal.writer import InlineWriter, Writer
from tillwire.virtual import acquirer, cardholder, cards
from tillwire.virtual.acquirer import Entry
from tillwire.virtual.cards import Card
from tillwire.virtual.memory import Deed, Page, Printout, SetScript, committer_of, read_ledger
from tillwire.virtual.script import APPROVED, Script, script_for

FILE: Final = "world.db"
ABORTED_BY_TILL: Final = "Cancelled by the till."

T = TypeVar("T")


class Glance(msgspec.Struct, frozen=True):
    """A terminal as it stands there."""

    boot: int
    """1, and one more for each restart."""
    period: int
    """The period of its totals that is open, from 1."""
    display: str
    """What the customer reads; empty when there is nothing to read."""


class _CalledOff(Exception):
    """The till does not want it any more."""


class World:
    """Terminals, cardholders and the acquirer, durable in `directory`/world.db."""

    def __init__(
        self, directory: Path, clock: Clock, pace: float = 1.0, *, inline: bool = False
    ) -> None:
        """Open or create the world. `pace` divides what cardholders take their time for; `inline`
        runs everything on the event loop (for virtual clocks). Raises `JournalError`,
        `ConfigurationError`."""
        assert pace > 0, "time does not stand still"
        directory.mkdir(parents=True, exist_ok=True)
        self.path: Final = directory / FILE
        self.clock = clock
        self.pace: Final = pace
        self._inline = inline
        committer = committer_of(self.path)
        self._scripts = committer.unit().scripts()
        self._writer: Writer[Page] | InlineWriter[Page] = (
            InlineWriter(committer) if inline else Writer(committer, name="world")
        )
        self._wakes: dict[str, asyncio.Event] = {}
        self._prompts: dict[str, str] = {}
        self._echoes: set[asyncio.Task[None]] = set()

    # --- scripts ------------------------------------------------------------------------------

    def script_of(self, terminal_id: str) -> SetScript | None:
        """The script that was set for the terminal, if any is left."""
        return self._scripts.get(terminal_id)

    async def set_script(self, terminal_id: str, chosen: SetScript | None) -> None:
        """Let the terminal follow a script, whatever the amounts end in; None: the amounts."""
        await self._writer.commit(lambda page: page.set_script(terminal_id, chosen))
        if chosen is None:
            self._scripts.pop(terminal_id, None)
        else:
            self._scripts[terminal_id] = chosen

    def script_for(self, transaction: Transaction) -> Script:
        """What will happen to the transaction."""
        chosen = self._scripts.get(transaction.terminal_id)
        if chosen is not None and not chosen.script.is_of_errands:
            return chosen.script
        return script_for(transaction.amount.minor)

    async def errand_script(self, terminal_id: str, errand: Errand) -> Script:
        """What will happen to the errand, which uses up one time of its script, if any."""
        chosen = self._scripts.get(terminal_id)
        if chosen is None or not chosen.script.concerns(errand):
            return APPROVED
        await self._use_script(terminal_id, chosen)
        return chosen.script

    async def _use_script(self, terminal_id: str, chosen: SetScript) -> None:
        left = SetScript(chosen.script, chosen.times - 1)
        await self.set_script(terminal_id, left if left.times else None)

    async def _use_transaction_script(self, terminal_id: str) -> None:
        """One transaction less for the script that was set, if any."""
        chosen = self._scripts.get(terminal_id)
        if chosen is not None and not chosen.script.is_of_errands:
            await self._use_script(terminal_id, chosen)

    # --- what happens at a terminal -----------------------------------------------------------

    async def arrive(self, terminal: Terminal, transaction: Transaction, script: Script) -> Deed:
        """The transaction arrives at its terminal: done at once, or waiting for the cardholder.
        One that arrived before is not done again.

        Raises `NotDelivered`: refused by the script; with terms that make no sense, or a card that
        was not read here; or too late to be written (law 5; looked at under the world's write
        lock, so nothing comes between the look and the deed).
        """
        if script.unreachable:
            await self._use_transaction_script(terminal.id)
            raise NotDelivered(f"{terminal.name} refuses the connection.", Proof.CONNECT_REFUSED)
        if problem := acquirer.nonsense(transaction):
            raise NotDelivered(f"{terminal.name} says: {problem}.", Proof.REFUSED_BY_PEER)

        def take(page: Page) -> Deed:
            now = self.clock.now()
            if transaction.send_by is not None and now > transaction.send_by:
                raise NotDelivered(f"It was too late to send it to {terminal.name}.")
            card = _card(page, transaction)
            if card is not None:
                deed = self._planned(page, terminal, transaction, script, card, now)
                if page.add(deed):
                    return deed
            known = page.deed(transaction.id)
            if known is not None:
                return known
            assert card is None, "what cannot be added is there"
            unknown = f"{terminal.name} has not read that card, or has forgotten it."
            raise NotDelivered(unknown, Proof.REFUSED_BY_PEER)

        deed: Deed = await self._writer.commit(take)
        await self._use_transaction_script(terminal.id)
        return deed

    def _planned(
        self,
        page: Page,
        terminal: Terminal,
        transaction: Transaction,
        script: Script,
        card: Card,
        now: Instant,
    ) -> Deed:
        boot, number = page.boot_and_number(terminal.id)
        acts_at = Instant(now + round(script.seconds * 1000 / self.pace))
        outcome = acquirer.answer(transaction, script, card, number, acts_at)
        return Deed(
            transaction_id=transaction.id,
            terminal_id=terminal.id,
            boot=boot,
            number=number,
            waiting=script.seconds > 0,
            acts_at=acts_at,
            restart=script.restart,
            outcome=outcome,
            entry=acquirer.entry(transaction, terminal.name, outcome, acts_at),
        )

    async def cardholder(self, deed: Deed, show: Callable[[str], Awaitable[None]]) -> Deed:
        """Wait until the cardholder of a waiting deed acts or the till calls it off; the deed as
        it ended. `show` hears what the display asks for meanwhile, after the card."""
        wake = self._wakes.setdefault(deed.transaction_id, asyncio.Event())
        try:
            # It may have been called off before there was anybody to wake.
            _, known = await self.recall(deed.terminal_id, deed.transaction_id)
            if known is not None and known.waiting:
                for text, begins in self._steps(known):
                    await self._come(begins, wake)
                    await show(text)
                await self._come(known.acts_at, wake)
        except _CalledOff:
            pass
        finally:
            self._wakes.pop(deed.transaction_id, None)

        def act(page: Page) -> Deed:
            known = page.deed(deed.transaction_id)
            assert known is not None, "a deed is never deleted"
            return _finished(page, known) if known.waiting else known

        done: Deed = await self._writer.commit(act)
        return done

    def _steps(self, deed: Deed) -> list[tuple[str, Instant]]:
        """What the display asks for, and from when on."""
        return [
            (step.text, Instant(deed.acts_at - round(step.left * 1000 / self.pace)))
            for step in cardholder.steps(deed.outcome)
        ]

    async def _come(self, at: Instant, wake: asyncio.Event) -> None:
        """Wait until that time has come. Raises `_CalledOff`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0, at - self.clock.now()) / 1000):
                await wake.wait()
                raise _CalledOff

    async def call_off(self, terminal: Terminal, transaction: Transaction) -> AbortResult:
        """The till does not want the transaction any more. Before the card is presented that ends
        it, also when it has not even arrived; afterwards it is too late."""

        def drop(page: Page) -> AbortResult:
            now = self.clock.now()
            boot, number = page.boot_and_number(terminal.id)
            known = page.deed(transaction.id)
            outcome = Outcome(Verdict.CANCELLED, at=now, reason=ABORTED_BY_TILL, cause=Cause.TILL)
            if known is None:
                page.add(
                    Deed(
                        transaction.id, terminal.id, boot, number, False, now, False, outcome, None
                    )
                )
                return AbortResult.ABORTED
            if known.boot != boot:
                return AbortResult.UNKNOWN
            if not known.waiting:
                return AbortResult.TOO_LATE
            if known.acts_at <= now:
                _finished(page, known)
                return AbortResult.TOO_LATE
            page.finish(
                msgspec.structs.replace(
                    known, waiting=False, acts_at=now, restart=False, outcome=outcome, entry=None
                )
            )
            return AbortResult.ABORTED

        result: AbortResult = await self._writer.commit(drop)
        if wake := self._wakes.get(transaction.id):
            wake.set()
        return result

    # --- errands ------------------------------------------------------------------------------

    async def commit(self, work: Callable[[Page], T]) -> T:
        """Run `work(page)` and commit it. Raises `JournalError`."""
        result: T = await self._writer.commit(work)
        return result

    async def card_read(self, terminal_id: str, card: str) -> Card | None:
        """A card that the terminal has read and not forgotten."""
        last4 = await self.commit(lambda page: page.card_read(terminal_id, card))
        return cards.card_ending_in(last4) if last4 else None

    async def last_deed(self, terminal_id: str) -> Deed | None:
        """The last transaction that the terminal remembers."""

        def look(page: Page) -> Deed | None:
            last = page.last_deed(terminal_id, done=True)
            boot, _ = page.boot_and_number(terminal_id)
            return last if last is not None and last.boot == boot else None

        return await self.commit(look)

    async def last_printed(self, terminal_id: str) -> Deed | None:
        """The last transaction of which the terminal still knows that it printed a receipt."""

        def look(page: Page) -> Deed | None:
            last = page.last_deed(terminal_id, done=True, printed=True)
            boot, _ = page.boot_and_number(terminal_id)
            return last if last is not None and last.boot == boot else None

        return await self.commit(look)

    @contextlib.contextmanager
    def prompting(self, terminal_id: str, text: str) -> Iterator[None]:
        """The display shows this meanwhile; what it showed before, if it is empty."""
        if text:
            self._prompts[terminal_id] = text
        try:
            yield
        finally:
            self._prompts.pop(terminal_id, None)

    async def glance(self, terminal_id: str) -> Glance:
        """How the terminal looks to who stands before it."""
        now, prompt = self.clock.now(), self._prompts.get(terminal_id)

        def look(page: Page) -> Glance:
            boot, _ = page.boot_and_number(terminal_id)
            period, _ = page.period(terminal_id)
            return Glance(boot, period, prompt or self._display(page, terminal_id, now))

        return await self.commit(look)

    def _display(self, page: Page, terminal_id: str, now: Instant) -> str:
        last, screen = page.last_deed(terminal_id), page.screen(terminal_id)
        if last is not None and last.waiting:
            begun = [text for text, begins in self._steps(last) if begins <= now]
            return begun[-1] if begun else cardholder.PRESENT_CARD
        if screen is None or (last is not None and last.acts_at > screen.at):
            return ""
        return screen.text

    async def printouts(self, terminal_id: str) -> list[Printout]:
        """What the terminal printed last, oldest first."""
        return await self.commit(lambda page: page.printouts(terminal_id))

    # --- what can be asked --------------------------------------------------------------------

    async def recall(self, terminal_id: str, transaction_id: str) -> tuple[int, Deed | None]:
        """The terminal's boot number now, and what it or an earlier boot of it did with the
        transaction; a cardholder whose time has come has acted before this returns."""

        def look(page: Page) -> tuple[int, Deed | None]:
            known = page.deed(transaction_id)
            if known is not None and known.waiting and known.acts_at <= self.clock.now():
                known = _finished(page, known)
            return page.boot_and_number(terminal_id)[0], known

        found: tuple[int, Deed | None] = await self._writer.commit(look)
        return found

    async def boot(self, terminal_id: str) -> int:
        """The terminal's boot number: 1, and one more for each restart."""
        number: int = await self._writer.commit(lambda page: page.boot_and_number(terminal_id)[0])
        return number

    async def waiting(self) -> list[Deed]:
        """What waits for a cardholder, the next to act first."""
        deeds: list[Deed] = await self._writer.commit(lambda page: page.waiting())
        return deeds

    async def settle(self) -> None:
        """Let every cardholder act whose time has come, also those of a gateway that died."""

        def act(page: Page) -> None:
            for deed in page.waiting(self.clock.now()):
                _finished(page, deed)

        await self._writer.commit(act)

    async def ledger(self, terminal: str | None = None) -> list[Entry]:
        """The acquirer's entries, oldest first: of the terminal of this name, or of all."""
        await self.settle()
        if self._inline:
            return read_ledger(self.path, terminal)
        return await asyncio.to_thread(read_ledger, self.path, terminal)

    # --- life ---------------------------------------------------------------------------------

    def later(self, echo: Coroutine[Any, Any, None]) -> None:
        """Let something happen on its own: an answer that comes again."""
        task = asyncio.get_running_loop().create_task(echo)
        self._echoes.add(task)
        task.add_done_callback(self._echoed)

    def _echoed(self, task: asyncio.Task[None]) -> None:
        self._echoes.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            context = {"message": "A second answer failed", "exception": error, "task": task}
            task.get_loop().call_exception_handler(context)

    async def quiet(self) -> None:
        """Wait until nothing happens on its own any more."""
        while self._echoes:
            await asyncio.wait(self._echoes)

    async def stop(self) -> None:
        """End what happens on its own. The world stays as it is, for the next start."""
        for task in (tasks := list(self._echoes)):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def close(self) -> None:
        """Commit what waits, then let go of the file."""
        self._writer.close()


def _card(page: Page, transaction: Transaction) -> Card | None:
    """The card that the transaction is of; None when it names one that was not read here."""
    if transaction.terms.card:
        last4 = page.card_read(transaction.terminal_id, transaction.terms.card)
        return cards.card_ending_in(last4) if last4 else None
    if transaction.original_id is not None:
        original = page.deed(transaction.original_id)
        known = cards.card_ending_in(original.outcome.card_last4) if original else None
        if known is not None:
            return known
    return cards.card_for(transaction.id)


def _finished(page: Page, deed: Deed) -> Deed:
    done = msgspec.structs.replace(deed, waiting=False)
    page.finish(done)
    return done
