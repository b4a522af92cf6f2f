"""How a silent connection is found out to be dead: what the system is told to look after."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class KeepAlive:
    """When the system asks whether the peer's machine is still there."""

    after: int
    """Seconds of silence before it does."""
    every: int
    """Seconds between tries."""
    tries: int
    """After so many without an answer, the connection ends."""


USUAL: Final = KeepAlive(after=60, every=20, tries=4)
"""Often enough that firewalls do not forget a connection on which nothing goes on."""
SOON: Final = KeepAlive(after=15, every=5, tries=3)
"""For the one connection of a peer that cannot be reached by another way."""


def keep_alive(transport: asyncio.BaseTransport, told: KeepAlive) -> None:
    """Have the system look after it. Connections that are not TCP are left alone."""
    opened = transport.get_extra_info("socket")
    if opened is None or opened.family not in (socket.AF_INET, socket.AF_INET6):
        return
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, told.after)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, told.every)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, told.tries)
