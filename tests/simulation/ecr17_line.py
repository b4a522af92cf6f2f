"""A till's end of an ECR17 connection, written apart from our own code: frames by the published
layouts (Nexi ECR-LAN), cut and checked by hand."""

from __future__ import annotations

import asyncio
import functools
import operator
from dataclasses import dataclass
from typing import Final

STX, ETX = 0x02, 0x03
ACK: Final = bytes((0x06, ETX, 0x7A))
NAK: Final = bytes((0x15, ETX, 0x69))
ANY_TID: Final = "00000000"
TEXT: Final = " " * 128
"""For the receipt: none."""
PROGRESS: Final = 22
"""Octets of a progress frame."""
KIND: Final = {
    ("E", 92): "X",
    ("E", 71): "X",
    ("E", 84): "S",
    ("e", 106): "p",
    ("c", 74): "c",
    ("v", 109): "c",
}
"""A result's code and length -> what it answers. A payment whose amount has no room is told
short."""
END_OF_TICKET: Final = "\x1b"


@dataclass(frozen=True)
class Result:
    """What a result says that a till goes by."""

    kind: str
    """Code of the request that it answers."""
    approved: bool
    stan: str
    amount: int | None
    """Cents; None where it tells none."""
    code: str = ""
    """The pre-authorisation's."""


class Line:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._held = b""
        self.doubled = False
        """Whether something was sent twice."""

    @classmethod
    async def open(cls, port: int, within: float) -> Line:
        """Raises `OSError`."""
        async with asyncio.timeout(within):
            return cls(*await asyncio.open_connection("127.0.0.1", port))

    def write(self, octets: bytes) -> None:
        """Write them in one piece."""
        self._writer.write(octets)

    async def frame(self, within: float) -> bytes:
        """The next frame, whole; what belongs to none is dropped. Raises `OSError` when none came
        in time (`TimeoutError`), or none comes any more."""
        async with asyncio.timeout(within):
            while True:
                size = _size(self._held)
                if size > 1:
                    frame, self._held = self._held[:size], self._held[size:]
                    return frame
                self._held = self._held[size:]
                if not size:
                    octets = await self._reader.read(4096)
                    if not octets:
                        raise ConnectionResetError("It hung up.")
                    self._held += octets

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


def _size(held: bytes) -> int:
    """Octets of the frame at the beginning; 0 when it is not whole, 1 for garbage."""
    if not held:
        return 0
    if held[0] in (ACK[0], NAK[0]):
        return 3 if len(held) >= 3 else 0
    if held[0] == 0x01:
        return PROGRESS if len(held) >= PROGRESS else 0
    if held[0] != STX:
        return 1
    end = held.find(ETX)
    return end + 2 if 0 < end < len(held) - 1 else 0


def framed(payload: str) -> bytes:
    """A message's frame."""
    octets = bytes((STX,)) + payload.encode("ascii") + bytes((ETX,))
    return octets + bytes((_lrc(octets),))


def _lrc(octets: bytes) -> int:
    return functools.reduce(operator.xor, octets, 0x7F)


def is_message(frame: bytes) -> bool:
    """Whether it is one, to be acknowledged or refused."""
    return frame[0] == STX


def payload_of(frame: bytes) -> str | None:
    """A message's content; None when its check character is wrong."""
    return frame[1:-2].decode("ascii") if _lrc(frame[:-1]) == frame[-1] else None


# --- requests -------------------------------------------------------------------------------------


def status() -> str:
    """`s`."""
    return f"{ANY_TID}0s"


def last_result(register: str) -> str:
    """`G`."""
    return f"{ANY_TID}0G{register}0000"


def receipt_here() -> str:
    """`E`: the next receipt goes to the till."""
    return f"{ANY_TID}0E1"


def order(kind: str, register: str, minor: int, name: str = "") -> str:
    """What moves money: `X`, `p`, `c` with a code, `S` with a STAN as its `name`."""
    head = f"{ANY_TID}0{kind}{register}"
    if kind == "S":
        return f"{head}{name}00"
    if kind == "c":
        return f"{head}00000{minor:08d}{TEXT}{name}{'0' * 8}"
    return f"{head}00000{minor:08d}{TEXT}{'0' * 8}"


# --- results --------------------------------------------------------------------------------------


def result_of(payload: str) -> Result | None:
    """A result of what moves money; None for anything else."""
    kind = KIND.get((payload[9], len(payload)))
    if kind is None:
        return None
    approved = payload[10:12] == "00"
    if kind == "p":
        amount = int(payload[40:48]) if approved else None
        return Result(kind, approved, payload[82:88], amount, payload[48:57])
    told = kind == "X" and len(payload) == 92
    return Result(kind, approved, payload[59:65], int(payload[74:82]) if told else None)
