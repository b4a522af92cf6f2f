"""`tillwire sandbox`: everything that a till needs to be developed, with play money."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from tillwire.config import Level, LogSettings

if TYPE_CHECKING:
    from tillwire.sandbox.card import Card


def sandbox(
    data: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Where everything is kept: transactions, keys, the virtual terminals' memory and "
            "the acquirer's ledger. A second start on the same folder goes on with them.",
        ),
    ] = Path("sandbox"),
    port: Annotated[
        int,
        typer.Option(metavar="BASE", min=0, max=65_000, help="The first port to listen on."),
    ] = 8700,
    pace: Annotated[
        float,
        typer.Option(
            metavar="FACTOR",
            min=0.001,
            max=1000,
            help="Divides the virtual cardholder's waiting times (not protocol deadlines).",
        ),
    ] = 1.0,
    log_level: Annotated[
        Level, typer.Option(help="From which weight on to log to standard error.")
    ] = Level.WARNING,
) -> None:
    """Start a gateway with virtual terminals, on this machine only, until Ctrl-C.

    When it is ready, it writes the sandbox card, card.json in DIR: every address
    and credential that a till needs. The card is removed on a clean stop.

    The last two digits of the amount, in cents, decide what a virtual terminal does:
    40             declined: do not honour (05)
    41             declined: insufficient funds (51)
    42             declined: expired card (54)
    43             cancelled by the cardholder
    44             no card presented until the terminal's time-out
    45             approved for half if partial approval is allowed, else declined
    46             approved, but the answer is lost: found by recovery
    47             approved, the answer is lost and the terminal restarts without
                   its memory: stays UNKNOWN
    48             approved, the answer comes twice
    49             approved after a slow cardholder (20 s)
    50             approved with signature
    51             approved with currency conversion (DCC)
    52             the terminal is unreachable: never delivered, with proof
    53             declined, and the answer is lost
    54             approved with a 10 % tip added on the terminal
    anything else  approved
    """
    # The server's libraries take a while to load; the other commands need none of them.
    from tillwire.sandbox.run import Options, run

    options = Options(directory=data, port=port, pace=pace, log=LogSettings(level=log_level))
    run(options, show)


def show(card: Card, path: Path) -> None:
    """Say on standard output where things are and how to pay."""
    from tillwire.sandbox.guide import guide

    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold green]The tillwire sandbox {card.version} is ready.[/bold green]\n")
    for words, address in (
        ("Start page", card.base_url + "/"),
        ("MerchantAPI", card.merchantapi.url),
        ("its documents", card.merchantapi.openapi),
        ("Polling terminals", card.merchantapi.device.url),
        ("nexo, polled", card.nexo.http),
        ("nexo, held", card.nexo.https.url),
        ("nexo, TCP", f"{card.nexo.tcp.host}:{card.nexo.tcp.port}"),
        ("ECR17", f"{card.ecr17.host}:{card.ecr17.port}"),
        ("Payment Bridge", card.paymentbridge.url),
        ("SmartConnect", card.smartconnect.url),
        ("SoftPOS", card.softpos.url),
        ("Acquirer's ledger", card.virtual.ledger),
        ("Metrics", card.metrics.url),
        ("Sandbox card", str(path)),
    ):
        console.print(f"  {words:<18} {escape(address)}")
    first = guide(card, path, with_key=True)
    console.print(f"\n[bold]The first payment.[/bold] {escape(first.intro)}")
    for words, command in first.commands:
        console.print(f"\n[bold]{escape(words)}[/bold]")
        console.print(escape(command))
    console.print("\nWhat the endings do: tillwire sandbox --help. Stop with Ctrl-C.")
