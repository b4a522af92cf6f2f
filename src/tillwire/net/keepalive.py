"""How a silent connection is found out to be dead: what the operating system is told to look after."""

from __future__ import annotations

import asyncio
import socket


def keep_alive(transport: asyncio.BaseTransport, after: int, every: int, tries: int) -> None:
    """After so many seconds of silence, have the system ask the peer's machine whether it is still
    there, and again every few seconds; after so many tries without an answer the connection ends.
    Connections that are not TCP are left alone."""
    opened = transport.get_extra_info("socket")
    if opened is None or opened.family not in (socket.AF_INET, socket.AF_INET6):
        return
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, after)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, every)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, tries)
