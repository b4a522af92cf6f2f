"""A terminal is a place in a store; devices come and go there. What a change means for them.

The terminal keeps its id for good. Its history is one `Device` row for each physical device that
served it: a new serial number puts the next one in its place, and removes the one that stood there
unless somebody says that nobody retired it. These rules hold for the estate file (`plan.py`) and
for single steps (`lifecycle.py`) alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from tillwire.clock import Instant
from tillwire.core.estate import Estate
from tillwire.core.estate_model import Device, Lifecycle, Terminal
from tillwire.estate.changes import Change, Mark, difference

_AFTER: Final = {
    Lifecycle.CREATED: frozenset(Lifecycle),
    Lifecycle.ACTIVATED: frozenset({Lifecycle.ACTIVATED, Lifecycle.REMOVED}),
    Lifecycle.REMOVED: frozenset({Lifecycle.REMOVED}),
}
"""What a terminal can become. There is no way back: what is removed has a history that ended."""

_LATER: Final = 1000
"""Milliseconds by which a device is activated after the one before it, whatever the clock says:
tills take the newest, by times that tell whole seconds."""


def forbidden_move(before: Lifecycle, after: Lifecycle) -> tuple[str, str] | None:
    """(problem, what is allowed) when a terminal cannot become this; None when it can."""
    if after in _AFTER[before]:
        return None
    allowed = " or ".join(each for each in Lifecycle if each in _AFTER[before])
    if before is Lifecycle.REMOVED:
        allowed += ", or a new key for a terminal that takes its place"
    return f"a terminal that is {before} cannot become {after}", allowed


def is_swap(before: Terminal, after: Terminal) -> bool:
    """Whether another physical device stands there. Another spelling is not another device, nor is
    the first one that a terminal without a serial number gets."""
    return bool(before.serial and after.serial) and (
        before.serial.casefold() != after.serial.casefold()
    )


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


def device_is_taken(terminal: Terminal, by: Terminal) -> tuple[str, str]:
    """(problem, what is allowed) when the device serves another terminal of the organisation."""
    problem = f"the device {terminal.name} serves the terminal {by.id!r} already"
    return problem, "a device that serves no other terminal"


def tid_is_taken(terminal: Terminal, by: Terminal) -> tuple[str, str]:
    """(problem, what is allowed) when another terminal of the organisation has the TID."""
    problem = f"the terminal {by.id!r} ({by.name}) has the TID {terminal.tid} already"
    return problem, "a TID that no other terminal has which is not REMOVED"


def change_of(
    before: Terminal | None,
    wanted: Terminal,
    estate: Estate,
    names: Mapping[str, str],
    *,
    now: Instant,
    former: Lifecycle = Lifecycle.REMOVED,
) -> Change:
    """What happens to a terminal, and to its devices; `former` as in `device_writes`, `names` as in
    `difference`."""
    devices = device_writes(before, wanted, estate.devices.get(wanted.id, ()), now, former)
    if before is None:
        mark = Mark.CREATE
    else:
        mark = Mark.REMOVE if wanted.lifecycle is Lifecycle.REMOVED else Mark.CHANGE
    return Change(
        mark,
        "terminal",
        wanted.id,
        wanted.name,
        difference(before, wanted, names),
        (wanted, *devices),
        wanted.id if before is not None and needs_idle(before, wanted) else None,
    )


def device_writes(
    before: Terminal | None,
    after: Terminal,
    history: Sequence[Device],
    now: Instant,
    former: Lifecycle = Lifecycle.REMOVED,
) -> tuple[Device, ...]:
    """The device rows to write when the terminal changes like this at `now`. A swap leaves the
    device that stood there `former`: REMOVED, or ACTIVATED when nobody retired it (source 000)."""
    if before is None or not history:
        return (_installed(after, 1, now),)
    present = history[-1]
    if after.lifecycle is Lifecycle.REMOVED:
        # All of them: no device may be found under the TID of a terminal that is gone.
        due = [_moved(device, Lifecycle.REMOVED, now) for device in history]
    elif is_swap(before, after):
        # A device that comes back begins anew, so what it was here before is over.
        again = [
            _moved(device, Lifecycle.REMOVED, now)
            if device.serial.casefold() == after.serial.casefold()
            else device
            for device in history[:-1]
        ]
        number, earliest = present.number + 1, present.activated_at
        due = [*again, _moved(present, former, now), _installed(after, number, now, earliest)]
    else:
        fields = msgspec.structs.replace(present, serial=after.serial)
        due = [*history[:-1], _moved(fields, after.lifecycle, now)]
    return tuple(device for device in due if device not in history)


def _installed(
    terminal: Terminal, number: int, now: Instant, earlier: Instant | None = None
) -> Device:
    since = now if earlier is None else max(now, Instant(earlier + _LATER))
    return Device(
        terminal_id=terminal.id,
        number=number,
        serial=terminal.serial,
        created_at=now,
        lifecycle=terminal.lifecycle,
        activated_at=since if terminal.lifecycle is Lifecycle.ACTIVATED else None,
    )


def _moved(device: Device, lifecycle: Lifecycle, now: Instant) -> Device:
    if device.lifecycle is lifecycle:
        return device
    stamp = "activated_at" if lifecycle is Lifecycle.ACTIVATED else "removed_at"
    return msgspec.structs.replace(device, lifecycle=lifecycle, **{stamp: now})
