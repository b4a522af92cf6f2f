"""Wall clock, monotonic time, ids.

Wall time is an `Instant`: whole milliseconds since 1970-01-01T00:00Z. Timers use the event loop's
monotonic time. Everything random or timed is asked of a `Clock`, so that a test can replay it.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NewType
from zoneinfo import ZoneInfo

Instant = NewType("Instant", int)
"""Milliseconds since the Unix epoch, UTC."""

_RANDOM_DIGITS = 18
_STEP_DIGITS = 9
_LAST = 9_999_999_999_999
"""The last millisecond of which there are ids, in the year 2286."""


class TransactionIds:
    """Ids that grow: 31 decimal digits, 13 of the millisecond and 18 random ones, which reads as
    an id of the MerchantAPI (source 004) does. Within one process each is greater than the one
    before, also in the same millisecond and when the wall clock steps back, so that a queue in
    the order of ids is a queue in the order of arrival."""

    def __init__(self, random_digits: Callable[[int], str]) -> None:
        self._random_digits = random_digits
        self._last = 0

    def next(self, now: Instant) -> str:
        """The next id, as of `now`."""
        fresh = now * 10**_RANDOM_DIGITS + int(self._random_digits(_RANDOM_DIGITS))
        if fresh <= self._last:
            fresh = self._last + 1 + int(self._random_digits(_STEP_DIGITS))
        self._last = fresh
        return f"{fresh:031d}"


def first_id(moment: Instant) -> str:
    """With what the ids of a moment begin: all of earlier ones are less, as text."""
    return f"{min(max(moment, 0), _LAST):013d}"


class SystemClock:
    """The machine's clock and the operating system's randomness."""

    def __init__(self) -> None:
        self._ids = TransactionIds(self.random_digits)

    def now(self) -> Instant:
        """The wall time."""
        return Instant(time.time_ns() // 1_000_000)

    def monotonic(self) -> float:
        """Seconds on the running event loop's clock, for deadlines."""
        return asyncio.get_running_loop().time()

    def random_digits(self, count: int) -> str:
        """`count` random decimal digits."""
        return str(secrets.randbelow(10**count)).zfill(count)

    def token(self, size: int = 32) -> str:
        """`size` random bytes, URL-safe: a secret that nobody guesses."""
        return secrets.token_urlsafe(size)

    def transaction_id(self) -> str:
        """An id that no transaction has."""
        return self._ids.next(self.now())


def utc(instant: Instant) -> datetime:
    """The instant as an aware datetime in UTC."""
    return datetime.fromtimestamp(instant // 1000, UTC).replace(microsecond=instant % 1000 * 1000)


def local(instant: Instant, time_zone: str) -> datetime:
    """The instant in the zone of the IANA name `time_zone`."""
    return utc(instant).astimezone(ZoneInfo(time_zone))


def instant(moment: datetime) -> Instant:
    """The instant of an aware datetime, cut to milliseconds."""
    assert moment.tzinfo is not None, "a naive datetime has no instant"
    whole = int(moment.replace(microsecond=0).timestamp())
    return Instant(whole * 1000 + moment.microsecond // 1000)
