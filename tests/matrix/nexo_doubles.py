"""A way from the near gateway to the far one on which whole messages come twice, late, or lose
their answers."""

from __future__ import annotations

import asyncio
import itertools
import random
import ssl

from tests.kit.messages import (
    Fate,
    FateOf,
    FaultyDialer,
    FaultyHttpClient,
    fates,
    seeded_fates,
)
from tillwire.core.ports import Dialer
from tillwire.dialects.nexo.driver.dialling import RealNetwork
from tillwire.dialects.nexo.driver.lines import ClosableHttpClient


class Doubling(RealNetwork):
    """The way. Implements `dialling.Network`."""

    def __init__(self, *script: Fate, fate_of: FateOf | None = None) -> None:
        """The first requests or connections meet these fates, or all of them what `fate_of`
        says."""
        self._fates, self._numbers = fate_of or fates(*script), itertools.count()
        self._dialers: list[FaultyDialer] = []
        self._closing: set[asyncio.Task[None]] = set()

    @classmethod
    def seeded(cls, source: random.Random, *, risk: float) -> Doubling:
        """With fates drawn from `source`."""
        return cls(fate_of=seeded_fates(source, risk=risk))

    def _fate(self, number: int) -> Fate:
        return self._fates(next(self._numbers))

    def dialer(self, tls: ssl.SSLContext | None, server_name: str) -> Dialer:
        made = FaultyDialer(super().dialer(tls, server_name), self._fate)
        self._dialers.append(made)
        return made

    def http(self, tls: ssl.SSLContext | None, server_name: str) -> ClosableHttpClient:
        return FaultyClient(super().http(tls, server_name), self._fate, self._closing)

    async def settle(self) -> None:
        """Wait until every double was answered."""
        for each in self._dialers:
            await each.settle()
        await asyncio.gather(*self._closing)


class FaultyClient(FaultyHttpClient):
    """One that can be closed: when its doubles were answered, which nobody waits for."""

    def __init__(
        self, inner: ClosableHttpClient, fate_of: FateOf, closing: set[asyncio.Task[None]]
    ) -> None:
        super().__init__(inner, fate_of)
        self._end = inner.close
        self._closing = closing

    async def close(self) -> None:
        """Begin to close it."""
        task = asyncio.get_running_loop().create_task(self._close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _close(self) -> None:
        try:
            await self.settle()
        except asyncio.CancelledError:
            await self._end()
            raise
        await self._end()
