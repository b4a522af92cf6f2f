"""The ports at which terminals dial us, as the estate has them: opened, moved and closed with it.

Two terminals cannot share a port: nobody could tell whose connection it is, so neither of them gets
it. What keeps a port from being opened is logged once, and tried again at each look.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping

import structlog

from tillwire.core.estate import Estate
from tillwire.core.estate_model import Lifecycle, Terminal
from tillwire.core.ports import Connection, Dialer
from tillwire.net.callers import Awaited, CallerPort
from tillwire.net.dialer import AsyncioDialer

AwaitedAt = Callable[[Terminal], Awaited | None]
"""Where a terminal dials us; None for one that we dial."""


class Callers:
    """All of them."""

    def __init__(self, awaited_at: AwaitedAt) -> None:
        self._awaited_at = awaited_at
        self._ports: dict[str, CallerPort] = {}
        self._estate: Estate | None = None
        self._wanted: Mapping[str, Awaited] = {}
        self._sharers: Mapping[str, str] = {}
        self._problems: dict[str, str] = {}

    def dialer(self, terminal: Terminal) -> Dialer:
        """By which its driver gets a connection: one that the terminal has opened, where it is to
        dial us, else one that we open."""
        if self._awaited_at(terminal) is None:
            return AsyncioDialer()
        return _Taking(self._port(terminal))

    def _port(self, terminal: Terminal) -> CallerPort:
        return self._ports.setdefault(terminal.id, CallerPort(terminal.name))

    async def follow(self, estate: Estate) -> None:
        """Listen where this estate's terminals dial, and nowhere else."""
        if estate is not self._estate:
            self._estate = estate
            self._wanted = self._wanted_of(estate)
            self._sharers = self._sharers_of(self._wanted)
            self._close_others()
        for terminal_id, place in self._wanted.items():
            if (port := self._ports[terminal_id]).place is None:
                await self._open(terminal_id, port, place)

    def _wanted_of(self, estate: Estate) -> Mapping[str, Awaited]:
        """Where each terminal that dials us does so."""
        wanted: dict[str, Awaited] = {}
        for terminal in estate.terminals.values():
            place = self._awaited_at(terminal)
            if place is not None and terminal.lifecycle is not Lifecycle.REMOVED:
                wanted[terminal.id] = place
                self._port(terminal).terminal = terminal.name
        return wanted

    def _sharers_of(self, wanted: Mapping[str, Awaited]) -> Mapping[str, str]:
        """Terminals that share their place, each with the names of all who do."""
        by_place: dict[str, list[str]] = defaultdict(list)
        for terminal_id, place in wanted.items():
            by_place[str(place)].append(terminal_id)
        names = {each: self._ports[each].terminal for each in wanted}
        return {
            each: ", ".join(names[one] for one in sharers)
            for sharers in by_place.values()
            if len(sharers) > 1
            for each in sharers
        }

    def _close_others(self) -> None:
        for terminal_id, port in self._ports.items():
            wanted = self._wanted.get(terminal_id)
            if port.place != wanted or terminal_id in self._sharers:
                port.close()
        self._problems = {each: self._problems.get(each, "") for each in self._wanted}

    async def _open(self, terminal_id: str, port: CallerPort, place: Awaited) -> None:
        problem, log = "", structlog.get_logger().bind(terminal=port.terminal, address=str(place))
        if sharers := self._sharers.get(terminal_id):
            problem = f"terminals share it: {sharers}"
        else:
            try:
                await port.listen(place)
                log.info("listening for a terminal that dials us")
            except OSError as error:
                problem = str(error)
        if problem and problem != self._problems[terminal_id]:
            log.error("a terminal cannot dial us", reason=problem)
        self._problems[terminal_id] = problem

    async def stop(self) -> None:
        """Hang up on all who wait, and listen no more."""
        for port in self._ports.values():
            port.close()


class _Taking:
    """Implements `Dialer` with the connections of one terminal."""

    def __init__(self, port: CallerPort) -> None:
        self._port = port

    async def connect(self, host: str, port: int, *, timeout: float) -> Connection:
        """The connection that waits, or the next one to come."""
        return await self._port.take(timeout)
