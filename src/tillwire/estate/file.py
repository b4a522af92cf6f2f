"""The estate file: what it may say, and what it says.

Reads TOML into frozen structs and checks everything that can be checked without knowing the estate
as it stands; `plan.py` does the rest. Every mistake is a `ConfigurationError` that names the file,
the path in it, the problem and what is allowed. `docs/estate.md` is the reference for people.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from tillwire import strict_toml
from tillwire.core.estate_model import Lifecycle
from tillwire.estate.rules import Place, check_entry, check_tid


class _Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class TerminalEntry(_Entry, frozen=True):
    """A terminal: a place where cards are read, and the device that stands there now."""

    key: str
    """Names the place for good, whatever device serves it; unique in the organisation."""
    manufacturer: str
    model: str
    driver: str
    serial: str = ""
    """Empty: no device is known yet."""
    tid: str = ""
    settings: Mapping[str, Any] = {}
    lifecycle: Lifecycle = Lifecycle.ACTIVATED


class StoreEntry(_Entry, frozen=True):
    """A store of a merchant."""

    name: str
    address: str
    city: str
    country: str
    time_zone: str
    currency: str
    zip_code: str = ""
    uuid: str = ""
    """Empty: known by its name within the merchant."""
    terminals: tuple[TerminalEntry, ...] = ()


class MerchantEntry(_Entry, frozen=True):
    """A merchant of an organisation."""

    key: str
    """Unique in the organisation."""
    name: str
    stores: tuple[StoreEntry, ...] = ()


class OrganisationEntry(_Entry, frozen=True):
    """An organisation. Its API keys stand in no file."""

    key: str
    name: str
    merchants: tuple[MerchantEntry, ...] = ()


class EstateFile(_Entry, frozen=True):
    """A whole estate file."""

    organisations: tuple[OrganisationEntry, ...]


class DeclaredTerminal(msgspec.Struct, frozen=True):
    """A terminal and where it stands in the file."""

    path: str
    entry: TerminalEntry


class DeclaredStore(msgspec.Struct, frozen=True):
    """A store and where it stands in the file."""

    path: str
    entry: StoreEntry

    def terminals(self) -> Iterator[DeclaredTerminal]:
        """Its terminals."""
        for number, terminal in enumerate(self.entry.terminals):
            yield DeclaredTerminal(f"{self.path}.terminals[{number}]", terminal)


class DeclaredMerchant(msgspec.Struct, frozen=True):
    """A merchant and where it stands in the file."""

    path: str
    entry: MerchantEntry

    def stores(self) -> Iterator[DeclaredStore]:
        """Its stores."""
        for number, store in enumerate(self.entry.stores):
            yield DeclaredStore(f"{self.path}.stores[{number}]", store)


class DeclaredOrganisation(msgspec.Struct, frozen=True):
    """An organisation and where it stands in the file."""

    path: str
    entry: OrganisationEntry

    def merchants(self) -> Iterator[DeclaredMerchant]:
        """Its merchants."""
        for number, merchant in enumerate(self.entry.merchants):
            yield DeclaredMerchant(f"{self.path}.merchants[{number}]", merchant)


class Declared(msgspec.Struct, frozen=True):
    """What a file says the estate should be."""

    source: str
    """The file's name, for messages."""
    file: EstateFile

    def organisations(self) -> Iterator[DeclaredOrganisation]:
        """What the file is made of, from the top."""
        for number, organisation in enumerate(self.file.organisations):
            yield DeclaredOrganisation(f"organisations[{number}]", organisation)


DriverKinds = Mapping[str, type[msgspec.Struct]]
"""The drivers there are, by name, and the struct that a terminal's settings must fit."""


def load(path: Path, drivers: DriverKinds) -> Declared:
    """What the TOML file at `path` declares. Raises `ConfigurationError`."""
    return parse(strict_toml.read(path), drivers, source=str(path))


def parse(tables: Mapping[str, Any], drivers: DriverKinds, *, source: str) -> Declared:
    """The same from tables that have been read already. Raises `ConfigurationError`."""
    declared = Declared(source, strict_toml.convert(tables, EstateFile, source=source))
    top = Place(source, "organisations")
    for organisation in declared.organisations():
        top.unique("key", organisation.entry.key, organisation.path)
        _check_organisation(organisation, source, drivers)
    return declared


def _check_organisation(
    organisation: DeclaredOrganisation, source: str, drivers: DriverKinds
) -> None:
    place = Place(source, organisation.path)
    check_entry(place, organisation.entry)
    for merchant in organisation.merchants():
        place.unique("key", merchant.entry.key, merchant.path)
        within = Place(source, merchant.path)
        check_entry(within, merchant.entry)
        for store in merchant.stores():
            within.unique("name", store.entry.name, store.path)
            if store.entry.uuid:
                place.unique("uuid", store.entry.uuid.lower(), store.path)
            check_entry(Place(source, store.path), store.entry)
            for terminal in store.terminals():
                place.unique("terminal key", terminal.entry.key, terminal.path, "key")
                _check_terminal(terminal, source, drivers)


def _check_terminal(terminal: DeclaredTerminal, source: str, drivers: DriverKinds) -> None:
    entry = terminal.entry
    check_entry(Place(source, terminal.path), entry)
    if entry.driver not in drivers:
        problem = f"there is no driver {entry.driver!r}"
        raise strict_toml.mistake(
            source, f"{terminal.path}.driver", problem, ", ".join(sorted(drivers))
        )
    if not entry.serial and entry.lifecycle is Lifecycle.ACTIVATED:
        allowed = 'the serial number of its device, or lifecycle = "CREATED" until there is one'
        problem = "an ACTIVATED terminal has a device"
        raise strict_toml.mistake(source, f"{terminal.path}.serial", problem, allowed)
    if (wrong := check_tid(entry.tid, entry.driver)) is not None:
        raise strict_toml.mistake(source, f"{terminal.path}.tid", *wrong)
    strict_toml.convert(
        entry.settings, drivers[entry.driver], source=source, at=f"{terminal.path}.settings"
    )
