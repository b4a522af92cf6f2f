"""Where registers are used: noted now and then, and noticed when one is used from two places.

Two tills with the same register id are the usual reason why pairing one unpairs the other (source
002), so an operator should hear of it. A place is an address with the business that was named
there. Nothing waits for these notes, and a crash may lose the newest of them.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import msgspec
import structlog

from tillwire.clock import Instant
from tillwire.core.engine import Engine
from tillwire.core.estate_model import Register
from tillwire.core.ports import Unit
from tillwire.core.tasks import Tasks
from tillwire.errors import JournalError
from tillwire.estate.pairings import CAUSE

WRITE_EVERY: Final = 60_000
"""Milliseconds between two notes about one register."""
MOST: Final = 10_000
"""Registers whose last place is remembered here."""

_log = structlog.get_logger()


class _Seen(msgspec.Struct):
    place: str
    at: Instant
    written_at: Instant
    clash_at: Instant = Instant(0)
    """When the last clash was noticed."""


class Sightings:
    """Where the registers of one face were seen last."""

    def __init__(self, engine: Engine, tasks: Tasks, within: float) -> None:
        """`within` seconds two places are too many; 0: they never are."""
        self._engine = engine
        self._tasks = tasks
        self._within = round(within * 1000)
        self._seen: OrderedDict[str, _Seen] = OrderedDict()

    def note(self, register: Register, place: str, now: Instant) -> None:
        """The register was used from this place."""
        seen = self._seen.get(register.id)
        if seen is None:
            at = register.last_seen_at or Instant(0)
            seen = self._seen[register.id] = _Seen(register.last_seen_from or place, at, at)
            if len(self._seen) > MOST:
                self._seen.popitem(last=False)
        self._seen.move_to_end(register.id)
        clash = place != seen.place and 0 <= now - seen.at < self._within
        # Whoever knows a register's names can call: no more notes than these for all of them.
        clash = clash and now - seen.clash_at >= WRITE_EVERY
        if clash:
            seen.clash_at = now
            _log.warning(
                "a register is used from two places",
                register=register.register_id,
                vendor=register.vendor_name,
                place=place,
                before=seen.place,
                meaning=CAUSE,
            )
        if clash or now - seen.written_at >= WRITE_EVERY:
            seen.written_at = now
            self._tasks.spawn(self._write(register.id, place, now, seen.place if clash else ""))
        seen.place, seen.at = place, now

    async def _write(self, register_id: str, place: str, now: Instant, other: str) -> None:
        """It was seen at this place, and at the other one if there is any."""

        def note(unit: Unit) -> None:
            unit.saw_register(register_id, now, place)
            if other:
                unit.register_clashed(register_id, now, other)

        try:
            await self._engine.journal.commit(note)
        except JournalError as error:
            _log.warning("where a register was used was not written", error=str(error))
