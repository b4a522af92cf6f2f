"""One connection to the face on which a test writes bytes as it likes, and what comes back.

Every response is checked for what must hold of all of them: an error is a problem document
(RFC 9457), and nothing tells of the inside.
"""

from __future__ import annotations

import http.client
import io
import json
import socket
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from tests.kit.sandbox_process import SandboxProcess
from tests.kit.shop_front import PROBLEM

PATIENCE: Final = 20.0
"""Seconds that a reply may take on a busy machine."""
JSON: Final = "Content-Type: application/json"
MEMBERS: Final = {"type", "title", "status", "detail", "instance"}
"""Of a problem document, and no others."""
INSIDE: Final = ("Traceback", 'File "', "tillwire.", "sqlite", "msgspec", "uvicorn", "journal.db")
"""What only the inside knows."""


@dataclass(frozen=True)
class Reply:
    """One response from the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> Any:  # Any: JSON
        """The problem document."""
        return json.loads(self.body)


class _Reader(io.BufferedReader):
    """A connection's incoming side, which `HTTPResponse` does not close after one response."""

    def close(self) -> None:
        """Stay open: what follows a response is the next one."""

    def makefile(self, *_how: object) -> _Reader:
        """What `HTTPResponse` asks a socket for."""
        return self


class Line:
    """One connection to the face, on which a test writes what it likes."""

    def __init__(self, sandbox: SandboxProcess) -> None:
        card = sandbox.card["merchantapi"]
        self.secrets = [card["api_key"], card["other_api_key"]]
        place = urlsplit(card["url"])
        self.host, self.prefix, self.key = place.netloc, place.path, card["api_key"]
        self.terminal = f"{self.prefix}/terminals/{card['terminals'][0]}"
        self._socket = socket.create_connection((str(place.hostname), place.port), PATIENCE)
        self._incoming: Any = _Reader(self._socket.makefile("rb", buffering=0))

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def write(self, *pieces: bytes) -> None:
        """Send bytes, each piece in a packet of its own. A peer that has heard enough may have
        hung up before the last one."""
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for piece in pieces:
                self._socket.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            return

    def head(self, method: str, path: str, *headers: str, key: str | None = None) -> bytes:
        """A request's head, with the card's key unless another is given."""
        named = self.key if key is None else key
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}", *headers]
        if named:
            lines.append(f"API-Key: {named}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def request(
        self, method: str, path: str, *headers: str, body: bytes = b"", key: str | None = None
    ) -> Reply:
        """Send a whole request, with its length unless it has none; the reply to it."""
        length = [f"Content-Length: {len(body)}"] if body else []
        self.write(self.head(method, path, *headers, *length, key=key) + body)
        return self.reply(method)

    def order(self, body: bytes, *headers: str) -> Reply:
        """Ask for a transaction with this body."""
        return self.request("POST", f"{self.terminal}/transactions", JSON, *headers, body=body)

    def reply(self, method: str = "GET") -> Reply:
        """The next response, checked as every one must be."""
        response = http.client.HTTPResponse(self._incoming, method=method)
        response.begin()
        headers = response.getheaders()
        reply = Reply(
            response.status, {name.lower(): value for name, value in headers}, response.read()
        )
        assert len(reply.headers) == len(headers), f"no header comes twice: {headers}"
        self._check(reply)
        return reply

    def _check(self, reply: Reply) -> None:
        told = reply.body.decode() + repr(reply.headers)
        assert not [each for each in (*INSIDE, *self.secrets) if each in told], told
        assert "server" not in reply.headers, "nobody needs to know what serves"
        if reply.status >= 400:
            assert reply.headers["content-type"] == PROBLEM, told
            problem = reply.problem
            assert problem.keys() <= MEMBERS, told
            assert problem["status"] == reply.status
            assert problem["title"]
            assert problem["detail"]
