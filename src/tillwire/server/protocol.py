"""HTTP/1.1 connections with limits: how long and how large a request's head may be, and how many
connections there may be at once; and the certificate that a client has shown, for the application.

uvicorn's protocol does the work; it has no limits of its own on headers, and a client that never
finishes its request line would be waited for without end.
"""

from __future__ import annotations

import asyncio
import hashlib
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from tillwire.config import Limits
from tillwire.net.asgi import PEER_CERTIFICATE, PROBLEM, PeerCertificate
from tillwire.net.problems import PHRASES, document
from tillwire.server.coalescing import CoalescingTransport
from tillwire.server.handshakes import let_go

_PER_HEADER = 4
"""Octets on the wire beside a header's name and value: colon, space, line end."""


class _HeadTooLargeError(Exception):
    """Stops the parser."""


class LimitedProtocol(HttpToolsProtocol):
    """One connection, within a listener's limits."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: Limits,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits
        self._peer: PeerCertificate | None = None
        self._in_head = True
        self._head_octets = 0
        self._too_large = False
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(
            CoalescingTransport(transport, self.loop)  # type: ignore[arg-type]  # stands for one
        )
        self._peer = _peer_certificate(transport)
        if len(self.connections) > self._limits.connections:
            self._refuse(
                HTTPStatus.SERVICE_UNAVAILABLE, "Too many connections are open; try again later."
            )
            return
        self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        super().shutdown()
        if self.transport.is_closing():
            let_go(self.transport)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._in_head:
            # Counted by what arrives: a header that never ends reaches no parser callback.
            self._head_octets += len(data)
        self._feed(data)
        if self._in_head:
            if self._head_octets > self._limits.header_bytes:
                self._refuse_head()
            elif self._head_timer is None:
                self._start_head_timer()

    def _feed(self, data: bytes) -> None:
        """As the base class does, without its warnings: anybody could flood the log with them."""
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return  # it is served as the ordinary request that it is, too (RFC 9110 section 7.8)
        except httptools.HttpParserError:
            if self._too_large:
                self._refuse_head()
            else:
                self._refuse(HTTPStatus.BAD_REQUEST, "This is not an HTTP/1.1 request.")

    def on_message_begin(self) -> None:
        self._in_head = True
        self._head_octets = max(self._head_octets, 1)
        super().on_message_begin()
        if self._peer is not None:
            self.scope["extensions"] = {PEER_CERTIFICATE: {"certificate": self._peer}}

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_octets = 0
        self._stop_head_timer()
        octets = len(self.url) + _PER_HEADER * len(self.headers)
        for name, value in self.headers:
            octets += len(name) + len(value)
        if octets > self._limits.header_bytes:
            self._too_large = True
            raise _HeadTooLargeError
        super().on_headers_complete()
        if self.parser.should_upgrade():
            # The last of its connection: behind it, the parser expects the other protocol.
            self.cycle.keep_alive = False

    def _refuse_head(self) -> None:
        limit = self._limits.header_bytes
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        self._refuse(status, f"Request line and headers may have {limit} octets together.")

    def _start_head_timer(self) -> None:
        self._head_timer = self.loop.call_later(self._limits.header_seconds, self._head_timed_out)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_timed_out(self) -> None:
        self._head_timer = None
        if self._head_octets:
            self._refuse(
                HTTPStatus.REQUEST_TIMEOUT, "The request's headers did not arrive in time."
            )
        elif not self.transport.is_closing():
            self.transport.close()

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        """Answer with a problem on the bare connection, and close it."""
        if self.transport.is_closing():
            return
        self._stop_head_timer()
        body = document(status, detail)
        head = (
            f"HTTP/1.1 {status.value} {PHRASES[status]}\r\n"
            f"content-type: {PROBLEM}\r\ncontent-length: {len(body)}\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


def _peer_certificate(transport: asyncio.Transport) -> PeerCertificate | None:
    """What the client has shown in the handshake, which has checked it; None if there was none."""
    tls = transport.get_extra_info("ssl_object")
    der = None if tls is None else tls.getpeercert(binary_form=True)
    return PeerCertificate(der, hashlib.sha256(der).digest()) if der else None
