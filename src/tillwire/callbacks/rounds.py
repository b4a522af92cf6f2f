"""Whose turn it is: letters that wait, in memory, by the hosts that they go to.

Hosts take turns, so that no host's letters delay another's, however many they are: each host has a
few letters under way at most, one that did not answer the last time has one, and all of those
together have half of the room. Touches neither network nor journal, and has no clock.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterator
from typing import Final

from tillwire.clock import Instant
from tillwire.core.letters import Letter

MOST: Final = 100_000
"""Letters in memory; more wait in the journal."""
MOST_PER_HOST: Final = 10_000
"""Letters that wait for one host; more are given up."""

Series = tuple[str, str]
"""Transaction and channel: letters whose first tries go out in their order."""


class Trip:
    """One letter's way to its host."""

    __slots__ = ("due_at", "first_of", "host", "letter_id", "was_failing")

    def __init__(
        self, letter_id: int, host: _Host, due_at: Instant, first_of: Series | None
    ) -> None:
        self.letter_id = letter_id
        self.host = host
        self.due_at = due_at
        self.first_of = first_of
        """Set as long as it is its first try, in a series."""
        self.was_failing = False

    def __lt__(self, other: Trip) -> bool:
        return (self.due_at, self.letter_id) < (other.due_at, other.letter_id)


class _Host:
    __slots__ = ("count", "failing", "in_turn", "name", "ready", "under_way")

    def __init__(self, name: str) -> None:
        self.name = name
        self.ready: deque[Trip] = deque()
        self.count = 0
        self.under_way = 0
        self.failing = False
        self.in_turn = False


class Rounds:
    """What waits, and what may begin."""

    def __init__(self, parallel: int, per_host: int) -> None:
        self._room = {False: parallel, True: max(1, parallel // 2)}
        self._parallel = parallel
        self._per_host = per_host
        self._hosts: dict[str, _Host] = {}
        self._later: list[Trip] = []
        self._behind: dict[Series, deque[Trip]] = {}
        """First tries that wait for the one before them in their series."""
        self._turns: dict[bool, deque[_Host]] = {False: deque(), True: deque()}
        self._under_way = {False: 0, True: 0}
        self.count = 0
        """Letters that wait or are under way."""

    @property
    def has_room(self) -> bool:
        """Whether more letters can be taken."""
        return self.count < MOST

    def take(self, letter: Letter, host_name: str) -> bool:
        """Let a letter wait; False when too many do for its host. Letters are taken in the order
        of their ids."""
        host = self._hosts.setdefault(host_name, _Host(host_name))
        if host.count >= MOST_PER_HOST:
            return False
        host.count += 1
        self.count += 1
        series = None
        if letter.tries == 0 and letter.transaction_id is not None:
            series = (letter.transaction_id, letter.channel)
        # What is due when it was written is due, also when the clock was set back since.
        due_at = Instant(0) if letter.due_at <= letter.created_at else letter.due_at
        trip = Trip(letter.id, host, due_at, series)
        if series is not None and series in self._behind:
            self._behind[series].append(trip)
            return True
        if series is not None:
            self._behind[series] = deque()
        heapq.heappush(self._later, trip)
        return True

    def begin(self, now: Instant) -> Iterator[Trip]:
        """What is to be sent now; each comes back through `end`."""
        while self._later and self._later[0].due_at <= now:
            trip = heapq.heappop(self._later)
            trip.host.ready.append(trip)
            self._line_up(trip.host)
        for failing in (False, True):
            turns = self._turns[failing]
            while turns and self._is_room(failing):
                host = turns.popleft()
                host.in_turn = False
                trip = host.ready.popleft()
                trip.was_failing = failing
                host.under_way += 1
                self._under_way[failing] += 1
                self._line_up(host)
                yield trip

    def _is_room(self, failing: bool) -> bool:
        under_way = sum(self._under_way.values())
        return under_way < self._parallel and self._under_way[failing] < self._room[failing]

    def _line_up(self, host: _Host) -> None:
        slots = 1 if host.failing else self._per_host
        if host.ready and not host.in_turn and host.under_way < slots:
            host.in_turn = True
            self._turns[host.failing].append(host)

    def end(self, trip: Trip, again_at: Instant | None = None, *, failing: bool = False) -> None:
        """A try has ended, well or `failing`; `again_at` is when the next one is due, None when
        there is none."""
        host = trip.host
        if host.in_turn and host.failing is not failing:
            self._turns[host.failing].remove(host)
            host.in_turn = False
        host.failing = failing
        if trip.first_of is not None:
            self._next_of(trip.first_of)
            trip.first_of = None
        if again_at is None:
            host.count -= 1
            self.count -= 1
            self._free(trip)
        else:
            self.put_off(trip, again_at)
        if not host.count:
            del self._hosts[host.name]

    def put_off(self, trip: Trip, due_at: Instant) -> None:
        """It was not tried, and is due then; what stands behind it goes on waiting."""
        trip.due_at = due_at
        heapq.heappush(self._later, trip)
        self._free(trip)

    def _free(self, trip: Trip) -> None:
        trip.host.under_way -= 1
        self._under_way[trip.was_failing] -= 1
        self._line_up(trip.host)

    def _next_of(self, series: Series) -> None:
        behind = self._behind[series]
        if behind:
            heapq.heappush(self._later, behind.popleft())
        else:
            del self._behind[series]

    def next_in(self, now: Instant) -> float:
        """Seconds until the next letter is due; infinite when none is."""
        if not self._later:
            return math.inf
        return max(0.0, (self._later[0].due_at - now) / 1000)
