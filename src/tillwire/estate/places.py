"""A terminal is a place in a store; devices come and go there. What a change means for them.

The terminal keeps its id for good. Its history is one `Device` row for each physical device that
served it: a new serial number removes the present device and puts the next one in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from tillwire.clock import Instant
from tillwire.core.model import Device, Lifecycle, Terminal

_AFTER: Final = {
    Lifecycle.CREATED: frozenset(Lifecycle),
    Lifecycle.ACTIVATED: frozenset({Lifecycle.ACTIVATED, Lifecycle.REMOVED}),
    Lifecycle.REMOVED: frozenset({Lifecycle.REMOVED}),
}
"""What a terminal can become. There is no way back: what is removed has a history that ended."""


def forbidden_move(before: Lifecycle, after: Lifecycle) -> tuple[str, str] | None:
    """(problem, what is allowed) when a terminal cannot become this; None when it can."""
    if after in _AFTER[before]:
        return None
    allowed = " or ".join(each for each in Lifecycle if each in _AFTER[before])
    if before is Lifecycle.REMOVED:
        allowed += ", or a new key for a terminal that takes its place"
    return f"a terminal that is {before} cannot become {after}", allowed


def is_swap(before: Terminal, after: Terminal) -> bool:
    """Whether another physical device stands there. Another spelling is not another device."""
    return before.serial.casefold() != after.serial.casefold()


def keeps_token(before: Terminal, after: Terminal) -> bool:
    """Whether the polling token stays good. It belongs to the device that was given it."""
    return (
        after.lifecycle is not Lifecycle.REMOVED
        and before.driver == after.driver
        and not is_swap(before, after)
    )


def needs_idle(before: Terminal, after: Terminal) -> bool:
    """Whether the change must wait until no transaction occupies the terminal: whatever reaches
    another device, or reaches it in another way, would make an open transaction unrecoverable."""
    harmless = msgspec.structs.replace(
        before, store_id=after.store_id, device_digest=after.device_digest
    )
    if before.lifecycle is Lifecycle.CREATED:
        harmless = msgspec.structs.replace(harmless, lifecycle=after.lifecycle)
    return harmless != after


def device_writes(
    before: Terminal | None, after: Terminal, history: Sequence[Device], now: Instant
) -> tuple[Device, ...]:
    """The device rows to write when the terminal changes like this at `now`."""
    if before is None or not history:
        return (_installed(after, 1, now),)
    present = history[-1]
    if is_swap(before, after):
        removed = _moved(present, Lifecycle.REMOVED, now)
        if after.lifecycle is Lifecycle.REMOVED:
            return (removed,)
        return (removed, _installed(after, present.number + 1, now))
    current = _moved(msgspec.structs.replace(present, serial=after.serial), after.lifecycle, now)
    return () if current == present else (current,)


def _installed(terminal: Terminal, number: int, now: Instant) -> Device:
    active = terminal.lifecycle is Lifecycle.ACTIVATED
    return Device(
        terminal_id=terminal.id,
        number=number,
        serial=terminal.serial,
        created_at=now,
        lifecycle=terminal.lifecycle,
        activated_at=now if active else None,
    )


def _moved(device: Device, lifecycle: Lifecycle, now: Instant) -> Device:
    if device.lifecycle is lifecycle:
        return device
    stamp = "activated_at" if lifecycle is Lifecycle.ACTIVATED else "removed_at"
    return msgspec.structs.replace(device, lifecycle=lifecycle, **{stamp: now})
