"""Faults of whole messages: requests that go out twice, late, or whose answer is lost.

A stream keeps its octets in order and delivers each once, so "doubled" and "reordered" mean this:

* *doubled*: the same request, or everything that was written on a connection, arrives a second
  time over a second connection, as after a proxy's or an operating system's retry. The caller
  hears the first answer only.
* *late*: a message waits before it is sent, so that one that was sent after it overtakes it.
* *answer lost*: the request arrives and is answered, and the caller never hears of it.

These wrap the ports `HttpClient` and `Dialer`, so they work over the in-memory network and over
real sockets alike.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tillwire.core.ports import Connection, Dialer, HttpClient, HttpResponse
from tillwire.errors import AnswerLost, PeerError


@dataclass(frozen=True)
class Fate:
    """What happens to one message."""

    late: float = 0.0
    """Seconds before it is sent."""
    doubled_after: float | None = None
    """Seconds after the first sending until it is sent again; None: it is sent once."""
    answer_lost: bool = False
    """The caller gets `AnswerLost` although the answer came."""


ORDINARY: Final = Fate()

FateOf = Callable[[int], Fate]
"""Number of the message, from 0 -> what happens to it."""


def fates(*script: Fate) -> FateOf:
    """The first messages' fates; later ones are ordinary."""
    return lambda number: script[number] if number < len(script) else ORDINARY


def seeded_fates(source: random.Random, *, risk: float) -> FateOf:
    """Fates drawn from `source`; each kind of fault has the probability `risk`."""

    def fate_of(number: int) -> Fate:
        return Fate(
            late=source.choice((0.05, 1.0, 12.0)) if source.random() < risk else 0.0,
            doubled_after=source.choice((0.0, 0.05, 3.0)) if source.random() < risk else None,
            answer_lost=source.random() < risk,
        )

    return fate_of


class _Doubles:
    """The second sendings under way."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, delay: float, sending: Callable[[], Coroutine[Any, Any, None]]) -> None:
        task = asyncio.get_running_loop().create_task(self._later(delay, sending))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @staticmethod
    async def _later(delay: float, sending: Callable[[], Coroutine[Any, Any, None]]) -> None:
        await asyncio.sleep(delay)
        try:
            await sending()
        except PeerError:  # nobody waits for the answer to a double
            return

    async def settle(self) -> None:
        while self._tasks:
            await asyncio.gather(*self._tasks)


class FaultyHttpClient:
    """An `HttpClient` through which requests meet their fates."""

    def __init__(self, inner: HttpClient, fate_of: FateOf) -> None:
        self._inner = inner
        self._fate_of = fate_of
        self._doubles = _Doubles()
        self._count = 0

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        timeout: float,
        connect_within: float | None = None,
        limit: int = 1 << 20,
        ready: Callable[[], None] | None = None,
    ) -> HttpResponse:
        """As the port says. A double is not asked whether it may go: whatever sends it does not
        know of us."""
        fate = self._fate_of(self._count)
        self._count += 1

        async def send(ready: Callable[[], None] | None = None) -> HttpResponse:
            return await self._inner.request(
                method,
                url,
                headers=headers,
                body=body,
                timeout=timeout,
                connect_within=connect_within,
                limit=limit,
                ready=ready,
            )

        async def send_again() -> None:
            await send()

        def leaving() -> None:
            if ready is not None:
                ready()
            if fate.doubled_after is not None:  # what never left cannot come twice
                self._doubles.send(fate.doubled_after, send_again)

        await asyncio.sleep(fate.late)
        response = await send(leaving)
        if fate.answer_lost:
            raise AnswerLost(f"{method} {url}: the answer {response.status} was taken away.")
        return response

    async def settle(self) -> None:
        """Wait until every doubled request was answered."""
        await self._doubles.settle()


class FaultyDialer:
    """A `Dialer` whose connections meet their fates."""

    def __init__(self, inner: Dialer, fate_of: FateOf) -> None:
        self._inner = inner
        self._fate_of = fate_of
        self._doubles = _Doubles()
        self._count = 0

    async def connect(self, host: str, port: int, *, timeout: float) -> Connection:
        """As the port says. A doubled connection is replayed once the first one is closed."""
        fate = self._fate_of(self._count)
        self._count += 1
        await asyncio.sleep(fate.late)
        connection = await self._inner.connect(host, port, timeout=timeout)

        async def replay(octets: bytes) -> None:
            second = await self._inner.connect(host, port, timeout=timeout)
            try:
                await second.write(octets)
                async with asyncio.timeout(timeout):
                    while await second.read():
                        pass
            except TimeoutError:
                return
            finally:
                await second.close()

        def closed(octets: bytes) -> None:
            if fate.doubled_after is not None:
                self._doubles.send(fate.doubled_after, lambda: replay(octets))

        return _RecordedConnection(connection, fate, closed)

    async def settle(self) -> None:
        """Wait until every doubled connection has ended."""
        await self._doubles.settle()


class _RecordedConnection:
    def __init__(self, inner: Connection, fate: Fate, closed: Callable[[bytes], None]) -> None:
        self._inner = inner
        self._fate = fate
        self._closed = closed
        self._written = bytearray()

    async def read(self, limit: int = 65536) -> bytes:
        octets = await self._inner.read(limit)
        if self._fate.answer_lost:
            raise AnswerLost(f"{len(octets)} octets of the answer were taken away.")
        return octets

    async def write(self, octets: bytes) -> None:
        self._written += octets
        await self._inner.write(octets)

    async def close(self) -> None:
        await self._inner.close()
        self._closed(bytes(self._written))
