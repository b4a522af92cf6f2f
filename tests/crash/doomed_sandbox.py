"""Runs the sandbox and kills it (SIGKILL) at a chosen commit of its journal or its virtual world.

    python -m tests.crash.doomed_sandbox --data DIR --port BASE --pace FACTOR

Environment: `DOOM_AT`, the number of the commit, from 1; `DOOM_SIDE`, `before` it is made durable
or `after` that, when nobody has heard of it yet; `DOOM_FROM`, whether commits count from the
`start` of the process or once it is `ready`. Both files count together, in the order of their
commits. `LATER`: how many seconds its clock is ahead of the time.
"""

from __future__ import annotations

import argparse
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tillwire.clock import Instant, SystemClock
from tillwire.journal.committer import SqliteCommitter, Tracked
from tillwire.sandbox import card
from tillwire.sandbox.card import Card
from tillwire.sandbox.run import Options, run

NEVER: Final = "0"


class Fuse:
    """Counts commits while it is lit, and burns down at the chosen one."""

    def __init__(self, at: int, side: str) -> None:
        assert side in ("before", "after")
        self._at = at
        self._side = side
        self._counted = 0
        self._lock = threading.Lock()
        self.lit = False

    def around(self, commit: Callable[[], None]) -> None:
        """Make a commit, or die of it. One at a time, so that none overtakes the last one."""
        with self._lock:
            if not self.lit:
                commit()
                return
            self._counted += 1
            doomed = self._counted == self._at
            if doomed and self._side == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            commit()
            if doomed:
                os.kill(os.getpid(), signal.SIGKILL)


def attach(fuse: Fuse) -> None:
    """Let every commit of journal and world go by the fuse, which the card's writing lights."""
    commit = SqliteCommitter.commit

    def commit_by_fuse(self: SqliteCommitter[Tracked]) -> None:
        fuse.around(lambda: commit(self))

    SqliteCommitter.commit = commit_by_fuse  # type: ignore[assignment, method-assign]
    write_card = card.write

    def light_and_write(directory: Path, content: Card) -> Path:
        fuse.lit = True
        return write_card(directory, content)

    card.write = light_and_write


def begin_later(seconds: float) -> None:
    """So long after its time. No command of the last life can arrive any more then, and it is
    known soon that a terminal has never heard of one (law 4)."""
    now = SystemClock.now

    def later(self: SystemClock) -> Instant:
        return Instant(now(self) + round(seconds * 1000))

    SystemClock.now = later  # type: ignore[method-assign]


def main() -> None:
    """Serve until SIGTERM, or until the fuse has burnt down."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--pace", type=float, required=True)
    chosen = arguments.parse_args()
    fuse = Fuse(int(os.environ.get("DOOM_AT", NEVER)), os.environ.get("DOOM_SIDE", "before"))
    fuse.lit = os.environ.get("DOOM_FROM") == "start"
    attach(fuse)
    begin_later(float(os.environ.get("LATER", "0")))
    run(Options(chosen.data, chosen.port, chosen.pace), lambda _card, _path: None)


if __name__ == "__main__":
    main()
