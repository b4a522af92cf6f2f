"""Terminals that dial us, and are then asked as if we had dialled them.

One port is one terminal's. What waits there is its newest connection: one that comes while another
waits takes its place, for a terminal that dials again has lost the one before, whether or not we
have heard of that. A connection is handed out once, and belongs to whoever took it.

On a connection that waits, nothing may come: the terminal never speaks first. Whatever comes all
the same would be taken for the answer to the next question, so the connection ends. Strangers are
hung up on; only the address tells who somebody is.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Final

import structlog

from tillwire.core.ports import Connection
from tillwire.errors import NotDelivered
from tillwire.net.dialer import StreamConnection
from tillwire.net.keepalive import SOON, keep_alive

BACKLOG: Final = 16
"""Connections that may wait to be accepted."""
LOGGED_EVERY: Final = 60.0
"""Seconds in which one line in the log tells of all who were turned away."""


@dataclass(frozen=True)
class Awaited:
    """Where a terminal is to dial, and from where it does."""

    host: str
    """Our address, IPv4."""
    port: int
    peer: IPv4Network

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class CallerPort:
    """Where one terminal dials."""

    def __init__(self, terminal: str) -> None:
        """`terminal` is its name, for people."""
        self.terminal = terminal
        self.place: Awaited | None = None
        """Where that is; None while nobody listens."""
        self._server: asyncio.AbstractServer | None = None
        self._waiting: Caller | None = None
        self._came = asyncio.Event()
        self._turned_away = 0
        self._log_from = 0.0

    async def listen(self, place: Awaited) -> None:
        """Take connections there. Raises `OSError`."""
        assert self.place is None, "it listens at one place"
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Caller(self), place.host, place.port, backlog=BACKLOG, start_serving=False
        )
        self.place = place
        try:
            await self._server.start_serving()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Take no more, and hang up on who waits. What was handed out goes on."""
        if self._server is not None:
            self._server.close()
        self._server = self.place = None
        self._replace(None)

    async def take(self, timeout: float) -> Connection:
        """A connection of the terminal's, over which nothing has come yet. Raises `NotDelivered`
        when there is none within `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                while self._waiting is None:
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError:
            at = f" to {self.place}" if self.place else ""
            raise NotDelivered(
                f"{self.terminal} has not connected{at} within {timeout:g} s."
            ) from None
        caller, self._waiting = self._waiting, None
        return StreamConnection(caller.reader, caller.writer, caller.peer)

    # --- what its connections say -----------------------------------------------------------------

    def came(self, caller: Caller) -> None:
        """A connection is open: the terminal's, or a stranger's."""
        if self.place is None or caller.address not in self.place.peer:
            self._turn_away(caller, "it is not the terminal's address")
            return
        self._replace(caller)
        self._came.set()

    def waits(self, caller: Caller) -> bool:
        """Whether nobody has taken it yet."""
        return caller is self._waiting

    def spoke(self, caller: Caller) -> None:
        """Something came over one that waits."""
        self._waiting = None
        self._turn_away(caller, "it spoke before it was asked")

    def gone(self, caller: Caller) -> None:
        """It is over."""
        if caller is self._waiting:
            self._waiting = None

    def _replace(self, caller: Caller | None) -> None:
        former, self._waiting = self._waiting, caller
        if former is not None:
            former.hang_up()

    def _turn_away(self, caller: Caller, reason: str) -> None:
        caller.hang_up()
        self._turned_away += 1
        now = asyncio.get_running_loop().time()
        if now >= self._log_from:
            structlog.get_logger().warning(
                "a connection to a terminal's port was ended",
                terminal=self.terminal,
                peer=caller.peer,
                reason=reason,
                count=self._turned_away,
            )
            self._turned_away, self._log_from = 0, now + LOGGED_EVERY


class Caller(asyncio.StreamReaderProtocol):
    """One connection."""

    def __init__(self, port: CallerPort) -> None:
        self.reader = asyncio.StreamReader()
        super().__init__(self.reader)
        self._port = port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait to be taken."""
        super().connection_made(transport)
        self._pipe: asyncio.Transport = transport  # type: ignore[assignment]  # both directions
        loop = asyncio.get_running_loop()
        self.writer = asyncio.StreamWriter(self._pipe, self, self.reader, loop)
        host, port, *_ = transport.get_extra_info("peername") or ("0.0.0.0", 0)  # noqa: S104 - nobody
        self.address = IPv4Address(host)
        self.peer = f"{host}:{port}"
        keep_alive(transport, SOON)  # a command must not go to a terminal that is gone
        self._port.came(self)

    def data_received(self, data: bytes) -> None:
        """Octets for whoever has taken it."""
        if self._port.waits(self):
            self._port.spoke(self)
        else:
            super().data_received(data)

    def eof_received(self) -> bool | None:
        """One that waits is of no use any more."""
        if self._port.waits(self):
            self._port.gone(self)
            self.hang_up()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._port.gone(self)
        super().connection_lost(exc)

    def hang_up(self) -> None:
        """End it at once."""
        self._pipe.abort()
