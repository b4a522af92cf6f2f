"""Picking: a few records of a large CSV file, by their numbers, without parsing the others.

Where each record is one line, its number is its line's. Whether it is so is known by counting: a
break within quotes makes more lines than records, and nothing makes fewer.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

FEW: Final = 100_000
"""Records that are picked; of more, the file is read again as a whole."""
_BLOCK: Final = 1 << 16
"""Octets that are looked at together."""


def pick(file: Path, into: Path, numbers: Sequence[int], *, records: int, header: bool) -> bool:
    """Write those of the file's records that have these numbers, from 0 and ascending, into another
    one, behind its headings; False when its lines are not its records."""
    wanted = [number + header for number in numbers]
    if header:
        wanted.insert(0, 0)
    place = lines = 0
    tail = b""
    with file.open("rb", buffering=0) as source, into.open("wb") as out:
        while block := source.read(_BLOCK):
            if b"\r" in block:
                block += source.read(1) if block.endswith(b"\r") else b""
                if block.count(b"\r") != block.count(b"\r\n"):
                    return False
            count = block.count(b"\n")
            if place < len(wanted) and wanted[place] < lines + count:
                split = (tail + block).split(b"\n")
                while place < len(wanted) and wanted[place] < lines + count:
                    out.write(split[wanted[place] - lines] + b"\n")
                    place += 1
            end = block.rfind(b"\n")
            tail = block[end + 1 :] if end >= 0 else tail + block
            lines += count
        if tail:  # the last line needs no break
            if place < len(wanted) and wanted[place] == lines:
                out.write(tail + b"\n")
            lines += 1
    return lines == records + header
