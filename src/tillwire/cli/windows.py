"""Which transactions a command is about: a day or a time, a store, a terminal."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from tillwire.cli.options import store_of, terminal_of
from tillwire.cli.times import parse_moment
from tillwire.clock import Instant, instant
from tillwire.core.estate import Estate
from tillwire.core.model import Terminal
from tillwire.errors import InvalidRequest
from tillwire.reconcile.facts import Window

DayOption = Annotated[str, typer.Option("--day", help="A day of the store, such as 2026-05-01.")]
FromOption = Annotated[str, typer.Option("--from", help="From then on: a date in UTC, or a time.")]
ToOption = Annotated[str, typer.Option("--to", help="Until then: a date in UTC, or a time.")]
StoreOption = Annotated[str, typer.Option("--store", "-s", help="Only of this one.")]
TerminalOption = Annotated[str, typer.Option("--terminal", "-t", help="Only of this one.")]


def chosen(
    estate: Estate, day: str, begin: str, end: str, store: str, terminal: str
) -> tuple[Window, list[Terminal] | None]:
    """The time and the terminals that the options mean; None: all terminals. Raises
    `InvalidRequest`, `NotFound`."""
    terminals = _terminals(estate, store, terminal)
    places = list(estate.terminals.values()) if terminals is None else terminals
    zones = sorted({estate.stores[each.store_id].time_zone for each in places})
    zone = zones[0] if len(zones) == 1 else "UTC"
    if bool(day) == bool(begin or end):
        raise InvalidRequest("--day", "say which time is meant", "--day, or --from with --to")
    if day:
        if len(zones) > 1:
            raise InvalidRequest(
                "--day",
                f"it begins at another time in each of {', '.join(zones)}",
                "--store, or --from and --to",
            )
        first, behind = _day(day, zone)
    else:
        first, behind = parse_moment(begin, "--from"), parse_moment(end, "--to")
    if behind <= first:
        raise InvalidRequest("--to", "it is not later than --from", "a later time")
    names = {name.lower() for each in terminals or [] for name in (each.name, each.tid) if name}
    return Window(first, behind, zone, frozenset(names)), terminals


def ids_of(terminals: list[Terminal] | None) -> Collection[str] | None:
    """Their ids; None: all."""
    return None if terminals is None else {each.id for each in terminals}


def _terminals(estate: Estate, store: str, terminal: str) -> list[Terminal] | None:
    place = store_of(estate, store) if store else None
    if terminal:
        found = terminal_of(estate, terminal)
        if place is not None and found.store_id != place.id:
            there = estate.stores[found.store_id].name
            raise InvalidRequest("--terminal", f"{found.name} is not in that store", f"in {there}")
        return [found]
    if place is not None:
        its = [each for each in estate.terminals.values() if each.store_id == place.id]
        if not its:  # or all would be meant
            raise InvalidRequest("--store", f"{place.name} has no terminal", "a store with some")
        return its
    return None


def _day(text: str, zone: str) -> tuple[Instant, Instant]:
    try:
        first = date.fromisoformat(text)
        behind = first + timedelta(days=1)
    except (ValueError, OverflowError):
        raise InvalidRequest("--day", f"{text[:20]!r} is no day", "such as 2026-05-01") from None
    there = ZoneInfo(zone)
    return (
        instant(datetime.combine(first, time(), there)),
        instant(datetime.combine(behind, time(), there)),
    )
