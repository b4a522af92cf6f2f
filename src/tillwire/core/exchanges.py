"""Exchanges: a till's messages under the till's own numbers, remembered so that none is done twice
and each can be answered again.

One that asks for money is committed together with its transaction (`admission.py`); all others are
begun here. What a repeated message is answered with is the face's to say: the transaction's end,
the stored answer, or a refusal.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection
from typing import Final

import msgspec

from tillwire.clock import Instant
from tillwire.core.model import Exchange
from tillwire.core.ports import Clock, Journal, Reader, Unit
from tillwire.errors import Conflict, JournalError, NotFound

_HOUR: Final = 3_600_000
UNIQUE_FOR: Final = 48 * _HOUR
"""Milliseconds in which a register uses a number once at a terminal; later it is a new message."""
KEPT_FOR: Final = 7 * 24 * _HOUR
"""Milliseconds after which an exchange that moved no money is forgotten."""
FORGET_EVERY: Final = 3600.0
"""Seconds between two looks for those."""
FORGET_AT_ONCE: Final = 500
"""How many of them are forgotten in one commit, so that no sale waits for long."""
MOST_OF_CHAIN: Final = 100
"""Exchanges of one chain that are looked at."""


class Repeated(Conflict):
    """A message of this number came before."""

    def __init__(self, earlier: Exchange) -> None:
        """`earlier` is what came before; its `digest` tells whether it asked for the same."""
        super().__init__(f"{earlier.register!r} has used {earlier.number!r} for {earlier.kind}.")
        self.earlier = earlier


def check_new(unit: Unit | Reader, exchange: Exchange) -> None:
    """Raise `Repeated` when the register has used the number at this terminal lately."""
    earlier = unit.exchange(
        exchange.terminal_id, exchange.dialect, exchange.register, exchange.number
    )
    if earlier is not None and exchange.at - earlier.at <= UNIQUE_FOR:
        raise Repeated(earlier)


class Exchanges:
    """The exchanges of a journal."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock

    async def check(self, exchange: Exchange) -> None:
        """Raise `Repeated` when its number was used lately, before anything is done for it that a
        repeated message must not do. Raises `JournalError`."""
        await self._journal.read(lambda reader: check_new(reader, exchange))

    async def begin(self, exchange: Exchange) -> Exchange:
        """Remember one that moves no money, or one that was refused (with its answer in it);
        returns it with its id. Raises `Repeated`, `JournalError`."""

        def remember(unit: Unit) -> Exchange:
            check_new(unit, exchange)
            return msgspec.structs.replace(exchange, id=unit.insert_exchange(exchange))

        return await self._journal.commit(remember)

    async def answer(self, exchange_id: int, answer: str) -> None:
        """Remember how it was answered. Raises `NotFound`, `JournalError`."""
        now = self._clock.now()

        def write(unit: Unit) -> bool:
            return unit.answer_exchange(exchange_id, answer, now)

        if not await self._journal.commit(write):
            raise NotFound(f"No exchange {exchange_id}.")

    async def of_number(
        self, terminal_id: str, dialect: str, register: str, number: str
    ) -> Exchange | None:
        """The register's newest one of this number at the terminal, however old."""
        return await self._journal.read(
            lambda reader: reader.exchange(terminal_id, dialect, register, number)
        )

    async def last(
        self, terminal_id: str, dialect: str, register: str, kinds: Collection[str]
    ) -> Exchange | None:
        """The register's newest one of these kinds, at most eight, at the terminal."""
        return await self._journal.read(
            lambda reader: reader.last_exchange(terminal_id, dialect, register, kinds)
        )

    async def of_transaction(self, transaction_id: str) -> Exchange | None:
        """The one that asked for the transaction."""
        return await self._journal.read(lambda reader: reader.exchange_of(transaction_id))

    async def of_chain(self, organisation_id: str, chain: str) -> list[Exchange]:
        """The organisation's exchanges of a chain, newest first, at most `MOST_OF_CHAIN`."""
        if not chain:
            return []
        return await self._journal.read(
            lambda reader: reader.exchanges_by_chain(organisation_id, chain, MOST_OF_CHAIN)
        )

    async def forget_old(self) -> None:
        """Forget what moved no money and is old, now and every `FORGET_EVERY` seconds, for good."""
        while True:
            with contextlib.suppress(JournalError):  # the next time, then
                await self._forget()
            await asyncio.sleep(FORGET_EVERY)

    async def _forget(self) -> None:
        before = Instant(self._clock.now() - KEPT_FOR)
        while await self._journal.read(lambda reader: reader.has_old_exchanges(before)):
            await self._journal.commit(lambda unit: unit.drop_exchanges(before, FORGET_AT_ONCE))
