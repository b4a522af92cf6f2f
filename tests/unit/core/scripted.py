"""A driver that does what a test tells it, and an engine on a real journal around it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.kit.virtual_loop import VirtualLoop
from tests.unit.estate_fixture import found_shop
from tillwire.clock import Instant, SystemClock
from tillwire.core.engine import Engine
from tillwire.core.entries import Entry, Lists
from tillwire.core.errands import Ability, Errand, Result
from tillwire.core.estate_model import Terminal
from tillwire.core.letters import Teller
from tillwire.core.model import Outcome, Transaction, TransactionType, Verdict
from tillwire.core.ports import (
    AbortResult,
    Absent,
    CannotTell,
    Capabilities,
    Clock,
    Found,
    Progress,
    TerminalStatus,
)
from tillwire.journal.sqlite import SqliteJournal


class ScriptedDriver:
    """Every run waits until the test answers it, unless `at_once` is set."""

    def __init__(self, *, pull: bool = False, abort: bool = False) -> None:
        self.capabilities = Capabilities(
            types=frozenset(TransactionType),
            pull=pull,
            abort=abort,
            errands=frozenset(Ability),
            lists=Lists.WHOLE,
        )
        self.at_once: Outcome | Exception | None = None
        self.ran: list[Transaction] = []
        self.asked: list[str] = []
        self.aborted: list[str] = []
        self.abort_result = AbortResult.TOO_LATE
        self.found: list[Found | Absent | CannotTell | Exception] = []
        self.progress: dict[str, Progress] = {}
        self.errands: list[Errand] = []
        self.errand_begun = asyncio.Event()
        self.tell: Callable[[str], None] | None = None
        self.errand_end: asyncio.Future[Result] | Result | Exception = None
        """What an errand comes to: at once, or when the future is done."""
        self.booked: list[Entry | Exception | float] = []
        """What its books say: an entry, a failure, or seconds of silence."""
        self.telling = False
        self._answers: dict[str, asyncio.Future[Outcome]] = defaultdict(
            lambda: asyncio.get_running_loop().create_future()
        )
        self._begun: dict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def run(self, transaction: Transaction, progress: Progress) -> Outcome:
        self.ran.append(transaction)
        self.progress[transaction.id] = progress
        self._begun[transaction.id].set()
        if isinstance(self.at_once, Exception):
            raise self.at_once
        return self.at_once or await self._answers[transaction.id]

    async def begun(self, transaction: Transaction) -> Progress:
        """Wait until the transaction was sent to the terminal."""
        await self._begun[transaction.id].wait()
        return self.progress[transaction.id]

    def answer(self, transaction: Transaction, answer: Outcome | Exception) -> None:
        future = self._answers[transaction.id]
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)

    async def recover(self, transaction: Transaction) -> Found | Absent | CannotTell:
        self.asked.append(transaction.id)
        found = self.found.pop(0) if self.found else CannotTell("nobody knows")
        if isinstance(found, Exception):
            raise found
        return found

    async def abort(self, transaction: Transaction) -> AbortResult:
        self.aborted.append(transaction.id)
        if self.abort_result is AbortResult.ABORTED:
            self.answer(transaction, Outcome(Verdict.CANCELLED))
        return self.abort_result

    async def status(self) -> TerminalStatus:
        return TerminalStatus(reachable=True)

    async def perform(self, errand: Errand, tell: Callable[[str], None]) -> Result:
        self.errands.append(errand)
        self.tell = tell
        self.errand_begun.set()
        end = self.errand_end
        if isinstance(end, Exception):
            raise end
        return await end if isinstance(end, asyncio.Future) else end

    async def transactions(self, begin: Instant, end: Instant) -> AsyncIterator[Entry]:
        self.telling = True
        try:
            for each in self.booked:
                if isinstance(each, Exception):
                    raise each
                if isinstance(each, float):
                    await asyncio.sleep(each)
                elif each.at is None or begin <= each.at < end:
                    yield each
        finally:
            self.telling = False


@asynccontextmanager
async def engine_on(
    folder: Path,
    driver: ScriptedDriver,
    clock: Clock | None = None,
    *,
    tellers: Sequence[Teller] = (),
    posted: Callable[[], None] = lambda: None,
) -> AsyncIterator[Engine]:
    """A started engine on the journal in `folder`, which it founds the shop in when it is new. On a
    virtual loop the journal has no threads."""
    inline = isinstance(asyncio.get_running_loop(), VirtualLoop)
    journal = SqliteJournal(folder / "journal.db", inline=inline)

    def driver_of(terminal: Terminal) -> ScriptedDriver:
        return driver

    engine = Engine(journal, driver_of, clock or SystemClock(), tellers=tellers, posted=posted)
    await engine.start()
    if not engine.estate.organisations:
        await engine.change_estate(found_shop)
    try:
        yield engine
    finally:
        await engine.stop()
        journal.close()


def approved(amount: int = 1250, tip: int = 0) -> Outcome:
    return Outcome(Verdict.APPROVED, approved_amount=amount, tip=tip, stan="000001", brand="VISA")


DECLINED = Outcome(Verdict.DECLINED, response_code="05", reason="Do not honour")


def is_final(transaction: Transaction) -> bool:
    return transaction.is_final
