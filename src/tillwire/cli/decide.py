"""`tillwire transactions decide`: a named person ends an UNKNOWN transaction.

A running gateway alone moves its transactions, so this owns the journal while it works, and is
refused beside one. It reaches no terminal: what waits behind the decided transaction gets its turn
in the journal, and is carried when the gateway starts again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated

import typer

from tillwire.cli.journals import (
    ConfigOption,
    DataOption,
    JournalOption,
    key_file,
    locate,
    opened,
)
from tillwire.cli.options import JsonOption
from tillwire.cli.output import remark, say, say_json
from tillwire.cli.views import transaction_view
from tillwire.clock import SystemClock
from tillwire.core.engine import Engine
from tillwire.core.errands import Errand, Result
from tillwire.core.model import Outcome, Terminal, Transaction, Verdict
from tillwire.core.ports import (
    AbortResult,
    Absent,
    CannotTell,
    Capabilities,
    Found,
    Progress,
    TerminalStatus,
)
from tillwire.errors import InvalidRequest, NotDelivered, NotFound, Unsupported
from tillwire.journal.sqlite import SqliteJournal
from tillwire.journal.vault import KeyFileVault
from tillwire.money import from_text, positive


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
        str, typer.Option("--amount", help="What was approved, if less than was asked for.")
    ] = "",
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a transaction that is UNKNOWN, on a person's word.

    For when asking the terminal will not help any more. No money moves: this writes down what has
    happened. The gateway of this journal must be stopped meanwhile.
    """
    path = locate(journal, config, data)
    vault = KeyFileVault(key_file(path, config))
    with opened(path) as books:
        books.own()
        ended = asyncio.run(_decided(books, vault, transaction_id, verdict, person, reason, amount))
    if as_json:
        say_json(transaction_view(ended))
        return
    say(f"Transaction {ended.id} is {ended.state} now, as {person} decided.")
    remark("When the gateway starts again, it goes on with what waits.")


async def _decided(
    books: SqliteJournal,
    vault: KeyFileVault,
    transaction_id: str,
    verdict: Verdict,
    person: str,
    reason: str,
    amount: str,
) -> Transaction:
    from tillwire.server.faces import FACES, tellers

    engine = Engine(
        books,
        Undriven,
        SystemClock(),
        owner="tillwire transactions decide",
        tellers=tellers(FACES, vault),
    )
    await engine.refresh_estate()
    try:
        asked = await engine.find(transaction_id)
        if asked is None:
            raise NotFound(f"No transaction {transaction_id!r} in this journal.")
        return await engine.decide(
            transaction_id,
            verdict,
            person=person,
            reason=reason,
            approved_amount=_approved(asked, amount) if amount else None,
        )
    finally:
        await engine.stop()


def _approved(asked: Transaction, text: str) -> int:
    approved = positive(from_text(text, asked.amount.currency, "--amount"), "--amount")
    if approved.minor > asked.amount.minor:
        problem = f"{approved} is more than was asked for"
        raise InvalidRequest("--amount", problem, f"up to {asked.amount.decimal()}")
    return approved.minor


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

    async def perform(self, errand: Errand, tell: Callable[[str], None]) -> Result:
        """Nobody is asked."""
        raise Unsupported(f"Terminal {self._terminal.name} is not reached from here.")
