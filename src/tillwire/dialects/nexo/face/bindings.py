"""What all bindings of the face have in common: how a message is written, and what is said of one
that failed in the gateway."""

from __future__ import annotations

import structlog

from tillwire.dialects.nexo import wire
from tillwire.dialects.nexo.face.settings import Settings
from tillwire.dialects.nexo.wire import Spelling
from tillwire.dialects.nexo.wire.header import MessageHeader


def spelling_of(settings: Settings) -> Spelling:
    """How the face spells what its tills may know under another name."""
    spelling = Spelling(masked_pan=settings.masked_pan, vendor_name=settings.vendor_name)
    return wire.CANONICAL if spelling == wire.CANONICAL else spelling


def log_defect(header: MessageHeader | None) -> None:
    """Write down the exception being handled: a message was not answered, and nobody may take that
    for an answer."""
    structlog.get_logger().exception(
        "a nexo message failed", category=header.message_category if header else ""
    )
