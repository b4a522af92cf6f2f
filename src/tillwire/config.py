"""The settings of `tillwire serve`: what there is, and how a file becomes them.

Every mistake in the file is a `ConfigurationError` that names the file, the setting, the problem
and what is allowed. Paths in the file count from the folder that the file is in. What a face's own
`settings` mean is the face's business: it hands in the struct that they must fit.
`docs/configuration.md` is the reference for people.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Protocol
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, field

from tillwire import strict_toml
from tillwire.strict_toml import mistake

Text = Annotated[str, Meta(min_length=1)]


class Level(StrEnum):
    """From which weight on log lines are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Format(StrEnum):
    """How log lines look: `auto` is `console` on a terminal, else `json`."""

    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


class Page(StrEnum):
    """Pages of the gateway itself, at the root of a listener."""

    START = "start"
    """`/`: what runs where."""
    HEALTH = "health"
    """`/healthz` and `/readyz`."""
    METRICS = "metrics"
    """`/metrics`, for Prometheus."""


class _Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class JournalSettings(_Settings, frozen=True):
    """Where the durable truth is."""

    path: Text
    key_file: str = ""
    """The key with which the journal's secrets are sealed. Empty: a file of the journal's name and
    `.key`, beside it. Made when there is none."""


class VirtualSettings(_Settings, frozen=True):
    """Where virtual terminals, if there are any, keep their memory."""

    directory: Text
    pace: Annotated[float, Meta(gt=0, le=1000)] = 1.0
    """Divides the virtual cardholder's waiting times."""


class LogSettings(_Settings, frozen=True):
    """What is logged to standard error, and how."""

    level: Level = Level.INFO
    format: Format = Format.AUTO


class CallbackSettings(_Settings, frozen=True):
    """How tills and applications are told of their transactions."""

    allow: tuple[Text, ...] = ()
    """Networks, addresses and names of hosts that may be called although they are not public."""
    parallel: Annotated[int, Meta(ge=1, le=100)] = 64
    """Letters that are under way at once."""
    parallel_per_host: Annotated[int, Meta(ge=1, le=100)] = 16
    """The same, to one host that answers quickly."""


class Limits(_Settings, frozen=True):
    """What one listener puts up with: some of it is for HTTP, some for byte streams."""

    connections: Annotated[int, Meta(ge=1, le=1_000_000)] = 10_000
    """Open connections; one more is closed, over HTTP with a 503."""
    header_bytes: Annotated[int, Meta(ge=1024, le=1 << 20)] = 32_768
    """Request line and headers together."""
    header_seconds: Annotated[float, Meta(gt=0, le=600)] = 10.0
    """Until the headers of a request must be there, and before it a TLS handshake done."""
    keep_alive_seconds: Annotated[int, Meta(ge=1, le=3600)] = 75
    """How long an idle connection is kept."""
    idle_seconds: Annotated[float, Meta(gt=0, le=604_800)] = 86_400.0
    """Streams: how long a connection is kept on which nothing goes on."""
    message_seconds: Annotated[float, Meta(gt=0, le=600)] = 30.0
    """Streams: until a message that has begun must be there whole, and a TLS handshake done."""
    unread_bytes: Annotated[int, Meta(ge=4096, le=1 << 24)] = 1 << 20
    """Streams: what may wait for a peer that does not read; more ends the connection."""
    backlog: Annotated[int, Meta(ge=1, le=65_535)] = 2048
    """Connections that may wait to be accepted."""


class TlsSettings(_Settings, frozen=True):
    """The listener's certificate, and from whom it wants one."""

    certificate: Text
    """PEM: the certificate and its chain."""
    key: Text
    """PEM: the private key, without a passphrase."""
    client_ca: str = ""
    """PEM: clients must show a certificate of this authority. Empty: they need none."""


class FaceSettings(_Settings, frozen=True):
    """One face on a listener."""

    name: Text
    prefix: str = ""
    """The path under which it stands; empty is the root."""
    settings: Mapping[str, Any] = {}
    """The face's own settings."""


