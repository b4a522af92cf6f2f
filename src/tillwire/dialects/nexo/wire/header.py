"""The header of every message: who speaks to whom, of what, and under which number.

`(sale_id, service_id)` is what duplicates are known by. Whether an id is new, or short enough, is
the business of the face.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from tillwire.dialects.nexo.wire.fields import Fault, Part, Short
from tillwire.dialects.nexo.wire.values import MessageClass, MessageType

Name = Annotated[str, Meta(min_length=1, max_length=128, description="text of 1 to 128 characters")]


class MessageHeader(Part, frozen=True, kw_only=True):
    """Identifies and routes a message."""

    protocol_version: Short | None = None
    """`3.1`. Required on Login and Diagnosis, and optional elsewhere."""
    message_class: Name
    message_category: Name
    message_type: Name
    service_id: Name | None = None
    """Of a service's request and its response; of a device request inside a service, that
    service's."""
    device_id: Name | None = None
    """Of a device request and its response."""
    sale_id: Name
    poi_id: Name

    def __post_init__(self) -> None:
        if self.service_id is None and (
            self.message_class == MessageClass.SERVICE
            or (self.message_class == MessageClass.DEVICE and self.device_id is None)
        ):
            raise Fault("ServiceID", "Missing", "text of 1 to 10 characters")


def response_header(header: MessageHeader) -> MessageHeader:
    """The header of the response: the request's own, with another type (nexo echo rules)."""
    return msgspec.structs.replace(header, message_type=MessageType.RESPONSE.value)
