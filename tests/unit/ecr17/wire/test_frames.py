"""A stream is cut into frames however it arrives, and garbage is left behind."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.ecr17.wire.messages import VECTORS, payload
from tillwire.dialects.ecr17.wire import (
    ACK,
    LARGEST,
    NAK,
    Ack,
    Application,
    Deframer,
    Frame,
    Lrc,
    Nak,
    Progress,
    application,
    progress,
)
from tillwire.errors import LocalProtocolError

STATUS = application(b"123456780s")
ASKED = Application(b"123456780s", STATUS[-1])
SHOWN = Progress("INSERIRE CARTA")
EXCHANGE = ACK + progress("INSERIRE CARTA") + VECTORS["payment_result_approved"].octets
IN_EXCHANGE = [Ack(), SHOWN, Application(payload("payment_result_approved"), 0x30)]

PAYLOADS = st.binary(min_size=1, max_size=40).map(
    lambda octets: octets.translate(None, b"\x02\x03\x06\x15") or b"x"
)
FRAMES = st.one_of(
    st.builds(application, PAYLOADS, st.sampled_from(Lrc)),
    st.text("ABC 123", min_size=1, max_size=20).filter(str.strip).map(progress),
    st.sampled_from([ACK, NAK]),
    st.builds(
        lambda first, odd: bytes((first, 3, odd)), st.sampled_from([6, 21]), st.integers(0, 255)
    ),
)


def fed(stream: bytes, cuts: list[int] = [], limit: int = LARGEST) -> tuple[list[Frame], Deframer]:  # noqa: B006
    deframer = Deframer(limit)
    places = sorted(min(each, len(stream)) for each in cuts)
    got: list[Frame] = []
    for start, end in zip([0, *places], [*places, len(stream)], strict=True):
        got += deframer.feed(stream[start:end])
    return got, deframer


CUTS = st.lists(st.integers(0, 400), max_size=12)


def test_acknowledgement_progress_and_result_in_one_packet() -> None:
    assert Deframer().feed(EXCHANGE) == IN_EXCHANGE


def test_cut_after_every_octet() -> None:
    for place in range(len(EXCHANGE) + 1):
        got, deframer = fed(EXCHANGE, [place])
        assert got == IN_EXCHANGE
        assert deframer.is_empty
        assert deframer.skipped == 0


def test_one_octet_at_a_time() -> None:
    got, deframer = fed(EXCHANGE, list(range(len(EXCHANGE))))
    assert (got, deframer.is_empty) == (IN_EXCHANGE, True)


def test_a_frame_that_is_not_whole_is_noticed() -> None:
    for frame in (ACK, NAK, STATUS, progress("PIN?")):
        for length in range(1, len(frame)):
            deframer = Deframer()
            assert deframer.feed(frame[:length]) == []
            assert not deframer.is_empty


@given(st.lists(FRAMES, max_size=8), CUTS)
def test_any_split(frames: list[bytes], cuts: list[int]) -> None:
    one_by_one = [each for frame in frames for each in Deframer().feed(frame)]
    got, deframer = fed(b"".join(frames), cuts)
    assert got == one_by_one
    assert len(got) == len(frames)
    assert deframer.is_empty


@given(
    st.binary(max_size=300) | st.text("\x01\x02\x03\x04\x06\x15A", max_size=300).map(str.encode),
    CUTS,
)
def test_chance_comes_out_the_same_however_it_is_split(stream: bytes, cuts: list[int]) -> None:
    whole, _ = fed(stream, limit=50)
    got, deframer = fed(stream, cuts, limit=50)
    assert got == whole
    assert len(deframer._held) < 50


@given(st.binary(max_size=100), CUTS)
def test_garbage_before_a_frame_is_left_behind(garbage: bytes, cuts: list[int]) -> None:
    # Whatever the garbage was taken for, a second frame is read for certain.
    got, _ = fed(garbage + STATUS + STATUS, cuts)
    assert got[-1] == ASKED


@pytest.mark.parametrize(
    "garbage",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x00\xff\x7f",
        b"\x02",
        b"\x02123456780",
        b"\x01",
        b"\x01PLEASE WAIT",
        b"\x01\x04",
        b"\x06",
        b"\x15",
        b"\x06\x06\x15",
        b"\x03\x03\x04",
        b"\x02" * 50,
        b"\x01" + b"A" * 60,
    ],
)
@pytest.mark.parametrize("frame", [STATUS, ACK, NAK])
def test_no_frame_is_lost_behind_garbage(garbage: bytes, frame: bytes) -> None:
    # Such as the rest of a frame that was never finished: at once, and not only with the next one.
    # Progress alone may be lost in an unfinished message.
    (expected,) = Deframer().feed(frame)
    deframer = Deframer()
    assert deframer.feed(garbage + frame) == [expected]
    assert deframer.skipped == len(garbage)
    assert deframer.is_empty


@pytest.mark.parametrize("odd", [0x78, 0x79, 0x7C, 0x02, 0x03, 0x06, 0x15, 0x00])
def test_an_odd_check_character_of_a_control_frame_is_told_and_no_more(odd: int) -> None:
    ack, nak, status = Deframer().feed(bytes((6, 3, odd, 0x15, 3, odd)) + STATUS)
    assert (ack, nak, status) == (Ack(odd), Nak(odd), ASKED)
    assert isinstance(ack, Ack)
    assert isinstance(nak, Nak)
    assert ack.is_odd
    assert nak.is_odd
    assert not Ack().is_odd
    assert not Nak().is_odd


def test_the_limit_itself_is_allowed() -> None:
    frame = application(b"x" * 97)
    assert len(frame) == 100
    assert Deframer(100).feed(frame) == [Application(b"x" * 97, frame[-1])]
    assert Deframer(99).feed(frame + ACK) == [Ack()]


def test_the_largest_messages_of_the_protocol_fit() -> None:
    largest = application(b"123456780K" + b"x" * (16 + 1024))
    assert len(largest) <= LARGEST
    assert len(Deframer().feed(largest)) == 1


def test_what_never_ends_is_not_held() -> None:
    deframer = Deframer()
    for _ in range(1000):
        assert deframer.feed(b"\x02" + b"A" * 99) == []
        assert len(deframer._held) < LARGEST
    assert deframer.feed(STATUS) == [ASKED]


def test_a_check_character_that_does_not_fit_is_for_the_reader_to_refuse() -> None:
    (frame,) = Deframer().feed(VECTORS["status_request_wrong_lrc"].octets)
    assert isinstance(frame, Application)
    assert not frame.readings
    assert not frame.lrc_ok(Lrc.STX)


@pytest.mark.parametrize("reading", Lrc)
def test_each_reading_is_told_from_the_others(reading: Lrc) -> None:
    (frame,) = Deframer().feed(application(b"123456780s", reading))
    assert isinstance(frame, Application)
    assert [each for each in Lrc if frame.lrc_ok(each)] == [reading]


def test_a_progress_text_of_another_length_is_put_up_with() -> None:
    assert Deframer().feed(b"\x01PIN?\x04") == [Progress("PIN?")]
    assert Deframer().feed(b"\x01" + b"A" * 40 + b"\x04") == [Progress("A" * 40)]
    assert Deframer().feed(b"\x01" + b"A" * 41 + b"\x04") == []


def test_a_progress_text_is_made_to_fit() -> None:
    assert progress("è la tua carta? Avvicinala al lettore") == b"\x01e la tua carta? Avvi\x04"
    assert len(progress("")) == 22


def test_a_card_number_on_the_display_is_cut() -> None:
    (shown,) = Deframer().feed(progress("4111111111111111"))
    assert shown == Progress("************1111")


@pytest.mark.parametrize("octets", [b"", b"12\x03", b"\x02", b"a\x06", b"\x15"])
def test_no_frame_is_made_that_nobody_could_read(octets: bytes) -> None:
    with pytest.raises(LocalProtocolError):
        application(octets)


def test_a_frame_does_not_show_what_is_in_it() -> None:
    assert "4111" not in repr(Application(b"123456780E004111111111111111", 0))
    assert repr(Application(b"123456780s", 0x35)) == "Application('s', 10 octets, lrc=35)"
    assert Application(b"1", 0).code == ""
