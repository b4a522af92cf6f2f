"""What the log is told of requests that a lane refuses, and of answers that are odd: so many a
minute (`net/per_minute.py`), since whoever reaches a lane can be refused as often as he likes.
"""

from __future__ import annotations

from tillwire.core.ports import Clock
from tillwire.dialects.ecr17 import wire
from tillwire.net.per_minute import LimitedLog


class Refusals:
    """Those of one lane."""

    def __init__(self, clock: Clock, terminal: str) -> None:
        self._refused = LimitedLog(clock, "more ECR17 requests were refused", terminal=terminal)
        self._odd = LimitedLog(clock, "more answers of ECR17 tills were odd", terminal=terminal)

    def note(self, peer: str, code: str, reason: str) -> None:
        """Log one, unless there were too many in this minute; then it is counted."""
        self._refused.info("an ECR17 request was refused", peer=peer, code=code, reason=reason)

    def note_odd(self, peer: str, answer: wire.Ack | wire.Nak) -> None:
        """The same of an answer whose check character is wrong. It counts all the same."""
        right = (wire.ACK if isinstance(answer, wire.Ack) else wire.NAK)[-1]
        self._odd.info(
            "an ECR17 till's answer is odd",
            peer=peer,
            check_character=f"{answer.lrc:02X}",
            expected=f"{right:02X}",
        )
