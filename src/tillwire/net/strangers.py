"""Who tries and fails, counted by address, and by what is tried where that is known, so that nobody
can try secrets without end.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from tillwire.core.ports import Clock
from tillwire.net.asgi import HttpError, Scope

MOST: Final = 10_000
"""Addresses, each with what was tried from there, that are remembered."""
_WINDOW: Final = 60.0
"""Seconds."""


class Strangers:
    """Failures of the last minute."""

    def __init__(self, clock: Clock, per_minute: int, what: str = "failed sign-ins") -> None:
        """`per_minute` failures are answered as what they are; `what` they are, for people."""
        self._clock = clock
        self._per_minute = per_minute
        self._what = what
        self._failures: dict[tuple[str, str], tuple[float, int]] = {}

    def check(self, scope: Scope, tried: str = "") -> None:
        """Raise `HttpError` (429) when this address has failed too often at what is `tried`: one
        that many share, as behind a balancer, is then no one's to use up for the others."""
        begun, count = self._failures.get((address_of(scope), tried), (0.0, 0))
        left = begun + _WINDOW - self._clock.monotonic()
        if count >= self._per_minute and left > 0:
            raise HttpError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"Too many {self._what} from this address.",
                [(b"retry-after", b"%d" % (int(left) + 1))],
            )

    def failed(self, scope: Scope, tried: str = "") -> None:
        """Count one failure."""
        name, now = (address_of(scope), tried), self._clock.monotonic()
        begun, count = self._failures.pop(name, (now, 0))
        if now - begun >= _WINDOW:
            begun, count = now, 0
        if len(self._failures) >= MOST:
            del self._failures[next(iter(self._failures))]
        self._failures[name] = begun, count + 1


def address_of(scope: Scope) -> str:
    """From where a request comes; empty if that is not known."""
    client = scope.get("client")
    return str(client[0]) if client else ""
