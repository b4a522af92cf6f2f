"""Aborting: the wish that a transaction does not happen, and its three ends.

What was not sent yet is dropped here, with proof. What was sent, only its terminal can stop, and
the till goes on waiting for the transaction's own outcome.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tillwire.core import states
from tillwire.core.changes import Changes
from tillwire.core.model import State, Transaction
from tillwire.core.moves import Move, moved, noted
from tillwire.core.patience import within
from tillwire.core.ports import AbortResult, Clock, Driver
from tillwire.errors import Proof

ABORT_WITHIN: Final = 10.0
"""Seconds in which an abort that the terminal granted must show as the transaction's outcome."""


class Aborting:
    """Carries tills' wishes to abort."""

    def __init__(
        self, changes: Changes, clock: Clock, driver_for: Callable[[Transaction], Driver]
    ) -> None:
        self._changes = changes
        self._clock = clock
        self._driver_for = driver_for
        self._asked: set[str] = set()

    async def abort(self, transaction_id: str) -> AbortResult:
        """Wish that the transaction does not happen. ABORTED for exactly one caller; the
        transaction's own outcome comes in any case. Raises `NotFound`, `JournalError`."""
        current, mine = await self._changes.change_once(transaction_id, self._drop)
        if mine:
            return AbortResult.ABORTED
        if current.state is State.UNKNOWN:
            return AbortResult.UNKNOWN
        if current.is_final or transaction_id in self._asked:
            return AbortResult.TOO_LATE
        driver = self._driver_for(current)
        if not driver.capabilities.abort:
            return AbortResult.TOO_LATE
        self._asked.add(transaction_id)
        try:
            return await self._at_terminal(current, driver)
        finally:
            self._asked.discard(transaction_id)

    def _drop(self, current: Transaction) -> Move | None:
        if current.state is not State.ACCEPTED:
            return None
        detail = {"proof": Proof.NEVER_SENT}
        now = self._clock.now()
        return moved(current, states.Event.ABORT, now, detail, proof=Proof.NEVER_SENT)

    async def _at_terminal(self, transaction: Transaction, driver: Driver) -> AbortResult:
        def write_down(current: Transaction) -> Move:
            return noted(current, "abort_asked", self._clock.now(), {"detail": ""})

        await self._changes.insist(transaction.id, write_down)
        try:
            result = await within(ABORT_WITHIN, driver.abort(transaction))
        except Exception:  # noqa: BLE001 - whatever a driver raises, nobody can tell
            return AbortResult.UNKNOWN
        if result is not AbortResult.ABORTED:
            return result
        current = await self._changes.wait(transaction.id, lambda tx: tx.is_settled, ABORT_WITHIN)
        if current.state is State.CANCELLED:
            return AbortResult.ABORTED
        return AbortResult.TOO_LATE if current.is_final else AbortResult.UNKNOWN
