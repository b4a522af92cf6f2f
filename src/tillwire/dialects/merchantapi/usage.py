"""When each API key was last used: known at once, written down now and then.

A request must not wait for the journal to note that its key was used. So usage is remembered here
and written in one unit of work about once a minute, and when the face stops; a crash loses a
minute of it, which `lastUsage` can bear.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from tillwire.clock import Instant
from tillwire.core.engine import Engine
from tillwire.core.estate_model import ApiKey
from tillwire.core.ports import Unit
from tillwire.errors import JournalError

WRITE_EVERY: Final = 60.0
"""Seconds between writes."""


class KeyUsage:
    """When keys were last used."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._noted: dict[int, Instant] = {}
        self._unwritten: set[int] = set()

    def note(self, key: ApiKey, now: Instant) -> None:
        """The key was used."""
        self._noted[key.id] = now
        self._unwritten.add(key.id)

    def last(self, key: ApiKey) -> Instant | None:
        """When the key was last used, written down or not."""
        return self._noted.get(key.id, key.last_used_at)

    async def write_regularly(self) -> None:
        """Write what was noted, until cancelled."""
        while True:
            await asyncio.sleep(WRITE_EVERY)
            await self.write()

    async def write(self) -> None:
        """Write what was noted since the last time. What cannot be written waits for the next."""
        noted = {number: self._noted[number] for number in self._unwritten}
        if not noted:
            return

        def put(unit: Unit) -> None:
            for number, at in noted.items():
                unit.used_key(number, at)

        self._unwritten.clear()
        try:
            await self._engine.journal.commit(put)
        except JournalError as error:
            self._unwritten.update(noted)
            structlog.get_logger().warning("key usage was not written", error=str(error))
