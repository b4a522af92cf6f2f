"""`tillwire lanes`: where tills connect that do not speak HTTP; who is there, and at which port.

A running gateway is asked over its operator's socket. Beside none, the configuration and the
journal tell what its next start will have, and a port is set in the journal itself.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from tillwire.cli.journals import ConfigOption, DataOption, JournalOption, commit, locate, opened
from tillwire.cli.options import JsonOption
from tillwire.cli.output import remark, say, say_json, say_table
from tillwire.cli.times import in_utc, rfc3339
from tillwire.clock import SystemClock
from tillwire.config import ListenerSettings
from tillwire.core.ports import LanePort
from tillwire.errors import ConfigurationError, Conflict, InvalidRequest

if TYPE_CHECKING:
    from tillwire.server.control import Shown
    from tillwire.server.lanes import Kinds, Lane

app = typer.Typer(
    name="lanes",
    help="Where tills connect that do not speak HTTP: see who is there, reset, move.",
    invoke_without_command=True,
)

LaneArgument = Annotated[
    str, typer.Argument(metavar="LANE", help="The listener's name.", show_default=False)
]


@dataclass(frozen=True)
class Where:
    """Which gateway is meant: by its journal, and its configuration if that was named."""

    journal: Path | None
    config: Path | None
    data: Path | None
    as_json: bool

    def path(self) -> Path:
        """The journal. Raises `ConfigurationError`."""
        return locate(self.journal, self.config, self.data)


def _where(context: typer.Context, nearer: Where) -> Where:
    """The options may stand before the subcommand as well as behind it."""
    further = context.obj
    assert isinstance(further, Where), "the group's callback runs first"
    return Where(
        nearer.journal or further.journal,
        nearer.config or further.config,
        nearer.data or further.data,
        nearer.as_json or further.as_json,
    )


# --- see ------------------------------------------------------------------------------------


@app.callback()
def lanes(
    context: typer.Context,
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show every lane: its terminal, where it listens or whom it dials, and who is connected.

    A lane is a listener for tills that do not speak HTTP. Without a running gateway, this shows
    what the next start will have.
    """
    context.obj = Where(journal, config, data, as_json)
    if context.invoked_subcommand is None:
        _show(context.obj)


def _show(where: Where) -> None:
    from tillwire.cli import control
    from tillwire.server.control import Shown

    path = where.path()
    shown = control.ask(path, "GET", "/lanes", Shown)
    found = shown if shown is not None else _at_rest(path, where.config)
    if where.as_json:
        say_json(_shown_view(found, runs=shown is not None))
        return
    if shown is None:
        remark(f"No gateway runs the journal {path}. Its next start will have:")
    if found.lanes or shown is not None:
        _say_lanes(found.lanes, runs=shown is not None)
    else:
        remark("Which lanes there are stands in the configuration: name it with --config.")
    for each in found.forgotten:
        remark(f"Port {each.port} is set for {each.lane!r}, which is no lane: {_set_words(each)}.")


def _say_lanes(found: Sequence[Lane], *, runs: bool) -> None:
    headers = ["LANE", "FACE", "TERMINAL", "ADDRESS", "PORT SET BY"]
    rows: list[list[str]] = []
    for lane in found:
        about = [lane.name, lane.face, lane.terminal, address_words(lane), _port_words(lane)]
        connected = _connected_rows(lane) if runs else [[]]
        rows += [[*about, *connected[0]]]
        rows += [[""] * len(about) + each for each in connected[1:]]
    if runs:
        headers += ["CONNECTED", "SINCE", "SERVING"]
    say_table(headers, rows, empty="The gateway has no lanes.")


def _connected_rows(lane: Lane) -> list[list[str]]:
    rows = [[each.peer, in_utc(each.since), each.doing or "nothing"] for each in lane.connections]
    if more := lane.connected - len(rows):
        rows.append([f"and {more} more", "", ""])
    return rows or [["nobody", "", ""]]


def address_words(lane: Lane) -> str:
    """Where the lane listens, or whom it dials."""
    host = f"[{lane.address}]" if ":" in lane.address else lane.address
    place = f"{host}:{lane.port}" if lane.port else f"{host}, on the port of its start"
    return f"dials {place}" if lane.reverse else place


def _port_words(lane: Lane) -> str:
    if lane.set_port is None:
        return ""
    configured = f" (configured: {lane.configured_port})" if lane.configured_port else ""
    return f"{_set_words(lane.set_port)}{configured}"


def _set_words(was_set: LanePort) -> str:
    return f"{was_set.set_by}, {in_utc(was_set.set_at)}"


def _shown_view(shown: Shown, *, runs: bool) -> Mapping[str, object]:
    return {
        "running": runs,
        "pid": shown.pid if runs else None,
        "lanes": [_lane_view(each) for each in shown.lanes],
        "forgotten": [{"lane": each.lane, **_set_view(each)} for each in shown.forgotten],
    }


def _lane_view(lane: Lane) -> dict[str, object]:
    return {
        "name": lane.name,
        "face": lane.face,
        "terminal": lane.terminal,
        "reverse": lane.reverse,
        "address": lane.address,
        "port": lane.port or None,
        "configured_port": lane.configured_port or None,
        "set_port": None if lane.set_port is None else _set_view(lane.set_port),
        "connected": lane.connected,
        "connections": [
            {"peer": each.peer, "since": rfc3339(each.since), "serving": each.doing}
            for each in lane.connections
        ],
    }


def _set_view(was_set: LanePort) -> dict[str, object]:
    return {
        "port": was_set.port,
        "set_at": rfc3339(was_set.set_at),
        "set_by": was_set.set_by,
    }


