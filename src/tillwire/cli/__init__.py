"""The command line: `tillwire ...`.

Puts the commands together and turns every `TillwireError` into one sentence on standard error and
an exit status: 2 when the command, a file or a setting is wrong, 1 for anything else. With `--json`
the sentence stands in a document on standard output, too. A command that has more to say with its
status documents it itself.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from importlib import import_module
from inspect import getdoc
from typing import Annotated, Any, Final

import typer

from tillwire.cli.output import OutputError, ReaderGone, complain, mend_streams, say_json
from tillwire.errors import ConfigurationError, InvalidRequest, NotFound, TillwireError
from tillwire.version import __version__

COMMANDS: Final = {"sandbox": "sandbox", "serve": "serve", "pay": "pay", "reconcile": "run"}
"""Each is a function in the module of its name."""
GROUPS: Final = (
    "estate",
    "terminals",
    "keys",
    "lanes",
    "apps",
    "pairings",
    "softpos",
    "transactions",
    "discrepancies",
    "callbacks",
)
"""Each is the `app` in the module of its name."""
VERSION: Final = "--version"
_INTERRUPTED: Final = 130
"""As a shell tells it of what Ctrl-C ended."""


def application(wanted: Collection[str] = (*COMMANDS, *GROUPS)) -> typer.Typer:
    """The command line, or as much of it as is wanted: to load all takes twice as long as most
    commands take."""
    app = typer.Typer(
        name="tillwire",
        help="An open, self-hosted gateway between cash registers and card terminals.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(tillwire)
    for name, function in COMMANDS.items():
        if name in wanted:
            app.command(name)(_part(name, function))
    groups = [_part(name, "app") for name in GROUPS if name in wanted]
    for group in groups:
        app.add_typer(group)
    for command in [each for one in (app, *groups) for each in one.registered_commands]:
        command.help = _flowing(getdoc(command.callback) or "")
    return app


def _flowing(text: str) -> str:
    """The paragraphs each on one line, to be wrapped as wide as the terminal is. What begins with
    a line that ends in a colon is a list, and keeps its lines."""
    return "\n\n".join(
        each if each.partition("\n")[0].endswith(":") else each.replace("\n", " ")
        for each in text.split("\n\n")
    )


def _part(module: str, name: str) -> Any:  # Any: a function, or a Typer
    return getattr(import_module(f"tillwire.cli.{module}"), name)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


def tillwire(
    version: Annotated[
        bool,
        typer.Option(
            VERSION, help="Show the version and exit.", callback=_show_version, is_eager=True
        ),
    ] = False,
) -> None:
    """An open, self-hosted gateway between cash registers and card terminals."""


def main() -> None:
    """Run the command of `sys.argv`, and exit with its status."""
    named = sys.argv[1:2]
    alone = named and named[0] in (*COMMANDS, *GROUPS, VERSION)
    mend_streams()
    try:
        run = application(named) if alone else application()
        run()
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    except ReaderGone:
        sys.exit(1)
    except OutputError as error:
        complain(str(error))
        sys.exit(exit_status(error))
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
