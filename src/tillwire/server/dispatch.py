"""Leads each request of a listener to a face, by its path's prefix.

Mounts by the rules of ASGI: `path` stays whole, `root_path` grows by the prefix, so that a face
knows nothing of where it stands. A listener's public address replaces scheme and host, so that a
face writes links that work behind a proxy. Every request is counted and, where it is worth it,
logged: what was refused as `info`, what went well as `debug`, since a payment or a key that came
of it has a line of its own.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import msgspec
import structlog

from tillwire.net import asgi
from tillwire.net.asgi import (
    CLOSE,
    HTML,
    App,
    DisconnectedError,
    HttpError,
    Message,
    Receive,
    Reply,
    Scope,
    Send,
)
from tillwire.net.problems import FAULT, problem
from tillwire.watch.metrics import Metrics, Route

NOT_FOUND: Final = (
    b'<!doctype html><html lang="en"><head><meta charset="utf-8">'
    b'<meta name="viewport" content="width=device-width, initial-scale=1">'
    b"<title>Not found</title></head><body><main><h1>Not found</h1>"
    b"<p>Nothing is served under this address.</p></main></body></html>"
)
STOPPING: Final = "The gateway is stopping. Read what became of your request before you repeat it."
REST_WITHIN = 1.0
"""Seconds in which the rest of a body that nobody reads must be there to keep the connection."""
READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


OwnPage = Callable[[], Awaitable[Reply]]
"""One of the gateway's own pages."""


class Mount(msgspec.Struct, frozen=True):
    """A face in its place on a listener."""

    face: str
    prefix: str
    """Empty for the root, else it starts with a slash and does not end with one."""
    app: App
    polls: frozenset[str] = frozenset()
    """Paths below the prefix at which terminals ask for work."""
    routine: frozenset[int] = frozenset()
    """Statuses that tell of no refusal, though they are above 400."""
    secret_paths: bool = False
    """Whether paths below the prefix are not for the log."""

    def shown(self, path: str) -> str:
        """A path for the log."""
        return f"{self.prefix}/..." if self.secret_paths else path


class Dispatcher:
    """The ASGI application of one listener."""

    def __init__(
        self,
        mounts: Sequence[Mount],
        pages: Mapping[str, OwnPage],
        metrics: Metrics,
        *,
        public_url: str = "",
    ) -> None:
        """`pages` are the gateway's own, by exact path. `public_url` is how the world calls the
        listener; empty: as each client says."""
        self._mounts = sorted(mounts, key=lambda mount: -len(mount.prefix))
        self._pages = pages
        self._metrics = metrics
        public = urlsplit(public_url)
        self._scheme, self._host = public.scheme, public.netloc.encode()
        self._base = public.path
        self._log = structlog.get_logger().bind()
        self._polling: set[asyncio.Task[None]] = set()
        self._draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        assert scope["type"] == "http", "lifespans and WebSockets are not dispatched"
        begun = time.perf_counter()
        mount, route, app = self._find(scope)
        face = mount.face if mount is not None else ""
        watched = _Watched(scope, receive, send)
        try:
            if route is Route.POLL:
                await self._poll(app, scope, watched.receive, watched)
            else:
                await app(scope, watched.receive, watched)
        except asyncio.CancelledError:
            if not self._draining:
                raise
            await watched.unless_started(scope, HTTPStatus.SERVICE_UNAVAILABLE, STOPPING)
        except Exception:  # noqa: BLE001 - the last net below every face
            self._log.exception("a face failed", face=face, path=_shown(mount, scope))
            await watched.unless_started(scope, HTTPStatus.INTERNAL_SERVER_ERROR, FAULT)
        finally:
            self._note(scope, mount, route, watched.status, begun)

    def drain(self) -> None:
        """Answer the polls that are being held, and from now on expect to be cut off."""
        self._draining = True
        for task in self._polling:
            task.cancel()

    async def _poll(self, app: App, scope: Scope, receive: Receive, send: Send) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._polling.add(task)
        try:
            await app(scope, receive, send)
        finally:
            self._polling.discard(task)

    def _find(self, scope: Scope) -> tuple[Mount | None, Route, App]:
        path: str = scope["path"]
        page = self._pages.get(path)
        if page is not None:
            return None, Route.PAGE, _of_page(page)
        for mount in self._mounts:
            rest = path[len(mount.prefix) :]
            if path.startswith(mount.prefix) and (not rest or rest[0] == "/"):
                self._place(scope, mount.prefix)
                reads = Route.READ if scope["method"] in READS else Route.WRITE
                return mount, Route.POLL if rest in mount.polls else reads, mount.app
        return None, Route.NOWHERE, _nowhere

    def _place(self, scope: Scope, prefix: str) -> None:
        scope["root_path"] = self._base + prefix
        if self._base:
            scope["path"] = self._base + scope["path"]
            scope["raw_path"] = self._base.encode() + scope["raw_path"]
        if self._host:
            scope["scheme"] = self._scheme
            others = [pair for pair in scope["headers"] if pair[0] != b"host"]
            scope["headers"] = [(b"host", self._host), *others]

    def _note(
        self, scope: Scope, mount: Mount | None, route: Route, status: int, begun: float
    ) -> None:
        face = mount.face if mount is not None else ""
        self._metrics.request(face, route, status)
        is_routine = status < 400 or (mount is not None and status in mount.routine)
        if is_routine and not self._log.is_enabled_for(logging.DEBUG):
            return
        if status >= 500 and not self._draining:
            write = self._log.error
        else:
            write = self._log.debug if is_routine else self._log.info
        write(
            "request",
            method=scope["method"],
            path=_shown(mount, scope),
            status=status,
            face=face,
            ms=round((time.perf_counter() - begun) * 1000, 2),
        )


