"""A lean till: the load of the benchmarks, cheap enough not to be what is measured.

It speaks just enough HTTP/1.1 for one kept connection a lane. Floor and gateway are driven by the
very same code.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast


class Connection(asyncio.Protocol):
    """Just enough of HTTP/1.1: one question at a time, on one connection."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, received: bytes) -> None:
        self._buffer += received
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._buffer[:end]).lower()
        mark = head.find(b"content-length:")
        length = int(head[mark + 15 :].split(b"\r\n", 1)[0]) if mark >= 0 else 0
        if len(self._buffer) < end + 4 + length:
            return
        body = bytes(self._buffer[end + 4 : end + 4 + length])
        del self._buffer[: end + 4 + length]
        assert self._answer is not None, "an answer without a request"
        self._answer.set_result((int(head[9:12]), body))

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError("closed"))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        assert self._transport is not None, "not connected"
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


@dataclass
class Load:
    """What a run of sales came to."""

    sales: int = 0
    requests: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    """Seconds from the create to the read that shows the outcome, for each sale."""
    usual: float = 0.0
    """Seconds that sales took lately."""
    steps: dict[str, list[float]] = field(default_factory=dict)
    """Seconds until what a till is told before the outcome, by what it is."""

    def sold(self, seconds: float) -> None:
        """One more."""
        self.sales += 1
        self.latencies.append(seconds)
        self.usual += (seconds - self.usual) / 64

    @property
    def rate(self) -> float:
        """Sales per second."""
        return self.sales / self.seconds

    def percentile(self, share: float) -> float:
        """The latency, in milliseconds, that `share` of the sales stayed within."""
        return percentile(self.latencies, share)


def percentile(latencies: Sequence[float], share: float) -> float:
    """In milliseconds, what `share` of the latencies (in seconds) stayed within."""
    ordered = sorted(latencies)
    return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * share))]


@dataclass(frozen=True)
class Shop:
    """Where to pay: a server's port, the path of its faces, a key, and a terminal for each lane."""

    port: int
    path: str
    api_key: str
    terminals: list[str]


class Lane:
    """One till at one terminal on one connection."""

    def __init__(self, shop: Shop, terminal: str) -> None:
        self._shop = shop
        self._path = f"{shop.path}/terminals/{terminal}/transactions"
        self._head = (
            f" HTTP/1.1\r\nHost: 127.0.0.1:{shop.port}\r\nAPI-Key: {shop.api_key}\r\n"
            "Accept: application/json\r\n"
        )
        self._connection = Connection()

    async def connect(self) -> None:
        """Open the connection that the lane keeps."""
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self._connection, "127.0.0.1", self._shop.port)

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()

    async def create(self, reference: str, value: str = "12.50") -> str:
        """Start a purchase; its id."""
        body = (
            f'{{"type":"PURCHASE","merchant_order_reference":"{reference}",'
            f'"amount":{{"value":{value},"currency":"EUR"}}}}'
        )
        status, answer = await self._connection.ask(
            f"POST {self._path}{self._head}Content-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        assert status == 201, answer
        found: str = json.loads(answer)["id"]
        return found

    async def status(self, transaction_id: str) -> str:
        """What has become of it."""
        request = f"GET {self._path}/{transaction_id}{self._head}\r\n"
        status, answer = await self._connection.ask(request.encode())
        assert status == 200, answer
        found: str = json.loads(answer)["status"]
        return found

    async def sell(self, reference: str, patience: float, load: Load) -> None:
        """One sale to its end: create, wait for about `patience` of what a sale takes at present,
        then read the status until there is an outcome."""
        begun = time.perf_counter()
        transaction_id = await self.create(reference)
        load.requests += 1
        await asyncio.sleep(load.usual * patience - (time.perf_counter() - begun))
        while True:
            load.requests += 1
            if await self.status(transaction_id) != "CREATED":
                break
            await asyncio.sleep(load.usual * patience / 4)
        load.sold(time.perf_counter() - begun)


class Till(Protocol):
    """One lane at one terminal, however it speaks."""

    async def connect(self) -> None:
        """Open the connection that the lane keeps."""

    def close(self) -> None:
        """Give the connection back."""

    async def sell(self, reference: str, patience: float, load: Load) -> None:
        """One sale to its end, counted in `load`."""


async def sell_for(tills: Sequence[Till], seconds: float, patience: float) -> Load:
    """Sell in these lanes for `seconds`; `patience` is the share of a sale's usual time that a
    till waits before it asks what became of it (0: it asks again and again)."""
    load = Load()
    for till in tills:
        await till.connect()
    begun = time.perf_counter()
    end = begun + seconds

    async def sell_on(till: Till, number: int) -> None:
        count = 0
        while time.perf_counter() < end:
            count += 1
            await till.sell(f"bench-{number}-{count}", patience, load)

    await asyncio.gather(*(sell_on(till, number) for number, till in enumerate(tills)))
    load.seconds = time.perf_counter() - begun
    for till in tills:
        till.close()
    return load
