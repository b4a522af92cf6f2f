"""Which terminal each lane of a gateway serves: the one that its settings name, or have the TID of.

No terminal has two lanes, for each remembers on its own what tills have asked for. What two lanes
call it may differ, and what is called so may change while the gateway runs (a device is swapped):
then the lane that the configuration has first serves it, and the other one serves nobody.
"""

from __future__ import annotations

from tillwire.core.estate import Estate
from tillwire.core.estate_model import Terminal
from tillwire.dialects.ecr17.face.settings import Settings
from tillwire.errors import NotFound


class Places:
    """Those of the lanes of one gateway."""

    def __init__(self) -> None:
        self._lanes: list[Settings] = []
        self._estate: Estate | None = None
        """Of which the rest is known."""
        self._terminals: list[Terminal | None] = []
        self._first: dict[str, int] = {}

    def enter(self, settings: Settings) -> int:
        """Have one more lane, behind all others; its number."""
        self._lanes.append(settings)
        self._estate = None
        return len(self._lanes) - 1

    def terminal(self, lane: int, estate: Estate) -> Terminal:
        """That of the lane. Raises `NotFound` when there is none, or it is another lane's."""
        if estate is not self._estate:
            self._look(estate)
        terminal, called = self._terminals[lane], self._lanes[lane].terminal
        if terminal is None:
            raise NotFound(f"There is no terminal {called}.")
        if (first := self._first[terminal.id]) != lane:
            problem = f"Terminal {terminal.name} has another lane"
            raise NotFound(f"{problem}, as {self._lanes[first].terminal}.")
        return terminal

    def _look(self, estate: Estate) -> None:
        self._terminals = [_called(each, estate) for each in self._lanes]
        self._first = {}
        for number, terminal in enumerate(self._terminals):
            if terminal is not None:
                self._first.setdefault(terminal.id, number)
        self._estate = estate


def _called(settings: Settings, estate: Estate) -> Terminal | None:
    """What is both, one's name and another's TID, is a name."""
    whose, called = settings.organisation, settings.terminal
    return estate.terminal_named(whose, called) or estate.terminal_with_tid(whose, called)
