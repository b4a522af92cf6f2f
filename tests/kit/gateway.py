"""The gateway under test: journal, world, engine and faces, on a virtual loop or a real one.

One object is one life of the process. What it leaves on the disk is what the next life starts
from; `machine.py` kills and restarts it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sqlite3
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.kit.serving import Served, serve_app, serve_stream
from tests.kit.virtual_loop import VirtualLoop
from tillwire.callbacks.deliver import Delivery
from tillwire.clock import SystemClock
from tillwire.core.engine import Engine
from tillwire.core.estate_model import Terminal
from tillwire.core.model import Event, Transaction
from tillwire.core.ports import Clock, Connection, HttpClient, HttpResponse, Reader
from tillwire.device.driver import DeviceDriver
from tillwire.device.presence import Presence
from tillwire.dialects.ecr17.driver.driver import Ecr17Driver
from tillwire.dialects.merchantapi.driver.cloud import Systems
from tillwire.dialects.merchantapi.driver.driver import MerchantApiDriver
from tillwire.dialects.nexo.driver.dialling import Network, RealNetwork
from tillwire.dialects.nexo.driver.driver import NexoDriver
from tillwire.dialects.paymentbridge.driver.cloud import Clouds
from tillwire.dialects.paymentbridge.driver.driver import PaymentBridgeDriver
from tillwire.dialects.smartconnect.driver.cloud import Cloud
from tillwire.dialects.smartconnect.driver.driver import SmartConnectDriver
from tillwire.dialects.softpos.driver.backend import Backends
from tillwire.dialects.softpos.driver.driver import SoftPosDriver
from tillwire.journal.sqlite import SqliteJournal
from tillwire.journal.vault import KeyFileVault, key_path
from tillwire.net.addresses import Addresses
from tillwire.net.http_client import AiohttpClient
from tillwire.server.drivers import Drivers
from tillwire.server.faces import FACES, FaceKind, Parts, StreamKind, tellers
from tillwire.server.streams import StreamListener
from tillwire.virtual.driver import VirtualDriver
from tillwire.virtual.world import World

JOURNAL: Final = "journal.db"
PORTS: Final[Mapping[str, int]] = {"merchantapi": 8701, "device": 8702}
"""Where each face listens, in memory."""

FaceSettings = Mapping[str, Mapping[str, Any]]
"""What faces are told, by their names, as in a configuration."""
NONE: Final[FaceSettings] = {}
NO_TLS: Final[Mapping[str, ssl.SSLContext]] = {}

_TLS: Final = ssl.create_default_context()
"""Made once: reading the system's authorities takes longer than a whole life."""


