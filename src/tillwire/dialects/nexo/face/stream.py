"""Binding 2: enveloped messages in frames over a byte stream (nexo Sale-to-POI 3.1, Market Pay).

Any number of tills and terminals may share a connection. Each message of a till is a task of its
own, so that an Abort passes the payment that it means; answers, DisplayRequests and events are
written as they come, and the till tells them apart by category and ServiceID. A till that goes
away leaves its payment running: when it is back, TransactionStatus tells what came of it.

What is no message is rejected, and the connection lives. A length that cannot be is rejected and
ends it, once what goes on has its answers: nobody knows where the next frame begins. What a message
means is the business of `poi.py`, sockets and limits that of the listener behind `net/streams.py`.
"""

from __future__ import annotations

import asyncio
from typing import Final

from tillwire.dialects.nexo import wire
from tillwire.dialects.nexo.face.bindings import log_defect, spelling_of
from tillwire.dialects.nexo.face.poi import Incoming, Poi
from tillwire.dialects.nexo.face.settings import Settings
from tillwire.dialects.nexo.wire import Message, framing
from tillwire.dialects.nexo.wire.framing import FrameError, Frames
from tillwire.dialects.nexo.wire.header import MessageHeader
from tillwire.dialects.nexo.wire.values import MessageCategory
from tillwire.net.streams import StreamConnection

LANES_REMEMBERED: Final = 64
"""Tills on one connection that are told by name that the gateway stops."""
STOPPING: Final = "The gateway is stopping. Nothing was begun."
TOO_MANY: Final = "Too many messages on this connection wait for their answers. Nothing was begun."
_WAY_OUT: Final = frozenset({MessageCategory.ABORT, MessageCategory.TRANSACTION_STATUS})
"""What tills may still want while the gateway stops, or while their other messages wait."""


class StreamFace:
    """The face, and what goes on for the tills of all its connections. Implements
    `net.streams.StreamFace`."""

    def __init__(self, poi: Poi, settings: Settings) -> None:
        self.poi = poi
        self.settings = settings
        self.tasks: set[asyncio.Task[None]] = set()
        self._spelling = spelling_of(settings)

    def connected(self, connection: StreamConnection) -> Session:
        """The session of a new connection."""
        return Session(self, connection)

    def framed(self, message: Message) -> bytes:
        """The message as it goes onto the stream."""
        octets = wire.encode(message, flat=False, spelling=self._spelling)
        return framing.frame(octets, counts_itself=self.settings.length_counts_itself)

    async def stop(self) -> None:
        """Wait for what is still being cancelled, its connection being gone."""
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.poi.stop()


class Session:
    """One connection. Implements `net.streams.StreamSession`, and the outlet of its messages."""

    __slots__ = ("_closing", "_connection", "_deaf", "_face", "_frames", "_lanes", "_running")

    def __init__(self, face: StreamFace, connection: StreamConnection) -> None:
        settings = face.settings
        self._face = face
        self._connection = connection
        self._frames = Frames(settings.largest_message, counts_itself=settings.length_counts_itself)
        self._running: set[asyncio.Task[None]] = set()
        self._lanes: set[tuple[str, str]] = set()
        self._closing = False
        self._deaf = False
        """Whether nothing that arrives can be understood any more."""

    @property
    def unfinished(self) -> bool:
        """Whether a frame has begun."""
        return not self._frames.is_empty

    @property
    def busy(self) -> bool:
        """Whether a message waits for its answer."""
        return bool(self._running)

    @property
    def doing(self) -> str:
        """How many of them."""
        count = len(self._running)
        return f"{count} {'message' if count == 1 else 'messages'}" if count else ""

    def received(self, octets: bytes) -> int:
        """Take octets; each whole frame is a message that begins to be answered."""
        count = 0
        if self._deaf:
            return count
        try:
            while frames := self._frames.feed(octets):
                for each in frames:
                    self._take(each)
                count += len(frames)
                octets = b""
        except FrameError as error:
            self._deaf = True
            self._reject(None, error.detail, b"")
            self.finish()
        return count

    def _take(self, octets: bytes) -> None:
        incoming = self._face.poi.read(octets)
        header = incoming.header
        if header is not None and len(self._lanes) < LANES_REMEMBERED:
            self._lanes.add((header.sale_id, header.poi_id))
        is_way_out = header is not None and header.message_category in _WAY_OUT
        most = self._face.settings.messages_at_once * (2 if is_way_out else 1)
        if len(self._running) >= most:
            self._reject(header, TOO_MANY, octets)
        elif self._closing and not is_way_out:
            self._reject(header, STOPPING, octets)
        else:
            self._begin(incoming)

    def _begin(self, incoming: Incoming) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(incoming))
        self._running.add(task)
        self._face.tasks.add(task)
        task.add_done_callback(self._served)

    async def _serve(self, incoming: Incoming) -> None:
        try:
            answer = await self._face.poi.answer(incoming, self)
        except Exception:  # noqa: BLE001 - nobody knows what became of it, so nothing is said
            log_defect(incoming.header)
            return
        if answer is not None:
            self._send(answer)

    def _served(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._face.tasks.discard(task)
        self._close_if_idle()

    def tell(self, message: Message) -> None:
        """Write a DisplayRequest, unless the till does not read."""
        self._send(message, optional=True)

    def _reject(self, header: MessageHeader | None, detail: str, octets: bytes) -> None:
        self._send(self._face.poi.reject(header, detail, octets))

    def _send(self, message: Message, *, optional: bool = False) -> None:
        self._connection.send(self._face.framed(message), optional=optional)

    # --- its end ------------------------------------------------------------------------------

    def finish(self) -> None:
        """The till writes no more, but may wait for answers."""
        self._closing = True
        self._close_if_idle()

    def stop(self) -> None:
        """Tell every till by name that the gateway stops."""
        for sale_id, poi_id in sorted(self._lanes):
            self._send(self._face.poi.shutdown(sale_id, poi_id))
        self.finish()

    def _close_if_idle(self) -> None:
        if self._closing and not self._running:
            self._connection.close()

    def ended(self) -> None:
        """Wait for nothing any more."""
        for task in list(self._running):
            task.cancel()
