"""The lanes: listeners of byte streams, as an operator sees, resets and moves them.

A port that an operator has set stands in the journal and wins over the configuration's, now and
after each restart. It is set in this order: the new port is bound, the journal commits it, the lane
accepts connections there, those at the old one are let go. So a port that cannot be had changes
nothing, and whoever dies in between comes back at the port that the journal has. How the operator
reaches the gateway is the business of `control.py`, the connections are those of `streams.py`.
"""

from __future__ import annotations

import asyncio
import shlex
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec
import structlog

from tillwire.clock import utc
from tillwire.config import ListenerSettings
from tillwire.core.ports import Clock, Journal, LanePort, Unit
from tillwire.errors import ConfigurationError, Conflict, NotFound
from tillwire.server.listeners import Listener, bind
from tillwire.server.streams import ConnectionView, LaneView, StreamListener
from tillwire.watch.metrics import Metrics

LISTED: Final = 100
"""Connections of one lane that a list names, the oldest ones; the others are counted."""
_EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - looked for, not listened on


class Lane(msgspec.Struct, frozen=True):
    """A lane, as an operator sees it."""

    name: str
    face: str
    terminal: str
    """Whose place it is, in words."""
    reverse: bool
    """Whether it dials, and so has no port of its own."""
    address: str
    """Where it listens; in reverse mode, whom it dials."""
    port: int
    """Likewise: the one in force, or, with no gateway, the one of its next start. 0: any."""
    configured_port: int
    set_port: LanePort | None = None
    """The one that was set in its place."""
    connected: int = 0
    """How many connections there are."""
    connections: tuple[ConnectionView, ...] = ()
    """The oldest of them."""


class AnyStreamKind(Protocol):
    """What must be known of a face."""

    @property
    def place(self) -> Callable[[Any], str]:
        """Whose place its settings make it, in words."""

    @property
    def settings(self) -> type[msgspec.Struct]:
        """What its own settings are."""


Kinds = Mapping[str, AnyStreamKind]
"""The faces over byte streams, by name."""


class Served(Protocol):
    """A lane that is served, whoever dials."""

    @property
    def port(self) -> int: ...
    def describe(self) -> LaneView: ...
    def reset(self, peer: str | None) -> int: ...


def lanes_among(listeners: Iterable[ListenerSettings], kinds: Kinds) -> list[ListenerSettings]:
    """Those that are lanes."""
    return [each for each in listeners if any(face.name in kinds for face in each.faces)]


def resting(lane: ListenerSettings, kinds: Kinds, was_set: LanePort | None) -> Lane:
    """A lane that nobody serves, as its next start would have it."""
    (face,) = lane.faces
    kind = kinds[face.name]
    return Lane(
        name=lane.name,
        face=face.name,
        terminal=kind.place(msgspec.convert(face.settings, kind.settings)),
        reverse=lane.reverse,
        address=lane.address,
        port=_moved(lane, was_set).port,
        configured_port=lane.port,
        set_port=was_set,
    )


def _moved(lane: ListenerSettings, was_set: LanePort | None) -> ListenerSettings:
    if was_set is None or lane.reverse:
        return lane
    return msgspec.structs.replace(lane, port=was_set.port)


def moved(
    listeners: Sequence[ListenerSettings], kinds: Kinds, ports: Mapping[str, LanePort]
) -> list[ListenerSettings]:
    """All listeners, lanes with the ports that were set."""
    lanes = {lane.name for lane in lanes_among(listeners, kinds)}
    return [
        _moved(each, ports.get(each.name)) if each.name in lanes else each for each in listeners
    ]


def in_force(
    listeners: Sequence[ListenerSettings], kinds: Kinds, ports: Mapping[str, LanePort]
) -> list[ListenerSettings]:
    """The same. Raises `ConfigurationError` when that leads two of them to one port."""
    found = moved(listeners, kinds, ports)
    for before, after in zip(listeners, found, strict=True):
        holder = holder_of(after, found)
        if after is not before and holder:
            problem = f"Port {after.port} is that of the listener {holder!r}, too"
            raise ConfigurationError(f"{problem}: {way_back(ports[after.name], before.port)}.")
    return found


def holder_of(wanted: ListenerSettings, others: Iterable[ListenerSettings]) -> str:
    """Which other listener has the port; empty when none has."""
    return next(
        (
            each.name
            for each in others
            if each.name != wanted.name
            and not each.reverse
            and each.port == wanted.port != 0
            and (each.address == wanted.address or _EVERYWHERE & {each.address, wanted.address})
        ),
        "",
    )


def way_back(was_set: LanePort, configured: int) -> str:
    """Who set a lane's port, and how it gets the configuration's again."""
    command = f"tillwire lanes port {shlex.quote(was_set.lane)} --configured"
    moment = f"{utc(was_set.set_at):%Y-%m-%d %H:%M:%S} UTC"
    return (
        f"{was_set.set_by} set it for the lane {was_set.lane!r} on {moment}, and `{command}` "
        f"goes back to port {configured}"
    )


def unknown(name: str, known: Iterable[str]) -> NotFound:
    """There is no such lane."""
    return NotFound(f"No lane {name!r}; there is: {', '.join(sorted(known)) or 'none'}.")


