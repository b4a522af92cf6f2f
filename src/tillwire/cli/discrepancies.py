"""`tillwire discrepancies`: facts that do not fit together, until a person closes them."""

from __future__ import annotations

from typing import Annotated

import typer

from tillwire.cli.journals import ConfigOption, DataOption, JournalOption, commit, locate, opened
from tillwire.cli.options import JsonOption
from tillwire.cli.output import say, say_json, say_table
from tillwire.cli.times import in_utc
from tillwire.cli.views import discrepancy_view
from tillwire.clock import SystemClock
from tillwire.errors import InvalidRequest, NotFound

app = typer.Typer(
    name="discrepancies",
    help="Facts that contradict what a transaction ended with, and differences to other books.",
    no_args_is_help=True,
)


@app.command("list")
def list_discrepancies(
    closed: Annotated[bool, typer.Option("--all", help="Closed ones, too.")] = False,
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List discrepancies, oldest first."""
    with opened(locate(journal, config, data)) as books:
        found = books.read_now(lambda reader: reader.discrepancies(open_only=not closed))
    if as_json:
        say_json([discrepancy_view(each) for each in found])
        return
    say_table(
        ["NUMBER", "SINCE", "KIND", "TRANSACTION", "KNOWN", "HEARD", "CLOSED"],
        [
            [
                str(each.id),
                in_utc(each.at),
                each.kind,
                each.transaction_id or "",
                each.known,
                each.heard,
                f"{each.closed_by}: {each.reason}" if each.closed_at is not None else "",
            ]
            for each in found
        ],
        empty="No discrepancies.",
    )


@app.command()
def close(
    number: Annotated[
        int,
        typer.Argument(min=1, max=2**63 - 1, help="Its number in the list.", show_default=False),
    ],
    person: Annotated[str, typer.Option("--person", help="Who closes it.", show_default=False)],
    reason: Annotated[
        str, typer.Option("--reason", help="How it was settled.", show_default=False)
    ],
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Close a discrepancy that was settled. The transaction stays as it is."""
    for option, text in (("--person", person), ("--reason", reason)):
        if not text.strip():
            raise InvalidRequest(option, "it is empty", "a text that says who or why")
    now = SystemClock().now()
    with opened(locate(journal, config, data)) as books:
        if not commit(books, lambda unit: unit.close_discrepancy(number, now, person, reason)):
            raise NotFound(f"No open discrepancy {number}.")
    say(f"Discrepancy {number} is closed.")
