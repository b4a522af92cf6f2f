"""`tillwire transactions`: list them, those that block a terminal, show one with all that happened
to it, decide an UNKNOWN, export them, and see what terminals have on their own books."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from tillwire.cli import books as other_books
from tillwire.cli import timeline
from tillwire.cli.decide import decide
from tillwire.cli.export import export
from tillwire.cli.journals import ConfigOption, DataOption, JournalOption, locate, opened
from tillwire.cli.options import (
    JsonOption,
    OwnerOption,
    no_transaction,
    organisation_of,
    terminal_of,
)
from tillwire.cli.output import remark, say, say_json, say_lines, say_table
from tillwire.cli.times import in_zone
from tillwire.cli.views import blocked_view, event_view, transaction_view
from tillwire.core.doubts import NEXT, Awaits, Doubt, newest_doubt
from tillwire.core.model import OPEN_STATES, State, Transaction
from tillwire.core.occupancy import RESOLVE
from tillwire.core.ports import Reader
from tillwire.core.receipts import cardholder_receipt, merchant_receipt

app = typer.Typer(
    name="transactions",
    help="What was asked of terminals, and what became of it.",
    no_args_is_help=True,
)

SEARCHED: Final = 10_000
"""How many of the newest transactions are looked through for a final state."""


@app.command("list")
def list_transactions(
    terminal: Annotated[str, typer.Option("--terminal", "-t", help="Only of this one.")] = "",
    state: Annotated[
        State | None, typer.Option("--state", case_sensitive=False, help="Only in this state.")
    ] = None,
    reference: Annotated[
        str, typer.Option("--reference", "-r", help="Only with this reference of the till.")
    ] = "",
    organisation: OwnerOption = "",
    open_only: Annotated[
        bool, typer.Option("--open", help="Only those that have not ended yet.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=SEARCHED, help="How many at most.")] = 20,
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List transactions, newest first.

    Beyond the newest 10,000, closed ones are found by --reference only.
    """
    with opened(locate(journal, config, data)) as books:
        estate = books.read_now(lambda reader: reader.estate())
        wanted_terminal = terminal_of(estate, terminal).id if terminal else ""
        owners = [organisation_of(estate, organisation).id] if organisation else []
        candidates = books.read_now(
            lambda reader: _candidates(
                reader,
                owners or sorted(estate.organisations),
                wanted_terminal,
                reference,
                open_only or state in OPEN_STATES,
                SEARCHED if state or owners else limit,
            )
        )
    found = [
        each
        for each in candidates
        if (not wanted_terminal or each.terminal_id == wanted_terminal)
        and (not owners or each.organisation_id in owners)
        and (state is None or each.state is state)
        and (not open_only or each.state in OPEN_STATES)
    ][:limit]
    if as_json:
        say_json([transaction_view(each) for each in found])
        return
    say_table(
        ["ID", "ACCEPTED", "TERMINAL", "TYPE", "AMOUNT", "STATE", "REFERENCE"],
        [_row(each) for each in found],
        empty="No such transactions.",
    )


def _candidates(
    reader: Reader,
    organisations: list[str],
    terminal_id: str,
    reference: str,
    open_only: bool,
    limit: int,
) -> list[Transaction]:
    """Transactions among which the wanted ones are, by the strongest key that was given."""
    if reference:
        found = [each for owner in organisations for each in reader.by_reference(owner, reference)]
    elif open_only:
        found = reader.open_transactions()
    elif terminal_id:
        return reader.terminal_transactions(terminal_id, offset=0, limit=limit)[1]
    else:
        return reader.newest_transactions(limit)
    return sorted(found, key=lambda each: each.id, reverse=True)


def _row(transaction: Transaction) -> list[str]:
    return [
        transaction.id,
        in_zone(transaction.created_at, transaction.heading.time_zone),
        transaction.heading.terminal,
        transaction.type.value,
        str(transaction.amount),
        transaction.state.value,
        transaction.reference,
    ]


@app.command()
def blocked(
    organisation: OwnerOption = "",
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the terminals that an UNKNOWN transaction blocks: why, and what to do about it.

    The longest blocked one comes first.
    """
    with opened(locate(journal, config, data)) as books:
        estate = books.read_now(lambda reader: reader.estate())
        owner = organisation_of(estate, organisation).id if organisation else ""
        found = books.read_now(lambda reader: _blocked(reader, owner))
    drivers = {each.id: each.driver for each in estate.terminals.values()}
    if as_json:
        say_json([blocked_view(*each, drivers[each[0].terminal_id]) for each in found])
        return
    say_table(
        ["TERMINAL", "DRIVER", "SINCE", "TRANSACTION", "AMOUNT", "AWAITS", "LAST HEARD"],
        [
            [
                transaction.heading.terminal,
                drivers[transaction.terminal_id],
                in_zone(transaction.created_at, transaction.heading.time_zone),
                transaction.id,
                str(transaction.amount),
                doubt.awaits.value,
                doubt.words,
            ]
            for transaction, doubt in found
        ],
        empty="No terminal is blocked.",
    )
    waited_for = {doubt.awaits for _, doubt in found}
    if Awaits.ANSWER in waited_for:
        remark(f"answer: {NEXT[Awaits.ANSWER]}")
    if Awaits.PERSON in waited_for:
        remark(f"person: {NEXT[Awaits.PERSON]}")


def _blocked(reader: Reader, organisation_id: str) -> list[tuple[Transaction, Doubt]]:
    return [
        (each, newest_doubt(reader.events(each.id)))
        for each in sorted(reader.open_transactions(), key=lambda each: each.id)
        if each.state is State.UNKNOWN and organisation_id in ("", each.organisation_id)
    ]


@app.command()
def show(
    transaction_id: Annotated[
        str, typer.Argument(metavar="ID", help="The transaction's id.", show_default=False)
    ],
    receipts: Annotated[bool, typer.Option("--receipts", help="Print its receipts, too.")] = False,
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a transaction: what is known of it, and everything that happened to it."""
    with opened(locate(journal, config, data)) as books:
        transaction, events = books.read_now(
            lambda reader: (reader.transaction(transaction_id), reader.events(transaction_id))
        )
    if transaction is None:
        raise no_transaction(transaction_id)
    printed = _receipts(transaction) if receipts else {}
    if as_json:
        view = transaction_view(transaction)
        say_json({**view, "events": [event_view(each) for each in events], **printed})
        return
    timeline.say_facts(transaction)
    say()
    timeline.say_events(transaction, events)
    if transaction.state is State.UNKNOWN:
        remark(RESOLVE)
    for text in printed.values():
        say()
        say_lines(text)


def _receipts(transaction: Transaction) -> dict[str, str]:
    if not transaction.is_final:
        return {}
    return {
        "receipt": cardholder_receipt(transaction),
        "merchant_receipt": merchant_receipt(transaction),
    }


app.command()(decide)
app.command()(export)
app.command()(other_books.last)
app.command()(other_books.books)
