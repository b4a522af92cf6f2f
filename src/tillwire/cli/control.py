"""How a command talks to the gateway that runs a journal: over its operator's socket
(`server/control.py`)."""

from __future__ import annotations

import http.client
import socket
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
    try:
        if status == HTTPStatus.OK:
            return msgspec.json.decode(octets, type=answer)
        detail = msgspec.json.decode(octets, type=dict)["detail"]
    except (msgspec.MsgspecError, KeyError):
        raise PeerError(
            "The gateway's answer cannot be read: it may be of another version."
        ) from None
    raise _ERRORS.get(status, PeerError)(detail)


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
    body = None if order is None else msgspec.json.encode(order)
    try:
        connection.request(method, target, body, {"content-type": "application/json"})
        response = connection.getresponse()
        octets = response.read(LARGEST_ANSWER)
        if response.length:  # of the rest
            raise http.client.IncompleteRead(octets, response.length)
    except (OSError, http.client.HTTPException) as error:
        why = "is silent" if isinstance(error, TimeoutError) else "has ended"
        raise AnswerLost(f"The gateway {why}; `{look}` shows what has become of it.") from None
    return response.status, octets