class ListenerSettings(_Settings, frozen=True):
    """One address and port, and what is served there, or in reverse mode to whom."""

    name: Text
    port: Annotated[int, Meta(ge=0, le=65_535)]
    """0 lets the system choose; for tests."""
    address: Text = "127.0.0.1"
    """In reverse mode: the till's."""
    reverse: bool = False
    """Whether address and port are a till's, which is dialled, in place of our own."""
    public_url: str = ""
    """How the world calls this listener, when a proxy is in front. Empty: as the client says."""
    trusted_proxies: tuple[Text, ...] = ()
    """Addresses whose X-Forwarded-For is believed."""
    pages: tuple[Page, ...] = ()
    tls: TlsSettings | None = None
    limits: Limits = Limits()
    faces: tuple[FaceSettings, ...] = field(default=(), name="face")


class Configuration(_Settings, frozen=True):
    """Everything that `tillwire serve` must be told."""

    journal: JournalSettings
    listeners: tuple[ListenerSettings, ...] = field(name="listener")
    log: LogSettings = LogSettings()
    virtual: VirtualSettings | None = None
    callbacks: CallbackSettings = CallbackSettings()
    stop_seconds: Annotated[float, Meta(ge=0, le=600)] = 10.0
    """How long requests that are being answered may take after the signal to stop."""

    def serves(self, page: Page) -> bool:
        """Whether any listener shows the page."""
        return any(page in listener.pages for listener in self.listeners)


class FaceType(Protocol):
    """What must be known of a face to check its place in the configuration."""

    @property
    def settings(self) -> type[msgspec.Struct]:
        """What its own settings must fit."""

    @property
    def stream(self) -> bool:
        """Whether it serves a byte stream, for which it has a listener to itself; else HTTP."""

    @property
    def reverse(self) -> bool:
        """Whether it can be served over a connection that we open."""

    @property
    def only_on_loopback(self) -> Callable[[Any], str]:  # Any: a face's own settings
        """The path of what in its settings is for a loopback listener alone; empty: nothing."""

    @property
    def mutual(self) -> bool:
        """Whether it knows its callers by their certificates."""

    @property
    def alone(self) -> Callable[[Any], str]:
        """What, by its settings, it must be the only one of its kind to serve; empty: nothing."""


FaceTypes = Mapping[str, FaceType]
"""The faces there are, by name."""

_LOOPBACK_ONLY: Final = frozenset({"virtual"})
"""Faces without any authentication, which must not leave the machine."""
_EVERY_ADDRESS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - nothing is bound here


def load(path: Path, faces: FaceTypes) -> Configuration:
    """The configuration in the TOML file at `path`. Raises `ConfigurationError`."""
    found = strict_toml.convert(strict_toml.read(path), Configuration, source=path)
    return checked(found, faces, source=path, folder=path.resolve().parent)


def checked(
    found: Configuration, faces: FaceTypes, *, source: object, folder: Path
) -> Configuration:
    """The same with absolute paths (from `folder` on), and after every check that goes beyond
    single settings. Raises `ConfigurationError`."""
    _check_listeners(found, source)
    listeners = tuple(
        _checked_listener(
            listener,
            faces,
            source,
            folder,
            f"listener[{number}]",
            virtual=found.virtual is not None,
        )
        for number, listener in enumerate(found.listeners)
    )
    _check_alone(listeners, faces, source)
    virtual = found.virtual and msgspec.structs.replace(
        found.virtual, directory=_absolute(found.virtual.directory, folder)
    )
    path, key_file = found.journal.path, found.journal.key_file
    journal = JournalSettings(
        path=_absolute(path, folder), key_file=_absolute(key_file or f"{path}.key", folder)
    )
    if not Path(journal.path).parent.is_dir():
        problem = f"the folder {Path(journal.path).parent} does not exist"
        raise mistake(source, "journal.path", problem, "a file in a folder that exists")
    if not Path(journal.key_file).parent.is_dir():
        problem = f"the folder {Path(journal.key_file).parent} does not exist"
        raise mistake(source, "journal.key_file", problem, "a file in a folder that exists")
    return msgspec.structs.replace(found, journal=journal, listeners=listeners, virtual=virtual)


def _absolute(path: str, folder: Path) -> str:
    return str(folder / Path(path).expanduser())


