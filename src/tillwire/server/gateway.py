"""The whole gateway in one object: journal, world, engine, faces and listeners, started in this
order and stopped in the reverse one.

`open` takes what only one process can have (the journal, the ports) and sends nothing; `start`
takes up open transactions and accepts connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

import msgspec
import structlog

from tillwire.callbacks.deliver import Delivery
from tillwire.clock import SystemClock
from tillwire.config import Configuration, FaceSettings, ListenerSettings, TlsSettings
from tillwire.core.engine import Engine
from tillwire.core.estate_model import Lifecycle, Terminal
from tillwire.core.letters import is_wanted
from tillwire.core.model import State
from tillwire.core.ports import Clock, LanePort
from tillwire.device.driver import DeviceDriver
from tillwire.device.presence import Presence
from tillwire.dialects.ecr17.driver.driver import Ecr17Driver
from tillwire.dialects.ecr17.driver.settings import awaited_at as awaited_by_ecr17
from tillwire.dialects.merchantapi.driver.cloud import Systems
from tillwire.dialects.merchantapi.driver.driver import MerchantApiDriver
from tillwire.dialects.nexo.driver.driver import NexoDriver
from tillwire.dialects.paymentbridge.driver.cloud import Clouds
from tillwire.dialects.paymentbridge.driver.driver import PaymentBridgeDriver
from tillwire.dialects.smartconnect.driver.cloud import Cloud
from tillwire.dialects.smartconnect.driver.driver import SmartConnectDriver
from tillwire.dialects.softpos.driver.backend import Backends
from tillwire.dialects.softpos.driver.driver import SoftPosDriver
from tillwire.errors import ConfigurationError, JournalError
from tillwire.journal.sqlite import SqliteJournal
from tillwire.journal.vault import KeyFileVault, key_path
from tillwire.net.addresses import Addresses, GuardedClient
from tillwire.net.callers import Awaited
from tillwire.net.http_client import AiohttpClient
from tillwire.server.callers import Callers
from tillwire.server.control import ControlFace, ControlSocket, control_path
from tillwire.server.dialled import DialledLane
from tillwire.server.dispatch import Dispatcher, Mount
from tillwire.server.drivers import Build, Drivers
from tillwire.server.faces import FACES, AnyKind, FaceKind, Parts, StreamKind, tellers
from tillwire.server.handshakes import Handshakes
from tillwire.server.lanes import Lanes, in_force, way_back
from tillwire.server.lifespan import Lifespan
from tillwire.server.listeners import Listener, bind, tls_context
from tillwire.server.pages import Guide, Pages, Place
from tillwire.server.readiness import ReadyCheck
from tillwire.server.streams import StreamListener
from tillwire.virtual.driver import VirtualDriver
from tillwire.virtual.world import World
from tillwire.watch.metrics import Metrics
from tillwire.watch.transitions import TransitionLog

ESTATE_EVERY: Final = 1.0
"""Seconds between looks whether another program has changed the estate."""

AnyListener: TypeAlias = Listener | StreamListener | DialledLane


class Gateway:
    """One gateway in one process, on one event loop."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        clock: Clock | None = None,
        faces: Mapping[str, AnyKind] = FACES,
        choose_port: str = "",
    ) -> None:
        """`choose_port` tells a person how to choose another port when one is taken."""
        self.configuration = configuration
        self.clock: Clock = clock or SystemClock()
        self.metrics = Metrics(
            lambda: self.engine.open_count(),
            self._connections,
            self._reached,
            self._waiting,
            blocked=lambda: self.engine.blocked_count(),
        )
        self.guide: Guide | None = None
        self.listeners: dict[str, AnyListener] = {}
        self.moved: Callable[[], None] = lambda: None
        """Called when a lane has another port."""
        self._faces = faces
        self._presence = Presence(self.clock)
        self._callers = Callers(_awaited_at)
        self._choose_port = choose_port
        self._cleanup = AsyncExitStack()
        self._sockets: dict[str, socket.socket] = {}
        self._tls: dict[str, Handshakes] = {}
        self._ports: dict[str, LanePort] = {}
        self._control: ControlSocket | None = None
        self._dispatchers: list[Dispatcher] = []
        self._log = structlog.get_logger().bind()

    # --- open ---------------------------------------------------------------------------------

    async def open(self) -> None:
        """Own the journal, bind every port, read every certificate.

        Raises `ConfigurationError`, `JournalError`.
        """
        try:
            self._open_journal()
            self._open_callbacks()
            self._bind_all()
            self._open_world()
            self._open_clouds()
            self._open_control()
        except BaseException:
            await self._cleanup.aclose()
            raise
        self.engine = Engine(
            self.journal,
            Drivers(self._driver_kinds()),
            self.clock,
            watch=TransitionLog(self.metrics),
            tellers=tellers(self._faces, self.vault),
            posted=self.delivery.posted,
        )

    def _open_journal(self) -> None:
        path = Path(self.configuration.journal.path)
        self.journal = SqliteJournal(path, own=True, observe=self._committed)
        self._cleanup.callback(self.journal.close)
        self._ready = ReadyCheck(self.journal, path)

    def _open_callbacks(self) -> None:
        settings = self.configuration.callbacks
        key_file = self.configuration.journal.key_file
        self.vault = KeyFileVault(Path(key_file) if key_file else key_path(self.journal.path))
        self.addresses = Addresses(settings.allow)
        client = GuardedClient(self.addresses)
        self._cleanup.push_async_callback(client.close)
        self.delivery = Delivery(
            self.journal,
            self.vault,
            client,
            self.clock,
            parallel=settings.parallel,
            parallel_per_host=settings.parallel_per_host,
            wanted=lambda letter: is_wanted(letter, self.engine.estate),
            counted=self.metrics,
        )

    def _waiting(self) -> int:
        return self.delivery.waiting

    def _committed(self, units: int, seconds: float) -> None:
        self.metrics.commit(units, seconds)
        self._ready.committed()

    def _open_control(self) -> None:
        try:
            self._control = ControlSocket(control_path(self.journal.path))
        except OSError as error:  # payments do not need it
            reason = error.strerror or str(error)
            self._log.warning("no operator's socket: lanes cannot be seen", reason=reason)
        else:
            self._cleanup.callback(self._control.close)

    def _bind_all(self) -> None:
        found = self.journal.read_now(lambda reader: reader.lane_ports())
        self._ports = {each.lane: each for each in found}
        configured = self.configuration.listeners
        for before, settings in zip(
            configured, in_force(configured, self._stream_kinds(), self._ports), strict=True
        ):
            if settings.reverse:
                continue
            choose = self._choose_port
            if settings is not before:
                choose = way_back(self._ports[settings.name], before.port)
            self._bind(settings, choose)

    def _bind(self, settings: ListenerSettings, choose: str) -> None:
        if settings.tls is not None:
            self._tls[settings.name] = self._handshakes(settings, settings.tls)
        bound = bind(settings, choose=choose)
        self._cleanup.callback(bound.close)
        self._sockets[settings.name] = bound

    def _handshakes(self, settings: ListenerSettings, tls: TlsSettings) -> Handshakes:
        http, limits = self._stream_kind(settings) is None, settings.limits
        return Handshakes(
            partial(tls_context, tls, settings.name, http=http),
            settings,
            self.clock,
            within=limits.header_seconds if http else limits.message_seconds,
            refused=partial(self.metrics.tls_refused, settings.name),
        )

    def _open_world(self) -> None:
        self.world: World | None = None
        if (virtual := self.configuration.virtual) is not None:
            directory = Path(virtual.directory)
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.world = World(directory, self.clock, virtual.pace)
            self._cleanup.callback(self.world.close)
            self._cleanup.push_async_callback(self.world.stop)

    def _open_clouds(self) -> None:
        client = AiohttpClient()
        self._cleanup.push_async_callback(client.close)
        self._clouds = Clouds(client, self.clock, self.vault)
        self._smartconnect = Cloud(client, self.clock, self.vault)
        self._merchantapi = Systems(client, self.clock)
        self._backends = Backends(AiohttpClient, self.clock, self.vault)
        self._cleanup.push_async_callback(self._backends.close)

    def _driver_kinds(self) -> dict[str, Build]:
        kinds: dict[str, Build] = {
            "device": lambda each: DeviceDriver(each, self.engine, self._presence),
            "ecr17": lambda each: Ecr17Driver(
                each, self.engine, self.clock, self._callers.dialer(each)
            ),
            "merchantapi": lambda each: MerchantApiDriver(
                each, self.engine, self.clock, self._merchantapi
            ),
            "nexo": lambda each: NexoDriver(each, self.engine, self.clock),
            "paymentbridge": lambda each: PaymentBridgeDriver(
                each, self.engine, self.clock, self._clouds
            ),
            "smartconnect": lambda each: SmartConnectDriver(
                each, self.engine, self.clock, self._smartconnect
            ),
            "softpos": lambda each: SoftPosDriver(each, self.engine, self.clock, self._backends),
        }
        if (world := self.world) is not None:
            kinds["virtual"] = lambda each: VirtualDriver(each, world, self.engine)
        return kinds

    # --- start --------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take up what is open, and serve; returns when every listener accepts connections.

        Raises `ConfigurationError`, `JournalError`; the gateway is stopped then.
        """
        try:
            await self._start()
        except BaseException:
            await self._cleanup.aclose()
            raise

    async def _start(self) -> None:
        self._cleanup.push_async_callback(self._callers.stop)
        self._cleanup.push_async_callback(self.delivery.stop)
        self._cleanup.push_async_callback(self.engine.stop)
        await self.engine.start()
        self.delivery.start()
        await self._callers.follow(self.engine.estate)
        self._warn_of_unknown_drivers()
        await self._watch_estate()
        pages, parts = self._pages(), self._parts()
        for settings in self.configuration.listeners:
            kind = self._stream_kind(settings)
            if kind is None:
                listener: AnyListener = await self._listener(settings, pages, parts)
            else:
                listener = self._stream_listener(settings, kind, parts)
            self.listeners[settings.name] = listener
        self._cleanup.push_async_callback(self._stop_listeners)
        for listener in self.listeners.values():
            await listener.start()
            words = "dialling" if listener.settings.reverse else "listening"
            self._log.info(words, listener=listener.settings.name, url=listener.url)
        await self._start_control()

    async def _start_control(self) -> None:
        if self._control is None:
            return
        lanes = Lanes(
            self.configuration.listeners,
            self._stream_kinds(),
            self._ports,
            listeners=self.listeners,
            journal=self.journal,
            clock=self.clock,
            metrics=self.metrics,
            moved=lambda: self.moved(),
        )
        mount = Mount("control", "", ControlFace(lanes, self.engine))
        self._cleanup.push_async_callback(self._control.stop)
        await self._control.serve(Dispatcher([mount], {}, self.metrics))

    def _pages(self) -> Pages:
        return Pages(
            self.metrics,
            readiness=self._ready,
            open_count=self.open_count,
            places=self._places,
            guide=lambda: self.guide,
        )

    def open_count(self) -> Mapping[State, int]:
        """How many transactions are open, by state."""
        return self.engine.open_count()

    def _warn_of_unknown_drivers(self) -> None:
        kinds = self._driver_kinds()
        for terminal in self.engine.estate.terminals.values():
            if terminal.driver not in kinds and terminal.lifecycle is not Lifecycle.REMOVED:
                self._log.warning(
                    "no driver for a terminal; add [virtual] or change the estate",
                    terminal=terminal.name,
                    driver=terminal.driver,
                )

    async def _watch_estate(self) -> None:
        task = asyncio.create_task(self._follow_estate(), name="estate")

        async def end() -> None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

        self._cleanup.push_async_callback(end)

    async def _follow_estate(self) -> None:
        while True:
            await asyncio.sleep(ESTATE_EVERY)
            try:
                await self.engine.refresh_estate()
            except JournalError as error:
                self._log.warning("the estate cannot be read", reason=str(error))
            await self._callers.follow(self.engine.estate)

    # --- listeners ----------------------------------------------------------------------------

    def _parts(self) -> Parts:
        return Parts(
            self.engine,
            self.clock,
            self._presence,
            self.world,
            self.vault,
            self._clouds,
            self._backends,
            self.addresses,
        )

    async def _listener(self, settings: ListenerSettings, pages: Pages, parts: Parts) -> Listener:
        mounts = [await self._mount(face, parts) for face in settings.faces]
        dispatcher = Dispatcher(
            mounts, pages.of(settings.pages), self.metrics, public_url=settings.public_url
        )
        self._dispatchers.append(dispatcher)
        return Listener(
            settings,
            self._sockets[settings.name],
            dispatcher,
            self._tls.get(settings.name),
            stop_seconds=self.configuration.stop_seconds,
        )

    async def _mount(self, face: FaceSettings, parts: Parts) -> Mount:
        kind = self._faces[face.name]
        assert isinstance(kind, FaceKind), "the configuration was checked"
        app = kind.create(parts, msgspec.convert(face.settings, kind.settings))
        lifespan = Lifespan(app, face.name)
        await lifespan.start()
        self._cleanup.push_async_callback(lifespan.stop)
        return Mount(face.name, face.prefix, app, kind.polls, kind.routine, kind.secret_paths)

    def _stream_kinds(self) -> Mapping[str, StreamKind]:
        return {name: kind for name, kind in self._faces.items() if isinstance(kind, StreamKind)}

    def _stream_kind(self, settings: ListenerSettings) -> StreamKind | None:
        """The face that has the listener to itself, if it is not HTTP."""
        kinds = [self._faces[face.name] for face in settings.faces]
        return next((kind for kind in kinds if isinstance(kind, StreamKind)), None)

    def _stream_listener(
        self, settings: ListenerSettings, kind: StreamKind, parts: Parts
    ) -> StreamListener | DialledLane:
        (face,) = settings.faces
        served = kind.create(parts, msgspec.convert(face.settings, kind.settings))
        self._cleanup.push_async_callback(served.stop)
        count = partial(self.metrics.messages, face.name)
        stop_seconds = self.configuration.stop_seconds
        if settings.reverse:
            return DialledLane(
                settings, served, stop_seconds=stop_seconds, count=count, clock=self.clock
            )
        return StreamListener(
            settings,
            self._sockets[settings.name],
            served,
            self._tls.get(settings.name),
            stop_seconds=stop_seconds,
            count=count,
            now=self.clock.now,
        )

    def _places(self) -> list[Place]:
        """Where each face can be reached now; lanes move."""
        return [
            self._place(face, listener)
            for listener in self.listeners.values()
            for face in listener.settings.faces
        ]

    def _place(self, face: FaceSettings, listener: AnyListener) -> Place:
        kind = self._faces[face.name]
        if isinstance(kind, StreamKind):
            where = ", at a till that is dialled" if listener.settings.reverse else ""
            return Place(kind.title + where, listener.url)
        base = listener.url + face.prefix
        return Place(kind.title, base, [(words, base + path) for words, path in kind.links.items()])

    def _connections(self) -> Mapping[str, int]:
        return {name: listener.connections for name, listener in self.listeners.items()}

    def _reached(self) -> Mapping[str, bool]:
        return {
            name: bool(listener.reached)
            for name, listener in self.listeners.items()
            if isinstance(listener, DialledLane)
        }

    async def _stop_listeners(self) -> None:
        for dispatcher in self._dispatchers:
            dispatcher.drain()
        await asyncio.gather(*(listener.stop() for listener in self.listeners.values()))

    def reload_certificates(self) -> None:
        """Read renewed certificates; one that cannot be used is logged, and the old one stays."""
        for listener in self.listeners.values():
            try:
                listener.reload_certificate()
            except ConfigurationError as error:
                self._log.error("a certificate was not renewed", reason=str(error))

    async def stop(self) -> None:
        """Answer what is being answered, then let go of everything. What is open stays open in
        the journal."""
        self._log.info("stopping")
        await self._cleanup.aclose()


def _awaited_at(terminal: Terminal) -> Awaited | None:
    """Where a terminal dials us, if its driver has a way for that."""
    return awaited_by_ecr17(terminal) if terminal.driver == "ecr17" else None
