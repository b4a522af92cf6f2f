"""One connection to a terminal: frames out, frames in.

What they mean is the business of `conversation.py`. Nothing is ever written to find out whether a
connection lives: one octet too many, and the next frame is garbage.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from tillwire.core.ports import Connection
from tillwire.dialects.ecr17.wire import Deframer, Frame
from tillwire.errors import AnswerLost

WRITE_WITHIN: Final = 10.0
"""Seconds in which a terminal must read what it is sent."""


class Line:
    """One connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._deframer = Deframer()
        self._received: deque[Frame] = deque()

    async def write(self, octets: bytes) -> None:
        """In one piece. Raises `AnswerLost`: some of it may have arrived."""
        try:
            async with asyncio.timeout(WRITE_WITHIN):
                await self._connection.write(octets)
        except TimeoutError:
            raise AnswerLost("The terminal does not read what it is sent.") from None

    async def frame(self, seconds: float) -> Frame | None:
        """The next frame; None when there is none within so many seconds. Raises `AnswerLost` when
        the connection ended."""
        try:
            async with asyncio.timeout(seconds):
                while not self._received:
                    octets = await self._connection.read()
                    if not octets:
                        raise AnswerLost("The terminal has closed the connection.")
                    self._received.extend(self._deframer.feed(octets))
        except TimeoutError:
            return None
        return self._received.popleft()

    def put_back(self, frame: Frame) -> None:
        """Let it be the next frame."""
        self._received.appendleft(frame)

    async def is_quiet(self, seconds: float) -> bool:
        """Whether it is open, and nothing at all comes within so many seconds. One that is not must
        not be written to any more: what comes next would be taken for an answer."""
        try:
            came = await self.frame(seconds)
        except AnswerLost:
            return False
        return came is None and self._deframer.is_empty and not self._deframer.skipped

    async def close(self) -> None:
        """Hang up."""
        await self._connection.close()
