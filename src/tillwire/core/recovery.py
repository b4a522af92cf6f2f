"""The ladder from UNKNOWN to fact.

Each driver has its own rungs (`Driver.recover`); this is what climbs them: ask, wait, ask again,
until there is an outcome, a proof of absence, or nothing left but a person. Asking reads only, so
it may be repeated as often as it takes. What is found to wait there, and nobody waits for any more,
is called off; what came of that is asked, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from tillwire.clock import Instant
from tillwire.core.doubts import CANNOT_TELL, NEEDS_PERSON
from tillwire.core.model import Evidence, Outcome, State, Transaction
from tillwire.core.moves import check_outcome
from tillwire.core.patience import within
from tillwire.core.ports import AbortResult, Absent, CannotTell, Clock, Driver, Found
from tillwire.errors import Proof

FIRST_PAUSE: Final = 1.0
"""Seconds between losing an answer and asking for it."""
LONGEST_PAUSE: Final = 10.0
"""Seconds between two questions at most."""
ASK_WITHIN: Final = 30.0
"""Seconds that one question may take."""
CALLED_OFF: Final = "called_off"
"""The name of an event beside the state: its terminal was about to be asked to drop it."""
AT_ONCE: Final = 64
"""Terminals that are asked at the same time at most."""


class Subject(Protocol):
    """What recovery needs of the engine."""

    clock: Clock

    async def find(self, transaction_id: str) -> Transaction | None: ...
    async def wait(
        self, transaction_id: str, until: Callable[[Transaction], bool], timeout: float | None
    ) -> Transaction: ...
    async def conclude(self, transaction_id: str, outcome: Outcome) -> Transaction: ...
    async def refuse(
        self, transaction_id: str, proof: Proof, reason: str, *, send_by: Instant | None
    ) -> Transaction: ...
    async def note(self, transaction_id: str, name: str, detail: str) -> Transaction: ...


class Recovery:
    """Resolves UNKNOWN transactions through their drivers."""

    def __init__(self, engine: Subject, driver_for: Callable[[Transaction], Driver]) -> None:
        self._engine = engine
        self._driver_for = driver_for
        self._places = asyncio.Semaphore(AT_ONCE)

    async def resolve(self, transaction_id: str) -> None:
        """Ask until the transaction is not UNKNOWN any more, or only a person can tell."""
        pause, said, called_off = FIRST_PAUSE, "", frozenset[str]()
        transaction = await self._engine.find(transaction_id)
        while transaction is not None and transaction.state is State.UNKNOWN:
            transaction = await self._engine.wait(transaction_id, _resolved, pause)
            if _resolved(transaction):
                return
            found = await self._ask(transaction)
            if isinstance(found, Found):
                outcome = msgspec.structs.replace(found.outcome, evidence=Evidence.RECOVERED)
                transaction = await self._engine.conclude(transaction_id, outcome)
            elif isinstance(found, Absent):
                transaction = await self._engine.refuse(
                    transaction_id, found.proof, found.detail, send_by=transaction.send_by
                )
            else:
                if found.needs_person:
                    await self._engine.note(transaction_id, NEEDS_PERSON, found.detail)
                    return
                if found.detail != said:
                    await self._engine.note(transaction_id, CANNOT_TELL, found.detail)
                    said = found.detail
                if not found.overdue <= called_off and await self._is_called_off(transaction):
                    called_off |= found.overdue
                pause = min(pause * 2, LONGEST_PAUSE)

    async def _is_called_off(self, transaction: Transaction) -> bool:
        """Ask its terminal to drop it; whether that was answered. The answer is not believed."""
        await self._engine.note(transaction.id, CALLED_OFF, "Nobody waits for it there any more.")
        async with self._places:
            try:
                result = await within(ASK_WITHIN, self._driver_for(transaction).abort(transaction))
            except Exception:  # noqa: BLE001 - whatever a driver raises, it was not answered
                return False
        return result is not AbortResult.UNKNOWN

    async def _ask(self, transaction: Transaction) -> Found | Absent | CannotTell:
        assert transaction.send_by is not None, "only what was dispatched can be UNKNOWN"
        async with self._places:
            try:
                begun = self._engine.clock.now()
                found = await within(ASK_WITHIN, self._driver_for(transaction).recover(transaction))
                if isinstance(found, Found):
                    check_outcome(transaction, found.outcome)
            except Exception as error:  # noqa: BLE001 - a question that failed told us nothing
                return CannotTell(f"Asking failed: {type(error).__name__}: {error}")
        # What counts is when it was asked: an answer may have been on its way for long.
        if isinstance(found, Absent) and begun <= transaction.send_by:
            return CannotTell("It may still be written: its time to be sent has not passed.")
        return found


def _resolved(transaction: Transaction) -> bool:
    return transaction.state is not State.UNKNOWN
