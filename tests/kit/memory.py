"""Connections in memory: transports that real asyncio protocols run on, octet by octet.

Each behaves as a TCP socket under asyncio does: octets arrive in order in later steps of the loop,
`close` lets what was written arrive and then shows as end of file, writing to an end that has
closed comes back as a reset, and a reader that pauses makes the writer pause.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Iterable
from enum import Enum
from typing import Any, Final

from tests.kit.faults import Faults, Flow, Noticed

HIGH_WATER: Final = 65_536
"""Octets under way at which the writer is told to pause."""
LOW_WATER: Final = 16_384
"""Octets under way at which it may go on."""

PIECE: Final = 65_536
"""Octets that arrive together at most, unless the faults say less."""


class Signal(Enum):
    """What lies in a pipe besides octets."""

    END = "end of file"
    RESET = "reset"


Address = tuple[str, int]


class Link:
    """One connection: two ends and a pipe for each direction."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        source: random.Random,
        faults: Faults,
        client: Address,
        server: Address,
    ) -> None:
        self.client = End(loop, client, server)
        self.server = End(loop, server, client)
        self.port = server[1]
        self.broken = False
        to_server = Pipe(self, loop, source, faults.to_server, self.client, self.server)
        to_client = Pipe(self, loop, source, faults.to_client, self.server, self.client)
        self.client.attach(self, to_server)
        self.server.attach(self, to_client)

    @property
    def octets(self) -> tuple[int, int]:
        """How many have arrived: at the server, and at the client."""
        return self.client.out.arrived, self.server.out.arrived

    def cut(self, noticed: Noticed) -> None:
        """Break: nothing arrives any more, and whoever notices sees a reset."""
        self.broken = True
        if noticed in (Noticed.BOTH, Noticed.BY_CLIENT):
            self.client.reset()
        if noticed in (Noticed.BOTH, Noticed.BY_SERVER):
            self.server.reset()


class Pipe:
    """One direction: what is under way from one end to the other."""

    def __init__(
        self,
        link: Link,
        loop: asyncio.AbstractEventLoop,
        source: random.Random,
        flow: Flow,
        sender: End,
        receiver: End,
    ) -> None:
        self._link = link
        self._loop = loop
        self._source = source
        self._flow = flow
        self._sender = sender
        self._receiver = receiver
        self._under_way: deque[bytes | Signal] = deque()
        self._due = 0
        self._last_arrival = 0.0
        self.arrived = 0
        """Octets so far."""
        self.size = 0

    def send(self, octets: bytes) -> None:
        """Put octets on their way, in pieces as the faults say."""
        begin = 0
        while begin < len(octets):
            most = self._flow.pieces
            size = PIECE if most is None else self._source.randint(1, most)
            end = begin + size
            self._dispatch(octets[begin:end])
            begin = end
        if self.size > HIGH_WATER:
            self._sender.hold_back()

    def signal(self, signal: Signal) -> None:
        """Put a signal on its way, behind the octets."""
        self._dispatch(signal)

    def _dispatch(self, piece: bytes | Signal) -> None:
        if self._loop.is_closed():
            return  # whoever writes is being thrown away
        self._under_way.append(piece)
        self.size += len(piece) if isinstance(piece, bytes) else 0
        arrival = self._loop.time() + self._source.uniform(*self._flow.delay)
        self._last_arrival = max(self._last_arrival, arrival)
        if self._last_arrival > self._loop.time():
            self._loop.call_at(self._last_arrival, self._arrive)
        else:
            self._loop.call_soon(self._arrive)

    def _arrive(self) -> None:
        self._due += 1
        if not self._receiver.paused:
            self.deliver()

    def deliver(self) -> None:
        """Hand over what has arrived, until the receiver pauses."""
        while self._due and not self._receiver.paused and not self._link.broken:
            self._due -= 1
            piece = self._under_way.popleft()
            if piece is Signal.END:
                self._receiver.hear_end()
            elif piece is Signal.RESET:
                self._receiver.reset()
            else:
                self.size -= len(piece)
                self._hand_over(piece)
        if self.size <= LOW_WATER:
            self._sender.go_on()

    def _hand_over(self, piece: bytes) -> None:
        cut = self._flow.cut_after
        if self._receiver.gone:
            # As a host answers octets for a socket that is closed.
            self._receiver.out.signal(Signal.RESET)
            return
        self.arrived += len(piece)
        if cut is None or self.arrived < cut:
            self._receiver.hear(piece)
            return
        piece = piece[: len(piece) - (self.arrived - cut)]
        if piece:
            self._receiver.hear(piece)
        self._link.cut(self._flow.noticed)


