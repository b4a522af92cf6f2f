"""Tills that speak nexo, as lean as `till.py`: one lane each, in the three bindings.

What a lane writes is a text with two numbers in it, and of what it reads it looks only at what it
must: the envelope, and how the payment ended.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Final, cast

from benchmarks.gateway_process import FLAT, HELD
from benchmarks.till import Connection, Load

_SERVICE_IDS: Final = itertools.count(1)
"""No ServiceID comes twice in a run."""
_LENGTH: Final = 4
_DONE: Final = b'"Result":"Success"'


def poi_id(terminal: str) -> str:
    """The POIID of a terminal, by its name."""
    return terminal.partition("-")[2]


class _Messages:
    """What one lane says."""

    def __init__(self, terminal: str) -> None:
        self.poi_id = poi_id(terminal)
        self._ids = f'"SaleID":"LANE-{self.poi_id}","POIID":"{self.poi_id}"'

    def payment(self, reference: str) -> str:
        """A payment of 12.50, without an envelope."""
        return (
            f"{{{self._header('Payment')},"
            f'"PaymentRequest":{{"SaleData":{{"SaleTransactionID":'
            f'{{"TransactionID":"{reference}","TimeStamp":"2026-11-20T09:00:00+01:00"}}}},'
            '"PaymentTransaction":{"AmountsReq":{"Currency":"EUR","RequestedAmount":12.50}},'
            '"PaymentData":{"PaymentType":"Normal"}}}'
        )

    def login(self) -> str:
        """A login, without an envelope."""
        return (
            f"{{{self._header('Login')},"
            '"LoginRequest":{"DateTime":"2026-11-20T08:30:00+01:00","OperatorLanguage":"en",'
            '"SaleSoftware":{"ProviderIdentification":"bench","ApplicationName":"bench",'
            '"SoftwareVersion":"1"}}}'
        )

    def _header(self, category: str) -> str:
        return (
            '"MessageHeader":{"ProtocolVersion":"3.1","MessageClass":"Service",'
            f'"MessageCategory":"{category}","MessageType":"Request",'
            f'"ServiceID":"{next(_SERVICE_IDS)}",{self._ids}}}'
        )


def _enveloped(message: str) -> bytes:
    return f'{{"SaleToPOIRequest":{message}}}'.encode()


# --- over TCP -----------------------------------------------------------------------------------


class _Stream(asyncio.Protocol):
    """Frames, one question at a time; what is shown meanwhile is counted and dropped."""

    def __init__(self) -> None:
        self.frames = 0
        self._buffer = bytearray()
        self._answer: asyncio.Future[bytes] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, received: bytes) -> None:
        self._buffer += received
        while len(self._buffer) >= _LENGTH:
            end = _LENGTH + int.from_bytes(self._buffer[:_LENGTH], "big")
            if len(self._buffer) < end:
                return
            message = bytes(self._buffer[_LENGTH:end])
            del self._buffer[:end]
            self.frames += 1
            if message.startswith(b'{"SaleToPOIResponse"'):
                assert self._answer is not None, "an answer without a request"
                self._answer.set_result(message)

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError("closed"))

    async def ask(self, message: bytes) -> bytes:
        assert self._transport is not None, "not connected"
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(len(message).to_bytes(_LENGTH, "big") + message)
        return await self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class TcpLane:
    """One till on a connection of its own, at one terminal."""

    def __init__(self, port: int, terminal: str) -> None:
        self._port = port
        self._messages = _Messages(terminal)
        self._stream = _Stream()

    async def connect(self) -> None:
        """Open the connection that the lane keeps."""
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self._stream, "127.0.0.1", self._port)

    def close(self) -> None:
        """Give the connection back."""
        self._stream.close()

    async def log_in(self) -> None:
        """Open a session."""
        answer = await self._stream.ask(_enveloped(self._messages.login()))
        assert _DONE in answer, answer

    async def sell(self, reference: str, patience: float, load: Load) -> None:
        """One payment: a message, and its answer when it is there."""
        begun = time.perf_counter()
        before = self._stream.frames
        answer = await self._stream.ask(_enveloped(self._messages.payment(reference)))
        assert _DONE in answer, answer
        load.requests += 1 + self._stream.frames - before
        load.sold(time.perf_counter() - begun)


# --- over HTTP ----------------------------------------------------------------------------------


class _HttpLane:
    def __init__(self, port: int, terminal: str) -> None:
        self._port = port
        self._messages = _Messages(terminal)
        self._connection = Connection()
        self._head = f" HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"

    async def connect(self) -> None:
        """Open the connection that the lane keeps."""
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self._connection, "127.0.0.1", self._port)

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()

    async def _post(self, path: str, body: bytes) -> tuple[int, bytes]:
        head = (
            f"POST {path}{self._head}Content-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return await self._connection.ask(head.encode() + body)


class HeldLane(_HttpLane):
    """One till that waits for the answer to its POST."""

    async def sell(self, reference: str, patience: float, load: Load) -> None:
        """One payment: a request that is held until it has ended."""
        begun = time.perf_counter()
        status, answer = await self._post(f"{HELD}/", _enveloped(self._messages.payment(reference)))
        assert status == 200, answer
        assert _DONE in answer, answer
        load.requests += 1
        load.sold(time.perf_counter() - begun)


class FlatLane(_HttpLane):
    """One till that posts, and polls."""

    async def sell(self, reference: str, patience: float, load: Load) -> None:
        """One payment to its end: post, wait for about `patience` of what one takes at present,
        then poll until the response is there."""
        begun = time.perf_counter()
        path = f"{FLAT}/{self._messages.poi_id}/payment"
        poll = f"GET {path}{self._head}\r\n".encode()
        status, answer = await self._post(path, self._messages.payment(reference).encode())
        assert status == 202, answer
        load.requests += 1
        await asyncio.sleep(load.usual * patience - (time.perf_counter() - begun))
        while True:
            load.requests += 1
            status, answer = await self._connection.ask(poll)
            if status == 200:
                break
            assert status in (201, 204, 206), answer
            if status != 206:
                await asyncio.sleep(load.usual * patience / 4)
        assert _DONE in answer, answer
        load.sold(time.perf_counter() - begun)
