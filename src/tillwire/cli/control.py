"""How a command talks to the gateway that runs a journal: over its operator's socket
(`server/control.py`)."""

from __future__ import annotations

import contextlib
import http.client
import socket
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from tillwire.errors import (
    AnswerLost,
    Conflict,
    NotFound,
    NotPermitted,
    PeerError,
    TillwireError,
)
from tillwire.journal.ownership import is_owned
from tillwire.server.control import control_path, short

T = TypeVar("T")

ANSWER_WITHIN: Final = 10.0
"""Seconds for each step of a request: its commit may wait for another program's."""
LARGEST_ANSWER: Final = 64 << 20
"""Octets."""
LARGEST_LINE: Final = 1 << 20
"""Octets."""

_LOOK: Final = "tillwire transactions list"
_UNREADABLE: Final = "The gateway's answer cannot be read: it may be of another version."
_ERRORS: Final[dict[int, type[TillwireError]]] = {
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.CONFLICT: Conflict,
}


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=ANSWER_WITHIN)
        self._path = path

    def connect(self) -> None:
        """Raises `OSError`."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(ANSWER_WITHIN)
        with short(self._path) as name:
            self.sock.connect(name)


def ask(
    journal: Path,
    method: str,
    target: str,
    answer: type[T],
    order: object = None,
    *,
    look: str = "tillwire lanes",
) -> T | None:
    """What the journal's gateway answers; None when nobody runs the journal. `look` is the command
    that shows what became of it when the answer is lost.

    Raises `NotPermitted`; `NotFound`, `Conflict` or `PeerError` with what the gateway says; and
    `AnswerLost` when it may have done what it was asked for.
    """
    connection = _Connection(control_path(journal))
    try:
        if not _reached(connection, journal):
            return None
        status, octets = _exchange(connection, method, target, order, look)
    finally:
        connection.close()
    if status != HTTPStatus.OK:
        raise _refusal(status, octets)
    try:
        return msgspec.json.decode(octets, type=answer)
    except msgspec.MsgspecError:
        raise PeerError(_UNREADABLE) from None


@contextlib.contextmanager
def follow(
    journal: Path, target: str, decoder: msgspec.json.Decoder[T], order: object
) -> Iterator[Iterator[T] | None]:
    """What the journal's gateway tells line by line, as it comes; None when nobody runs the
    journal. `decoder` reads a line. Whoever leaves calls it off. Raises what `ask` raises, also
    while it is read."""
    connection = _Connection(control_path(journal))
    try:
        if not _reached(connection, journal):
            yield None
            return
        response = _begun(connection, "POST", target, order, _LOOK)
        if response.status != HTTPStatus.OK:
            raise _refusal(response.status, response.read(LARGEST_ANSWER))
        yield _lines(response, decoder)
    finally:
        connection.close()


def _lines(response: http.client.HTTPResponse, decoder: msgspec.json.Decoder[T]) -> Iterator[T]:
    while True:
        with _lost(_LOOK):
            line = response.readline(LARGEST_LINE)
        if not line:
            return
        if line != b"\n":
            try:
                yield decoder.decode(line)
            except msgspec.MsgspecError:
                raise PeerError(_UNREADABLE) from None


def _reached(connection: _Connection, journal: Path) -> bool:
    try:
        connection.connect()
    except (FileNotFoundError, ConnectionRefusedError):
        if is_owned(journal):
            raise Conflict(
                f"Another process has the journal {journal}, but no operator's socket: a gateway "
                "that is just starting or stopping, or whose log says why. Try again."
            ) from None
        return False
    except PermissionError:
        raise NotPermitted(
            "Only the user who runs the gateway, and root, can ask anything of it."
        ) from None
    except OSError as error:
        raise Conflict(f"The gateway cannot be reached: {error.strerror or error}.") from None
    return True


def _exchange(
    connection: _Connection, method: str, target: str, order: object, look: str
) -> tuple[int, bytes]:
    response = _begun(connection, method, target, order, look)
    with _lost(look):
        octets = response.read(LARGEST_ANSWER)
        if response.length:  # of the rest
            raise http.client.IncompleteRead(octets, response.length)
    return response.status, octets


def _begun(
    connection: _Connection, method: str, target: str, order: object, look: str
) -> http.client.HTTPResponse:
    body = None if order is None else msgspec.json.encode(order)
    with _lost(look):
        connection.request(method, target, body, {"content-type": "application/json"})
        return connection.getresponse()


def _refusal(status: int, octets: bytes) -> TillwireError:
    try:
        detail = msgspec.json.decode(octets, type=dict)["detail"]
    except (msgspec.MsgspecError, KeyError):
        return PeerError(_UNREADABLE)
    return _ERRORS.get(status, PeerError)(detail)


@contextlib.contextmanager
def _lost(look: str) -> Iterator[None]:
    """Raises `AnswerLost` when the gateway says nothing more."""
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        why = "is silent" if isinstance(error, TimeoutError) else "has ended"
        raise AnswerLost(f"The gateway {why}; `{look}` shows what has become of it.") from None
