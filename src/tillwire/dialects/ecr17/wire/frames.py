"""Frames on a byte stream: application messages, progress, ACK and NAK (Nexi ECR-LAN).

    application   02 payload 03 LRC     to be answered with ACK or NAK
    progress      01 text 04            never answered
    ACK, NAK      06 03 LRC, 15 03 LRC

Cuts a stream however it was split on its way, and finds its feet again after garbage. Whether a
check character is right is told, not judged: that depends on the reading that the peer uses, which
is a setting. No frame shows its payload when it is printed or logged (law 7).
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

import msgspec

from tillwire.dialects.ecr17.wire.lrc import ETX, STX, Lrc, lrc, of_control, readings
from tillwire.dialects.ecr17.wire.texts import fitted, told
from tillwire.errors import LocalProtocolError

LARGEST: Final = 1100
"""Octets of a frame at most, if nothing else is set; the largest of the protocol has 1053."""
PROGRESS_TEXT: Final = 20
"""Characters of a progress text."""
_LONGEST_PROGRESS: Final = 40
"""Characters of a progress text that are put up with."""

_SOH: Final = 0x01
_EOT: Final = 0x04
_ACK: Final = 0x06
_NAK: Final = 0x15

ACK: Final = bytes((_ACK, ETX, of_control(_ACK)))
NAK: Final = bytes((_NAK, ETX, of_control(_NAK)))

_FRAME_BEGINS: Final = re.compile(rb"[\x01\x02\x06\x15]")
_PAYLOAD_ENDS: Final = re.compile(rb"[\x02\x03\x06\x15]")
"""ETX, or what shows that the frame was never finished."""
_TEXT_ENDS: Final = re.compile(rb"[\x00-\x1f]")


class Application(msgspec.Struct, frozen=True):
    """A message, to be answered with ACK or NAK."""

    payload: bytes
    """May hold a card number: to be decoded, and neither kept nor logged."""
    lrc: int
    """The check character as it came."""

    @property
    def code(self) -> str:
        """The message code, the tenth character; empty where there is none."""
        return self.payload[9:10].decode("latin-1")

    @property
    def readings(self) -> frozenset[Lrc]:
        """The readings by which the check character is right: one, or none."""
        return readings(self.payload, self.lrc)

    def lrc_ok(self, reading: Lrc) -> bool:
        """Whether the check character is right in this reading."""
        return self.lrc == lrc(self.payload, reading)

    def __repr__(self) -> str:
        return f"Application({self.code!r}, {len(self.payload)} octets, lrc={self.lrc:02X})"


class Progress(msgspec.Struct, frozen=True):
    """What the terminal shows meanwhile. Not to be answered."""

    text: str


class Ack(msgspec.Struct, frozen=True):
    """The peer took what it was sent."""

    lrc: int = ACK[2]
    """As it came."""

    @property
    def is_odd(self) -> bool:
        """Whether the check character is wrong, which is worth a line in the log and no more."""
        return self.lrc != ACK[2]


class Nak(msgspec.Struct, frozen=True):
    """The peer refused what it was sent."""

    lrc: int = NAK[2]
    """As it came."""

    @property
    def is_odd(self) -> bool:
        """Whether the check character is wrong, which is worth a line in the log and no more."""
        return self.lrc != NAK[2]


Frame: TypeAlias = Application | Progress | Ack | Nak

_Step: TypeAlias = tuple[int, Frame | None]
"""How far the stream is understood, and the frame that ends there. Without one, garbage does."""


class Deframer:
    """Cuts a stream into frames. Holds less than `limit` octets between two feeds."""

    def __init__(self, limit: int = LARGEST) -> None:
        """`limit`: octets of a frame at most. What is longer is garbage."""
        self._limit = max(limit, _LONGEST_PROGRESS + 2)
        self._held = bytearray()
        self._skipped = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing of a further frame has arrived: a stream that ends otherwise has cut
        one."""
        return not self._held

    @property
    def skipped(self) -> int:
        """Octets that belonged to no frame, since the beginning."""
        return self._skipped

    def feed(self, octets: bytes) -> list[Frame]:
        """The frames that are whole now, in their order."""
        self._held += octets
        whole: list[Frame] = []
        at = 0
        while step := self._step(at):
            end, frame = step
            if frame is None:
                self._skipped += end - at
            else:
                whole.append(frame)
            at = end
        del self._held[:at]
        return whole

    def _step(self, at: int) -> _Step | None:
        """What comes next; None when that cannot be told before more has arrived."""
        if at == len(self._held):
            return None
        first = self._held[at]
        if first == STX:
            return self._application(at)
        if first in (_ACK, _NAK):
            return self._control(at)
        if first == _SOH:
            return self._progress(at)
        begins = _FRAME_BEGINS.search(self._held, at)
        return begins.start() if begins else len(self._held), None

    def _application(self, at: int) -> _Step | None:
        longest = at + self._limit - 1
        ends = _PAYLOAD_ENDS.search(self._held, at + 1, longest)
        if ends is None:
            return (at + 1, None) if len(self._held) >= longest else None
        etx = ends.start()
        if self._held[etx] != ETX:
            return etx, None
        if len(self._held) < etx + 2:
            return None
        return etx + 2, Application(bytes(self._held[at + 1 : etx]), self._held[etx + 1])

    def _control(self, at: int) -> _Step | None:
        if len(self._held) < at + 2:
            return None
        if self._held[at + 1] != ETX:
            return at + 1, None
        if len(self._held) < at + 3:
            return None
        kind = Ack if self._held[at] == _ACK else Nak
        return at + 3, kind(self._held[at + 2])

    def _progress(self, at: int) -> _Step | None:
        longest = at + 2 + _LONGEST_PROGRESS
        ends = _TEXT_ENDS.search(self._held, at + 1, longest)
        if ends is None:
            return (at + 1, None) if len(self._held) >= longest else None
        eot = ends.start()
        if self._held[eot] != _EOT or eot == at + 1:
            return at + 1, None
        text = told(self._held[at + 1 : eot].decode("latin-1"))
        return eot + 1, Progress(text.rstrip())


def application(payload: bytes, reading: Lrc = Lrc.STX) -> bytes:
    """The frame of a message. Raises `LocalProtocolError` for octets that would break it."""
    if not payload or _PAYLOAD_ENDS.search(payload):
        raise LocalProtocolError("A payload has at least one octet, and no control octets.")
    return b"\x02%b\x03%c" % (payload, lrc(payload, reading))


def progress(text: str) -> bytes:
    """A progress frame with any text, which is cut to `PROGRESS_TEXT` characters of ASCII."""
    return b"\x01%b\x04" % fitted(text, PROGRESS_TEXT).ljust(PROGRESS_TEXT).encode("ascii")
