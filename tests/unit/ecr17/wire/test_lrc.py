"""The check character in each of its readings, and that it may be any octet."""

from __future__ import annotations

from functools import reduce
from operator import xor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.ecr17.wire.messages import payload
from tillwire.dialects.ecr17.wire import Application, Deframer, Lrc, application
from tillwire.dialects.ecr17.wire.lrc import lrc, of_control, readings

COVERED = {
    Lrc.STX: lambda octets: b"\x02" + octets + b"\x03",
    Lrc.ETX: lambda octets: octets + b"\x03",
    Lrc.PAYLOAD: lambda octets: octets,
}


@given(st.binary(max_size=300), st.sampled_from(Lrc))
def test_every_octet_that_a_reading_covers_counts(octets: bytes, reading: Lrc) -> None:
    assert lrc(octets, reading) == reduce(xor, COVERED[reading](octets), 0x7F)


@given(st.binary(max_size=300))
def test_a_check_character_is_right_in_one_reading_at_most(octets: bytes) -> None:
    for reading in Lrc:
        assert readings(octets, lrc(octets, reading)) == {reading}
    assert not readings(octets, lrc(octets) ^ 0x40)


def test_the_default_is_what_a_real_terminal_sent() -> None:
    assert lrc(payload("captured_status_request")) == 0x3D
    assert lrc(payload("captured_status_result")) == 0x38


def test_control_frames_have_no_stx_to_fold_in() -> None:
    assert (of_control(0x06), of_control(0x15)) == (0x7A, 0x69)


@pytest.mark.parametrize("reading", Lrc)
def test_any_value_is_found_by_its_place(reading: Lrc) -> None:
    # 02, 03, 06 and 15 among them, which elsewhere begin and end frames.
    for wanted in range(0x80):
        octets = with_check_character(wanted, reading)
        frame = application(octets, reading)
        assert frame[-1] == wanted
        assert Deframer().feed(frame * 2) == [Application(octets, wanted)] * 2


def with_check_character(wanted: int, reading: Lrc) -> bytes:
    """A payload of printable characters whose check character is this one."""
    head = b"123456780s"
    rest = lrc(head, reading) ^ wanted
    return next(
        head + bytes((one, one ^ rest)) for one in range(0x20, 0x7F) if 0x20 <= one ^ rest < 0x7F
    )