def _check_listeners(found: Configuration, source: object) -> None:
    if not found.listeners:
        raise mistake(source, "listener", "there is none", "one [[listener]] or more")
    names: dict[str, str] = {}
    places: dict[tuple[str, int], str] = {}
    for number, listener in enumerate(found.listeners):
        path = f"listener[{number}]"
        if listener.name in names:
            problem = f"{listener.name!r} is the name of {names[listener.name]}, too"
            raise mistake(source, f"{path}.name", problem, "a name of its own for each listener")
        place = (listener.address, listener.port)
        if listener.port and place in places:
            problem = f"{listener.address}:{listener.port} is taken by {places[place]}"
            raise mistake(source, f"{path}.port", problem, "an address and port of its own")
        names[listener.name] = places[place] = path


def _checked_listener(
    listener: ListenerSettings,
    faces: FaceTypes,
    source: object,
    folder: Path,
    path: str,
    *,
    virtual: bool,
) -> ListenerSettings:
    _check_public_url(listener.public_url, source, f"{path}.public_url")
    prefixes: set[str] = set()
    placed: list[FaceSettings] = []
    for number, face in enumerate(listener.faces):
        where = f"{path}.face[{number}]"
        placed.append(_checked_face(face, listener, faces, source, folder, where))
        if face.prefix in prefixes:
            problem = f"{face.prefix or 'the root'!r} is used twice"
            raise mistake(source, f"{where}.prefix", problem, "one face each")
        prefixes.add(face.prefix)
    if any(faces[face.name].stream for face in listener.faces):
        _check_stream(listener, source, path)
    if listener.reverse:
        _check_reverse(listener, faces, source, path)
    if "" in prefixes and Page.START in listener.pages:
        problem = "the start page and a face both want the root"
        raise mistake(source, f"{path}.pages", problem, "health and metrics here")
    mutual = next((face.name for face in listener.faces if faces[face.name].mutual), "")
    if mutual and not (listener.tls and listener.tls.client_ca):
        problem = f"the face {mutual!r} knows its callers by their certificates"
        raise mistake(source, f"{path}.tls.client_ca", problem, "the PEM file of their authority")
    if "virtual" in (face.name for face in listener.faces) and not virtual:
        problem = "there are no virtual terminals here"
        raise mistake(source, f"{path}.face", problem, "with the table [virtual] only")
    if not listener.faces and not listener.pages:
        raise mistake(source, path, "it serves nothing", "a [[listener.face]], or pages")
    tls = listener.tls and _checked_tls(listener.tls, source, folder, f"{path}.tls")
    return msgspec.structs.replace(listener, tls=tls, faces=tuple(placed))


def _check_stream(listener: ListenerSettings, source: object, path: str) -> None:
    """A byte stream has no paths by which faces and pages could share it, and no headers."""
    if len(listener.faces) > 1:
        problem = f"{listener.faces[0].name!r} and {listener.faces[1].name!r} cannot share a port"
        raise mistake(source, f"{path}.face", problem, "a listener of its own for a byte stream")
    (face,) = listener.faces
    for where, given in (
        ("face[0].prefix", face.prefix),
        ("pages", listener.pages),
        ("public_url", listener.public_url),
        ("trusted_proxies", listener.trusted_proxies),
    ):
        if given:
            problem = f"the face {face.name!r} is not HTTP"
            raise mistake(source, f"{path}.{where}", problem, "leave it out")


def _check_reverse(listener: ListenerSettings, faces: FaceTypes, source: object, path: str) -> None:
    """Who dials needs somebody to dial, and a face that does not care."""
    able = " or ".join(sorted(name for name, kind in faces.items() if kind.reverse))
    if not any(faces[face.name].reverse for face in listener.faces):
        named = " and ".join(repr(face.name) for face in listener.faces) or "a page"
        raise mistake(source, f"{path}.reverse", f"{named} can only listen", f"with {able} only")
    if not listener.port:
        raise mistake(source, f"{path}.port", "nobody can be dialled at 0", "the till's port")
    if listener.address in _EVERY_ADDRESS:
        problem = f"{listener.address} is nobody's address"
        raise mistake(source, f"{path}.address", problem, "the till's address or name")
    if listener.tls is not None:
        problem = "a till that is dialled speaks no TLS"
        raise mistake(source, f"{path}.tls", problem, "leave it out")


