"""Serves an ASGI application, or a face over a byte stream, in process, on any loop that runs.

HTTP through uvicorn's own protocol class, as in earnest, but without uvicorn's `Server`, whose
signals and wall clock a test has no use for; a byte stream through the gateway's own listener.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from tests.kit.virtual_loop import VirtualLoop
from tillwire.clock import SystemClock
from tillwire.config import Limits, ListenerSettings
from tillwire.net.streams import StreamFace
from tillwire.server.handshakes import Handshakes
from tillwire.server.listeners import bind
from tillwire.server.streams import StreamListener

AsgiApp = Any
"""An ASGI 3 application; its own type is a callable of mappings without a shape."""


@dataclass(frozen=True)
class Served:
    """An application that is being served."""

    host: str
    port: int
    url: str
    """Where it is, without a trailing slash."""
    server: asyncio.AbstractServer
    state: ServerState
    lifespan: Any
    """uvicorn's: one of two classes without a common one."""

    async def close(self) -> None:
        """Take no more connections, end those that are idle, and end the application."""
        self.server.close()
        # In the order of their numbers, not of their addresses in memory, which no seed decides.
        open_ones: list[Any] = list(self.state.connections)
        for connection in sorted(open_ones, key=lambda each: each.client):
            connection.shutdown()
        await self.lifespan.shutdown()


async def serve_app(
    app: AsgiApp,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    tls: ssl.SSLContext | None = None,
    lifespan: bool = False,
) -> Served:
    """Serve `app` at `host`:`port` (0: a free port). `lifespan`: run its start and its end, if it
    has any. An error that it lets out is told to the loop's exception handler, which on a virtual
    loop fails the test."""
    loop = asyncio.get_running_loop()

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        try:
            await app(scope, receive, send)
        except Exception as error:
            if scope["type"] != "lifespan":  # refusing that is how an application has none
                context = {"message": "An application failed", "exception": error}
                loop.call_exception_handler(context)
            raise

    config = Config(
        watched,
        http=HttpToolsProtocol,
        ws="none",
        loop="none",
        lifespan="auto" if lifespan else "off",
        log_config=None,
        access_log=False,
        date_header=False,
        server_header=False,
    )
    config.load()
    its_lifespan: Any = config.lifespan_class(config)
    await its_lifespan.startup()
    assert not its_lifespan.should_exit, "the application failed to start"
    state = ServerState()

    def protocol() -> HttpToolsProtocol:
        return HttpToolsProtocol(config, state, its_lifespan.state)

    server: Any = await loop.create_server(protocol, host, port, ssl=tls)
    bound = server.sockets[0].getsockname()[1]
    url = f"{'https' if tls else 'http'}://{host}:{bound}"
    return Served(host, bound, url, server, state, its_lifespan)


async def serve_stream(
    face: StreamFace,
    port: int = 0,
    *,
    tls: ssl.SSLContext | None = None,
    limits: Limits | None = None,
    stop_seconds: float = 1.0,
) -> StreamListener:
    """Serve `face` on `port` of loopback (0: a free port), until it is stopped."""
    settings = ListenerSettings(name="stream", port=port, limits=limits or Limits())
    loop = asyncio.get_running_loop()
    listening: Any = loop.network.place(port) if isinstance(loop, VirtualLoop) else bind(settings)
    listener = StreamListener(
        settings,
        listening,
        face,
        _handshakes(tls, settings) if tls is not None else None,
        stop_seconds=stop_seconds,
        count=lambda *_: None,
        now=SystemClock().now,
    )
    await listener.start()
    return listener


def _handshakes(tls: ssl.SSLContext, settings: ListenerSettings) -> Handshakes:
    within = settings.limits.message_seconds
    return Handshakes(lambda: tls, settings, SystemClock(), within=within, refused=lambda: None)