def check_listens(lane: ListenerSettings) -> None:
    """Raise `Conflict` unless the lane has a port of its own."""
    if lane.reverse:
        raise Conflict(
            f"The lane {lane.name!r} dials its till at {lane.address}:{lane.port}, which only "
            "the configuration can change."
        )


def put(unit: Unit, name: str, port: int | None, clock: Clock, by: str) -> LanePort | None:
    """Remember a lane's port, or that it is the configuration's again."""
    if port is None:
        unit.drop_lane_port(name)
        return None
    was_set = LanePort(name, port, clock.now(), by)
    unit.put_lane_port(was_set)
    return was_set


class Lanes:
    """The lanes of a running gateway."""

    def __init__(
        self,
        configured: Sequence[ListenerSettings],
        kinds: Kinds,
        ports: dict[str, LanePort],
        *,
        listeners: Mapping[str, Listener | Served],
        journal: Journal,
        clock: Clock,
        metrics: Metrics,
        moved: Callable[[], None],
    ) -> None:
        """`configured` are all listeners as the configuration has them, `ports` those that were
        set, `listeners` serve. `moved` is called when a port has changed."""
        self._all = configured
        self._lanes = {lane.name: lane for lane in lanes_among(configured, kinds)}
        self._kinds = kinds
        self._ports = ports
        self._listeners = listeners
        self._journal = journal
        self._clock = clock
        self._metrics = metrics
        self._tell_moved = moved
        self._moving = asyncio.Lock()

    def shown(self) -> list[Lane]:
        """All of them, in the configuration's order."""
        return [self._lane(each) for each in self._lanes.values()]

    def _served(self, name: str) -> Served:
        found = self._listeners[name]
        assert not isinstance(found, Listener), "a lane is no listener for HTTP"
        return found

    def _lane(self, settings: ListenerSettings) -> Lane:
        seen = self._served(settings.name).describe()
        return msgspec.structs.replace(
            resting(settings, self._kinds, self._ports.get(settings.name)),
            address=seen.address,
            port=seen.port,
            connected=len(seen.connections),
            connections=seen.connections[:LISTED],
        )

    def forgotten(self) -> list[LanePort]:
        """Ports that were set for lanes that the configuration does not have any more."""
        return [each for name, each in self._ports.items() if name not in self._lanes]

    def reset(self, name: str, peer: str | None, by: str) -> int:
        """Close the connections of a peer (its address, with or without the port), or all, at
        once; how many they were. Raises `NotFound` for an unknown lane, or a peer that has none."""
        if name not in self._lanes:
            raise unknown(name, self._lanes)
        closed = self._served(name).reset(peer)
        if peer is not None and not closed:
            raise NotFound(f"Nobody at {peer} is connected to the lane {name!r}.")
        self._metrics.lane_reset(name, closed)
        structlog.get_logger().info(
            "a lane was reset", lane=name, peer=peer or "all", closed=closed, by=by
        )
        return closed

    async def set_port(self, name: str, port: int | None, by: str) -> Lane | None:
        """Have the lane listen at the port, or at the configuration's again; the lane as it is
        then, None if it was only known for a port that was set.

        Raises `NotFound`; `Conflict` when the port cannot be had, `JournalError`: nothing has
        changed then.
        """
        async with self._moving:
            settings = self._lanes.get(name)
            if settings is None:
                if port is not None or name not in self._ports:
                    raise unknown(name, self._lanes)
                await self._commit(name, None, by)
                return None
            check_listens(settings)
            if port is not None or name in self._ports:
                await self._move(settings, port, by)
            return self._lane(settings)

    async def _move(self, settings: ListenerSettings, port: int | None, by: str) -> None:
        listener = self._served(settings.name)
        assert isinstance(listener, StreamListener), "one that dials was refused"
        before = listener.port
        wanted = msgspec.structs.replace(settings, port=settings.port if port is None else port)
        if wanted.port == before:
            await self._commit(settings.name, port, by)
            return
        bound = await asyncio.to_thread(bind_free, wanted, self._in_force())
        try:
            await self._commit(settings.name, port, by)
        except BaseException:
            bound.close()
            raise
        await listener.move(bound)
        structlog.get_logger().info(
            "a lane has another port", lane=settings.name, port=listener.port, before=before, by=by
        )
        self._tell_moved()

    def _in_force(self) -> list[ListenerSettings]:
        return [
            each if each.reverse else msgspec.structs.replace(each, port=listener.port)
            for each in self._all
            if (listener := self._listeners.get(each.name)) is not None
        ]

    async def _commit(self, name: str, port: int | None, by: str) -> None:
        was_set = await self._journal.commit(lambda unit: put(unit, name, port, self._clock, by))
        if was_set is None:
            self._ports.pop(name, None)
        else:
            self._ports[name] = was_set


def bind_free(wanted: ListenerSettings, others: Iterable[ListenerSettings]) -> socket.socket:
    """A socket that listens at the port. Raises `Conflict` that says why it cannot be had."""
    if holder := holder_of(wanted, others):
        raise Conflict(f"Port {wanted.port} is taken by the listener {holder!r}.")
    try:
        return bind(wanted, choose="choose another one")
    except ConfigurationError as error:
        raise Conflict(error.detail) from None
