"""Who fails to sign in, counted by address, so that nobody can try keys and tokens without end.

Whoever has a good token is never stopped: tokens are checked first, which is cheap. What is stopped
are further failures, and the dearer check of assertions.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from tillwire.core.ports import Clock
from tillwire.net.asgi import HttpError, Scope

MOST: Final = 10_000
"""Addresses that are remembered."""
_WINDOW: Final = 60.0
"""Seconds."""


class Strangers:
    """Failures of the last minute."""

    def __init__(self, clock: Clock, per_minute: int) -> None:
        """`per_minute` failures are answered as what they are."""
        self._clock = clock
        self._per_minute = per_minute
        self._failures: dict[str, tuple[float, int]] = {}

    def check(self, scope: Scope) -> None:
        """Raise `HttpError` (429) when this address has failed too often."""
        begun, count = self._failures.get(_address(scope), (0.0, 0))
        left = begun + _WINDOW - self._clock.monotonic()
        if count >= self._per_minute and left > 0:
            raise HttpError(
                HTTPStatus.TOO_MANY_REQUESTS,
                "Too many failed sign-ins from this address.",
                [(b"retry-after", b"%d" % (int(left) + 1))],
            )

    def failed(self, scope: Scope) -> None:
        """Count one failure."""
        address, now = _address(scope), self._clock.monotonic()
        begun, count = self._failures.pop(address, (now, 0))
        if now - begun >= _WINDOW:
            begun, count = now, 0
        if len(self._failures) >= MOST:
            del self._failures[next(iter(self._failures))]
        self._failures[address] = begun, count + 1


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""
