"""What names mean, asked in threads of its own.

A thread that waits for a silent name server cannot be called back, and the event loop has a few
threads only. Names that strangers give us are asked for here, so that the names of terminals, and
all else that needs a thread, never wait behind theirs.
"""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

THREADS: Final = 32
"""Names that are asked for at once; more wait."""
WITHIN: Final = 10.0
"""Seconds after which nobody waits for an answer any more."""


class OwnThreads(AbstractResolver):
    """The system's resolver, off the event loop's threads."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="tillwire-names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises `OSError` when there is no answer, also none in time."""
        ask = partial(
            socket.getaddrinfo,
            host,
            port,
            family=family,
            type=socket.SOCK_STREAM,
            flags=socket.AI_ADDRCONFIG,
        )
        async with asyncio.timeout(WITHIN):
            found = await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        return [
            ResolveResult(
                hostname=host,
                host=_written(where),
                port=int(where[1]),
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, where in found
        ]

    async def close(self) -> None:
        """Let go of the threads, once they have their answers."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _written(where: tuple[object, ...]) -> str:
    """The address; one that is good on one link only names the link."""
    scope = where[3] if len(where) > 3 else 0
    return f"{where[0]}%{scope}" if scope else str(where[0])
