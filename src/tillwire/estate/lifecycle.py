"""The life of one terminal, step by step: it is added, activated, gets another device, is retired.

Each function decides on one step from the estate as it stands (pure, like a plan) and answers with
the change; `carry_out` writes it. The rules are those of `places.py`, so a step and an estate file
that says the same come to the same. The operations are those of source 000: a terminal is added
under its TID, and activated when a device is set up there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tillwire.clock import Instant
from tillwire.core.estate import Estate
from tillwire.core.estate_model import Lifecycle, Store, Terminal
from tillwire.errors import Conflict, InvalidRequest, NotFound
from tillwire.estate.changes import Change
from tillwire.estate.places import (
    change_of,
    device_is_taken,
    forbidden_move,
    is_swap,
    keeps_token,
    tid_is_taken,
)
from tillwire.estate.rules import RULES, Problem, check_tid

_MOST_NAMESAKES: Final = 1000
"""Terminals that may have had the same TID before, one after the other."""


class Newcomer(msgspec.Struct, frozen=True, kw_only=True):
    """A terminal that is to be added."""

    store_id: str
    tid: str
    manufacturer: str
    model: str
    driver: str
    serial: str = ""
    """Empty: which device will stand there is not known yet."""
    key: str = ""
    """Names it for good within the organisation; empty: made of the TID."""
    settings: Mapping[str, Any] = {}
    """Checked against the driver by whoever knows the drivers."""


def add(estate: Estate, newcomer: Newcomer, now: Instant, *, eight_digits: bool = False) -> Change:
    """A terminal that is CREATED: it has a TID, and cannot pay yet.

    `eight_digits` wants such a TID whatever the driver. Raises `NotFound` (store), `Conflict` (key)
    and `InvalidRequest` (field of `Newcomer`).
    """
    store = _store(estate, newcomer.store_id)
    organisation_id = estate.organisation_of(store).id
    _check_form(newcomer, eight_digits)
    terminal = Terminal(
        id=_new_id(estate, organisation_id, newcomer),
        organisation_id=organisation_id,
        store_id=store.id,
        manufacturer=newcomer.manufacturer,
        model=newcomer.model,
        serial=newcomer.serial,
        tid=newcomer.tid,
        driver=newcomer.driver,
        settings=newcomer.settings,
        lifecycle=Lifecycle.CREATED,
    )
    return _step(estate, None, terminal, now)


def activate(estate: Estate, terminal_id: str, serial: str, now: Instant) -> Change:
    """A device is set up for the first time: from now on the terminal can pay.

    An empty `serial` is that with which the terminal was added. Raises `NotFound`, `Conflict` (it
    is not CREATED) and `InvalidRequest` (field `serial`).
    """
    before = _terminal(estate, terminal_id)
    if before.lifecycle is Lifecycle.ACTIVATED:
        raise Conflict(
            f"Terminal {before.name} ({before.id}) is ACTIVATED already. "
            "A swap puts another device in its place."
        )
    _check_move(before, Lifecycle.ACTIVATED)
    return _with_device(estate, before, serial or before.serial, now)


def swap(
    estate: Estate,
    terminal_id: str,
    serial: str,
    now: Instant,
    *,
    former: Lifecycle = Lifecycle.REMOVED,
) -> Change:
    """Another device stands there, and has the terminal's TID. The one before it is `former` from
    now on: REMOVED, or ACTIVATED when nobody retired it. It is not reached any more either way.

    The terminal must be idle. Raises `NotFound`, `Conflict` (it is not ACTIVATED) and
    `InvalidRequest` (field `serial`, `former`).
    """
    before = _terminal(estate, terminal_id)
    if former is Lifecycle.CREATED:
        allowed = f"{Lifecycle.ACTIVATED} or {Lifecycle.REMOVED}"
        raise InvalidRequest("former", "a device that was in use cannot become CREATED", allowed)
    if before.lifecycle is not Lifecycle.ACTIVATED:
        what_then = {
            Lifecycle.CREATED: "It has no device yet that could be swapped: activate it.",
            Lifecycle.REMOVED: "There is no way back: add a terminal, which may have its TID.",
        }[before.lifecycle]
        raise Conflict(f"Terminal {before.name} ({before.id}) is {before.lifecycle}. {what_then}")
    if serial and not is_swap(before, msgspec.structs.replace(before, serial=serial)):
        problem = f"the device {before.serial} stands there already"
        raise InvalidRequest("serial", problem, "the serial number of another device")
    return _with_device(estate, before, serial, now, former)


def retire(estate: Estate, terminal_id: str, now: Instant) -> Change:
    """The end of the terminal and of all its devices; its TID is free for another one.

    The terminal must be idle. Raises `NotFound` and `Conflict` (it is REMOVED already).
    """
    before = _terminal(estate, terminal_id)
    if before.lifecycle is Lifecycle.REMOVED:
        raise Conflict(f"Terminal {before.name} ({before.id}) is REMOVED already.")
    after = msgspec.structs.replace(before, lifecycle=Lifecycle.REMOVED, device_digest=None)
    return _step(estate, before, after, now)


def _with_device(
    estate: Estate,
    before: Terminal,
    serial: str,
    now: Instant,
    former: Lifecycle = Lifecycle.REMOVED,
) -> Change:
    if not serial:
        raise InvalidRequest("serial", "it is empty", "the serial number of the device")
    _check("serial", RULES["serial"](serial))
    after = msgspec.structs.replace(before, serial=serial, lifecycle=Lifecycle.ACTIVATED)
    if not keeps_token(before, after):
        after = msgspec.structs.replace(after, device_digest=None)
    return _step(estate, before, after, now, former)


def _step(
    estate: Estate,
    before: Terminal | None,
    after: Terminal,
    now: Instant,
    former: Lifecycle = Lifecycle.REMOVED,
) -> Change:
    """The change, if it leaves each name and TID to one terminal."""
    if after.lifecycle is not Lifecycle.REMOVED:
        by = estate.terminal_named(after.organisation_id, after.name) if after.serial else None
        if by is not None and by.id != after.id and by.lifecycle is not Lifecycle.REMOVED:
            raise InvalidRequest("serial", *device_is_taken(after, by))
        by = estate.terminal_with_tid(after.organisation_id, after.tid)
        if by is not None and by.id != after.id:
            raise InvalidRequest("tid", *tid_is_taken(after, by))
    names = {store.id: store.name for store in estate.stores.values()}
    return change_of(before, after, estate, names, now=now, former=former)


def _check_form(newcomer: Newcomer, eight_digits: bool) -> None:
    if not newcomer.tid:
        raise InvalidRequest("tid", "it is empty", "the TID under which the terminal is known")
    _check("tid", check_tid(newcomer.tid, newcomer.driver, eight_digits=eight_digits))
    for field in ("manufacturer", "model", "serial"):
        _check(field, RULES[field](getattr(newcomer, field)))
    if newcomer.key:
        _check("key", RULES["key"](newcomer.key))


def _check(field: str, problem: Problem | None) -> None:
    if problem is not None:
        raise InvalidRequest(field, problem.what, problem.allowed)


def _check_move(before: Terminal, after: Lifecycle) -> None:
    problem = forbidden_move(before.lifecycle, after)
    if problem is not None:
        what, allowed = problem
        raise Conflict(f"Terminal {before.name} ({before.id}): {what}. Allowed: {allowed}.")


def _new_id(estate: Estate, organisation_id: str, newcomer: Newcomer) -> str:
    """A TID comes again when its terminal is gone, a key does not."""
    if newcomer.key:
        wanted = f"{organisation_id}:{newcomer.key}"
        if wanted in estate.terminals:
            lifecycle = estate.terminals[wanted].lifecycle
            raise Conflict(f"The key {newcomer.key!r} is that of a terminal that is {lifecycle}.")
        return wanted
    key = newcomer.tid.lower().strip("._-") or "terminal"
    for number in range(1, _MOST_NAMESAKES + 1):
        wanted = f"{organisation_id}:{key}" + (f"-{number}" if number > 1 else "")
        if wanted not in estate.terminals:
            return wanted
    raise Conflict(f"There were {_MOST_NAMESAKES} terminals of this TID: give this one a key.")


def _terminal(estate: Estate, terminal_id: str) -> Terminal:
    found = estate.terminals.get(terminal_id)
    if found is None:
        raise NotFound(f"No terminal {terminal_id}.")
    return found


def _store(estate: Estate, store_id: str) -> Store:
    found = estate.stores.get(store_id)
    if found is None:
        raise NotFound(f"No store {store_id}.")
    return found
