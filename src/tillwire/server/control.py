"""The operator's socket: how the command line talks to the gateway that runs a journal.

A Unix socket beside the journal, open to the user who runs the gateway (and root) alone, with HTTP
and JSON on it. Whoever makes it owns the journal, so what stands in its place is of a gateway that
is dead, and is replaced. It goes when the gateway stops. The system says which user calls, so who
did what needs nobody's word. What is done with lanes is the business of `lanes.py`.

    GET  /lanes   the lanes, where they are and who is connected
    POST /reset   close a lane's connections
    POST /port    set a lane's port, or go back to the configuration's
    POST /decide  end an UNKNOWN transaction on a person's word
    POST /resolve end one by what the acquirer's file says
    POST /last    ask a terminal for its last transaction (`books.py`)
    POST /list    ask a terminal, or its cloud, for all that it did
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import socket
import stat
import struct
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Final

import msgspec
import structlog
import uvicorn
from msgspec import Meta
from uvicorn.server import ServerState

from tillwire.config import Limits
from tillwire.core.engine import Engine
from tillwire.core.model import Outcome, State, Verdict
from tillwire.core.ports import LanePort
from tillwire.errors import InvalidRequest
from tillwire.net import asgi
from tillwire.net.asgi import App, Receive, Reply, Response, Scope, Send
from tillwire.net.lines import Lines
from tillwire.net.problems import STATUSES, Problems, named_field
from tillwire.net.routes import Routes
from tillwire.server import books
from tillwire.server.books import LastOrder, ListOrder
from tillwire.server.lanes import Lane, Lanes
from tillwire.server.protocol import LimitedProtocol

LIMITS: Final = Limits(
    connections=32, header_bytes=4096, header_seconds=5.0, keep_alive_seconds=5, backlog=32
)
LARGEST_ORDER: Final = 4096
"""Octets of a request's body."""
STOP_WITHIN: Final = 2.0
"""Seconds in which what is being answered may be answered while the gateway stops."""
LONGEST_PATH: Final = 107
"""Octets of a socket's path that the system takes."""
_CREDENTIALS: Final = struct.Struct("3i")
_PROBLEMS: Final = Problems(STATUSES, named_field)


class Shown(msgspec.Struct, frozen=True):
    """What a gateway tells of its lanes."""

    pid: int
    lanes: list[Lane]
    forgotten: list[LanePort]
    """Ports set for lanes that the configuration does not have."""


class ResetOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose connections are to be closed."""

    lane: str
    peer: str | None
    """An address, with or without its port; None: all."""


class ResetDone(msgspec.Struct, frozen=True):
    """How many that were."""

    closed: int


class PortOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a lane is to listen."""

    lane: str
    port: Annotated[int, Meta(ge=1, le=65_535)] | None
    """None: where the configuration says."""


class PortDone(msgspec.Struct, frozen=True):
    """The lane as it is now; None if the configuration does not have it."""

    lane: Lane | None


class DecideOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person says has become of a transaction."""

    transaction: str
    verdict: Verdict
    person: str
    reason: str
    approved_amount: int | None
    """Minor units; None: as asked for, and the tip."""
    tip: int


class DecideDone(msgspec.Struct, frozen=True):
    """Where the transaction is now."""

    state: State


class ResolveOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an acquirer's file says has become of a transaction."""

    transaction: str
    outcome: Outcome
    source: str
    """The file's name."""


class ResolveDone(msgspec.Struct, frozen=True):
    """Where the transaction is now."""

    state: State


Call = asgi.Call[str]
"""A request, by the user who makes it."""
Handler = Callable[[Call], Awaitable[Response]]

_reset_order: Final = msgspec.json.Decoder(ResetOrder)
_port_order: Final = msgspec.json.Decoder(PortOrder)
_decide_order: Final = msgspec.json.Decoder(DecideOrder)
_resolve_order: Final = msgspec.json.Decoder(ResolveOrder)
_last_order: Final = msgspec.json.Decoder(LastOrder)
_list_order: Final = msgspec.json.Decoder(ListOrder)


def control_path(journal: Path) -> Path:
    """Where the operator's socket of the journal's gateway is."""
    return journal.with_name(journal.name + ".control")


