"""What a field can hold: how each kind of value is read from its characters, and written.

N is digits, right-aligned and filled with zeros; A and AN are left-aligned and filled with blanks,
unless something else is said. What stands for "nothing" is read as an empty text or as None, and
written from it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

import msgspec

from tillwire import pan
from tillwire.dialects.ecr17.wire.problems import Unfit
from tillwire.dialects.ecr17.wire.texts import asked, printable, told
from tillwire.dialects.ecr17.wire.values import HostTime

_RATE_DECIMALS: Final = 4
_DAYS: Final = 366


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of field."""

    reads: Callable[[str], Any]
    """The value of a field's characters. Raises `ValueError` for those that have none."""
    writes: Callable[[Any, int], str]
    """The characters of a value, in this many places. Raises `Unfit`."""
    unknown: Any = None
    """The value where there is nothing to read."""
    reserved: bool = False
    """Whether it is only written, and ignored when it is read."""
    cut: bool = False
    """Whether the beginning of it is worth something when the rest is missing."""
    needed: bool = False
    """Whether a message without it cannot be read, whatever else is tolerated."""


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _digits(text: str) -> str:
    if not _is_number(text):
        raise ValueError
    return text


def _write_digits(value: str, places: int) -> str:
    if len(value) != places or not _is_number(value):
        raise Unfit("it is not a number of the right length", f"{places} digits")
    return value


def _digits_or_nothing(text: str) -> str:
    return _digits(text) if text.strip("0") else ""


def _write_digits_or_nothing(value: str, places: int) -> str:
    return _write_digits(value, places) if value else "0" * places


def _number(text: str) -> int:
    return int(_digits(text))


def _write_number(value: int | None, places: int) -> str:
    if value is None:
        raise Unfit("it is missing", "a whole number")
    written = str(value)
    if len(written) > places or not _is_number(written):
        raise Unfit(f"{value} does not fit", f"0 to {'9' * places}")
    return written.zfill(places)


def _flag(text: str) -> bool:
    return ("0", "1").index(text) == 1


def _write_flag(value: bool | None, places: int) -> str:
    return ("1" if value else "0").zfill(places)


def _write_text(value: str, places: int) -> str:
    if len(value) > places:
        raise Unfit("it is too long", f"at most {places} characters")
    if printable(value) != value:
        raise Unfit("it has characters that the protocol does not know", "printable ASCII")
    return value.ljust(places)


def _code(text: str) -> str:
    text = printable(text).strip()
    return text if text.strip("0") else ""


def _write_code(value: str, places: int) -> str:
    return _write_text(value, places) if value else "0" * places


def _write_result(value: str, places: int) -> str:
    if len(value) != places or not value.isalnum():
        raise Unfit("it is no result", "`00`, `01`, `05`, `09`, `91`")
    return value


def _result(text: str) -> str:
    if not (text.isascii() and text.isalnum()):
        raise ValueError
    return text


def _last_four(text: str) -> str:
    if not text.strip("0"):
        return ""
    found = pan.last_four(printable(text))
    return found if len(found) == pan.KEPT else ""


def _write_last_four(value: str, places: int) -> str:
    return _write_digits(value, pan.KEPT).zfill(places) if value else "0" * places


def _host_time(text: str) -> HostTime | None:
    if not _number(text):
        return None
    when = HostTime(int(text[:3]), int(text[3:5]), int(text[5:]))
    if not _is_moment(when):
        raise ValueError
    return when


def _write_host_time(value: HostTime | None, places: int) -> str:
    if value is None:
        return "0" * places
    if not _is_moment(value):
        raise Unfit("there is no such moment", "a day of 1 to 366, and a time of day")
    return f"{value.day:03}{value.hour:02}{value.minute:02}"


def _is_moment(when: HostTime) -> bool:
    return 1 <= when.day <= _DAYS and 0 <= when.hour < 24 and 0 <= when.minute < 60


def _local_time(text: str) -> datetime | None:
    if not _number(text):
        return None
    day, month, year, hour, minute = (int(text[at : at + 2]) for at in range(0, 10, 2))
    return datetime(2000 + year, month, day, hour, minute)  # noqa: DTZ001  the protocol has no zone


def _write_local_time(value: datetime | None, places: int) -> str:
    if value is None:
        return "0" * places
    if not 2000 <= value.year < 2100:
        raise Unfit("the year does not fit", "2000 to 2099")
    return f"{value:%d%m%y%H%M}"


def _rate(text: str) -> Decimal:
    return Decimal(_number(text)).scaleb(-_RATE_DECIMALS)


def _write_rate(value: Decimal | None, places: int) -> str:
    if value is None or not value.is_finite():
        raise Unfit("it is not a rate", "a decimal number")
    if abs(value.adjusted()) > places or value != round(value, _RATE_DECIMALS):
        raise Unfit("it has too many digits", f"{_RATE_DECIMALS} decimals at most")
    return _write_number(int(value.scaleb(_RATE_DECIMALS)), places)


def _zeros(_: Any, places: int) -> str:
    return "0" * places


ZEROS: Final = Kind(reads=str, writes=_zeros, reserved=True)
"""Reserved, written as zeros."""

DIGITS: Final = Kind(reads=_digits, writes=_write_digits, unknown="")
"""N, every digit of which counts."""
DIGITS_OR_NOTHING: Final = Kind(
    reads=_digits_or_nothing, writes=_write_digits_or_nothing, unknown=""
)
"""N, where zeros mean that there is none."""
NUMBER: Final = Kind(reads=_number, writes=_write_number)
"""N to compute with: amounts in cents, counts."""
FLAG: Final = Kind(reads=_flag, writes=_write_flag)
"""`0` or `1`."""
RATE: Final = Kind(reads=_rate, writes=_write_rate)
"""N with four decimals that are not written."""
RESULT: Final = Kind(reads=_result, writes=_write_result, needed=True)
"""How a command ended."""

TEXT: Final = Kind(reads=lambda text: told(text).strip(), writes=_write_text, unknown="", cut=True)
"""A, as a terminal writes it."""
ASKED_TEXT: Final = Kind(reads=lambda text: asked(text).strip(), writes=_write_text, unknown="")
"""A, as a till writes it."""
RIGHT_TEXT: Final = Kind(
    reads=lambda text: asked(text).strip(),
    writes=lambda value, places: _write_text(value, places).rstrip().rjust(places),
    unknown="",
)
"""AN, right-aligned: the text that a till wants on the receipt."""
CODE: Final = Kind(reads=_code, writes=_write_code, unknown="")
"""A, where zeros mean that there is none."""
LAST_FOUR: Final = Kind(reads=_last_four, writes=_write_last_four, unknown="")
"""N, a card number: its last four digits, and zeros before them (law 7). All zeros mean that there
is none."""
HOST_TIME: Final = Kind(reads=_host_time, writes=_write_host_time)
"""`DDDHHMM`, the day counted from 1."""
LOCAL_TIME: Final = Kind(reads=_local_time, writes=_write_local_time)
"""`DDMMYYhhmm` on the terminal's clock."""


def one_of(values: type[StrEnum]) -> Kind:
    """A value of a list."""

    def write(value: str, places: int) -> str:
        try:
            return values(value).value
        except ValueError:
            allowed = ", ".join(f"`{each.value}`" for each in values)
            raise Unfit("it is not in the list", allowed) from None

    return Kind(reads=values, writes=write)
