"""Hooks: who is told of events, and the signed deliveries (source 000).

A delivery is signed with HMAC-SHA1 over its octets, which is the vendor's choice; here it proves
who sent it, and nothing else rests on it.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from typing import Annotated, Final

from msgspec import Meta

from tillwire.dialects.paymentbridge.wire import ids, reading
from tillwire.dialects.paymentbridge.wire.bridge import is_address
from tillwire.dialects.paymentbridge.wire.errors import asked, missing, wrong
from tillwire.dialects.paymentbridge.wire.fields import Address, Id, Part, Word
from tillwire.dialects.paymentbridge.wire.objects import Link

SIGNATURE_HEADER: Final = "Poynt-Webhook-Signature"
LARGEST: Final = 65_536
"""Octets of a registration, and of a delivery, at most."""
MASKED_SECRET: Final = "********"  # noqa: S105  # what is shown in place of one

EVENTS: Final = (
    "TRANSACTION_AUTHORIZED",
    "TRANSACTION_CAPTURED",
    "TRANSACTION_DECLINED",
    "TRANSACTION_REFUNDED",
    "TRANSACTION_UPDATED",
    "TRANSACTION_VOIDED",
)
"""Events that are told here; others may be asked for and never happen."""

_Events = Annotated[tuple[Word, ...], Meta(min_length=1, max_length=64)]


class HookRequest(Part, frozen=True, kw_only=True):
    """`POST /hooks`."""

    application_id: Id | None = None
    business_id: Id | None = None
    delivery_url: Address | None = None
    secret: Annotated[str, Meta(max_length=1_024)] | None = None
    event_types: _Events | None = None


class Hook(Part, frozen=True, kw_only=True):
    """A hook as it is shown: its secret is not."""

    id: Id
    application_id: Id | None = None
    business_id: Id | None = None
    delivery_url: Address | None = None
    secret: Id | None = None
    """Asterisks, if there is one."""
    event_types: tuple[Word, ...] = ()
    active: bool | None = None
    created_at: Word | None = None
    updated_at: Word | None = None


class Event(Part, frozen=True, kw_only=True):
    """The body of a delivery. It may come twice, under the same `id`."""

    id: Id
    hook_id: Id | None = None
    application_id: Id | None = None
    business_id: Id | None = None
    store_id: Id | None = None
    device_id: Id | None = None
    event_type: Word | None = None
    resource: Id | None = None
    """`/transactions`."""
    resource_id: Id | None = None
    created_at: Word | None = None
    updated_at: Word | None = None
    links: tuple[Link, ...] = ()


def read_request(octets: bytes) -> HookRequest:
    """A registration in which all that it needs is there. Raises `CodedRequest`."""
    found = asked(HookRequest, octets, limit=LARGEST)
    if not found.business_id:
        raise missing("businessId")
    if not found.delivery_url:
        raise missing("deliveryUrl")
    if not found.event_types:
        raise missing("eventTypes")
    if not is_address(found.delivery_url):
        raise wrong("deliveryUrl", "it is no such address", "http:// or https://")
    if found.application_id is not None and ids.application_id(found.application_id) is None:
        raise wrong("applicationId", "it is no application's id", "urn:aid:<uuid>")
    return found


def read_event(octets: bytes) -> Event:
    """A delivery. Raises `RemoteProtocolError`."""
    return reading.read(Event, octets, limit=LARGEST)


def signature(secret: str, body: bytes) -> str:
    """What a delivery of these octets is signed with."""
    return b64encode(hmac.digest(secret.encode(), body, "sha1")).decode()


def is_signed(given: str, secret: str, body: bytes) -> bool:
    """Whether a delivery has the right signature."""
    return hmac.compare_digest(given.encode(), signature(secret, body).encode())
