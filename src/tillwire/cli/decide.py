"""`tillwire transactions decide`: a named person ends an UNKNOWN transaction.

A running gateway alone moves its transactions, so it is asked to, over its operator's socket. Where
none runs, this owns the journal while it works, and reaches no terminal: what waits behind the
decided transaction gets its turn in the journal, and is carried when the gateway starts again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated

import typer

from tillwire.cli.control import ask
from tillwire.cli.journals import (
    ConfigOption,
    DataOption,
    JournalOption,
    key_file,
    locate,
    opened,
)
from tillwire.cli.options import JsonOption, check_signed, no_transaction
from tillwire.cli.output import remark, say, say_json
from tillwire.cli.views import transaction_view
from tillwire.clock import Instant, SystemClock
from tillwire.core.engine import Engine
from tillwire.core.entries import Entry
from tillwire.core.errands import Errand, Result
from tillwire.core.estate_model import Terminal
from tillwire.core.model import Outcome, Transaction, Verdict
from tillwire.core.ports import (
    AbortResult,
    Absent,
    CannotTell,
    Capabilities,
    Found,
    Progress,
    TerminalStatus,
)
from tillwire.errors import InvalidRequest, NotDelivered, Unsupported
from tillwire.journal.sqlite import SqliteJournal
from tillwire.journal.vault import KeyFileVault
from tillwire.money import Money, from_text, positive
from tillwire.server.control import DecideDone, DecideOrder


def decide(
    transaction_id: Annotated[
        str, typer.Argument(metavar="ID", help="The transaction's id.", show_default=False)
    ],
    verdict: Annotated[
        Verdict,
        typer.Argument(case_sensitive=False, help="What really happened.", show_default=False),
    ],
    person: Annotated[str, typer.Option("--person", help="Who decides.", show_default=False)],
    reason: Annotated[str, typer.Option("--reason", help="How it is known.", show_default=False)],
    amount: Annotated[
        str, typer.Option("--amount", help="What was approved in all, if not what was asked for.")
    ] = "",
    tip: Annotated[
        str, typer.Option("--tip", help="How much of it was added on the terminal as a tip.")
    ] = "",
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a transaction that is UNKNOWN, on a person's word.

    For when asking the terminal will not help any more. No money moves: this writes down what has
    happened. The gateway may run meanwhile.
    """
    check_signed(person, reason)
    path = locate(journal, config, data)
    vault = KeyFileVault(key_file(path, config))
    with opened(path) as books:
        known = books.read_now(lambda reader: reader.transaction(transaction_id))
        if known is None:
            raise no_transaction(transaction_id)
        order = _order(known, verdict, person, reason, amount, tip)
        look = f"tillwire transactions show {transaction_id}"
        running = ask(path, "POST", "/decide", DecideDone, order, look=look) is not None
        if not running:
            books.own()
            asyncio.run(_decided(books, vault, order))
        ended = books.read_now(lambda reader: reader.transaction(transaction_id))
        assert ended is not None, "transactions stay"
    if as_json:
        say_json(transaction_view(ended))
        return
    say(f"Transaction {ended.id} is {ended.state} now, as {person} decided.")
    if not running:
        remark("When the gateway starts again, it goes on with what waits.")


def _order(
    known: Transaction, verdict: Verdict, person: str, reason: str, amount: str, tip: str
) -> DecideOrder:
    if verdict is not Verdict.APPROVED and (amount or tip):
        option = "--amount" if amount else "--tip"
        raise InvalidRequest(option, f"nothing moved if it was {verdict.value.lower()}", "leave it")
    added = _minor(known, tip, "--tip") if tip else 0
    most = known.amount.minor + added
    approved = _minor(known, amount, "--amount") if amount else most
    if approved > most:
        problem = f"{amount} is more than was asked for" + (", and the tip" if tip else "")
        allowed = f"up to {Money(most, known.amount.currency).decimal()}"
        if not tip:
            allowed += ", or --tip with what was added on the terminal"
        raise InvalidRequest("--amount", problem, allowed)
    return DecideOrder(known.id, verdict, person, reason, approved, added)


def _minor(known: Transaction, text: str, option: str) -> int:
    return positive(from_text(text, known.amount.currency, option), option).minor


async def _decided(books: SqliteJournal, vault: KeyFileVault, order: DecideOrder) -> None:
    async with undriven(books, vault, "tillwire transactions decide") as engine:
        await engine.decide(
            order.transaction,
            order.verdict,
            person=order.person,
            reason=order.reason,
            approved_amount=order.approved_amount,
            tip=order.tip,
        )


@asynccontextmanager
async def undriven(books: SqliteJournal, vault: KeyFileVault, owner: str) -> AsyncIterator[Engine]:
    """An engine that reaches no terminal, on a journal that this process owns."""
    from tillwire.server.faces import FACES, tellers

    engine = Engine(books, Undriven, SystemClock(), owner=owner, tellers=tellers(FACES, vault))
    await engine.refresh_estate()
    try:
        yield engine
    finally:
        await engine.stop()


class Undriven:
    """A terminal that nobody reaches from here. Whatever gets its turn waits to be fetched, so
    nothing is dispatched into the void."""

    capabilities = Capabilities(types=frozenset(), pull=True)

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    async def run(self, transaction: Transaction, progress: Progress) -> Outcome:
        """Proof that nothing was sent."""
        raise NotDelivered(f"Terminal {self._terminal.name} is not reached from here.")

    async def recover(self, transaction: Transaction) -> Found | Absent | CannotTell:
        """Nobody is asked."""
        return CannotTell("Nobody is asked from here.", needs_person=True)

    async def abort(self, transaction: Transaction) -> AbortResult:
        """Nobody is asked."""
        return AbortResult.UNKNOWN

    async def status(self) -> TerminalStatus:
        """Not reached."""
        return TerminalStatus(reachable=False)

    def transactions(self, begin: Instant, end: Instant) -> AsyncIterator[Entry]:
        """Nobody is asked."""
        raise Unsupported("Nobody is asked from here.")

    async def perform(self, errand: Errand, tell: Callable[[str], None]) -> Result:
        """Nobody is asked."""
        raise Unsupported(f"Terminal {self._terminal.name} is not reached from here.")
