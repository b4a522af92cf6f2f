"""`tillwire callbacks`: letters to tills and applications that were not delivered."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from tillwire.cli.journals import ConfigOption, DataOption, JournalOption, commit, locate, opened
from tillwire.cli.options import JsonOption
from tillwire.cli.output import say, say_json, say_table
from tillwire.cli.times import in_utc
from tillwire.cli.views import letter_view
from tillwire.clock import SystemClock
from tillwire.core.letters import Letter, LetterState, send_again
from tillwire.core.ports import Reader

MOST: Final = 200
"""Letters of each state that are listed."""

app = typer.Typer(
    name="callbacks",
    help="What tills and applications are told, and what did not arrive.",
    no_args_is_help=True,
)


@app.command("list")
def list_letters(
    transaction: Annotated[
        str, typer.Option("--transaction", metavar="ID", help="All letters about this one.")
    ] = "",
    delivered: Annotated[bool, typer.Option("--all", help="Delivered ones, too.")] = False,
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List letters that were given up or still wait, the newest 200 of each, oldest first."""

    def chosen(reader: Reader) -> list[Letter]:
        if transaction:
            return reader.letters_of(transaction)
        states = [LetterState.GIVEN_UP, LetterState.WAITING]
        states += [LetterState.DELIVERED] if delivered else []
        found = [each for state in states for each in reader.letters_in(state, MOST)]
        return sorted(found, key=lambda letter: letter.id)

    with opened(locate(journal, config, data)) as books:
        found = books.read_now(chosen)
    if as_json:
        say_json([letter_view(each) for each in found])
        return
    say_table(
        ["ID", "SINCE", "TRANSACTION", "CHANNEL", "KIND", "STATE", "TRIES", "TROUBLE"],
        [
            [
                str(each.id),
                in_utc(each.created_at),
                each.transaction_id or "",
                each.channel,
                each.kind,
                each.state,
                str(each.tries),
                each.trouble,
            ]
            for each in found
        ],
        empty="No letters.",
    )


@app.command()
def retry(
    letter_id: Annotated[
        int, typer.Argument(metavar="ID", help="Its id in the list.", show_default=False)
    ],
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Send a letter again, with all its tries, whatever became of it. It gets a new id."""
    now = SystemClock().now()
    with opened(locate(journal, config, data)) as books:
        number = commit(books, lambda unit: send_again(unit, letter_id, now))
    when = "within seconds if the gateway runs, else when it starts"
    say(f"Letter {letter_id} goes out again as letter {number}: {when}.")
