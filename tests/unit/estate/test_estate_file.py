"""What an estate file may say: every mistake is named with its place and what would be right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tillwire.core.estate_model import Lifecycle
from tillwire.errors import ConfigurationError
from tillwire.estate.file import Declared, load, parse
from tillwire.estate.rules import countries, time_zones


class LampSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    brightness: int = 1


DRIVERS = {"lamp": LampSettings}

TERMINAL = {
    "key": "till-1",
    "manufacturer": "ACME",
    "model": "P2-lite",
    "serial": "PL1",
    "driver": "lamp",
}
STORE = {
    "name": "Corner",
    "address": "1 High Street",
    "city": "Leeds",
    "country": "GB",
    "time_zone": "Europe/London",
    "currency": "GBP",
}
STORE_PATH = "organisations[0].merchants[0].stores[0]"
TERMINAL_PATH = f"{STORE_PATH}.terminals[0]"


def tables(*, store: dict[str, Any] | None = None, **terminal: Any) -> dict[str, Any]:
    """A file with one of each, changed as told."""
    terminals = [{**TERMINAL, **terminal}]
    stores = [{**STORE, "terminals": terminals, **(store or {})}]
    merchants = [{"key": "leeds", "name": "Leeds Ltd", "stores": stores}]
    return {"organisations": [{"key": "shop", "name": "Shop", "merchants": merchants}]}


def read(found: dict[str, Any]) -> Declared:
    return parse(found, DRIVERS, source="estate.toml")


def mistake_in(found: dict[str, Any]) -> str:
    with pytest.raises(ConfigurationError) as mistake:
        read(found)
    return mistake.value.detail


def test_a_terminal_is_active_unless_the_file_says_otherwise() -> None:
    organisation = next(read(tables()).organisations())
    store = next(next(organisation.merchants()).stores())
    terminal = next(store.terminals())
    assert terminal.path == TERMINAL_PATH
    assert terminal.entry.lifecycle is Lifecycle.ACTIVATED


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("time_zone", "Europe/Lundon", "did you mean 'Europe/London'?"),
        ("time_zone", "europe/london", "did you mean 'Europe/London'?"),
        ("time_zone", "localtime", "not a time zone"),
        ("time_zone", "../../etc/passwd", "not a time zone"),
        ("currency", "gbp", "did you mean 'GBP'?"),
        ("currency", "XXX", "not a currency"),
        ("country", "UK", "two capital letters of ISO 3166-1"),
        ("uuid", "0b5c2d1e", "not a UUID"),
        ("uuid", "{0b5c2d1e-7f1a-4c7e-9c55-3a0a0d6e2f10}", "not a UUID"),
        ("name", " ", "it is empty"),
        ("name", "x" * 101, "101 characters"),
        ("city", "Le\x1beds", "cannot be printed"),
    ],
)
def test_a_wrong_value_of_a_store_is_named(field: str, value: str, says: str) -> None:
    detail = mistake_in(tables(store={field: value}))
    assert detail.startswith(f"estate.toml: {STORE_PATH}.{field}: ")
    assert says in detail
    assert "Allowed: " in detail


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("manufacturer", "AC-ME"),
        ("manufacturer", ""),
        ("serial", "PL-1"),
        ("serial", "PL/1"),
        ("serial", "PL1\n"),
        ("model", "P2/lite"),
        ("model", "P2 lite"),
        ("model", "-P2"),
        ("model", "P%32"),
        ("tid", "30 35"),
        ("key", "Till 1"),
        ("key", "shop:till"),
        ("key", "-"),
    ],
)
def test_what_names_a_terminal_fits_a_url_and_splits_at_its_hyphens(field: str, value: str) -> None:
    assert mistake_in(tables(**{field: value})).startswith(f"estate.toml: {TERMINAL_PATH}.{field}:")


def test_a_model_may_contain_hyphens() -> None:
    read(tables(model="P2-lite-SE"))


def test_an_unknown_setting_is_a_mistake_with_the_nearest_known_one() -> None:
    detail = mistake_in(tables(serail="PL1"))
    assert f"{TERMINAL_PATH}.serail: there is no such setting; did you mean 'serial'?" in detail


def test_a_missing_setting_is_named() -> None:
    found = tables()
    del found["organisations"][0]["merchants"][0]["stores"][0]["time_zone"]
    assert f"{STORE_PATH}.time_zone: this setting is missing" in mistake_in(found)


def test_an_unknown_driver_is_answered_with_those_there_are() -> None:
    detail = mistake_in(tables(driver="lmap"))
    assert f"{TERMINAL_PATH}.driver: there is no driver 'lmap'. Allowed: lamp." in detail


def test_the_driver_says_which_settings_it_takes() -> None:
    read(tables(settings={"brightness": 3}))
    unknown = mistake_in(tables(settings={"brightnes": 3}))
    assert f"{TERMINAL_PATH}.settings.brightnes: there is no such setting; did you mean" in unknown
    wrong = mistake_in(tables(settings={"brightness": "full"}))
    assert f"{TERMINAL_PATH}.settings.brightness" in wrong


def test_an_unknown_lifecycle_is_answered_with_the_known_ones() -> None:
    detail = mistake_in(tables(lifecycle="ACTIVE"))
    assert f"{TERMINAL_PATH}.lifecycle" in detail
    assert "CREATED, ACTIVATED, REMOVED" in detail


def test_a_key_is_used_once() -> None:
    twice = tables()
    stores = twice["organisations"][0]["merchants"][0]["stores"]
    stores.append({**stores[0], "name": "Other"})
    path = f"{STORE_PATH.removesuffix('[0]')}[1].terminals[0].key"
    detail = mistake_in(twice)
    assert f"{path}: 'till-1' is the terminal key of {TERMINAL_PATH}, too" in detail


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"name": "Other"}, f"{STORE_PATH.removesuffix('[0]')}[1].uuid"),
        ({"uuid": ""}, f"{STORE_PATH.removesuffix('[0]')}[1].name"),
    ],
)
def test_a_store_is_declared_once(change: dict[str, str], path: str) -> None:
    found = tables(store={"uuid": "0b5c2d1e-7f1a-4c7e-9c55-3a0a0d6e2f10", "terminals": []})
    stores = found["organisations"][0]["merchants"][0]["stores"]
    stores.append({**stores[0], **change})
    assert mistake_in(found).startswith(f"estate.toml: {path}: ")


def test_an_organisation_key_is_used_once() -> None:
    found = {"organisations": [{"key": "shop", "name": name} for name in ("One", "Two")]}
    assert mistake_in(found).startswith("estate.toml: organisations[1].key: 'shop' is")


def test_a_file_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.toml: it cannot be read"):
        load(tmp_path / "nowhere.toml", DRIVERS)


def test_the_tables_of_zones_and_countries_are_whole() -> None:
    assert {"Europe/Rome", "Pacific/Auckland", "UTC"} <= time_zones()
    assert {"IT", "NL", "GB", "XK"} <= countries()
    assert len(countries()) == 250
