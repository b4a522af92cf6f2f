"""An operator at the socket of a gateway on real sockets, with lanes to look after."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from tests.unit.server import rig
from tests.unit.server.rig import Echo, Lines
from tillwire.config import Configuration, FaceSettings, ListenerSettings
from tillwire.core.ports import LanePort
from tillwire.server.control import control_path
from tillwire.server.faces import AnyKind, StreamKind
from tillwire.server.gateway import Gateway


class Answer(NamedTuple):
    """What the gateway said."""

    status: int
    document: Any

    @property
    def detail(self) -> str:
        return str(self.document["detail"])


class Operator:
    """Somebody who may use the socket."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.path = control_path(gateway.journal.path)

    async def ask(self, method: str, target: str, **options: Any) -> Answer:
        connector = aiohttp.UnixConnector(str(self.path))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.request(method, f"http://gateway{target}", **options) as answer,
        ):
            return Answer(answer.status, await answer.json(content_type=None))

    async def lane(self, name: str = "lanes") -> Any:
        """The lane as it is shown."""
        shown = await self.ask("GET", "/lanes")
        assert shown.status == 200
        return next(each for each in shown.document["lanes"] if each["name"] == name)

    async def reset(self, lane: str = "lanes", peer: str | None = None) -> Answer:
        return await self.ask("POST", "/reset", json={"lane": lane, "peer": peer})

    async def port(self, port: int | None, lane: str = "lanes") -> Answer:
        return await self.ask("POST", "/port", json={"lane": lane, "port": port})

    async def raw(self, octets: bytes) -> bytes:
        """What is answered to octets that no client would write."""
        reader, writer = await asyncio.open_unix_connection(str(self.path))
        try:
            writer.write(octets)
            async with asyncio.timeout(10):
                return await reader.read()
        except ConnectionError:  # cut off while we write
            return b""
        finally:
            writer.close()

    async def set_ports(self) -> list[LanePort]:
        """What the journal has."""
        return await self.gateway.journal.read(lambda reader: reader.lane_ports())


def kinds(lines: Lines) -> dict[str, AnyKind]:
    """The echo, and lanes that may dial."""
    found = rig.kinds(Echo())
    return {
        **found,
        "lines": StreamKind("Lines", lines.create, place=lambda _: "TERMINAL-1", reverse=True),
    }


def lane(name: str = "lanes", **changes: Any) -> ListenerSettings:
    """A lane on a free port."""
    return rig.listener(name, pages=(), faces=(FaceSettings(name="lines"),), **changes)


def settings(folder: Path, *lanes: ListenerSettings, **changes: Any) -> Configuration:
    """A gateway with a front for HTTP and these lanes."""
    return rig.configuration(folder, rig.listener(), *(lanes or (lane(),)), **changes)


@asynccontextmanager
async def operated(
    configuration: Configuration, lines: Lines | None = None
) -> AsyncIterator[Operator]:
    """The gateway while it serves."""
    async with rig.running(configuration, kinds(lines or Lines())) as gateway:
        yield Operator(gateway)
