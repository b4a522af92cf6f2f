"""`tillwire serve`: the gateway in earnest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def serve(
    config_file: Annotated[
        Path,
        typer.Option(
            "--config",
            metavar="FILE",
            help="The settings, in TOML. docs/configuration.md says what there is.",
            show_default=False,
        ),
    ],
    check: Annotated[
        bool,
        typer.Option("--check", help="Only say whether the settings can be used, then end."),
    ] = False,
) -> None:
    """Run the gateway until SIGTERM or Ctrl-C.

    Opens the journal (and brings it to this version's schema), takes up what was open, and
    listens. Logs go to standard error. SIGHUP reads renewed certificates.
    """
    # The server's libraries take a while to load; the other commands need none of them.
    from tillwire import config
    from tillwire.net.addresses import Addresses
    from tillwire.server import process
    from tillwire.server.faces import FACES
    from tillwire.server.listeners import tls_context

    configuration = config.load(config_file, FACES)
    for listener in configuration.listeners:
        if listener.tls is not None:
            tls_context(listener.tls, listener.name)
    Addresses(configuration.callbacks.allow)
    if check:
        typer.echo(f"{config_file} can be used.")
        return
    process.serve(configuration)
