"""Head and body of a response in one segment.

uvicorn writes them apart and uvloop hands each to the kernel at once: two system calls for each
answer, and the client is woken for a head without a body. What is written in one turn of the loop
is held here until its end, and then written together.
"""

from __future__ import annotations

import asyncio
from typing import Any


class CoalescingTransport:
    """A transport that writes once in a turn of the loop; all else is the transport's own."""

    __slots__ = ("_held", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []

    def __getattr__(self, name: str) -> Any:  # Any: whatever the transport has
        return getattr(self._transport, name)

    def write(self, octets: bytes) -> None:
        """Write it, with what else is written in this turn of the loop."""
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(octets)

    def _flush(self) -> None:
        held, self._held = self._held, []
        if held and not self._transport.is_closing():
            self._transport.write(held[0] if len(held) == 1 else b"".join(held))

    def close(self) -> None:
        """Write what is held, then close."""
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether it is closed or about to be."""
        return self._transport.is_closing()
