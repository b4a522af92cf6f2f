"""What the face tells beside responses: EventNotifications, and DisplayRequests for the cashier."""

from __future__ import annotations

from base64 import b64encode
from typing import Final

import msgspec

from tillwire import pan
from tillwire.clock import Instant
from tillwire.dialects.nexo.face.answers import lines, moment
from tillwire.dialects.nexo.face.context import Visit
from tillwire.dialects.nexo.wire import Message
from tillwire.dialects.nexo.wire.devices import DisplayRequest
from tillwire.dialects.nexo.wire.header import MessageHeader
from tillwire.dialects.nexo.wire.outputs import DisplayOutput
from tillwire.dialects.nexo.wire.services import (
    CardAcquisitionRequest,
    EventNotification,
    PaymentRequest,
)
from tillwire.dialects.nexo.wire.values import (
    Capability,
    Device,
    EventToNotify,
    InfoQualify,
    MessageCategory,
    MessageClass,
    MessageType,
)

NOBODY: Final = "N/A"
"""SaleID and POIID of an event about a message that does not tell them."""
MOST_RETURNED: Final = 8192
"""Octets of a rejected message that are given back."""


def rejected(
    header: MessageHeader | None, detail: str, octets: bytes, number: str, now: Instant
) -> Message:
    """The event about a message that could not be accepted, which has `number` where that has no
    header. `octets` are the message, of which the event gives back the beginning, without card
    numbers."""
    clear = octets[:MOST_RETURNED].decode("latin-1")
    event = EventNotification(
        time_stamp=moment(now),
        event_to_notify=EventToNotify.REJECT.value,
        event_details=detail,
        rejected_message=b64encode(pan.masked(clear).encode("latin-1")).decode(),
    )
    about = event_header(header)
    if header is None:
        about = msgspec.structs.replace(about, service_id=number)
    return Message(header=about, body=event)


def shutdown(sale_id: str, poi_id: str, number: str, now: Instant) -> Message:
    """The event, of a number of its own, that tells a till that the terminal cannot be reached
    here for a while."""
    header = msgspec.structs.replace(
        event_header(None), service_id=number, sale_id=sale_id, poi_id=poi_id
    )
    event = EventNotification(
        time_stamp=moment(now),
        event_to_notify=EventToNotify.SHUTDOWN.value,
        event_details="The gateway is stopping.",
    )
    return Message(header=header, body=event)


def completed(detail: str, now: Instant) -> EventNotification:
    """The event about an Abort of what has ended already."""
    return EventNotification(
        time_stamp=moment(now), event_to_notify=EventToNotify.COMPLETED.value, event_details=detail
    )


def event_header(of: MessageHeader | None) -> MessageHeader:
    """The header of an event about a message, whose ServiceID and DeviceID it repeats."""
    return MessageHeader(
        protocol_version=of.protocol_version if of else None,
        message_class=MessageClass.EVENT.value,
        message_category=MessageCategory.EVENT.value,
        message_type=MessageType.NOTIFICATION.value,
        service_id=of.service_id if of else None,
        device_id=of.device_id if of else None,
        sale_id=of.sale_id if of else NOBODY,
        poi_id=of.poi_id if of else NOBODY,
    )


# --- displays ---------------------------------------------------------------------------------


def tell_status(visit: Visit, text: str) -> None:
    """Tell the cashier what the terminal shows, if the till can be sent that."""
    if _can(visit, Capability.CASHIER_STATUS):
        visit.outlet.tell(_display(visit, text, InfoQualify.STATUS))


def tell_error(visit: Visit, text: str) -> None:
    """Tell the cashier that something is wrong, if the till can be sent that."""
    if _can(visit, Capability.CASHIER_ERROR):
        visit.outlet.tell(_display(visit, text, InfoQualify.ERROR))


def _can(visit: Visit, capability: Capability) -> bool:
    """What a message says of its till counts more than its session."""
    body = visit.body
    said = None
    if isinstance(body, PaymentRequest | CardAcquisitionRequest):
        said = body.sale_data.sale_terminal_data
    if said is not None and said.sale_capabilities:
        return not {capability, Capability.CASHIER_DISPLAY}.isdisjoint(said.sale_capabilities)
    return visit.login.can(capability, Capability.CASHIER_DISPLAY)


def _display(visit: Visit, text: str, qualify: InfoQualify) -> Message:
    """A DisplayRequest inside the service that the visit asks for. It wants no response."""
    header = MessageHeader(
        protocol_version=visit.header.protocol_version,
        message_class=MessageClass.DEVICE.value,
        message_category=MessageCategory.DISPLAY.value,
        message_type=MessageType.REQUEST.value,
        service_id=visit.header.service_id,
        device_id=visit.context.dialogues.device_id(visit.context.clock.now()),
        sale_id=visit.header.sale_id,
        poi_id=visit.header.poi_id,
    )
    output = DisplayOutput(
        response_required_flag=False,
        minimum_display_time=0,
        device=Device.CASHIER_DISPLAY.value,
        info_qualify=qualify.value,
        output_content=lines(text),
    )
    return Message(header=header, body=DisplayRequest(display_output=(output,)))
