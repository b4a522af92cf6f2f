"""A stream is cut into messages however it arrives, and given up when it cannot be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.nexo.wire.messages import EXAMPLES
from tillwire.dialects.nexo.wire.framing import COUNTS_ITSELF, LENGTH, FrameError, Frames, frame
from tillwire.errors import LocalProtocolError

ALL = list(EXAMPLES.values())


def test_a_frame_is_its_length_in_four_octets_and_the_message() -> None:
    assert frame(b"{}") == b"\x00\x00\x00\x02{}"
    assert frame(b"x" * 258)[:LENGTH] == b"\x00\x00\x01\x02"


def test_the_length_counts_the_message_alone_unless_it_is_told_otherwise() -> None:
    assert not COUNTS_ITSELF
    assert frame(b"{}", counts_itself=True) == b"\x00\x00\x00\x06{}"
    assert Frames(counts_itself=True).feed(frame(b"{}", counts_itself=True)) == [b"{}"]


@pytest.mark.parametrize("counts_itself", [False, True])
def test_one_octet_at_a_time(counts_itself: bool) -> None:
    frames = Frames(counts_itself=counts_itself)
    stream = b"".join(frame(each, counts_itself=counts_itself) for each in ALL)
    assert [whole for octet in stream for whole in frames.feed(bytes([octet]))] == ALL
    assert frames.is_empty


def test_many_messages_at_once() -> None:
    assert Frames().feed(b"".join(map(frame, ALL))) == ALL


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=8), st.data())
def test_any_split(messages: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(map(frame, messages))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    frames = Frames(limit=20)
    got: list[bytes] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += frames.feed(stream[start:end])
    assert got == messages
    assert frames.is_empty


def test_a_message_that_is_not_whole_is_noticed() -> None:
    for length in range(1, len(frame(b"{}"))):
        frames = Frames()
        assert frames.feed(frame(b"{}")[:length]) == []
        assert not frames.is_empty


@pytest.mark.parametrize("length", [b"\x00\x00\x00\x00", b"\x00\x00\x00\x0b", b"HTTP"])
def test_a_length_that_cannot_be_ends_the_stream(length: bytes) -> None:
    frames = Frames(limit=10)
    for octet in length[:-1]:
        assert frames.feed(bytes([octet])) == []
    with pytest.raises(FrameError, match="allowed are 1 to 10"):
        frames.feed(length[-1:])
    with pytest.raises(FrameError):
        frames.feed(frame(b"{}"))


def test_a_length_that_counts_itself_is_at_least_five() -> None:
    for size in range(5):
        with pytest.raises(FrameError):
            Frames(counts_itself=True).feed(size.to_bytes(4, "big"))


def test_the_limit_itself_is_allowed() -> None:
    assert Frames(limit=10).feed(frame(b"x" * 10)) == [b"x" * 10]


def test_what_was_whole_before_a_bad_length_is_not_lost() -> None:
    frames = Frames()
    assert frames.feed(frame(b"{}") + b"\x00\x00\x00\x00") == [b"{}"]
    with pytest.raises(FrameError):
        frames.feed(b"")


def test_no_more_is_held_than_one_message() -> None:
    frames = Frames(limit=10)
    frames.feed(frame(b"x" * 10) + frame(b"y" * 10)[:-1])
    assert frames.feed(b"y") == [b"y" * 10]


@given(st.binary(max_size=60), st.integers(1, 7))
def test_chance_is_cut_or_given_up(stream: bytes, step: int) -> None:
    frames = Frames(limit=16)
    whole: list[bytes] = []
    try:
        for start in range(0, len(stream), step):
            whole += frames.feed(stream[start : start + step])
    except FrameError:
        pass
    assert stream.startswith(b"".join(map(frame, whole)))


def test_nothing_is_no_message() -> None:
    with pytest.raises(LocalProtocolError):
        frame(b"")
