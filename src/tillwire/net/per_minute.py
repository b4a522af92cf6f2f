"""What others can cause as often as they like, and is done so often a minute: lines in the log, for
one, whose disk must not be theirs.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

import structlog

from tillwire.core.ports import Clock

LOGGED_A_MINUTE: Final = 60
NAMES: Final = 10_000
"""Names that are remembered."""
_MINUTE: Final = 60.0


class PerMinute:
    """Counts the present minute."""

    def __init__(self, clock: Clock, most: int) -> None:
        """`most` a minute are within the limit."""
        self._clock = clock
        self._most = most
        self._begun = clock.monotonic()
        self._count = 0

    def one_more(self) -> tuple[bool, int]:
        """Whether it is within the limit, and how many were not in the minute that is over by
        now."""
        now, beyond = self._clock.monotonic(), 0
        if now - self._begun >= _MINUTE:
            beyond = max(0, self._count - self._most)
            self._begun, self._count = now, 0
        self._count += 1
        return self._count <= self._most, beyond


class EachPerMinute:
    """Counts of each name, in a minute that begins with its first one."""

    def __init__(self, clock: Clock, most: int) -> None:
        """`most` a minute of one name are within the limit. Of the names, those that came last
        are remembered."""
        self._clock = clock
        self._most = most
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def is_one_too_many(self, name: str) -> bool:
        """Count one more of this name; whether it is beyond the limit."""
        now = self._clock.monotonic()
        begun, count = self._counts.pop(name, (now, 0))
        if now - begun > _MINUTE:
            begun, count = now, 0
        self._counts[name] = begun, count + 1
        if len(self._counts) > NAMES:
            self._counts.popitem(last=False)
        return count >= self._most


class LimitedLog:
    """The log, for so many lines a minute; then it says how many more there were."""

    def __init__(
        self, clock: Clock, more: str, *, a_minute: int | None = None, **bound: Any
    ) -> None:
        """`more` is the event that tells a `count` of them, `a_minute` how many lines are written
        (as a rule `LOGGED_A_MINUTE`), `bound` what each line has."""
        self._lines = PerMinute(clock, a_minute or LOGGED_A_MINUTE)
        self._more = more
        self._bound = bound

    def info(self, event: str, **said: Any) -> None:
        """Log it as information."""
        if self._is_told():
            structlog.get_logger().info(event, **self._bound, **said)

    def warning(self, event: str, **said: Any) -> None:
        """Log it as a warning."""
        if self._is_told():
            structlog.get_logger().warning(event, **self._bound, **said)

    def _is_told(self) -> bool:
        is_told, unsaid = self._lines.one_more()
        if unsaid:
            structlog.get_logger().warning(self._more, **self._bound, count=unsaid)
        return is_told
