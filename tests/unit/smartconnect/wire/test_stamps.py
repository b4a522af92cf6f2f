"""SmartConnect's moments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwire.dialects.smartconnect.wire import stamps

AUCKLAND = "Pacific/Auckland"
MOMENT = 1_773_454_508_123
"""2026-03-14T02:15:08.123Z"""


def test_the_cloud_s_moments_have_18_digits_in_utc() -> None:
    assert stamps.long(MOMENT) == "202603140215081230"
    assert stamps.read_long("202603140215081239") == MOMENT


def test_the_terminal_s_moments_have_14_digits_of_its_own_time() -> None:
    assert stamps.short(MOMENT, AUCKLAND) == "20260314151508"
    assert stamps.read_short("20260314151508", AUCKLAND) == MOMENT // 1000 * 1000


@given(st.integers(0, 4_102_444_800_000))
def test_moments_are_read_as_they_were_written(instant: int) -> None:
    assert stamps.read_long(stamps.long(instant)) == instant
    assert stamps.read_short(stamps.short(instant, "UTC"), "UTC") == instant // 1000 * 1000


@pytest.mark.parametrize(
    "text", ["", "2026", "20260314021508", "20261314021508" + "0000", "2026031402150８1234",
             "00000000000000" + "0000", " 202603140215081234"],
)  # fmt: skip
def test_what_is_no_moment_of_the_cloud_s_is_none(text: str) -> None:
    assert stamps.read_long(text) is None


@pytest.mark.parametrize("text", ["", "20260230120000", "202603141515", "00000101000000", "x" * 14])
def test_what_is_no_moment_of_a_terminal_s_is_none(text: str) -> None:
    assert stamps.read_short(text, AUCKLAND) is None


def test_the_hour_that_comes_twice_is_its_first() -> None:
    assert stamps.read_short("20260405023000", AUCKLAND) == 1_775_309_400_000
