"""A card number never survives (law 7), and what is none stays readable."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwire.pan import last_four, luhn, masked


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("4111111111111111", "************1111"),
        ("PAN:4111 1111 1111 1111 12/28", "PAN:**** **** **** 1111 12/28"),
        ("4111-1111-1111-1111", "****-****-****-1111"),
        ("4111.1111.1111.1111", "****.****.****.1111"),
        ("3782 822463 10005", "**** ****** *0005"),
        ("10 4111 1111 1111 1111", "10 **** **** **** 1111"),
        ("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "* * * * * * * * * * * * 1 1 1 1"),
        (";4111111111111111=2812101", ";************1111=2812101"),
        ("CARD4111111111111111", "CARD************1111"),
        ("6304000000000000", "************0000"),
    ],
)
def test_card_numbers_are_cut_to_their_last_four_digits(written: str, kept: str) -> None:
    assert masked(written) == kept


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112",
        "1773480000000123456789012345678",
        "000000001250",
        "2026-03-14 09.20.00",
        "AID: D27600002545500200",
        "AID: A0000000031010",
        "**** **** **** 1111",
        "Total 12.50 EUR",
    ],
)
def test_what_is_no_card_number_stays(text: str) -> None:
    assert masked(text) == text


@given(
    st.integers(10**11, 10**18 - 1),
    st.sampled_from(["", " ", "-", "."]),
    st.text("ab:,\n", max_size=5),
    st.text("ab:,\n", max_size=5),
)
def test_a_card_number_never_survives_in_any_grouping(
    stem: int, separator: str, before: str, after: str
) -> None:
    number = next(f"{stem}{check}" for check in range(10) if luhn(f"{stem}{check}"))
    grouped = separator.join(number[start : start + 4] for start in range(0, len(number), 4))
    cut = masked(before + grouped + after)
    assert "".join(filter(str.isdigit, cut)) == number[-4:]
    assert cut.replace("*", "") != before + grouped + after
    assert len(cut) == len(before + grouped + after)


def test_the_last_four_digits_of_whatever_a_terminal_shows() -> None:
    assert last_four("4111 1111 1111 1111") == "1111"
    assert last_four("XXXX-0119") == "0119"
    assert last_four("") == ""