class GatewayUnderTest:
    """One life of the gateway."""

    def __init__(
        self,
        directory: Path,
        faces: Mapping[str, int] = PORTS,
        settings: FaceSettings = NONE,
        *,
        tls: Mapping[str, ssl.SSLContext] = NO_TLS,
        network: Network | None = None,
    ) -> None:
        """On the journal and the world in `directory`; `faces` says which face listens where (0: at
        a free port), `settings` what it is told, as in a configuration, `tls` which of them serve
        TLS. A face has a second listener by its name with a word behind it. `network` is what the
        lines of the drivers are made of. On a virtual loop everything runs inline,
        on its clock; on a real one, as in earnest."""
        loop = asyncio.get_running_loop()
        inline = isinstance(loop, VirtualLoop)
        self.clock: Clock = loop.clock if isinstance(loop, VirtualLoop) else SystemClock()
        self._faces = faces
        self._settings = settings
        self._tls = tls
        lines = network or RealNetwork()
        self._clients: list[AiohttpClient] = []
        self.journal = SqliteJournal(directory / JOURNAL, inline=inline)
        self.vault = KeyFileVault(key_path(self.journal.path))
        self.delivery = Delivery(self.journal, self.vault, self.client(), self.clock)
        self.world = World(directory, self.clock, inline=inline)
        self.presence = Presence(self.clock)
        http = _HttpOverLines(lines)
        self.clouds = clouds = Clouds(http, self.clock, self.vault)
        smartconnect = Cloud(http, self.clock, self.vault)
        systems = Systems(http, self.clock)
        self.backends = backends = Backends(
            lambda tls: lines.http(tls, "") if tls else http, self.clock, self.vault
        )
        self.engine = Engine(
            self.journal,
            Drivers(
                {
                    "virtual": lambda each: VirtualDriver(each, self.world, self.engine),
                    "device": lambda each: DeviceDriver(each, self.engine, self.presence),
                    "ecr17": lambda each: Ecr17Driver(
                        each, self.engine, self.clock, _OverLines(lines)
                    ),
                    "merchantapi": lambda each: MerchantApiDriver(
                        each, self.engine, self.clock, systems
                    ),
                    "nexo": lambda each: NexoDriver(each, self.engine, self.clock, lines),
                    "paymentbridge": lambda each: PaymentBridgeDriver(
                        each, self.engine, self.clock, clouds
                    ),
                    "smartconnect": lambda each: SmartConnectDriver(
                        each, self.engine, self.clock, smartconnect
                    ),
                    "softpos": lambda each: SoftPosDriver(each, self.engine, self.clock, backends),
                }
            ),
            self.clock,
            tellers=tellers(FACES, self.vault),
            posted=self.delivery.posted,
        )
        self._served: dict[str, Served] = {}
        self._streams: dict[str, StreamListener] = {}

    async def start(self) -> None:
        """Take up what is open, and serve the faces."""
        await self.engine.start()
        kinds = [FACES[name.partition(" ")[0]] for name in self._faces]
        if any(isinstance(kind, FaceKind) and kind.teller for kind in kinds):
            self.delivery.start()
        anywhere = Addresses(["127.0.0.0/8"])
        parts = Parts(
            self.engine,
            self.clock,
            self.presence,
            self.world,
            self.vault,
            self.clouds,
            self.backends,
            anywhere,
        )
        for name, port in self._faces.items():
            kind = FACES[name.partition(" ")[0]]
            told = msgspec.convert(self._settings.get(name, {}), kind.settings)
            tls = self._tls.get(name)
            if isinstance(kind, StreamKind):
                self._streams[name] = await serve_stream(kind.create(parts, told), port, tls=tls)
            else:
                app = kind.create(parts, told)
                self._served[name] = await serve_app(app, port=port, tls=tls, lifespan=True)

    def url(self, face: str) -> str:
        """Where the face is served."""
        return (self._served.get(face) or self._streams[face]).url

    def stream(self, face: str) -> StreamListener:
        """The listener of a face that is not HTTP."""
        return self._streams[face]

    def client(self) -> HttpClient:
        """A real HTTP client."""
        client = AiohttpClient(_TLS)
        self._clients.append(client)
        return client

    async def stop(self) -> None:
        """End in good order."""
        await self.delivery.stop()
        for client in self._clients:
            await client.close()
        await self.backends.close()
        for served in self._served.values():
            await served.close()
        for listener in self._streams.values():
            await listener.stop()
            await listener.face.stop()
        await self.engine.stop()
        await self.world.stop()
        self.let_go()

    def let_go(self) -> None:
        """Close the files."""
        self.journal.close()
        self.world.close()

    # --- what a test compares -------------------------------------------------------------------

    def transactions(self) -> list[Transaction]:
        """Every transaction of the journal, oldest first."""
        terminals = self.engine.estate.terminals.values()
        return sorted(
            itertools.chain(*(self._at(each) for each in terminals)),
            key=lambda transaction: transaction.id,
        )

    def _at(self, terminal: Terminal) -> list[Transaction]:
        def page(reader: Reader) -> list[Transaction]:
            return reader.terminal_transactions(terminal.id, offset=0, limit=10_000)[1]

        return self.journal.read_now(page)

    def events(self, transaction_id: str) -> list[Event]:
        """What happened to a transaction."""
        return self.journal.read_now(lambda reader: reader.events(transaction_id))

    def holders(self) -> list[str]:
        """The transactions that hold a terminal."""
        with contextlib.closing(sqlite3.connect(self.journal.path)) as connection:
            return [
                row[0]
                for row in connection.execute(
                    "SELECT transaction_id FROM occupancy WHERE transaction_id IS NOT NULL"
                )
            ]

    async def charges(self) -> dict[str, int]:
        """What the acquirer really charged: transaction id -> minor units. Read from the ledger's
        own table, so that nothing under test stands between."""
        await self.world.settle()
        with contextlib.closing(sqlite3.connect(self.world.path)) as connection:
            rows = connection.execute("SELECT transaction_id, amount FROM ledger WHERE approved")
            charges = rows.fetchall()
        assert len(charges) == len(dict(charges)), "no transaction is charged twice"
        return dict(charges)


class _OverLines:
    """A dialer whose every connection is made of what the lines are made of at that time."""

    def __init__(self, lines: Network) -> None:
        self._lines = lines

    async def connect(self, host: str, port: int, *, timeout: float) -> Connection:
        """As the port says."""
        return await self._lines.dialer(None, "").connect(host, port, timeout=timeout)


class _HttpOverLines:
    """An HTTP client whose every request goes over what the lines are made of at that time."""

    def __init__(self, lines: Network) -> None:
        self._lines = lines

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        timeout: float,
        connect_within: float | None = None,
        limit: int = 1 << 20,
        ready: Callable[[], None] | None = None,
    ) -> HttpResponse:
        """As the port says."""
        client = self._lines.http(None, "")
        try:
            return await client.request(
                method,
                url,
                headers=headers,
                body=body,
                timeout=timeout,
                connect_within=connect_within,
                limit=limit,
                ready=ready,
            )
        finally:
            await client.close()

    async def close(self) -> None:
        """Nothing is left open between requests."""
