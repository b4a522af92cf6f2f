"""`tillwire pairings`: registers that are paired with terminals, and the codes that pair them.

A code is printed alone on standard output; everything else is said on standard error.
"""

from __future__ import annotations

from typing import Annotated

import typer

from tillwire.cli.journals import (
    ConfigOption,
    DataOption,
    JournalOption,
    commit,
    estate_at,
    key_file,
    locate,
    opened,
)
from tillwire.cli.options import JsonOption, OwnerOption, owners_asked, terminal_of
from tillwire.cli.output import remark, say, say_json, say_table
from tillwire.cli.pair import pair
from tillwire.cli.terminals import TerminalArgument
from tillwire.cli.times import in_utc, rfc3339
from tillwire.clock import SystemClock
from tillwire.core.estate import Estate
from tillwire.core.estate_model import Register
from tillwire.core.ports import Unit
from tillwire.errors import Conflict, NotFound
from tillwire.estate.pairings import (
    CAUSE,
    CODE_SECONDS,
    LONGEST_LIFE,
    SHORTEST_LIFE,
    Codes,
    show_code,
    unpair_all,
)
from tillwire.estate.pairings import unpair as unpaired
from tillwire.journal.vault import KeyFileVault

app = typer.Typer(
    name="pairings",
    help="Registers that are paired with terminals (SmartConnect).",
    no_args_is_help=True,
)
app.command()(pair)


@app.command("list")
def list_registers(
    organisation: OwnerOption = "",
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List registers: their terminals, and which of them are used from two places."""
    estate = estate_at(locate(journal, config, data))
    owners = owners_asked(estate, organisation)
    found = sorted(
        (each for each in estate.registers.values() if each.organisation_id in owners),
        key=lambda each: (each.organisation_id, each.vendor_name, each.register_id),
    )
    if as_json:
        say_json([_view(estate, each) for each in found])
        return
    say_table(
        ["REGISTER", "NAME", "BUSINESS", "VENDOR", "TERMINAL", "PAIRED", "LAST SEEN", "FROM"],
        [
            [
                each.register_id,
                each.name,
                each.business_name,
                each.vendor_name,
                _terminal_name(estate, each) or "none",
                in_utc(each.paired_at),
                in_utc(each.last_seen_at) if each.last_seen_at else "",
                each.last_seen_from,
            ]
            for each in found
        ],
        empty="No registers yet: `tillwire pairings code` has a terminal show a code for one.",
    )
    _warn([each for each in found if each.clashes])


@app.command()
def code(
    terminal: TerminalArgument,
    seconds: Annotated[
        int,
        typer.Option("--seconds", min=SHORTEST_LIFE, max=LONGEST_LIFE, help="How long it lives."),
    ] = CODE_SECONDS,
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a code for a terminal, to be entered at a register: it pairs once."""
    path, clock = locate(journal, config, data), SystemClock()
    drawn = Codes(KeyFileVault(key_file(path, config))).drawn(clock)
    now = clock.now()
    with opened(path) as books:
        estate = books.read_now(lambda reader: reader.estate())
        meant = terminal_of(estate, terminal)
        made, kept = commit(books, lambda unit: show_code(unit, meant.id, drawn, now, seconds))
    if as_json:
        view = {"code": made, "terminal": meant.name, "expires_at": rfc3339(kept.expires_at)}
        say_json(view)
        return
    remark(f"Enter it at the register within {seconds} seconds; it is for {meant.name}:")
    say(made)


@app.command()
def unpair(
    which: Annotated[
        str,
        typer.Argument(
            metavar="REGISTER|TERMINAL",
            help="The register's own id, or a terminal, whose registers are all meant.",
            show_default=False,
        ),
    ],
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Take a register's terminal from it, or from a terminal all its registers."""
    now = SystemClock().now()

    def work(unit: Unit) -> list[Register]:
        estate = unit.estate()
        register = _register(estate, which)
        if register is not None:
            return [unpaired(unit, register.id, now)]
        return unpair_all(unit, _terminal(estate, which), now)

    with opened(locate(journal, config, data)) as books:
        done = commit(books, work)
    for each in done:
        say(f"Register {each.register_id} is not paired any more.")
    if not done:
        remark("No register was paired with the terminal.")


def _register(estate: Estate, text: str) -> Register | None:
    """The register that `text` names: its own id, or ours. Raises `Conflict`."""
    if text in estate.registers:
        return estate.registers[text]
    named = [each for each in estate.registers.values() if each.register_id == text]
    if len(named) > 1:
        named = [each for each in named if each.is_paired] or named
    if len(named) > 1:
        ids = ", ".join(f"{each.id} ({each.vendor_name})" for each in named)
        raise Conflict(f"Several registers are called {text}: name one by its id: {ids}.")
    return named[0] if named else None


def _terminal(estate: Estate, text: str) -> str:
    try:
        return terminal_of(estate, text).id
    except NotFound:
        raise NotFound(
            f"Neither a register nor a terminal is called {text!r}: `tillwire pairings list` and "
            "`tillwire terminals list` list them."
        ) from None


def _terminal_name(estate: Estate, register: Register) -> str:
    terminal = estate.terminals.get(register.terminal_id or "")
    return terminal.name if terminal else ""


def _warn(clashing: list[Register]) -> None:
    for each in clashing:
        assert each.clashed_at is not None, "it was noticed at some time"
        remark(
            f"Register {each.register_id} was used from two places in a short time, "
            f"{each.clashes} {'time' if each.clashes == 1 else 'times'} so far, last at "
            f"{in_utc(each.clashed_at)}: from {each.clashed_with} and from {each.last_seen_from}."
        )
    if clashing:
        remark(CAUSE)


def _view(estate: Estate, register: Register) -> dict[str, object]:
    """The register, for programs."""
    return {
        "id": register.id,
        "organisation": register.organisation_id,
        "dialect": register.dialect,
        "register_id": register.register_id,
        "business_name": register.business_name,
        "vendor_name": register.vendor_name,
        "name": register.name,
        "terminal_id": register.terminal_id,
        "terminal": _terminal_name(estate, register) or None,
        "paired_at": rfc3339(register.paired_at),
        "unpaired_at": rfc3339(register.unpaired_at),
        "last_seen_at": rfc3339(register.last_seen_at),
        "last_seen_from": register.last_seen_from or None,
        "two_places": {
            "count": register.clashes,
            "last_at": rfc3339(register.clashed_at),
            "other": register.clashed_with,
            "meaning": CAUSE,
        }
        if register.clashes
        else None,
        "detail": dict(register.detail),
    }
