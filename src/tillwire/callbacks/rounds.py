"""Whose turn it is: letters that wait, in memory, by the hosts that they go to.

Hosts take turns, so that no host's letters delay another's, however many they are. A host has a few
letters under way; as long as it answers quickly, more of them. One that answers slowly has a few
again, one that did not answer has one, and all of those together have half of the room at most, and
an eighth for certain. What counts as one host is said by who names them. Touches neither network
nor journal, and has no clock: times are seconds of a monotonic one.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterator
from enum import Enum
from typing import Final

MOST: Final = 100_000
"""Letters in memory; more wait in the journal."""
MOST_PER_HOST: Final = 10_000
"""Letters that wait for one host; more are given up."""
FEW: Final = 4
"""Letters under way at once to a host that has not shown yet how it answers."""

Series = tuple[str, str]
"""Transaction and channel: letters whose first tries go out in their order."""


class Pace(Enum):
    """How a host took a letter."""

    QUICK = "quick"
    SLOW = "slow"
    FAILED = "failed"


class Trip:
    """One letter's way to its host."""

    __slots__ = ("due", "first_of", "host", "letter_id", "was_held_back")

    def __init__(self, letter_id: int, host: _Host, due: float, first_of: Series | None) -> None:
        self.letter_id = letter_id
        self.host = host
        self.due = due
        self.first_of = first_of
        """Set as long as it is its first try, in a series."""
        self.was_held_back = False

    def __lt__(self, other: Trip) -> bool:
        return (self.due, self.letter_id) < (other.due, other.letter_id)


class _Host:
    __slots__ = ("count", "held_back", "in_turn", "name", "ready", "slots", "under_way")

    def __init__(self, name: str, slots: int) -> None:
        self.name = name
        self.ready: deque[Trip] = deque()
        self.count = 0
        self.slots = slots
        self.under_way = 0
        self.held_back = False
        """It failed, or was slow, the last time."""
        self.in_turn = False


class Rounds:
    """What waits, and what may begin."""

    def __init__(self, parallel: int, per_host: int) -> None:
        self._room = {False: max(1, parallel - parallel // 8), True: max(1, parallel // 2)}
        self._parallel = parallel
        self._per_host = per_host
        self._few = min(FEW, per_host)
        self._hosts: dict[str, _Host] = {}
        self._later: list[Trip] = []
        self._behind: dict[Series, list[Trip]] = {}
        """First tries that wait for the one before them in their series."""
        self._turns: dict[bool, deque[_Host]] = {False: deque(), True: deque()}
        self._under_way = {False: 0, True: 0}
        self.count = 0
        """Letters that wait, are under way, or are being settled."""

    @property
    def has_room(self) -> bool:
        """Whether more letters can be taken."""
        return self.count < MOST

    def take(self, letter_id: int, host_name: str, due: float, first_of: Series | None) -> bool:
        """Let a letter wait; False when too many do for its host. Letters are taken in the order
        of their ids. `first_of` is the series of one that was not sent yet."""
        host = self._hosts.setdefault(host_name, _Host(host_name, self._few))
        if host.count >= MOST_PER_HOST:
            return False
        host.count += 1
        self.count += 1
        trip = Trip(letter_id, host, due, first_of)
        if first_of is not None and first_of in self._behind:
            self._behind[first_of].append(trip)
            return True
        if first_of is not None:
            self._behind[first_of] = []
        heapq.heappush(self._later, trip)
        return True

    def begin(self, now: float) -> Iterator[Trip]:
        """What is to be sent now; each comes back through `arrived` and `end`, or `put_off`."""
        while self._later and self._later[0].due <= now:
            trip = heapq.heappop(self._later)
            trip.host.ready.append(trip)
            self._line_up(trip.host)
        for held_back in (False, True):
            turns = self._turns[held_back]
            while turns and self._is_room(held_back):
                host = turns.popleft()
                host.in_turn = False
                if host.under_way >= host.slots:
                    continue  # it has lost some of them meanwhile
                trip = host.ready.popleft()
                trip.was_held_back = held_back
                host.under_way += 1
                self._under_way[held_back] += 1
                self._line_up(host)
                yield trip

    def _is_room(self, held_back: bool) -> bool:
        under_way = sum(self._under_way.values())
        return under_way < self._parallel and self._under_way[held_back] < self._room[held_back]

    def _line_up(self, host: _Host) -> None:
        if host.ready and not host.in_turn and host.under_way < host.slots:
            host.in_turn = True
            self._turns[host.held_back].append(host)

    def arrived(self, trip: Trip, pace: Pace | None) -> None:
        """A try has ended; None when there was none. What waits for the host, or for this letter,
        goes on. The letter itself counts until `end`."""
        if pace is not None:
            self._learn(trip.host, pace)
        if trip.first_of is not None:
            self._next_of(trip.first_of)
            trip.first_of = None
        self._free(trip)

    def _learn(self, host: _Host, pace: Pace) -> None:
        held_back = pace is not Pace.QUICK
        if host.in_turn and host.held_back is not held_back:
            self._turns[host.held_back].remove(host)
            host.in_turn = False
        host.held_back = held_back
        if pace is Pace.FAILED:
            host.slots = 1
        elif pace is Pace.SLOW:
            host.slots = self._few
        else:
            host.slots = max(self._few, min(host.slots + 1, self._per_host))

    def end(self, trip: Trip, again_at: float | None = None) -> None:
        """What became of a letter is durable; `again_at` is when its next try is due, None when
        there is none."""
        if again_at is not None:
            trip.due = again_at
            heapq.heappush(self._later, trip)
            return
        host = trip.host
        host.count -= 1
        self.count -= 1
        if not host.count:
            del self._hosts[host.name]

    def put_off(self, trip: Trip, due: float) -> None:
        """It was not tried, and is due then; what stands behind it goes on waiting."""
        trip.due = due
        heapq.heappush(self._later, trip)
        self._free(trip)

    def _free(self, trip: Trip) -> None:
        trip.host.under_way -= 1
        self._under_way[trip.was_held_back] -= 1
        self._line_up(trip.host)

    def _next_of(self, series: Series) -> None:
        behind = self._behind[series]
        if behind:
            heapq.heappush(self._later, behind.pop(0))
        else:
            del self._behind[series]

    def next_in(self, now: float) -> float:
        """Seconds until the next letter is due; infinite when none is."""
        if not self._later:
            return math.inf
        return max(0.0, self._later[0].due - now)
