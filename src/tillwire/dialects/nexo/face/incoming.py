"""A message of a till as it was read, whatever it is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from tillwire.dialects.nexo.face.refusals import sale_of
from tillwire.dialects.nexo.wire import BadBody, Message, Unreadable, decode, digest
from tillwire.dialects.nexo.wire.header import MessageHeader
from tillwire.dialects.nexo.wire.shared import SaleData


@dataclass(frozen=True, slots=True)
class Incoming:
    """Octets, and what could be read of them."""

    octets: bytes
    header: MessageHeader | None
    """None when not even that could be read."""
    message: Message | None = None
    """None when something is wrong with it."""
    fault: Unreadable | BadBody | None = None
    """What is wrong with it."""

    @property
    def is_rejected(self) -> bool:
        """Whether it is no message, or of no known kind."""
        return isinstance(self.fault, Unreadable)

    @property
    def envelope(self) -> bool:
        """Whether it came in one; as long as nobody can tell, it did."""
        if self.message is not None:
            return self.message.envelope
        return self.fault.envelope if isinstance(self.fault, BadBody) else True

    @property
    def root(self) -> str:
        """With what paths into the message begin."""
        return "SaleToPOIRequest" if self.envelope else ""

    @property
    def digest(self) -> str:
        """By which it is known again: that of its body, or of its octets if it has none."""
        if self.message is not None:
            return digest(self.message)
        return hashlib.sha256(self.octets).hexdigest()

    @property
    def sale(self) -> SaleData | None:
        """The sale that it is about, as far as that could be read."""
        if self.message is not None:
            return sale_of(self.message.body)
        return self.fault.salvage if isinstance(self.fault, BadBody) else None


def read(octets: bytes, limit: int) -> Incoming:
    """What the octets are; more than `limit` of them are no message."""
    try:
        message = decode(octets, limit=limit)
    except (Unreadable, BadBody) as fault:
        return Incoming(octets, fault.header, fault=fault)
    return Incoming(octets, message.header, message)
