"""`tillwire terminals`: the steps of a single terminal's life, and the terminals that there are.

What an estate file says of many at once is said here of one: both go by the same rules, and an
estate file that is applied later shows what it would undo.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from tillwire import strict_toml
from tillwire.cli.estate import DRIVERS
from tillwire.cli.journals import (
    ConfigOption,
    DataOption,
    JournalOption,
    commit,
    estate_at,
    locate,
    opened,
)
from tillwire.cli.options import (
    JsonOption,
    OwnerOption,
    organisation_of,
    store_of,
    terminal_of,
)
from tillwire.cli.output import remark, say, say_json
from tillwire.cli.places import (
    change_view,
    say_change,
    say_terminals,
    terminal_view,
    terminals_in,
)
from tillwire.clock import SystemClock
from tillwire.core.estate import Estate
from tillwire.core.estate_model import Lifecycle, Terminal
from tillwire.core.ports import Unit
from tillwire.errors import InvalidRequest
from tillwire.estate import lifecycle
from tillwire.estate.carry_out import carry_out
from tillwire.estate.changes import Change
from tillwire.journal.sqlite import SqliteJournal

app = typer.Typer(
    name="terminals", help="Terminals, and the devices that serve them.", no_args_is_help=True
)

TerminalArgument = Annotated[
    str,
    typer.Argument(help="The terminal's TID, name or id.", show_default=False),
]
SerialArgument = Annotated[
    str, typer.Argument(help="The serial number of its device.", show_default=False)
]


class Former(StrEnum):
    """What becomes of the device that stood there before."""

    ACTIVATED = "activated"
    REMOVED = "removed"


@app.command("list")
def list_terminals(
    organisation: OwnerOption = "",
    removed: Annotated[
        bool, typer.Option("--all", help="Show removed terminals and former devices, too.")
    ] = False,
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List terminals: where they stand, and whether they can pay."""
    estate = estate_at(locate(journal, config, data))
    owner = organisation_of(estate, organisation).id if organisation else ""
    found = terminals_in(estate, removed=removed, organisation=owner)
    if as_json:
        say_json([terminal_view(estate, each) for each in found])
        return
    empty = "No terminals yet: `tillwire terminals add` adds one, `tillwire estate apply` many."
    say_terminals(estate, found, history=removed, empty=empty)


@app.command()
def add(
    tid: Annotated[str, typer.Argument(metavar="TID", help="Its TID.", show_default=False)],
    store: Annotated[
        str, typer.Option("--store", help="Its store: name or UUID.", show_default=False)
    ],
    manufacturer: Annotated[str, typer.Option("--manufacturer", show_default=False)],
    model: Annotated[str, typer.Option("--model", show_default=False)],
    driver: Annotated[str, typer.Option("--driver", help="How it is reached.", show_default=False)],
    serial: Annotated[str, typer.Option("--serial", help="Of its device, if that is known.")] = "",
    key: Annotated[
        str, typer.Option("--key", help="Names it for good. Default: made of the TID.")
    ] = "",
    setting: Annotated[
        list[str] | None,
        typer.Option("--setting", help="NAME=VALUE of the driver's settings; may be repeated."),
    ] = None,
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a terminal: it is CREATED, and cannot pay before it is activated."""
    settings = _settings(driver, setting or [])
    now = SystemClock().now()

    def step(estate: Estate) -> Change:
        newcomer = lifecycle.Newcomer(
            store_id=store_of(estate, store).id,
            tid=tid,
            manufacturer=manufacturer,
            model=model,
            driver=driver,
            serial=serial,
            key=key,
            settings=settings,
        )
        return lifecycle.add(estate, newcomer, now)

    with opened(locate(journal, config, data)) as books:
        change, _ = _take(books, step)
    _tell(change, as_json)


@app.command()
def activate(
    terminal: TerminalArgument,
    serial: Annotated[
        str,
        typer.Argument(
            metavar="[SERIAL]",
            help="The serial number of its device, if it was not told before.",
            show_default=False,
        ),
    ] = "",
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """A device was set up at a CREATED terminal: from now on it can pay."""
    now = SystemClock().now()
    with opened(locate(journal, config, data)) as books:
        change, after = _take(
            books,
            lambda estate: lifecycle.activate(
                estate, terminal_of(estate, terminal).id, serial, now
            ),
        )
    _tell(change, as_json)
    _remind_of_token(after)


@app.command()
def swap(
    terminal: TerminalArgument,
    serial: SerialArgument,
    old: Annotated[
        Former, typer.Option("--old", help="What the device before it is from now on.")
    ] = Former.REMOVED,
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Another device stands at an ACTIVATED terminal, which must be idle.

    The terminal keeps its TID, its id and its transactions. The device before it is not reached
    any more, whether it was retired (REMOVED) or not (ACTIVATED).
    """
    now = SystemClock().now()
    former = Lifecycle[old.name]
    with opened(locate(journal, config, data)) as books:
        change, after = _take(
            books,
            lambda estate: lifecycle.swap(
                estate, terminal_of(estate, terminal).id, serial, now, former=former
            ),
        )
    _tell(change, as_json)
    remark(f"The device before it is {former}, and is not reached any more.")
    remark(f"Tills that call the terminal by its name call it {after.name} from now on.")
    _remind_of_token(after)


@app.command()
def retire(
    terminal: TerminalArgument,
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a terminal's life, for good. It must be idle; its TID is free for another one."""
    now = SystemClock().now()
    with opened(locate(journal, config, data)) as books:
        change, _ = _take(
            books,
            lambda estate: lifecycle.retire(estate, terminal_of(estate, terminal).id, now),
        )
    _tell(change, as_json)


def _take(books: SqliteJournal, step: Callable[[Estate], Change]) -> tuple[Change, Terminal]:
    """Take the step that the estate allows; what it changed, and the terminal as it is now."""

    def work(unit: Unit) -> tuple[Change, Terminal]:
        change = step(unit.estate())
        carry_out(unit, [change])
        after = change.writes[0]
        assert isinstance(after, Terminal)
        return change, after

    return commit(books, work)


def _tell(change: Change, as_json: bool) -> None:
    if as_json:
        say_json(change_view(change))
        return
    say_change(change)
    say("Done.")


def _remind_of_token(terminal: Terminal) -> None:
    if terminal.driver == "device" and terminal.device_digest is None:
        remark(f"It cannot poll yet: `tillwire keys device {terminal.id}` makes its token.")


def _settings(driver: str, written: Sequence[str]) -> dict[str, Any]:  # Any: values of TOML
    """The settings as an estate file would have them. Raises `InvalidRequest` and
    `ConfigurationError`."""
    if driver not in DRIVERS:
        raise InvalidRequest("--driver", f"there is no driver {driver!r}", ", ".join(DRIVERS))
    settings: dict[str, Any] = {}
    for each in written:
        name, sign, value = each.partition("=")
        if not sign or not name:
            raise InvalidRequest("--setting", f"{each[:60]!r} is not NAME=VALUE", "port=8081")
        settings[name] = _value(value)
    strict_toml.convert(settings, DRIVERS[driver], source=f"settings of {driver!r}")
    return settings


def _value(written: str) -> Any:  # Any: a value of TOML
    """A value of TOML, or else the text that it is: a shell takes quotes away."""
    try:
        return tomllib.loads(f"value = {written}")["value"]
    except tomllib.TOMLDecodeError:
        return written
