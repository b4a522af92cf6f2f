"""A card number never survives (law 7), and what is none stays readable."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwire.pan import is_in, last_four, luhn, masked


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


@given(st.text("0123456789 -", max_size=40) | st.text("01 ", max_size=80))
def test_every_possible_number_in_a_run_of_groups_is_looked_at(text: str) -> None:
    hidden: set[int] = set()
    for run in re.finditer(r"[0-9]+(?:[ \-]{1,2}[0-9]+)*", text):
        for positions in possible_numbers(run[0]):
            if luhn("".join(run[0][position] for position in positions)):
                hidden.update(run.start() + position for position in positions[:-4])
    expected = "".join("*" if place in hidden else each for place, each in enumerate(text))
    assert masked(text) == expected


def possible_numbers(run: str) -> Iterator[list[int]]:
    """Spelled out: the digits' places of whole groups with one and the same separator, 12 to 19,
    not beginning with 0."""
    groups = [range(*found.span()) for found in re.finditer("[0-9]+", run)]
    for first, last in itertools.combinations_with_replacement(range(len(groups)), 2):
        taken = groups[first : last + 1]
        separators = {run[a.stop : b.start] for a, b in itertools.pairwise(taken)}
        positions = [position for group in taken for position in group]
        if len(separators) <= 1 and 12 <= len(positions) <= 19 and run[positions[0]] != "0":
            yield positions


@pytest.mark.parametrize(
    "reference",
    [
        "4111111111111111",
        "till 2: 4111 1111 1111 1111, table 4",
        "4111-1111-1111-1111",
        "5500000000000004",
        "2223003122003222",
        "3782 822463 10005",
        "30569309025904",
        "6011111111111117",
        "3530111333300000",
        "6240008631401148",
        "6759649826438453",
    ],
)
def test_a_card_number_is_known_among_what_a_till_writes(reference: str) -> None:
    assert is_in(reference)


@pytest.mark.parametrize(
    "reference",
    [
        "4111111111111112",
        "inv2112280004",
        "till2-000481",
        "20261121035630",
        "179523276066018556268776",
        "41111111111111111111",
        "",
    ],
)
def test_what_is_no_card_number_is_the_tills_own(reference: str) -> None:
    assert not is_in(reference)


@given(st.integers(1_600_000_000_000, 1_999_999_999_999), st.sampled_from([1, 1000, 1_000_000]))
def test_a_reference_made_of_the_time_is_never_taken_for_a_card(now: int, finer: int) -> None:
    assert not is_in(str(now * finer))


def test_the_last_four_digits_of_whatever_a_terminal_shows() -> None:
    assert last_four("4111 1111 1111 1111") == "1111"
    assert last_four("XXXX-0119") == "0119"
    assert last_four("") == ""
