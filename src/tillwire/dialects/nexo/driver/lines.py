"""A line to a terminal: one request, and whatever comes until its answer, over one of the bindings.

What it carries are messages; what those mean is the business of `conversation.py`, and how a line
comes about that of `dialling.py`. Every line keeps the one distinction of its port: `NotDelivered`
when the request provably was never whole at the terminal, `AnswerLost` when it may have been.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Protocol

from tillwire.core.ports import Clock, HttpClient
from tillwire.dialects.nexo.driver.settings import Binding, DriverSettings
from tillwire.dialects.nexo.wire import Message, Spelling, decode, encode, encryption
from tillwire.dialects.nexo.wire.encryption import Key
from tillwire.dialects.nexo.wire.framing import LARGEST
from tillwire.dialects.nexo.wire.services import EventNotification
from tillwire.errors import PeerError

Ready = Callable[[], None]
"""Called at the last moment at which nothing was sent yet. What it raises ends the sending."""


class Refused(PeerError):
    """The terminal's web server refused the request."""

    def __init__(self, detail: str, *, at_the_door: bool) -> None:
        """`at_the_door`: whatever the request is about, it would have refused it, so that no
        doubled delivery of it can have come further."""
        super().__init__(detail)
        self.at_the_door = at_the_door


class Line(Protocol):
    """One conversation with the terminal."""

    async def send(self, request: Message, ready: Ready) -> None:
        """Send the request that the line is for. Raises `NotDelivered`, `AnswerLost`, `Refused`."""

    async def receive(self) -> Message:
        """The next message. Raises `RemoteProtocolError` for one that cannot be read, upon which
        the next may be asked for, `AnswerLost` when none will come, `Refused`."""

    async def reply(self, response: Message) -> None:
        """Send what the terminal asked for meanwhile; nothing where the binding has no way."""

    async def close(self) -> None:
        """Hang up."""


class ClosableHttpClient(HttpClient, Protocol):
    """An HTTP client that is opened for one line."""

    async def close(self) -> None:
        """Close every connection."""


class Codec:
    """Octets of messages, sealed where the settings say so."""

    def __init__(self, settings: DriverSettings, key: Key | None, clock: Clock) -> None:
        self._flat = settings.binding is Binding.HTTP
        self._spelling = Spelling(masked_pan=settings.masked_pan, vendor_name=settings.vendor_name)
        self._key = key
        self._clock = clock

    def octets(self, message: Message) -> bytes:
        """A message as it is sent."""
        clear = encode(message, flat=self._flat, spelling=self._spelling)
        if self._key is None:
            return clear
        nonce = hashlib.sha256(self._clock.token().encode()).digest()[: encryption.NONCE]
        return encryption.seal(self._key, clear, message.header, nonce)

    def message(self, octets: bytes) -> Message:
        """What was received. Raises `RemoteProtocolError`. Where messages are sealed, nothing in
        clear is heard but an event, which moves nothing by itself: a terminal that cannot open
        what it got cannot say so in another way."""
        if self._key is None:
            return decode(octets, limit=LARGEST)
        try:
            return decode(encryption.open_([self._key], octets), limit=LARGEST)
        except encryption.CryptoError:
            in_clear = decode(octets, limit=LARGEST)
            if isinstance(in_clear.body, EventNotification):
                return in_clear
            raise
