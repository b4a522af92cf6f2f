"""A shell in which a page's commands are typed, one after the other, as a reader would."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_LONGEST: Final = 90.0
"""Seconds for the commands of one block."""


class Shell:
    """A bash that remembers variables from block to block."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def end(self) -> None:
        """End it, with whatever it still runs."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def type(self, commands: str) -> str:
        """Type the commands, and wait; what they printed, errors included."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        end = f"end of block {secrets.token_hex(8)}"
        # In braces, so that no command reads the next ones from the shell's own input.
        self._process.stdin.write(f"{{\n{commands}\n}} </dev/null\nprintf '\\n%s\\n' '{end}'\n")
        self._process.stdin.flush()
        timer = threading.Timer(_LONGEST, self.end)
        timer.start()
        try:
            lines: list[str] = []
            for line in self._process.stdout:
                if line.rstrip("\n") == end:
                    return "".join(lines).removesuffix("\n")
                lines.append(line)
        finally:
            timer.cancel()
        raise AssertionError(f"The shell ended in {commands!r}, having said: {''.join(lines)}")


@contextlib.contextmanager
def shell(folder: Path) -> Iterator[Shell]:
    """A shell in `folder`, which knows nothing of this process's settings of tillwire."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("TILLWIRE_")
    }
    with subprocess.Popen(
        ["bash", "--noprofile", "--norc"],
        cwd=folder,
        # Narrow enough for any reader, wide enough that tables are not folded.
        env={**environment, "COLUMNS": "200", "LC_ALL": "C.UTF-8", "NO_COLOR": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    ) as process:
        typed = Shell(process)
        try:
            yield typed
        finally:
            typed.end()
