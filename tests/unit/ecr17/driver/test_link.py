"""Connections to a terminal: each is closed, whoever stops waiting, and when."""

from __future__ import annotations

import asyncio

import pytest

from tests.kit.runner import virtual
from tillwire.dialects.ecr17.driver.link import PROBE, Link
from tillwire.dialects.ecr17.driver.settings import DriverSettings


class Counted:
    """A dialer that knows which of its connections are open."""

    def __init__(self) -> None:
        self.open = 0

    async def connect(self, host: str, port: int, *, timeout: float) -> Counted:
        del host, port, timeout
        self.open += 1
        return self

    async def read(self, limit: int = 65536) -> bytes:
        return await asyncio.get_running_loop().create_future()

    async def write(self, octets: bytes) -> None:
        del octets

    async def close(self) -> None:
        self.open -= 1


@virtual()
async def test_a_connection_that_is_given_up_while_it_is_listened_to_is_closed() -> None:
    counted = Counted()
    link = Link(DriverSettings(host="127.0.0.1", port=1470), counted)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(PROBE / 2):
            await link.quiet_line()
    assert counted.open == 0
    line = await link.quiet_line()
    assert counted.open == 1
    await line.close()
