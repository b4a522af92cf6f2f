"""Messages on a TCP stream: four octets of length, big-endian, and then the JSON (Market Pay's
binding of nexo Sale-to-POI 3.1).

Whether the length counts its own four octets is not said where this is described; that it does
not is what the wording suggests, and can be set.
"""

from __future__ import annotations

from typing import Final

from tillwire.errors import LocalProtocolError, RemoteProtocolError

LENGTH: Final = 4
"""Octets of the length."""
COUNTS_ITSELF: Final = False
"""Whether the length counts its own octets."""
LARGEST: Final = 2**20
"""Octets of a message at most, if nothing else is set."""


class FrameError(RemoteProtocolError):
    """The stream cannot be cut into messages any more."""


class Frames:
    """Cuts a stream into messages, however it was split on its way."""

    def __init__(self, limit: int = LARGEST, *, counts_itself: bool = COUNTS_ITSELF) -> None:
        """`limit`: octets of a message at most."""
        self._limit = limit
        self._uncounted = LENGTH if counts_itself else 0
        self._held = bytearray()
        self._broken = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing of a further message has arrived: a stream that ends otherwise has cut
        one."""
        return not self._held

    def feed(self, octets: bytes) -> list[bytes]:
        """The messages that are whole now. A length of nothing, or of more than the limit, raises
        `FrameError` once those before it are out; nothing can follow it."""
        if self._broken:
            raise FrameError("The stream was given up before.")
        self._held += octets
        whole: list[bytes] = []
        start = 0
        while len(self._held) - start >= LENGTH:
            size = int.from_bytes(self._held[start : start + LENGTH], "big") - self._uncounted
            if not 0 < size <= self._limit:
                if whole:
                    break
                self._broken = True
                self._held.clear()
                raise FrameError(f"A frame of {size} octets; allowed are 1 to {self._limit}.")
            end = start + LENGTH + size
            if len(self._held) < end:
                break
            whole.append(bytes(self._held[start + LENGTH : end]))
            start = end
        del self._held[:start]
        return whole


def frame(octets: bytes, *, counts_itself: bool = COUNTS_ITSELF) -> bytes:
    """A message as it goes onto the stream."""
    size = len(octets) + (LENGTH if counts_itself else 0)
    if not octets or size >= 2 ** (8 * LENGTH):
        raise LocalProtocolError(f"No frame can have {len(octets)} octets.")
    return size.to_bytes(LENGTH, "big") + octets
