"""Whether payments can be taken now: the journal takes writes, and has room for more."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Final

from tillwire.core.ports import Journal
from tillwire.errors import JournalError
from tillwire.server.pages import Readiness

RECENTLY: Final = 2.0
"""Seconds for which a commit, or the last look, is proof enough."""
PROBE_WITHIN: Final = 2.0
"""Seconds in which the journal must take an empty unit of work."""
LEAST_FREE: Final = 32 << 20
"""Bytes that must be free on the journal's file system."""


class ReadyCheck:
    """Looks at the journal at most every two seconds, however often it is asked."""

    def __init__(self, journal: Journal, path: Path) -> None:
        """`path` is the journal's file."""
        self._journal = journal
        self._folder = path.parent
        self._committed = -RECENTLY
        self._looked = -RECENTLY
        self._problems: list[str] = []

    def committed(self) -> None:
        """The journal has just made something durable."""
        self._committed = time.monotonic()

    async def __call__(self) -> Readiness:
        """What stands in the way, in words."""
        if time.monotonic() - self._looked >= RECENTLY:
            self._looked = time.monotonic()
            self._problems = [*self._room(), *await self._probe()]
        return Readiness(self._problems)

    def _room(self) -> list[str]:
        system = os.statvfs(self._folder)
        free = system.f_bavail * system.f_frsize
        if free >= LEAST_FREE:
            return []
        return [f"Only {free >> 20} MB are free on the disk that holds the journal."]

    async def _probe(self) -> list[str]:
        if time.monotonic() - self._committed < RECENTLY:
            return []
        try:
            await asyncio.wait_for(self._journal.commit(lambda _: None), PROBE_WITHIN)
        except JournalError as error:
            return [str(error)]
        except TimeoutError:
            return [f"The journal has not taken a write for {PROBE_WITHIN:g} seconds."]
        return []
