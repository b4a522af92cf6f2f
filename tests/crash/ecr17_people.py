"""Tills that speak ECR17 and outlive the gateway, on the standard library alone.

The protocol has no numbers. One till asks: it notes the STAN of the last result before it pays, and
after a lost answer waits until the lane is not silent any more, and reads its last result. The
other one repeats its request until it has the result, as a till does that hears no ACK. Each sale
has a cash register of its own, by which the journal knows it. Any method may raise one of
`people.GONE` when the gateway dies under it.
"""

from __future__ import annotations

import functools
import operator
import socket
import time
import zlib
from typing import BinaryIO, Final

from tests.crash.people import Sale
from tests.kit.sandbox_process import Card
from tests.kit.shop_front import OPEN

ANSWERS_WITHIN: Final = 3.0
"""Seconds that the till waits for a frame."""
PAUSE: Final = 0.1
"""Seconds between two requests."""
SETTLES_WITHIN: Final = 40.0
NOT_DONE: Final = (
    "OPERAZIONE ANNULLATA",
    "OPERAZIONE NON ESEGUITA",
    "RIFIUTATO DAL TERMINALE",
    "TERMINALE NON RAGGIUNTO",
    "Cancelled by the cardhol",
)
"""What the lane writes of what no bank has refused."""
IDLE: Final = b"2"

_ACK: Final = b"\x06\x03\x7a"
_STAN: Final = slice(59, 65)
_RESULT_OF: Final = {False: 92, True: 84}
"""Characters of a payment's result, and of a reversal's."""


class CarefulEcr17Till:
    """The till at the sandbox's lane that asks."""

    def __init__(self, card: Card) -> None:
        lane = card["ecr17"]
        self._address = lane["host"], lane["port"]
        self._tid = lane["tid"]
        assert lane["lrc"] == "stx"

    def settle(self, sale: Sale, seconds: float = SETTLES_WITHIN) -> None:
        """Pay, or take up what was begun, and find out how it ends within so many seconds."""
        end = time.monotonic() + seconds
        while not sale.is_over and time.monotonic() <= end:
            self.go_on(sale)
            if not sale.is_over:
                time.sleep(PAUSE)

    def go_on(self, sale: Sale) -> None:
        """The next step."""
        sale.register = register_of(sale)
        last = self._last(sale)
        if last is None:
            sale.heard.append((OPEN, None))
        elif not sale.asked or last[_STAN] == sale.before:
            # Not one more result, and nothing that goes on: it never arrived, if it was sent.
            sale.before, sale.asked = last[_STAN], True
            self.pay(sale)
        else:
            self._hear(sale, last)

    def _last(self, sale: Sale) -> bytes | None:
        """The lane's last result, empty if it has none; None while it says nothing."""
        told = self._exchange(f"G{sale.register}0000")
        if told is not None:
            return told
        status = self._exchange("s")
        return b"" if status is not None and status[30:31] == IDLE else None

    def pay(self, sale: Sale) -> None:
        """Ask for it, and hear what comes of it."""
        if sale.original is None:
            request = f"X{sale.register}00000{sale.minor:08}{'':128}{0:08}"
        else:
            request = f"S{sale.register}{sale.original}00"
        told = self._exchange(request)
        if told is None:
            sale.heard.append((OPEN, None))
        else:
            self._hear(sale, told)

    def _hear(self, sale: Sale, result: bytes) -> None:
        assert len(result) == _RESULT_OF[sale.original is not None], f"it is of another: {result!r}"
        sale.stan = result[_STAN].decode()
        if result[10:12] == b"00":
            sale.heard.append(("CLEARED", "APPROVED"))
            assert sale.original is not None or int(result[74:82]) == sale.minor
        else:
            reason = result[12:36].decode().rstrip()
            sale.heard.append(("CANCELLED", None if reason in NOT_DONE else "DECLINED"))

    def _exchange(self, request: str) -> bytes | None:
        """The result of a request, which is acknowledged; None after a NAK, or when there is none
        in time, or none at all."""
        octets = f"{self._tid}0{request}".encode()
        with socket.create_connection(self._address, ANSWERS_WITHIN) as line:
            line.sendall(_framed(octets))
            stream = line.makefile("rb")
            try:
                while True:
                    match stream.read(1):
                        case b"\x06":
                            stream.read(2)
                        case b"\x01":
                            stream.read(21)
                        case b"\x02":
                            payload = _payload(stream)
                            line.sendall(_ACK)
                            return payload
                        case _:
                            return None  # NAK, or the end
            except TimeoutError:
                return None


class RepeatingEcr17Till(CarefulEcr17Till):
    """The one that repeats."""

    def go_on(self, sale: Sale) -> None:
        """Ask for it, whether for the first time or not."""
        sale.register = register_of(sale)
        self.pay(sale)


def register_of(sale: Sale) -> str:
    """The cash register that asks for this sale, and for no other one."""
    return f"{zlib.crc32(sale.reference.encode()) % 10**8:08}"


def _framed(payload: bytes) -> bytes:
    whole = b"\x02" + payload + b"\x03"
    return whole + bytes((functools.reduce(operator.xor, whole, 0x7F),))


def _payload(stream: BinaryIO) -> bytes:
    """What stands before ETX; the check character behind it is read, too."""
    payload = b""
    while (octet := stream.read(1)) != b"\x03":
        if not octet:
            raise ConnectionResetError("the gateway has closed the connection")
        payload += octet
    stream.read(1)
    return payload
