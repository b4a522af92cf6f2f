"""A gateway on real sockets, for tests: small faces, ephemeral ports, everything stopped after."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from tests.unit.estate_fixture import found_shop
from tillwire.config import (
    Configuration,
    FaceSettings,
    JournalSettings,
    ListenerSettings,
    Page,
    VirtualSettings,
)
from tillwire.net import asgi
from tillwire.net.asgi import App, Receive, Scope, Send
from tillwire.server.faces import FaceKind, NoSettings, Parts
from tillwire.server.gateway import Gateway


class Echo:
    """A face that tells where it believes to be."""

    def __init__(self) -> None:
        self.lives: list[str] = []
        self.polled = asyncio.Event()

    def create(self, parts: Parts, settings: NoSettings) -> App:
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        path = asgi.path_of(scope)
        if path == "/next":
            self.polled.set()
            await asyncio.Event().wait()
        elif path == "/fail":
            raise RuntimeError("4111111111111111")
        else:
            seen = {
                "root_path": scope["root_path"],
                "path": scope["path"],
                "below": path,
                "scheme": scope["scheme"],
                "host": asgi.header(scope, b"host"),
            }
            await asgi.Reply(200, msgspec.json.encode(seen)).send(send)

    async def _live(self, receive: Receive, send: Send) -> None:
        for part in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{part}"
            self.lives.append(part)
            await send({"type": f"lifespan.{part}.complete"})


def kinds(echo: Echo) -> dict[str, FaceKind]:
    """The faces of a test: the echo alone."""
    return {"echo": FaceKind("An echo", echo.create, polls=frozenset({"/next"}))}


def echo_at(prefix: str) -> FaceSettings:
    """The echo in its place."""
    return FaceSettings(name="echo", prefix=prefix)


def listener(name: str = "front", **changes: Any) -> ListenerSettings:
    """A listener on a free port, with the gateway's own pages and the echo under /echo."""
    values = {"pages": tuple(Page), "faces": (echo_at("/echo"),), **changes}
    return ListenerSettings(name=name, port=values.pop("port", 0), **values)


def configuration(folder: Path, *listeners: ListenerSettings, **changes: Any) -> Configuration:
    """A gateway with virtual terminals in the folder."""
    return Configuration(
        journal=JournalSettings(path=str(folder / "journal.db")),
        listeners=listeners or (listener(),),
        virtual=VirtualSettings(directory=str(folder / "virtual")),
        **{"stop_seconds": 1.0, **changes},
    )


@asynccontextmanager
async def running(settings: Configuration, faces: Mapping[str, FaceKind]) -> AsyncIterator[Gateway]:
    """The gateway while it serves, with the shop of `found_shop` in its estate."""
    gateway = Gateway(settings, faces=faces)
    await gateway.open()
    await gateway.journal.commit(found_shop)
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()
