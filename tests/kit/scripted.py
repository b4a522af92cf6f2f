"""A server that does as its script says, in place of what a driver speaks with: it notes what it is
asked, and each dialect says how that is answered."""

from __future__ import annotations

import asyncio
import json
import ssl
from abc import ABC, abstractmethod
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from tests.kit.serving import Served, serve_app
from tests.kit.virtual_loop import virtual_loop
from tillwire.net import asgi
from tillwire.net.asgi import Receive, Reply, Scope, Send


@dataclass
class Asked:
    """A request that arrived, and when, in seconds of the loop."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def json(self) -> dict[str, Any]:
        """Its body, as JSON."""
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def fields(self) -> list[tuple[str, str]]:
        """Its body, as a form in its order."""
        return parse_qsl(self.body.decode("ascii"), keep_blank_values=True, strict_parsing=True)

    @property
    def form(self) -> dict[str, str]:
        """Its body, as a form."""
        return dict(self.fields)


class ScriptedServer(ABC):
    """The server."""

    port: ClassVar[int]
    """Where it listens, unless it is told."""

    def __init__(self) -> None:
        self.heard: list[Asked] = []
        """All requests."""
        self._running: set[asyncio.Task[None]] = set()
        self._served: Served | None = None

    async def listen(self, tls: ssl.SSLContext | None = None, port: int | None = None) -> str:
        """Be there; the base URL."""
        self._served = await serve_app(self, port=self.port if port is None else port, tls=tls)
        return self._served.url

    async def close(self) -> None:
        """Be gone, with all that goes on."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self.vanish()

    async def vanish(self) -> None:
        """Listen no more."""
        if self._served is not None:
            await self._served.close()
            self._served = None

    def spawn(self, work: Awaitable[None]) -> None:
        """Let something go on."""

        async def run() -> None:
            await work

        task = asyncio.get_running_loop().create_task(run())
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        try:
            body = await asgi.read_body(scope, receive)
        except asgi.DisconnectedError:
            return
        asked = Asked(
            scope["method"],
            scope["path"],
            dict(parse_qsl(scope["query_string"].decode())),
            {key.decode(): value.decode() for key, value in scope["headers"]},
            body,
            asyncio.get_running_loop().time(),
        )
        self.heard.append(asked)
        await (await self.reply(asked)).send(send)

    @abstractmethod
    async def reply(self, asked: Asked) -> Reply:
        """What it answers."""


async def cut(server: ScriptedServer, asked: Asked) -> Reply:
    """Break the connection."""
    virtual_loop().network.cut(server.port)
    await asyncio.sleep(120)
    return Reply(500)


async def silent(server: ScriptedServer, asked: Asked) -> Reply:
    """Say nothing for a long time."""
    await asyncio.sleep(1000)
    return Reply(500)
