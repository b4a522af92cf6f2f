"""Which transactions a command is about: a day or a time, an organisation, a store, a
terminal."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, time, timedelta
from typing import Annotated, NamedTuple
from zoneinfo import ZoneInfo

import typer

from tillwire.cli.options import organisation_of, store_of, terminal_of
from tillwire.cli.times import parse_moment
from tillwire.clock import Instant, instant
from tillwire.core.estate import Estate
from tillwire.core.estate_model import Terminal
from tillwire.errors import InvalidRequest
from tillwire.reconcile.facts import Window, names_of

DayOption = Annotated[str, typer.Option("--day", help="A day of the store, such as 2026-05-01.")]
FromOption = Annotated[str, typer.Option("--from", help="From then on: a date in UTC, or a time.")]
ToOption = Annotated[str, typer.Option("--to", help="Until then: a date in UTC, or a time.")]
StoreOption = Annotated[str, typer.Option("--store", "-s", help="Only of this one.")]
TerminalOption = Annotated[str, typer.Option("--terminal", "-t", help="Only of this one.")]


class Places(NamedTuple):
    """Which terminals are meant; empty: all."""

    organisation: str = ""
    store: str = ""
    terminal: str = ""


def chosen(
    estate: Estate, day: str, begin: str, end: str, places: Places
) -> tuple[Window, list[Terminal] | None]:
    """The time and the terminals that the options mean; None: all terminals. Raises
    `InvalidRequest`, `NotFound`."""
    terminals = _terminals(estate, places)
    counted = list(estate.terminals.values()) if terminals is None else terminals
    zones = sorted({estate.stores[each.store_id].time_zone for each in counted})
    zone = zones[0] if len(zones) == 1 else "UTC"
    if bool(day) == bool(begin or end) or bool(begin) != bool(end):
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
    names = names_of(estate, terminals or [])
    wholly = [] if places.terminal else [each.store_id for each in terminals or []]
    stores = {estate.stores[store_id].name.lower() for store_id in wholly}
    return Window(first, behind, zone, names, frozenset(stores)), terminals


def ids_of(terminals: list[Terminal] | None) -> Collection[str] | None:
    """Their ids; None: all."""
    return None if terminals is None else {each.id for each in terminals}


def _terminals(estate: Estate, places: Places) -> list[Terminal] | None:
    owner = organisation_of(estate, places.organisation).id if places.organisation else ""
    place = store_of(estate, places.store) if places.store else None
    its = [
        each
        for each in estate.terminals.values()
        if owner in ("", each.organisation_id) and (place is None or each.store_id == place.id)
    ]
    if places.terminal:
        found = terminal_of(estate, places.terminal)
        if found not in its:
            raise InvalidRequest(
                "--terminal",
                f"{found.name} is not in that {'store' if place else 'organisation'}",
                f"in {estate.stores[found.store_id].name if place else found.organisation_id}",
            )
        return [found]
    if not owner and place is None:
        return None
    if not its:  # or all would be meant
        option, name = ("--store", place.name) if place else ("--organisation", owner)
        raise InvalidRequest(option, f"{name} has no terminal", "one with some")
    return its


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
