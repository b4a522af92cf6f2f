"""Doubts: why a terminal is blocked, in words for tills and for people.

An UNKNOWN transaction blocks its terminal. Either the terminal is still asked what became of it, or
asking will not help and a person has to look; and its driver has said why. Both stand in the events
of the transaction. What is kept here in memory is the newest of them, as it was committed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

import msgspec

from tillwire.core import states
from tillwire.core.estate import Estate
from tillwire.core.estate_model import Lifecycle
from tillwire.core.mirror import Mirror
from tillwire.core.model import Event, State, Transaction
from tillwire.core.moves import Move
from tillwire.errors import TerminalBusy

NEEDS_PERSON: Final = "needs_person"
CANNOT_TELL: Final = "cannot_tell"
"""Names of events beside the state."""
LONGEST: Final = 300
"""Characters of a driver's words."""


class Awaits(StrEnum):
    """What a blocked terminal waits for."""

    ANSWER = "answer"
    """The terminal is asked again and again."""
    PERSON = "person"
    """Somebody has to look what happened, and decide."""


NEXT: Final = {
    Awaits.ANSWER: "The gateway goes on asking the terminal: see that it is on and can be reached.",
    Awaits.PERSON: (
        "Look at the terminal or at the acquirer's list what happened, then say it with `tillwire "
        "transactions decide`; docs/how-to/resolve-an-unknown-payment.md tells how."
    ),
}
"""What to do about it."""


class Doubt(msgspec.Struct, frozen=True):
    """Why nobody knows yet what became of a transaction."""

    awaits: Awaits = Awaits.ANSWER
    words: str = ""
    """What was heard last: of the loss, or from the driver that asked."""

    def __str__(self) -> str:
        asked = "The terminal is still asked."
        who = asked if self.awaits is Awaits.ANSWER else "Asking does not help any more."
        return f"{who} {self.words}".rstrip()


def doubt_of(event: Event) -> Doubt | None:
    """What the event says of the doubt; None if nothing."""
    if event.name == NEEDS_PERSON:
        return Doubt(Awaits.PERSON, _words(event, "detail"))
    if event.name == CANNOT_TELL:
        return Doubt(Awaits.ANSWER, _words(event, "detail"))
    if event.name == states.Event.LOSE:
        return Doubt(Awaits.ANSWER, _words(event, "reason"))
    return None


def newest_doubt(events: Iterable[Event]) -> Doubt:
    """Why the transaction with these events, in their order, is UNKNOWN."""
    doubt = Doubt()
    for event in events:
        doubt = doubt_of(event) or doubt
    return doubt


def _words(event: Event, member: str) -> str:
    words = str(event.detail.get(member, ""))
    return words if len(words) <= LONGEST else words[: LONGEST - 3] + "..."


class Doubts:
    """The doubts of the transactions that are open."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._doubts: dict[str, Doubt] = {}

    def hear(self, move: Move) -> None:
        """Take note of a committed move."""
        if move.after.state is not State.UNKNOWN:
            self._doubts.pop(move.after.id, None)
        elif (doubt := doubt_of(move.event)) is not None:
            self._doubts[move.after.id] = doubt

    def of(self, transaction_id: str) -> Doubt | None:
        """Why it is UNKNOWN; None when it is not."""
        known = self._mirror.get(transaction_id)
        if known is None or known.state is not State.UNKNOWN:
            return None
        # After a restart nothing has been heard yet.
        return self._doubts.get(transaction_id, Doubt())

    def explained(self, busy: TerminalBusy) -> TerminalBusy:
        """The same refusal, with the doubt that is behind it."""
        doubt = self.of(busy.holder)
        if doubt is None:
            return busy
        detail = f"{busy.detail} {doubt}"
        return TerminalBusy(detail, holder=busy.holder, since=busy.since, unresolved=True)

    def count(self, estate: Estate) -> Mapping[tuple[str, Awaits], int]:
        """How many terminals are blocked, by driver and by what they wait for; 0 for each driver
        that the estate has."""
        counted: Counter[tuple[str, Awaits]] = Counter()
        for terminal in estate.terminals.values():
            if terminal.lifecycle is not Lifecycle.REMOVED:
                counted.update({(terminal.driver, each): 0 for each in Awaits})
        for transaction in self._mirror.unknown():
            terminal = estate.terminals[transaction.terminal_id]
            counted[terminal.driver, self._known(transaction).awaits] += 1
        return counted

    def _known(self, transaction: Transaction) -> Doubt:
        return self._doubts.get(transaction.id, Doubt())
