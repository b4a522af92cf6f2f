"""What a file would change, and what becomes of terminals and their devices."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tillwire.clock import Instant
from tillwire.core.estate import Estate
from tillwire.core.estate_model import (
    ApiKey,
    Device,
    Lifecycle,
    Merchant,
    Organisation,
    Store,
    Terminal,
)
from tillwire.core.ports import EstateThing
from tillwire.errors import InvalidRequest
from tillwire.estate.changes import Change, Mark
from tillwire.estate.file import Declared, parse
from tillwire.estate.plan import plan

UUID = "0b5c2d1e-7f1a-4c7e-9c55-3a0a0d6e2f10"
TILL = "shop:till-1"


class NoSettings(msgspec.Struct, frozen=True):
    """Whatever stands there."""


def till(key: str = "till-1", **changes: Any) -> dict[str, Any]:
    return {
        "key": key,
        "manufacturer": "ACME",
        "model": "P2",
        "serial": key.upper().replace("-", ""),
        "driver": "device",
        **changes,
    }


def store(*terminals: dict[str, Any], name: str = "Corner", **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "address": "1 High Street",
        "city": "Leeds",
        "country": "GB",
        "time_zone": "Europe/London",
        "currency": "GBP",
        "terminals": list(terminals),
        **changes,
    }


def declared(*stores: dict[str, Any], organisation: str = "shop") -> Declared:
    merchant = {"key": "leeds", "name": "Leeds Ltd", "stores": list(stores)}
    owner = {"key": organisation, "name": "Shop", "merchants": [merchant]}
    kinds = {"device": NoSettings, "virtual": NoSettings}
    return parse({"organisations": [owner]}, kinds, source="estate.toml")


class Books:
    """An estate that plans are carried out on, as the journal does it."""

    def __init__(self) -> None:
        self.things: dict[object, EstateThing] = {}
        self.time = Instant(0)

    def put(self, *things: EstateThing) -> None:
        for thing in things:
            number = thing.number if isinstance(thing, Device) else 0
            key = thing.terminal_id if isinstance(thing, Device) else thing.id
            self.things[type(thing), key, number] = thing

    @property
    def estate(self) -> Estate:
        def every(kind: type[Any]) -> list[Any]:
            return [thing for thing in self.things.values() if type(thing) is kind]

        return Estate(
            organisations=every(Organisation),
            api_keys=every(ApiKey),
            merchants=every(Merchant),
            stores=every(Store),
            terminals=every(Terminal),
            devices=every(Device),
        )

    def apply(self, file: Declared, *, prune: bool = False) -> tuple[Change, ...]:
        self.time = Instant(self.time + 1000)
        changes = plan(file, self.estate, now=self.time, prune=prune).changes
        for change in changes:
            self.put(*change.writes)
        return changes

    def terminal(self, terminal_id: str = TILL) -> Terminal:
        return self.estate.terminals[terminal_id]

    def give_token(self) -> None:
        self.put(msgspec.structs.replace(self.terminal(), device_digest=b"digest"))


@pytest.fixture
def books() -> Books:
    """One store with one terminal."""
    books = Books()
    books.apply(declared(store(till())))
    return books


def test_everything_is_created_once_owners_first() -> None:
    books = Books()
    first = books.apply(declared(store(till())))
    assert [(change.mark, change.kind) for change in first] == [
        (Mark.CREATE, "organisation"),
        (Mark.CREATE, "merchant"),
        (Mark.CREATE, "store"),
        (Mark.CREATE, "terminal"),
    ]
    assert books.apply(declared(store(till()))) == ()


def test_the_same_file_gives_a_store_the_same_uuid_everywhere() -> None:
    one, other = Books(), Books()
    one.apply(declared(store()))
    other.apply(declared(store()))
    assert set(one.estate.stores) == set(other.estate.stores)


def test_a_changed_field_is_shown_old_and_new(books: Books) -> None:
    (change,) = books.apply(declared(store(till(), city="York")))
    assert (change.mark, change.kind) == (Mark.CHANGE, "store")
    assert [(each.field, each.old, each.new) for each in change.fields] == [
        ("city", "Leeds", "York")
    ]


def test_settings_are_compared_one_by_one(books: Books) -> None:
    books.apply(declared(store(till(settings={"colour": "red", "size": 1}))))
    (change,) = books.apply(declared(store(till(settings={"colour": "blue", "size": 1}))))
    assert [(each.field, each.old, each.new) for each in change.fields] == [
        ("settings.colour", '"red"', '"blue"')
    ]


def test_what_is_not_in_the_file_is_left_alone(books: Books) -> None:
    assert books.apply(declared(store())) == ()
    assert books.terminal().lifecycle is Lifecycle.ACTIVATED


# --- stores ---------------------------------------------------------------------------------


def test_a_store_with_a_uuid_may_be_renamed(books: Books) -> None:
    (known,) = books.estate.stores
    (change,) = books.apply(declared(store(till(), name="Market", uuid=known)))
    assert [(each.old, each.new) for each in change.fields] == [("Corner", "Market")]
    assert set(books.estate.stores) == {known}


def test_the_old_name_of_a_renamed_store_is_free_for_another(books: Books) -> None:
    (known,) = books.estate.stores
    file = declared(store(till(), name="Market", uuid=known.upper()), store(name="Corner"))
    assert len(books.apply(file)) == 2
    assert {each.name for each in books.estate.stores.values()} == {"Market", "Corner"}
    assert books.apply(file) == ()


def test_a_store_has_one_uuid(books: Books) -> None:
    with pytest.raises(InvalidRequest) as misfit:
        books.apply(declared(store(uuid=UUID)))
    assert misfit.value.field == "organisations[0].merchants[0].stores[0].uuid"


def test_a_store_of_another_organisation_cannot_be_taken(books: Books) -> None:
    (known,) = books.estate.stores
    with pytest.raises(InvalidRequest, match="belongs to the organisation 'shop'"):
        books.apply(declared(store(name="Mine", uuid=known), organisation="rival"))


def test_a_terminal_moves_to_another_store_and_stays_itself(books: Books) -> None:
    books.give_token()
    changes = books.apply(declared(store(), store(till(), name="Market")))
    moved = changes[-1]
    assert [(each.field, each.old, each.new) for each in moved.fields] == [
        ("store", "Corner", "Market")
    ]
    assert moved.idle_terminal is None
    assert books.terminal().device_digest == b"digest"


# --- terminals and their devices ------------------------------------------------------------


def test_a_new_terminal_has_its_first_device(books: Books) -> None:
    assert books.estate.devices[TILL] == [
        Device(TILL, 1, "TILL1", Instant(1000), Lifecycle.ACTIVATED, Instant(1000))
    ]


def test_a_created_terminal_is_activated_later() -> None:
    books = Books()
    books.apply(declared(store(till(lifecycle="CREATED"))))
    assert books.estate.devices[TILL][0].activated_at is None
    (change,) = books.apply(declared(store(till())))
    assert change.idle_terminal is None
    assert books.estate.devices[TILL] == [
        Device(TILL, 1, "TILL1", Instant(1000), Lifecycle.ACTIVATED, Instant(2000))
    ]


def test_another_serial_is_another_device_in_the_same_place(books: Books) -> None:
    (change,) = books.apply(declared(store(till(serial="NEW2"))))
    assert change.idle_terminal == TILL
    assert books.terminal().name == "ACME-P2-NEW2"
    first, second = books.estate.devices[TILL]
    assert (first.serial, first.lifecycle, first.removed_at) == (
        "TILL1",
        Lifecycle.REMOVED,
        Instant(2000),
    )
    assert (second.number, second.serial, second.lifecycle, second.activated_at) == (
        2,
        "NEW2",
        Lifecycle.ACTIVATED,
        Instant(2000),
    )


def test_the_polling_token_does_not_pass_to_the_next_device(books: Books) -> None:
    books.give_token()
    (change,) = books.apply(declared(store(till(serial="NEW2"))))
    assert books.terminal().device_digest is None
    assert ("polling token", "valid", "") in [(e.field, e.old, e.new) for e in change.fields]


def test_another_spelling_of_the_serial_is_the_same_device(books: Books) -> None:
    books.give_token()
    books.apply(declared(store(till(serial="till1"))))
    assert [each.serial for each in books.estate.devices[TILL]] == ["till1"]
    assert books.terminal().device_digest == b"digest"


@pytest.mark.parametrize("change", [{"driver": "virtual"}, {"settings": {"a": 1}}, {"tid": "77"}])
def test_what_reaches_the_device_differently_waits_until_it_is_idle(
    books: Books, change: dict[str, Any]
) -> None:
    (planned,) = books.apply(declared(store(till(**change))))
    assert planned.idle_terminal == TILL


def test_a_removed_terminal_keeps_its_rows_and_loses_its_token(books: Books) -> None:
    books.give_token()
    (change,) = books.apply(declared(store(till(lifecycle="REMOVED"))))
    assert (change.mark, change.idle_terminal) == (Mark.REMOVE, TILL)
    assert books.terminal().device_digest is None
    assert books.estate.devices[TILL][0].removed_at == Instant(2000)
    assert books.apply(declared(store(till(lifecycle="REMOVED", tid="9")))) == ()


def test_a_terminal_that_never_was_here_need_not_be_removed() -> None:
    books = Books()
    books.apply(declared(store(till(lifecycle="REMOVED"))))
    assert not books.estate.terminals


@pytest.mark.parametrize(
    ("before", "after"),
    [("ACTIVATED", "CREATED"), ("REMOVED", "ACTIVATED"), ("REMOVED", "CREATED")],
)
def test_there_is_no_way_back_in_life(books: Books, before: str, after: str) -> None:
    books.apply(declared(store(till(lifecycle=before))))
    with pytest.raises(InvalidRequest) as misfit:
        books.apply(declared(store(till(lifecycle=after))))
    assert misfit.value.field == ("organisations[0].merchants[0].stores[0].terminals[0].lifecycle")
    assert str(misfit.value).startswith("The estate file does not fit the estate. estate.toml: ")


def test_pruning_removes_terminals_and_deletes_nothing(books: Books) -> None:
    books.apply(declared(store(till(), till("till-2"))))
    (change,) = books.apply(declared(store(till("till-2"))), prune=True)
    assert (change.mark, change.id) == (Mark.REMOVE, TILL)
    assert set(books.estate.terminals) == {TILL, "shop:till-2"}
    assert books.apply(declared(store(till("till-2"))), prune=True) == ()


# --- names ----------------------------------------------------------------------------------


def test_a_device_serves_one_terminal_of_the_organisation(books: Books) -> None:
    with pytest.raises(InvalidRequest, match="serves the terminal 'shop:till-1' already") as misfit:
        books.apply(declared(store(till("till-2", serial="till1"))))
    assert misfit.value.field == "organisations[0].merchants[0].stores[0].terminals[0].serial"


def test_another_organisation_may_have_a_terminal_of_the_same_name(books: Books) -> None:
    books.apply(declared(store(till()), organisation="rival"))
    assert set(books.estate.terminals) == {TILL, "rival:till-1"}


def test_the_device_of_a_removed_terminal_may_serve_again(books: Books) -> None:
    file = declared(store(till(lifecycle="REMOVED"), till("till-2", serial="TILL1")))
    books.apply(file)
    named = books.estate.terminal_named("shop", "acme-p2-till1")
    assert named is not None
    assert named.id == "shop:till-2"


def test_two_terminals_may_swap_their_devices(books: Books) -> None:
    books.apply(declared(store(till(), till("till-2"))))
    books.apply(declared(store(till(serial="TILL2"), till("till-2", serial="TILL1"))))
    assert [each.serial for each in books.estate.devices[TILL]] == ["TILL1", "TILL2"]
