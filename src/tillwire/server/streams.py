"""Listeners for byte streams: sockets and TLS as every listener has them, limits, a clean stop.

What the octets mean is the face's business (`net/streams.py`). An idle connection has one timer
and no task, since there may be many thousands of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import structlog

from tillwire.clock import Instant
from tillwire.config import Limits, ListenerSettings
from tillwire.net.keepalive import USUAL, KeepAlive, keep_alive
from tillwire.net.streams import StreamFace, StreamSession
from tillwire.server.handshakes import Handshakes, let_go, peer_of
from tillwire.server.listeners import url_host

CLOSE_WITHIN: Final = 10.0
"""Seconds in which the peer must take what was written before a close; then it is cut off."""
PER_TURN: Final = 4096
"""Octets of one connection that are taken at once. The rest waits until the event loop has been
round: who writes without end must not keep other tills from being heard."""

Count = Callable[[str, int], None]
"""Told of messages: `received` or `sent`, and how many."""


@dataclass(frozen=True)
class ConnectionView:
    """An open connection, as an operator sees it."""

    peer: str
    """`address:port` of the other side."""
    since: Instant
    doing: str
    """What it is serving, in a word; empty when nothing goes on."""


@dataclass(frozen=True)
class LaneView:
    """A listener of a byte stream, as an operator sees it."""

    name: str
    face: str
    address: str
    """Where it listens; in reverse mode, whom it dials."""
    port: int
    reverse: bool
    connections: tuple[ConnectionView, ...]
    """The oldest first."""


class Connections:
    """The open connections of one listener, within its limits."""

    def __init__(
        self,
        settings: ListenerSettings,
        face: StreamFace,
        *,
        count: Count,
        now: Callable[[], Instant],
        alive: KeepAlive = USUAL,
    ) -> None:
        self.settings = settings
        self.face = face
        self.count = count
        self.now = now
        self.alive = alive
        self._open: dict[Connection, None] = {}
        self._one_gone = asyncio.Event()
        self._stopping = False

    def __len__(self) -> int:
        return len(self._open)

    def opened(self, connection: Connection) -> bool:
        """Whether there is room for one more, which counts from now on."""
        if self._stopping or len(self._open) >= self.settings.limits.connections:
            return False
        self._open[connection] = None
        return True

    def __iter__(self) -> Iterator[Connection]:
        return iter(self._open)

    def closed(self, connection: Connection) -> None:
        """It is gone."""
        self._open.pop(connection, None)
        self._one_gone.set()

    def describe(self, address: str, port: int, *, reverse: bool) -> LaneView:
        """All of them, in the order in which they came."""
        found = tuple(each.describe() for each in self._open)
        face = " ".join(each.name for each in self.settings.faces)
        return LaneView(self.settings.name, face, address, port, reverse, found)

    def reset(self, peer: str | None) -> int:
        """Cut those of a peer, by its address with or without its port, or all; how many."""
        found = [each for each in self._open if peer in (None, each.peer, each.host)]
        for each in found:
            each.cut()
        return len(found)

    async def stop(self, within: float) -> None:
        """Take no more, tell every peer, let what goes on for them finish within so many seconds,
        cut the rest."""
        self._stopping = True
        for connection in list(self._open):
            connection.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self.all_gone()
        for connection in list(self._open):
            connection.cut()
        await self.all_gone()

    async def all_gone(self) -> None:
        """Returns when none is open."""
        while self._open:
            self._one_gone.clear()
            await self._one_gone.wait()


class StreamListener:
    """One address and port that serves a face over byte streams."""

    def __init__(
        self,
        settings: ListenerSettings,
        listening: socket.socket,
        face: StreamFace,
        tls: Handshakes | None,
        *,
        stop_seconds: float,
        count: Count,
        now: Callable[[], Instant],
    ) -> None:
        self.settings = settings
        self.port: int = listening.getsockname()[1]
        self.face = face
        self._open = Connections(settings, face, count=count, now=now)
        self._socket = listening
        self._tls = tls
        self._stop_seconds = stop_seconds
        self._server: asyncio.AbstractServer | None = None

    @property
    def url(self) -> str:
        """How the listener is called."""
        return f"{'tls' if self._tls else 'tcp'}://{url_host(self.settings.address)}:{self.port}"

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._open)

    def describe(self) -> LaneView:
        """Where it is, and who is connected."""
        return self._open.describe(self.settings.address, self.port, reverse=False)

    def reset(self, peer: str | None) -> int:
        """Cut the connections of a peer (its address, with or without the port), or all; how many
        they are. What goes on for them in the journal goes on."""
        return self._open.reset(peer)

    async def start(self) -> None:
        """Returns when connections are accepted."""
        self._server = await self._served()
        await self._server.start_serving()

    async def move(self, listening: socket.socket) -> None:
        """Accept connections at another port, and at this one no more: its connections end as
        soon as nothing goes on for them."""
        left, leaving = self._server, list(self._open)
        assert left is not None, "it has started"
        self._socket = listening
        self._server = await self._served()  # which waits for nothing: no stop comes in between
        self.port = listening.getsockname()[1]
        left.close()
        for connection in leaving:
            connection.stop()
        await self._server.start_serving()

    async def _served(self) -> asyncio.AbstractServer:
        return await asyncio.get_running_loop().create_server(
            self._protocol,
            sock=self._socket,
            backlog=self.settings.limits.backlog,
            start_serving=False,
        )

    def _protocol(self) -> asyncio.Protocol:
        connection = Connection(self._open)
        return connection if self._tls is None else self._tls.around(connection)

    async def stop(self) -> None:
        """Accept no more, tell every peer, let what goes on for them finish within the deadline,
        cut the rest."""
        if self._server is None:
            self._socket.close()
            return
        self._server.close()
        if self._tls is not None:
            self._tls.stop()
        await self._open.stop(self._stop_seconds)

    def reload_certificate(self) -> None:
        """Read renewed files. Raises `ConfigurationError`; what was read before stays then."""
        if self._tls is not None:
            self._tls.renew()


class Connection(asyncio.Protocol):
    """One connection, within its listener's limits. Implements `StreamConnection`."""

    __slots__ = (
        "_idle",
        "_listener",
        "_loop",
        "_message",
        "_rest",
        "_session",
        "_since",
        "_transport",
        "_used",
    )

    _loop: asyncio.AbstractEventLoop
    _transport: asyncio.Transport

    def __init__(self, listener: Connections) -> None:
        self._listener = listener
        self._since = listener.now()
        self._session: StreamSession | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._message: asyncio.TimerHandle | None = None
        self._used = 0.0
        self._rest = b""
        """What has arrived and was not taken yet."""

    # --- what asyncio says --------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin a session, if there is room for one more."""
        self._loop = asyncio.get_running_loop()
        self._transport = transport  # type: ignore[assignment]  # a stream's has both directions
        if not self._listener.opened(self):
            self._transport.abort()
            return
        keep_alive(transport, self._listener.alive)
        self._used = self._loop.time()
        self._idle = self._loop.call_later(self._limits.idle_seconds, self._look)
        self._guarded(self._begin)

    def _begin(self) -> None:
        self._session = self._listener.face.connected(self)

    def data_received(self, data: bytes) -> None:
        """Hand octets to the session, and see that a message that has begun ends in time."""
        waits = bool(self._rest)
        self._rest += data
        if not waits:
            self._take_some()

    def _take_some(self) -> None:
        if self._session is None or self._transport.is_closing():
            self._rest = b""
            return
        octets, self._rest = self._rest[:PER_TURN], self._rest[PER_TURN:]
        self._used = self._loop.time()
        self._guarded(self._take, octets)
        if self._rest:
            self._transport.pause_reading()
            self._loop.call_soon(self._take_some)
        elif not self._transport.is_closing():
            self._transport.resume_reading()
        self._time_message()

    def _time_message(self) -> None:
        assert self._session is not None, "there is a session while octets are taken"
        if not self._session.unfinished or self._transport.is_closing():
            self._stop_message_timer()
        elif self._message is None:
            self._message = self._loop.call_later(self._limits.message_seconds, self._too_slow)

    def _take(self, data: bytes) -> None:
        assert self._session is not None, "there is a session while octets are taken"
        if completed := self._session.received(data):
            self._stop_message_timer()  # the next one has its own time
            self._listener.count("received", completed)

    def eof_received(self) -> bool:
        """The peer writes no more. Over plain TCP it may still read what it waits for; one that we
        have dialled is taken to have hung up, for it is dialled again only then."""
        self._stop_message_timer()
        is_over = self._listener.settings.reverse or self._transport.get_extra_info("ssl_object")
        if self._session is None or is_over:
            return False
        self._guarded(self._session.finish)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone, by whomever."""
        self._stop_message_timer()
        if self._idle is not None:
            self._idle.cancel()
        if self._session is not None:
            self._guarded(self._session.ended)
        self._listener.closed(self)

    # --- what the session says (net/streams.py) -----------------------------------------------

    @property
    def peer(self) -> str:
        """Who opened it."""
        return peer_of(self._transport)

    @property
    def host(self) -> str:
        """The same without the port."""
        return self.peer.rpartition(":")[0]

    def send(self, message: bytes, *, optional: bool = False) -> bool:
        """Write a message, if the peer reads."""
        if self._transport.is_closing():
            return False
        waiting, most = self._transport.get_write_buffer_size(), self._limits.unread_bytes
        if optional and waiting + len(message) > most // 2:
            return False
        if waiting and waiting + len(message) > most:
            self._log("a peer does not read", waiting=waiting)
            self.cut()
            return False
        self._used = self._loop.time()
        self._transport.write(message)
        self._listener.count("sent", 1)
        return True

    def close(self) -> None:
        """End it, when what was written has left, or the peer has had its time to read."""
        if not self._transport.is_closing():
            self._transport.close()
            self._rearm(CLOSE_WITHIN, self.cut)

    # --- what the listener says ---------------------------------------------------------------

    def describe(self) -> ConnectionView:
        """What there is to say of it."""
        doing = self._session.doing if self._session is not None else ""
        return ConnectionView(self.peer, self._since, doing)

    def stop(self) -> None:
        """The gateway is stopping."""
        if self._session is not None:
            self._guarded(self._session.stop)
        if self._transport.is_closing():
            let_go(self._transport)

    def cut(self) -> None:
        """End it at once."""
        self._transport.abort()

    # --- limits -------------------------------------------------------------------------------

    @property
    def _limits(self) -> Limits:
        return self._listener.settings.limits

    def _look(self) -> None:
        """Close it if it has been idle for too long, else look again later."""
        assert self._session is not None, "one without a session is closing"
        limit = self._limits.idle_seconds
        idle = 0.0 if self._session.busy else self._loop.time() - self._used
        if idle < limit:
            self._rearm(limit - idle, self._look)
        else:
            self.close()

    def _too_slow(self) -> None:
        self._message = None
        self._log("a message did not arrive in time")
        self.close()

    def _rearm(self, seconds: float, call: Callable[[], None]) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._idle = self._loop.call_later(seconds, call)

    def _stop_message_timer(self) -> None:
        if self._message is not None:
            self._message.cancel()
            self._message = None

    # --- when the session fails ---------------------------------------------------------------

    def _guarded(self, call: Callable[..., None], *arguments: Any) -> None:
        """A session that fails loses its connection, and nobody else's."""
        try:
            call(*arguments)
        except Exception:  # noqa: BLE001 - the last net below every face
            structlog.get_logger().exception(
                "a face failed", listener=self._listener.settings.name, peer=self.peer
            )
            self.cut()

    def _log(self, event: str, **values: Any) -> None:
        structlog.get_logger().info(
            event, listener=self._listener.settings.name, peer=self.peer, **values
        )
