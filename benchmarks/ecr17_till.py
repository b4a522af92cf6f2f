"""Tills that speak ECR17, as lean as `till.py`: one connection at one lane each.

What a till writes was made before it begins, and of what it reads it looks only at what it must:
the kind of a frame, and whether a result is an approval.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final, cast

from tillwire.dialects.ecr17 import wire

TID: Final = wire.ANY_TID
SLOW: Final = 1049
"""Cents of a sale whose cardholder takes 20 s."""
_PROGRESS: Final = 22
_CONTROL: Final = 3
_ETX: Final = 3
_RESULT: Final = slice(11, 13)
"""Where a frame has its result."""


@dataclass
class Exchanges:
    """What a run of exchanges came to."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    """Seconds from the request to the result, for each."""
    acks: list[float] = field(default_factory=list)
    """The same to the ACK."""

    @property
    def rate(self) -> float:
        """Exchanges per second."""
        return len(self.latencies) / self.seconds


def percentile(latencies: list[float], share: float) -> float:
    """In milliseconds, what `share` of the latencies (in seconds) stayed within."""
    ordered = sorted(latencies)
    return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def _payment(amount: int) -> bytes:
    request = wire.ExtendedPaymentRequest(tid=TID, cash_register="00000001", amount=amount)
    return wire.application(wire.encode(request))


_STATUS: Final = wire.application(wire.encode(wire.StatusRequest(tid=TID)))
_SALE: Final = _payment(1250)
_SLOW_SALE: Final = _payment(SLOW)


class Till(asyncio.Protocol):
    """One till at one lane."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._result: asyncio.Future[bytes] | None = None
        self._asked_at = 0.0
        self._ack_after = 0.0
        self._prompt: asyncio.Future[float] | None = None

    async def connect(self) -> None:
        """Open the connection that the till keeps."""
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, "127.0.0.1", self._port)

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    # --- what asyncio says ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self._result is not None and not self._result.done():
            self._result.set_exception(error or ConnectionResetError("closed"))

    def data_received(self, received: bytes) -> None:
        self._buffer += received
        while size := self._size():
            frame = bytes(self._buffer[:size])
            del self._buffer[:size]
            self._take(frame)

    def _size(self) -> int:
        """Octets of the frame at the beginning; 0 as long as it is not whole."""
        if not self._buffer:
            return 0
        size = {0x06: _CONTROL, 0x15: _CONTROL, 0x01: _PROGRESS}.get(self._buffer[0])
        if size is None:
            end = self._buffer.find(_ETX)
            size = end + 2 if end > 0 else len(self._buffer) + 1
        return size if size <= len(self._buffer) else 0

    def _take(self, frame: bytes) -> None:
        assert self._result is not None, "an answer without a request"
        assert self._transport is not None, "not connected"
        if frame[0] == 0x02:
            self._transport.write(wire.ACK)
            self._result.set_result(frame)
        elif frame[0] == 0x15:
            raise SystemExit("A lane has refused a request, which spoils what is measured.")
        elif frame[0] == 0x06:
            self._ack_after = time.perf_counter() - self._asked_at
        elif self._prompt is not None and not self._prompt.done():
            self._prompt.set_result(time.perf_counter() - self._asked_at)

    # --- exchanges --------------------------------------------------------------------------------

    async def ask(self, counted: Exchanges) -> None:
        """`s`: ask how the terminal is."""
        await self._exchange(_STATUS, counted)

    async def pay(self, counted: Exchanges) -> None:
        """`X`: a sale of 12.50, to its end."""
        result = await self._exchange(_SALE, counted)
        assert result[_RESULT] == b"00", result

    async def prompted(self) -> float:
        """Seconds until the terminal shows something in a sale, which goes on."""
        self._prompt = asyncio.get_running_loop().create_future()
        self._say(_SLOW_SALE).cancel()
        return await self._prompt

    async def _exchange(self, request: bytes, counted: Exchanges) -> bytes:
        result = await self._say(request)
        counted.latencies.append(time.perf_counter() - self._asked_at)
        counted.acks.append(self._ack_after)
        return result

    def _say(self, request: bytes) -> asyncio.Future[bytes]:
        assert self._transport is not None, "not connected"
        self._result = asyncio.get_running_loop().create_future()
        self._asked_at = time.perf_counter()
        self._transport.write(request)
        return self._result