class End(asyncio.Transport):
    """One end of a connection, as asyncio protocols know a transport."""

    _link: Link
    _out: Pipe

    def __init__(self, loop: asyncio.AbstractEventLoop, here: Address, there: Address) -> None:
        super().__init__(extra={"sockname": here, "peername": there})
        self._loop = loop
        self._protocol: asyncio.BaseProtocol | None = None
        self._closing = False
        self._ended = False
        self._held_back = False
        self.paused = False
        self.gone = False
        """Closed for both directions: octets that arrive now are answered with a reset."""

    def attach(self, link: Link, out: Pipe) -> None:
        """Belong to a link, writing into `out`."""
        self._link = link
        self._out = out

    # --- what the link says -------------------------------------------------------------------

    def hear(self, piece: bytes) -> None:
        """Octets have arrived."""
        protocol = self._protocol
        if isinstance(protocol, asyncio.BufferedProtocol):
            view = memoryview(piece)
            while view and not self.gone:
                buffer = memoryview(protocol.get_buffer(len(view)))
                size = min(len(view), len(buffer))
                buffer[:size] = view[:size]
                view = view[size:]
                protocol.buffer_updated(size)
        else:
            assert isinstance(protocol, asyncio.Protocol)
            protocol.data_received(piece)

    def hear_end(self) -> None:
        """The other end writes no more."""
        if self.gone:
            return
        assert isinstance(self._protocol, asyncio.Protocol | asyncio.BufferedProtocol)
        if not self._protocol.eof_received():
            self.close()

    def reset(self) -> None:
        """The connection broke, and this end notices."""
        self._lose(ConnectionResetError(104, "Connection reset by peer"))

    def hold_back(self) -> None:
        """Too much is under way."""
        if not self._held_back and self._protocol is not None:
            self._held_back = True
            self._protocol.pause_writing()

    def go_on(self) -> None:
        """There is room again."""
        if self._held_back and self._protocol is not None:
            self._held_back = False
            self._protocol.resume_writing()

    # --- what the protocol says -----------------------------------------------------------------

    def write(self, octets: Any) -> None:  # Any: whatever the buffer protocol can read
        """Send octets; once the connection is lost, they are dropped."""
        if not self._ended and not self._closing and (octets := bytes(octets)):
            self._out.send(octets)

    def writelines(self, pieces: Iterable[Any]) -> None:  # Any: as in `write`
        """Send all of them as one."""
        self.write(b"".join(pieces))

    def write_eof(self) -> None:
        """Write no more, and go on reading."""
        if not self._ended:
            self._ended = True
            self._out.signal(Signal.END)

    def can_write_eof(self) -> bool:
        """A stream can be half closed."""
        return True

    def close(self) -> None:
        """Let what was written arrive, then be gone."""
        if not self._closing:
            self.write_eof()
            self._lose(None)

    def abort(self) -> None:
        """Be gone at once. What was written is the operating system's, and still arrives."""
        self.close()

    def _force_close(self, error: Exception | None) -> None:
        """What asyncio's TLS calls when a handshake fails."""
        self.write_eof()
        self._lose(error)

    def _lose(self, error: Exception | None) -> None:
        if self.gone:
            return
        self.gone = self._closing = self._ended = True
        if self._protocol is not None and not self._loop.is_closed():
            self._loop.call_soon(self._protocol.connection_lost, error)

    def is_closing(self) -> bool:
        """Whether it was closed, by whomever."""
        return self._closing

    def pause_reading(self) -> None:
        """Let what arrives wait."""
        self.paused = True

    def resume_reading(self) -> None:
        """Take what waits, in a later step."""
        if self.paused and not self.gone:
            self.paused = False
            self._loop.call_soon(self._other.out.deliver)

    def is_reading(self) -> bool:
        """Whether octets are taken as they arrive."""
        return not self.paused and not self._closing

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """The kit's own limits stay: a test sees the same with every protocol."""

    def get_write_buffer_size(self) -> int:
        """Octets under way."""
        return self._out.size

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """(low, high)."""
        return (LOW_WATER, HIGH_WATER)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Who hears from now on."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who hears."""
        assert self._protocol is not None
        return self._protocol

    @property
    def out(self) -> Pipe:
        """What this end writes into."""
        return self._out

    @property
    def _other(self) -> End:
        return self._link.server if self is self._link.client else self._link.client
