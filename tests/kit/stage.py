"""Where a scenario plays: in memory or over real sockets, with the same faults.

A scenario is written once against a `Stage`, and plays on both; what it observed is compared. That
is how the kit shows that its in-memory network tells the truth.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol, TypeVar

from tests.kit.faults import CLEAN, Connect, Faults, Flow, Noticed, scripted
from tests.kit.network import LOOPBACK
from tests.kit.runner import run
from tests.kit.virtual_loop import VirtualLoop, virtual_loop

T = TypeVar("T")

REAL_TIME_LIMIT: Final = 20.0
"""Seconds in which a scenario on real sockets must end."""

Address = tuple[str, int]


class Stage(Protocol):
    """Puts faults between a client and a server."""

    async def before(self, host: str, port: int, *faults: Faults) -> Address:
        """The address at which the server at `host`:`port` is met through these faults, one for
        each connection; later connections are clean."""

    async def close(self) -> None:
        """End what was put up."""


class MemoryStage:
    """On the virtual loop's network."""

    async def before(self, host: str, port: int, *faults: Faults) -> Address:
        """The same address: the network itself is faulty."""
        virtual_loop().network.faults = scripted({port: faults})
        return host, port

    async def close(self) -> None:
        """Nothing was put up."""


class SocketStage:
    """On real sockets, behind a proxy that does what the faults say."""

    def __init__(self) -> None:
        self._proxies: list[_Proxy] = []
        self._unanswering: list[socket.socket] = []
        self._refusing: list[socket.socket] = []

    async def before(self, host: str, port: int, *faults: Faults) -> Address:
        """The proxy's address. Refusing and not answering are a matter of all its connections."""
        if any(each.connect is Connect.REFUSE for each in faults):
            return self._refuse()
        if any(each.connect is Connect.SILENCE for each in faults):
            return self._silent()
        proxy = _Proxy((host, port), faults)
        self._proxies.append(proxy)
        return await proxy.start()

    def _refuse(self) -> Address:
        # Nobody else can have its port meanwhile.
        taken = socket.socket()
        taken.bind((LOOPBACK, 0))
        self._refusing.append(taken)
        address: Address = taken.getsockname()
        return address

    def _silent(self) -> Address:
        # A backlog that is full: Linux drops further connection requests without a word.
        listener = socket.create_server((LOOPBACK, 0), backlog=0)
        self._unanswering.append(listener)
        address: Address = listener.getsockname()
        for _ in range(2):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(address)
            self._unanswering.append(filler)
        return address

    async def close(self) -> None:
        """End the proxies and their connections."""
        for proxy in self._proxies:
            await proxy.close()
        for each in (*self._refusing, *self._unanswering):
            each.close()


_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER on, zero seconds: closing sends a reset."""


class _Proxy:
    def __init__(self, target: Address, faults: tuple[Faults, ...]) -> None:
        self._target = target
        self._faults = faults
        self._count = 0
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> Address:
        self._server = await asyncio.start_server(self._serve, LOOPBACK, 0)
        address: Address = self._server.sockets[0].getsockname()
        return address

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        faults = self._faults[self._count] if self._count < len(self._faults) else CLEAN
        self._count += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        onward_reader, onward_writer = await asyncio.open_connection(*self._target)
        self._writers += [writer, onward_writer]

        def cut(noticed: Noticed) -> None:
            if noticed in (Noticed.BOTH, Noticed.BY_CLIENT):
                _reset(writer)
            if noticed in (Noticed.BOTH, Noticed.BY_SERVER):
                _reset(onward_writer)

        broken = asyncio.Event()
        await asyncio.gather(
            _pump(reader, onward_writer, faults.to_server, cut, broken),
            _pump(onward_reader, writer, faults.to_client, cut, broken),
        )

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


async def _pump(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    flow: Flow,
    cut: Callable[[Noticed], None],
    broken: asyncio.Event,
) -> None:
    carried = 0
    try:
        while piece := await reader.read(flow.pieces or 65536):
            if broken.is_set():
                continue  # nobody noticed: what is written into it vanishes
            await asyncio.sleep(flow.delay[0])
            carried += len(piece)
            if flow.cut_after is not None and carried >= flow.cut_after:
                broken.set()
                writer.write(piece[: len(piece) - (carried - flow.cut_after)])
                cut(flow.noticed)
                continue
            writer.write(piece)
            await writer.drain()
    except OSError:
        _reset(writer)
        return
    if not broken.is_set() and not writer.is_closing():
        writer.write_eof()


Scenario = Callable[[Stage], Coroutine[Any, Any, T]]


def in_memory(scenario: Scenario[T]) -> T:
    """What the scenario observes on the virtual loop."""
    return run(scenario(MemoryStage()), VirtualLoop())


def on_sockets(scenario: Scenario[T]) -> T:
    """What the scenario observes over real sockets."""

    async def play() -> T:
        stage = SocketStage()
        try:
            async with asyncio.timeout(REAL_TIME_LIMIT):
                return await scenario(stage)
        finally:
            await stage.close()

    return asyncio.run(play())
