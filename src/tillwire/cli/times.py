"""Times as people type and read them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

from tillwire.clock import Instant, instant, local, utc
from tillwire.errors import InvalidRequest


def parse_moment(text: str, field: str) -> Instant:
    """The instant that `text` means: RFC 3339 with an offset, or a date, which is its first
    moment in UTC. Raises `InvalidRequest`, naming `field`."""
    allowed = "2026-05-01 (in UTC) or 2026-05-01T08:00:00+02:00"
    try:
        moment = _parsed(text)
        if moment.tzinfo is None:
            raise InvalidRequest(field, f"{text!r} has no offset from UTC", allowed)
        return instant(moment)
    except (ValueError, OverflowError):
        raise InvalidRequest(field, f"{text[:40]!r} is not a time", allowed) from None


def _parsed(text: str) -> datetime:
    if len(text) == len("2026-05-01"):
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    return datetime.fromisoformat(text)


def rfc3339(moment: Instant | None) -> str | None:
    """The instant for programs: UTC with milliseconds."""
    if moment is None:
        return None
    return utc(moment).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def in_zone(moment: Instant, time_zone: str) -> str:
    """The instant for people, in the zone: `2026-05-01 08:00:00.118 CEST`."""
    there = local(moment, time_zone)
    return f"{there:%Y-%m-%d %H:%M:%S}.{there.microsecond // 1000:03d} {there:%Z}"


def in_utc(moment: Instant) -> str:
    """The instant for people, of what belongs to no one place: `2026-05-01 06:00:00.118 UTC`."""
    return in_zone(moment, "UTC")


def clock_time(moment: Instant, time_zone: str) -> str:
    """The time of day in the zone: `08:00:00.118`."""
    there = local(moment, time_zone)
    return f"{there:%H:%M:%S}.{there.microsecond // 1000:03d}"


def duration(milliseconds: int) -> str:
    """How long something took: `+2 ms`, `+4.2 s`, `+3 min 20 s`, `+2 h 5 min`."""
    sign = "-" if milliseconds < 0 else "+"
    size = abs(milliseconds)
    if size < 1000:
        return f"{sign}{size} ms"
    seconds = size // 1000
    if seconds < 60:
        return f"{sign}{seconds}.{size % 1000 // 100} s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{sign}{minutes} min {seconds} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{sign}{hours} h {minutes} min"
    return f"{sign}{hours // 24} d {hours % 24} h"
