"""What people and programs see of the command line.

Results go to standard output, remarks and progress to standard error, so that a result can be
piped. On a terminal tables are drawn; piped, they are plain aligned text. `NO_COLOR` is respected,
and nothing that a till sent can steer the terminal. A result that cannot be written is an error of
its own; a remark that cannot be is let go, for nothing may end because nobody listens.
"""

from __future__ import annotations

import errno
import io
import os
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TextIO

import msgspec
from rich import box
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from tillwire.errors import TillwireError

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

_NARROWEST = 20
"""Columns of a terminal in which prose can still be read."""

_STEERING = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
"""Categories of Unicode that show nothing of their own, and may move what does."""


class OutputError(TillwireError):
    """The result cannot be written to standard output."""


class ReaderGone(OutputError):
    """Whoever read the result has stopped reading."""


def clean(text: str) -> str:
    """The text without characters that could steer a terminal."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(character) in _STEERING else character
        for character in text
    )


def say(text: str = "", style: str = "") -> None:
    """A line of the result."""
    _say(Text(clean(text), style=style))


def say_lines(text: str) -> None:
    """Several lines of the result, such as a receipt."""
    for line in text.splitlines():
        say(line)


def remark(text: str, style: str = "") -> None:
    """A line about the result, which is not part of it."""
    _tell(Text(clean(text), style=style))


def complain(text: str) -> None:
    """The sentence that says why it failed."""
    _tell(Text.assemble(("Error:", "bold red"), " ", clean(text)))


def say_json(document: object) -> None:
    """The whole result, for programs: one JSON document."""
    encoded = msgspec.json.Encoder(decimal_format="number").encode(document)
    with result() as out:
        out.write(msgspec.json.format(encoded, indent=2).decode() + "\n")


def say_table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> None:
    """A table of the result; without rows only the remark `empty`."""
    if not rows:
        remark(empty)
        return
    cleaned = [[clean(cell) for cell in row] for row in rows]
    with result() as out:
        if out.isatty():
            _draw(_console(out), [list(headers), *cleaned])
        else:
            out.writelines(line + "\n" for line in aligned([headers, *cleaned]))


@contextmanager
def result() -> Iterator[TextIO]:
    """Standard output, to write a part of the result to. Raises `OutputError` when it takes no
    more."""
    out = sys.stdout
    try:
        yield out
        out.flush()
    except OSError as error:
        _let_go(out)
        kind = ReaderGone if isinstance(error, BrokenPipeError) else OutputError
        raise kind(f"{error.strerror or error}.") from error


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
    _say(Text(" ").join(styled(clean(part)) for part in parts))


def _draw(console: Console, rows: Sequence[Sequence[str]]) -> None:
    """Headers and rows as a table, in which one column of prose may be wrapped between its words.
    Where even so it is too wide, each row stands on several lines, and no name is torn."""
    columns = list(zip(*rows, strict=True))
    widths = [max(map(cell_len, column)) for column in columns]
    widest = widths.index(max(widths))
    longest_word = max(cell_len(word) for cell in columns[widest] for word in cell.split() or [""])
    edges = 3 * (len(widths) - 1) + 2
    left = console.width - edges - (sum(widths) - widths[widest])
    if left < min(widths[widest], max(longest_word, _NARROWEST)):
        for line in _stacked(rows, widths, console.width):
            console.print(line)
        return
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for at, header in enumerate(rows[0]):
        table.add_column(header, overflow="fold", no_wrap=at != widest)
    for row in rows[1:]:
        table.add_row(*map(styled, row))
    console.print(table)


def _stacked(
    rows: Sequence[Sequence[str]], widths: Sequence[int], limit: int
) -> Iterator[RenderableType]:
    """Each row on as many lines as its columns need, all but the first one indented."""
    shares: list[list[int]] = [[]]
    taken = 0
    for column, width in enumerate(widths):
        if shares[-1] and taken + width > limit:
            shares.append([])
            taken = 2
        shares[-1].append(column)
        taken += width + 2
    for number, row in enumerate(rows):
        for share in shares:
            line = Text(overflow="fold")
            for column in share:
                line.append_text(styled(row[column]))
                line.append(" " * (widths[column] - cell_len(row[column]) + 2))
            line.rstrip()
            if number == 0:
                line.stylize("bold")
            if line:
                yield line if share is shares[0] else Padding(line, (0, 0, 0, 2), expand=False)
        if number == 0:
            yield Rule(characters="─", style="none")


def mend_streams() -> None:
    """See to it that all can be written: streams that whoever started us has closed lead nowhere;
    files and programs get UTF-8, whatever the locale is; a terminal, all that it can show."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))
        elif isinstance(stream, io.TextIOWrapper):
            encoding = stream.encoding if stream.isatty() else "utf-8"
            stream.reconfigure(encoding=encoding, errors="backslashreplace")


class _Console(Console):
    def on_broken_pipe(self) -> None:
        # Rich would end the process here.
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def _console(stream: TextIO) -> Console:
    return _Console(file=stream, highlight=False, markup=False, emoji=False)


def _say(line: Text) -> None:
    with result() as out:
        _write(out, line)


def _tell(line: Text) -> None:
    try:
        _write(sys.stderr, line)
    except OSError:
        _let_go(sys.stderr)


def _write(stream: TextIO, line: Text) -> None:
    # Never wrapped: whoever reads by line, or copies an id, gets what was said.
    _console(stream).print(line, soft_wrap=True)


def _let_go(stream: TextIO) -> None:
    """Have what still waits to be written, and all that comes, go nowhere: else it fails once more
    when the process ends, and the exit status with it."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)
