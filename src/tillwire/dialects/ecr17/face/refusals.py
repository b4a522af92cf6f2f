"""What the log is told of requests that a lane refuses, and of answers that are odd: so many a
minute, and how many more.

Whoever reaches a lane can be refused as often as he likes; the log's disk must not be his, too.
"""

from __future__ import annotations

from typing import Final

import structlog

from tillwire.core.ports import Clock
from tillwire.dialects.ecr17 import wire

LOGGED_A_MINUTE: Final = 60
_MINUTE: Final = 60.0


class Refusals:
    """Those of one lane."""

    def __init__(self, clock: Clock, terminal: str) -> None:
        self._terminal = terminal
        self._refused = _Count(clock)
        self._odd = _Count(clock)

    def note(self, peer: str, code: str, reason: str) -> None:
        """Log one, unless there were too many in this minute; then it is counted."""
        log = structlog.get_logger().bind(terminal=self._terminal)
        is_told, unsaid = self._refused.one_more()
        if unsaid:
            log.warning("more ECR17 requests were refused", count=unsaid)
        if is_told:
            log.info("an ECR17 request was refused", peer=peer, code=code, reason=reason)

    def note_odd(self, peer: str, answer: wire.Ack | wire.Nak) -> None:
        """The same of an answer whose check character is wrong. It counts all the same."""
        log = structlog.get_logger().bind(terminal=self._terminal)
        is_told, unsaid = self._odd.one_more()
        if unsaid:
            log.warning("more answers of ECR17 tills were odd", count=unsaid)
        if is_told:
            right = (wire.ACK if isinstance(answer, wire.Ack) else wire.NAK)[-1]
            log.info(
                "an ECR17 till's answer is odd",
                peer=peer,
                check_character=f"{answer.lrc:02X}",
                expected=f"{right:02X}",
            )


class _Count:
    """Of the present minute."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._begun = clock.monotonic()
        self._count = 0

    def one_more(self) -> tuple[bool, int]:
        """Whether it is to be told, and how many were not in the minute that is over by now."""
        now, unsaid = self._clock.monotonic(), 0
        if now - self._begun >= _MINUTE:
            unsaid = max(0, self._count - LOGGED_A_MINUTE)
            self._begun, self._count = now, 0
        self._count += 1
        return self._count <= LOGGED_A_MINUTE, unsaid
