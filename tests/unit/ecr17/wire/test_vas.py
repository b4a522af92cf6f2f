"""The XML of alternative payment methods, out and back in blocks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.ecr17.wire.messages import REGISTER, TID, payload
from tillwire.dialects.ecr17 import wire
from tillwire.dialects.ecr17.wire.vas import LONGEST_XML, MOST_BLOCKS
from tillwire.errors import InvalidRequest, LocalProtocolError

NUMBER = "4111111111111111"
OWN = "1234567890128"
"""A till's own number that passes for some card's."""


def read(*blocks: wire.VasBlock) -> list[str | None]:
    reader = wire.VasReader()
    return [reader.feed(each) for each in blocks]


def block(number: int, octets: bytes, *, more: bool = False) -> wire.VasBlock:
    return wire.VasBlock(tid=TID, more=more, number=number, octets=octets)


def test_an_answer_of_one_block() -> None:
    octets = b"123456780K" + b"0000" + b"0" + b"001" + b"????" + b"0009" + b"<ecrres/>"
    read_ = wire.decode_result(octets)
    assert read_ == block(1, b"<ecrres/>")
    assert isinstance(read_, wire.VasBlock)
    assert read(read_) == ["<ecrres/>"]


@given(st.text("<p k='A'>è€ \n1", max_size=3000))
def test_an_answer_of_any_length(xml: str) -> None:
    blocks = wire.vas_blocks(TID, xml)
    again = [wire.decode_result(wire.encode(each)) for each in blocks]
    assert again == blocks
    *unfinished, whole = read(*blocks)
    assert set(unfinished) <= {None}
    assert whole == xml.encode("ascii", "xmlcharrefreplace").decode()
    assert [each.number for each in blocks] == list(range(1, len(blocks) + 1))


def test_a_block_that_comes_twice_is_taken_once() -> None:
    blocks = wire.vas_blocks(TID, "A" * 2000)
    assert read(blocks[0], blocks[0], blocks[1]) == [None, None, "A" * 2000]


@pytest.mark.parametrize("numbers", [[0], [2], [1, 3], [1, 2, 1], [*range(1, MOST_BLOCKS + 2)]])
def test_a_block_out_of_its_turn(numbers: list[int]) -> None:
    reader = wire.VasReader()
    for number in numbers[:-1]:
        assert reader.feed(block(number, b"A", more=True)) is None
    with pytest.raises(wire.Unreadable, match=f"block {numbers[-1]} after"):
        reader.feed(block(numbers[-1], b"A"))


def test_card_numbers_are_cut_and_orders_stay() -> None:
    xml = f'<t>{NUMBER}</t><p k="ORDER_ID">{OWN}</p><b>{OWN}</b>'
    assert read(*wire.vas_blocks(TID, xml)) == [
        f'<t>************1111</t><p k="ORDER_ID">{OWN}</p><b>*********0128</b>'
    ]
    assert read(*wire.vas_blocks(TID, f"<p k='ORDER_ID'>{NUMBER}</p>")) == [
        "<p k='ORDER_ID'>************1111</p>"
    ]


def test_a_card_number_that_two_blocks_share() -> None:
    for place in range(1, len(NUMBER)):
        first = block(1, b"<t>" + NUMBER[:place].encode(), more=True)
        assert read(first, block(2, NUMBER[place:].encode() + b"</t>")) == [
            None,
            "<t>************1111</t>",
        ]


@pytest.mark.parametrize(
    ("length", "xml"),
    [(b"0048", b"<a/>"), (b"0005", b"<a/>"), (b"00 4", b"<a/>"), (b"1025", b"x" * 1025)],
)
def test_a_request_whose_length_cannot_be(length: bytes, xml: bytes) -> None:
    with pytest.raises(wire.Unreadable):
        wire.decode_request(b"123456780K" + b"000000010000" + length + xml)


def test_what_follows_behind_the_length_is_ignored() -> None:
    whole = wire.decode_request(payload("vas_request"))
    assert wire.decode_request(payload("vas_request") + b"  ") == whole


def test_octets_that_are_not_ascii_are_replaced() -> None:
    read_ = wire.decode_request(b"123456780K" + b"000000010000" + b"0005" + b"<\xe8\x00/>")
    assert read_ == wire.VasRequest(tid=TID, cash_register=REGISTER, xml="<??/>")


@pytest.mark.parametrize("xml", ["x" * (LONGEST_XML + 1), "è", "\x03"])
def test_a_request_that_cannot_be_sent(xml: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        wire.encode(wire.VasRequest(tid=TID, cash_register=REGISTER, xml=xml))
    assert refused.value.field == "xml"


@pytest.mark.parametrize("octets", [b"x" * (LONGEST_XML + 1), b"\xe8", b"\x02"])
def test_a_block_that_cannot_be_sent(octets: bytes) -> None:
    with pytest.raises(LocalProtocolError, match="octets"):
        wire.encode(block(1, octets))
