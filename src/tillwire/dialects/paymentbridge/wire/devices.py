"""Which devices operate (source 000): of those that are ACTIVATED, for each TID the one that was
activated last.

A TID is a lane; a swap adds an entry with the same TID and a new device, and the old one may stay
ACTIVATED. Entries of the same moment, or without one, count in the order of the list, to which new
ones are appended.
"""

from __future__ import annotations

from collections.abc import Iterable

from tillwire.dialects.paymentbridge.wire.fields import moment
from tillwire.dialects.paymentbridge.wire.places import StoreDevice


def operational(devices: Iterable[StoreDevice]) -> dict[str, StoreDevice]:
    """The device that operates under each TID."""
    newest: dict[str, tuple[int, StoreDevice]] = {}
    for device in devices:
        tid = device.external_terminal_id
        if device.status != "ACTIVATED" or not device.device_id or not tid:
            continue
        activated = moment(device.activated_at)
        since = -1 if activated is None else activated
        if tid not in newest or newest[tid][0] <= since:
            newest[tid] = since, device
    return {tid: device for tid, (_, device) in newest.items()}
