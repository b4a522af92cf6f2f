"""Picking: a few records of a large CSV file, by their numbers, without parsing the others.

Where each record is one line, its number is its line's. Whether it is so is known by counting: a
break within quotes makes more lines than records, and nothing makes fewer. Lines are counted beside
the database, which reads the file at the same time (`count_lines`); what is wanted of them is known
only when it has compared them.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

FEW: Final = 100_000
"""Records that are picked; of more, the file is read again as a whole."""
_BLOCK: Final = 1 << 16
"""Octets that are looked at together."""
_LONGEST: Final = 64
"""Blocks that a line may reach over."""
LONGEST_LINE: Final = 2 << 20
"""Octets of a line."""


class Lines(NamedTuple):
    """The lines of a file."""

    before: array[int]
    """How many lines end before each of its blocks."""
    total: int | None
    """How many there are, the last of which needs no end; None when they do not all end in a line
    feed."""
    too_long: int | None
    """The number of the first one, from 1, that is longer than any may be. The database does not
    see each of those."""


def count_lines(file: Path) -> Lines | None:
    """The file's lines; None when it cannot be read."""
    before = array("Q")
    lines = quiet = 0
    alike = True
    too_long = None
    last = b""
    try:
        with file.open("rb") as source:
            while block := source.read(_BLOCK):
                alike = alike and _alike(last, block)
                before.append(lines)
                ends = block.count(b"\n")
                quiet = 0 if ends or b"\r" in block else quiet + len(block)
                if quiet > LONGEST_LINE and too_long is None:
                    too_long = lines + 1
                lines += ends
                last = block
    except OSError:
        return None
    whole = lines + (last[-1:] not in (b"", b"\n"))
    return Lines(before, whole if alike and last[-1:] != b"\r" else None, too_long)


def _alike(last: bytes, block: bytes) -> bool:
    """Whether each carriage return stands before a line feed; the block's last octet is looked at
    with the next one."""
    if b"\r" not in block and not last.endswith(b"\r"):
        return True
    whole = last[-1:] + block
    return whole.count(b"\r", 0, len(whole) - 1) == whole.count(b"\r\n")


def pick(
    file: Path,
    into: Path,
    numbers: Sequence[int],
    lines: Lines,
    *,
    records: int,
    header: bool,
    delimiter: str = ",",
) -> bool:
    """Write those of the file's records that have these numbers, from 0 and ascending, into another
    one, each with its number as a first column, behind the file's headings; False when its lines
    are not its records."""
    if lines.total != records + header:
        return False
    wanted = [(number + header, str(number)) for number in numbers]
    if header:
        wanted.insert(0, (0, "n"))
    known, split = -1, [b""]
    with file.open("rb") as source, into.open("wb") as out:
        for number, name in wanted:
            block = max(bisect_left(lines.before, number) - 1, 0)
            if block != known:
                source.seek(block * _BLOCK)
                known, split = block, source.read(_BLOCK).split(b"\n")
            place = number - lines.before[block]
            if place >= len(split):
                return False  # it has changed
            line = split[place]
            if place == len(split) - 1:
                line += _rest(source, block + 1)
            out.write(f"{name}{delimiter}".encode() + line + b"\n")
    return True


def _rest(source: BinaryIO, block: int) -> bytes:
    """What of a line is in this block and those that follow."""
    source.seek(block * _BLOCK)
    found = b""
    for _ in range(_LONGEST):
        more, end, _ = source.read(_BLOCK).partition(b"\n")
        found += more
        if end or not more:
            break
    return found
