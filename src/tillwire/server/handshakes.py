"""TLS around a listener's connections, and the handshakes that fail, made known to an operator: as
a warning with the peer and the reason in words, and in a count.

Event loops drop such connections without a word, since nobody waits for them. So the loop's own TLS
is put around each connection here, and not by `create_server`: then how a handshake ends is told.
What comes after it goes between the loop's TLS and the protocol of the listener alone.
"""

from __future__ import annotations

import asyncio
import ssl
from asyncio import sslproto
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final

import uvloop
import uvloop.loop

from tillwire.config import ListenerSettings
from tillwire.core.ports import Clock
from tillwire.net.per_minute import LimitedLog

GOODBYE_WITHIN: Final = 1.0
"""Seconds in which a peer must confirm, when the gateway stops, that the connection has ended. One
that is kept for later is read by nobody meanwhile."""

_NO_TLS: Final = {
    "HTTP_REQUEST": "it speaks HTTP without TLS",
    "HTTPS_PROXY_REQUEST": "it takes this for a proxy",
    "WRONG_VERSION_NUMBER": "it does not speak TLS",
}
"""By OpenSSL's reason: who would not understand why it is refused, either."""
_REASONS: Final = {
    **_NO_TLS,
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it showed no certificate, and client_ca wants one",
    "UNSUPPORTED_PROTOCOL": "it speaks only TLS that is older than 1.2",
    "UNKNOWN_PROTOCOL": "it speaks only TLS that is older than 1.2",
    "VERSION_TOO_LOW": "it speaks only TLS that is older than 1.2",
    "NO_SHARED_CIPHER": "it has no cipher that is spoken here",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not know the authority of our certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "it says that our certificate has expired",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it does not accept our certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it does not accept our certificate",
    "TLSV1_ALERT_PROTOCOL_VERSION": "it speaks no version of TLS that is spoken here",
}
"""By OpenSSL's reason."""
_OTHER_AUTHORITY: Final = "its certificate is of another authority than client_ca"
_VERDICTS: Final = {
    9: "its certificate is not valid yet",
    10: "its certificate has expired",
    18: "its certificate is of no authority, and client_ca wants one",
    19: _OTHER_AUTHORITY,
    20: f"{_OTHER_AUTHORITY}, or it has left out one in between",
    21: f"{_OTHER_AUTHORITY}, or it has left out one in between",
    26: "its certificate is not one for clients",
}
"""By OpenSSL's verdict on a certificate (X509_V_ERR_...)."""
_HUNG_UP: Final = (
    "it hung up in the middle of the handshake; one that does not trust our certificate may do so"
)
_SLOWEST: Final = "it was the slowest when more came than connections are allowed"
_TOO_SLOW: Final = "the handshake was not done in time"

_beginning: ContextVar[Handshake | None] = ContextVar("handshake", default=None)
"""The one whose first step is being made."""


class Handshakes:
    """Those of one listener."""

    def __init__(
        self,
        make: Callable[[], ssl.SSLContext],
        settings: ListenerSettings,
        clock: Clock,
        *,
        within: float,
        refused: Callable[[], None],
    ) -> None:
        """`make` reads the listener's files, `within` is how many seconds a handshake may take,
        `refused` counts one that failed. Raises what `make` does."""
        self.context = make()
        self._make = make
        self.within = within
        self.under_way: dict[Handshake, None] = {}
        self._most = settings.limits.connections
        self._refused = refused
        self._stopping = False
        self._log = LimitedLog(clock, "more TLS handshakes failed", listener=settings.name)

    def renew(self) -> None:
        """Read the files again, for connections from now on; no session of before is resumed.
        Raises what `make` does: all stays as it was then."""
        self.context = self._make()

    def around(self, protocol: asyncio.Protocol) -> asyncio.Protocol:
        """What accepts a connection for `protocol`, which hears of it once the handshake is
        done."""
        return Handshake(self, protocol)

    def begun(self, handshake: Handshake) -> bool:
        """Whether one more may begin. Where there is no room, the slowest has had its chance: those
        who only hold connections open keep nobody out who means it."""
        if self._stopping:
            return False
        if len(self.under_way) >= self._most:
            slowest = next(iter(self.under_way))
            del self.under_way[slowest]
            slowest.cut()
            self.failed(slowest.peer, _SLOWEST)
        self.under_way[handshake] = None
        return True

    def failed(self, peer: str, reason: str) -> None:
        """One has failed, and why."""
        self._refused()
        self._log.warning("a TLS handshake failed", peer=peer, reason=reason)

    def stop(self) -> None:
        """Begin no more, and cut those that are under way: nothing was asked for yet."""
        self._stopping = True
        for each in list(self.under_way):
            each.cut()


