"""The driver of a virtual terminal: a driver like any other, over the virtual world.

It keeps no state. What it adds to the world is the wire between gateway and terminal, which can
lose an answer or carry it twice.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final

import msgspec

from tillwire.clock import Instant
from tillwire.core.entries import Entry, Lists
from tillwire.core.errands import Ability, Errand, Result
from tillwire.core.estate_model import Terminal
from tillwire.core.model import (
    Evidence,
    Outcome,
    Transaction,
    TransactionType,
    Verdict,
)
from tillwire.core.ports import (
    AbortResult,
    Absent,
    CannotTell,
    Capabilities,
    Found,
    Inbox,
    Progress,
    Sign,
    TerminalStatus,
)
from tillwire.errors import AnswerLost, NotDelivered
from tillwire.virtual import books, cardholder, errands
from tillwire.virtual.memory import Deed
from tillwire.virtual.world import World

CAPABILITIES: Final = Capabilities(
    types=frozenset(TransactionType),
    abort=True,
    errands=frozenset(Ability),
    for_host=True,
    lists=Lists.WHOLE,
)
SETTLE_DELAY: Final = 1000
"""Milliseconds after `send_by` before a transaction that is not there counts as absent (law 4)."""
AUTHORISING_SECONDS: Final = 0.5
"""How long a slow cardholder's card takes at the acquirer, before `pace` divides it: too late then
to call it off."""


class VirtualDriver:
    """Reaches one virtual terminal."""

    def __init__(self, terminal: Terminal, world: World, inbox: Inbox) -> None:
        self._terminal = terminal
        self._world = world
        self._inbox = inbox

    @property
    def capabilities(self) -> Capabilities:
        """All types of transaction, and an abort until the card is presented."""
        return CAPABILITIES

    async def run(self, transaction: Transaction, progress: Progress) -> Outcome:
        """Carry it to its end, as its script says. Raises `NotDelivered`, `AnswerLost`."""
        script = self._world.script_for(transaction)
        deed = await self._world.arrive(self._terminal, transaction, script)
        await progress(Sign(received=True))
        if deed.waiting:
            # A quick cardholder costs no sign of life: the outcome follows within the moment.
            await progress(Sign(started=True, display=cardholder.PRESENT_CARD))
            deed = await self._taken_time(deed, progress)
        if script.answer_lost:
            raise AnswerLost(f"{self._terminal.name} has acted, but its answer did not arrive.")
        if script.twice:
            self._world.later(self._say_again(deed))
        return deed.outcome

    async def _taken_time(self, deed: Deed, progress: Progress) -> Deed:
        """The deed of a cardholder who takes time, as it ended."""

        async def show(text: str) -> None:
            await progress(Sign(display=text))

        deed = await self._world.cardholder(deed, show)
        if deed.outcome.verdict is not Verdict.CANCELLED:
            await show(cardholder.AUTHORISING)
            await asyncio.sleep(AUTHORISING_SECONDS / self._world.pace)
            for text in cardholder.afterwards(deed.outcome):
                await show(text)
        return deed

    async def _say_again(self, deed: Deed) -> None:
        with contextlib.suppress(AnswerLost, NotDelivered):  # not heard the first time: now it is
            await self._inbox.outcome_of(deed.transaction_id)
        outcome = msgspec.structs.replace(deed.outcome, evidence=Evidence.REPORTED)
        await self._inbox.heard_outcome(deed.transaction_id, outcome)

    async def recover(self, transaction: Transaction) -> Found | Absent | CannotTell:
        """Ask the terminal by the transaction's id."""
        boot, deed = await self._world.recall(self._terminal.id, transaction.id)
        if deed is None:
            return self._absent(transaction)
        if deed.boot != boot:
            return CannotTell(
                f"{self._terminal.name} has restarted and lost its memory: it was at boot "
                f"{deed.boot} then, and is at {boot} now.",
                needs_person=True,
            )
        if deed.waiting:
            return CannotTell(f"{self._terminal.name} is waiting for the card.")
        return Found(msgspec.structs.replace(deed.outcome, evidence=Evidence.RECOVERED))

    def _absent(self, transaction: Transaction) -> Absent | CannotTell:
        send_by = transaction.send_by
        if send_by is None or self._world.clock.now() <= send_by + SETTLE_DELAY:
            return CannotTell(f"{self._terminal.name} does not know it; it may still arrive.")
        return Absent(f"{self._terminal.name} has never heard of it.")

    async def abort(self, transaction: Transaction) -> AbortResult:
        """Call it off: possible until the card is presented."""
        return await self._world.call_off(self._terminal, transaction)

    async def status(self) -> TerminalStatus:
        """A virtual terminal is always there, whatever its script says of the next transaction."""
        return TerminalStatus(reachable=True, boot=await self._world.boot(self._terminal.id))

    async def perform(self, errand: Errand, tell: Callable[[str], None]) -> Result:
        """Run any errand. Raises `ErrandFailed`."""
        return await errands.perform(self._world, self._terminal, errand, tell)

    def transactions(self, begin: Instant, end: Instant) -> AsyncIterator[Entry]:
        """What its acquirer has on its books."""
        return books.listed(self._world, self._terminal, begin, end)