def _check_alone(listeners: tuple[ListenerSettings, ...], faces: FaceTypes, source: object) -> None:
    """What has room for one face is served by one."""
    places = {
        f"listener[{number}].face[{index}]": face
        for number, listener in enumerate(listeners)
        for index, face in enumerate(listener.faces)
    }
    taken: dict[tuple[str, str], str] = {}
    for path, face in places.items():
        kind = faces[face.name]
        alone = kind.alone(msgspec.convert(face.settings, kind.settings))
        before = taken.setdefault((face.name, alone.lower()), path)
        if alone and before != path:
            problem = f"{alone} is served by {before}, too"
            raise mistake(source, f"{path}.settings", problem, "one for each")


def _checked_face(
    face: FaceSettings,
    listener: ListenerSettings,
    faces: FaceTypes,
    source: object,
    folder: Path,
    path: str,
) -> FaceSettings:
    if face.name not in faces:
        known = ", ".join(sorted(faces))
        raise mistake(source, f"{path}.name", f"there is no face {face.name!r}", known)
    if face.prefix and (not face.prefix.startswith("/") or face.prefix.endswith("/")):
        allowed = "empty for the root, else a path such as /merchantapi, without a slash at its end"
        raise mistake(source, f"{path}.prefix", f"{face.prefix!r} cannot be a prefix", allowed)
    if face.name in _LOOPBACK_ONLY and not is_loopback(listener.address):
        problem = f"the face {face.name!r} has no authentication, and {listener.address} is public"
        raise mistake(source, path, problem, "a listener on 127.0.0.1 or ::1")
    at = f"{path}.settings"
    given = strict_toml.convert(face.settings, faces[face.name].settings, source=source, at=at)
    risky = faces[face.name].only_on_loopback(given)
    if risky and (listener.public_url or not is_loopback(listener.address)):
        problem = f"it is for testing, and {listener.public_url or listener.address} is public"
        raise mistake(source, f"{at}.{risky}", problem, "a listener on 127.0.0.1 or ::1")
    located = _located(given, source, folder, at)
    return msgspec.structs.replace(face, settings=msgspec.to_builtins(located))


def _located(value: Any, source: object, folder: Path, path: str) -> Any:  # Any: a face's own
    """The settings with absolute paths: those that name a file end with `_file`."""
    if isinstance(value, tuple | list):
        return [
            _located(each, source, folder, f"{path}[{number}]") for number, each in enumerate(value)
        ]
    if not isinstance(value, msgspec.Struct):
        return value
    changes = {}
    for name in value.__struct_fields__:
        inner, at = getattr(value, name), f"{path}.{name}"
        if name.endswith("_file") and inner:
            changes[name] = _existing(inner, source, folder, at)
        else:
            changes[name] = _located(inner, source, folder, at)
    return msgspec.structs.replace(value, **changes)


def _check_public_url(url: str, source: object, path: str) -> None:
    if not url:
        return
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise mistake(source, path, f"{url!r} is not an address", "such as https://pay.example.com")
    if parts.query or parts.fragment or parts.username or url.endswith("/"):
        allowed = "scheme, host, port and path, without a slash at its end"
        raise mistake(source, path, f"{url!r} has more than that", allowed)


def _checked_tls(tls: TlsSettings, source: object, folder: Path, path: str) -> TlsSettings:
    absolute = {
        name: _existing(value, source, folder, f"{path}.{name}", "a PEM file that can be read")
        for name in ("certificate", "key", "client_ca")
        if (value := getattr(tls, name))
    }
    return msgspec.structs.replace(tls, **absolute)


def _existing(
    file: str, source: object, folder: Path, path: str, allowed: str = "a file that can be read"
) -> str:
    absolute = _absolute(file, folder)
    if not Path(absolute).is_file():
        raise mistake(source, path, f"there is no file {absolute}", allowed)
    return absolute


def is_loopback(address: str) -> bool:
    """Whether the address can only be reached from this machine."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
