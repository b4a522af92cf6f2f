"""Terminals, their devices, and changes of the estate, as people and programs see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tillwire.cli.output import say, say_styled, say_table
from tillwire.cli.times import in_utc, rfc3339
from tillwire.core.estate import Estate
from tillwire.core.estate_model import Device, Lifecycle, Terminal
from tillwire.estate.changes import Change, FieldChange, Mark

View = dict[str, Any]  # Any: a JSON document

ACTIONS: Final = {Mark.CREATE: "create", Mark.CHANGE: "change", Mark.REMOVE: "remove"}
"""What the marks of a plan are called."""


# --- changes --------------------------------------------------------------------------------


def say_change(change: Change) -> None:
    """A change, with each field that it changes."""
    note = [] if change.id == change.name else [f"({change.id})"]
    say_styled(change.mark, f"{change.kind} {change.name}", *note)
    width = max((len(each.field) for each in change.fields), default=0)
    for field in change.fields:
        say(f"    {field.field.ljust(width)}  {_field_words(field)}")


def _field_words(field: FieldChange) -> str:
    if field.old is None:
        return field.new
    return f"{field.old or '(none)'} -> {field.new or '(none)'}"


def change_view(change: Change) -> View:
    """A change."""
    return {
        "action": ACTIONS[change.mark],
        "kind": change.kind,
        "id": change.id,
        "name": change.name,
        "fields": change.fields,
    }


# --- terminals ------------------------------------------------------------------------------


def terminals_in(estate: Estate, *, removed: bool, organisation: str = "") -> list[Terminal]:
    """The estate's terminals, by organisation and name; of one organisation if it is named."""
    found = (
        terminal
        for terminal in estate.terminals.values()
        if (removed or terminal.lifecycle is not Lifecycle.REMOVED)
        and (not organisation or terminal.organisation_id == organisation)
    )
    return sorted(found, key=lambda each: (each.organisation_id, each.name, each.id))


def say_terminals(
    estate: Estate, terminals: Sequence[Terminal], *, history: bool, empty: str = ""
) -> None:
    """A table of terminals; with `history`, each with the devices that stood there before."""
    rows = [row for terminal in terminals for row in _rows(estate, terminal, history)]
    headers = ["TERMINAL", "ID", "STORE", "TID", "DRIVER", "LIFECYCLE", "NOTE"]
    say_table(headers, rows, empty=empty)


def _rows(estate: Estate, terminal: Terminal, history: bool) -> list[list[str]]:
    store = estate.stores[terminal.store_id].name
    driver, lifecycle = terminal.driver, terminal.lifecycle.value
    note = "no polling token yet" if _waits_for_token(terminal) else ""
    rows = [[terminal.name, terminal.id, store, terminal.tid, driver, lifecycle, note]]
    former = estate.devices.get(terminal.id, [])[:-1] if history else []
    for device in reversed(former):
        was = f"  device {device.number}: {device.serial}"
        rows.append([was, terminal.id, "", "", "", device.lifecycle.value, _time_of(device)])
    return rows


def _time_of(device: Device) -> str:
    if device.removed_at is not None:
        return f"until {in_utc(device.removed_at)}"
    return "not retired" if device.lifecycle is Lifecycle.ACTIVATED else ""


def _waits_for_token(terminal: Terminal) -> bool:
    return (
        terminal.driver == "device"
        and terminal.device_digest is None
        and terminal.lifecycle is not Lifecycle.REMOVED
    )


def terminal_view(estate: Estate, terminal: Terminal) -> View:
    """A terminal with all its devices, oldest first. Digests stay inside."""
    view: View = {
        name: getattr(terminal, name)
        for name in terminal.__struct_fields__
        if name != "device_digest"
    }
    view["name"] = terminal.name
    view["has_token"] = terminal.device_digest is not None
    view["devices"] = [
        {
            "number": device.number,
            "serial": device.serial,
            "lifecycle": device.lifecycle,
            "created_at": rfc3339(device.created_at),
            "activated_at": rfc3339(device.activated_at),
            "removed_at": rfc3339(device.removed_at),
        }
        for device in estate.devices.get(terminal.id, [])
    ]
    return view
