"""The dialogues that are under way: who talks to which terminal about what.

In memory, and shared by all nexo faces of the gateway, so that an Abort over one connection finds
the payment of another. What must outlive the process is in the journal: a payment as a
transaction, a message as an exchange.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(eq=False, slots=True)
class Dialogue:
    """One request of a till that has not been answered yet."""

    terminal_id: str
    sale_id: str
    number: str
    """Its ServiceID; of a device request without one, its DeviceID."""
    category: str
    digest: str
    transaction_id: str | None = None
    """The transaction that it waits for, once that is accepted."""
    work: asyncio.Task[object] | None = None
    """What does it, where calling it off means to cancel that: errands, not payments."""
    aborted: bool = False
    """Whether the till has called it off."""


class Dialogues:
    """All of them, by terminal."""

    def __init__(self) -> None:
        self._at: dict[str, list[Dialogue]] = {}

    def at(self, terminal_id: str) -> list[Dialogue]:
        """Those at the terminal, the oldest first."""
        return list(self._at.get(terminal_id, ()))

    def find(self, terminal_id: str, sale_id: str, number: str) -> Dialogue | None:
        """The one of this till and number at the terminal."""
        for each in self._at.get(terminal_id, ()):
            if (each.sale_id, each.number) == (sale_id, number):
                return each
        return None

    @contextmanager
    def under_way(self, dialogue: Dialogue) -> Iterator[Dialogue]:
        """Have it in the register until the block ends."""
        self._at.setdefault(dialogue.terminal_id, []).append(dialogue)
        try:
            yield dialogue
        finally:
            left = self._at[dialogue.terminal_id]
            left.remove(dialogue)
            if not left:
                del self._at[dialogue.terminal_id]
