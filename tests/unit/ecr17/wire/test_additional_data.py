"""Tags for the host, and what comes back from it."""

from __future__ import annotations

import pytest

from tests.unit.ecr17.wire.messages import TID, payload
from tillwire.dialects.ecr17 import wire
from tillwire.dialects.ecr17.wire import ByteMap, Tag
from tillwire.errors import InvalidRequest, LocalProtocolError

HEAD = b"123456780U"
CONTRACT = "0COF0TRK1666354841608|0FNZ03"


def asked(*tags: Tag) -> wire.AdditionalData:
    return wire.AdditionalData(tid=TID, tags=tags)


def test_the_nth_digit_is_the_index_of_the_nth_tag() -> None:
    octets = wire.encode(asked(Tag("BTD1666354841608", 1), Tag("0REC0FNZ03", 5)))
    assert octets == HEAD + b"00000000DF8D01  0150000000" + (b"BTD1666354841608\x1b0REC0FNZ03\x1b")
    assert wire.decode_request(octets) == asked(Tag("BTD1666354841608", 1), Tag("0REC0FNZ03", 5))


def test_a_byte_map_of_zeros_says_nothing_of_indices() -> None:
    octets = wire.encode(asked(Tag(CONTRACT, 5)), wire.Spelling(byte_map=ByteMap.ZEROS))
    assert octets[27:31] == b"0000"
    assert wire.decode_request(octets) == asked(Tag(CONTRACT))


def test_an_index_that_does_not_exist_says_nothing() -> None:
    octets = payload("additional_data_request")
    assert wire.decode_request(octets[:27] + b"9000" + octets[31:]) == asked(Tag(CONTRACT))


def test_something_is_wanted_back() -> None:
    octets = wire.encode(
        wire.AdditionalData(tid=TID, back_from="62", back_tag="DF8D01", tags=(Tag("A", 1),))
    )
    assert octets[16:26] == b"62DF8D01  "


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        (b"", "0 tags; allowed are 1 to 4"),
        (b"A", "the last tag has no end"),
        (b"A\x1bB", "the last tag has no end"),
        (b"A\x01\x0b", "the last tag has no end"),
        (b"\x1b", "a tag is empty, or not printable"),
        (b"A\x1b\x1b", "a tag is empty, or not printable"),
        (b"A\x00\x1b", "a tag is empty, or not printable"),
        (b"A\x1b" * 5, "5 tags; allowed are 1 to 4"),
        (b"A" * 101 + b"\x1b", "the tags have more than 100 octets"),
        ((b"A" * 26 + b"\x1b") * 4, "the tags have more than 100 octets"),
    ],
)
def test_tags_that_cannot_be_read(contents: bytes, reason: str) -> None:
    with pytest.raises(wire.Unreadable) as refused:
        wire.decode_request(HEAD + b"00000000DF8D01  0000000000" + contents)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    "tags",
    [
        (),
        (Tag("A", 1),) * 2,
        (Tag("A", 1), Tag("B", 2), Tag("C", 3), Tag("D", 4), Tag("E", 5)),
        (Tag("A", 6),),
        (Tag("A", 0),),
        (Tag("A" * 31, 1),),
        (Tag("A" * 101, 5),),
        (Tag("A" * 80, 5), Tag("A" * 21, 1)),
        (Tag("", 1),),
        (Tag("A\x1b", 1),),
        (Tag("è", 1),),
    ],
)
def test_tags_that_cannot_be_sent(tags: tuple[Tag, ...]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        wire.encode(asked(*tags))
    assert refused.value.field == "tags"


def test_as_much_as_there_may_be() -> None:
    full = asked(Tag("A" * 30, 1), Tag("B" * 30, 4), Tag("C" * 40, 5))
    assert wire.decode_request(wire.encode(full)) == full
    assert wire.encode(asked(Tag("A" * 100, 5)))


def test_what_the_host_hands_back() -> None:
    octets = HEAD + b"000000" + b"012" + b"DF8D01041234" + b"0" * 10
    back = wire.HostData(tid=TID, content="DF8D01041234")
    assert wire.decode_result(octets) == back
    assert wire.encode(back) == octets


@pytest.mark.parametrize(
    ("rest", "content"),
    [
        (b"", ""),
        (b"000000", ""),
        (b"000000003ABC", "ABC"),
        (b"000000003ABC" + b"0" * 12, "ABC"),
        # A length that cannot be: what is there before the zeros.
        (b"000000999ABC" + b"0" * 10, "ABC"),
        (b"000000XXXABC" + b"0" * 10, "ABC"),
        (b"000000999ABC", ""),
    ],
)
def test_what_the_host_hands_back_in_another_form(rest: bytes, content: str) -> None:
    assert wire.decode_result(HEAD + rest) == wire.HostData(tid=TID, content=content)


@pytest.mark.parametrize("content", ["A" * 256, "è", "A\x1b"])
def test_what_the_host_cannot_have_handed_back(content: str) -> None:
    with pytest.raises(LocalProtocolError, match="content"):
        wire.encode(wire.HostData(tid=TID, content=content))
