"""What is printed can be piped, read without colour, and never steers the terminal."""

from __future__ import annotations

import errno
import io
import re
import sys
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run, Unwritable
from tillwire.cli.output import aligned, clean, complain, say, say_table
from tillwire.cli.times import duration
from tillwire.version import __version__


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Terminal:
    """Make standard output a terminal, 80 columns wide. (Not in a fixture: pytest changes the
    stream between a test's set-up and the test.)"""
    made = Terminal()
    monkeypatch.setattr(sys, "stdout", made)
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"COLUMNS": "80", "TERM": "xterm-256color", **environment}.items():
        monkeypatch.setenv(name, value)
    return made


def test_columns_stand_under_each_other_in_every_script() -> None:
    assert aligned([["A", "B"], ["東京", "x"], ["abc", "y"]]) == ["A     B", "東京  x", "abc   y"]


@pytest.mark.parametrize("text", ["\x1b[2J", "\x07", "a\nb", "\u202e", "\x9b31m", "a\u2028b"])
def test_what_steers_a_terminal_is_replaced(text: str) -> None:
    assert clean(text).isprintable() or "\N{REPLACEMENT CHARACTER}" in clean(text)
    assert not set(clean(text)) & set("\x1b\x07\n\u202e\x9b\u2028")


def test_a_terminal_gets_colour_and_a_drawn_table(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    say_table(["STATE"], [["APPROVED"], ["[red]x"]], empty="")
    assert "\x1b[32mAPPROVED" in terminal.getvalue()
    assert "───" in terminal.getvalue()
    assert "[red]x" in terminal.getvalue()


ID = "1773480000000123456789012345678"
ROWS = [
    [ID, "2026-03-14 10:20:00.905 CET", "TILLWIRE-V1-0001", "UNKNOWN", "sale-9"],
    [ID, "2026-03-14 10:20:00.905 CET", "NEXI-P61B-1", "APPROVED", ""],
]


def lines_of(terminal: Terminal) -> list[str]:
    """What stands there, without colour."""
    return [
        line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue()).split("\n")
    ]


def test_what_is_too_wide_for_a_terminal_stands_on_several_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = on_terminal(monkeypatch)
    say_table(["ID", "ACCEPTED", "TERMINAL", "STATE", "REFERENCE"], ROWS, empty="")
    assert lines_of(terminal) == [
        "ID                               ACCEPTED                     TERMINAL",
        "  STATE     REFERENCE",
        "─" * 80,
        f"{ID}  2026-03-14 10:20:00.905 CET  TILLWIRE-V1-0001",
        "  UNKNOWN   sale-9",
        f"{ID}  2026-03-14 10:20:00.905 CET  NEXI-P61B-1",
        "  APPROVED",
        "",
    ]
    assert "\x1b[32mAPPROVED" in terminal.getvalue()


@pytest.mark.parametrize("columns", ["40", "60", "79", "120", "200"])
def test_a_word_is_whole_at_every_width(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    terminal = on_terminal(monkeypatch, COLUMNS=columns)
    say_table(["ID", "ACCEPTED", "TERMINAL", "STATE", "REFERENCE"], ROWS, empty="")
    lines = lines_of(terminal)
    assert all(len(line) <= int(columns) for line in lines)
    for word in (ID, "10:20:00.905", "TILLWIRE-V1-0001", "UNKNOWN", "APPROVED", "sale-9"):
        assert any(word in line for line in lines)


@pytest.mark.parametrize("columns", ["60", "80", "120"])
def test_prose_is_wrapped_between_its_words(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    terminal = on_terminal(monkeypatch, COLUMNS=columns)
    words = "the terminal has restarted and has lost its memory of all that it did today " * 2
    say_table(["TIME", "STATE", "DETAIL"], [["01:48:27.086", "UNKNOWN", words]], empty="")
    lines = lines_of(terminal)
    assert all(len(line) <= int(columns) for line in lines)
    assert [word for line in lines[3:] for word in line.split()][2:] == words.split()


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch, NO_COLOR="1")
    say_table(["STATE"], [["APPROVED"]], empty="")
    say("Done.", style="green")
    assert "\x1b[3" not in terminal.getvalue()
    assert "APPROVED" in terminal.getvalue()


def test_a_pipe_gets_plain_lines_however_long(capsys: pytest.CaptureFixture[str]) -> None:
    say_table(["NAME"], [["x" * 300]], empty="")
    say("y" * 300)
    complain("z" * 300)
    printed = capsys.readouterr()
    assert printed.out == f"NAME\n{'x' * 300}\n{'y' * 300}\n"
    assert printed.err == f"Error: {'z' * 300}\n"


def test_an_empty_table_leaves_standard_output_empty(capsys: pytest.CaptureFixture[str]) -> None:
    say_table(["NAME"], [], empty="Nothing.")
    assert tuple(capsys.readouterr()) == ("", "Nothing.\n")


def test_a_full_disk_is_told(run: Run, monkeypatch: pytest.MonkeyPatch, journal: Path) -> None:
    monkeypatch.setattr(sys, "stdout", Unwritable(errno.ENOSPC))
    for form in ((), ("--json",)):
        ran = run("terminals", "list", "--journal", journal, *form)
        assert ran.status == 1
        assert ran.err == (
            "Error: The result cannot be written to standard output. No space left on device.\n"
        )


def test_a_reader_that_has_enough_is_no_news(
    run: Run, monkeypatch: pytest.MonkeyPatch, journal: Path
) -> None:
    monkeypatch.setattr(sys, "stdout", Unwritable(errno.EPIPE))
    ran = run("terminals", "list", "--journal", journal)
    assert (ran.status, ran.err) == (1, "")


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [
        (0, "+0 ms"),
        (999, "+999 ms"),
        (1000, "+1.0 s"),
        (59_999, "+59.9 s"),
        (200_000, "+3 min 20 s"),
        (7_500_000, "+2 h 5 min"),
        (180_000_000, "+2 d 2 h"),
        (-5, "-5 ms"),
    ],
)
def test_durations_are_read_at_a_glance(milliseconds: int, words: str) -> None:
    assert duration(milliseconds) == words


def test_the_version_is_told(run: Run) -> None:
    assert run("--version").out == f"{__version__}\n"


def test_help_is_wrapped_as_wide_as_the_terminal_is(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = [line.strip() for line in run("transactions", "decide", "--help").out.splitlines()]
    assert "writes down what has happened. The gateway may run meanwhile." in lines
    assert "\n 41             declined: insufficient funds (51)" in run("sandbox", "--help").out


def test_an_unknown_option_is_status_2(run: Run) -> None:
    assert run("keys", "list", "--jsn").status == 2
