"""An application's own HTTP server: receives callbacks and hooks, and answers 200 at once."""

from __future__ import annotations

import contextlib
import gzip
import json
import queue
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

COMES_WITHIN: Final = 30.0
"""Seconds in which what must come has come, on a busy machine."""


@dataclass(frozen=True)
class Received:
    """One request."""

    path: str
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes
    """As it came."""

    @property
    def json(self) -> Any:
        """The body, unpacked if it is packed."""
        packed = self.headers.get("content-encoding") == "gzip"
        return json.loads(gzip.decompress(self.body) if packed else self.body)


class Listener:
    """The server, on a free port of loopback."""

    def __init__(self) -> None:
        came: queue.SimpleQueue[Received] = queue.SimpleQueue()
        self._came = came

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                named = {name.lower(): value for name, value in self.headers.items()}
                came.put(Received(self.path, named, self.rfile.read(length)))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                """pytest shows what is asserted; that is enough."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def url(self, path: str) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def next(self) -> Received:
        """What comes next, waited for. Raises `queue.Empty`."""
        return self._came.get(timeout=COMES_WITHIN)

    def until_final(self) -> list[Received]:
        """What comes until a transaction's last callback."""
        found = [self.next()]
        while found[-1].json["status"] in ("RECEIVED", "STARTED"):
            found.append(self.next())
        return found

    def nothing_more(self) -> bool:
        """Whether all that came was asked for."""
        return self._came.empty()

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._thread.join(COMES_WITHIN)
        self._server.server_close()


@contextlib.contextmanager
def listening() -> Iterator[Listener]:
    """A server for the block."""
    server = Listener()
    try:
        yield server
    finally:
        server.close()
