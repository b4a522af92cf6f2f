"""What the log is told of requests that a lane refuses: so many a minute, and how many more.

Whoever reaches a lane can be refused as often as he likes; the log's disk must not be his, too.
"""

from __future__ import annotations

from typing import Final

import structlog

from tillwire.core.ports import Clock

LOGGED_A_MINUTE: Final = 60
_MINUTE: Final = 60.0


class Refusals:
    """The refusals of one lane."""

    def __init__(self, clock: Clock, terminal: str) -> None:
        self._clock = clock
        self._terminal = terminal
        self._begun = clock.monotonic()
        self._count = 0

    def note(self, peer: str, code: str, reason: str) -> None:
        """Log one, unless there were too many in this minute; then it is counted."""
        log = structlog.get_logger().bind(terminal=self._terminal)
        now = self._clock.monotonic()
        if now - self._begun >= _MINUTE:
            if (unsaid := self._count - LOGGED_A_MINUTE) > 0:
                log.warning("more ECR17 requests were refused", count=unsaid)
            self._begun, self._count = now, 0
        self._count += 1
        if self._count <= LOGGED_A_MINUTE:
            log.info("an ECR17 request was refused", peer=peer, code=code, reason=reason)
