"""The faces there are: by what name the configuration calls them, and how each is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, Literal

import msgspec
import structlog

from tillwire.core.engine import Engine
from tillwire.core.letters import Teller
from tillwire.core.ports import Clock, Vault
from tillwire.device import face as device_face
from tillwire.device.presence import Presence
from tillwire.dialects.ecr17.face import settings as ecr17_settings
from tillwire.dialects.ecr17.face.lane import Lane
from tillwire.dialects.ecr17.face.places import Places
from tillwire.dialects.ecr17.face.session import LaneFace
from tillwire.dialects.merchantapi import face as merchantapi_face
from tillwire.dialects.nexo.face import settings as nexo_settings
from tillwire.dialects.nexo.face.dialogues import Dialogues
from tillwire.dialects.nexo.face.flat import FlatFace
from tillwire.dialects.nexo.face.held import HeldFace
from tillwire.dialects.nexo.face.poi import Poi
from tillwire.dialects.nexo.face.stream import StreamFace as NexoStreamFace
from tillwire.dialects.paymentbridge.driver import callbacks as paymentbridge_callbacks
from tillwire.dialects.paymentbridge.driver.cloud import Clouds
from tillwire.dialects.paymentbridge.face import face as paymentbridge_face
from tillwire.dialects.paymentbridge.face import settings as paymentbridge_settings
from tillwire.dialects.paymentbridge.face.teller import BridgeTeller
from tillwire.dialects.smartconnect.face import face as smartconnect_face
from tillwire.dialects.smartconnect.face import settings as smartconnect_settings
from tillwire.dialects.smartconnect.face.teller import SmartConnectTeller
from tillwire.dialects.softpos.driver import returns as softpos_returns
from tillwire.dialects.softpos.driver.backend import Backends
from tillwire.dialects.softpos.face import face as softpos_face
from tillwire.dialects.softpos.face import settings as softpos_settings
from tillwire.dialects.softpos.face.mischief import Mischief
from tillwire.errors import NotFound
from tillwire.net.addresses import Addresses
from tillwire.net.asgi import App
from tillwire.net.streams import StreamFace
from tillwire.virtual import face as virtual_face
from tillwire.virtual.world import World


@dataclass(frozen=True)
class Parts:
    """What a face may be built from."""

    engine: Engine
    clock: Clock
    presence: Presence
    world: World | None
    """Present when the gateway has virtual terminals."""
    vault: Vault
    """Seals what must be read again."""
    clouds: Clouds
    """Of Payment Bridge's drivers: where their terminals call us."""
    backends: Backends
    """Of SoftPOS's drivers: where their phones come back to us."""
    addresses: Addresses = field(default_factory=Addresses)
    """Which addresses strangers may have us call."""
    dialogues: Dialogues = field(default_factory=Dialogues)
    """Of all nexo faces: what one of them began, another one aborts."""
    places: Places = field(default_factory=Places)
    """Of all ECR17 lanes: which terminal each one serves."""
    softpos_mischief: Mischief = field(default_factory=Mischief)
    """What backends of SoftPOS do wrong; told by the virtual world's face."""


class NoSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of a face that has none."""


def _fit_for_all(settings: Any) -> str:  # Any: a face's own
    return ""


def _shared(settings: Any) -> str:
    return ""


@dataclass(frozen=True)
class FaceKind:
    """One face that speaks HTTP, in its kind."""

    title: str
    """For people."""
    create: Callable[[Parts, Any], App]
    """Builds it from the parts and its settings; the settings are of the type `settings`."""
    settings: type[msgspec.Struct] = NoSettings
    polls: frozenset[str] = frozenset()
    """Paths below its prefix at which terminals ask for work."""
    routine: frozenset[int] = frozenset()
    """Statuses that tell of no refusal, though they are above 400: not worth a line in the log."""
    secret_paths: bool = False
    """Whether its paths let in whoever knows them, so that no log has them."""
    links: Mapping[str, str] = field(default_factory=dict)
    """Words -> path below its prefix, of documents for people."""
    only_on_loopback: Callable[[Any], str] = _fit_for_all
    """The path of what in its settings is for a loopback listener alone; empty: nothing."""
    alone: Callable[[Any], str] = _shared
    """What, by its settings, it must be the only one of its kind to serve; empty: nothing."""
    teller: Callable[[Vault], Teller] | None = None
    """Builds who writes what this face's tills and applications are told, if they are. It writes
    for transactions of this journal also where the face itself is not configured any more."""
    mutual: bool = False
    """Whether it knows its callers by their certificates, so that its listener must want one."""
    stream: Literal[False] = False
    reverse: Literal[False] = False


@dataclass(frozen=True)
class StreamKind:
    """One face that speaks over a byte stream, in its kind."""

    title: str
    """For people."""
    create: Callable[[Parts, Any], StreamFace]
    """As in `FaceKind`."""
    settings: type[msgspec.Struct] = NoSettings
    only_on_loopback: Callable[[Any], str] = _fit_for_all
    """As in `FaceKind`."""
    alone: Callable[[Any], str] = _shared
    """As in `FaceKind`."""
    place: Callable[[Any], str] = lambda settings: ""
    """Whose place its settings make it, in words for an operator."""
    mutual: Literal[False] = False
    stream: Literal[True] = True
    reverse: bool = False
    """Whether it may be served to tills that we dial."""


AnyKind = FaceKind | StreamKind


def _merchantapi(parts: Parts, settings: merchantapi_face.Settings) -> App:
    return merchantapi_face.create(parts.engine, parts.clock, settings)


def _device(parts: Parts, settings: NoSettings) -> App:
    return device_face.create(parts.engine, parts.clock, parts.presence)


def _virtual(parts: Parts, settings: NoSettings) -> App:
    assert parts.world is not None, "the configuration was checked"
    return virtual_face.create(
        parts.world, parts.engine, parts.vault, parts.softpos_mischief.routes()
    )


def _nexo(parts: Parts, settings: nexo_settings.Settings) -> Poi:
    if settings.organisation not in parts.engine.estate.organisations:
        structlog.get_logger().warning(
            "a nexo face serves no terminals: there is no such organisation",
            organisation=settings.organisation,
        )
    return Poi(parts.engine, parts.clock, settings, parts.dialogues)


def _nexo_http(parts: Parts, settings: nexo_settings.Settings) -> App:
    return FlatFace(_nexo(parts, settings), settings, parts.clock)


def _nexo_held(parts: Parts, settings: nexo_settings.Settings) -> App:
    return HeldFace(_nexo(parts, settings), settings)


def _nexo_tcp(parts: Parts, settings: nexo_settings.Settings) -> StreamFace:
    return NexoStreamFace(_nexo(parts, settings), settings)


def _paymentbridge_callbacks(parts: Parts, settings: NoSettings) -> App:
    return paymentbridge_callbacks.create(parts.engine, parts.clock, parts.clouds)


def _nexo_place(settings: nexo_settings.Settings) -> str:
    return ", ".join(settings.terminals.values()) or f"all of {settings.organisation}"


def _ecr17_place(settings: ecr17_settings.Settings) -> str:
    return settings.terminal


def _ecr17(parts: Parts, settings: ecr17_settings.Settings) -> StreamFace:
    lane = Lane(parts.engine, parts.clock, settings, parts.places)
    try:
        _ = lane.terminal
    except NotFound as error:
        structlog.get_logger().warning(
            "an ECR17 lane serves no terminal",
            organisation=settings.organisation,
            terminal=settings.terminal,
            reason=error.detail,
        )
    return LaneFace(lane)


def _paymentbridge(parts: Parts, settings: paymentbridge_settings.Settings) -> App:
    ours = settings.organisation
    if ours and ours not in parts.engine.estate.organisations:
        structlog.get_logger().warning(
            "a Payment Bridge face serves nobody: there is no such organisation", organisation=ours
        )
    return paymentbridge_face.create(
        parts.engine, parts.clock, settings, parts.vault, parts.addresses
    )


def _smartconnect(parts: Parts, settings: smartconnect_settings.Settings) -> App:
    if settings.organisation not in parts.engine.estate.organisations:
        structlog.get_logger().warning(
            "a SmartConnect face serves nobody: there is no such organisation",
            organisation=settings.organisation,
        )
    return smartconnect_face.create(
        parts.engine, parts.clock, settings, parts.vault, parts.addresses
    )


def _softpos(parts: Parts, settings: softpos_settings.Settings) -> App:
    # Where virtual terminals are, and never in production.
    misbehaves = parts.world is not None and settings.profile == "staging"
    mischief = parts.softpos_mischief if misbehaves else None
    return softpos_face.create(parts.engine, parts.clock, settings, parts.vault, mischief)


def _softpos_returns(parts: Parts, settings: NoSettings) -> App:
    return softpos_returns.create(
        parts.engine, lambda: parts.engine.estate, parts.clock, parts.backends
    )


FACES: Final[Mapping[str, AnyKind]] = {
    "merchantapi": FaceKind(
        "MerchantAPI, for tills",
        _merchantapi,
        settings=merchantapi_face.Settings,
        links={"How to use it": "/docs", "Its OpenAPI document": "/openapi.json"},
    ),
    "device": FaceKind(
        "Terminals that fetch their transactions", _device, polls=frozenset({"/next"})
    ),
    "nexo-http": FaceKind(
        "nexo, for tills that post and poll",
        _nexo_http,
        settings=nexo_settings.Settings,
        routine=frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.LOCKED}),  # what a poll may get
    ),
    "nexo-held": FaceKind(
        "nexo, for tills that wait for the answer to their POST",
        _nexo_held,
        settings=nexo_settings.Settings,
    ),
    "nexo-tcp": StreamKind(
        "nexo, for tills that keep a connection",
        _nexo_tcp,
        settings=nexo_settings.Settings,
        place=_nexo_place,
    ),
    "ecr17": StreamKind(
        "ECR17, for tills with Protocollo 17",
        _ecr17,
        settings=ecr17_settings.Settings,
        place=_ecr17_place,
        alone=ecr17_settings.alone,
        reverse=True,
    ),
    "paymentbridge-callbacks": FaceKind(
        "Callbacks of SmartPOS terminals that are paid on by Payment Bridge",
        _paymentbridge_callbacks,
        routine=frozenset({HTTPStatus.NOT_FOUND}),  # strangers, who are told nothing
        secret_paths=True,
    ),
    "paymentbridge": FaceKind(
        "Payment Bridge, for cloud applications of SmartPOS terminals",
        _paymentbridge,
        settings=paymentbridge_settings.Settings,
        teller=BridgeTeller,
        only_on_loopback=paymentbridge_settings.only_on_loopback,
    ),
    "smartconnect": FaceKind(
        "SmartConnect, for registers that are paired with terminals",
        _smartconnect,
        settings=smartconnect_settings.Settings,
        routine=frozenset({HTTPStatus.TOO_MANY_REQUESTS}),  # what a poll may get
        secret_paths=True,  # pairing codes
        teller=SmartConnectTeller,
    ),
    "softpos": FaceKind(
        "SoftPOS, for backends that check transactions",
        _softpos,
        settings=softpos_settings.Settings,
        mutual=True,
    ),
    "softpos-returns": FaceKind(
        "Phones that come back from a SoftPOS payment",
        _softpos_returns,
        routine=frozenset({HTTPStatus.NOT_FOUND}),  # strangers, who are told nothing
        secret_paths=True,
    ),
    "virtual": FaceKind(
        "The virtual world: terminals and the acquirer's ledger",
        _virtual,
        links={"The acquirer's ledger": "/ledger", "The virtual terminals": "/terminals"},
    ),
}
"""The faces of this version."""


def tellers(faces: Mapping[str, AnyKind], vault: Vault) -> tuple[Teller, ...]:
    """One for each face that tells."""
    return tuple(
        kind.teller(vault)
        for kind in faces.values()
        if isinstance(kind, FaceKind) and kind.teller is not None
    )
