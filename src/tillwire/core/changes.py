"""Changes of transactions: decided on what is remembered, committed, and then seen by everybody.

What is in memory mirrors committed rows and may be outdated for a moment. A move that was decided
on an outdated one is refused by the journal (`StaleError`) and decided again on what is true.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar

from tillwire.core.estate import Estate
from tillwire.core.letters import Letter, Teller, letters_of
from tillwire.core.mirror import Mirror
from tillwire.core.model import Transaction
from tillwire.core.moves import Keeper, Move
from tillwire.core.ports import Clock, Journal, StaleError, Unit, Watch
from tillwire.core.tasks import Tasks
from tillwire.errors import JournalError, NotFound

T = TypeVar("T")

TRIES: Final = 1000
"""How often something is decided anew because the journal moved on meanwhile."""
_JOURNAL_PAUSES: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds between tries to journal what must not be lost; the last one repeats."""

Decision = Callable[[Transaction], Move | None]
"""What to do about a transaction as it stands; None: nothing."""


class Changes:
    """Transactions as committed, and the way to change them."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        tasks: Tasks,
        *,
        keeper_of: Callable[[Transaction], Keeper],
        enter: Callable[[str], Callable[[], None]],
        follow: Callable[[Move], None],
        watch: Watch | None,
        tellers: Sequence[Teller],
        posted: Callable[[], None],
        estate: Callable[[], Estate],
    ) -> None:
        """`keeper_of` says how a transaction's terminal is handed on, and `enter` keeps errands
        from it meanwhile (`Claims.enter`). `follow` does what a newly committed move asks for;
        `watch` is only told of it. What the `tellers` write about a move, by the `estate` of the
        moment, is committed with it; `posted` is called when that was something."""
        self.mirror = Mirror()
        self._journal = journal
        self._clock = clock
        self._tasks = tasks
        self._keeper_of = keeper_of
        self._enter = enter
        self._follow = follow
        self._watch = watch
        self._tellers = tellers
        self._posted = posted
        self._estate = estate

    async def change(self, transaction_id: str, decide: Decision) -> Transaction:
        """Commit what `decide` makes of the transaction. Raises `NotFound`, `JournalError`, and
        what `decide` raises."""
        return (await self.change_once(transaction_id, decide))[0]

    async def change_once(self, transaction_id: str, decide: Decision) -> tuple[Transaction, bool]:
        """The same; and whether it was this call that changed it."""
        current = self.mirror.get(transaction_id)
        if current is None:
            current = await self._read(transaction_id)
        for _ in range(TRIES):
            move = decide(current)
            if move is None:
                return current, False
            write = partial(move.write, keeper=self._keeper_of(current))
            passes_on = move.after.is_final and not current.is_final and bool(current.token)
            leave = self._enter(current.terminal_id) if passes_on else None
            try:
                moves = await self.commit(write, lambda moves: moves, leave)
            except StaleError:
                current = await self._read(transaction_id)
                continue
            return (move.after, True) if moves else (current, False)
        raise JournalError(f"Transaction {transaction_id} moved on {TRIES} times meanwhile.")

    async def insist(self, transaction_id: str, decide: Decision) -> Transaction:
        """The same, until the journal takes it: what was learned from a terminal is not lost to a
        full disk as long as this process lives."""
        pauses = iter(_JOURNAL_PAUSES)
        while True:
            try:
                return await self.change(transaction_id, decide)
            except JournalError:
                await asyncio.sleep(next(pauses, _JOURNAL_PAUSES[-1]))

    async def commit(
        self,
        work: Callable[[Unit], T],
        moves_of: Callable[[T], list[Move]],
        afterwards: Callable[[], None] | None = None,
    ) -> T:
        """Commit, and carry on what was committed, also when the caller is cancelled meanwhile:
        what is durable must not be left to nobody. `afterwards` is called when everybody has seen
        it, or it has failed."""

        estate = self._estate()

        def write(unit: Unit) -> tuple[T, int, list[Exception]]:
            result = work(unit)
            return result, *self._write_letters(unit, moves_of(result), estate)

        def see(commit: asyncio.Future[tuple[T, int, list[Exception]]]) -> None:
            try:
                if not commit.cancelled() and commit.exception() is None:
                    result, letters, failures = commit.result()
                    self._follow_letters(letters, failures)
                    self._publish(moves_of(result))
            finally:
                if afterwards is not None:
                    afterwards()

        commit = asyncio.ensure_future(self._journal.commit(write))
        commit.add_done_callback(see)  # before whoever waits for it
        result, *_ = await self._tasks.finish(commit)
        return result

    async def post(self, letter: Letter) -> None:
        """Have a letter delivered that tells of no move. Raises `JournalError`."""
        await self._journal.commit(lambda unit: unit.post(letter))
        self._posted()

    def _write_letters(
        self, unit: Unit, moves: list[Move], estate: Estate
    ) -> tuple[int, list[Exception]]:
        """Write what must be told of the moves: how many letters, and what kept others back."""
        count, failures = 0, list[Exception]()
        for move in moves:
            for letter in letters_of(
                self._tellers, move.before, move.after, move.event.name, estate
            ):
                if isinstance(letter, Exception):
                    failures.append(letter)
                else:
                    unit.post(letter)
                    count += 1
        return count, failures

    def _follow_letters(self, count: int, failures: list[Exception]) -> None:
        for error in failures:
            _report("What must be told of a transaction could not be written", error)
        if count:
            self._posted()

    def _publish(self, moves: list[Move]) -> None:
        for move in moves:
            self.mirror.put(move.after)
            self._follow(move)
        for move in moves:
            self._tell(move)

    def _tell(self, move: Move) -> None:
        if self._watch is None:
            return
        try:
            self._watch.transition(move.before, move.after, move.event.name)
        except Exception as error:  # noqa: BLE001 - who only watches must not stop a payment
            _report("Whoever watches transactions failed", error)

    async def _read(self, transaction_id: str) -> Transaction:
        found = await self._journal.read(lambda reader: reader.transaction(transaction_id))
        if found is None:
            raise NotFound(f"No transaction {transaction_id}.")
        return self.mirror.newest(found)

    async def find(self, transaction_id: str) -> Transaction | None:
        """The transaction as committed; from memory when it is open or ended lately."""
        known = self.mirror.get(transaction_id)
        if known is not None:
            return known
        found = await self._journal.read(lambda reader: reader.transaction(transaction_id))
        return None if found is None else self.mirror.newest(found)

    async def wait(
        self,
        transaction_id: str,
        until: Callable[[Transaction], bool],
        timeout: float | None,
    ) -> Transaction:
        """Wait, `timeout` seconds at most, until the transaction fulfils `until`; its latest
        state in either case. Raises `NotFound`."""
        current = await self.find(transaction_id)
        if current is None:
            raise NotFound(f"No transaction {transaction_id}.")
        end = None if timeout is None else self._clock.monotonic() + timeout
        while not until(current):
            left = None if end is None else end - self._clock.monotonic()
            if left is not None and left <= 0:
                break
            if not await self.mirror.news_of(transaction_id, left):
                break
            current = self.mirror.newest(current)
        return current


def _report(message: str, error: Exception) -> None:
    context = {"message": message, "exception": error}
    asyncio.get_running_loop().call_exception_handler(context)
