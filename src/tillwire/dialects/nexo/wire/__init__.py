"""The messages of nexo Sale-to-POI, and octets to messages and back: sans-IO, for both roles.

`codec.py` reads and writes; `header.py`, `shared.py`, `services.py`, `devices.py` and what they
stand on are the structures, under the protocol's own names; `tolerance.py` accepts what peers write
differently; `cuts.py` keeps card numbers out; `framing.py` and `encryption.py` are what TCP and
Adyen's local binding put around a message.
"""

from tillwire.dialects.nexo.wire.codec import (
    CANONICAL,
    KIND,
    BadBody,
    Body,
    Message,
    Spelling,
    Unreadable,
    body_key,
    decode,
    digest,
    encode,
    envelope_of,
    header_of,
    opened,
)
from tillwire.dialects.nexo.wire.header import MessageHeader, response_header

__all__ = [
    "CANONICAL",
    "KIND",
    "BadBody",
    "Body",
    "Message",
    "MessageHeader",
    "Spelling",
    "Unreadable",
    "body_key",
    "decode",
    "digest",
    "encode",
    "envelope_of",
    "header_of",
    "opened",
    "response_header",
]
