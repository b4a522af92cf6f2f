"""A gateway on real sockets, for tests: small faces, ephemeral ports, everything stopped after."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
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
from tillwire.net.streams import StreamConnection
from tillwire.server.faces import AnyKind, FaceKind, NoSettings, Parts, StreamKind
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
        elif path.startswith("/answer/"):
            await asgi.Reply(int(path.removeprefix("/answer/"))).send(send)
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


class Lines:
    """A face over a byte stream: a message is a line, and most of them come back."""

    def __init__(self) -> None:
        self.sessions: list[LineSession] = []
        self.stopped = False
        self._news = asyncio.Event()

    def tell(self) -> None:
        """Something has happened."""
        self._news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until enough has happened."""
        async with asyncio.timeout(10):
            while not condition():
                self._news.clear()
                await self._news.wait()

    def create(self, parts: Parts, settings: NoSettings) -> Lines:
        return self

    def connected(self, connection: StreamConnection) -> LineSession:
        self.sessions.append(LineSession(connection, self.tell))
        self.tell()
        return self.sessions[-1]

    async def stop(self) -> None:
        assert all(session.is_over for session in self.sessions), "connections end first"
        self.stopped = True


class LineSession:
    """`work` makes the peer busy until `done`, `fail` is a defect, `big` is a large answer."""

    def __init__(self, connection: StreamConnection, tell: Callable[[], None]) -> None:
        self.connection = connection
        self._tell = tell
        self.busy = False
        self.is_finished = False
        self.is_over = False
        self.refused = 0
        self.heard = 0
        """Messages so far."""
        self._part = b""

    @property
    def unfinished(self) -> bool:
        return bool(self._part)

    @property
    def doing(self) -> str:
        return "work" if self.busy else ""

    def received(self, octets: bytes) -> int:
        *lines, self._part = (self._part + octets).split(b"\n")
        for line in lines:
            self._serve(line)
        self.heard += len(lines)
        self._tell()
        return len(lines)

    def _serve(self, line: bytes) -> None:
        if line == b"fail":
            raise RuntimeError("4111111111111111")
        self.busy = line == b"work" or (self.busy and line != b"done")
        large = line.startswith(b"big")
        answer = line + (b"." * 100_000 if large else b"")
        self.refused += not self.connection.send(answer + b"\n", optional=line == b"big?")
        self._close_if_idle()

    def finish(self) -> None:
        self.is_finished = True
        self._tell()
        self._close_if_idle()

    def stop(self) -> None:
        self.connection.send(b"stopping\n")
        self.finish()

    def _close_if_idle(self) -> None:
        if self.is_finished and not self.busy:
            self.connection.close()

    def ended(self) -> None:
        self.is_over = True
        self._tell()


def kinds(echo: Echo, lines: Lines | None = None) -> dict[str, AnyKind]:
    """The faces of a test: the echo, and a byte stream if it is given."""
    found: dict[str, AnyKind] = {
        "echo": FaceKind("An echo", echo.create, polls=frozenset({"/next"}))
    }
    if lines is not None:
        found["lines"] = StreamKind("Lines", lines.create)
    return found


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
async def running(settings: Configuration, faces: Mapping[str, AnyKind]) -> AsyncIterator[Gateway]:
    """The gateway while it serves, with the shop of `found_shop` in its estate."""
    gateway = Gateway(settings, faces=faces)
    await gateway.open()
    await gateway.journal.commit(found_shop)
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()
