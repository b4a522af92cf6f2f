"""Listeners: sockets bound before anything starts, TLS, and for HTTP one uvicorn server each.

All of them run on one event loop in one process. Signals are `process.py`'s business, listeners
for what is not HTTP that of `streams.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Iterator
from typing import Any, Final

import uvicorn

from tillwire.config import ListenerSettings, TlsSettings
from tillwire.errors import ConfigurationError
from tillwire.net.asgi import App
from tillwire.server.handshakes import Handshakes, TellingObject
from tillwire.server.protocol import LimitedProtocol

_TELL: Final = "choose another port"


def bind(settings: ListenerSettings, *, choose: str = "") -> socket.socket:
    """A socket that listens where the settings say: connections wait in its backlog until the
    listener serves.

    Raises `ConfigurationError` when that cannot be; `choose` tells how to choose another port.
    """
    place = f"{settings.address}:{settings.port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.address, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise ConfigurationError(
            f"The listener {settings.name!r} cannot use the address {settings.address!r}: "
            f"{error.strerror}."
        ) from None
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.setblocking(False)
        listening.bind(address)
        listening.listen(settings.limits.backlog)
    except OSError as error:
        listening.close()
        raise ConfigurationError(_unbindable(settings, place, error, choose)) from None
    return listening


def _unbindable(settings: ListenerSettings, place: str, error: OSError, choose: str) -> str:
    how = choose or f"{_TELL} for the listener {settings.name!r} in the configuration"
    if error.errno == errno.EADDRINUSE:
        return f"Port {settings.port} on {settings.address} is taken by another program: {how}."
    if error.errno == errno.EACCES:
        return f"Port {settings.port}, like all below 1024, is not for this user: {how}."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"The listener {settings.name!r}: {settings.address} is no address of this machine."
    return f"The listener {settings.name!r} cannot use {place}: {error.strerror}."


def tls_context(settings: TlsSettings, name: str, *, http: bool = True) -> ssl.SSLContext:
    """The TLS side of a listener: 1.2 at least, and client certificates when an authority for
    them is named. Raises `ConfigurationError`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if http:
        context.set_alpn_protocols(["http/1.1"])
    context.sslobject_class = TellingObject
    _load_certificate(context, settings, name)
    if settings.client_ca:
        try:
            context.load_verify_locations(settings.client_ca)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"The listener {name!r}: {settings.client_ca} is no PEM file of a certificate "
                f"authority ({_reason(error)})."
            ) from None
        context.verify_mode = ssl.CERT_REQUIRED
        # An authority that another one vouches for is one all the same.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _load_certificate(context: ssl.SSLContext, settings: TlsSettings, name: str) -> None:
    """Read certificate and key. The context is of no use when that fails."""
    try:
        context.load_cert_chain(settings.certificate, settings.key, password=_no_passphrase)
    except (OSError, ssl.SSLError, _PassphraseWantedError) as error:
        raise ConfigurationError(
            f"The listener {name!r} cannot use the certificate {settings.certificate} with the key "
            f"{settings.key} ({_reason(error)})."
        ) from None


class _PassphraseWantedError(Exception):
    """The key has a passphrase."""


def _no_passphrase() -> str:
    raise _PassphraseWantedError("the key is protected by a passphrase; use one without")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not in PEM form").replace("_", " ").lower()
    return getattr(error, "strerror", None) or str(error)


def url_host(address: str) -> str:
    """How an address that is listened on is written in a URL."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104
    return f"[{shown}]" if ":" in shown else shown


class _Server(uvicorn.Server):
    """A uvicorn server that leaves signals alone and says when it accepts connections."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.accepting = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.accepting.set()


class Listener:
    """One address and port that serves an ASGI application."""

    def __init__(
        self,
        settings: ListenerSettings,
        listening: socket.socket,
        app: App,
        tls: Handshakes | None,
        *,
        stop_seconds: float,
    ) -> None:
        self.settings = settings
        self.port: int = listening.getsockname()[1]
        self._socket = listening
        self._tls = tls
        self._stop_seconds = stop_seconds
        self._server = _Server(self._config(app))
        self._task: asyncio.Task[None] | None = None

    def _config(self, app: App) -> uvicorn.Config:
        return uvicorn.Config(
            app,
            http=self._protocol,  # type: ignore[arg-type]  # called like the class it stands for
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(self.settings.trusted_proxies),
            forwarded_allow_ips=list(self.settings.trusted_proxies),
            backlog=self.settings.limits.backlog,
            timeout_keep_alive=self.settings.limits.keep_alive_seconds,
            timeout_graceful_shutdown=max(1, round(self._stop_seconds)),
        )

    def _protocol(self, **given: Any) -> asyncio.Protocol:  # Any: what uvicorn gives each
        protocol = LimitedProtocol(**given, limits=self.settings.limits)
        return protocol if self._tls is None else self._tls.around(protocol)

    @property
    def url(self) -> str:
        """How the listener is called: its public address, else the one it listens on."""
        if self.settings.public_url:
            return self.settings.public_url
        return f"{'https' if self._tls else 'http'}://{url_host(self.settings.address)}:{self.port}"

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._server.server_state.connections)

    async def start(self) -> None:
        """Returns when connections are accepted."""
        self._task = asyncio.create_task(
            self._server.serve([self._socket]), name=f"listener {self.settings.name}"
        )
        accepting = asyncio.create_task(self._server.accepting.wait())
        await asyncio.wait({self._task, accepting}, return_when=asyncio.FIRST_COMPLETED)
        if not accepting.done():
            accepting.cancel()
            await self._task  # raises what went wrong
        assert self._server.started

    async def stop(self) -> None:
        """Accept no more, let what is being answered finish within the deadline, cut the rest."""
        if self._task is None:
            self._socket.close()
            return
        self._server.should_exit = True
        if self._tls is not None:
            self._tls.stop()
        await self._task
        cut_off = list(self._server.server_state.tasks)
        await asyncio.gather(*cut_off, return_exceptions=True)

    def reload_certificate(self) -> None:
        """Read renewed files. Raises `ConfigurationError`; what was read before stays then."""
        if self._tls is not None:
            self._tls.renew()
