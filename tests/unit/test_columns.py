"""A receipt printer's columns: nothing is wider than the paper, and nothing is lost."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwire.core.columns import centred, columns, pair, printable, wrapped

WIDTHS = st.sampled_from([24, 30, 40])


def test_what_a_printer_would_obey_is_not_printed() -> None:
    assert printable("Cor\x1bner\r\nShop\x07\u202e \u200bNo\t1\u2028") == "Cor ner Shop No 1"


def test_accents_stay() -> None:
    assert printable("Cafe\u0301 Zoë – Æbleskiver") == "Café Zoë – Æbleskiver"


def test_wide_characters_take_two_columns() -> None:
    assert columns("寿司 bar") == 8
    assert wrapped("寿司寿司寿司寿司寿司寿司寿司", 24) == ("寿司寿司寿司寿司寿司寿司", "寿司")


def test_a_wide_character_is_not_cut_in_half() -> None:
    found = wrapped("a寿司寿司寿司寿司寿司寿司寿司", 24)
    assert found == ("a寿司寿司寿司寿司寿司寿", "司寿司")


def test_lines_break_between_words() -> None:
    assert list(wrapped("The Old Curiosity Shop of Portsmouth Street", 24)) == [
        "The Old Curiosity Shop",
        "of Portsmouth Street",
    ]


@pytest.mark.parametrize(
    ("label", "value", "lines"),
    [
        ("Date", "2025-11-21", ["Date          2025-11-21"]),
        ("Terminal", "SUNMI-P2lite-P1", ["Terminal SUNMI-P2lite-P1"]),
        ("Terminal", "SUNMI-P2lite-PL0919", ["Terminal", "     SUNMI-P2lite-PL0919"]),
        (
            "Transaction",
            "1763736309123000000000000000000",
            ["Transaction", "176373630912300000000000", "                 0000000"],
        ),
        ("Auth. code", "", []),
    ],
)
def test_a_value_that_does_not_fit_goes_below_its_label(
    label: str, value: str, lines: list[str]
) -> None:
    assert list(pair(label, value, 24)) == lines


@given(st.text(), st.text(), WIDTHS)
def test_no_line_is_wider_than_the_paper(label: str, value: str, width: int) -> None:
    for line in [*wrapped(value, width), *centred(value, width), *pair(label, value, width)]:
        assert columns(line) <= width
        assert len(line) <= width
        assert not any(unicodedata.category(each) in {"Cc", "Cf", "Zl", "Zp"} for each in line)


@given(st.text(), WIDTHS)
def test_wrapping_loses_nothing_that_can_be_printed(text: str, width: int) -> None:
    assert "".join(wrapped(text, width)).replace(" ", "") == printable(text).replace(" ", "")
