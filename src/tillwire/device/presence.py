"""When each polling terminal was last heard of. Kept in memory: it says nothing of money."""

from __future__ import annotations

from typing import Final

import msgspec

from tillwire.clock import Instant
from tillwire.core.ports import Clock

PRESENT_WITHIN: Final = 60_000
"""Milliseconds after a terminal's last request in which it counts as reachable. A held poll is
as old as its beginning, so this is twice the longest wait."""


class Sighting(msgspec.Struct, frozen=True):
    """A terminal was heard of."""

    at: Instant
    boot: int | None


class Presence:
    """The last sighting of each terminal."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last: dict[str, Sighting] = {}

    def seen(self, terminal_id: str, boot: int | None) -> None:
        """The terminal polls."""
        self._last[terminal_id] = Sighting(self._clock.now(), boot)

    def last(self, terminal_id: str) -> Sighting | None:
        """When it polled last; None: not since the gateway has started."""
        return self._last.get(terminal_id)

    def present(self, terminal_id: str) -> bool:
        """Whether it polled lately."""
        last = self._last.get(terminal_id)
        return last is not None and self._clock.now() - last.at <= PRESENT_WITHIN
