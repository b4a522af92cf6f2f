"""Which devices operate: ACTIVATED alone, and of each TID the one that was activated last."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from tillwire.dialects.paymentbridge.wire.devices import operational
from tillwire.dialects.paymentbridge.wire.fields import moment, stamp
from tillwire.dialects.paymentbridge.wire.places import StoreDevice

MOMENTS = st.integers(0, 2 * 10**12).map(stamp) | st.sampled_from(
    ["2023-08-03T13:58:00Z", "2023-08-03T13:58:00.500Z", "2023-08-03T15:58:00+02:00", "", "soon"]
)
DEVICES = st.lists(
    st.builds(
        StoreDevice,
        external_terminal_id=st.sampled_from(["30350001", "30350002", "30350003", ""]) | st.none(),
        status=st.sampled_from(["CREATED", "ACTIVATED", "ACTIVATED", "REMOVED", "DEACTIVATED", ""]),
        device_id=st.sampled_from(["urn:tid:a", "urn:tid:b", "urn:tid:c", ""]) | st.none(),
        activated_at=MOMENTS | st.none(),
    ),
    max_size=12,
)


def activated(device: StoreDevice) -> int:
    since = moment(device.activated_at)
    return -1 if since is None else since


@given(DEVICES)
def test_all_that_operate_are_activated_and_can_be_reached(devices: list[StoreDevice]) -> None:
    for tid, device in operational(devices).items():
        assert device in devices
        assert (device.status, device.external_terminal_id) == ("ACTIVATED", tid)
        assert device.device_id
        assert tid


@given(DEVICES)
def test_each_lane_with_an_activated_device_has_its_newest(devices: list[StoreDevice]) -> None:
    found = operational(devices)
    usable = [
        each
        for each in devices
        if each.status == "ACTIVATED" and each.device_id and each.external_terminal_id
    ]
    assert found.keys() == {each.external_terminal_id for each in usable}
    for each in usable:
        assert activated(each) <= activated(found[each.external_terminal_id or ""])


@given(DEVICES, DEVICES)
def test_what_does_not_operate_changes_nothing(
    devices: list[StoreDevice], others: list[StoreDevice]
) -> None:
    idle = [each for each in others if each.status != "ACTIVATED"]
    assert operational(idle) == {}
    assert operational([*idle, *devices]) == operational([*devices, *idle]) == operational(devices)


@given(DEVICES)
def test_once_filtered_it_stays_as_it_is(devices: list[StoreDevice]) -> None:
    found = operational(devices)
    assert operational(found.values()) == found


@given(DEVICES, st.randoms(use_true_random=False))
def test_the_order_matters_only_between_equals(devices: list[StoreDevice], chance: Random) -> None:
    found = operational(devices)
    shuffled = list(devices)
    chance.shuffle(shuffled)
    again = operational(shuffled)
    assert again.keys() == found.keys()
    assert all(activated(again[tid]) == activated(found[tid]) for tid in found)


def device(number: str, activated_at: str | None, status: str = "ACTIVATED") -> StoreDevice:
    return StoreDevice(
        external_terminal_id="30350001",
        device_id=f"urn:tid:{number}",
        status=status,
        activated_at=activated_at,
    )


def test_a_swapped_device_gives_way_to_its_successor() -> None:
    old, new = device("old", "2023-08-03T13:58:00Z"), device("new", "2024-01-02T08:00:00Z")
    assert operational([new, old]) == operational([old, new]) == {"30350001": new}
    gone = device("old", "2025-01-01T00:00:00Z", "REMOVED")
    assert operational([new, gone]) == {"30350001": new}


def test_moments_are_compared_and_not_their_texts() -> None:
    earlier, later = device("a", "2023-08-03T13:58:00Z"), device("b", "2023-08-03T13:58:00.500Z")
    assert operational([later, earlier]) == {"30350001": later}
    zoned = device("c", "2023-08-03T13:58:30+02:00")  # two hours before
    assert operational([zoned, earlier]) == {"30350001": earlier}


def test_of_equals_the_one_that_was_added_last_operates() -> None:
    first, second = device("a", None), device("b", None)
    assert operational([first, second]) == {"30350001": second}
    assert operational([device("c", "2023-08-03T13:58:00Z"), second])["30350001"].device_id == (
        "urn:tid:c"
    )
