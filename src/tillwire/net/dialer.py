"""Southbound TCP, with or without TLS, over asyncio streams: the `Dialer` port."""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

from tillwire.errors import AnswerLost, NotDelivered, Proof

CLOSE_WITHIN: Final = 1.0
"""Seconds for a connection to close in good order; then it is torn down."""


class AsyncioDialer:
    """Opens byte streams to terminals."""

    def __init__(self, tls: ssl.SSLContext | None = None, *, server_name: str = "") -> None:
        """With `tls`, every connection is TLS: the context says whom to trust and which client
        certificate to show. One that does not verify its peer is refused. `server_name` is whom
        the certificate must name; empty: the host that is connected to."""
        if tls is not None and tls.verify_mode is not ssl.CERT_REQUIRED:
            raise ValueError("A TLS context must verify the peer's certificate.")
        self._tls = tls
        self._server_name = server_name if tls is not None and server_name else None

    async def connect(self, host: str, port: int, *, timeout: float) -> StreamConnection:
        """Raises `NotDelivered` when there is no connection (TLS included) within `timeout`
        seconds; not one byte of the application was written then."""
        try:
            async with asyncio.timeout(timeout):
                reader, writer = await asyncio.open_connection(
                    host, port, ssl=self._tls, server_hostname=self._server_name
                )
        except TimeoutError as error:
            raise NotDelivered(f"{host}:{port}: no connection within {timeout:g} s.") from error
        except ConnectionRefusedError as error:
            raise NotDelivered(f"{host}:{port}: {error}.", Proof.CONNECT_REFUSED) from error
        except (OSError, ValueError, OverflowError) as error:  # the latter: no such host or port
            raise NotDelivered(f"{host}:{port}: {error}.") from error
        return StreamConnection(reader, writer, f"{host}:{port}")


class StreamConnection:
    """An open byte stream."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: str
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._peer = peer

    async def read(self, limit: int = 65536) -> bytes:
        """Some bytes, or none at the end. Raises `AnswerLost` when it broke."""
        try:
            return await self._reader.read(limit)
        except OSError as error:
            raise AnswerLost(f"{self._peer}: {error}.") from error

    async def write(self, octets: bytes) -> None:
        """Hand the bytes to the operating system. Raises `AnswerLost` when the connection broke:
        some of them may have arrived."""
        try:
            self._writer.write(octets)
            await self._writer.drain()
        except (OSError, RuntimeError) as error:  # uvloop: RuntimeError, once it is closed
            raise AnswerLost(f"{self._peer}: {error}.") from error

    async def close(self) -> None:
        """Close it, in good order where the other side lets us. Never raises."""
        self._writer.close()
        try:
            async with asyncio.timeout(CLOSE_WITHIN):
                await self._writer.wait_closed()
        except OSError:  # TimeoutError is one, too
            self._writer.transport.abort()
