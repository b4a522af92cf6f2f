"""`tillwire estate`: make the estate as a file says, and show it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from tillwire.cli.journals import ConfigOption, DataOption, JournalOption, commit, locate, opened
from tillwire.cli.options import JsonOption
from tillwire.cli.output import remark, say, say_json, say_styled, say_table
from tillwire.cli.times import in_utc, rfc3339
from tillwire.clock import SystemClock
from tillwire.core.estate import Estate
from tillwire.core.model import Lifecycle, Store, Terminal
from tillwire.dialects.ecr17.driver.settings import DriverSettings as Ecr17Settings
from tillwire.dialects.nexo.driver.settings import DriverSettings
from tillwire.estate.apply import apply
from tillwire.estate.changes import Change, FieldChange, Mark, Plan
from tillwire.estate.file import DriverKinds, load
from tillwire.estate.plan import plan

app = typer.Typer(
    name="estate",
    help="Organisations, merchants, stores and terminals.",
    no_args_is_help=True,
)


class NoSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of a driver that has none."""


DRIVERS: Final[DriverKinds] = {
    "device": NoSettings,
    "ecr17": Ecr17Settings,
    "nexo": DriverSettings,
    "virtual": NoSettings,
}
"""The drivers of this version, and the settings that they take in an estate file."""

_WORDS: Final = {Mark.CREATE: "create", Mark.CHANGE: "change", Mark.REMOVE: "remove"}


@app.command("apply")
def apply_file(
    file: Annotated[Path, typer.Argument(help="The estate file (TOML).", show_default=False)],
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove terminals that are not in the file.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what it would do, and do nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make the estate as FILE declares it, after showing what that changes.

    Safe to repeat: what is so already is not touched. What FILE does not mention is left alone,
    and nothing is ever deleted; with --prune, terminals that it does not mention become REMOVED.
    """
    now = SystemClock().now()
    declared = load(file, DRIVERS)
    path = locate(journal, config, data)
    # A dry run creates no journal, either: one that is not there yet is empty.
    with nullcontext() if dry_run and not path.exists() else opened(path, create=True) as books:
        estate = Estate() if books is None else books.read_now(lambda reader: reader.estate())
        due = plan(declared, estate, now=now, prune=prune)
        if not as_json:
            _say_plan(due)
        agreed = bool(due.changes) and not dry_run
        if agreed and not yes:
            agreed = _agreed(as_json)
        if agreed and books is not None:
            commit(books, lambda unit: apply(unit, declared, now=now, prune=prune, shown=due))
    if as_json:
        say_json({"applied": agreed, "changes": [_change_view(each) for each in due.changes]})
    elif agreed:
        say("Done.")
    if due.changes and not agreed and not dry_run:
        raise typer.Exit(1)


def _agreed(as_json: bool) -> bool:
    if as_json or not sys.stdin.isatty():
        remark("Nothing was done: say --yes to do it without being asked.")
        return False
    if typer.confirm("Do this?", default=False, err=True):
        return True
    remark("Nothing was done.")
    return False


def _say_plan(due: Plan) -> None:
    if not due.changes:
        say("Nothing to do: the estate is as the file says.")
        return
    for change in due.changes:
        say_styled(change.mark, f"{change.kind} {change.name}", *_id_note(change))
        width = max((len(each.field) for each in change.fields), default=0)
        for field in change.fields:
            say(f"    {field.field.ljust(width)}  {_field_words(field)}")
    counts = [f"{due.count(mark)} to {word}" for mark, word in _WORDS.items() if due.count(mark)]
    say(f"Plan: {', '.join(counts)}.")


def _id_note(change: Change) -> list[str]:
    return [] if change.id == change.name else [f"({change.id})"]


def _field_words(field: FieldChange) -> str:
    if field.old is None:
        return field.new
    return f"{field.old or '(none)'} -> {field.new or '(none)'}"


def _change_view(change: Change) -> dict[str, object]:
    return {
        "action": _WORDS[change.mark],
        "kind": change.kind,
        "id": change.id,
        "name": change.name,
        "fields": change.fields,
    }


@app.command()
def show(
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    removed: Annotated[
        bool, typer.Option("--all", help="Show removed terminals and former devices, too.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the estate as it stands."""
    with opened(locate(journal, config, data)) as books:
        estate = books.read_now(lambda reader: reader.estate())
    if as_json:
        say_json(_estate_view(estate))
    elif not estate.organisations:
        say("The estate is empty.")
    else:
        _say_estate(estate, removed)


def _say_estate(estate: Estate, removed: bool) -> None:
    for organisation in sorted(estate.organisations.values(), key=lambda each: each.id):
        keys = len(estate.keys_of(organisation.id))
        say(f"{organisation.name} ({organisation.id}), API keys: {keys}", style="bold")
        for merchant in sorted(estate.merchants.values(), key=lambda each: each.id):
            if merchant.organisation_id != organisation.id:
                continue
            say(f"  {merchant.name} ({merchant.id})")
            for store in _stores(estate, merchant.id):
                say(f"    {_store_words(store)}")
                say(f"    uuid {store.id}, {store.time_zone}, {store.currency}")
    rows = [
        row
        for terminal in _terminals(estate)
        if removed or terminal.lifecycle is not Lifecycle.REMOVED
        for row in _terminal_rows(estate, terminal, removed)
    ]
    if rows:
        say()
        headers = ["TERMINAL", "ID", "STORE", "TID", "DRIVER", "LIFECYCLE", "NOTE"]
        say_table(headers, rows, empty="")


def _store_words(store: Store) -> str:
    place = " ".join(part for part in (store.zip_code, store.city) if part)
    return f"{store.name}: {store.address}, {place}, {store.country}"


def _stores(estate: Estate, merchant_id: str) -> list[Store]:
    return sorted(
        (store for store in estate.stores.values() if store.merchant_id == merchant_id),
        key=lambda store: (store.name, store.id),
    )


def _terminals(estate: Estate) -> list[Terminal]:
    return sorted(estate.terminals.values(), key=lambda each: (each.organisation_id, each.name))


def _terminal_rows(estate: Estate, terminal: Terminal, history: bool) -> list[list[str]]:
    token = "no polling token yet" if _waits_for_token(terminal) else ""
    store = estate.stores[terminal.store_id].name
    driver, lifecycle = terminal.driver, terminal.lifecycle.value
    rows = [[terminal.name, terminal.id, store, terminal.tid, driver, lifecycle, token]]
    former = estate.devices.get(terminal.id, [])[:-1] if history else []
    for device in reversed(former):
        until = f"until {in_utc(device.removed_at)}" if device.removed_at is not None else ""
        was = f"  device {device.number}: {device.serial}"
        rows.append([was, terminal.id, "", "", "", device.lifecycle.value, until])
    return rows


def _waits_for_token(terminal: Terminal) -> bool:
    return (
        terminal.driver == "device"
        and terminal.device_digest is None
        and terminal.lifecycle is not Lifecycle.REMOVED
    )


def _estate_view(estate: Estate) -> dict[str, object]:
    """The estate for programs. Digests stay inside."""
    return {
        "version": estate.version,
        "organisations": list(estate.organisations.values()),
        "merchants": list(estate.merchants.values()),
        "stores": list(estate.stores.values()),
        "terminals": [_terminal_view(estate, each) for each in _terminals(estate)],
    }


def _terminal_view(estate: Estate, terminal: Terminal) -> Mapping[str, Any]:
    view: dict[str, Any] = {  # Any: the document is JSON, whatever the fields are
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