@contextlib.contextmanager
def short(path: Path) -> Iterator[str]:
    """The socket's path as the system takes it, however deep its folder is. Raises `OSError`."""
    if len(os.fsencode(path)) <= LONGEST_PATH:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def user_name(uid: int) -> str:
    """The user's name, or number if it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


class ControlFace:
    """What an operator can have done, over HTTP."""

    def __init__(self, lanes: Lanes, engine: Engine) -> None:
        self._lanes = lanes
        self._engine = engine
        self._routes: Routes[Handler] = Routes(
            [
                ("GET", "/lanes", self._list),
                ("POST", "/reset", self._reset),
                ("POST", "/port", self._port),
                ("POST", "/decide", self._decide),
                ("POST", "/resolve", self._resolve),
                ("POST", "/last", self._last),
                ("POST", "/list", self._listed),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await asgi.serve(scope, receive, send, self._answer, _PROBLEMS.tell)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        path = asgi.path_of(scope)
        handler, parameters = self._routes.find(scope["method"], path)
        uid, _ = scope["client"]
        caller = await asyncio.to_thread(user_name, int(uid))  # may ask a directory elsewhere
        return await handler(asgi.Call(scope, receive, path, parameters, caller))

    async def _list(self, call: Call) -> Reply:
        return _reply(Shown(os.getpid(), self._lanes.shown(), self._lanes.forgotten()))

    async def _reset(self, call: Call) -> Reply:
        order = await _read(call, _reset_order)
        return _reply(ResetDone(self._lanes.reset(order.lane, order.peer, call.caller)))

    async def _port(self, call: Call) -> Reply:
        order = await _read(call, _port_order)
        return _reply(PortDone(await self._lanes.set_port(order.lane, order.port, call.caller)))

    async def _decide(self, call: Call) -> Reply:
        order = await _read(call, _decide_order)
        ended = await self._engine.decide(
            order.transaction,
            order.verdict,
            person=order.person,
            reason=order.reason,
            approved_amount=order.approved_amount,
            tip=order.tip,
        )
        structlog.get_logger().info(
            "a person decided", transaction=ended.id, state=ended.state, user=call.caller
        )
        return _reply(DecideDone(ended.state))

    async def _resolve(self, call: Call) -> Reply:
        order = await _read(call, _resolve_order)
        ended = await self._engine.resolve(order.transaction, order.outcome, order.source)
        structlog.get_logger().info(
            "an acquirer's file resolved",
            transaction=ended.id,
            state=ended.state,
            source=order.source,
            user=call.caller,
        )
        return _reply(ResolveDone(ended.state))

    async def _last(self, call: Call) -> Lines:
        order = await _read(call, _last_order)
        return Lines(call.receive, books.last(self._engine, order))

    async def _listed(self, call: Call) -> Lines:
        order = await _read(call, _list_order)
        return Lines(call.receive, books.listed(self._engine, order))


async def _read(call: Call, decoder: msgspec.json.Decoder[asgi.C]) -> asgi.C:
    try:
        return decoder.decode(await call.json(LARGEST_ORDER))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidRequest("body", str(error)) from None


def _reply(document: object) -> Reply:
    return Reply(HTTPStatus.OK, msgspec.json.encode(document))


class ControlProtocol(LimitedProtocol):
    """One connection to the operator's socket. Its client's host is the number of the user at the
    other end."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Ask the system who has connected."""
        opened: socket.socket = transport.get_extra_info("socket")
        found = opened.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _, uid, _ = _CREDENTIALS.unpack(found)
        super().connection_made(transport)
        self.client = str(uid), 0


class ControlSocket:
    """The operator's socket of one gateway, which owns the journal."""

    def __init__(self, path: Path) -> None:
        """Make it at `path`. Callers wait until it serves. Raises `OSError`."""
        self._path = path
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISSOCK(path.lstat().st_mode):
                raise FileExistsError(None, "something that is no socket is in its place")
            path.unlink()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        self._server: asyncio.AbstractServer | None = None
        self._state = ServerState()
        try:
            with short(path) as name:
                self._socket.bind(name)
            path.chmod(0o600)  # before it listens: nobody can have connected yet
            self._socket.listen(LIMITS.backlog)
        except OSError:
            self.close()
            raise

    async def serve(self, app: App) -> None:
        """Returns when callers are answered."""
        config = uvicorn.Config(
            app,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=LIMITS.keep_alive_seconds,
        )
        config.load()
        made = partial(ControlProtocol, config, self._state, {}, limits=LIMITS)
        self._server = await asyncio.get_running_loop().create_unix_server(
            made, sock=self._socket, backlog=LIMITS.backlog
        )

    async def stop(self) -> None:
        """Answer what is being answered, and be gone."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            _, late = await asyncio.wait(self._state.tasks, timeout=STOP_WITHIN)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for connection in list(self._state.connections):
            connection.transport.abort()
        self.close()

    def close(self) -> None:
        """Be gone at once."""
        self._socket.close()
        with contextlib.suppress(OSError):
            self._path.unlink()
