"""A line over a TCP connection of its own: framed messages, both ways (Market Pay's binding).

The last octet of the request is held back until everything else is out. So long as it is, the
request is not whole, which is what a proof needs, however the connection ends.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from tillwire.core.ports import Connection, Dialer
from tillwire.dialects.nexo.driver.lines import Codec, Ready
from tillwire.dialects.nexo.driver.settings import DriverSettings
from tillwire.dialects.nexo.wire import Message
from tillwire.dialects.nexo.wire.framing import FrameError, Frames, frame
from tillwire.errors import AnswerLost, NotDelivered

MOST_WAITING: Final = 1000
"""Messages that a terminal may send at once."""


class TcpLine:
    """One connection, one conversation."""

    def __init__(self, connection: Connection, settings: DriverSettings, codec: Codec) -> None:
        self._connection = connection
        self._codec = codec
        self._write_within = settings.connect_seconds
        self._counts_itself = settings.length_counts_itself
        self._writing = asyncio.Lock()
        self._frames = Frames(counts_itself=settings.length_counts_itself)
        self._received: deque[bytes] = deque()

    @classmethod
    async def dial(cls, dialer: Dialer, settings: DriverSettings, codec: Codec) -> TcpLine:
        """A new connection. Raises `NotDelivered`."""
        connection = await dialer.connect(
            settings.host, settings.at_port, timeout=settings.connect_seconds
        )
        return cls(connection, settings, codec)

    async def send(self, request: Message, ready: Ready) -> None:
        """Everything but the last octet, then the question whether it may still go, then that."""
        octets = self._framed(request)
        async with self._writing:  # an Abort waits until its request is whole
            try:
                async with asyncio.timeout(self._write_within):
                    await self._connection.write(octets[:-1])
            except (AnswerLost, TimeoutError) as error:
                raise NotDelivered(
                    "The connection broke before the request was whole at the terminal."
                ) from error
            ready()
            await self._write(octets[-1:])

    async def reply(self, response: Message) -> None:
        """Another message on the same connection. Raises `AnswerLost`."""
        octets = self._framed(response)
        async with self._writing:
            await self._write(octets)

    async def _write(self, octets: bytes) -> None:
        try:
            async with asyncio.timeout(self._write_within):
                await self._connection.write(octets)
        except TimeoutError:
            raise AnswerLost("The terminal does not read what it is sent.") from None

    def _framed(self, message: Message) -> bytes:
        return frame(self._codec.octets(message), counts_itself=self._counts_itself)

    async def receive(self) -> Message:
        """The next message, whole."""
        while not self._received:
            octets = await self._connection.read()
            if not octets:
                raise AnswerLost("The terminal has closed the connection.")
            self._take(octets)
        return self._codec.message(self._received.popleft())

    def _take(self, octets: bytes) -> None:
        try:
            while whole := self._frames.feed(octets):
                self._received.extend(whole)
                octets = b""
        except FrameError as error:
            if not self._received:
                raise AnswerLost(f"What the terminal sends has no length: {error}") from error
        if len(self._received) > MOST_WAITING:
            raise AnswerLost(f"The terminal sent more than {MOST_WAITING} messages at once.")

    async def close(self) -> None:
        """Hang up."""
        await self._connection.close()
