"""What the engine remembers of committed rows, and who waits for news of them.

Holds every open transaction, the holder of each terminal, and a bounded number of those that ended
last, so that the status read which follows a sale needs no database. It only moves forward: an
older version never replaces a newer one.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Final

from tillwire.core.model import State, Transaction

REMEMBERED: Final = 10_000
"""How many ended transactions are kept at hand."""


class Mirror:
    """Committed transactions in memory, by id and by the terminal that they hold."""

    def __init__(self) -> None:
        self._open: dict[str, Transaction] = {}
        self._ended: dict[str, Transaction] = {}
        self._holders: dict[str, str] = {}
        self._counts: Counter[State] = Counter()
        self._open_at: Counter[str] = Counter()
        self._by_transaction: dict[str, list[asyncio.Future[None]]] = defaultdict(list)
        self._by_terminal: dict[str, list[asyncio.Future[None]]] = defaultdict(list)

    def put(self, transaction: Transaction) -> None:
        """Take note of a committed state."""
        known = self.get(transaction.id)
        if known is not None and known.version >= transaction.version:
            return
        if known is not None and not known.is_final:
            self._counts[known.state] -= 1
            self._open_at[known.terminal_id] -= 1
        if transaction.is_final:
            self._end(transaction)
        else:
            self._open[transaction.id] = transaction
            self._counts[transaction.state] += 1
            self._open_at[transaction.terminal_id] += 1
            if transaction.token:
                self._holders[transaction.terminal_id] = transaction.id
        _wake(self._by_transaction.pop(transaction.id, ()))
        _wake(self._by_terminal.pop(transaction.terminal_id, ()))

    def _end(self, transaction: Transaction) -> None:
        self._open.pop(transaction.id, None)
        if self._holders.get(transaction.terminal_id) == transaction.id:
            del self._holders[transaction.terminal_id]
        self._ended[transaction.id] = transaction
        if len(self._ended) > REMEMBERED:
            del self._ended[next(iter(self._ended))]

    def get(self, transaction_id: str) -> Transaction | None:
        """The transaction, if it is open or ended lately."""
        return self._open.get(transaction_id) or self._ended.get(transaction_id)

    def newest(self, transaction: Transaction) -> Transaction:
        """This transaction, or what is known of it since. Remembers it if it is open."""
        known = self.get(transaction.id)
        if known is not None and known.version >= transaction.version:
            return known
        if known is not None or not transaction.is_final:
            self.put(transaction)
        return transaction

    def holder(self, terminal_id: str) -> Transaction | None:
        """The open transaction that holds the terminal."""
        holder = self._holders.get(terminal_id)
        return self._open.get(holder) if holder else None

    def open_at(self, terminal_id: str) -> int:
        """How many open transactions the terminal has, under way or waiting."""
        return self._open_at[terminal_id]

    def open_of(self, organisation_id: str, register: str) -> list[Transaction]:
        """The register's open transactions, newest first. Looks at all that are open."""
        return sorted(
            (
                each
                for each in self._open.values()
                if each.register == register and each.organisation_id == organisation_id
            ),
            key=lambda each: each.id,
            reverse=True,
        )

    def open_count(self) -> Mapping[State, int]:
        """How many open transactions there are in each state."""
        return self._counts

    def unknown(self) -> list[Transaction]:
        """Those that nobody can tell about; each blocks its terminal."""
        return [each for each in self._open.values() if each.state is State.UNKNOWN]

    async def news_of(self, transaction_id: str, timeout: float | None) -> bool:
        """Wait for the next change of a transaction; False when there is none in `timeout` s."""
        return await _wait(self._by_transaction, transaction_id, timeout)

    async def news_at(self, terminal_id: str, timeout: float | None) -> bool:
        """Wait for the next change of any transaction of a terminal, likewise."""
        return await _wait(self._by_terminal, terminal_id, timeout)


def _wake(waiters: list[asyncio.Future[None]] | tuple[()]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)


async def _wait(
    waiters: dict[str, list[asyncio.Future[None]]], key: str, timeout: float | None
) -> bool:
    news = asyncio.get_running_loop().create_future()
    waiters[key].append(news)
    try:
        async with asyncio.timeout(timeout):
            await news
    except TimeoutError:
        return False
    finally:
        mine = waiters.get(key)
        if mine is not None and news in mine:
            mine.remove(news)
            if not mine:
                del waiters[key]
    return True
