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
        self.faulty: list[FaultyDialer | FaultyHttpClient] = []

    @classmethod
    def seeded(cls, source: random.Random, *, risk: float) -> Doubling:
        """With fates drawn from `source`."""
        return cls(fate_of=seeded_fates(source, risk=risk))

    def _fate(self, number: int) -> Fate:
        return self._fates(next(self._numbers))

    def dialer(self, tls: ssl.SSLContext | None, server_name: str) -> Dialer:
        made = FaultyDialer(super().dialer(tls, server_name), self._fate)
        self.faulty.append(made)
        return made

    def http(self, tls: ssl.SSLContext | None, server_name: str) -> ClosableHttpClient:
        made = FaultyClient(super().http(tls, server_name), self._fate)
        self.faulty.append(made)
        return made

    async def settle(self) -> None:
        """Wait until every double was answered."""
        for each in self.faulty:
            await each.settle()


class FaultyClient(FaultyHttpClient):
    """One that can be closed, once its doubles were answered."""

    def __init__(self, inner: ClosableHttpClient, fate_of: FateOf) -> None:
        super().__init__(inner, fate_of)
        self._closing = inner.close

    async def close(self) -> None:
        """As the client that is behind it."""
        try:
            await self.settle()
        except asyncio.CancelledError:
            await self._closing()
            raise
        await self._closing()
