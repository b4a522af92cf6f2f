"""What a file would change: declared x estate -> plan. Pure: no I/O, no clock, no chance.

The same file and estate give the same plan, so what a person was shown can be compared with what
is about to be written. Nothing is ever deleted: a terminal that goes becomes REMOVED, since its
transactions and the devices that served it stay part of the history. What each change of a
terminal means for its devices is said in `places.py`.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Final

import msgspec

from tillwire.clock import Instant
from tillwire.core.estate import Estate
from tillwire.core.estate_model import (
    Lifecycle,
    Merchant,
    Organisation,
    Store,
    Terminal,
)
from tillwire.errors import InvalidRequest
from tillwire.estate.changes import Change, Mark, Plan, difference
from tillwire.estate.file import (
    Declared,
    DeclaredMerchant,
    DeclaredOrganisation,
    DeclaredStore,
    DeclaredTerminal,
)
from tillwire.estate.places import (
    change_of,
    device_is_taken,
    forbidden_move,
    keeps_token,
    tid_is_taken,
)

_STORE_NAMES: Final = uuid.UUID("7c2c63a9-3f7e-5a3e-9a34-0d5f1a1f6e5b")
"""Namespace for stores that bring no UUID: the same file gives them the same one everywhere."""


class Misfit(InvalidRequest):
    """The estate file does not fit the estate."""

    def __init__(self, source: str, field: str, problem: str, allowed: str = "") -> None:
        """`source` is the file, `field` the path in it."""
        super().__init__(field, problem, allowed)
        self.source = source
        self.detail = f"{source}: {self.detail}"


def plan(declared: Declared, estate: Estate, *, now: Instant, prune: bool = False) -> Plan:
    """What makes the estate as declared. Terminals that are not in the file are left alone, or
    with `prune` removed. Raises `Misfit`."""
    planner = _Planner(declared, estate, now)
    for organisation in declared.organisations():
        planner.organisation(organisation)
    if prune:
        planner.remove_the_rest()
    planner.check_names()
    return Plan(tuple(planner.changes))


class _Planner:
    """Walks the file from the top and notes what differs."""

    def __init__(self, declared: Declared, estate: Estate, now: Instant) -> None:
        self.source = declared.source
        self.estate = estate
        self.now = now
        self.changes: list[Change] = []
        self.declared: set[str] = set()
        """Ids of the file's terminals."""
        self.terminals: dict[str, Terminal] = dict(estate.terminals)
        """Every terminal as it will be."""
        self.paths: dict[str, str] = {}
        """Where the terminals that change stand in the file."""
        self.claimed: set[str] = {
            store.entry.uuid.lower()
            for organisation in declared.organisations()
            for merchant in organisation.merchants()
            for store in merchant.stores()
            if store.entry.uuid
        }
        """Ids of stores that the file has spoken for."""
        self.names: dict[str, str] = {
            **{merchant.id: merchant.name for merchant in estate.merchants.values()},
            **{store.id: store.name for store in estate.stores.values()},
        }

    def misfit(self, path: str, problem: str, allowed: str) -> Misfit:
        return Misfit(self.source, path, problem, allowed)

    def organisation(self, declared: DeclaredOrganisation) -> None:
        wanted = Organisation(declared.entry.key, declared.entry.name)
        self.compare("organisation", wanted, self.estate.organisations)
        for merchant in declared.merchants():
            self.merchant(merchant, wanted)

    def merchant(self, declared: DeclaredMerchant, owner: Organisation) -> None:
        entry = declared.entry
        wanted = Merchant(f"{owner.id}:{entry.key}", owner.id, entry.name)
        self.compare("merchant", wanted, self.estate.merchants)
        for store in declared.stores():
            self.store(store, wanted)

    def store(self, declared: DeclaredStore, merchant: Merchant) -> None:
        entry = declared.entry
        wanted = Store(
            id=self.store_id(declared, merchant),
            merchant_id=merchant.id,
            name=entry.name,
            address=entry.address,
            city=entry.city,
            zip_code=entry.zip_code,
            country=entry.country,
            time_zone=entry.time_zone,
            currency=entry.currency,
        )
        self.compare("store", wanted, self.estate.stores)
        for terminal in declared.terminals():
            self.terminal(terminal, wanted, merchant.organisation_id)

    def store_id(self, declared: DeclaredStore, merchant: Merchant) -> str:
        wanted, name = declared.entry.uuid.lower(), declared.entry.name
        namesakes = [
            store.id
            for store in self.estate.stores.values()
            if store.merchant_id == merchant.id and store.name == name
        ]
        if not wanted:
            free = [store_id for store_id in namesakes if store_id not in self.claimed]
            return self.claim(free[0] if free else self.derived_id(merchant, name))
        existing = self.estate.stores.get(wanted)
        if existing is None and namesakes:
            problem = f"the store {name!r} of this merchant has the uuid {namesakes[0]}"
            raise self.misfit(f"{declared.path}.uuid", problem, "that uuid, or none")
        if existing is not None:
            owner = self.estate.organisation_of(existing).id
            if owner != merchant.organisation_id:
                problem = f"this store belongs to the organisation {owner!r}"
                raise self.misfit(f"{declared.path}.uuid", problem, "another uuid, or none")
        return wanted

    def claim(self, store_id: str) -> str:
        self.claimed.add(store_id)
        return store_id

    def derived_id(self, merchant: Merchant, name: str) -> str:
        """A UUID from the store's name. Only a store that once had the name can have it already."""
        made = str(uuid.uuid5(_STORE_NAMES, f"{merchant.id}/{name}"))
        while made in self.estate.stores or made in self.claimed:
            made = str(uuid.uuid5(_STORE_NAMES, made))
        return made

    def terminal(self, declared: DeclaredTerminal, store: Store, organisation_id: str) -> None:
        entry = declared.entry
        wanted = Terminal(
            id=f"{organisation_id}:{entry.key}",
            organisation_id=organisation_id,
            store_id=store.id,
            manufacturer=entry.manufacturer,
            model=entry.model,
            serial=entry.serial,
            tid=entry.tid,
            driver=entry.driver,
            settings=entry.settings,
            lifecycle=entry.lifecycle,
        )
        self.declared.add(wanted.id)
        before = self.estate.terminals.get(wanted.id)
        if wanted.lifecycle is Lifecycle.REMOVED and (
            before is None or before.lifecycle is Lifecycle.REMOVED
        ):
            return  # it never was here, or it is history already
        if before is not None:
            if wanted.lifecycle is Lifecycle.REMOVED and not wanted.serial:
                wanted = msgspec.structs.replace(wanted, serial=before.serial)
            problem = forbidden_move(before.lifecycle, wanted.lifecycle)
            if problem is not None:
                raise self.misfit(f"{declared.path}.lifecycle", *problem)
            if keeps_token(before, wanted):
                wanted = msgspec.structs.replace(wanted, device_digest=before.device_digest)
        self.compare_terminal(before, wanted, declared.path)

    def remove_the_rest(self) -> None:
        for terminal in sorted(self.estate.terminals.values(), key=lambda each: each.id):
            if terminal.id not in self.declared and terminal.lifecycle is not Lifecycle.REMOVED:
                removed = msgspec.structs.replace(
                    terminal, lifecycle=Lifecycle.REMOVED, device_digest=None
                )
                self.compare_terminal(terminal, removed, "")

    def compare(
        self,
        kind: str,
        wanted: Organisation | Merchant | Store,
        existing: Mapping[str, Organisation] | Mapping[str, Merchant] | Mapping[str, Store],
    ) -> None:
        self.names[wanted.id] = wanted.name
        before = existing.get(wanted.id)
        if before != wanted:
            self.changes.append(
                Change(
                    Mark.CREATE if before is None else Mark.CHANGE,
                    kind,
                    wanted.id,
                    wanted.name,
                    difference(before, wanted, self.names),
                    (wanted,),
                )
            )

    def compare_terminal(self, before: Terminal | None, wanted: Terminal, path: str) -> None:
        self.terminals[wanted.id] = wanted
        self.paths[wanted.id] = path
        if before == wanted:
            return
        self.changes.append(change_of(before, wanted, self.estate, self.names, now=self.now))

    def check_names(self) -> None:
        """A terminal's name and its TID mean one terminal of its organisation."""
        names: dict[tuple[str, str], Terminal] = {}
        tids: dict[tuple[str, str], Terminal] = {}
        # Those of the file come last, so that a clash is reported where it can be mended.
        for terminal in sorted(self.terminals.values(), key=lambda each: each.id in self.paths):
            if terminal.lifecycle is Lifecycle.REMOVED:
                continue
            owner, path = terminal.organisation_id, self.paths.get(terminal.id)
            if terminal.serial:
                other = names.setdefault((owner, terminal.name.lower()), terminal)
                if other is not terminal and path is not None:
                    raise self.misfit(f"{path}.serial", *device_is_taken(terminal, other))
            if terminal.tid:
                other = tids.setdefault((owner, terminal.tid), terminal)
                if other is not terminal and path is not None:
                    raise self.misfit(f"{path}.tid", *tid_is_taken(terminal, other))
