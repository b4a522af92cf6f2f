"""SmartConnect's moments: 18 digits in UTC for what the cloud did (`yyyyMMddHHmmss` and four of the
second's fraction), 14 digits in the terminal's local time for what the terminal did.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

_FORM: Final = "%Y%m%d%H%M%S"
_LONG: Final = re.compile(r"([0-9]{14})([0-9]{4})")
_SHORT: Final = re.compile(r"[0-9]{14}")


def long(instant: int) -> str:
    """The 18 digits of a moment, ms since 1970."""
    whole = datetime.fromtimestamp(instant // 1000, UTC)
    return f"{whole:{_FORM}}{instant % 1000:03d}0"


def read_long(text: str) -> int | None:
    """The moment of 18 digits, ms since 1970; None if they are none."""
    found = _LONG.fullmatch(text)
    if found is None:
        return None
    try:
        whole = datetime.strptime(found[1], _FORM).replace(tzinfo=UTC)
    except ValueError:
        return None
    return int(whole.timestamp()) * 1000 + int(found[2]) // 10


def short(instant: int, time_zone: str) -> str:
    """The 14 digits of a moment in an IANA time zone."""
    return f"{datetime.fromtimestamp(instant // 1000, ZoneInfo(time_zone)):{_FORM}}"


def read_short(text: str, time_zone: str) -> int | None:
    """The moment of 14 digits in an IANA time zone, the earlier one in the hour that comes twice;
    None if they are none."""
    if not _SHORT.fullmatch(text):
        return None
    try:
        local = datetime.strptime(text, _FORM).replace(tzinfo=ZoneInfo(time_zone))
        return int(local.timestamp()) * 1000
    except (ValueError, OverflowError):
        return None
