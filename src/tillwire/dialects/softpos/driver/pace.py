"""When each transaction may be asked for again: soon at first, then every five minutes. What is
remembered here is lost with the process, and then each is asked for at once."""

from __future__ import annotations

from typing import Final

from tillwire.clock import Instant
from tillwire.core.ports import Clock

MOMENTS: Final = (5.0, 15.0, 30.0, 60.0, 120.0)
"""Seconds after the dispatch at which it is asked for."""
EVERY: Final = 300.0
"""Seconds between two questions afterwards."""
MOST: Final = 10_000


def next_after(age: float) -> float:
    """The age in seconds at which one is due that was asked for at this age."""
    return next((each for each in MOMENTS if each > age), age + EVERY)


class Paces:
    """Of all transactions that are asked for."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: dict[str, float] = {}
        """On the monotonic clock."""
        self._words: dict[str, str] = {}

    def begin(self, transaction_id: str) -> None:
        """It was sent just now."""
        self._put(transaction_id, self._clock.monotonic() + MOMENTS[0])

    def is_due(self, transaction_id: str) -> bool:
        """Whether it may be asked for."""
        return self._due.get(transaction_id, 0.0) <= self._clock.monotonic()

    def words(self, transaction_id: str) -> str:
        """What was learned when it was asked for last."""
        return self._words.get(transaction_id, "It was not asked for yet.")

    def asked(self, transaction_id: str, sent_at: Instant, words: str) -> None:
        """It was asked for just now, and that is what was learned."""
        age = max((self._clock.now() - sent_at) / 1000, 0.0)
        self._put(transaction_id, self._clock.monotonic() + next_after(age) - age)
        self._words[transaction_id] = words

    def forget(self, transaction_id: str) -> None:
        """It is not asked for any more."""
        self._due.pop(transaction_id, None)
        self._words.pop(transaction_id, None)

    def hurry(self, transaction_id: str) -> None:
        """There is news of it: it is due."""
        self._due.pop(transaction_id, None)

    def _put(self, transaction_id: str, due: float) -> None:
        if transaction_id not in self._due and len(self._due) >= MOST:
            now = self._clock.monotonic()
            self._due = {key: each for key, each in self._due.items() if each > now}
            if len(self._due) >= MOST:
                self._due.clear()
            self._words = {key: each for key, each in self._words.items() if key in self._due}
        self._due[transaction_id] = due
