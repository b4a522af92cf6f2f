"""The life of one terminal, step by step, and that an estate file comes to the same."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.estate.test_estate_plan import Books, declared, store, till
from tillwire.clock import Instant
from tillwire.core.estate import Estate
from tillwire.core.estate_model import Device, Lifecycle
from tillwire.errors import ConfigurationError, Conflict, InvalidRequest, NotFound, TillwireError
from tillwire.estate.changes import Change
from tillwire.estate.lifecycle import Newcomer, activate, add, retire, swap

TID = "30350039"
LANE = f"shop:{TID}"
SECOND = 1000


class Lanes(Books):
    """A store, and the steps that are taken in it, a second apart."""

    def __init__(self) -> None:
        super().__init__()
        self.apply(declared(store()))
        (self.store_id,) = self.estate.stores

    def newcomer(self, tid: str = TID, **changes: Any) -> Newcomer:
        usual = Newcomer(
            store_id=self.store_id, tid=tid, manufacturer="NEXI", model="P61B", driver="virtual"
        )
        return msgspec.structs.replace(usual, **changes)

    def add(self, tid: str = TID, *, eight_digits: bool = False, **changes: Any) -> Change:
        newcomer = self.newcomer(tid, **changes)
        return self._take(add(self.estate, newcomer, self._later(), eight_digits=eight_digits))

    def activate(self, serial: str = "A1", lane: str = LANE) -> Change:
        return self._take(activate(self.estate, lane, serial, self._later()))

    def swap(self, serial: str, former: Lifecycle = Lifecycle.REMOVED, lane: str = LANE) -> Change:
        return self._take(swap(self.estate, lane, serial, self._later(), former=former))

    def retire(self, lane: str = LANE) -> Change:
        return self._take(retire(self.estate, lane, self._later()))

    def _later(self) -> Instant:
        self.time = Instant(self.time + SECOND)
        return self.time

    def _take(self, change: Change) -> Change:
        self.put(*change.writes)
        return change

    def devices(self, lane: str = LANE) -> list[tuple[str, Lifecycle]]:
        return [(each.serial, each.lifecycle) for each in self.estate.devices[lane]]


@pytest.fixture
def lanes() -> Lanes:
    """A store without terminals."""
    return Lanes()


@pytest.fixture
def lane(lanes: Lanes) -> Lanes:
    """A store with a terminal that can pay, at which the device A1 stands."""
    lanes.add()
    lanes.activate()
    return lanes


# --- adding ---------------------------------------------------------------------------------


def test_a_terminal_is_known_by_its_tid_before_any_device_is(lanes: Lanes) -> None:
    lanes.add()
    terminal = lanes.terminal(LANE)
    assert (terminal.lifecycle, terminal.serial, terminal.name) == ("CREATED", "", "NEXI-P61B")
    assert lanes.estate.terminal_with_tid("shop", TID) == terminal
    assert lanes.estate.device_of(terminal) == Device(
        LANE, 1, "", lanes.time, Lifecycle.CREATED, None, None
    )


def test_terminals_that_wait_for_their_devices_have_no_name_to_quarrel_for(lanes: Lanes) -> None:
    lanes.add()
    lanes.add("30350040")
    assert lanes.estate.terminal_named("shop", "NEXI-P61B") is None
    assert lanes.estate.terminal_named("shop", "NEXI-P61B-") is None


def test_a_tid_means_one_terminal_of_an_organisation(lanes: Lanes) -> None:
    lanes.add()
    with pytest.raises(InvalidRequest, match=rf"'{LANE}' \(NEXI-P61B\) has the TID {TID} already"):
        lanes.add(key="other")
    with pytest.raises(InvalidRequest) as misfit:
        lanes.apply(declared(store(till(tid=TID))))
    assert misfit.value.field == "organisations[0].merchants[0].stores[0].terminals[0].tid"
    lanes.apply(declared(store(till(tid=TID)), organisation="rival"))


def test_the_tid_of_a_retired_terminal_is_free_again_and_its_key_is_not(lane: Lanes) -> None:
    lane.retire()
    lane.add()
    again = lane.estate.terminal_with_tid("shop", TID)
    assert again is not None
    assert (again.id, again.lifecycle) == (f"{LANE}-2", Lifecycle.CREATED)
    with pytest.raises(Conflict, match="is that of a terminal that is REMOVED"):
        lane.add("30350041", key=TID)


@pytest.mark.parametrize("tid", ["3035003", "303500399", "3035003A", "٣٠٣٥٠٠٣٩", ""])
def test_who_wants_eight_digits_gets_no_other_tid(lanes: Lanes, tid: str) -> None:
    for wanted in ({"driver": "paymentbridge"}, {"eight_digits": True}):
        with pytest.raises(InvalidRequest) as refusal:
            lanes.add(tid, **wanted)  # type: ignore[arg-type]
        assert refusal.value.field == "tid"
    assert not lanes.estate.terminals


def test_any_tid_is_good_where_nobody_wants_eight_digits(lanes: Lanes) -> None:
    lanes.add("Lane.7")
    assert "shop:lane.7" in lanes.estate.terminals


@pytest.mark.parametrize(
    ("field", "value"),
    [("manufacturer", "NE-XI"), ("model", ""), ("serial", "a b"), ("key", "A"), ("tid", "x" * 33)],
)
def test_what_names_it_has_the_form_that_the_estate_file_wants(
    lanes: Lanes, field: str, value: str
) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        lanes.add(**{field: value})
    assert refusal.value.field == field
    assert refusal.value.allowed


def test_a_device_that_serves_another_terminal_cannot_serve_this_one(lane: Lanes) -> None:
    for step in (
        lambda: lane.add("30350040", serial="a1"),
        lambda: (lane.add("30350041"), lane.activate("A1", "shop:30350041")),
        lambda: (lane.activate("B1", "shop:30350041"), lane.swap("a1", lane="shop:30350041")),
    ):
        with pytest.raises(InvalidRequest, match=f"serves the terminal '{LANE}' already"):
            step()


def test_what_is_not_there_is_said(lanes: Lanes) -> None:
    with pytest.raises(NotFound):
        lanes.add(store_id="nowhere")
    for step in (lanes.activate, lambda: lanes.swap("B2"), lanes.retire):
        with pytest.raises(NotFound):
            step()


# --- activating -----------------------------------------------------------------------------


def test_an_activated_terminal_has_a_device_and_a_time(lanes: Lanes) -> None:
    lanes.add()
    lanes.activate("A1")
    assert lanes.terminal(LANE).name == "NEXI-P61B-A1"
    (device,) = lanes.estate.devices[LANE]
    assert (device.number, device.serial, device.activated_at) == (1, "A1", lanes.time)


def test_the_device_may_have_been_announced(lanes: Lanes) -> None:
    lanes.add(serial="A1")
    lanes.activate("")
    assert lanes.devices() == [("A1", Lifecycle.ACTIVATED)]


def test_another_device_than_was_announced_may_come(lanes: Lanes) -> None:
    lanes.add(serial="A1")
    lanes.activate("B2")
    assert lanes.devices() == [("A1", Lifecycle.REMOVED), ("B2", Lifecycle.ACTIVATED)]
    assert lanes.estate.devices[LANE][0].activated_at is None


def test_a_device_has_a_serial_number(lanes: Lanes) -> None:
    lanes.add()
    with pytest.raises(InvalidRequest, match="serial: it is empty"):
        lanes.activate("")


def test_a_terminal_is_activated_once(lane: Lanes) -> None:
    with pytest.raises(Conflict, match=r"ACTIVATED already\. A swap puts another device"):
        lane.activate("B2")
    lane.retire()
    with pytest.raises(Conflict, match="cannot become ACTIVATED"):
        lane.activate("B2")


# --- swapping -------------------------------------------------------------------------------


@pytest.mark.parametrize("former", [Lifecycle.REMOVED, Lifecycle.ACTIVATED])
def test_a_swap_keeps_the_terminal_and_its_tid(lane: Lanes, former: Lifecycle) -> None:
    before = lane.terminal(LANE)
    change = lane.swap("B2", former)
    after = lane.terminal(LANE)
    assert after == msgspec.structs.replace(before, serial="B2")
    assert change.idle_terminal == LANE
    first, second = lane.estate.devices[LANE]
    assert (first.lifecycle, first.removed_at) == (
        former,
        lane.time if former is Lifecycle.REMOVED else None,
    )
    assert second == Device(LANE, 2, "B2", lane.time, Lifecycle.ACTIVATED, lane.time)
    assert lane.estate.device_of(after) == second


def test_the_token_of_the_former_device_opens_nothing(lane: Lanes) -> None:
    lane.put(msgspec.structs.replace(lane.terminal(LANE), device_digest=b"digest"))
    lane.swap("B2", Lifecycle.ACTIVATED)
    assert lane.terminal(LANE).device_digest is None
    assert lane.estate.terminal_with_digest(b"digest") is None


def test_the_device_that_stands_there_cannot_be_swapped_for_itself(lane: Lanes) -> None:
    for serial in ("A1", "a1", ""):
        with pytest.raises(InvalidRequest) as refusal:
            lane.swap(serial)
        assert refusal.value.field == "serial"


def test_a_device_that_was_in_use_does_not_become_created(lane: Lanes) -> None:
    with pytest.raises(InvalidRequest, match="ACTIVATED or REMOVED"):
        lane.swap("B2", Lifecycle.CREATED)


def test_only_where_a_device_stands_it_can_be_swapped(lanes: Lanes) -> None:
    lanes.add()
    with pytest.raises(Conflict, match=r"is CREATED\. It has no device yet"):
        lanes.swap("B2")
    lanes.retire()
    with pytest.raises(Conflict, match=r"is REMOVED\. There is no way back"):
        lanes.swap("B2")


def test_a_device_that_comes_back_begins_anew(lane: Lanes) -> None:
    lane.swap("B2", Lifecycle.ACTIVATED)
    lane.swap("A1")
    assert lane.devices() == [
        ("A1", Lifecycle.REMOVED),
        ("B2", Lifecycle.REMOVED),
        ("A1", Lifecycle.ACTIVATED),
    ]


def test_the_newest_device_is_the_newest_by_its_time_also_when_a_clock_was_set_back(
    lane: Lanes,
) -> None:
    lane.swap("B2", Lifecycle.ACTIVATED)
    lane.time = Instant(0)
    lane.swap("C3", Lifecycle.ACTIVATED)
    seconds = [(each.activated_at or 0) // 1000 for each in lane.estate.devices[LANE]]
    assert seconds == sorted(set(seconds))


# --- retiring -------------------------------------------------------------------------------


def test_with_a_terminal_all_its_devices_are_retired(lane: Lanes) -> None:
    lane.put(msgspec.structs.replace(lane.terminal(LANE), device_digest=b"digest"))
    lane.swap("B2", Lifecycle.ACTIVATED)
    change = lane.retire()
    assert change.idle_terminal == LANE
    terminal = lane.terminal(LANE)
    assert (terminal.lifecycle, terminal.device_digest) == (Lifecycle.REMOVED, None)
    assert lane.devices() == [("A1", Lifecycle.REMOVED), ("B2", Lifecycle.REMOVED)]
    assert lane.estate.terminal_with_tid("shop", TID) is None
    with pytest.raises(Conflict, match="REMOVED already"):
        lane.retire()


def test_a_terminal_that_never_had_a_device_can_be_retired(lanes: Lanes) -> None:
    lanes.add()
    lanes.retire()
    assert lanes.devices() == [("", Lifecycle.REMOVED)]


# --- steps and files ------------------------------------------------------------------------


def entry(**changes: Any) -> dict[str, Any]:
    """The lane as an estate file has it."""
    lane = {"manufacturer": "NEXI", "model": "P61B", "driver": "virtual", "tid": TID}
    return {"key": TID, **lane, **changes}


def test_a_step_is_the_plan_of_a_file_that_says_the_same(lanes: Lanes) -> None:
    def plan_of(**changes: Any) -> tuple[Change, ...]:
        twin = Lanes()
        twin.things, twin.time = dict(lanes.things), lanes.time
        return twin.apply(declared(store(entry(**changes))))

    assert plan_of(lifecycle="CREATED") == (lanes.add(),)
    assert plan_of(serial="A1") == (lanes.activate("A1"),)
    assert plan_of(serial="B2") == (lanes.swap("B2"),)
    assert plan_of(serial="B2", lifecycle="REMOVED") == (lanes.retire(),)


def test_a_file_that_says_what_the_steps_did_changes_nothing(lanes: Lanes) -> None:
    lanes.add()
    assert lanes.apply(declared(store(entry(lifecycle="CREATED")))) == ()
    lanes.activate("A1")
    lanes.swap("B2", Lifecycle.ACTIVATED)
    assert lanes.apply(declared(store(entry(serial="B2")))) == ()
    lanes.retire()
    assert lanes.apply(declared(store(entry(lifecycle="REMOVED")))) == ()


def test_a_file_from_before_a_step_shows_what_it_would_undo(lane: Lanes) -> None:
    lane.swap("B2", Lifecycle.ACTIVATED)
    (change,) = lane.apply(declared(store(entry(serial="A1"))))
    assert [(each.field, each.old, each.new) for each in change.fields] == [("serial", "B2", "A1")]
    assert change.idle_terminal == LANE
    with pytest.raises(InvalidRequest, match="ACTIVATED cannot become CREATED"):
        lane.apply(declared(store(entry(lifecycle="CREATED"))))


def test_a_file_may_retire_without_saying_which_device_stands_there(lane: Lanes) -> None:
    lane.swap("B2", Lifecycle.ACTIVATED)
    lane.apply(declared(store(entry(lifecycle="REMOVED"))))
    assert lane.terminal(LANE).serial == "B2"
    assert lane.devices() == [("A1", Lifecycle.REMOVED), ("B2", Lifecycle.REMOVED)]


def test_an_activated_terminal_of_a_file_has_a_serial_number() -> None:
    with pytest.raises(ConfigurationError, match=r"terminals\[0\].serial: an ACTIVATED terminal"):
        declared(store(entry()))


# --- all of it ------------------------------------------------------------------------------

TIDS = ("30350001", "30350002")
SERIALS = st.sampled_from(["A1", "a1", "B2", "C3", ""])
KEYS = st.sampled_from([f"shop:{tid}{end}" for tid in TIDS for end in ("", "-2")])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from(TIDS)),
        st.tuples(st.just("activate"), SERIALS, KEYS),
        st.tuples(
            st.just("swap"),
            SERIALS,
            st.sampled_from([Lifecycle.ACTIVATED, Lifecycle.REMOVED]),
            KEYS,
        ),
        st.tuples(st.just("retire"), KEYS),
    ),
    max_size=12,
)


@given(steps=STEPS)
def test_whatever_is_done_a_till_that_knows_the_tid_finds_the_device_that_stands_there(
    steps: list[tuple[Any, ...]],
) -> None:
    lanes = Lanes()
    for name, *arguments in steps:
        before = lanes.estate
        try:
            getattr(lanes, name)(*arguments)
        except TillwireError:
            assert lanes.estate.terminals == before.terminals
        for terminal in before.terminals.values():
            assert no_way_back(terminal.lifecycle, lanes.terminal(terminal.id).lifecycle)
        found = operational(lanes.estate)
        present = lanes.estate.terminals_of("shop")
        assert len({each.tid for each in present}) == len(present)
        assert found == {
            each.tid: each.serial for each in present if each.lifecycle is Lifecycle.ACTIVATED
        }


def no_way_back(before: Lifecycle, after: Lifecycle) -> bool:
    order = list(Lifecycle)
    return order.index(before) <= order.index(after)


def operational(estate: Estate) -> dict[str, str]:
    """What a till makes of all the devices that it is told of (source 000): the one of a TID that
    was activated last, by times in whole seconds, of those that are ACTIVATED."""
    found: dict[str, tuple[int, str]] = {}
    for terminal in estate.terminals.values():
        for device in estate.devices[terminal.id]:
            if device.lifecycle is Lifecycle.ACTIVATED and device.activated_at is not None:
                since = device.activated_at // 1000
                if terminal.tid not in found or since > found[terminal.tid][0]:
                    found[terminal.tid] = since, device.serial
    return {tid: serial for tid, (_, serial) in found.items()}