class _Watched:
    """A `send` that remembers the status, and ends the connection when it answers a request whose
    body was not read: nobody shall have us swallow what we have refused.

    A short rest is taken first, because an answer can get lost when its connection ends while the
    client still sends (RFC 9112 section 9.6), and a refusal is worth knowing.
    """

    __slots__ = ("_receive", "_scope", "_send", "_unread", "status")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._unread = asgi.announces_body(scope)
        self.status = 0
        """0 as long as nothing was answered; it stays so when the client goes away."""

    async def receive(self) -> Message:
        """The next part of the request."""
        message = await self._receive()
        if not message.get("more_body", False):
            self._unread = False
        return message

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if self._unread and CLOSE not in message["headers"] and not await self._take_rest():
                message["headers"] = [*message["headers"], CLOSE]
            self.status = message["status"]
        await self._send(message)

    async def _take_rest(self) -> bool:
        """Whether the rest of the body was short, and is there."""
        try:
            async with asyncio.timeout(REST_WITHIN):
                await asgi.read_body(self._scope, self.receive)
        except (TimeoutError, HttpError, DisconnectedError):
            return False
        return True

    async def unless_started(self, scope: Scope, status: HTTPStatus, detail: str) -> None:
        """Answer with a problem, if nothing has been answered yet."""
        if not self.status:
            await problem(status, detail, scope, [CLOSE]).send(self)


def _shown(mount: Mount | None, scope: Scope) -> str:
    path: str = scope["path"]
    return path if mount is None else mount.shown(path)


def _of_page(page: OwnPage) -> App:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in ("GET", "HEAD"):
            reply = await page()
        else:
            status, allow = HTTPStatus.METHOD_NOT_ALLOWED, [(b"allow", b"GET, HEAD")]
            reply = problem(status, "This page can only be read.", scope, allow)
        await reply.send(send)

    return app


async def _nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    if "text/html" in (asgi.header(scope, b"accept") or ""):
        reply = Reply(HTTPStatus.NOT_FOUND, NOT_FOUND, content_type=HTML)
    else:
        reply = problem(HTTPStatus.NOT_FOUND, "Nothing is served under this path.", scope)
    await reply.send(send)
