"""Byte streams that peers open to us: what a face makes of them, and what it can do with them.

A face that is not HTTP gives each connection a session, which is handed octets as they arrive and
writes whole messages back. Nothing here waits: thousands of connections are idle at any time, and
none of them may cost a task or a buffer. The listener behind it owns sockets, TLS and limits.
"""

from __future__ import annotations

from typing import Protocol


class StreamConnection(Protocol):
    """A connection that a peer has opened, as its session knows it."""

    @property
    def peer(self) -> str:
        """Who opened it, as `address:port`, for the log."""

    def send(self, message: bytes, *, optional: bool = False) -> bool:
        """Write one whole message, without waiting; False when it was not written.

        An optional one is dropped while the peer leaves too much unread. When even what is not
        optional has no room, the connection ends. After its end, nothing is written.
        """

    def close(self) -> None:
        """Let what was written arrive, then end. Harmless when repeated."""


class StreamSession(Protocol):
    """What a face makes of one connection. The calls come one after another on the event loop; an
    exception out of one ends the connection, and is logged as a defect."""

    @property
    def unfinished(self) -> bool:
        """Whether a message has begun of which the rest is missing: it must come within the
        listener's limit."""

    @property
    def busy(self) -> bool:
        """Whether something goes on for the peer: it may be silent meanwhile."""

    @property
    def doing(self) -> str:
        """What goes on for the peer, in a word for people; empty when nothing does."""

    def received(self, octets: bytes) -> int:
        """Take what has arrived, in pieces of any size; how many messages that completed."""

    def finish(self) -> None:
        """The peer writes no more: close as soon as it is not busy."""

    def stop(self) -> None:
        """The gateway is stopping: tell the peer, and close as soon as it is not busy."""

    def ended(self) -> None:
        """The connection is gone. What goes on for its peer goes on without it."""


class StreamFace(Protocol):
    """The server side of a protocol that is not HTTP. It knows nothing of where it listens."""

    def connected(self, connection: StreamConnection) -> StreamSession:
        """The session of a new connection."""

    async def stop(self) -> None:
        """End what still goes on for any peer, when all connections are gone."""
