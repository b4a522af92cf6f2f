"""The command line: `tillwire ...`.

Puts the commands together and turns every `TillwireError` into one sentence on standard error and
an exit status: 2 when the command, a file or a setting is wrong, 1 for anything else. With `--json`
the sentence stands in a document on standard output, too. A command that has more to say with its
status documents it itself.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tillwire.cli import (
    apps,
    callbacks,
    discrepancies,
    estate,
    keys,
    lanes,
    pairings,
    pay,
    reconcile,
    sandbox,
    serve,
    softpos,
    terminals,
    transactions,
)
from tillwire.cli.output import complain, say_json
from tillwire.errors import ConfigurationError, InvalidRequest, NotFound, TillwireError
from tillwire.version import __version__

app = typer.Typer(
    name="tillwire",
    help="An open, self-hosted gateway between cash registers and card terminals.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(sandbox.sandbox)
app.command()(serve.serve)
app.command()(pay.pay)
app.command("reconcile")(reconcile.run)
app.add_typer(estate.app)
app.add_typer(terminals.app)
app.add_typer(keys.app)
app.add_typer(lanes.app)
app.add_typer(apps.app)
app.add_typer(pairings.app)
app.add_typer(softpos.app)
app.add_typer(transactions.app)
app.add_typer(discrepancies.app)
app.add_typer(callbacks.app)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def tillwire(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", callback=_show_version, is_eager=True
        ),
    ] = False,
) -> None:
    """An open, self-hosted gateway between cash registers and card terminals."""


def main() -> None:
    """Run the command of `sys.argv`, and exit with its status."""
    try:
        app()
    except TillwireError as error:
        complain(sentence(error))
        if "--json" in sys.argv:
            say_json(error_view(error))
        sys.exit(exit_status(error))


def error_view(error: TillwireError) -> dict[str, object]:
    """What went wrong, for programs."""
    return {
        "error": {
            "kind": type(error).__name__,
            "message": sentence(error),
            "exit_status": exit_status(error),
        }
    }


def sentence(error: TillwireError) -> str:
    """What went wrong, for a person at a terminal: an argument is not called a request, and what
    is not there is named once."""
    if type(error) in (InvalidRequest, NotFound) and error.detail:
        return error.detail
    return str(error)


def exit_status(error: TillwireError) -> int:
    """2 when what was given is wrong, else 1."""
    return 2 if isinstance(error, ConfigurationError | InvalidRequest) else 1
