"""Sessions: which registers have logged in at which terminals, in dialects that have logins.

Durable, and mirrored in memory, since they are looked at with every message.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Final

from tillwire.core.model import Session
from tillwire.core.ports import Journal, Unit
from tillwire.core.tasks import Tasks
from tillwire.errors import Conflict

MOST_SESSIONS: Final = 100
"""Sessions of one dialect at one terminal. The next one ends the oldest of those that may end
unasked: a register that was replaced never logs out."""

_Place = tuple[str, str]


def _none_is_kept(session: Session) -> bool:
    """That any session may end unasked."""
    return False


class Sessions:
    """The open sessions."""

    def __init__(self, journal: Journal, tasks: Tasks) -> None:
        self._journal = journal
        self._tasks = tasks
        self._open: dict[_Place, dict[str, Session]] = defaultdict(dict)

    async def load(self) -> None:
        """Take up what the journal holds."""
        found = await self._journal.read(lambda reader: reader.sessions())
        for session in sorted(found, key=lambda each: (each.opened_at, each.register)):
            self._open[session.terminal_id, session.dialect][session.register] = session

    async def open(
        self, session: Session, is_kept: Callable[[Session], bool] = _none_is_kept
    ) -> None:
        """Begin a session, in place of the register's earlier one. `is_kept` says which sessions
        only their own register may end. Raises `JournalError`, and `Conflict` where too many of
        those are in the way."""
        place = (session.terminal_id, session.dialect)

        async def begin() -> None:
            there = [each for each in self.at(*place) if each.register != session.register]
            excess = max(len(there) + 1 - MOST_SESSIONS, 0)
            surplus = [each.register for each in there if not is_kept(each)][:excess]
            if len(surplus) < excess:
                raise Conflict(
                    f"{len(there)} sessions at this terminal do not end by themselves: log one of "
                    "them out."
                )

            def write(unit: Unit) -> None:
                for register in surplus:
                    unit.drop_session(*place, register)
                unit.put_session(session)

            await self._journal.commit(write)
            for register in (*surplus, session.register):
                self._open[place].pop(register, None)
            self._open[place][session.register] = session

        await self._tasks.finish(begin())

    async def close(self, terminal_id: str, dialect: str, register: str) -> bool:
        """End a session; False when there was none. Raises `JournalError`."""

        async def end() -> bool:
            closed = await self._journal.commit(
                lambda unit: unit.drop_session(terminal_id, dialect, register)
            )
            self._open[terminal_id, dialect].pop(register, None)
            return closed

        return await self._tasks.finish(end())

    def of(self, terminal_id: str, dialect: str, register: str) -> Session | None:
        """The register's session at the terminal."""
        return self._open.get((terminal_id, dialect), {}).get(register)

    def at(self, terminal_id: str, dialect: str) -> list[Session]:
        """The sessions at the terminal, the newest last."""
        return list(self._open.get((terminal_id, dialect), {}).values())
