"""The in-memory network of a virtual loop: names, listeners, and how connections come about.

Real clients and servers (asyncio streams, aiohttp, uvicorn) run on it unmodified, TLS included.
Which connection suffers what is asked of a `faults.Policy`.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import random
import re
import socket
import ssl
from asyncio import sslproto
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from tests.kit.faults import Connect, Noticed, Policy, clean
from tests.kit.memory import Address, End, Link

ProtocolFactory = Callable[[], asyncio.BaseProtocol]

LOOPBACK: Final = "127.0.0.1"
CONNECT_GIVES_UP: Final = 127.0
"""Seconds after which the operating system gives up a connect that nobody answers (Linux: six
repetitions of the first packet)."""
FIRST_FREE_PORT: Final = 49_152

_NUMERIC = re.compile(r"[0-9.]+\Z")


class Network:
    """Who listens where, and what happens to connections."""

    def __init__(self, loop: asyncio.AbstractEventLoop, source: random.Random) -> None:
        self._loop = loop
        self._source = source
        self._names = {"localhost": LOOPBACK}
        self._listeners: dict[Address, Listener] = {}
        self._numbers: Counter[int] = Counter()
        self._free_ports = itertools.count(FIRST_FREE_PORT)
        self._connected: dict[socket.socket, End] = {}
        self.faults: Policy = clean
        self.links: list[Link] = []
        """Every connection so far, in order, for a test to cut."""

    # --- names and listeners ------------------------------------------------------------------

    def name(self, name: str, address: str) -> None:
        """Let a host name mean a numeric address."""
        self._names[name] = address

    def resolve(self, host: str) -> str:
        """The numeric address of a host. Raises `socket.gaierror` for a name nobody gave."""
        found = host if _NUMERIC.match(host) else self._names.get(host)
        if found is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return found

    def listen(
        self,
        protocol_factory: ProtocolFactory,
        host: str | None,
        port: int | None,
        *,
        sock: Place | None = None,
        ssl: ssl.SSLContext | None = None,
        **_: Any,  # Any: what asyncio's create_server takes besides, and memory has no use for
    ) -> Listener:
        """Listen at an address; port 0 takes a free one. Raises `OSError` when it is taken."""
        if sock is not None:
            host, port = sock.getsockname()
        address = (self.resolve(host or LOOPBACK), port or next(self._free_ports))
        if address in self._listeners:
            raise _os_error(OSError, errno.EADDRINUSE)
        listener = Listener(self._loop, protocol_factory, address, ssl, self._listeners)
        self._listeners[address] = listener
        return listener

    def place(self, port: int) -> Place:
        """What stands for a socket that is bound to the port; 0 takes a free one."""
        return Place((LOOPBACK, port or next(self._free_ports)))

    def strike(self, *ports: int) -> None:
        """What listens at these ports dies, and its connections with it."""
        for address, listener in list(self._listeners.items()):
            if address[1] in ports:
                listener.close()
        self.cut(*ports)

    def cut(self, *ports: int) -> None:
        """Break every connection to these ports; both ends see a reset."""
        for link in self.links:
            if link.port in ports and not link.broken:
                link.cut(Noticed.BOTH)

    # --- connecting ---------------------------------------------------------------------------

    async def connect(self, host: str, port: int) -> End:
        """A new connection's client end. Raises `OSError` as a socket does."""
        faults = self.faults(port, self._numbers[port])
        self._numbers[port] += 1
        await asyncio.sleep(faults.connect_delay)
        if faults.connect is Connect.SILENCE:
            await asyncio.sleep(CONNECT_GIVES_UP)
            raise _os_error(TimeoutError, errno.ETIMEDOUT)
        listener = self._listeners.get((host, port))
        if listener is None or faults.connect is Connect.REFUSE:
            raise _os_error(ConnectionRefusedError, errno.ECONNREFUSED)
        here = (LOOPBACK, next(self._free_ports))
        link = Link(self._loop, self._source, faults, here, (host, port))
        self.links.append(link)
        listener.accept(link.server)
        return link.client

    async def connect_socket(self, sock: socket.socket, host: str, port: int) -> None:
        """Connect for a socket, which itself goes nowhere."""
        self._connected[sock] = await self.connect(self.resolve(host), port)

    async def create_connection(
        self,
        protocol_factory: ProtocolFactory,
        host: str | None,
        port: int | None,
        *,
        sock: socket.socket | None = None,
        ssl: ssl.SSLContext | bool | None = None,
        server_hostname: str | None = None,
        **_: Any,  # Any: what asyncio's create_connection takes besides
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """As the loop's method does, in memory."""
        if sock is not None:
            end = self._connected.pop(sock)
            sock.close()
        else:
            assert host is not None
            assert port is not None
            end = await self.connect(self.resolve(host), port)
        protocol = protocol_factory()
        ready = self._loop.create_future()
        if ssl:
            context = _context(ssl)
            name = server_hostname or host
            transport = _over_tls(self._loop, end, protocol, context, ready, name)
        else:
            transport = _plain(self._loop, end, protocol, ready)
        try:
            await ready
        except BaseException:
            transport.close()
            raise
        return transport, protocol


class Listener(asyncio.AbstractServer):
    """A server that listens in memory."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        protocol_factory: ProtocolFactory,
        address: Address,
        context: ssl.SSLContext | None,
        listeners: dict[Address, Listener],
    ) -> None:
        self._loop = loop
        self._protocol_factory = protocol_factory
        self._context = context
        self._listeners = listeners
        self.address = address
        self.sockets = (Place(address),)

    def accept(self, end: End) -> None:
        """Serve a new connection."""
        protocol = self._protocol_factory()
        if self._context is None:
            _plain(self._loop, end, protocol, None)
        else:
            _over_tls(self._loop, end, protocol, self._context, None, None)

    def close(self) -> None:
        """Take no more connections; those that are open stay."""
        if self.is_serving():  # another one may have taken its place
            del self._listeners[self.address]

    async def wait_closed(self) -> None:
        """It closes at once."""

    async def start_serving(self) -> None:
        """It serves from the beginning."""

    async def serve_forever(self) -> None:
        """Serve until cancelled."""
        await self._loop.create_future()

    def is_serving(self) -> bool:
        """Whether connections are taken."""
        return self._listeners.get(self.address) is self

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The loop it serves on."""
        return self._loop


class Place:
    """What servers ask of a listening socket: where it listens."""

    def __init__(self, address: Address) -> None:
        self._address = address

    def getsockname(self) -> Address:
        """Address and port."""
        return self._address

    def close(self) -> None:
        """There is nothing to close."""


def _plain(
    loop: asyncio.AbstractEventLoop,
    end: End,
    protocol: asyncio.BaseProtocol,
    ready: asyncio.Future[None] | None,
) -> asyncio.Transport:
    end.set_protocol(protocol)
    loop.call_soon(protocol.connection_made, end)
    if ready is not None:
        loop.call_soon(_mark, ready)
    return end


def _mark(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _over_tls(
    loop: asyncio.AbstractEventLoop,
    end: End,
    protocol: asyncio.BaseProtocol,
    context: ssl.SSLContext,
    ready: asyncio.Future[None] | None,
    name: str | None,
) -> asyncio.Transport:
    # asyncio's own TLS, as its socket transports use it; typeshed knows this class in part only.
    make_tls: Any = sslproto.SSLProtocol
    tls = make_tls(loop, protocol, context, ready, server_side=ready is None, server_hostname=name)
    end.set_protocol(tls)
    loop.call_soon(tls.connection_made, end)
    transport: asyncio.Transport = tls._get_app_transport()
    return transport


def _context(wanted: ssl.SSLContext | bool) -> ssl.SSLContext:
    return wanted if isinstance(wanted, ssl.SSLContext) else ssl.create_default_context()


def _os_error(kind: type[OSError], number: int) -> OSError:
    return kind(number, os.strerror(number))
