"""What our things are called in the cloud, and back.

A transaction's id is a UUID of version 8 there (`tillwire.uuids`), reversible, and in the same
order. Businesses, devices and records of a TID are named by UUIDs of version 5, always the same
ones: who needs the way back looks at all there are.
"""

from __future__ import annotations

import re
from typing import Final
from uuid import UUID, uuid5

from tillwire.uuids import PATTERN
from tillwire.uuids import is_uuid as is_uuid
from tillwire.uuids import transaction_of as transaction_of
from tillwire.uuids import transaction_uuid as transaction_uuid

BEHIND_ALL: Final = ":"
"""Sorts behind the id of each transaction of ours, since these are digits."""

_APPLICATION: Final = re.compile(rf"urn:aid:({PATTERN})")
_SPACE: Final = UUID("6f2fd22a-9a4b-5d55-8a52-6c2f4e1b7b05")
"""The name space of our UUIDs of version 5; they all change with it."""


def business_id(merchant_id: str) -> str:
    """The UUID of a merchant, who is a business in the cloud."""
    return str(uuid5(_SPACE, f"business:{merchant_id}"))


def device_id(terminal_id: str, number: int) -> str:
    """The `urn:tid:` of the device with this number at a terminal."""
    return f"urn:tid:{uuid5(_SPACE, f'device:{number}:{terminal_id}')}"


def tid_record_id(terminal_id: str) -> str:
    """The UUID under which `/terminal-ids` has a terminal's TID."""
    return str(uuid5(_SPACE, f"tid:{terminal_id}"))


def application_id(text: str) -> str | None:
    """An application's id in small letters; None if it is none. The vendor's portal also hands it
    out as `<uuid>=urn:aid:<uuid>`."""
    _, _, last = text.rpartition("=")
    found = _APPLICATION.fullmatch(last)
    return last.lower() if found else None
