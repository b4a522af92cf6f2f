"""What others can cause as often as they like, and is done so often a minute: lines in the log, for
one, whose disk must not be theirs.
"""

from __future__ import annotations

from typing import Any, Final

import structlog

from tillwire.core.ports import Clock

LOGGED_A_MINUTE: Final = 60
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


class LimitedLog:
    """The log, for so many lines a minute; then it says how many more there were."""

    def __init__(
        self, clock: Clock, more: str, *, a_minute: int = LOGGED_A_MINUTE, **bound: Any
    ) -> None:
        """`more` is the event that tells a `count` of them, `bound` what each line has."""
        self._lines = PerMinute(clock, a_minute)
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
