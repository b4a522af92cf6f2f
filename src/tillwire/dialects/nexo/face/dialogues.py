"""The dialogues that are under way: who talks to which terminal about what.

In memory, and shared by all nexo faces of the gateway, so that an Abort over one connection finds
the payment of another. What must outlive the process is in the journal: a payment as a
transaction, a message as an exchange. So a payment has a dialogue only while somebody waits for
its answer, or it is just being committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from tillwire.clock import Instant
from tillwire.core.errands import CardRead

_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(eq=False, slots=True)
class Dialogue:
    """One request of a till that has not been answered yet."""

    terminal_id: str
    sale_id: str
    number: str
    """Its ServiceID; of a device request, its DeviceID."""
    category: str
    service_id: str | None = None
    """Of a device request, the ServiceID that it has beside its DeviceID, if it has one."""
    transaction_id: str | None = None
    """The transaction that it waits for, once that is accepted."""
    work: asyncio.Task[object] | None = None
    """What does it, where calling it off means to cancel that: errands, not payments."""
    aborted: bool = False
    """Whether the till has called it off."""
    holds: int = 0
    """How many keep it under way."""


@dataclass(eq=False, slots=True)
class Ahead:
    """A card that is read ahead of its sale (`enabling.py`)."""

    sale_id: str
    services: frozenset[str]
    """Those that may take it."""
    work: asyncio.Task[None] | None = None
    """What reads it."""
    card: CardRead | None = None
    read_at: float = 0.0
    """When it was read, on the clock's monotonic time."""


class Dialogues:
    """All of them, by terminal."""

    def __init__(self) -> None:
        self.ahead: dict[str, Ahead] = {}
        """By terminal."""
        self._at: dict[str, list[Dialogue]] = {}
        self._last_device_id = 0

    def at(self, terminal_id: str) -> list[Dialogue]:
        """Those at the terminal, the oldest first."""
        return list(self._at.get(terminal_id, ()))

    def before(self, dialogue: Dialogue) -> Dialogue | None:
        """The oldest that began at its terminal before it did."""
        first = self._at[dialogue.terminal_id][0]
        return None if first is dialogue else first

    def find(
        self, terminal_id: str, sale_id: str, number: str, category: str | None = None
    ) -> Dialogue | None:
        """The one of this till and number at the terminal; the oldest, if it came twice. With
        `category`, only one of it: services and devices count for themselves."""
        for each in self._at.get(terminal_id, ()):
            if (each.sale_id, each.number) == (sale_id, number) and category in (
                None,
                each.category,
            ):
                return each
        return None

    def find_device(self, terminal_id: str, sale_id: str, service_id: str) -> Dialogue | None:
        """The device request of this till that has this ServiceID beside its DeviceID."""
        for each in self._at.get(terminal_id, ()):
            if (each.sale_id, each.service_id) == (sale_id, service_id):
                return each
        return None

    def begin(self, dialogue: Dialogue) -> None:
        """Have it in the register. It may be begun again by somebody else, and lasts until all of
        them have ended it."""
        if not dialogue.holds:
            self._at.setdefault(dialogue.terminal_id, []).append(dialogue)
        dialogue.holds += 1

    def end(self, dialogue: Dialogue) -> None:
        """Have it there no more, unless somebody else has begun it."""
        dialogue.holds -= 1
        if dialogue.holds:
            return
        left = self._at[dialogue.terminal_id]
        left.remove(dialogue)
        if not left:
            del self._at[dialogue.terminal_id]

    @contextmanager
    def under_way(self, dialogue: Dialogue) -> Iterator[Dialogue]:
        """Have it in the register until the block ends."""
        self.begin(dialogue)
        try:
            yield dialogue
        finally:
            self.end(dialogue)

    def device_id(self, now: Instant) -> str:
        """A DeviceID that no device exchange of this gateway has, nor any before its last start
        had: the time in milliseconds, or one more than the last, in up to ten characters."""
        self._last_device_id = max(self._last_device_id + 1, now)
        return _in_36(self._last_device_id)


def _in_36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits or "0"
