"""Receipts, from the parts that a terminal sends to plain lines and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.ecr17.wire.messages import TID, payload
from tillwire.dialects.ecr17 import wire
from tillwire.dialects.ecr17.wire.tickets import COLUMNS, LARGEST_TICKET, LONGEST_PART
from tillwire.errors import LocalProtocolError

FEED = b"}}}}}}\x1b"
NUMBER = "4111111111111111"


def part(octets: bytes) -> wire.ReceiptPart:
    return wire.ReceiptPart(tid=TID, octets=octets)


def read(*parts: bytes) -> list[str]:
    """The tickets in these parts."""
    reader = wire.TicketReader()
    return [ticket for each in parts for ticket in reader.feed(part(each))]


def test_the_published_ticket() -> None:
    reader = wire.TicketReader()
    first = wire.decode_result(payload("receipt_part_1"))
    last = wire.decode_result(payload("receipt_part_2_last"))
    assert isinstance(first, wire.ReceiptPart)
    assert isinstance(last, wire.ReceiptPart)
    assert (first.is_last, last.is_last) == (False, True)
    assert reader.feed(first) == []
    assert not reader.is_empty
    assert reader.feed(last) == [
        "      NEXI PAYMENTS\nESERCENTE DEMO\n   EUR 12,34\nTRANSAZIONE ESEGUITA"
    ]
    assert reader.is_empty


@pytest.mark.parametrize(
    ("octets", "lines"),
    [
        (b"A}B}", ["A", "B"]),
        (b"A}}B}", ["A", "", "B"]),
        (b"}A}", ["", "A"]),
        (b"A", ["A"]),
        # A line that is exactly full ends by itself, and a new line behind it is a blank one.
        (b"A" * 24 + b"B}", ["A" * 24, "B"]),
        (b"A" * 24 + b"}B}", ["A" * 24, "", "B"]),
        (b"A" * 25 + b"}B}", ["A" * 24, "A", "B"]),
        # Formats stand at the beginning of a line, and end with it.
        (b"\x7fEUR 1,00}B}", ["EUR 1,00", "B"]),
        (b"\x7f" + b"A" * 24 + b"\x7fB}", ["A" * 24, "B"]),
        (b"~tall}{wide}|bold}", ["tall", "wide", "bold"]),
        (b"{" + b"A" * 12 + b"B}", ["A" * 12, "B"]),
        (b"|" + b"A" * 13 + b"}", ["A" * 12, "A"]),
        (b"^" + b"A" * 42 + b"B}", ["A" * 24, "A" * 18, "B"]),
        (b"^" + b"A" * 41 + b"}B}", ["A" * 24, "A" * 17, "B"]),
        (b"A\x7fB}", ["AB"]),
        (b"\x7f}B}", ["", "B"]),
        # Nothing that the till's printer would obey.
        (b"A\x00\x0cB}", ["A  B"]),
        ("Città}".encode("latin-1"), ["Citt?"]),
        (b"  A  }", ["  A"]),
    ],
)
def test_the_line_codes(octets: bytes, lines: list[str]) -> None:
    assert read(octets + FEED) == ["\n".join(lines)]


def test_two_tickets_in_a_row_and_in_one_part() -> None:
    assert read(b"ONE}" + FEED, b"TWO}" + FEED) == ["ONE", "TWO"]
    assert read(b"ONE}" + FEED + b"TWO}" + FEED) == ["ONE", "TWO"]


@given(st.lists(st.integers(0, 60), max_size=6))
def test_a_ticket_may_be_cut_anywhere(cuts: list[int]) -> None:
    octets = b"NEXI}" + b"A" * 24 + b"\x7f EUR 12,34}" + FEED
    places = sorted(min(each, len(octets)) for each in cuts)
    parts = [octets[a:b] for a, b in zip([0, *places], [*places, len(octets)], strict=True)]
    assert read(*parts) == [f"NEXI\n{'A' * 24}\n EUR 12,34"]


def test_a_ticket_that_never_ends_is_given_up() -> None:
    reader = wire.TicketReader()
    for _ in range(LARGEST_TICKET // LONGEST_PART):
        assert reader.feed(part(b"A" * LONGEST_PART)) == []
    with pytest.raises(wire.Unreadable, match=f"more than {LARGEST_TICKET} characters"):
        reader.feed(part(b"A" * LONGEST_PART))
    assert reader.is_empty


# --- card numbers -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "line"),
    [
        (b"PAN 4111111111111111}", "PAN ************1111"),
        (b"PAN 4111 1111 1111 1111}", "PAN **** **** **** 1111"),
        (b"PAN 5413330089600010}", "PAN ************0010"),
        (b"TEL 06 1234 5678}", "TEL 06 1234 5678"),
    ],
)
def test_a_card_number_on_a_receipt(octets: bytes, line: str) -> None:
    assert read(octets + FEED) == [line]


def test_a_card_number_that_two_parts_share() -> None:
    whole = b"PAN 4111111111111111}" + FEED
    for place in range(1, len(whole)):
        assert read(whole[:place], whole[place:]) == ["PAN ************1111"]


def test_a_card_number_that_two_lines_share() -> None:
    for before in range(1, COLUMNS + 1):
        octets = b"A" * (COLUMNS - before) + NUMBER.encode() + b"}" + FEED
        (ticket,) = read(octets)
        assert ticket.replace("\n", "").endswith("************1111")


def test_a_card_number_behind_a_full_line_of_digits() -> None:
    # Together they are too long to be one.
    (ticket,) = read(b"RIF " + b"9" * 20 + NUMBER.encode() + b"}" + FEED)
    assert ticket.split("\n") == ["RIF " + "9" * 20, "************1111"]


def test_a_receipt_of_ours_shows_none() -> None:
    (only,) = wire.receipt_parts(TID, f"PAN {NUMBER}")
    assert only.octets == b"PAN ************1111}" + FEED


# --- written ------------------------------------------------------------------------------------

LINES = st.lists(st.text("ABC abc0.,:-", max_size=COLUMNS).map(str.rstrip), max_size=40)


@given(LINES)
def test_what_was_written_is_read(lines: list[str]) -> None:
    text = "\n".join(lines).rstrip()
    parts = wire.receipt_parts(TID, text)
    assert all(1 <= len(each.octets) <= LONGEST_PART for each in parts)
    payloads = [wire.encode(each) for each in parts]
    reader = wire.TicketReader()
    tickets: list[str] = []
    for each in payloads:
        again = wire.decode_result(each)
        assert isinstance(again, wire.ReceiptPart)
        tickets += reader.feed(again)
    assert tickets == ([text] if text else [])
    assert reader.is_empty
    assert [each.is_last for each in parts] == [False] * (len(parts) - 1) + [True] * bool(parts)


def test_the_published_form_of_the_end() -> None:
    (only,) = wire.receipt_parts(TID, "TRANSAZIONE ESEGUITA")
    assert wire.encode(only) == payload("receipt_part_2_last")


def test_a_full_line_has_no_new_line_behind_it() -> None:
    (only,) = wire.receipt_parts(TID, "A" * 24 + "\n\nB")
    assert only.octets == b"A" * 24 + b"}B}" + FEED


def test_parts_are_as_long_as_they_may_be() -> None:
    parts = wire.receipt_parts(TID, "\n".join(["A" * 24] * 20))
    assert [len(each.octets) for each in parts] == [192, 192, 103]


def test_what_is_not_ascii_is_spelt_in_it() -> None:
    (only,) = wire.receipt_parts(TID, "Caffè € {|}~^ \x1b\x7f 日\r\nß")
    assert only.octets == b"Caffe E (!)-'    ?}ss}" + FEED


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ("TOTALE" + " " * 20 + "12,34 EUR", ["TOTALE         12,34 EUR"]),
        ("UNA RIGA CHE NON CI STA SU QUESTA CARTA", ["UNA RIGA CHE NON CI STA", "SU QUESTA CARTA"]),
        ("        NEGOZIO DI VIA ROMA     ", ["  NEGOZIO DI VIA ROMA"]),
        ("A" * 30, ["A" * 24, "A" * 6]),
        ("B" * 14 + "  " + "C" * 14, ["B" * 14, "C" * 14]),
    ],
)
def test_what_is_wider_than_the_paper_is_laid_out_anew(wide: str, narrow: list[str]) -> None:
    (only,) = wire.receipt_parts(TID, wide)
    assert read(only.octets) == ["\n".join(narrow)]


@pytest.mark.parametrize("nothing", ["", " ", "\n\n"])
def test_no_text_is_no_ticket(nothing: str) -> None:
    assert wire.receipt_parts(TID, nothing) == []


@pytest.mark.parametrize("octets", [b"", b"A" * 201, b"A\x03", b"\xe8", b"A\nB"])
def test_a_part_that_the_protocol_does_not_know_is_not_written(octets: bytes) -> None:
    with pytest.raises(LocalProtocolError, match="octets"):
        wire.encode(part(octets))
