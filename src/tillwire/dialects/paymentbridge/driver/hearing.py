"""Of whom was not heard: silence proves something only where every word would have been heard.

Kept in memory. A process that has just started has heard nothing of what was told before.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from tillwire.clock import Instant
from tillwire.core.model import Transaction
from tillwire.core.ports import Clock

MOST_TURNED_AWAY: Final = 10_000
"""Transactions of which it is remembered that a word about them was not heard."""


class Hearing:
    """What could be heard of terminals, lest their silence passes for a proof."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: Instant = clock.now()
        """From when on this process has listened, and remembers whom it turned away."""
        self._turned_away: OrderedDict[str, None] = OrderedDict()

    def turn_away(self, transaction_id: str) -> None:
        """Somebody called at its address, and was not heard."""
        self._turned_away[transaction_id] = None
        if len(self._turned_away) > MOST_TURNED_AWAY:
            self._turned_away.popitem(last=False)
            self._since = self._clock.now()

    def was_there(self, transaction: Transaction) -> bool:
        """Whether all that its terminal may have told has been heard."""
        sent_at = transaction.sent_at
        assert sent_at is not None, "it was dispatched"
        return self._since <= sent_at and transaction.id not in self._turned_away
