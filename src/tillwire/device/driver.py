"""The driver of a terminal that fetches: what it is waiting for arrives through the device face.

It writes nothing to the terminal itself, so it only waits for what the inbox hears.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Final

from tillwire.clock import Instant
from tillwire.core.entries import Entry
from tillwire.core.errands import Errand, Result
from tillwire.core.estate_model import Terminal
from tillwire.core.model import Outcome, Transaction, TransactionType
from tillwire.core.ports import (
    AbortResult,
    CannotTell,
    Capabilities,
    Inbox,
    Progress,
    TerminalStatus,
)
from tillwire.device.presence import Presence
from tillwire.errors import Unsupported

CAPABILITIES: Final = Capabilities(types=frozenset(TransactionType), pull=True)


class DeviceDriver:
    """Stands for one terminal that fetches."""

    def __init__(self, terminal: Terminal, inbox: Inbox, presence: Presence | None = None) -> None:
        """`presence` is the device face's own; without it nothing is known of the terminal."""
        self._terminal = terminal
        self._inbox = inbox
        self._presence = presence

    @property
    def capabilities(self) -> Capabilities:
        """All types of transaction; no abort once one has been fetched."""
        return CAPABILITIES

    async def run(self, transaction: Transaction, progress: Progress) -> Outcome:
        """Wait for what the terminal reports. Raises `AnswerLost` once it cannot any more."""
        return await self._inbox.outcome_of(transaction.id)

    async def recover(self, transaction: Transaction) -> CannotTell:
        """A terminal that fetches cannot be asked: it reports when it comes back with its
        memory, and if it has none any more, a person has to decide."""
        return CannotTell(f"Waiting for {self._terminal.name} to report.")

    async def abort(self, transaction: Transaction) -> AbortResult:
        """What was fetched cannot be called back: there is no way to reach the terminal."""
        return AbortResult.TOO_LATE

    async def status(self) -> TerminalStatus:
        """Whether it polled lately."""
        last = self._presence.last(self._terminal.id) if self._presence else None
        if self._presence is None or last is None:
            return TerminalStatus(False, "It has not polled since the gateway has started.")
        if not self._presence.present(self._terminal.id):
            return TerminalStatus(False, "It has stopped polling.", last.boot)
        return TerminalStatus(True, boot=last.boot)

    def transactions(self, begin: Instant, end: Instant) -> AsyncIterator[Entry]:
        """None: it fetches, and is not asked."""
        raise Unsupported("It fetches its transactions, and cannot be asked.")

    async def perform(self, errand: Errand, tell: Callable[[str], None]) -> Result:
        """None: there is no way to ask a terminal that fetches."""
        raise Unsupported(f"Terminal {self._terminal.name} fetches transactions, and no errands.")
