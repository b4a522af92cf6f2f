"""What people and programs see of the command line.

Results go to standard output, remarks and progress to standard error, so that a result can be
piped. On a terminal tables are drawn; piped, they are plain aligned text. `NO_COLOR` is respected,
and nothing that a till sent can steer the terminal.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Sequence

import msgspec
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

_STATE_STYLES = {
    "APPROVED": "green",
    "ACTIVATED": "green",
    "valid": "green",
    "DECLINED": "red",
    "FAILED": "red",
    "UNKNOWN": "bold yellow",
    "REMOVED": "dim",
    "+": "green",
    "~": "yellow",
    "-": "red",
}
"""Colour repeats what the word says, and is never the only sign."""


_STEERING = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
"""Categories of Unicode that show nothing of their own, and may move what does."""


def clean(text: str) -> str:
    """The text without characters that could steer a terminal."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(character) in _STEERING else character
        for character in text
    )


def say(text: str = "", style: str = "") -> None:
    """A line of the result."""
    _write(sys.stdout, Text(clean(text), style=style))


def say_lines(text: str) -> None:
    """Several lines of the result, such as a receipt."""
    for line in text.splitlines():
        say(line)


def remark(text: str, style: str = "") -> None:
    """A line about the result, which is not part of it."""
    _write(sys.stderr, Text(clean(text), style=style))


def complain(text: str) -> None:
    """The sentence that says why it failed."""
    _write(sys.stderr, Text.assemble(("Error:", "bold red"), " ", clean(text)))


def say_json(document: object) -> None:
    """The whole result, for programs: one JSON document."""
    encoded = msgspec.json.Encoder(decimal_format="number").encode(document)
    sys.stdout.write(msgspec.json.format(encoded, indent=2).decode() + "\n")


def say_table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> None:
    """A table of the result; without rows only the remark `empty`."""
    if not rows:
        remark(empty)
        return
    cleaned = [[clean(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _console(sys.stdout).print(_drawn(headers, cleaned))
    else:
        for line in aligned([headers, *cleaned]):
            sys.stdout.write(line + "\n")


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines whose columns stand under each other."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def styled(word: str) -> Text:
    """The word in the colour that goes with it."""
    return Text(word, style=_STATE_STYLES.get(word, ""))


def say_styled(*parts: str) -> None:
    """A line of the result in which words have the colour that goes with them."""
    _write(sys.stdout, Text(" ").join(styled(clean(part)) for part in parts))


def _drawn(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for header in headers:
        table.add_column(header, overflow="fold")
    for row in rows:
        table.add_row(*map(styled, row))
    return table


def _console(stream: object) -> Console:
    return Console(file=stream, highlight=False, markup=False, emoji=False)  # type: ignore[arg-type]


def _write(stream: object, line: Text) -> None:
    # Never wrapped: whoever reads by line, or copies an id, gets what was said.
    _console(stream).print(line, soft_wrap=True)
