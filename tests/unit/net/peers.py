"""Servers that misbehave, for scenarios that play in memory and over real sockets."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from tests.kit.network import LOOPBACK

CERTIFICATES: Final = Path(__file__).parents[2] / "kit" / "certificates"
OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Kind: test\r\n\r\nhello"

Answer = Callable[[asyncio.StreamWriter, int], Coroutine[Any, Any, None]]
"""Answers a request, whose number on this peer counts from 1."""


class HttpPeer:
    """Reads whole requests, counts them, and answers as it is told."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.heard: list[str] = []
        """Method and body of every request that arrived whole."""
        self.connections = 0

    async def listen(self, *, tls: bool = False) -> tuple[str, int]:
        """Listen at a free port of the loopback."""
        context = server_context() if tls else None
        server = await asyncio.start_server(self._serve, LOOPBACK, 0, ssl=context)
        host, port = server.sockets[0].getsockname()
        return host, port

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                self.heard.append(await _request(head, reader))
                await self._answer(writer, len(self.heard))
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()


async def _request(head: bytes, reader: asyncio.StreamReader) -> str:
    size = 0
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            size = int(value)
    body = await reader.readexactly(size)
    return f"{head.split(b' ')[0].decode()} {body.decode()}"


def answering(octets: bytes, *, then_close: bool = False) -> Answer:
    """The same octets every time."""

    async def answer(writer: asyncio.StreamWriter, number: int) -> None:
        writer.write(octets)
        await writer.drain()
        if then_close:
            writer.close()

    return answer


async def hang_up(writer: asyncio.StreamWriter, number: int) -> None:
    """Close without an answer."""
    writer.close()


async def hang_up_on_the_second(writer: asyncio.StreamWriter, number: int) -> None:
    """Answer the first request, keep the connection, and close it on the next one."""
    if number == 1:
        writer.write(OK)
    else:
        writer.close()


async def stay_silent(writer: asyncio.StreamWriter, number: int) -> None:
    """Never answer."""


def server_context() -> ssl.SSLContext:
    """The server's certificate: for localhost and 127.0.0.1, by the tests' own authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATES / "server.pem")
    return context


def client_context() -> ssl.SSLContext:
    """Trusts the tests' own authority alone."""
    return ssl.create_default_context(cafile=CERTIFICATES / "ca.pem")
