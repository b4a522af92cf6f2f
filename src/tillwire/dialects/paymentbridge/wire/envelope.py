"""`POST /cloudMessages`: the message around an order (source 000).

It is checked in two steps, since the cloud looks at who is meant before it looks at `ttl` and
`data`: `decode` sees to it that all is there, `Envelope.message` that the rest is right. What is in
`data` is for the terminal to read (`bridge.py`); the cloud does not look inside.
"""

from __future__ import annotations

from typing import Any, Final

from tillwire.dialects.paymentbridge.wire import reading
from tillwire.dialects.paymentbridge.wire.errors import asked, missing, wrong
from tillwire.dialects.paymentbridge.wire.fields import Id, Part
from tillwire.errors import LocalProtocolError

LARGEST: Final = 65_536
"""Octets of an envelope at most."""
LARGEST_DATA: Final = 4_096
"""Octets of `data` at most (source 000's cloud)."""
LONGEST_TTL: Final = 2_419_200
"""Seconds, four weeks."""


class Recipient(Part, frozen=True, kw_only=True):
    """A program on the terminal. Payment Bridge itself needs none."""

    package_name: Id | None = None
    class_name: Id | None = None


class CloudMessage(Part, frozen=True, kw_only=True):
    """A message to a terminal."""

    business_id: Id
    store_id: Id | None = None
    device_id: Id | None = None
    """`urn:tid:`; without it and `serial_num`, every terminal of the store is meant."""
    serial_num: Id | None = None
    ttl: int
    """Seconds after which it is dropped, if it could not be delivered."""
    data: str
    """At most `LARGEST_DATA` octets; it may hold anything, so it is not kept."""
    collapse_key: Id | None = None
    recipient: Recipient | None = None
    id: Id | None = None
    sender: Id | None = None


class Envelope(Part, frozen=True, kw_only=True):
    """A message whose `ttl` and `data` are still to be checked."""

    business_id: Id | None = None
    store_id: Id | None = None
    device_id: Id | None = None
    store_device_id: Id | None = None
    """What the vendor's Go SDK writes for `device_id`."""
    serial_num: Id | None = None
    ttl: Any = None
    data: Any = None
    collapse_key: Id | None = None
    recipient: Recipient | None = None

    @property
    def device(self) -> str | None:
        """The `urn:tid:` of the terminal that is meant."""
        return self.device_id or self.store_device_id

    def message(self) -> CloudMessage:
        """The message, all of which is right. Raises `CodedRequest`."""
        if type(self.ttl) is not int or not 1 <= self.ttl <= LONGEST_TTL:
            raise wrong("ttl", "it is out of range", f"whole seconds from 1 to {LONGEST_TTL}")
        if not isinstance(self.data, str):
            raise wrong("data", "it is not text", "an object of JSON, written as text")
        if len(self.data.encode()) > LARGEST_DATA:
            raise wrong("data", "it is too long", f"up to {LARGEST_DATA} octets")
        return CloudMessage(
            business_id=self.business_id or "",
            store_id=self.store_id,
            device_id=self.device,
            serial_num=self.serial_num,
            ttl=self.ttl,
            data=self.data,
            collapse_key=self.collapse_key,
            recipient=self.recipient,
        )


def decode(octets: bytes, *, broadcast: bool = False) -> Envelope:
    """The envelope in `octets`. `broadcast` allows that no terminal is named. Raises
    `CodedRequest`."""
    envelope = asked(Envelope, octets, limit=LARGEST)
    if not envelope.business_id:
        raise missing("businessId")
    if not (envelope.device or envelope.serial_num or broadcast):
        raise missing("deviceId")
    for field, value in (("ttl", envelope.ttl), ("data", envelope.data)):
        if value is None:
            raise missing(field)
    if envelope.device_id and envelope.store_device_id not in (None, envelope.device_id):
        raise wrong("storeDeviceId", "it is another than deviceId")
    return envelope


def encode(message: CloudMessage) -> bytes:
    """The message in JSON. Raises `LocalProtocolError` when it is not right."""
    if not 1 <= message.ttl <= LONGEST_TTL or len(message.data.encode()) > LARGEST_DATA:
        raise LocalProtocolError("A cloud message has a ttl and data of a certain size.")
    return reading.encode(message)