# --- without a gateway ----------------------------------------------------------------------


def _kinds() -> Kinds:
    from tillwire.server.faces import FACES, StreamKind

    return {name: kind for name, kind in FACES.items() if isinstance(kind, StreamKind)}


def _configured(path: Path, config: Path | None) -> Sequence[ListenerSettings] | None:
    """The listeners of the journal's gateway; None when nobody has said which they are."""
    from tillwire import config as settings
    from tillwire.sandbox.run import is_sandbox, lanes
    from tillwire.server.faces import FACES

    if config is not None:
        configuration = settings.load(config, FACES)
        if Path(configuration.journal.path).resolve() == path.resolve():
            return configuration.listeners
    return lanes() if is_sandbox(path) else None


def _at_rest(path: Path, config: Path | None) -> Shown:
    from tillwire.server.control import Shown
    from tillwire.server.lanes import lanes_among, resting

    kinds = _kinds()
    listeners = _configured(path, config) or ()
    # The configuration may be older than its journal.
    with opened(path) if path.exists() or not listeners else nullcontext() as books:
        ports = [] if books is None else books.read_now(lambda reader: reader.lane_ports())
    by_lane = {each.lane: each for each in ports}
    found = [
        resting(each, kinds, by_lane.pop(each.name, None)) for each in lanes_among(listeners, kinds)
    ]
    return Shown(0, found, list(by_lane.values()))


# --- reset ----------------------------------------------------------------------------------


@app.command()
def reset(
    context: typer.Context,
    lane: LaneArgument,
    peer: Annotated[
        str | None,
        typer.Argument(
            help="Only this one's: its address, with or without the port.", show_default=False
        ),
    ] = None,
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Close a lane's connections at once, or those of one peer.

    For a connection that hangs. What was taken over it goes on at the terminal and in the journal;
    the till connects again and asks for the last result.
    """
    from tillwire.cli import control
    from tillwire.server.control import ResetDone, ResetOrder

    where = _where(context, Where(journal, config, data, as_json))
    path = where.path()
    done = control.ask(path, "POST", "/reset", ResetDone, ResetOrder(lane, peer))
    if done is None:
        raise Conflict(f"No gateway runs the journal {path}, so nobody is connected.")
    if where.as_json:
        say_json({"lane": lane, "peer": peer, "closed": done.closed})
    else:
        of_whom = "" if peer is None else f" of {peer}"
        what = "connection was" if done.closed == 1 else "connections were"
        say(f"{done.closed} {what} closed{of_whom} at the lane {lane}.")


# --- port -----------------------------------------------------------------------------------


@app.command("port")
def set_port(
    context: typer.Context,
    lane: LaneArgument,
    port: Annotated[
        int | None,
        typer.Argument(min=1, max=65_535, help="Where it shall listen.", show_default=False),
    ] = None,
    configured: Annotated[
        bool, typer.Option("--configured", help="Where the configuration says, again.")
    ] = False,
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have a lane listen at another port, for good, or where the configuration says again.

    A running gateway does it at once: connections at the old port end when nothing goes on over
    them. A port that cannot be had changes nothing.
    """
    from tillwire.cli import control
    from tillwire.server.control import PortDone, PortOrder

    if (port is None) is not configured:
        raise InvalidRequest("PORT", "say a port or --configured, one of them")
    where = _where(context, Where(journal, config, data, as_json))
    path = where.path()
    done = control.ask(path, "POST", "/port", PortDone, PortOrder(lane, port))
    found = done.lane if done is not None else _set_at_rest(path, where.config, lane, port)
    if where.as_json:
        say_json({"running": done is not None, "lane": found and _lane_view(found)})
    elif found is None:
        say(f"No port is set for {lane} any more.")
    else:
        when = "now" if done is not None else "from the next start on"
        say(f"The lane {lane} is at {address_words(found)} {when}.")


def _set_at_rest(path: Path, config: Path | None, name: str, port: int | None) -> Lane | None:
    """Set it in the journal, which must not get a gateway meanwhile."""
    from tillwire.server.control import user_name
    from tillwire.server.lanes import lanes_among, put, resting

    kinds = _kinds()
    listeners = _configured(path, config)
    if listeners is None and port is not None:
        raise ConfigurationError(
            f"No gateway runs the journal {path}, and which lanes there are stands in the "
            "configuration: name it with --config."
        )
    lanes = {lane.name: lane for lane in lanes_among(listeners or (), kinds)}
    with opened(path, create=listeners is not None) as books:
        books.own()
        ports = {each.lane: each for each in books.read_now(lambda reader: reader.lane_ports())}
        _check(name, port, listeners or (), ports)
        by = user_name(os.getuid())
        was_set = commit(books, lambda unit: put(unit, name, port, SystemClock(), by))
    return resting(lanes[name], kinds, was_set) if name in lanes else None


def _check(
    name: str,
    port: int | None,
    listeners: Sequence[ListenerSettings],
    ports: Mapping[str, LanePort],
) -> None:
    """Raise `NotFound` or `Conflict` unless the lane can have the port, as far as one can see
    before its start."""
    from tillwire.server.lanes import bind_free, check_listens, lanes_among, moved, unknown

    kinds = _kinds()
    lanes = {lane.name: lane for lane in lanes_among(listeners, kinds)}
    if name not in lanes:
        if port is not None or name not in ports:
            raise unknown(name, lanes)
        return
    check_listens(lanes[name])
    if port is not None:
        wanted = msgspec.structs.replace(lanes[name], port=port)
        bind_free(wanted, moved(listeners, kinds, ports)).close()