class Handshake(asyncio.Protocol):
    """The beginning of one connection."""

    __slots__ = ("_all", "_is_told", "_protocol", "_transport", "heard", "peer")

    _transport: asyncio.BaseTransport

    def __init__(self, handshakes: Handshakes, protocol: asyncio.Protocol) -> None:
        self._all = handshakes
        self._protocol = protocol
        self._is_told = False
        self.peer = ""
        """`address:port` of the other side."""
        self.heard = False
        """Whether the peer has sent anything."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand the connection over to the loop's TLS."""
        self._transport = transport
        self.peer = peer_of(transport)  # which a connection that is gone does not tell
        if not self._all.begun(self):
            self.cut()
            return
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        done.add_done_callback(self._done)
        tls = _tls_of(loop)(
            loop,
            self._protocol,
            self._all.context,
            done,
            server_side=True,
            ssl_handshake_timeout=self._all.within,
        )
        transport.set_protocol(tls)
        before = _beginning.set(self)
        try:
            tls.connection_made(transport)
        finally:
            _beginning.reset(before)

    def failed(self, error: BaseException) -> None:
        """It has failed for this reason; told once. Who only looks whether somebody listens, as
        load balancers do, has not begun one."""
        if self._is_told or (isinstance(error, ConnectionResetError) and not self.heard):
            return
        self._is_told = True
        self._all.failed(self.peer, why(error))

    def over(self) -> None:
        """It has ended. A connection that goes on is the protocol's, and not to be cut any more."""
        self._all.under_way.pop(self, None)

    def cut(self) -> None:
        """End the connection at once, without a word."""
        self._is_told = True
        self._transport.abort()  # type: ignore[attr-defined]  # a stream's has it

    def _done(self, done: asyncio.Future[None]) -> None:
        self.over()
        if (error := done.exception()) is not None:
            self.failed(error)


class TellingObject(ssl.SSLObject):
    """The server's side of a handshake that tells the client why it has failed.

    OpenSSL leaves an alert to be written then. Event loops drop it with the connection, and in TLS
    1.3, whose client believes by then that all went well, that looks like a server that went away.
    So the failure is held back until the client has been told: it hangs up, or the time for
    handshakes runs out. That is for who is asked for a certificate, and understands an alert. Our
    own side hears of it at once.
    """

    _failed: ssl.SSLError | None = None
    _handshake: Handshake | None = None
    _began = False

    def do_handshake(self) -> None:
        """Go on with it. Raises `ssl.SSLError`."""
        if self._failed is not None:
            raise self._failed
        self._look()
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            if self._handshake is not None:
                self._handshake.failed(error)
            if self.context.verify_mode is not ssl.CERT_REQUIRED or error.reason in _NO_TLS:
                raise
            self._failed = error
            raise ssl.SSLWantReadError("the alert is to be written first") from None
        if self._handshake is not None:
            self._handshake.over()
            self._handshake = None  # while the connection may last for days

    def _look(self) -> None:
        """Whose handshake it is; its first step is made before anything has arrived."""
        if not self._began:
            self._began = True
            self._handshake = _beginning.get()
        elif self._handshake is not None:
            self._handshake.heard = True


def let_go(transport: asyncio.Transport) -> None:
    """Wait for the peer's goodbye on a connection that was closed, since the gateway stops, but not
    for long. Without TLS there is none."""
    if transport.get_extra_info("ssl_object") is not None:
        asyncio.get_running_loop().call_later(GOODBYE_WITHIN, transport.abort)


def why(error: BaseException) -> str:
    """Why a handshake has failed, as the end of the sentence that a peer was refused because ..."""
    if isinstance(error, ssl.SSLCertVerificationError):
        said = error.verify_message.rstrip(".")
        return _VERDICTS.get(error.verify_code, f"its certificate is not good: {said}")
    if isinstance(error, ssl.SSLError):
        reason = error.reason or ""
        words = reason.replace("_", " ").lower() or "no reason"
        return _REASONS.get(reason, f"OpenSSL says: {words}")
    return _TOO_SLOW if isinstance(error, ConnectionAbortedError) else _HUNG_UP


def peer_of(transport: asyncio.BaseTransport) -> str:
    """`address:port` of the other side."""
    name = transport.get_extra_info("peername")
    return f"{name[0]}:{name[1]}" if name else "?"


def _tls_of(loop: asyncio.AbstractEventLoop) -> Any:
    """The protocol by which the loop itself speaks TLS; both are made alike."""
    module: Any = uvloop.loop if isinstance(loop, uvloop.Loop) else sslproto  # Any: untyped there
    return module.SSLProtocol
