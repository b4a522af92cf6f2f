"""Where log lines go: a bounded queue and a thread that writes.

The event loop must never wait for a log: somebody who pauses the terminal, or a full pipe, would
otherwise stop payments. Lines beyond the queue's limit are dropped and counted, and the count is
written as soon as lines flow again.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Final, TextIO

QUEUE_LIMIT: Final = 10_000
"""Lines that may wait to be written."""
_GATHER: Final = 0.02
"""Seconds in which lines gather before they are written: waking a thread for each of them would
cost the event loop more than making it."""
_AT_ONCE: Final = 256
"""Lines in one write."""
_CLOSE_WITHIN: Final = 2.0
"""Seconds that `close` waits for what is queued; a blocked stream must not block the stop."""


class Sink:
    """Writes lines to a stream, in order, from a thread of its own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: deque[str] = deque()
        self._dropped = 0
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._write_all, name="tillwire-log", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Queue a line (without its line end). Never waits."""
        if len(self._lines) >= QUEUE_LIMIT:
            self._dropped += 1
            return
        self._lines.append(line)
        if not self._wake.is_set():
            self._wake.set()

    # The names under which structlog calls a logger.
    msg = debug = info = warning = error = critical = exception = write

    def _write_all(self) -> None:
        while not self._closing or self._lines:
            self._wake.wait()
            if not self._closing:
                time.sleep(_GATHER)
            self._wake.clear()
            self._write_queued()

    def _write_queued(self) -> None:
        try:
            while self._lines:
                some = [self._lines.popleft() for _ in range(min(len(self._lines), _AT_ONCE))]
                self._stream.write("\n".join(some) + "\n")
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                self._stream.write(f'{{"level":"warning","event":"{dropped} lines dropped"}}\n')
            self._stream.flush()
        except (OSError, ValueError):  # the stream is gone: nobody can be told
            self._lines.clear()

    def close(self) -> None:
        """Write what is queued, then stop; gives up on a blocked stream after two seconds."""
        self._closing = True
        self._wake.set()
        self._thread.join(_CLOSE_WITHIN)
