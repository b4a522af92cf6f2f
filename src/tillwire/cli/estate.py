"""`tillwire estate`: make the estate as a file says, and show it."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from tillwire.cli.journals import (
    ConfigOption,
    DataOption,
    JournalOption,
    commit,
    estate_at,
    locate,
    opened,
)
from tillwire.cli.options import JsonOption
from tillwire.cli.output import remark, say, say_json
from tillwire.cli.places import (
    ACTIONS,
    change_view,
    say_change,
    say_terminals,
    terminal_view,
    terminals_in,
)
from tillwire.clock import SystemClock
from tillwire.core.estate import Estate
from tillwire.core.estate_model import Store
from tillwire.dialects.ecr17.driver.settings import DriverSettings as Ecr17Settings
from tillwire.dialects.merchantapi.driver.settings import DriverSettings as MerchantApiSettings
from tillwire.dialects.nexo.driver.settings import DriverSettings
from tillwire.dialects.paymentbridge.driver.settings import DriverSettings as PaymentBridgeSettings
from tillwire.dialects.smartconnect.driver.settings import DriverSettings as SmartConnectSettings
from tillwire.dialects.softpos.driver.settings import DriverSettings as SoftPosSettings
from tillwire.estate.apply import apply
from tillwire.estate.changes import Plan
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
    "merchantapi": MerchantApiSettings,
    "nexo": DriverSettings,
    "paymentbridge": PaymentBridgeSettings,
    "smartconnect": SmartConnectSettings,
    "softpos": SoftPosSettings,
    "virtual": NoSettings,
}
"""The drivers of this version, and the settings that they take in an estate file."""


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
        say_json({"applied": agreed, "changes": [change_view(each) for each in due.changes]})
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
        say_change(change)
    counts = [f"{due.count(mark)} to {word}" for mark, word in ACTIONS.items() if due.count(mark)]
    say(f"Plan: {', '.join(counts)}.")


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
    estate = estate_at(locate(journal, config, data))
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
    if listed := terminals_in(estate, removed=removed):
        say()
        say_terminals(estate, listed, history=removed)


def _store_words(store: Store) -> str:
    place = " ".join(part for part in (store.zip_code, store.city) if part)
    return f"{store.name}: {store.address}, {place}, {store.country}"


def _stores(estate: Estate, merchant_id: str) -> list[Store]:
    return sorted(
        (store for store in estate.stores.values() if store.merchant_id == merchant_id),
        key=lambda store: (store.name, store.id),
    )


def _estate_view(estate: Estate) -> dict[str, object]:
    """The estate for programs. Digests stay inside."""
    return {
        "version": estate.version,
        "organisations": list(estate.organisations.values()),
        "merchants": list(estate.merchants.values()),
        "stores": list(estate.stores.values()),
        "terminals": [terminal_view(estate, each) for each in terminals_in(estate, removed=True)],
    }
