"""When each transaction may be asked for again: soon at first, then every five minutes. What is
remembered here is lost with the process, and then each is asked for at once."""

from __future__ import annotations

import math
from typing import Final

from tillwire.core.model import Transaction
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
        self._sent: dict[str, float] = {}
        """When each was sent; on the monotonic clock, as all here."""
        self._due: dict[str, float] = {}
        """Without end while it is asked for."""
        self._words: dict[str, str] = {}
        self._resting: dict[str, float] = {}
        """Until when those that have ended are not asked for again."""

    def begin(self, transaction_id: str) -> None:
        """It was sent just now."""
        if len(self._sent) >= MOST:
            self._sent.clear()
        self._sent[transaction_id] = self._clock.monotonic()
        self._put(transaction_id, self._clock.monotonic() + MOMENTS[0])

    def age(self, transaction: Transaction) -> float:
        """Seconds since it was sent. A wall clock that is set forward makes it no older, unless a
        restart came between."""
        assert transaction.sent_at is not None, "it was sent"
        age = (self._clock.now() - transaction.sent_at) / 1000
        sent = self._sent.get(transaction.id)
        return age if sent is None else min(age, self._clock.monotonic() - sent)

    def is_due(self, transaction_id: str) -> bool:
        """Whether it may be asked for."""
        return self._due.get(transaction_id, 0.0) <= self._clock.monotonic()

    def words(self, transaction_id: str) -> str:
        """What was learned when it was asked for last."""
        return self._words.get(transaction_id, "It was not asked for yet.")

    def asking(self, transaction_id: str) -> None:
        """It is being asked for."""
        self._put(transaction_id, math.inf)

    def asked(self, transaction: Transaction, words: str) -> None:
        """It was asked for just now, and that is what was learned. It stays due if there was news
        of it meanwhile."""
        self._words[transaction.id] = words
        if transaction.id in self._due:
            age = self.age(transaction)
            pause = next_after(age) - age if age >= 0 else EVERY
            self._put(transaction.id, self._clock.monotonic() + pause)

    def forget(self, transaction_id: str) -> None:
        """It is not asked for any more."""
        for known in (self._sent, self._due, self._words):
            known.pop(transaction_id, None)

    def rest(self, transaction_id: str) -> None:
        """It has ended, and was asked for: not again so soon, whatever is said of it."""
        now = self._clock.monotonic()
        if len(self._resting) >= MOST:
            self._resting = {key: each for key, each in self._resting.items() if each > now}
        if len(self._resting) >= MOST:
            self._resting.clear()
        self._resting[transaction_id] = now + EVERY

    def is_resting(self, transaction_id: str) -> bool:
        """Whether it has ended, and was asked for lately. That it was before it ended is no
        reason not to: a person may have decided it since."""
        return self._resting.get(transaction_id, 0.0) > self._clock.monotonic()

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
